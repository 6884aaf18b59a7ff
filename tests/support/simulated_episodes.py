"""Episodes without files: what is pressed follows from an episode's number, what is seen is the frame's own number."""

from pathlib import Path

import numpy as np

from vlpt.data.shards import Episode
from vpt.actions import BUTTONS, MINECRAFT


def simulated(number: int, frames: int, words=()) -> Episode:
    """An episode of so many frames, whose truth is known."""
    random = np.random.default_rng(number)
    buttons = (random.random((frames, len(BUTTONS))) < 0.1).astype(np.uint8)
    camera_deg = np.zeros((frames, 2), np.float32)
    index = MINECRAFT.encode(buttons, camera_deg)
    return Episode(f"ch{number % 9}-{number:05d}", f"ch{number % 9}", Path("none.mp4"), list(words), *index,
                   np.zeros(frames, bool), np.ones(frames, np.float32), buttons, camera_deg)


def numbered(episode: Episode, start: int, stop: int) -> np.ndarray:
    """In the place of pictures: (stop - start, 2) float32, the number of the episode and of the frame."""
    rows = np.empty((stop - start, 2), np.float32)
    rows[:, 0], rows[:, 1] = int(episode.id.rpartition("-")[2]), np.arange(start, stop)
    return rows
