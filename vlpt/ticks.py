"""Clocks: when each frame and each language tick happened, and who may look back on whom. Pure functions of tensors.

In: `first` (B, T) bool, true where a lane begins anew, and each lane's frame clock. Out: `Clock`, built once a chunk
and shared by every layer. Times are frames relative to the start of the chunk (earlier ones are negative), so they stay
small however long the agent plays. A *life* is what lies between two beginnings: 0 goes on from the chunk before.

Legend: B lanes, T frames in a chunk, L language ticks in a chunk, N rows of any kind, Q rows that ask, K rows asked.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# The score of what may not be seen. Finite in fp32 and bf16, so that a row that sees nothing does not become NaN;
# beside any visible row its weight is exactly 0.
NOTHING = -1e9


@dataclass(frozen=True)
class Stamps:
    """When rows happened. time (B, N) int64 frames, life (B, N) int64, real (B, N) bool (False: a row of padding)."""

    time: Tensor
    life: Tensor
    real: Tensor

    def then(self, later: "Stamps") -> "Stamps":
        """These rows followed by `later`."""
        pairs = ((self.time, later.time), (self.life, later.life), (self.real, later.real))
        return Stamps(*(torch.cat(pair, 1) for pair in pairs))


@dataclass(frozen=True)
class Clock:
    """A chunk's times.

    frames: T rows; ticks: L rows, `ticks.time` being the frame of the chunk each happens at (lanes with fewer ticks are
    padded at the end with `real` False); last_life (B,) int64: the life the lane ends the chunk in; next_frame,
    next_tick (B,) int64: clocks of the frame and the tick after the chunk.
    """

    frames: Stamps
    ticks: Stamps
    last_life: Tensor
    next_frame: Tensor
    next_tick: Tensor

    @classmethod
    def of(cls, first: Tensor, frame: Tensor, frames_per_tick: int, tick_count: int | None = None) -> "Clock":
        """first (B, T) bool; frame (B,) int64: what the clock of the chunk's frame 0 is, unless it is a first one.

        A lane's clock is 0 at a first frame and grows by one a frame; it ticks at multiples of frames_per_tick.
        tick_count: L, if it is known to be at least what any lane needs; a GPU is then not asked and waited for.
        """
        lanes, length = first.shape
        index = torch.arange(length, device=first.device).expand(lanes, length)
        begun = torch.where(first, index, -frame[:, None]).cummax(1).values  # the frame at which the clock was 0
        clock = index - begun
        frames = Stamps(index, first.long().cumsum(1), torch.ones_like(first))
        ticks = _ticks(clock % frames_per_tick == 0, frames, tick_count)
        last = clock[:, -1]
        return cls(frames, ticks, frames.life[:, -1], last + 1, last // frames_per_tick + 1)

    @property
    def length(self) -> int:
        """T."""
        return self.frames.time.shape[1]

    @property
    def tick_count(self) -> int:
        """L: the most ticks any lane has in this chunk; 0 on most frames of a stream."""
        return self.ticks.time.shape[1]


def _ticks(is_tick: Tensor, frames: Stamps, count: int | None) -> Stamps:
    """The frames that tick, moved to the front of each lane."""
    count = int(is_tick.sum(1).max()) if count is None else count
    if not count:
        return Stamps(frames.time[:, :0], frames.life[:, :0], frames.real[:, :0])
    time = (~is_tick).byte().argsort(dim=1, stable=True)[:, :count]
    return Stamps(time, frames.life.gather(1, time), is_tick.gather(1, time))


def newest(kept: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """The last `slots` rows with kept (B, N) true, oldest first: index (B, slots) int64, mask (B, slots) bool.

    Where a lane has fewer, the mask is False at the front. Needs N >= slots.
    """
    index = kept.byte().argsort(dim=1, stable=True)[:, kept.shape[1] - slots:]
    return index, kept.gather(1, index)


@dataclass(frozen=True)
class View:
    """Who sees whom. visible (B, Q, K) bool; asked_at (B, Q) and happened_at (B, K) fp32, frames."""

    visible: Tensor
    asked_at: Tensor
    happened_at: Tensor

    @property
    def since(self) -> Tensor:
        """(B, Q, K) fp32: frames from what happened to who asks."""
        return self.asked_at[:, :, None] - self.happened_at[:, None, :]

    @classmethod
    def of(cls, asking: Stamps, asked: Stamps, window: int) -> "View":
        """A row sees the rows of its own life that happened at its time or before, less than `window` frames ago."""
        lag = asking.time[:, :, None] - asked.time[:, None, :]
        same_life = asking.life[:, :, None] == asked.life[:, None, :]
        visible = same_life & asked.real[:, None, :] & (lag >= 0) & (lag < window)
        return cls(visible, asking.time.float(), asked.time.float())
