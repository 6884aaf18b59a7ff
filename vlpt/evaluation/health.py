"""Does an agent's talk stay healthy? Minute by minute: how much, how much silence, how repetitive, how predictable.

In: what the agent said (the .jsonl that vlpt.play writes), and recordings of people with their words. Out: a table, and
JSON with the same. Perplexity is under a trigram model of people's words that is independent of the agent; talk that
degenerates becomes repetitive (perplexity falls, 4-grams return) or rambling (perplexity rises). With --grammar also
the share of sentences that the scripted player can say (vlpt/data/sentences.py), people's being cut as the agent's.

    python -m vlpt.play --model runs/demo/joint --world luanti --seconds 600 --out runs/long.mp4
    python evaluate.py health --play runs/long.jsonl --grammar data_gathering/samples/grammar.json --out …
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vlpt.data.sentences import Grammar, on_ticks
from vlpt.data.trigrams import Trigrams
from vlpt.data.words import Word, read_words
from vlpt.files import read_lines, write_json
from vlpt.options import Count, run
from vpt.frames import FRAME_MS

MINUTE_MS = 60_000
COLUMNS = {"words_a_minute": ("words/min", 0), "silence": ("silence", 2), "repeated": ("repeated 4-grams", 2),
           "perplexity": ("perplexity", 1), "grammar": ("in the grammar", 2)}  # {number: (title, digits)}
SAMPLES = Path(__file__).parents[2] / "data_gathering/samples"


@dataclass(frozen=True)
class Options:
    """Measures the talk of a long play, minute by minute, against people's."""

    play: str  # the .jsonl beside a film of vlpt.play
    people: str = str(SAMPLES)  # recordings with <id>.words.jsonl to compare with
    # channels whose talk is compared with the agent's; the others make the trigram model
    held_out: tuple[str, ...] = ("ch4", "ch5")
    text: str = ""  # a text file to add to the trigram model
    frames_per_tick: Count = 4  # as the agent has it
    grammar: str = ""  # what narrators can say: data_gathering/samples/grammar.json; empty: not measured
    out: str = ""  # JSON to write; empty: none


@dataclass(frozen=True)
class Minute:
    """What was said in a minute (or in what there is of one)."""

    words_a_minute: float
    silence: float  # share of ticks on which nothing begins
    repeated: float  # share of 4-grams that were said before in the same minute; nan where there are too few
    perplexity: float  # nan where nothing was said
    grammar: float = math.nan  # share of the sentences begun in it that the grammar makes; nan where none, or not asked


def words_of_play(rows: Iterable[dict], piece_ms: float = FRAME_MS) -> list[Word]:
    """The agent's pieces, one a line, as words: a piece that begins with a blank begins a word. A word ends so long
    after its last piece began."""
    words: list[Word] = []
    for row in rows:
        piece = row["word"]
        if piece.startswith(" ") or (piece and not words):
            words.append(Word(piece.strip(), row["ms"], row["ms"] + piece_ms))
        elif piece:
            words[-1] = Word(words[-1].word + piece, words[-1].start_ms, row["ms"] + piece_ms)
    return [plain for word in words if (plain := _plain(word)).word]


def _plain(word: Word) -> Word:
    """Without punctuation and capitals."""
    return replace(word, word=_plain_text(word.word))


def _plain_text(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum() or c in "'-")


def minutes(
    words: Sequence[Word], length_ms: float, model: Trigrams, tick_ms: float, grammar: Grammar | None = None
) -> list[Minute]:
    """One row a minute; a rest of less than half a minute is left out unless there is nothing else."""
    made = in_grammar(words, tick_ms, grammar) if grammar else []
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
        begun = [fits for start_ms, fits in made if begin <= start_ms < end]
        rows.append(Minute(len(said) / share, 1 - len({int(s // tick_ms) for s in starts[inside]}) / ticks,
                           repeated(said), float(np.exp(nats[inside].mean())) if said else math.nan,
                           float(np.mean(begun)) if begun else math.nan))
    return rows


def in_grammar(words: Sequence[Word], tick_ms: float, grammar: Grammar) -> list[tuple[float, bool]]:
    """(onset in ms, whether the grammar makes it) of each sentence."""
    return [(said[0].start_ms, grammar.recognise(" ".join(word.word for word in said)) is not None)
            for said in grammar.cut(on_ticks(words, tick_ms))]  # fmt: skip


def repeated(words: Sequence[str], n: int = 4) -> float:
    """Share of n-grams that occurred before; nan for fewer than two n-grams."""
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if len(grams) > 1 else math.nan


def numbers(minute: Minute, grammar: Grammar | None) -> dict[str, float]:
    """What was measured of a minute."""
    return {name: value for name, value in asdict(minute).items() if grammar or name != "grammar"}


def main(options: Options) -> dict:
    """Raises ValueError naming a file that is missing or no play."""
    grammar = Grammar.read(options.grammar) if options.grammar else None
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
    agent = minutes(words_of_play(rows), len(rows) * FRAME_MS, model, tick_ms, grammar)
    people = [minute for talk in compared.values()
              for minute in minutes(talk, max(MINUTE_MS * 0.75, talk[-1].start_ms + 2000), model, tick_ms, grammar)]
    result = {"agent": [numbers(minute, grammar) for minute in agent], "people": summary(people),
              "first": numbers(agent[0], grammar), "last": numbers(agent[-1], grammar),
              "within": within(agent, people)}  # fmt: skip
    print(table(agent, result["people"]))
    if options.out:
        write_json(options.out, json.loads(json.dumps(result).replace("NaN", "null")))
    return result


def summary(people: list[Minute]) -> dict[str, dict[str, float]]:
    """Of each number that was measured: mean, and between what lie nine of ten minutes of people's talk."""
    found = {}
    for name in Minute.__dataclass_fields__:
        values = np.array([getattr(minute, name) for minute in people])
        if np.isnan(values).all():
            continue
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
    lines = ["minute  " + "  ".join(title for name, (title, _) in COLUMNS.items() if name in people)]
    shown = [(f"{i:6d}", asdict(minute)) for i, minute in enumerate(agent, 1)]
    shown += [(f"{name:>6}", {key: part[name] for key, part in people.items()}) for name in ("low", "mean", "high")]
    lines += ["  ".join([name, *(f"{values[key]:{len(title)}.{digits}f}" for key, (title, digits) in COLUMNS.items()
                                 if key in people)]) for name, values in shown]  # fmt: skip
    return "\n".join(lines) + "\n(low, mean, high: people's talk, 5 %, mean, 95 % of minutes)"


if __name__ == "__main__":
    run(main, Options)
