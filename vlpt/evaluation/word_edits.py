"""Other words in an episode's place, one thing about them changed: when they are said, what they name, or all but when.

In: an episode's words, a random generator. Out: words. For vlpt/evaluation/interventions.py.

    moved(words, 500.0, n_frames)                          # said half a second later
    renamed(words, other_names(THINGS, random))            # "the red tree" -> "the red pillar"
    Strangers(said, tokenizer).replace(words, random)      # only the timing kept

The lists hold the words of the play that this project records, in the forms in which they are said.
"""

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from vlpt.data.words import Word, tokenise
from vpt.frames import FRAME_MS

# Nouns of the world's things. One takes the place of another of its line, so that the sentence stays one.
THINGS = (
    ("tree", "pillar", "flower", "rose", "tulip", "dandelion", "geranium", "viola", "tower", "wall"),
    ("sand", "dirt", "stone", "grass", "wood"),
    ("steps", "blocks", "trees", "pillars", "logs", "leaves"),
)
COLOURS = (("red", "blue", "yellow", "green", "white"),)  # of the pillars: each may be true elsewhere
DIRECTIONS = (("left", "right"), ("up", "down"), ("forward", "backwards"))


def moved(words: Sequence[Word], by_ms: float, n_frames: int) -> list[Word]:
    """All words said so much later (or, below 0, earlier); those that would begin outside the n_frames are gone."""
    later = (replace(word, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms) for word in words)
    return [word for word in later if 0 <= word.start_ms < n_frames * FRAME_MS]


def other_names(lists: Iterable[Sequence[str]], random: np.random.Generator) -> dict[str, str]:
    """{name: another one of its list}, each being the other of exactly one."""
    found = {}
    for names in lists:
        order = [names[i] for i in random.permutation(len(names))]  # one cycle through all of them
        found |= dict(zip(order, [*order[1:], order[0]], strict=True))
    return found


def renamed(words: Sequence[Word], names: Mapping[str, str]) -> list[Word]:
    """Each word that is a name, whatever its case and punctuation, replaced by what the name becomes."""
    return [replace(word, word=_renamed(word.word, names)) for word in words]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    core = text.strip(string.punctuation + string.whitespace)
    name = names.get(core.lower())
    if name is None:
        return text
    return text.replace(core, name.capitalize() if core[0].isupper() else name, 1)


class Strangers:
    """Words drawn as often as they are said, each for one of as many tokens, so that the ticks stay taken as they are.

    said: words to draw from. Where none has as many tokens, the word stays.
    """

    def __init__(self, said: Sequence[str], tokenizer: Tokenizer) -> None:
        self.tokenizer, by_length = tokenizer, {}
        count = Counter(said)
        for word, length in zip(count, self._lengths(list(count)), strict=True):
            by_length.setdefault(length, []).append(word)
        self.draws = {length: (names, _chances(names, count)) for length, names in by_length.items()}

    def replace(self, words: Sequence[Word], random: np.random.Generator) -> list[Word]:
        """Every word another one, at the same time."""
        lengths = self._lengths([word.word for word in words])
        return [self._drawn(word, length, random) for word, length in zip(words, lengths, strict=True)]

    def _drawn(self, word: Word, length: int, random: np.random.Generator) -> Word:
        if length not in self.draws:
            return word
        names, chances = self.draws[length]
        return replace(word, word=str(random.choice(names, p=chances)))

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each of them is, said after another word."""
        owner = tokenise([Word(text, 0.0, 0.0) for text in texts], self.tokenizer).word
        return np.bincount(owner, minlength=len(texts)).tolist()


def _chances(names: Sequence[str], count: Mapping[str, int]) -> np.ndarray:
    each = np.array([count[name] for name in names], float)
    return each / each.sum()
