"""Real time: 20 frames a second where the machine makes more, and how many it makes.

    pace = Pace(); pace.begin()
    while True: sleep(pace.left_s()); frame(); pace.count(agent_s, game_s)
"""

import time
from collections import deque

from vpt.frames import FRAMES_PER_SECOND

SECONDS = 2  # over which the rate is measured
KEPT = 0.9  # of what a frame costs, from frame to frame


class Pace:
    """The clock of one life. A frame that comes late is not made up for by faster ones."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Time starts here: after a reset or a pause."""
        self.next_s, self.times_s = time.monotonic(), deque(maxlen=SECONDS * FRAMES_PER_SECOND)
        self.costs_ms: list[float] = []

    def left_s(self) -> float:
        """Until the next frame is due; not above 0 where it is."""
        return self.next_s - time.monotonic()

    def count(self, *costs_s: float) -> None:
        """A frame was made at these costs, seconds."""
        now_s = time.monotonic()
        self.times_s.append(now_s)
        self.next_s = max(self.next_s + 1 / FRAMES_PER_SECOND, now_s - 1 / FRAMES_PER_SECOND)
        new = [1000 * cost for cost in costs_s]
        self.costs_ms = [KEPT * old + (1 - KEPT) * one for old, one in zip(self.costs_ms or new, new, strict=True)]

    def rate(self) -> float | None:
        """Frames a second over the last two seconds; None before two of them."""
        if len(self.times_s) < 2:
            return None
        return round((len(self.times_s) - 1) / max(self.times_s[-1] - self.times_s[0], 1e-6), 1)

    @property
    def ms(self) -> list[float]:
        """What a frame costs lately, by part."""
        return [round(cost, 1) for cost in self.costs_ms]
