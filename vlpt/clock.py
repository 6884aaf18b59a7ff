"""Clocks: when each frame and each language tick happened, and who may look back on whom. Pure functions of tensors.

In: `first` (B, T) bool, true where a lane begins anew, and each lane's frame clock. Out: `Clock`, built once a chunk
and shared by every layer. Times are frames relative to the start of the chunk (earlier ones are negative), so they stay
small however long the agent plays. A *segment* is what lies between two beginnings: 0 goes on from the chunk before.

Legend: B lanes, T frames in a chunk, L language ticks in a chunk, N rows of any kind, Q rows that ask, K rows asked.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Timestamps:
    """When rows happened. time (B, N) int64 frames, segment (B, N) int64, real (B, N) bool (False: padding)."""

    time: Tensor
    segment: Tensor
    real: Tensor

    @classmethod
    def remembered(cls, time: Tensor, mask: Tensor) -> "Timestamps":
        """Rows from before the chunk: of segment 0, which goes on; time (B, N) int64, mask (B, N) bool."""
        return cls(time, torch.zeros_like(time), mask)

    def in_segment(self, segment: Tensor) -> Tensor:
        """(B, N) bool: real rows of each lane's segment (B,)."""
        return self.real & (self.segment == segment[:, None])

    def then(self, later: "Timestamps") -> "Timestamps":
        """These rows followed by `later`."""
        pairs = ((self.time, later.time), (self.segment, later.segment), (self.real, later.real))
        return Timestamps(*(torch.cat(pair, 1) for pair in pairs))


@dataclass(frozen=True)
class Clock:
    """A chunk's times. What only ticks need is made when it is asked for: most frames of a stream have none.

    first (B, T) bool; since_tick (B, T) int64: frames since the lane's latest tick, 0 at ticks; next_frame (B,) int64:
    clock of the frame after the chunk; n_ticks: L, the most ticks any lane has in this chunk.
    """

    first: Tensor
    since_tick: Tensor
    next_frame: Tensor
    frames_per_tick: int
    n_ticks: int

    @classmethod
    def of(cls, first: Tensor, frame: Tensor, frames_per_tick: int, n_ticks: int | None = None) -> "Clock":
        """first (B, T) bool; frame (B,) int64: what the clock of the chunk's frame 0 is, unless it is a first one.

        A lane's clock is 0 at a first frame and grows by one a frame; it ticks at multiples of frames_per_tick.
        n_ticks: L, if it is known to be at least what any lane needs; a GPU is then not asked and waited for.
        """
        length = first.shape[1]
        if length == 1:
            clock = frame[:, None].masked_fill(first, 0)
        else:
            index = torch.arange(length, device=first.device)
            clock = index - torch.where(first, index, -frame[:, None]).cummax(1).values  # less the frame when it was 0
        since_tick = clock % frames_per_tick
        if n_ticks is None:
            n_ticks = int(not since_tick.min()) if length == 1 else int((since_tick == 0).sum(1).max())
        return cls(first, since_tick, clock[:, -1] + 1, frames_per_tick, n_ticks)

    @property
    def length(self) -> int:
        """T."""
        return self.first.shape[1]

    @cached_property
    def frames(self) -> Timestamps:
        """T rows."""
        index = torch.arange(self.length, device=self.first.device).expand_as(self.first)
        return Timestamps(index, self.first.long().cumsum(1), torch.ones_like(self.first))

    @cached_property
    def ticks(self) -> Timestamps:
        """L rows, the frames that tick, moved to the front of each lane; lanes with fewer are padded at the end."""
        if not self.n_ticks:
            return Timestamps(self.since_tick[:, :0], self.since_tick[:, :0], self.first[:, :0])
        is_tick = self.since_tick == 0
        if self.length == 1:
            return replace(self.frames, real=is_tick)
        time = (~is_tick).byte().argsort(dim=1, stable=True)[:, : self.n_ticks]
        return Timestamps(time, self.frames.segment.gather(1, time), is_tick.gather(1, time))

    @property
    def last_segment(self) -> Tensor:
        """(B,) int64: the segment the lane ends the chunk in."""
        return self.frames.segment[:, -1]

    @property
    def tick_before(self) -> Tensor:
        """(B,) int64: the frame, before the chunk, of the lane's latest tick; without meaning if frame 0 is a first."""
        return -((self.since_tick[:, 0] - 1) % self.frames_per_tick) - 1

    @property
    def last_tick(self) -> Tensor:
        """(B,) int64: the frame of the lane's latest tick as the chunk ends."""
        return self.length - 1 - self.since_tick[:, -1]


def newest(kept: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """The last `slots` rows with kept (B, N) true, oldest first: index (B, slots) int64, mask (B, slots) bool.

    Where a lane has fewer, the mask is False at the front. Needs N >= slots.
    """
    index = kept.byte().argsort(dim=1, stable=True)[:, kept.shape[1] - slots:]
    return index, kept.gather(1, index)


@dataclass(frozen=True)
class Visibility:
    """Who sees whom. visible (B, Q, K) bool; age (B, Q, K) fp32, frames from the row asked to the row that asks;
    query_time (B, Q) fp32, frames.
    """

    visible: Tensor
    age: Tensor
    query_time: Tensor

    @cached_property
    def sees_any(self) -> Tensor:
        """(B, Q, 1) bool: rows that see anything."""
        return self.visible.any(2, keepdim=True)

    def and_of(self, others: "Visibility", each: int) -> "Visibility":
        """The same rows ask more: `each` rows for every row that others know of."""
        pairs = ((self.visible, others.visible), (self.age, others.age))
        visible, age = (torch.cat([mine, more.repeat_interleave(each, 2)], 2) for mine, more in pairs)
        return Visibility(visible, age, self.query_time)

    @classmethod
    def of(cls, asking: Timestamps, asked: Timestamps, window: int) -> "Visibility":
        """A row sees the rows of its own segment that happened at its time or before, less than `window` frames ago."""
        lag = asking.time[:, :, None] - asked.time[:, None, :]
        same_segment = asking.segment[:, :, None] == asked.segment[:, None, :]
        visible = same_segment & asked.real[:, None, :] & (lag >= 0) & (lag < window)
        return cls(visible, lag.float(), asking.time.float())

    @classmethod
    def of_older(cls, now: Tensor, age: Tensor, real: Tensor, window: int) -> "Visibility":
        """All rows asked are older than those who ask, and of their segment: now (B, Q) and age (B, K) int64, frames
        after and before a time that is each lane's own; real (B, K) bool. """
        lag = now[:, :, None] + age[:, None, :]
        return cls(real[:, None, :] & (lag < window), lag.float(), now.float())
