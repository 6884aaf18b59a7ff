"""Which sentences can a narrator say? The grammar of the scripted player as a file, and talk cut into its sentences.

In: a grammar file, as `python -m data_gathering.demonstrate --grammar-only --out grammar.json` writes it, and words
with times. Out: the rule that makes a sentence and what filled its slots:

    grammar = Grammar.read("data_gathering/samples/grammar.json")
    grammar.recognise("now the red pillar on the left")  ->  ("announce:pillar", {"it": "the red pillar on the left"})
    grammar.recognise("pillar the now red")              ->  None
    grammar.cut(words)                                   ->  [[Word, ...], ...]

Every rule is one regular expression, of sentences in which a blank stands before every word.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil
from pathlib import Path

from pydantic import TypeAdapter

from vlpt.data.words import Word, split_at_pauses
from vlpt.files import read_json
from vpt.errors import one_line

# How long a word takes at people's 170 words a minute, as narrators' words do: longer ones longer, up to nine letters.
LETTER_MS, LEAST_LETTERS, MOST_LETTERS = 50.0, 3, 9
# An agent speaks on ticks of 200 ms, and people leave 180 ms or more between two sentences: a gap of so long may be
# such a pause, a longer one is. Of the samples' sentences, put on ticks and cut so, 98 % are in the grammar, as before
# that; of what is cut out of the same words shuffled, 10 %.
MAY_BE_MS, SURELY_MS = 50.0, 450.0
LONGEST = 24  # words of a sentence: the grammar's longest has fewer


@dataclass(frozen=True)
class Recogniser:
    """Rules {name: what its sentences match}; of several that make a sentence the first counts."""

    rules: Mapping[str, re.Pattern[str]]

    def recognise(self, sentence: str) -> tuple[str, dict[str, str]] | None:
        """The first rule that makes a sentence, as "announce:chop", and what its slots hold; None if there is none."""
        return next(self.fits(sentence), None)

    def fits(self, sentence: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Every rule that makes a sentence, likewise."""
        text = "".join(f" {word}" for word in sentence.split())
        for name, pattern in self.rules.items() if text else ():
            if found := pattern.fullmatch(text):
                held = {group.rsplit("_", 1)[0]: value.strip() for group, value in found.groupdict().items() if value}
                yield name, held


@dataclass(frozen=True)
class Rules:
    """A grammar file."""

    rules: dict[str, str]  # {name: regular expression}
    kinds: tuple[str, ...]  # of errands
    whims: tuple[str, ...]  # tiny things done on the way
    colours: tuple[str, ...]  # of pillars
    things: tuple[str, ...]  # kinds of things in view that a sentence can be about
    flowers: dict[str, str]  # {name: colour}, as "yellow dandelion"
    turns: dict[str, dict[str, tuple[float, float]]]  # {kind of errand: {what `it` says: (pitch, yaw) degrees}}


@dataclass(frozen=True)
class Grammar:
    """What a grammar file says, ready to be asked."""

    file: Rules

    @classmethod
    def read(cls, path: Path | str) -> "Grammar":
        """Raises ValueError where the file is missing, or no grammar."""
        again = f"write it with python -m data_gathering.demonstrate --grammar-only --out {path}"
        if not Path(path).exists():
            raise ValueError(f"{path} is missing: {again}")
        try:
            found = cls(TypeAdapter(Rules).validate_python(read_json(path)))
            assert found.recogniser  # every rule compiles
        except (ValueError, re.error) as error:
            raise ValueError(f"{path} is no grammar ({one_line(error, 200)}): {again}") from error
        return found

    @cached_property
    def recogniser(self) -> Recogniser:
        """Its rules, compiled."""
        return Recogniser({name: re.compile(pattern) for name, pattern in self.file.rules.items()})

    @cached_property
    def recognise(self):
        """As `Recogniser.recognise`; talk repeats itself, and so it is remembered."""
        return lru_cache(maxsize=100_000)(self.recogniser.recognise)

    def cut(self, words: Sequence[Word]) -> list[list[Word]]:
        """Words in spoken order, whose ends are not trusted -> sentences. Cut wherever somebody surely pauses; where it
        may be one, so that the most words lie in sentences of the grammar, in as few of them as can be.
        """
        timed = [Word(word.word, word.start_ms, max(word.end_ms, word.start_ms + duration_ms(word.word)))
                 for word in words]  # fmt: skip
        found, begin = [], 0
        for run in split_at_pauses(timed, SURELY_MS, max(1, len(timed))):
            places = [0, *(i for i in range(1, len(run)) if run[i].start_ms - run[i - 1].end_ms >= MAY_BE_MS), len(run)]
            cuts = self._best([word.word for word in run], places)
            found += [list(words[begin + a : begin + b]) for a, b in zip(cuts, cuts[1:], strict=False)]
            begin += len(run)
        return found

    def _best(self, words: Sequence[str], places: Sequence[int]) -> list[int]:
        """Which of the places, first and last among them, to cut at."""
        best: dict[int, tuple[int, int, int]] = {0: (0, 0, 0)}  # {place: (words in the grammar, -sentences, before)}
        for number, end in enumerate(places[1:], start=1):
            starts = [start for start in places[:number] if end - start <= LONGEST] or [places[number - 1]]
            best[end] = max((best[start][0] + (end - start) * bool(self.recognise(" ".join(words[start:end]))),
                             best[start][1] - 1, start) for start in starts)  # fmt: skip
        cuts = [len(words)]
        while cuts[-1]:
            cuts.append(best[cuts[-1]][2])
        return cuts[::-1]


def duration_ms(word: str) -> float:
    """How long people take to say a word."""
    return LETTER_MS * (LEAST_LETTERS + min(len(word), MOST_LETTERS))


def on_ticks(words: Sequence[Word], tick_ms: float) -> list[Word]:
    """What people said as an agent would have said it: a word begins at the tick after its onset and takes one tick."""
    starts = (ceil(word.start_ms / tick_ms) * tick_ms for word in words)
    return [Word(word.word, start, start + tick_ms) for word, start in zip(words, starts, strict=True)]


def shuffled(words: Sequence[Word], random) -> list[Word]:
    """The same words at each other's times: what talk without order gives. random: a numpy Generator."""
    order = random.permutation(len(words))
    return [Word(words[i].word, word.start_ms, word.end_ms) for i, word in zip(order, words, strict=True)]
