"""What the player says, and when each word begins and ends.

In:  a kind of remark and the facts it needs. Out: plain lower-case text, and words with times in milliseconds.
`Narrator` makes the sentences (from the grammar in phrases.py), `Mouth` says them one after another,
`corpus` writes text without a game.
Run: python -m data_gathering.demonstrate --text-only 100000 --out text.txt
"""

import re
from bisect import bisect
from functools import cache, lru_cache

import numpy as np

from data_gathering.spoken import Word
from data_gathering.streamer import phrases

SLOWEST_WPM, FASTEST_WPM = 150, 200
TOKEN = re.compile(r"[\[\]|]|<\w+>|\{\w+\}|[^\[\]|<>{}]+")


@cache
def parse(rule):
    """A rule as a tuple of alternatives, each a tuple of pieces: text, `<rule>`, `{slot}`, or a nested tuple of
    alternatives."""
    stack = [[[]]]
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


def expand(rule, rng, slots, liking=None):
    """A random sentence of a rule, words separated by single blanks.

    liking: optional function (number of alternatives) -> their cumulative probabilities, so that a person can prefer
    some phrasings.
    """
    return " ".join(_expand(parse(rule), rng, slots, liking).split())


def _expand(alternatives, rng, slots, liking):
    edges = liking(len(alternatives)) if liking else even(len(alternatives))
    pieces = alternatives[min(bisect(edges, rng.random()), len(alternatives) - 1)]
    return " ".join(_piece(piece, rng, slots, liking) for piece in pieces)


@cache
def even(count):
    """Cumulative probabilities of `count` alternatives that are liked alike."""
    return [(i + 1) / count for i in range(count)]


@lru_cache(maxsize=4096)
def taste(seed, count):
    """Cumulative probabilities, falling as 1/rank in a person's own order of the alternatives."""
    order = np.random.default_rng((seed, count)).permutation(count)
    return np.cumsum(1.0 / (1.5 + order) / np.sum(1.0 / (1.5 + order))).tolist()


def _piece(piece, rng, slots, liking):
    if isinstance(piece, tuple):
        return _expand(piece, rng, slots, liking)
    if piece.startswith("<"):
        return _expand(parse(phrases.PARTS[piece[1:-1]]), rng, slots, liking)
    if piece.startswith("{"):
        return str(slots[piece[1:-1]])
    return piece


class Narrator:
    """A person's way of putting things. Every method returns a sentence."""

    def __init__(self, rng, taste_seed=0):
        self.rng, self.taste_seed = rng, taste_seed

    def say(self, rule, **slots):
        return expand(rule, self.rng, slots, lambda count: taste(self.taste_seed, count))

    def announce(self, kind, it="", number=0):
        return self.say(phrases.ANNOUNCE[kind], it=it, n=phrases.NUMBERS[number])

    def during(self, kind):
        return self.say(phrases.DURING[family(kind, phrases.DURING)])

    def after(self, kind, number=0, colour=""):
        return self.say(phrases.AFTER[family(kind, phrases.AFTER)], n=phrases.NUMBERS[number], colour=colour)

    def count(self, number):
        return self.say(phrases.COUNT, n=phrases.NUMBERS[number])

    def sight(self, thing, colour=""):
        return self.say(phrases.SIGHT[thing], colour=colour)


def family(kind, table):
    """The entry of a table that serves this kind of errand."""
    if kind in table:
        return kind
    return {"tower": "place", "orbit": "pillar"}.get(kind, "move")


def timing(text, start_ms, words_per_minute, rng):
    """Times for a sentence said at a steady rate: longer words take longer. Returns list[Word], strictly ordered, not
    overlapping."""
    words = text.split()
    weight = np.array([3.0 + min(len(word), 9) for word in words]) * rng.lognormal(0.0, 0.12, len(words))
    edges = (
        start_ms + np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum() * len(words) * 60_000 / words_per_minute
    )
    starts = np.round(edges).astype(int)
    return [Word(word, int(a), int(b) - 15) for word, a, b in zip(words, starts[:-1], starts[1:], strict=True)]


class TimedVoice:
    """A voice without sound: word times from the grammar's own rhythm."""

    def __init__(self, words_per_minute, rng):
        self.words_per_minute, self.rng = words_per_minute, rng

    def speak(self, text, start_ms):
        """Returns (list[Word], end_ms)."""
        rate = np.clip(self.rng.normal(self.words_per_minute, 6), SLOWEST_WPM + 2, FASTEST_WPM - 2)
        words = timing(text, start_ms, rate, self.rng)
        return words, words[-1].end_ms


class Mouth:
    """One person says one thing at a time."""

    def __init__(self, voice, rng):
        self.voice, self.rng = voice, rng
        self.words, self.free_ms = [], 0
        self.spoken = []  # (start_ms, sentence)

    def say(self, text, now_ms):
        """Say `text` as soon as the mouth is free, never before now_ms. Returns its onset in ms."""
        start_ms = max(now_ms, self.free_ms)
        words, end_ms = self.voice.speak(text, start_ms)
        self.words += words
        self.spoken.append((words[0].start_ms, text))
        self.free_ms = end_ms + int(self.rng.uniform(180, 650))
        return words[0].start_ms

    def busy(self, now_ms):
        return now_ms < self.free_ms

    def heard(self, until_ms):
        """The words that end by until_ms: a word cut by the end of the recording is not in it."""
        return [word for word in self.words if word.end_ms <= until_ms]


COLOURS = ("red", "blue", "yellow", "green", "white")
SIDES = ("on the left", "on the right", "behind me", "in front of me", "straight ahead", "over there")
LOOKS = (
    "to the left",
    "to the right",
    "behind me",
    "up",
    "down",
    "up at the sky",
    "down at the ground",
    "around",
    "over my left shoulder",
    "over my right shoulder",
)


def corpus(seed, words):
    """Plausible narration without a game, for pre-training a language model: one line an episode, at least `words`
    words."""
    rng = np.random.default_rng(seed)
    lines, total = [], 0
    while total < words:
        line = _imagined_episode(Narrator(rng, int(rng.integers(1 << 30))), rng)
        lines.append(line)
        total += len(line.split())
    return "\n".join(lines) + "\n"


def _imagined_episode(narrator, rng):
    said = [narrator.say(phrases.GREETING)] if rng.random() < 0.4 else []
    for _ in range(rng.integers(4, 9)):
        said += _imagined_errand(narrator, rng)
    return " ".join(said)


def _imagined_errand(narrator, rng):
    """The remarks that one errand gives rise to, in order."""
    kind = str(rng.choice(list(phrases.ANNOUNCE)))
    colour, number = str(rng.choice(COLOURS)), int(rng.integers(2, 7))
    said = [narrator.announce(kind, imagined_target(kind, colour, rng), number)]
    if rng.random() < 0.5:
        said.append(narrator.say(phrases.DURING["walk"]))
    if rng.random() < 0.25:
        said.append(narrator.say(str(rng.choice([phrases.OVERSHOT, phrases.WRONG, phrases.STUCK, phrases.WRONG_TOOL]))))
    said += [
        narrator.count(i)
        for i in range(1, number + 1)
        if kind in ("chop", "sand", "dirt", "stone") and rng.random() < 0.3
    ]
    if rng.random() < 0.4:
        said.append(narrator.during(kind))
    if rng.random() < 0.2:
        said.append(narrator.sight(str(rng.choice(list(phrases.SIGHT))), str(rng.choice(COLOURS))))
    if rng.random() < 0.85:
        said.append(narrator.after(kind, number, colour) if rng.random() < 0.9 else narrator.say(phrases.FAILED))
    if rng.random() < 0.35:
        said.append(narrator.say(phrases.DIGRESS))
    return said


def imagined_target(kind, colour, rng):
    """A target's name as data_gathering/targets.py would give it."""
    side = str(rng.choice(SIDES))
    if kind in ("pillar", "orbit"):
        return f"the {colour} pillar"
    if kind in ("side", "spin"):
        return str(rng.choice(["left", "right"]))
    if kind == "look":
        return str(rng.choice(LOOKS))
    if kind == "wander":
        return str(rng.choice(["to the left", "to the right", "forward", "back the other way"]))
    noun = {
        "chop": "tree",
        "flower": str(rng.choice(["rose", "tulip", "white dandelion", "yellow dandelion", "geranium", "viola"])),
        "climb": "steps",
    }.get(kind, kind)
    return f"the {rng.choice(['', 'closest', 'nearest', 'far'])} {noun} {side if rng.random() < 0.6 else ''}"
