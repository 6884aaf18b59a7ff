"""When an agent is told what: all lives of an arena hear their last word at the same frame, and are watched from there.

In: the sentences of each life. Out: the frame at which each begins, later for a short one. Were the watched frames
others after a short sentence than after a long one, what an agent does anyway, sooner or later in a life, would seem to
come of what it was told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlpt.evaluation.instructions import NAMES
from vpt.frames import FRAMES_PER_SECOND

BETWEEN_S = 2.0  # from the last word of one errand to the first of the next, where it is told in mid-errand


@dataclass(frozen=True)
class Schedule:
    """said: each sentence with the frame at whose tick its first token is heard; watching begins at the last token."""

    said: tuple[tuple[int, str], ...]
    watch_from: int


def schedules(lines: Mapping[str, Sequence[str]], tokens: Callable[[str], int], frames_per_tick: int,
              tell_at_s: float) -> dict[str, Schedule]:  # fmt: skip
    """lines: what is said in each life, in order; tokens: how many a sentence has; tell_at_s: before which none begins.
    A token is heard a tick; all end at the same frame.
    """
    step = frames_per_tick
    gap = -(-round(BETWEEN_S * FRAMES_PER_SECOND) // step) * step
    lasts = {told: [(tokens(sentence) - 1) * step for sentence in said] for told, said in lines.items()}
    longest = max(sum(each) + gap * max(0, len(each) - 1) for each in lasts.values())
    end = -(-round(tell_at_s * FRAMES_PER_SECOND) // step) * step + longest
    found = {}
    for told, said in lines.items():
        at, begun = end, []
        for sentence, last in zip(reversed(said), reversed(lasts[told]), strict=True):
            begun.insert(0, (at - last, sentence))
            at -= last + gap
        found[told] = Schedule(tuple(begun), end)
    return found


def first_told(told: str, names: Sequence[str], arena_seed: int, seed: int) -> str:
    """What is told before, in mid-errand: another one in each arena, and in each arena all different."""
    shift = np.random.default_rng((seed, arena_seed, len(NAMES) + 1)).integers(1, len(names))
    return names[(names.index(told) + int(shift)) % len(names)]
