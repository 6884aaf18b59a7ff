"""What the player says, and when each word begins and ends.

In:  a kind of remark and the facts it needs. Out: plain lower-case text, and words with times in milliseconds.
`Narrator` makes the sentences (from the grammar in phrases.py), `Mouth` says them one after another. Which sentences
there can be: grammar.py. Text without a game: imagined.py.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Protocol, Union

import numpy as np

from data_gathering.streamer import phrases
from data_gathering.streamer.ground import flower_name
from vlpt.data.words import Word

Alternatives = tuple[tuple[Union[str, "Alternatives"], ...], ...]  # of a rule; see `parse`
Liking = Callable[[int], Sequence[float]]  # number of alternatives -> their cumulative probabilities
SLOWEST_WPM, FASTEST_WPM = 150, 200
TOKEN = re.compile(r"[\[\]|]|<\w+>|\{\w+\??\}|[^\[\]|<>{}]+")


@cache
def parse(rule: str) -> Alternatives:
    """A rule as a tuple of alternatives, each a tuple of pieces: text, `<rule>`, `{slot}`, `{slot?}`, or a nested tuple
    of alternatives."""
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
    """A random sentence of a rule, words separated by single blanks. `liking` lets a person prefer some phrasings.

    An alternative that names an empty slot is passed over, unless as `{slot?}`. Raises ValueError when none is left.
    """
    if not any(sayable(pieces, slots) for pieces in parse(rule)):
        raise ValueError(f"nothing of {rule!r} can be said with {dict(slots)}: fill the slots that it names")
    return " ".join(_expand(parse(rule), rng, slots, liking).split())


def sayable(piece: str | tuple, slots: Mapping[str, object]) -> bool:
    """Whether an alternative (a tuple of pieces), or one of its pieces, names no slot that is empty."""
    if isinstance(piece, str):
        return not piece.startswith("{") or piece.endswith("?}") or slots[piece[1:-1]] != ""
    return all(
        any(sayable(inner, slots) for inner in part) if isinstance(part, tuple) else sayable(part, slots)
        for part in piece
    )


def _expand(alternatives: Alternatives, rng: np.random.Generator, slots: Mapping, liking: Liking | None) -> str:
    alternatives = [pieces for pieces in alternatives if sayable(pieces, slots)]
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
        return str(slots[piece[1:-1].rstrip("?")])
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
        return self.say(phrases.ANNOUNCE[kind], it=it, n=spelled(number))

    def plan(self, kind: str, it: str = "", number: int = 0) -> str:
        """During the errand before: what comes after it."""
        return self.say(phrases.PLAN[kind], it=it, n=spelled(number))

    def request(self, kind: str, it: str = "", number: int = 0) -> str:
        """What another person asks of the player: "to my left" becomes "to your left"."""
        return self.say(phrases.REQUEST[kind], it=addressed(it), n=spelled(number))

    def answer(self) -> str:
        """The player's reply to a request."""
        return self.say(phrases.ANSWER)

    def report(self, done: bool) -> str:
        """What the player says to the other when the request was carried out, or could not be."""
        return self.say(phrases.REPORT["done" if done else "failed"])

    def whim(self, kind: str) -> str:
        """A tiny thing that is done right after these few words."""
        return self.say(phrases.WHIM[kind])

    def during(self, kind: str) -> str:
        """While at an errand of this kind."""
        return self.say(phrases.DURING[kind])

    def after(self, kind: str, number: int = 0, colour: str = "", it: str = "") -> str:
        """After an errand that worked. colour: of a pillar, or the name of a flower."""
        slots = {"colour": colour, "flower": self.flower(colour)}
        return self.say(phrases.AFTER[kind], n=spelled(number), it=it, **slots)

    def count(self, number: int) -> str:
        """After each of several."""
        return self.say(phrases.COUNT, n=phrases.NUMBERS[number])

    def sight(self, thing: str, colour: str = "", where: str = "", number: int = 0) -> str:
        """About something in view: of which colour or, for flowers, of which name; on which side; how many."""
        slots = {"colour": colour, "flower": self.flower(colour)}
        return self.say(phrases.SIGHT[thing], where=where, n=spelled(number) if number > 1 else "", **slots)

    def counted(self, thing: str, number: int, where: str = "") -> str:
        """How many of a thing are in view, none among them."""
        slots = {"none": "no" if number == 0 else "", "one": "one" if number == 1 else "", "where": where}
        return self.say(phrases.COUNTED[thing], n=spelled(number) if number > 1 else "", **slots)

    def flower(self, colour: str) -> str:
        """What to call a flower of this name or colour: "yellow dandelion", "yellow flower", "flower"."""
        name = flower_name(colour)
        if name not in phrases.FLOWERS:
            return f"{name} flower".strip()
        plain = phrases.FLOWERS[name]
        return f"{plain} flower" if plain and self.rng.random() < 0.4 else name


def spelled(number: int) -> str:
    """A number in words; nothing for none, for then it has not been said how many."""
    return "" if number == 0 else phrases.NUMBERS[number] if number < len(phrases.NUMBERS) else "many"


def addressed(it: str) -> str:
    """A name as another person says it to the player: "behind me" becomes "behind you"."""
    return " ".join({"me": "you", "my": "your"}.get(word, word) for word in it.split())


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
    """One thing is said at a time, by the person whose mouth it is or by somebody who stands by."""

    def __init__(self, voice: Voice, rng: np.random.Generator) -> None:
        self.voice, self.rng = voice, rng
        self.words: list[Word] = []
        self.free_ms: float = 0  # from then on something can be said
        self.spoken: list[tuple[float, str]] = []  # (start_ms, sentence)
        self.foreign: set[float] = set()  # start_ms of the sentences that somebody else said

    def say(self, text: str, now_ms: float, voice: Voice | None = None) -> float:
        """Say `text` as soon as nobody speaks, never before now_ms. voice: somebody else's. Returns its onset in ms."""
        start_ms = max(now_ms, self.free_ms)
        words, end_ms = (voice or self.voice).speak(text, start_ms)
        if voice is not None:
            self.foreign.add(words[0].start_ms)
        self.words += words
        self.spoken.append((words[0].start_ms, text))
        self.free_ms = end_ms + int(self.rng.uniform(180, 650))
        return words[0].start_ms

    @property
    def ended_ms(self) -> float:
        """When the last word that was begun ends; something must have been said."""
        return self.words[-1].end_ms

    def busy(self, now_ms: float) -> bool:
        """Whether something is being said, or was just now."""
        return now_ms < self.free_ms

    def heard(self, until_ms: float) -> list[Word]:
        """The words that end by until_ms: a word cut by the end of the recording is not in it."""
        return [word for word in self.words if word.end_ms <= until_ms]
