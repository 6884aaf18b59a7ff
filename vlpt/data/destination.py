"""Where the next walk leads, as seen from here: beside the view, or in which column of it?

In: the actions of an episode. Out: `destination`, (N,) int64: LEFT of the view, one of COLUMNS columns of it from left
to right, RIGHT of it, or UNKNOWN where no walk ends soon; what is beside the view is on the side to which one turns. It
is hindsight, read off the actions alone by dead reckoning, so that any labelled play has it (on the scripted player's
play the bearing is 6 degrees from the truth in the median). The agent is told it in some of the chunks that it learns
from, so that it learns to go where it is told.
"""

import numpy as np

from vlpt.data.meant import UNKNOWN
from vpt.actions import BUTTONS, MINECRAFT
from vpt.finder import COLUMNS
from vpt.frames import FRAMES_PER_SECOND

PLACES = COLUMNS + 2
LEFT, RIGHT = 0, COLUMNS + 1
VIEW_DEG = 105.0  # from the left of the picture to its right: 16:9, 70 degrees and a little from top to bottom
STEP_M = 0.2  # of walking, a frame
IN_FRONT_M = 2.0  # from where one stops to what one stops for
STANDS_FRAMES = FRAMES_PER_SECOND // 2  # without a step forwards: the walk has ended
SECONDS = 8.0  # until then, at most
FRAMES = round(SECONDS * FRAMES_PER_SECOND) + STANDS_FRAMES  # that are looked at beyond a frame
_FORWARD, _BACK, _LEFT, _RIGHT = (BUTTONS.index(name) for name in ("forward", "back", "left", "right"))
_EDGES = np.degrees(np.arctan(np.tan(np.radians(VIEW_DEG / 2)) * np.linspace(-1, 1, COLUMNS + 1)))


def destination(buttons_index: np.ndarray, camera_index: np.ndarray) -> np.ndarray:
    """Indices (N,) of what is done at each frame -> (N,) int64, of what is seen before it is done; it rests on FRAMES
    frames from each on.
    """
    buttons, camera_deg = MINECRAFT.decode(buttons_index, camera_index)
    n, found = len(buttons), np.full(len(buttons), UNKNOWN)
    ends = np.flatnonzero(_stops(buttons[:, _FORWARD] > 0))
    if not len(ends):
        return found
    now = np.arange(n)
    after = np.minimum(np.searchsorted(ends, now), len(ends) - 1)
    end = ends[after]
    known = (end >= now) & (end - now < FRAMES - STANDS_FRAMES)
    yaw = np.concatenate([[0], np.cumsum(camera_deg[:, 1], dtype=np.float64)])
    place = _reckoned(buttons, yaw[1:])
    there = place[end + 1] + IN_FRONT_M * _ahead(yaw[end + 1])
    east, north = (there - place[:-1]).T
    bearing = (np.degrees(np.arctan2(east, north)) - yaw[:-1] + 180) % 360 - 180
    found[known] = np.digitize(bearing, _EDGES)[known]
    return _as_turned(found, end, yaw[:-1])


def _as_turned(found: np.ndarray, end: np.ndarray, yaw_deg: np.ndarray) -> np.ndarray:
    """Places (N,) and the last frame (N,) of each walk: what is beside the view is on the side to which one turns until
    it is in view, be it the long way round.
    """
    seen = np.flatnonzero((found >= 1) & (found <= COLUMNS))
    if not len(seen):
        return found
    now = np.arange(len(found))
    then = seen[np.minimum(np.searchsorted(seen, now), len(seen) - 1)]
    beside = ((found == LEFT) | (found == RIGHT)) & (then > now) & (end[then] == end)
    return np.where(beside, np.where(yaw_deg[then] > yaw_deg, RIGHT, LEFT), found)


def _stops(forward: np.ndarray) -> np.ndarray:
    """(N,) bool: a step forwards, and then none for STANDS_FRAMES frames, which are all known."""
    so_far = np.concatenate([np.cumsum(forward), np.full(STANDS_FRAMES, -1)])
    return forward & (so_far[STANDS_FRAMES:] == so_far[: len(forward)])


def _reckoned(buttons: np.ndarray, yaw_deg: np.ndarray) -> np.ndarray:
    """buttons (N, 20), the yaw (N,) that each step is made at -> (N + 1, 2) metres, before the first step and after
    each; what stands in the way is not known.
    """
    held = buttons.astype(np.float64)
    forward, right = held[:, _FORWARD] - held[:, _BACK], held[:, _RIGHT] - held[:, _LEFT]
    length = np.maximum(np.hypot(forward, right), 1)
    steps = (forward[:, None] * _ahead(yaw_deg) + right[:, None] * _ahead(yaw_deg + 90)) * STEP_M / length[:, None]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])


def _ahead(yaw_deg: np.ndarray) -> np.ndarray:
    """Yaw (N,), clockwise -> (N, 2) of length 1."""
    return np.stack([np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg))], -1)
