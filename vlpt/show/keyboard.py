"""Keys and mouse as a picture: filled blue is what the agent presses, an amber rim what the person pressed.

In: buttons (20,) 0/1 and camera_deg (2,) (pitch, yaw; down and right positive) a frame. Out: drawn on a canvas.
"""

from collections import deque

import cv2
import numpy as np

from vlpt.show.paint import AGENT, DIM, FAINT, OTHER, PANEL, WHITE, arrow, box, text, text_width
from vpt.actions import BUTTONS
from vpt.frames import FRAMES_PER_SECOND

KEY, GAP = 30, 4
FULL_DEG = 10.0  # the fastest motion of the action space reaches the rim of the pad

# Rows of keys: (button, what is written on it, width in keys); a row begins so many keys in.
ROWS = (
    (0.0, [(f"hotbar.{slot}", str(slot), 1.0) for slot in range(1, 10)]),
    (1.5, [("drop", "Q", 1.0), ("forward", "W", 1.0), ("inventory", "E", 1.0)]),
    (1.75, [("left", "A", 1.0), ("back", "S", 1.0), ("right", "D", 1.0)]),
    (0.0, [("sneak", "Shift", 2.0), ("sprint", "Ctrl", 1.5), ("jump", "Space", 4.0)]),
)


def pressed(buttons: np.ndarray | None) -> set[str]:
    """Names of the buttons that are down; none for None."""
    return set() if buttons is None else {name for name, on in zip(BUTTONS, buttons, strict=True) if on}


class Keyboard:
    """The keys that play uses, at (x, y)."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def draw(self, canvas: np.ndarray, buttons: np.ndarray, other: np.ndarray | None = None) -> None:
        """buttons (20,) of the agent, `other` (20,) of the person or None."""
        mine, theirs = pressed(buttons), pressed(other)
        for row, (indent, keys) in enumerate(ROWS):
            x, y = self.x + round(indent * (KEY + GAP)), self.y + row * (KEY + GAP + 4)
            for button, label, keys_wide in keys:
                width = round(keys_wide * (KEY + GAP)) - GAP
                _key(canvas, x, y, width, label, button in mine, button in theirs)
                x += width + GAP


def _key(canvas, x: int, y: int, width: int, label: str, mine: bool, theirs: bool) -> None:
    box(canvas, x, y, width, KEY, AGENT if mine else FAINT)
    if theirs:
        box(canvas, x, y, width, KEY, OTHER, outline_px=2)
    size = 14 if len(label) == 1 else 12
    text(canvas, label, x + (width - text_width(label, size, 600)) // 2, y + 20, size, PANEL if mine else DIM, 600)


class Mouse:
    """Two buttons and a pad: the arrow is this frame's motion, the trace where the last second's motions led."""

    def __init__(self, x: int, y: int, trace_frames: int = FRAMES_PER_SECOND) -> None:
        self.x, self.y = x, y
        self.motions: deque[np.ndarray] = deque(maxlen=trace_frames)

    def draw(self, canvas: np.ndarray, buttons: np.ndarray, camera_deg: np.ndarray,
             other: np.ndarray | None = None, other_camera_deg: np.ndarray | None = None) -> None:
        """As Keyboard's, with the camera motions (2,) degrees of this frame."""
        self._body(canvas, pressed(buttons), pressed(other))
        left, top, side = self.x + 120, self.y, 142
        box(canvas, left, top, side, side, FAINT)
        centre = np.array([left + side // 2, top + side // 2])
        self.motions.append(np.asarray(camera_deg, float))
        self._trace(canvas, centre, side // 2 - 8)
        if other_camera_deg is not None:
            arrow(canvas, centre, _tip(centre, other_camera_deg, side // 2 - 8), OTHER)
        arrow(canvas, centre, _tip(centre, camera_deg, side // 2 - 8), AGENT)
        cv2.circle(canvas, centre.tolist(), 3, WHITE, -1, cv2.LINE_AA)

    def _body(self, canvas, mine: set[str], theirs: set[str]) -> None:
        x, y, half, height = self.x, self.y, 46, 142
        box(canvas, x, y + 58, 2 * half + GAP, height - 58, FAINT, radius=24)
        for button, left in (("attack", x), ("use", x + half + GAP)):
            box(canvas, left, y, half, 54, AGENT if button in mine else FAINT, radius=14)
            if button in theirs:
                box(canvas, left, y, half, 54, OTHER, radius=14, outline_px=2)
            colour = PANEL if button in mine else DIM
            text(canvas, button, left + (half - text_width(button, 12, 600)) // 2, y + 31, 12, colour, 600)
        text(canvas, "mouse", x + half + 2 - text_width("mouse", 12) // 2, y + 104, 12, DIM)

    def _trace(self, canvas, centre: np.ndarray, reach_px: int) -> None:
        """The path of the gaze that ends in the centre, 30 degrees to the rim, fading into the past."""
        past = np.cumsum([np.zeros(2), *reversed(list(self.motions)[:-1])], 0)[:, ::-1]
        points = centre - past * reach_px / 30
        inside = np.abs(points - centre).max(1) <= reach_px
        for age in range(len(points) - 1):
            if inside[age] and inside[age + 1]:
                fade = 1 - age / len(points)
                colour = tuple(int(a * fade + b * (1 - fade)) for a, b in zip((88, 98, 114), FAINT, strict=True))
                cv2.line(canvas, _pixel(points[age]), _pixel(points[age + 1]), colour, 2, cv2.LINE_AA)


def _tip(centre: np.ndarray, camera_deg, reach_px: int) -> np.ndarray:
    """Where the arrow of a motion ends; lengths by the square root, so that fine motions show too."""
    motion = np.asarray(camera_deg, float)[::-1]
    speed_deg = float(np.hypot(*motion))
    return centre + motion / max(speed_deg, 1e-9) * min(1.0, (speed_deg / FULL_DEG) ** 0.5) * reach_px


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(round(point[0])), int(round(point[1]))
