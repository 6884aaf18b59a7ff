"""Which words name things: those that the picture tells at the place where a walk will end.

In: chunks of recorded play, each frame with where its walk leads (vlpt/data/destination.py), and their patches. Out:
the tokens of which a ridge regression from the patches of that column tells, on channels that it was not made from,
whether they were said in the last seconds; the surest first. On the scripted player's play these are pillar, red, blue,
yellow, steps, dirt, sand …: nobody says which words are nouns.

    names = things_named(rows(chunks, encode, vocabulary, channels))

Legend: B lanes, T frames, N rows, W numbers of a column's patches, V tokens.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from vlpt.data.chunk import Chunk
from vlpt.data.destination import COLUMNS
from vlpt.target import SAID_FRAMES, by_column

OFTEN = 30  # a token is looked at if so many rows have it
RIDGE = 0.5  # of the number of rows
FOLDS = 5
SURE = 0.01  # chance that a word without a picture passes, of one side


class Rows(NamedTuple):
    """What was seen where a walk will end, and what was said before."""

    columns: Tensor  # (N, W) float32: the patches of the column, from top to bottom
    said: Tensor  # (N, V) bool
    unit: np.ndarray  # (N,) the channel, or the episode where there are few channels

    @property
    def mean_and_scale(self) -> tuple[Tensor, Tensor]:
        """(C,) twice: of a patch, so that it has mean 0 and size 1."""
        patches = self.columns.unflatten(1, (COLUMNS, -1)).flatten(0, 1)
        return patches.mean(0), 1 / (patches.std(0) + 1e-3)


def rows(
    chunks: Iterable[Chunk], patches_of: Callable[[Chunk], Tensor], vocabulary: int, units: Sequence[str],
    frames_per_tick: int,
) -> Rows:
    """One a tick at which the destination is in the middle of the view. patches_of: of a chunk, (B, T, P, C);
    vocabulary V, also the id of silence; units: of each episode, by its number.
    """
    columns, said, unit, last = [], [], [], None
    for chunk in chunks:
        last = np.full((len(chunk.first), vocabulary + 1), -np.inf) if last is None else last
        patches = by_column(patches_of(chunk))  # (B, T, columns, W)
        for t in range(chunk.first.shape[1]):
            last[chunk.first[:, t].numpy()] = -np.inf
            lanes = np.flatnonzero((chunk.frame[:, t] % frames_per_tick == 0) & (chunk.episode[:, t] >= 0))
            last[lanes, chunk.heard[lanes, t]] = chunk.frame[lanes, t]
            place = chunk.destination[lanes, t].numpy()
            lanes = lanes[(place == COLUMNS // 2) | (place == COLUMNS // 2 + 1)]
            columns.append(patches[lanes, t, chunk.destination[lanes, t] - 1])
            since = chunk.frame[lanes, t].numpy()[:, None] - last[lanes, :vocabulary]
            said.append(torch.from_numpy(since < SAID_FRAMES))
            unit += [units[episode] for episode in chunk.episode[lanes, t].tolist()]
    return Rows(torch.cat(columns), torch.cat(said), np.array(unit))


def things_named(seen: Rows, most: int) -> list[int]:
    """At most so many tokens; none where fewer than FOLDS units were seen."""
    units, of = np.unique(seen.unit, return_inverse=True)
    often = torch.nonzero(seen.said.sum(0) >= OFTEN).flatten()
    if len(units) < FOLDS or not len(often):
        return []
    mean, scale = seen.mean_and_scale
    x = ((seen.columns.unflatten(1, (COLUMNS, -1)) - mean) * scale).flatten(1).double()
    x, y = torch.cat([x, torch.ones(len(x), 1)], 1), seen.said[:, often].double()
    gain = torch.empty_like(y)  # in squared error, over saying how often each word is said
    for fold in range(FOLDS):
        held_out = torch.from_numpy(of % FOLDS == fold)
        known, words = x[~held_out], y[~held_out]
        ridge = RIDGE * len(known) * torch.eye(x.shape[1], dtype=x.dtype)
        found = x[held_out] @ torch.linalg.solve(known.T @ known + ridge, known.T @ words)
        gain[held_out] = (y[held_out] - words.mean(0)) ** 2 - (y[held_out] - found) ** 2
    of_unit = np.stack([gain[torch.from_numpy(of == unit)].mean(0).numpy() for unit in range(len(units))])
    test = stats.ttest_1samp(of_unit, 0, alternative="greater")
    surest = np.argsort(test.pvalue)
    return [int(often[i]) for i in surest[:most] if test.pvalue[i] < SURE]
