"""How well words and their times were found: word error and onset error, added up over any number of videos.

    scores = WordScores()
    scores.add(found, true)          # Words of one video
    str(scores)                      # "312 words: word error 2.9%, onsets off by 21 ms ..."

Word error is (substituted + left out + invented) / true words of the cheapest alignment, capitals, punctuation and
spelling aside ("5" is "five"); onset errors are those of the words that were found.
"""

import re
from collections.abc import Sequence

import numpy as np

from vlpt.data.words import Word

PLAIN = re.compile(r"[^a-z0-9']")
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
SPELT = {"colour": "color", "coloured": "colored", "grey": "gray", "ok": "okay", "alright": "all right",
         **{str(i): name for i, name in enumerate(NUMBERS)}}  # fmt: skip


class WordScores:
    """Counts, from which the scores follow."""

    def __init__(self) -> None:
        self.words = self.errors = 0
        self.onset_errors_ms: list[float] = []

    def add(self, found: Sequence[Word], true: Sequence[Word]) -> None:
        """One video's words."""
        found, true = spelt(found), spelt(true)
        pairs, errors = align([word.word for word in found], [word.word for word in true])
        self.words += len(true)
        self.errors += errors
        self.onset_errors_ms += [found[i].start_ms - true[j].start_ms for i, j in pairs]

    def numbers(self) -> dict[str, float]:
        """word_error: a share of the true words; onsets in ms, the median with its sign."""
        onsets = np.array(self.onset_errors_ms or [np.nan])
        return {"words": self.words, "word_error": self.errors / max(1, self.words),
                "onset_bias_ms": float(np.median(onsets)), "onset_median_ms": float(np.median(np.abs(onsets))),
                "onset_95_ms": float(np.percentile(np.abs(onsets), 95))}  # fmt: skip

    def __str__(self) -> str:
        n = self.numbers()
        return (f"{self.words} words: word error {n['word_error']:.1%}, onsets off by {n['onset_median_ms']:.0f} ms "
                f"(median; {n['onset_bias_ms']:+.0f} on the whole), 95 % within {n['onset_95_ms']:.0f} ms")


def plain(word: str) -> str:
    """Without capitals and punctuation."""
    return PLAIN.sub("", word.lower().replace("’", "'"))


def spelt(words: Sequence[Word]) -> list[Word]:
    """As they are compared: one spelling of each, what two writers write as one word or two as two."""
    made = []
    for word in words:
        parts = SPELT.get(plain(word.word), plain(word.word)).split() or [""]
        edges = [word.start_ms + (word.end_ms - word.start_ms) * i / len(parts) for i in range(len(parts) + 1)]
        made += [Word(part, *edges[i : i + 2]) for i, part in enumerate(parts)]
    return made


def align(found: Sequence[str], true: Sequence[str]) -> tuple[list[tuple[int, int]], int]:
    """The pairs (i, j) of equal words of a cheapest alignment, and its cost (Levenshtein 1966)."""
    columns = np.arange(len(true) + 1)
    cost = np.empty((len(found) + 1, len(true) + 1), dtype=np.int32)
    cost[0] = columns
    for i, word in enumerate(found, start=1):
        kept = cost[i - 1, :-1] + np.array([word != other for other in true], dtype=np.int32)
        row = np.append(i, np.minimum(kept, cost[i - 1, 1:] + 1))
        cost[i] = np.minimum.accumulate(row - columns) + columns  # then words left out, one after another
    pairs, i, j = [], len(found), len(true)
    while i and j:  # of alignments that cost the same, one that substitutes late: it finds more words
        if found[i - 1] == true[j - 1] and cost[i, j] == cost[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        elif cost[i, j] == cost[i, j - 1] + 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
    return pairs[::-1], int(cost[-1, -1])
