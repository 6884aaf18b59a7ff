"""How talk runs: the longest silence in it, words a second here and there, and how predictable it is.

In: a transcript's words in order. Out: the numbers by which LiveCC (arXiv 2504.16030) kept clips of public video: gaps
of at most 3 s, 1 to 4 words a second, a text loss of 1.5 to 5 nats a token.

    measure_pace(words)                                  # {"longest_gap_s": 2.4, "words_a_second": {...}}
    TextLoss("pretrained/words/tokenizer.json").nats_a_token(words)

LiveCC's loss is a published language model's. Ours is a trigram model's of the sample's talk (data_gathering/samples):
gathering programs run without weights, and talk that nobody trained on is a neutral measure. Its nats are higher and
tell less: look at the numbers of your own videos before you set a bound.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from vlpt.data.trigrams import Trigrams
from vlpt.data.words import Word, load_tokenizer, read_words, tokenise, vocabulary

LOCAL_S = 5.0  # words a second are those of so many seconds, wherever they begin
SAMPLES = Path(__file__).parents[1] / "samples"


def measure_pace(words: Sequence[Word]) -> dict:
    """longest_gap_s; words_a_second: the median over words of what is said from them on, and the most anywhere."""
    rates = words_a_second(words)
    found = {"median": np.median(rates), "most": rates.max()} if len(rates) else {"median": 0, "most": 0}
    rounded = {name: round(float(rate), 3) for name, rate in found.items()}
    return {"longest_gap_s": round(longest_gap_s(words), 3), "words_a_second": rounded}


def longest_gap_s(words: Sequence[Word]) -> float:
    """The longest silence between two words, in seconds; 0 where there are not two."""
    starts, ends = (np.array([getattr(word, name) for word in words]) for name in ("start_ms", "end_ms"))
    gaps_ms = starts[1:] - np.maximum.accumulate(ends)[:-1]
    return float(max(0.0, gaps_ms.max(initial=0.0))) / 1000


def words_a_second(words: Sequence[Word]) -> np.ndarray:
    """(n,): of each word, how many begin in the five seconds from its start on, a second."""
    starts = np.sort([word.start_ms for word in words])
    after = np.searchsorted(starts, starts + 1000 * LOCAL_S, side="left")
    return (after - np.arange(len(starts))) / LOCAL_S


class TextLoss:
    """How predictable words are, by trigrams of a tokenizer's tokens in the sample's transcripts.

    Raises ValueError naming a tokenizer that is missing or broken.
    """

    def __init__(self, tokenizer: Path | str) -> None:
        self.tokenizer = load_tokenizer(tokenizer)
        self.texts = {path.name.removesuffix(".words.jsonl"): self._tokens(read_words(path))
                      for path in sorted(SAMPLES.glob("*.words.jsonl"))}  # fmt: skip
        self.models: dict[str, Trigrams] = {}

    def nats_a_token(self, words: Sequence[Word], id_: str = "") -> float | None:
        """The mean over a transcript; None where nothing is said. One of the sample is judged by the others."""
        tokens, without = self._tokens(words), id_ if id_ in self.texts else ""
        if without not in self.models:
            texts = [text for name, text in self.texts.items() if name != without]
            self.models[without] = Trigrams(texts, vocabulary(self.tokenizer))
        return round(float(self.models[without].nats(tokens).mean()), 3) if tokens else None

    def _tokens(self, words: Sequence[Word]) -> list[int]:
        return tokenise(words, self.tokenizer).tokens.tolist()


@cache
def text_loss(tokenizer: str) -> TextLoss:
    """Made once for each tokenizer."""
    return TextLoss(tokenizer)
