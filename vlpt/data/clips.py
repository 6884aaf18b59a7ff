"""Random clips with what was truly pressed, to train an inverse dynamics model on.

In: `Shards`, episodes whose truth is known. Out: `Clip`s, endlessly; the position is one number.

    for clip in Clips(shards, episodes, n_clips=8): ...
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vlpt.data.shards import Episode, Shards
from vpt.actions import MINECRAFT

CHECKED = 200  # episodes whose truth is looked for at the start: of more it is when a clip of them is drawn


@dataclass(frozen=True)
class Clip:
    """B clips of T frames, each from one episode."""

    frames: torch.Tensor  # (B, T, 128, 128, 3) uint8 RGB
    buttons: torch.Tensor  # (B, T, 20) int64 0/1
    camera_shares: torch.Tensor  # (B, T, 2, 11) float32 pitch, yaw: each angle shared between the two nearest bins
    episode: torch.Tensor  # (B,) int64
    start: torch.Tensor  # (B,) int64, first frame


class Clips:
    """Every window of `frames_per_clip` frames is equally likely. Episodes shorter than that are in `left_out`.

    Raises ValueError when an episode's truth is unknown (of many episodes only when a clip of it is drawn) or all are
    too short.
    """

    def __init__(self, shards: Shards, episodes: Sequence[Episode], *, n_clips: int, frames_per_clip: int = 128,
                 seed: int = 0, read_frames: Callable | None = None, rank: int = 0, world_size: int = 1):
        """read_frames: (episode, start, stop) -> (stop - start, 128, 128, 3) uint8, the shards' own when None.
        rank, world_size: which of how many processes this is: each has other clips, together those of one process with
        as many."""
        _check_known(episodes[:: -(-len(episodes) // CHECKED) or 1])
        self.left_out = [episode.id for episode in episodes if episode.n_frames < frames_per_clip]
        self.episodes = [episode for episode in episodes if episode.n_frames >= frames_per_clip]
        if not self.episodes:
            raise ValueError(f"no episode has {frames_per_clip} frames: use shorter clips or longer recordings")
        self.read_frames = read_frames or shards.read_frames
        self.n_clips, self.frames_per_clip = n_clips, frames_per_clip
        self.seed, self.step, self.rank, self.world_size = seed, 0, rank, world_size
        self.ends = np.cumsum([episode.n_frames - frames_per_clip + 1 for episode in self.episodes])

    def __iter__(self):
        return self

    def __next__(self) -> Clip:
        random = np.random.default_rng((self.seed, self.step))
        of_all = random.integers(0, self.ends[-1], self.n_clips * self.world_size)
        windows = of_all[self.rank * self.n_clips: (self.rank + 1) * self.n_clips]
        self.step += 1
        index = np.searchsorted(self.ends, windows, side="right")
        start = windows - np.append(0, self.ends)[index]
        made = [self._clip(self.episodes[i], s) for i, s in zip(index, start, strict=True)]
        frames, buttons, shares = (torch.stack(parts) for parts in zip(*made, strict=True))
        return Clip(frames, buttons, shares, torch.from_numpy(index), torch.from_numpy(start))

    def state_dict(self) -> dict:
        """The position, and what it is a position in."""
        return {"step": self.step, "of": self._identity()}

    def load_state_dict(self, state: dict) -> None:
        """Continue from a position. Raises ValueError when it is one of other episodes, sizes or seed."""
        if state["of"] != self._identity():
            raise ValueError(f"the saved position belongs to other data or options: {state['of']}, not "
                             f"{self._identity()}; start a new run, or use what the old one used")
        self.step = state["step"]

    def _identity(self) -> dict:
        return {"episodes": [episode.id for episode in self.episodes], "clips": self.n_clips, "seed": self.seed,
                "frames_per_clip": self.frames_per_clip}

    def _clip(self, episode: Episode, start: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        stop = int(start) + self.frames_per_clip
        _check_known([episode])
        buttons = torch.from_numpy(episode.true_buttons[start:stop].astype(np.int64))
        shares = torch.from_numpy(MINECRAFT.camera.shares(episode.true_camera_deg[start:stop]))
        return torch.as_tensor(self.read_frames(episode, int(start), stop)), buttons, shares


def _check_known(episodes: Sequence[Episode]) -> None:
    if unknown := [episode.id for episode in episodes if episode.true_buttons is None]:
        raise ValueError(f"what was pressed in {', '.join(unknown)} is not known: an inverse dynamics model needs "
                         "recordings with an <id>.jsonl")


def sample_clips(
    shards: Shards, episodes: Sequence[Episode], n_clips: int, n_frames: int, seed: int
) -> torch.Tensor:
    """Pictures from everywhere: (n_clips, n_frames, 128, 128, 3) uint8, each clip from a random place of a random
    episode, repeated where that is shorter.
    """
    random, clips = np.random.default_rng((seed, n_clips)), []
    for episode in random.choice(np.array(episodes, dtype=object), n_clips):
        start = int(random.integers(0, max(1, episode.n_frames - n_frames + 1)))
        shown = shards.read_frames(episode, start, min(start + n_frames, episode.n_frames))
        clips.append(np.resize(shown, (n_frames, *shown.shape[1:])))
    return torch.from_numpy(np.stack(clips))
