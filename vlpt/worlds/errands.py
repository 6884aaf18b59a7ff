"""Errands: what a reset can ask for, and when the truth says that it is done.

In: info["truth"] after each step and info["arena"]. Out: progress, so that a world can reward and end an episode.

    errand = Errand("go_pillar:red", arena, truth); errand.update(truth, camera_deg); errand.done
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["COLOURS", "ERRANDS", "Errand", "above_ground", "check_options"]

COLOURS = ("red", "blue", "yellow", "green", "white")
DUG = {  # errand: how a dug node's name is recognised, how many are wanted
    "chop": (("tree",), 3),
    "dig_sand": ((":sand", ":desert_sand", ":silver_sand"), 3),
    "dig_dirt": ((":dirt", ":dry_dirt"), 3),
    "dig_stone": ((":stone", ":cobble", ":desert_stone", ":mossycobble"), 3),
    "pick_flower": (("flowers:",), 1),
}
PLACED = 3  # nodes
LOOKED_DEG = 300.0  # of turning, summed over the steps
WANDERED_M = 15.0  # of walking, summed over the steps
REACHED_M = 2.5  # from a pillar's axis: the scripted player stops at 1.6 to 2.4
ERRANDS = (*DUG, *(f"go_pillar:{colour}" for colour in COLOURS), "climb", "place", "look", "wander")


class Errand:
    """Counts what has been done of one errand: `progress` grows to `goal`."""

    def __init__(self, name: str, arena: dict[str, Any], truth: dict[str, Any]) -> None:
        """Raises ValueError when `name` is not one of ERRANDS."""
        if name not in ERRANDS:
            raise ValueError(f"there is no errand {name!r}; choose one of {', '.join(ERRANDS)}")
        self.name, self.progress = name, 0.0
        self.goal = float({**{dig: count for dig, (_, count) in DUG.items()}, "place": PLACED, "look": LOOKED_DEG,
                           "wander": WANDERED_M}.get(name, 1))  # fmt: skip
        self._arena, self._position = arena, np.asarray(truth["position"], float)

    @property
    def done(self) -> bool:
        return self.progress >= self.goal

    def update(self, truth: dict[str, Any], camera_deg: np.ndarray) -> None:
        """One step: `truth` after it, and the (pitch, yaw) degrees applied in it."""
        position = np.asarray(truth["position"], float)
        self.progress += self._gain(truth, position, float(np.abs(camera_deg).sum()))
        self._position = position

    def report(self) -> dict[str, Any]:
        """info["errand"]."""
        return {"name": self.name, "done": self.done, "progress": self.progress, "goal": self.goal}

    def _gain(self, truth: dict[str, Any], position: np.ndarray, turned_deg: float) -> float:
        if self.name in DUG:
            names = [event["node"] for event in truth["events"] if event["kind"] == "dig"]
            return sum(any(part in name for part in DUG[self.name][0]) for name in names)
        if self.name == "place":
            return sum(event["kind"] == "place" for event in truth["events"])
        if self.name == "look":
            return turned_deg
        if self.name == "wander":
            return float(np.hypot(*(position - self._position)[[0, 2]]))
        return float(self._stands_at_goal(position))

    def _stands_at_goal(self, position: np.ndarray) -> bool:
        if self.name == "climb":
            top = np.asarray(self._arena["steps"][-1], float)
            return position[1] >= top[1] + 0.4 and np.hypot(*(position - top)[[0, 2]]) < 1.5
        pillar = np.asarray(self._arena["pillars"][self.name.split(":")[1]], float)
        return bool(np.hypot(*(position - pillar)[[0, 2]]) < REACHED_M)


def above_ground(truth: dict[str, Any], arena: dict[str, Any]) -> dict[str, Any]:
    """The truth without what happened to the ground itself: who digs at his feet does no errand."""
    events = [event for event in truth["events"] if event["position"][1] > arena["ground"] + 0.5]
    return {**truth, "events": events}


def check_options(options: dict[str, Any] | None) -> str | None:
    """The errand that a reset's `options` ask for. Raises ValueError for an unknown errand or option."""
    unknown = set(options or {}) - {"errand"}
    if unknown:
        raise ValueError(f"reset knows no option {', '.join(sorted(unknown))}; it knows errand")
    errand = (options or {}).get("errand")
    if errand is not None and errand not in ERRANDS:
        raise ValueError(f"there is no errand {errand!r}; choose one of {', '.join(ERRANDS)}")
    return errand
