"""What the player says, and when each word begins and ends.

In:  a kind of remark and the facts it needs. Out: plain lower-case text, and words with times in milliseconds.
`Narrator` makes the sentences (from the grammar in phrases.py), `Mouth` says them one after another,
`corpus` writes text without a game.
Run: python -m data_gathering.demonstrate --text-only 100000 --out text.txt
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Protocol, Union

import numpy as np

from data_gathering.streamer import phrases
from vlpt.data.words import Word

Alternatives = tuple[tuple[Union[str, "Alternatives"], ...], ...]  # of a rule; see `parse`
Liking = Callable[[int], Sequence[float]]  # number of alternatives -> their cumulative probabilities
SLOWEST_WPM, FASTEST_WPM = 150, 200
TOKEN = re.compile(r"[\[\]|]|<\w+>|\{\w+\}|[^\[\]|<>{}]+")


@cache
def parse(rule: str) -> Alternatives:
    """A rule as a tuple of alternatives, each a tuple of pieces: text, `<rule>`, `{slot}`, or a nested tuple of
    alternatives."""
    stack: list[list[list]] = [[[]]]
    for piece in TOKEN.findall(rule):
        if piece == "[":
            stack.append([[]])
        elif piece == "]":
            group = tuple(tuple(alternative) for alternative in stack.pop())
            stack[-1][-1].append(group)
        elif piece == "|":
            stack[-1].append([])
        else:
            stack[-1][-1].append(piece)
    return tuple(tuple(alternative) for alternative in stack[0])


def expand(rule: str, rng: np.random.Generator, slots: Mapping[str, object], liking: Liking | None = None) -> str:
    """A random sentence of a rule, words separated by single blanks. `liking` lets a person prefer some phrasings."""
    return " ".join(_expand(parse(rule), rng, slots, liking).split())


def _expand(alternatives: Alternatives, rng: np.random.Generator, slots: Mapping, liking: Liking | None) -> str:
    edges = liking(len(alternatives)) if liking else even(len(alternatives))
    pieces = alternatives[min(bisect(edges, rng.random()), len(alternatives) - 1)]
    return " ".join(_piece(piece, rng, slots, liking) for piece in pieces)


@cache
def even(count: int) -> list[float]:
    """Cumulative probabilities of `count` alternatives that are liked alike."""
    return [(i + 1) / count for i in range(count)]


@lru_cache(maxsize=4096)
def taste(seed: int, count: int) -> list[float]:
    """Cumulative probabilities, falling as 1/rank in a person's own order of the alternatives."""
    order = np.random.default_rng((seed, count)).permutation(count)
    return np.cumsum(1.0 / (1.5 + order) / np.sum(1.0 / (1.5 + order))).tolist()


def _piece(piece: str | Alternatives, rng: np.random.Generator, slots: Mapping, liking: Liking | None) -> str:
    if isinstance(piece, tuple):
        return _expand(piece, rng, slots, liking)
    if piece.startswith("<"):
        return _expand(parse(phrases.PARTS[piece[1:-1]]), rng, slots, liking)
    if piece.startswith("{"):
        return str(slots[piece[1:-1]])
    return piece


class Narrator:
    """A person's way of putting things. Every method returns a sentence."""

    def __init__(self, rng: np.random.Generator, taste_seed: int = 0) -> None:
        self.rng, self.taste_seed = rng, taste_seed

    def say(self, rule: str, **slots: object) -> str:
        """A sentence of a rule, phrased as this person likes it."""
        return expand(rule, self.rng, slots, lambda count: taste(self.taste_seed, count))

    def announce(self, kind: str, it: str = "", number: int = 0) -> str:
        """Before an errand: what will be done, and to what."""
        return self.say(phrases.ANNOUNCE[kind], it=it, n=phrases.NUMBERS[number])

    def during(self, kind: str) -> str:
        """While at an errand of this kind."""
        return self.say(phrases.DURING[family(kind, phrases.DURING)])

    def after(self, kind: str, number: int = 0, colour: str = "") -> str:
        """After an errand that worked."""
        return self.say(phrases.AFTER[family(kind, phrases.AFTER)], n=phrases.NUMBERS[number], colour=colour)

    def count(self, number: int) -> str:
        """After each of several."""
        return self.say(phrases.COUNT, n=phrases.NUMBERS[number])

    def sight(self, thing: str, colour: str = "") -> str:
        """About something in view."""
        return self.say(phrases.SIGHT[thing], colour=colour)


def family(kind: str, table: Mapping[str, str]) -> str:
    """The entry of a table that serves this kind of errand."""
    if kind in table:
        return kind
    return {"tower": "place", "orbit": "pillar"}.get(kind, "move")


def timing(text: str, start_ms: float, words_per_minute: float, rng: np.random.Generator) -> list[Word]:
    """A sentence's words, said at a steady rate: longer ones take longer. Strictly ordered, not overlapping."""
    words = text.split()
    weight = np.array([3.0 + min(len(word), 9) for word in words]) * rng.lognormal(0.0, 0.12, len(words))
    shares = np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum()
    edges = start_ms + shares * len(words) * 60_000 / words_per_minute
    starts = np.round(edges).astype(int)
    return [Word(word, int(a), int(b) - 15) for word, a, b in zip(words, starts[:-1], starts[1:], strict=True)]


class Voice(Protocol):
    """What says a sentence: without sound (TimedVoice) or with it (speech.py)."""

    def speak(self, text: str, start_ms: float) -> tuple[list[Word], float]:
        """The words with their times, and when the last one ends, ms."""


class TimedVoice:
    """A voice without sound: word times from the grammar's own rhythm."""

    def __init__(self, words_per_minute: float, rng: np.random.Generator) -> None:
        self.words_per_minute, self.rng = words_per_minute, rng

    def speak(self, text: str, start_ms: float) -> tuple[list[Word], float]:
        """The words with their times, and when the last one ends, ms."""
        rate = np.clip(self.rng.normal(self.words_per_minute, 6), SLOWEST_WPM + 2, FASTEST_WPM - 2)
        words = timing(text, start_ms, rate, self.rng)
        return words, words[-1].end_ms


class Mouth:
    """One person says one thing at a time."""

    def __init__(self, voice: Voice, rng: np.random.Generator) -> None:
        self.voice, self.rng = voice, rng
        self.words: list[Word] = []
        self.free_ms: float = 0  # from then on something can be said
        self.spoken: list[tuple[float, str]] = []  # (start_ms, sentence)

    def say(self, text: str, now_ms: float) -> float:
        """Say `text` as soon as the mouth is free, never before now_ms. Returns its onset in ms."""
        start_ms = max(now_ms, self.free_ms)
        words, end_ms = self.voice.speak(text, start_ms)
        self.words += words
        self.spoken.append((words[0].start_ms, text))
        self.free_ms = end_ms + int(self.rng.uniform(180, 650))
        return words[0].start_ms

    def busy(self, now_ms: float) -> bool:
        """Whether something is being said, or was just now."""
        return now_ms < self.free_ms

    def heard(self, until_ms: float) -> list[Word]:
        """The words that end by until_ms: a word cut by the end of the recording is not in it."""
        return [word for word in self.words if word.end_ms <= until_ms]


COLOURS = ("red", "blue", "yellow", "green", "white")
SIDES = ("on the left", "on the right", "behind me", "in front of me", "straight ahead", "over there")
LOOKS = ("to the left", "to the right", "behind me", "up", "down", "up at the sky", "down at the ground", "around",
         "over my left shoulder", "over my right shoulder")  # fmt: skip


def corpus(seed: int, words: int) -> str:
    """Plausible narration without a game, for pre-training a language model: one line an episode, at least `words`
    words."""
    rng = np.random.default_rng(seed)
    lines, total = [], 0
    while total < words:
        line = _imagined_episode(Narrator(rng, int(rng.integers(1 << 30))), rng)
        lines.append(line)
        total += len(line.split())
    return "\n".join(lines) + "\n"


def _imagined_episode(narrator: Narrator, rng: np.random.Generator) -> str:
    """The remarks of one episode, as one line."""
    said = [narrator.say(phrases.GREETING)] if rng.random() < 0.4 else []
    for _ in range(rng.integers(4, 9)):
        said += _imagined_errand(narrator, rng)
    return " ".join(said)


def _imagined_errand(narrator: Narrator, rng: np.random.Generator) -> list[str]:
    """The remarks that one errand gives rise to, in order."""
    kind = str(rng.choice(list(phrases.ANNOUNCE)))
    colour, number = str(rng.choice(COLOURS)), int(rng.integers(2, 7))
    said = [narrator.announce(kind, imagined_target(kind, colour, rng), number)]
    if rng.random() < 0.5:
        said.append(narrator.say(phrases.DURING["walk"]))
    if rng.random() < 0.25:
        said.append(narrator.say(str(rng.choice([phrases.OVERSHOT, phrases.WRONG, phrases.STUCK, phrases.WRONG_TOOL]))))
    if kind in ("chop", "sand", "dirt", "stone"):
        said += [narrator.count(i) for i in range(1, number + 1) if rng.random() < 0.3]
    if rng.random() < 0.4:
        said.append(narrator.during(kind))
    if rng.random() < 0.2:
        said.append(narrator.sight(str(rng.choice(list(phrases.SIGHT))), str(rng.choice(COLOURS))))
    if rng.random() < 0.85:
        said.append(narrator.after(kind, number, colour) if rng.random() < 0.9 else narrator.say(phrases.FAILED))
    if rng.random() < 0.35:
        said.append(narrator.say(phrases.DIGRESS))
    return said


def imagined_target(kind: str, colour: str, rng: np.random.Generator) -> str:
    """A target's name as ground.py would give it."""
    side = str(rng.choice(SIDES))
    if kind in ("pillar", "orbit"):
        return f"the {colour} pillar"
    if kind in ("side", "spin"):
        return str(rng.choice(["left", "right"]))
    if kind == "look":
        return str(rng.choice(LOOKS))
    if kind == "wander":
        return str(rng.choice(["to the left", "to the right", "forward", "back the other way"]))
    # drawn for every kind: what follows must not depend on whether it is needed, or old seeds would say other things
    flower = str(rng.choice(["rose", "tulip", "white dandelion", "yellow dandelion", "geranium", "viola"]))
    noun = {"chop": "tree", "flower": flower, "climb": "steps"}.get(kind, kind)
    return f"the {rng.choice(['', 'closest', 'nearest', 'far'])} {noun} {side if rng.random() < 0.6 else ''}"
