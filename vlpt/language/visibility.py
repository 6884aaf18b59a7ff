"""Which words a language model sees at each tick, and which it keeps: the rule of `remember_silence`.

In: when the chunk's ticks happen, which of them hear a spoken token (the others hear silence), the memory so far.
Out: `AttentionPlan`, built once a chunk and shared by all layers. The rule speaks of the whole stream, so it does not
matter how the stream is cut into chunks. At tick k the model sees

* itself;
* of the *counted* ticks before k, the newest `window`; counted are ticks with a token (`none`, `last`), or all (`all`);
* with `last`, also the latest silent tick before k, unless more than `window` counted ticks have come since.

The position of a tick is the number of counted ticks before it, so that silence does not use positions up; only
differences of positions are ever formed, within a chunk or as ages at its end, so they never grow beyond the window.

Legend: B lanes, L ticks in a chunk, M slots of memory, N = M + L rows that can be seen.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from vlpt.clock import Timestamps, newest
from vlpt.memory import LanguageMemory, pick
from vpt.attention import FORBIDDEN

RULES = ("none", "last", "all")


@dataclass(frozen=True)
class AttentionPlan:
    """Who sees whom, and what is kept.

    visible (B, L, N) bool; distance (B, L, N) int64 in 0..window, meaningless where not visible; position (B, N) int64,
    of which distances are differences (the last L rows are those that ask); kept (B, M) int64: the rows that make up
    the next memory, of age (B, M) int64 where mask (B, M) bool is true.
    """

    visible: Tensor
    distance: Tensor
    position: Tensor
    kept: Tensor
    age: Tensor
    mask: Tensor

    def additive_mask(self, dtype: torch.dtype) -> Tensor:
        """(B, 1, L, N): 0 where visible, else FORBIDDEN, to be added to attention scores."""
        mask = torch.zeros(self.visible.shape, dtype=dtype, device=self.visible.device)
        return mask.masked_fill_(~self.visible, FORBIDDEN)[:, None]

    def keep(self, rows: tuple[Tensor, ...]) -> LanguageMemory:
        """The next memory, from each layer's rows (B, N, C): those remembered, then the chunk's own."""
        return LanguageMemory(tuple(pick(row, self.kept) for row in rows), self.age, self.mask)


def memory_slots(window: int, rule: str) -> int:
    """M, the slots of memory that a rule needs. Raises ValueError for a rule that does not exist."""
    if rule not in RULES:
        raise ValueError(f"remember_silence is one of {', '.join(RULES)}, got {rule!r}")
    return window + (rule == "last")


def plan_attention(
    ticks: Timestamps, last_segment: Tensor, spoken: Tensor, memory: LanguageMemory, window: int, rule: str
) -> AttentionPlan:
    """ticks: L rows; last_segment (B,) int64: the segment each lane ends the chunk in; spoken (B, L) bool: the tick
    hears a token, not silence. `rule` as above; `memory` must have `memory_slots(window, rule)` slots. """
    silent = ticks.real & ~spoken if rule == "last" else torch.zeros_like(spoken)
    counted = ticks.real if rule == "all" else ticks.real & spoken
    position = _count_before(counted, ticks.segment)  # (B, L)
    # Remembered rows belong to segment 0, whose count starts at 0 with the chunk: they have negative positions.
    rows = Timestamps.remembered(-memory.age, memory.mask).then(replace(ticks, time=position))
    is_silence = torch.cat([_silence_slot(memory.mask, rule), silent], 1)
    is_counted = torch.cat([memory.mask & ~_silence_slot(memory.mask, rule), counted], 1)
    distance = position[:, :, None] - rows.time[:, None, :]
    visible = _visible(ticks, rows, is_counted, is_silence, silent) & (distance <= window)
    visible |= _itself(visible)
    ends = _ends(counted, ticks.segment, last_segment)
    kept, age, mask = _kept(rows, is_counted, is_silence, last_segment, ends, window, rule)
    return AttentionPlan(visible, distance.clamp(0, window), rows.time, kept, age, mask)


def _count_before(which: Tensor, segment: Tensor) -> Tensor:
    """How many rows with `which` true come before each row in its segment: (B, L) int64. Segments never go
    backwards."""
    before = which.long().cumsum(1) - which.long()
    begun = torch.cat([torch.ones_like(segment[:, :1], dtype=torch.bool), segment[:, 1:] != segment[:, :-1]], 1)
    # The count at the start of the row's segment; segment 0 has its start at the chunk's.
    return before - torch.where(begun, before, 0).cummax(1).values


def _silence_slot(mask: Tensor, rule: str) -> Tensor:
    """(B, M) bool: with `last`, the last slot holds the latest silence."""
    slot = torch.zeros_like(mask)
    if rule == "last":
        slot[:, -1] = mask[:, -1]
    return slot


def _visible(ticks: Timestamps, rows: Timestamps, counted: Tensor, silence: Tensor, silent: Tensor) -> Tensor:
    """(B, L, N): earlier rows of the same segment that are counted, or are the latest silence."""
    lanes, count = ticks.segment.shape
    remembered = rows.segment.shape[1] - count
    order = torch.arange(-remembered, count, device=rows.segment.device)
    earlier = order[None, :] < order[remembered:, None]  # (L, N)
    same_segment = ticks.segment[:, :, None] == rows.segment[:, None, :]
    # A silence is the latest one before k when no silence of k's segment lies between: counting silences, its number is
    # that of the silences before k. The remembered one is number 0.
    number = torch.cat([silence.new_zeros(lanes, remembered, dtype=torch.long), silent.long().cumsum(1)], 1)
    before = silent.long().cumsum(1) - silent.long()
    latest = silence[:, None, :] & (number[:, None, :] == before[:, :, None])
    return earlier & same_segment & (counted[:, None, :] | latest)


def _itself(visible: Tensor) -> Tensor:
    """(L, N) bool: each tick's own row."""
    _, count, rows = visible.shape
    return pad(torch.eye(count, dtype=torch.bool, device=visible.device), (rows - count, 0))


def _ends(counted: Tensor, segment: Tensor, last_segment: Tensor) -> Tensor:
    """(B,) int64: the position the next tick would have in the segment each lane ends in."""
    return (counted & (segment == last_segment[:, None])).sum(1)


def _kept(
    rows: Timestamps, counted: Tensor, silence: Tensor, last_segment: Tensor, ends: Tensor, window: int, rule: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The next memory's rows: the newest `window` counted ones, and with `last` the newest silence behind them."""
    alive = rows.in_segment(last_segment)
    kept, mask = newest(alive & counted, window)
    if rule == "last":
        latest, latest_mask = newest(alive & silence, 1)
        kept, mask = torch.cat([kept, latest], 1), torch.cat([mask, latest_mask], 1)
    age = ends[:, None] - rows.time.gather(1, kept)
    mask = mask & (age <= window)
    return kept, age.masked_fill(~mask, 0), mask
