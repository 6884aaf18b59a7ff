"""Which words a language model sees at each tick, what a silent tick stands for, and what is kept.

In: when the chunk's ticks happen, which token each hears (or silence), the memory so far. Out: `AttentionPlan`, built
once a chunk and shared by all layers. The rules speak of the whole stream, so it does not matter how it is cut:

* a tick that hears a token is a word: its position is the number of words before it, it sees itself and of the words
  before it the newest `window` and the first `sinks` of its life (attention sinks, Xiao et al. 2023, 2309.17453);
* a silent tick is the latest word looked at again: that token at that position, seeing what that word saw. The word's
  own row is hidden from it, as it stands for it; its row is seen by nobody else, and nothing of it is remembered;
* a life that begins in silence begins with the model's start-of-text token, a word like any other, if it has one. Where
  it has none, the ticks before the first word stand for nothing: they see themselves only.

Only differences of positions are ever formed, within a chunk or as ages at its end, so they do not grow. A sink looks
as far away as it would in a text of `sinks + window` words, and never farther.

Legend: B lanes, L ticks in a chunk, M slots of memory, N = M + L rows that can be seen, V vocabulary.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from vlpt.clock import Timestamps, newest
from vlpt.memory import LanguageMemory, pick
from vpt.attention import FORBIDDEN


@dataclass(frozen=True)
class AttentionPlan:
    """Who sees whom, what each tick stands for, and what is kept.

    token (B, L) int64: the token that a tick reads, V: none has been said yet; since (B, L) int64: ticks since that
    token was heard (since the life began, where there is none), 0 at the tick that hears it.
    visible (B, L, N) bool; distance (B, L, N) int64 in 0..window, meaningless where not visible and for sinks; position
    (B, N) int64, of which distances are differences (the last L rows are those that ask).
    sink (B, N) int64: a sink's number in its life, -1 for other rows; number (B, L) int64: that of the word a tick
    stands for, at most sinks + window, so that number - sink is how far a sink looks. None in a model without sinks.
    kept (B, M) int64: the rows that make up the next memory, which is `memory` but for the rows themselves.
    """

    token: Tensor
    since: Tensor
    visible: Tensor
    distance: Tensor
    position: Tensor
    sink: Tensor | None
    number: Tensor | None
    kept: Tensor
    memory: LanguageMemory

    def additive_mask(self, dtype: torch.dtype) -> Tensor:
        """(B, 1, L, N): 0 where visible, else FORBIDDEN, to be added to attention scores."""
        mask = torch.zeros(self.visible.shape, dtype=dtype, device=self.visible.device)
        return mask.masked_fill_(~self.visible, FORBIDDEN)[:, None]

    def keep(self, rows: tuple[Tensor, ...]) -> LanguageMemory:
        """The next memory, from each layer's rows (B, N, C): those remembered, then the chunk's own."""
        return replace(self.memory, layers=tuple(pick(row, self.kept) for row in rows))


def memory_slots(window: int, sinks: int) -> int:
    """M: the first words, and the newest: one more than the window, since a silent tick looks back from the last."""
    return sinks + window + 1


@dataclass(frozen=True)
class _Heard:
    """The chunk's ticks as words: what each reads, and which of them are words that later ticks see, all (B, L)."""

    token: Tensor
    since: Tensor
    counted: Tensor

    @classmethod
    def of(cls, ticks: Timestamps, ids: Tensor, memory: LanguageMemory, silence: int, start: int | None) -> "_Heard":
        index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        begins = _begins(ticks.segment)  # segment 0 goes on, unless nothing has ticked in it yet
        begins[:, :1] |= memory.is_fresh[:, None] & (ticks.segment[:, :1] == 0)
        if start is not None:
            ids = ids.masked_fill(begins & (ids == silence), start)
        spoken = ids != silence
        latest = torch.where(spoken | begins, index, -1).cummax(1).values  # the tick whose token is read, -1: older
        before = torch.where(memory.mask.any(1), memory.token, silence)[:, None]
        token = torch.where(latest < 0, before, ids.gather(1, latest.clamp(min=0)))
        since = torch.where(latest < 0, memory.since[:, None] + index, index - latest)
        return cls(token, since, spoken & ticks.real)

    def after(self, ticks: Timestamps, memory: LanguageMemory) -> tuple[Tensor, Tensor]:
        """(B,) token, (B,) since: what the next tick reads if it is silent."""
        count = ticks.real.sum(1, keepdim=True)  # real ticks come first
        last, none = (count - 1).clamp(min=0), count[:, 0] == 0
        token, since = self.token.gather(1, last)[:, 0], self.since.gather(1, last)[:, 0] + 1
        return torch.where(none, memory.token, token), torch.where(none, memory.since, since)


def plan_attention(
    ticks: Timestamps, last_segment: Tensor, ids: Tensor, memory: LanguageMemory, window: int, silence: int,
    start: int | None = None, sinks: int = 0,
) -> AttentionPlan:
    """ticks: L rows; last_segment (B,) int64: the segment each lane ends the chunk in; ids (B, L) int64: what each tick
    hears, `silence` (V) or a token; start: the start-of-text token; `memory` must have `memory_slots(window, sinks)`.
    """
    heard = _Heard.of(ticks, ids, memory, silence, start)
    count = _count_before(heard.counted, ticks.segment)
    position = count - (~heard.counted).long()  # a silent tick stands where the latest word does
    # Remembered rows belong to segment 0, whose count starts at 0 with the chunk: they have negative positions.
    rows = Timestamps.remembered(-memory.age, memory.mask).then(replace(ticks, time=position))
    is_word = torch.cat([memory.mask, heard.counted], 1)
    distance = position[:, :, None] - rows.time[:, None, :]
    same_segment = ticks.segment[:, :, None] == rows.segment[:, None, :]
    visible = same_segment & is_word[:, None, :] & (distance > 0)
    sink, number = _sinks(memory, heard.counted, count, ticks.segment, sinks) if sinks else (None, None)
    near = distance <= window
    visible &= (near | (sink >= 0)[:, None, :]) if sinks else near
    visible |= _itself(visible)
    ends = (heard.counted & (ticks.segment == last_segment[:, None])).sum(1)
    words = is_word & rows.in_segment(last_segment)
    kept, age, mask = _kept(words, rows.time, ends, sink, window, sinks)
    token, since = heard.after(ticks, memory)
    if sinks:
        number = (number - (~heard.counted).long()).clamp(0, sinks + window)
    return AttentionPlan(heard.token, heard.since, visible, distance.clamp(0, window), rows.time, sink, number, kept,
                         LanguageMemory((), age, mask, token, since))


def _begins(segment: Tensor) -> Tensor:
    """(B, L) bool: the first tick of a segment that begins in the chunk. Segments never go backwards."""
    return torch.cat([segment[:, :1] > 0, segment[:, 1:] != segment[:, :-1]], 1)


def _count_before(which: Tensor, segment: Tensor) -> Tensor:
    """How many rows with `which` true come before each row in its segment: (B, L) int64."""
    before = which.long().cumsum(1) - which.long()
    begun = _begins(segment)
    # The count at the start of the row's segment; segment 0 has its start at the chunk's.
    return before - torch.where(begun, before, 0).cummax(1).values


def _itself(visible: Tensor) -> Tensor:
    """(L, N) bool: each tick's own row."""
    _, count, rows = visible.shape
    return pad(torch.eye(count, dtype=torch.bool, device=visible.device), (rows - count, 0))


def _sinks(
    memory: LanguageMemory, counted: Tensor, count: Tensor, segment: Tensor, sinks: int
) -> tuple[Tensor, Tensor]:
    """sink (B, N) and number (B, L) of the next word, as counted from the beginning of each tick's life."""
    said = (memory.age[:, 0] * memory.mask[:, 0])[:, None]  # words of segment 0 so far; the first one is in slot 0
    number = count + torch.where(segment == 0, said, 0)
    own = number.masked_fill(~(counted & (number < sinks)), -1)
    slots = torch.arange(memory.mask.shape[1], device=count.device).expand_as(memory.mask)
    return torch.cat([slots.masked_fill(~(memory.mask & (slots < sinks)), -1), own], 1), number


def _kept(
    words: Tensor, position: Tensor, ends: Tensor, sink: Tensor | None, window: int, sinks: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The next memory's rows and their age and mask: the first words, then of the others the newest."""
    others = words if sink is None else words & (sink < 0)
    kept, mask = newest(others, window + 1)
    age = ends[:, None] - position.gather(1, kept)
    mask = mask & (age <= window + 1)
    if sink is not None:
        # Each number's row, if there is one. How old a sink is says how many words there were: it need not be known
        # beyond the farthest that a sink looks.
        found = words[:, None, :] & (sink[:, None, :] == torch.arange(sinks, device=sink.device)[:, None])  # (B, S, N)
        first = found.byte().argmax(2)
        first_age = (ends[:, None] - position.gather(1, first)).clamp(max=2 * sinks + window)
        kept, mask = torch.cat([first, kept], 1), torch.cat([found.any(2), mask], 1)
        age = torch.cat([first_age, age], 1)
    return kept, age.masked_fill(~mask, 0), mask
