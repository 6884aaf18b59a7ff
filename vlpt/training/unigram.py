"""Unigram baselines of recorded play: labels counted on some chunks, their losses on others, under the same masks.

In: chunks, as vlpt.data.lanes gives them (no picture need be read: `blank_frames`). Out: a `Unigram`; its losses.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from vlpt.data.lanes import Chunk
from vlpt.data.shards import Episode
from vlpt.training.losses import Counts, LossTotals, Unigram

COUNTED_FRAMES = 2_000_000  # 28 hours: 1,000 would take minutes to count, at every start, and tell no more


def enough(episodes: Sequence[Episode], most_frames: int = COUNTED_FRAMES) -> Sequence[Episode]:
    """Episodes to count labels on: all, or where these have many more frames than that, every second, third, ..."""
    frames = sum(episode.n_frames for episode in episodes)
    return episodes[:: -(-frames // most_frames) or 1]


def count_labels(chunks: Iterable[Chunk], vocabulary: int) -> Unigram:
    """How often each label counts in these chunks; vocabulary: V, the id of silence."""
    counts = Counts.zero(vocabulary)
    for chunk in chunks:
        counts = counts.plus_actions(chunk.buttons_index, chunk.camera_index, chunk.action_mask)
        counts = counts.plus_words(chunk.spoken, chunk.language_mask)
    return Unigram.of(counts)


def unigram_losses(unigram: Unigram, chunks: Iterable[Chunk], words: bool) -> dict[str, float]:
    """{loss: nats apiece}; words: whether the chunks hold any."""
    totals = LossTotals()
    for chunk in chunks:
        totals.add(unigram.action_loss(chunk.buttons_index, chunk.camera_index, chunk.action_mask, chunk.null))
        if words:
            totals.add(unigram.language_loss(chunk.spoken, chunk.language_mask))
    return totals.means()


def blank_frames(episode: Episode, start: int, stop: int) -> np.ndarray:
    """Pictures that show nothing, for counting labels: (stop - start, 1) float32."""
    return np.zeros((stop - start, 1), np.float32)
