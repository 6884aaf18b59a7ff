"""All pictures of some episodes decoded once, in one tensor on any device: a GPU would otherwise wait for decoding.

In: `Shards`, episodes. Out: the pictures of an episode by number, as a view without a copy. 49 KB a frame, 3.5 GB an
hour; decoded by as many processes as there are processors, about 3,000 frames a second each.

    resident = DecodedFrames(shards, episodes, "cuda")
    frames = resident.read_frames(episode, 0, 128)        # (128, 128, 128, 3) uint8
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, multiprocessing

from vlpt.data.shards import Episode, Shards
from vpt.frames import AGENT_SIZE

CACHE_MB = 100  # decoded groups of pictures that a process keeps


class DecodedFrames:
    """Raises ValueError naming a file that cannot be decoded."""

    def __init__(self, shards: Shards, episodes: Sequence[Episode], device: str | torch.device = "cpu",
                 processes: int | None = None) -> None:
        ends = np.cumsum([episode.n_frames for episode in episodes]).tolist()
        self.start = dict(zip((episode.id for episode in episodes), [0, *ends[:-1]], strict=True))
        pictures = torch.empty(ends[-1], AGENT_SIZE, AGENT_SIZE, 3, dtype=torch.uint8).share_memory_()
        processes = min(processes or len(os.sched_getaffinity(0)), len(episodes))
        shares = [(shards.place, list(self.start.items())[i::processes], pictures) for i in range(processes)]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.starmap(_decode, shares)
        self.pictures = pictures.to(device)

    def read_frames(self, episode: Episode, start: int, stop: int) -> Tensor:
        """Pictures start..stop-1 of an episode -> (stop - start, 128, 128, 3) uint8, a view."""
        first = self.start[episode.id]
        return self.pictures[first + start: first + stop]


def _decode(folder, places: list[tuple[str, int]], pictures: Tensor) -> None:
    """Fill in the episodes whose ids and first rows are given."""
    shards = Shards(folder, CACHE_MB)
    episodes = {episode.id: episode for episode in shards.episodes}
    for id_, first in places:
        pictures[first: first + episodes[id_].n_frames] = torch.from_numpy(shards.read_frames(episodes[id_]))
