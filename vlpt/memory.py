"""Memory: everything the agent remembers, as one value of fixed size, passed in and returned.

In and out: nested frozen dataclasses of tensors, batch first. Nothing is remembered anywhere else, so lanes can be
reset, picked, moved and saved without the model knowing. Size and cost do not grow however long the agent plays.

Legend: B lanes, M slots, D agent width, E language width.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vlpt.clock import Clock, Timestamps, newest
from vpt.trees import map_tensors, tensors


def with_tensors(template, values: list[Tensor]):
    """Inverse of `tensors`: a nest shaped like `template` that holds `values`.

    Raises ValueError when their number or shapes differ.
    """
    wanted = [tuple(tensor.shape) for tensor in tensors(template)]
    found = [tuple(value.shape) for value in values]
    if wanted != found:
        raise ValueError(f"a stored memory of shapes {found} does not fit this model's {wanted}: it was made with "
                         "another model or another number of lanes; start from a fresh memory")
    rest = iter(values)
    return map_tensors(lambda tensor: next(rest).to(tensor), template)


class MemoryPart:
    """What every part of the memory can do; parts are frozen dataclasses of tensors, and all-zero is fresh."""

    def reset(self, lanes: Tensor):
        """lanes (B,) bool: those lanes as in a fresh memory, bit for bit."""
        return map_tensors(lambda x: x.masked_fill(lanes.view(-1, *[1] * (x.ndim - 1)), 0), self)

    def detach(self):
        """Cut from the graph: gradients do not flow into the chunk before."""
        return map_tensors(Tensor.detach, self)

    def index(self, lanes: Tensor | slice):
        """The chosen lanes, in that order; `lanes` is anything that indexes a tensor's first axis."""
        return map_tensors(lambda x: x[lanes], self)

    def to(self, device):
        """On another device."""
        return map_tensors(lambda x: x.to(device), self)

    @property
    def bytes(self) -> int:
        """Size of all tensors together."""
        return sum(x.numel() * x.element_size() for x in tensors(self))


@dataclass(frozen=True)
class FrameMemory(MemoryPart):
    """The last frames, for the words that ask them: content (B, M, D), newest last; mask (B, M) bool, False where there
    is none yet.
    """

    content: Tensor
    mask: Tensor

    @classmethod
    def fresh(cls, lanes: int, slots: int, width: int, device=None) -> "FrameMemory":
        """Nothing remembered."""
        content = torch.zeros(lanes, slots, width, device=device)
        return cls(content, content.new_zeros(lanes, slots, dtype=torch.bool))

    def followed_by(self, content: Tensor, clock: Clock) -> "FrameSequence":
        """All frames that can be asked in a chunk: what is remembered, then the chunk's own (B, T, D)."""
        return FrameSequence(torch.cat([self.content, content], 1), self.mask, clock)


@dataclass(frozen=True)
class FrameSequence:
    """Frames in order, M remembered and T new: content (B, M + T, D); mask (B, M) bool, of those remembered."""

    content: Tensor
    mask: Tensor
    clock: Clock

    @cached_property
    def times(self) -> Timestamps:
        """When each was seen."""
        before = torch.arange(-self.mask.shape[1], 0, device=self.mask.device).expand_as(self.mask)
        return Timestamps.remembered(before, self.mask).then(self.clock.frames)

    def newest(self, slots: int) -> FrameMemory:
        """The last frames of the segment each lane ends the chunk in: no row needs to be copied."""
        if self.clock.n_ticks:
            current = self.times.in_segment(self.clock.last_segment)
        else:  # a segment begins with a tick
            current = torch.cat([self.mask, ~self.clock.first], 1)
        return FrameMemory(self.content[:, -slots:], current[:, -slots:])


@dataclass(frozen=True)
class TickMemory(MemoryPart):
    """What there was at the last ticks, oldest first: what was said, for the frames that ask words, or the patches of
    the frames, for the words that ask these.

    content (B, M, C); age_frames (B, M) int64: how long before the lane's latest tick; mask (B, M) bool, False where
    nothing is remembered yet. So between ticks nothing about it changes.
    """

    content: Tensor
    age_frames: Tensor
    mask: Tensor

    @classmethod
    def fresh(cls, lanes: int, slots: int, width: int, device=None) -> "TickMemory":
        """Nothing remembered."""
        age = torch.zeros(lanes, slots, dtype=torch.long, device=device)
        return cls(torch.zeros(lanes, slots, width, device=device), age, age.bool())

    def followed_by(self, content: Tensor, times: Timestamps, clock: Clock) -> "TickSequence":
        """What is remembered, then the chunk's own ticks (B, L, C), not all of which need be real."""
        before = clock.tick_before[:, None] - self.age_frames
        times = Timestamps.remembered(before, self.mask).then(times)
        return TickSequence(torch.cat([self.content, content], 1), times, clock)


@dataclass(frozen=True)
class TickSequence:
    """Ticks in order, M remembered and L new: content (B, M + L, C) and when they happened."""

    content: Tensor
    times: Timestamps
    clock: Clock

    def newest(self, slots: int) -> TickMemory:
        """The last `slots` rows of the segment each lane ends the chunk in."""
        index, mask = newest(self.times.in_segment(self.clock.last_segment), slots)
        age = self.clock.last_tick[:, None] - self.times.time.gather(1, index)
        return TickMemory(pick(self.content, index), age.masked_fill(~mask, 0), mask)


def pick(content: Tensor, index: Tensor) -> Tensor:
    """content (B, N, C), index (B, M) int64 -> (B, M, C): each lane's chosen rows, copied whole."""
    lanes, rows, _ = content.shape
    begins = rows * torch.arange(lanes, device=index.device)
    return content.flatten(0, 1).index_select(0, (index + begins[:, None]).flatten()).unflatten(0, index.shape)


@dataclass(frozen=True)
class LanguageMemory(MemoryPart):
    """What a language model remembers.

    layers: one (B, M, C) each, what that layer keeps of a word (Transformer-XL: its input; a decoder with rotary
    positions: keys and values); age (B, M) int64: positions before the next word's; mask (B, M) bool; token (B,) int64:
    the latest word, which silence reads again, and since (B,) int64: how many ticks ago it was heard, or since when
    there has been none.
    """

    layers: tuple[Tensor, ...]
    age: Tensor
    mask: Tensor
    token: Tensor
    since: Tensor

    @classmethod
    def fresh(cls, lanes: int, slots: int, layers: int, width: int, device=None) -> "LanguageMemory":
        """Nothing remembered: empty, not zeros that are attended to."""
        age = torch.zeros(lanes, slots, dtype=torch.long, device=device)
        rows = tuple(torch.zeros(lanes, slots, width, device=device) for _ in range(layers))
        return cls(rows, age, age.bool(), age[:, 0], age[:, 0].clone())

    @property
    def is_fresh(self) -> Tensor:
        """(B,) bool: nothing has ticked yet."""
        return (self.since == 0) & ~self.mask.any(1)


@dataclass(frozen=True)
class Memory(MemoryPart):
    """All that the fused agent remembers.

    blocks: the policy's own memory, one `BlockMemory` a block (the first belongs to the trunk; of an agent that sees
    motion it holds the last pictures too); frames: the trunk's outputs, for the words that ask frames; patches: those
    of the frames at ticks, for the same; language: what the language model keeps; words: what was said, for the frames
    that ask words: its embeddings and its hidden states, added; word_key_values: what each block that asks them makes
    of them (`KeyValues`, see vlpt/fusion.py), so that between ticks this is not done again; next_frame (B,) int64:
    clock of the next frame, from which that of ticks follows.
    """

    blocks: tuple
    frames: FrameMemory
    patches: TickMemory
    language: LanguageMemory
    words: TickMemory
    word_key_values: tuple
    next_frame: Tensor
