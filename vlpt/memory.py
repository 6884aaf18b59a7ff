"""Memory: everything the agent remembers, as one value of fixed size, passed in and returned.

In and out: nested frozen dataclasses of tensors, batch first. Nothing is remembered anywhere else, so lanes can be
reset, picked, moved and saved without the model knowing. Size and cost do not grow however long the agent plays.

Legend: B lanes, M slots, D agent width, E language width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlpt.ticks import Clock, Stamps, newest
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


class Remembered:
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
class Recall(Remembered):
    """Rows that a cross attention may look back on, oldest first.

    content (B, M, C); age_frames (B, M) int64: how long before the next chunk's frame 0, at least 1 where mask is true;
    mask (B, M) bool, False where nothing is remembered yet.
    """

    content: Tensor
    age_frames: Tensor
    mask: Tensor

    @classmethod
    def fresh(cls, lanes: int, slots: int, width: int, device=None) -> "Recall":
        """Nothing remembered."""
        age = torch.zeros(lanes, slots, dtype=torch.long, device=device)
        return cls(torch.zeros(lanes, slots, width, device=device), age, age.bool())

    def followed_by(self, content: Tensor, stamps: Stamps, dense: bool = False) -> "Rows":
        """Everything there is to look at in a chunk: what is remembered, then the chunk's own rows (B, N, C).

        dense: all of these are real, as frames are and ticks need not be.
        """
        before = Stamps(-self.age_frames, torch.zeros_like(self.age_frames), self.mask)
        if not content.shape[1]:  # no tick: most frames of a stream
            return Rows(self.content, before, True)
        return Rows(torch.cat([self.content, content], 1), before.then(stamps), dense)


@dataclass(frozen=True)
class Rows:
    """Rows of content (B, N, C) and when they happened; dense: after the first real row of a lane all are real."""

    content: Tensor
    stamps: Stamps
    dense: bool

    def remember(self, slots: int, clock: Clock) -> Recall:
        """The newest `slots` rows of the life each lane ends the chunk in."""
        stamps, content = self.stamps, self.content
        alive = stamps.real & (stamps.life == clock.last_life[:, None])
        if self.dense:  # they are the last ones: no row is copied
            time, mask, content = stamps.time[:, -slots:], alive[:, -slots:], content[:, -slots:]
        else:
            index, mask = newest(alive, slots)
            time, content = stamps.time.gather(1, index), pick(content, index)
        return Recall(content, (clock.length - time).masked_fill(~mask, 0), mask)


def pick(content: Tensor, index: Tensor) -> Tensor:
    """content (B, N, C), index (B, M) int64 -> (B, M, C): each lane's chosen rows, copied whole."""
    lanes, rows, _ = content.shape
    begins = rows * torch.arange(lanes, device=index.device)
    return content.flatten(0, 1).index_select(0, (index + begins[:, None]).flatten()).unflatten(0, index.shape)


@dataclass(frozen=True)
class LanguageMemory(Remembered):
    """What a language model remembers.

    layers: one (B, M, C) each, what that layer keeps of a word (Transformer-XL: its input; a decoder with rotary
    positions: keys and values); age (B, M) int64: positions before the next word's; mask (B, M) bool.
    """

    layers: tuple[Tensor, ...]
    age: Tensor
    mask: Tensor

    @classmethod
    def fresh(cls, lanes: int, slots: int, layers: int, width: int, device=None) -> "LanguageMemory":
        """Nothing remembered: empty, not zeros that are attended to."""
        age = torch.zeros(lanes, slots, dtype=torch.long, device=device)
        return cls(tuple(torch.zeros(lanes, slots, width, device=device) for _ in range(layers)), age, age.bool())


@dataclass(frozen=True)
class Memory(Remembered):
    """All that the fused agent remembers.

    blocks: the policy's own memory, one `BlockMemory` a block (the first belongs to the trunk); sight: trunk features,
    for the words that ask frames; language: what the language model keeps; words: its outputs, for the frames that ask
    words; frame, tick (B,) int64: clocks of the next frame and the next tick.
    """

    blocks: tuple
    sight: Recall
    language: LanguageMemory
    words: Recall
    frame: Tensor
    tick: Tensor
