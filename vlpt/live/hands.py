"""A person's hands: keys and mouse as the page tells of them, made into the action of one frame.

In: which buttons are down, each time that changes, and motion of the mouse in pixels. Out: MineRL's action of a frame:
what is down, or was for a moment since the last one, and how far the mouse went since.

    hands = Hands(); hands.move({"forward"}, (12, -3)); action = hands.action()
"""

from collections.abc import Iterable

import numpy as np

from vpt.actions import BUTTONS, DEGREES_PER_COUNT, WorldAction, to_world

FASTEST_DEG = 180.0  # that a world turns in a frame


class Hands:
    """Buttons by the names of vpt.actions; a pixel of motion is a count, 0.15 degrees, as for OpenAI's contractors."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.tapped: set[str] = set()  # since the last frame
        self.motion_px = np.zeros(2)  # right, down

    def move(self, held: Iterable[str], motion_px: tuple[float, float] = (0.0, 0.0)) -> None:
        """What is down from now on, and motion (right, down) to add."""
        self.held = set(held)
        self.tapped |= self.held
        self.motion_px += motion_px

    def let_go(self) -> None:
        """Nothing is down, and nothing is left to be done."""
        self.held, self.tapped, self.motion_px = set(), set(), np.zeros(2)

    def action(self) -> WorldAction:
        """The next frame's. Whole counts are turned; what is left of one is kept."""
        counts = np.clip(np.rint(self.motion_px), *(np.array([-1, 1]) * FASTEST_DEG / DEGREES_PER_COUNT))
        down = self.held | self.tapped
        self.tapped, self.motion_px = set(), self.motion_px - counts
        return to_world([name in down for name in BUTTONS], counts[::-1] * DEGREES_PER_COUNT)
