"""A human hand on the mouse: smooth strokes that miss a little, are noticed, and are corrected.

In:  where the eyes point now and where they should point, in degrees (yaw clockwise, pitch down positive).
Out: the mouse motion of one frame, degrees (pitch, yaw), whole mouse counts, never more than 9.9 degrees.
Run: python -m data_gathering.demonstrate (this file is one of its parts).

A stroke follows the minimum-jerk profile of Flash and Hogan (1985); its duration grows with the logarithm of the
distance (Fitts 1954); its length is wrong by a few percent (signal-dependent noise, Harris and Wolpert 1998); after
it the hand waits for the eye, a reaction time, and then corrects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vpt.actions import DEGREES_PER_COUNT

LIMIT_DEG = 9.9  # VPT's camera quantiser clips at 10 degrees a frame


@dataclass(frozen=True)
class HandHabits:
    """How one person moves the mouse."""

    frames_per_doubling: float = 2.4  # a stroke takes this many frames more for each doubling of its length
    gain: float = 1.02  # mean of stroke length / wanted length; above 1 this hand overshoots
    gain_noise: float = 0.07  # standard deviation of the same
    sideways_noise: float = 0.05  # error across the stroke, as a share of its length
    tremor: float = 0.12  # noise of each frame's speed, as a share of it
    reaction_frames: tuple[int, int] = (2, 6)  # between a stroke and its correction, least and most


def turn_deg(from_deg: float, to_deg: float) -> float:
    """The shortest turn from one yaw to another, in [-180, 180)."""
    return (to_deg - from_deg + 180.0) % 360.0 - 180.0


def minimum_jerk(n_frames: int) -> np.ndarray:
    """Shares of the whole way made in each of `n_frames` frames (sum 1): a bell, slow at both ends."""
    s = np.linspace(0.0, 1.0, n_frames + 1)
    return np.diff(10 * s**3 - 15 * s**4 + 6 * s**5)


class Hand:
    """The state of the hand between two frames. `move` is called once a frame."""

    def __init__(self, habits: HandHabits, rng: np.random.Generator) -> None:
        self.habits, self.rng = habits, rng
        self.stroke: list[np.ndarray] = []  # what is left of the present stroke: (pitch, yaw) degrees a frame
        self.aimed_at = np.zeros(2)  # (pitch, yaw) the present stroke was meant for
        self.wait = 0  # frames until the eye has noticed
        self.left_over = np.zeros(2)  # degrees too small for a mouse count, kept for the next frame

    def move(self, now: Sequence[float], goal: Sequence[float], tolerance_deg: float) -> np.ndarray:
        """now, goal: (pitch, yaw) degrees. Returns this frame's motion (pitch, yaw), float64 degrees, whole
        mouse counts."""
        error = np.array([goal[0] - now[0], turn_deg(now[1], goal[1])], float)
        if self.stroke and np.hypot(goal[0] - self.aimed_at[0], turn_deg(self.aimed_at[1], goal[1])) > 25:
            self.stroke = []  # the mind has changed; the hand follows at once
        if self.stroke:
            return self.counts(self.stroke.pop(0))
        if np.hypot(*error) <= tolerance_deg:
            return self.counts(np.zeros(2))
        if self.wait > 0:
            self.wait -= 1
            return self.counts(np.zeros(2))
        self.plan(error, np.asarray(goal, float))
        return self.counts(self.stroke.pop(0))

    def plan(self, error: np.ndarray, goal: np.ndarray) -> None:
        """Fill `stroke` with a movement that nearly covers `error` (pitch, yaw) degrees."""
        habits, rng = self.habits, self.rng
        length = np.hypot(*error)
        across = np.array([-error[1], error[0]])
        wanted = error * rng.normal(habits.gain, habits.gain_noise) + across * rng.normal(0.0, habits.sideways_noise)
        fitts = 2 + habits.frames_per_doubling * np.log2(1 + length / 2) * rng.uniform(0.85, 1.2)
        frames = int(max(2, round(fitts), np.ceil(1.875 * length / 8.5)))  # 1.875: peak over mean speed of the profile
        speed = minimum_jerk(frames) * (1 + habits.tremor * rng.standard_normal(frames))
        self.stroke = list(wanted * (speed / speed.sum())[:, None])
        self.aimed_at = goal
        self.wait = int(rng.integers(habits.reaction_frames[0], habits.reaction_frames[1] + 1))

    def counts(self, motion_deg: np.ndarray) -> np.ndarray:
        """Whole mouse counts; the rest is carried into the next frame."""
        wanted = np.clip(motion_deg + self.left_over, -LIMIT_DEG, LIMIT_DEG)
        counts = np.round(wanted / DEGREES_PER_COUNT)
        self.left_over = wanted - counts * DEGREES_PER_COUNT
        return np.round(counts * DEGREES_PER_COUNT, 2)
