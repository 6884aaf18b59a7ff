"""Does an agent's talk stay healthy? Minute by minute: how much, how much silence, how repetitive, how predictable.

In: what the agent said (the .jsonl that vlpt.play writes), and recordings of people with their words. Out: a table, and
JSON with the same. Perplexity is under a trigram model of people's words that is independent of the agent; talk that
degenerates becomes repetitive (perplexity falls, 4-grams return) or rambling (perplexity rises).

    python -m vlpt.play --model runs/demo/joint --world luanti --seconds 600 --out runs/long.mp4
    python -m vlpt.health --play runs/long.jsonl --out runs/long.health.json
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vlpt.data.trigrams import Trigrams
from vlpt.data.words import Word, read_words
from vlpt.files import read_lines, write_json
from vlpt.options import Count, run
from vpt.frames import FRAME_MS

MINUTE_MS = 60_000
SAMPLES = Path(__file__).parents[1] / "data_gathering/samples"


@dataclass(frozen=True)
class Options:
    """Measures the talk of a long play, minute by minute, against people's."""

    play: str  # the .jsonl beside a film of vlpt.play
    people: str = str(SAMPLES)  # recordings with <id>.words.jsonl to compare with
    # channels whose talk is compared with the agent's; the others make the trigram model
    held_out: tuple[str, ...] = ("ch4", "ch5")
    text: str = ""  # a text file to add to the trigram model
    frames_per_tick: Count = 4  # as the agent has it
    out: str = ""  # JSON to write; empty: none


@dataclass(frozen=True)
class Minute:
    """What was said in a minute (or in what there is of one)."""

    words_a_minute: float
    silence: float  # share of ticks on which nothing begins
    repeated: float  # share of 4-grams that were said before in the same minute; nan where there are too few
    perplexity: float  # nan where nothing was said


def words_of_play(rows: Iterable[dict]) -> list[Word]:
    """The agent's pieces, one a line, as words: a piece that begins with a blank begins a word."""
    words: list[Word] = []
    for row in rows:
        piece = row["word"]
        if piece.startswith(" ") or (piece and not words):
            words.append(Word(piece.strip(), row["ms"], row["ms"] + FRAME_MS))
        elif piece:
            words[-1] = Word(words[-1].word + piece, words[-1].start_ms, row["ms"] + FRAME_MS)
    return [plain for word in words if (plain := _plain(word)).word]


def _plain(word: Word) -> Word:
    """Without punctuation and capitals."""
    return replace(word, word=_plain_text(word.word))


def _plain_text(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum() or c in "'-")


def minutes(words: Sequence[Word], length_ms: float, model: Trigrams, tick_ms: float) -> list[Minute]:
    """One row a minute; a rest of less than half a minute is left out unless there is nothing else."""
    nats = model.nats([word.word for word in words])
    starts = np.array([word.start_ms for word in words])
    n_minutes = max(1, round(length_ms / MINUTE_MS))
    rows = []
    for i in range(n_minutes):
        begin, end = i * MINUTE_MS, min((i + 1) * MINUTE_MS, length_ms)
        inside = (starts >= begin) & (starts < end) if len(starts) else np.zeros(0, bool)
        said = [word.word for word, here in zip(words, inside, strict=True) if here]
        share = (end - begin) / MINUTE_MS
        ticks = max(1, (end - begin) / tick_ms)
        rows.append(Minute(len(said) / share, 1 - len({int(s // tick_ms) for s in starts[inside]}) / ticks,
                           repeated(said), float(np.exp(nats[inside].mean())) if said else math.nan))
    return rows


def repeated(words: Sequence[str], n: int = 4) -> float:
    """Share of n-grams that occurred before; nan for fewer than two n-grams."""
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if len(grams) > 1 else math.nan


def main(options: Options) -> dict:
    """Raises ValueError naming a file that is missing or no play."""
    path = Path(options.play)
    if not path.exists():
        raise ValueError(f"{path} is missing: vlpt.play writes it beside its film")
    rows = read_lines(path)
    if not rows or "word" not in rows[0]:
        raise ValueError(f"{path} has no lines with a word each: vlpt.play writes it beside its film")
    talks = {file.name.removesuffix(".words.jsonl"): [_plain(word) for word in read_words(file)]
             for file in sorted(Path(options.people).glob("*.words.jsonl"))}
    compared = {id_: talk for id_, talk in talks.items() if id_.rsplit("-", 1)[0] in options.held_out}
    if not compared or len(compared) == len(talks):
        raise ValueError(f"{options.people} must hold talk of {', '.join(options.held_out)} and of other channels")
    texts = [[word.word for word in talk] for id_, talk in talks.items() if id_ not in compared]
    if options.text:
        texts += [[_plain_text(word) for word in line.split()] for line in Path(options.text).read_text().splitlines()]
    model, tick_ms = Trigrams(texts), options.frames_per_tick * FRAME_MS
    agent = minutes(words_of_play(rows), len(rows) * FRAME_MS, model, tick_ms)
    people = [minute for talk in compared.values()
              for minute in minutes(talk, max(MINUTE_MS * 0.75, talk[-1].start_ms + 2000), model, tick_ms)]
    result = {"agent": [asdict(minute) for minute in agent], "people": summary(people),
              "first": asdict(agent[0]), "last": asdict(agent[-1]), "within": within(agent, people)}
    print(table(agent, result["people"]))
    if options.out:
        write_json(options.out, json.loads(json.dumps(result).replace("NaN", "null")))
    return result


def summary(people: list[Minute]) -> dict[str, dict[str, float]]:
    """Of each number: mean, and between what lie nine of ten minutes of people's talk."""
    found = {}
    for name in Minute.__dataclass_fields__:
        values = np.array([getattr(minute, name) for minute in people])
        low, high = np.nanpercentile(values, [5, 95])
        found[name] = {"mean": float(np.nanmean(values)), "low": float(low), "high": float(high)}
    return found


def within(agent: list[Minute], people: list[Minute]) -> dict[str, float]:
    """Of each number: the share of the agent's minutes that lie where nine of ten of people's do."""
    ranges = summary(people)
    return {name: float(np.mean([ranges[name]["low"] <= getattr(minute, name) <= ranges[name]["high"]
                                 for minute in agent])) for name in ranges}  # fmt: skip


def table(agent: list[Minute], people: dict) -> str:
    """A line a minute, and people's."""
    lines = ["minute  words/min  silence  repeated 4-grams  perplexity"]
    shown = [(f"{i:6d}", *asdict(minute).values()) for i, minute in enumerate(agent, 1)]
    shown += [(f"{name:>6}", *(part[name] for part in people.values())) for name in ("low", "mean", "high")]
    lines += [f"{name}  {words:9.0f}  {silence:7.2f}  {again:16.2f}  {perplexity:10.1f}"
              for name, words, silence, again, perplexity in shown]
    return "\n".join(lines) + "\n(low, mean, high: people's talk, 5 %, mean, 95 % of minutes)"


if __name__ == "__main__":
    run(main, Options)
