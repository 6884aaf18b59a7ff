"""A trigram model: how predictable is a text, by another text? For judging talk; nothing is trained on it.

In: texts, each a sequence of words (or of tokens). Out: nats, -log P of each word of a text.

    nats = Trigrams([["chop", "the", "tree"], ...]).nats(["chop", "a", "tree"])
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np


class Trigrams:
    """P(word | the two before), Witten-Bell interpolated down to a uniform distribution over known words and one more.

    kinds: how many words there are, where that is known (the size of a vocabulary): the uniform distribution is over
    these. Source: Witten & Bell 1991, as in Chen & Goodman 1999, section 2.
    """

    def __init__(self, texts: Iterable[Sequence[Hashable]], kinds: int | None = None) -> None:
        self.followers: dict[tuple, Counter] = {}
        for text in texts:
            padded = ["<s>", "<s>", *text]
            for i in range(2, len(padded)):
                for order in range(3):
                    context = tuple(padded[i - order : i])
                    self.followers.setdefault(context, Counter())[padded[i]] += 1
        self.totals = {context: seen.total() for context, seen in self.followers.items()}
        self.known = kinds or len(self.followers.get((), ())) + 1

    def nats(self, text: Sequence[Hashable]) -> np.ndarray:
        """-log P of each word."""
        padded = ["<s>", "<s>", *text]
        return np.array([-math.log(self._chance(padded[i], tuple(padded[i - 2 : i]))) for i in range(2, len(padded))])

    def _chance(self, word: Hashable, context: tuple) -> float:
        lower = self._chance(word, context[1:]) if context else 1 / self.known
        seen = self.followers.get(context)
        if not seen:
            return lower
        return (seen[word] + len(seen) * lower) / (self.totals[context] + len(seen))
