"""What will be done soon: of each button whether it is pressed within the next seconds, and whether the view turns.

In: the actions of an episode. Out: `soon`, (N, SOON) bool. It is read off the actions alone, so that any labelled play
has it; with it the agent learns what words announce (vlpt/intention.py).
"""

import numpy as np

from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import FRAMES_PER_SECOND

SECONDS = 2.0
FRAMES = round(SECONDS * FRAMES_PER_SECOND)
UP_DEG, AROUND_DEG = 15.0, 40.0  # of turning within that time: a glance, not the jitter of walking
NAMES = (*BUTTONS, "look up", "look down", "turn left", "turn right")
SOON = len(NAMES)


def soon(buttons_index: np.ndarray, camera_index: np.ndarray) -> np.ndarray:
    """Indices (N,) of what is done at each frame -> (N, SOON) bool, of each frame and those up to FRAMES - 1 later."""
    buttons, camera_deg = MINECRAFT.decode(buttons_index, camera_index)
    pressed, (pitch, yaw) = _ahead(buttons) > 0, _ahead(camera_deg).T
    turned = np.stack([pitch < -UP_DEG, pitch > UP_DEG, yaw < -AROUND_DEG, yaw > AROUND_DEG], 1)
    return np.concatenate([pressed, turned], 1)


def _ahead(values: np.ndarray) -> np.ndarray:
    """values (N, n) -> (N, n) float64: their sum over FRAMES frames from each on, as far as there are."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0, dtype=np.float64)])
    begin = np.arange(len(values))
    return sums[np.minimum(begin + FRAMES, len(values))] - sums[begin]
