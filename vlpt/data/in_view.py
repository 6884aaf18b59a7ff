"""What of an arena is in view from a pose: boxes seen through the game's lens, ray by ray.

In: `info["arena"]` of a world, and a pose. Out: the things in view, the nearest first, as `<id>.view.jsonl.gz` has them
(vlpt/data/views.py):

    things = read_things(info["arena"])
    View(eye_of(truth["position"]), truth["yaw_deg"], truth["pitch_deg"])(things)

The arena does not tell how high a trunk or a pillar is: the middle of what its builder gives. Metres, y up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

GRID = (128, 72)  # columns, rows of rays: 16:9, as the player's window
FOV_DEG = 72.0  # from top to bottom, as the game is set
LEAST_CELLS = 2
EYE_M = 1.47  # of the eyes above the feet
FLOWERS = {"rose": "red", "tulip": "orange", "dandelion_yellow": "yellow", "geranium": "blue", "viola": "purple",
           "dandelion_white": "white"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Thing:
    """Something that can be in view: its boxes' corners (n, 2, 3), metres, low and high (x, y, z), y up."""

    kind: str
    colour: str
    boxes: np.ndarray


def box(x: float, z: float, half_m: float, low_y: float, high_y: float) -> list[list[float]]:
    """An upright box around (x, z)."""
    return [[x - half_m, low_y, z - half_m], [x + half_m, high_y, z + half_m]]


def read_things(arena: dict[str, Any]) -> list[Thing]:
    """Everything of `info["arena"]` that people name."""
    things = [Thing("pillar", colour, np.array([box(x, z, 0.5, y - 0.5, y + 4.0)]))
              for colour, (x, y, z) in arena["pillars"].items()]  # fmt: skip
    for x, y, z in arena["trees"]:
        crown = box(x, z, 2.4, y + 3.2, y + 5.6), box(x, z, 1.5, y + 5.6, y + 6.5)
        things.append(Thing("tree", "", np.array([box(x, z, 0.5, y - 0.5, y + 3.2), *crown])))
    for flower in arena["flowers"]:
        x, y, z = flower["position"]
        colour = FLOWERS[flower["node"].split(":")[-1]]
        things.append(Thing("flower", colour, np.array([box(x, z, 0.22, y - 0.5, y + 0.25)])))
    for kind in ("sand", "dirt", "stone"):
        for x, y, z in arena[kind]:
            heap = box(x, z, 1.5, y - 0.5, y + 0.5), box(x, z, 0.5, y + 0.5, y + 1.5)
            things.append(Thing(kind, "", np.array(heap)))
    for x, y, z in arena["water"]:
        things.append(Thing("water", "", np.array([box(x, z, 1.5, y - 0.5, y + 0.52)])))
    return [*things, steps(arena)]


def steps(arena: dict[str, Any]) -> Thing:
    """Two nodes wide, each solid down to the floor."""
    course, low_y = np.array(arena["steps"], float), float(arena["spawn"][1])
    aside = (course[1] - course[0])[[2, 1, 0]] * [1, 0, 1]  # as the builder lays the second row
    ends = np.stack([course, course + aside])
    low, high = ends.min(0) - 0.5, ends.max(0) + 0.5
    low[:, 1] = low_y
    return Thing("steps", "", np.stack([low, high], 1))


def eye_of(position: Sequence[float]) -> np.ndarray:
    """(3,): the eyes of a player whose feet are at a position."""
    return np.add(position, (0.0, EYE_M, 0.0))


class View:
    """The picture's rays from an eye at (x, y, z), yaw clockwise from +z, pitch downwards, degrees."""

    def __init__(self, eye: np.ndarray, yaw_deg: float, pitch_deg: float) -> None:
        yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
        self.eye = eye
        self.ahead = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        self.right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        self.down = -np.cross(self.ahead, self.right)
        columns, rows = GRID
        self.scale = np.tan(np.radians(FOV_DEG / 2)) / (rows / 2)
        x = (np.arange(columns) + 0.5 - columns / 2) * self.scale
        y = (np.arange(rows) + 0.5 - rows / 2) * self.scale
        self.rays = self.ahead + x[None, :, None] * self.right + y[:, None, None] * self.down  # (rows, columns, 3)

    def cells(self, corners: np.ndarray) -> tuple[slice, slice]:
        """The rows and columns that a box (2, 3) may cover; all of them for one that reaches behind the eye."""
        points = np.array(np.meshgrid(*corners.T)).reshape(3, -1).T - self.eye
        depth = points @ self.ahead
        if depth.max() <= 0:
            return slice(0), slice(0)
        if depth.min() < 0.05:
            return slice(None), slice(None)
        found = []
        for axis, count in ((self.down, GRID[1]), (self.right, GRID[0])):
            at = points @ axis / depth / self.scale + count / 2
            found.append(slice(*np.clip([np.floor(at.min()), np.ceil(at.max())], 0, count).astype(int)))
        return found[0], found[1]

    def depth(self, corners: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """How far along each ray (…, 3) a box (2, 3) is, infinite where it is missed (slab method)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = (corners - self.eye)[:, None, None] / rays
        enter, leave = np.minimum(near, far).max(-1), np.maximum(near, far).min(-1)
        return np.where((enter <= leave) & (leave > 0), np.maximum(enter, 0.0), np.inf)

    def cast(self, things: Sequence[Thing]) -> np.ndarray:
        """(rows, columns): the index of the thing that each ray meets first, -1 for none."""
        first, nearest = np.full(self.rays.shape[:2], -1), np.full(self.rays.shape[:2], np.inf)
        for i, thing in enumerate(things):
            for corners in thing.boxes:
                where = self.cells(corners)
                depth = self.depth(corners, self.rays[where])
                nearer = depth < nearest[where]
                nearest[where][nearer], first[where][nearer] = depth[nearer], i
        return first

    def __call__(self, things: Sequence[Thing]) -> list[dict[str, Any]]:
        """The things in view, the nearest first, as the file says them."""
        first, found = self.cast(things), []
        thirds = np.arange(GRID[0]) * 3 // GRID[0]
        for i in np.unique(first[first >= 0]):
            columns = (first == i).sum(0)
            if columns.sum() >= LEAST_CELLS:
                share = [round(float(columns[thirds == third].sum()) / first.size, 4) for third in range(3)]
                found.append({"kind": things[i].kind, "colour": things[i].colour,
                              "distance_m": round(self.distance_m(things[i]), 1), "share": share})  # fmt: skip
        return sorted(found, key=lambda one: one["distance_m"])

    def distance_m(self, thing: Thing) -> float:
        """From the eye to the nearest point of a thing."""
        low, high = thing.boxes[:, 0], thing.boxes[:, 1]
        return float(np.linalg.norm(np.clip(self.eye, low, high) - self.eye, axis=-1).min())
