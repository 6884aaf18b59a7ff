"""What is in view, tick by tick, as the world knows it: the truth that probes of an agent's features are held against.

In:  recordings in the scripted player's format (their meta file names world and arena seed, their rows hold the pose).
Out: `<id>.view.jsonl.gz` beside each, one line a language tick (every 4th frame):

    {"frame": 8, "hand": "axe", "things": [{"kind": "pillar", "colour": "red", "distance_m": 6.2,
                                            "share": [0.0, 0.0, 0.0121]}, ...]}

share: of the whole picture, what the thing covers in its left, middle and right third, nearer things in front of it
left away: a ray is cast through every cell of a grid of 128 x 72. A thing that covers fewer than two cells is left out.
hand: what the chosen slot of the hotbar held when play began; "other" for a slot that began empty.

The arena is asked of Luanti itself, which builds it again from its seed; so it must be installed. It does not tell how
high a trunk or a pillar is: the middle of what its builder gives. A flower is gone from the end of the errand
that picked it; logs and heaps that shrink, and blocks that were placed, are not known from a recording: a heap is drawn
whole, a placed block hides nothing.

Run: python -m data_gathering.view --recordings data_gathering/samples
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from tqdm import tqdm

from data_gathering.recordings import find_recordings, meta_of, meta_path, pressed_path
from data_gathering.streamer.ground import Arena, whole
from data_gathering.streamer.player import EYE_M
from vlpt.files import read_lines
from vlpt.options import Count, run
from vlpt.worlds import make
from vpt.files import whole_file

WORLD = "luanti"
GRID = (128, 72)  # columns, rows of rays: 16:9, as the player's window
FOV_DEG = 72.0  # from top to bottom, as the game is set
LEAST_CELLS = 2
REACH_M = 5.0  # from the eyes to a flower that is picked, at most
HAND = ("axe", "pick", "shovel", "cobble", "wood")  # slots 0 to 4
FLOWERS = {"rose": "red", "tulip": "orange", "dandelion_yellow": "yellow", "geranium": "blue", "viola": "purple",
           "dandelion_white": "white"}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Writes what is in view in each tick of recordings of a scripted player."""

    recordings: str  # folder of the recordings; <id>.view.jsonl.gz is written beside each
    channels: tuple[str, ...] = ()  # only these; all where none is named
    frames_per_tick: Count = 4  # frames from one line to the next


@dataclass(frozen=True, eq=False)
class Thing:
    """Something that can be in view: its boxes' corners (n, 2, 3), metres, low and high (x, y, z), y up."""

    kind: str
    colour: str
    boxes: np.ndarray


def box(x: float, z: float, half_m: float, low_y: float, high_y: float) -> list[list[float]]:
    """An upright box around (x, z)."""
    return [[x - half_m, low_y, z - half_m], [x + half_m, high_y, z + half_m]]


def read_things(arena: Arena) -> list[Thing]:
    """Everything of `info["arena"]` that people name."""
    arena = whole(arena)
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


def steps(arena: Arena) -> Thing:
    """Two nodes wide, each solid down to the floor."""
    course, low_y = np.array(arena["steps"], float), float(arena["spawn"][1])
    aside = (course[1] - course[0])[[2, 1, 0]] * [1, 0, 1]  # as the builder lays the second row
    ends = np.stack([course, course + aside])
    low, high = ends.min(0) - 0.5, ends.max(0) + 0.5
    low[:, 1] = low_y
    return Thing("steps", "", np.stack([low, high], 1))


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


def view_of(row: dict[str, Any]) -> View:
    """From the pose in one contractor row."""
    eye = np.array([row["xpos"], row["ypos"] + EYE_M, row["zpos"]], float)
    return View(eye, row["yaw"], row["pitch"])


def picked(meta: dict[str, Any], rows: Sequence[dict[str, Any]], things: Sequence[Thing]) -> dict[int, int]:
    """{index of a flower: the frame from which it is gone}: where an errand picked one, the nearest to the gaze."""
    gone: dict[int, int] = {}
    for errand in meta["errands"]:
        if not errand["name"].startswith("flower ") or not errand["done"]:
            continue
        view = view_of(rows[min(errand["end_frame"], len(rows) - 1)])
        away = {i: np.linalg.norm(np.cross(thing.boxes.mean((0, 1)) - view.eye, view.ahead))
                for i, thing in enumerate(things)
                if thing.kind == "flower" and i not in gone and view.distance_m(thing) < REACH_M}  # fmt: skip
        if away:
            gone[min(away, key=away.get)] = errand["end_frame"]
    return gone


def view_lines(meta: dict[str, Any], rows: Sequence[dict[str, Any]], arena: Arena, every: int) -> Iterator[dict]:
    """One line every so many frames."""
    things = read_things(arena)
    gone = picked(meta, rows, things)
    for frame in range(0, len(rows), every):
        left = [thing for i, thing in enumerate(things) if frame < gone.get(i, len(rows))]
        slot = rows[max(frame - 1, 0)]["hotbar"]  # a row's slot is that after its action
        hand = HAND[slot] if slot < len(HAND) else "other"
        yield {"frame": frame, "hand": hand, "things": view_of(rows[frame])(left)}


def write_view(folder: Path, id_: str, game: gymnasium.Env, every: int) -> None:
    """Writes `<id>.view.jsonl.gz` of one recording, whole or not at all. Raises ValueError for rows without a pose."""
    meta, path = meta_of(folder, id_), pressed_path(folder, id_)
    rows = read_lines(path)
    for number, row in enumerate(rows or [{}], 1):
        if not {"xpos", "ypos", "zpos", "yaw", "pitch", "hotbar"} <= row.keys():
            raise ValueError(f"{path}, line {number}: no pose (xpos, ypos, zpos, yaw, pitch, hotbar): record it again")
    _, info = game.reset(seed=meta["arena_seed"])
    lines = view_lines(meta, rows, info["arena"], every)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    with whole_file(Path(folder) / f"{id_}.view.jsonl.gz") as unfinished:
        unfinished.write_bytes(gzip.compress(text.encode(), mtime=0))  # the same bytes each time


def check_made_here(folder: Path, id_: str) -> None:
    """Raises ValueError for a recording whose arena cannot be built again."""
    meta = meta_of(folder, id_)
    if meta.get("world") != WORLD or not {"arena_seed", "errands"} <= meta.keys():
        raise ValueError(f"{meta_path(folder, id_)} names no arena of {WORLD} (world, arena_seed, errands): only what "
                         "data_gathering.demonstrate recorded there can be looked at again; name others' --channels")


def main(options: Options) -> None:
    """Writes what is in view in every recording; a file that is there is written anew."""
    folder = Path(options.recordings)
    ids = find_recordings(folder, options.channels)
    for id_ in ids:  # before minutes of work
        check_made_here(folder, id_)
    try:
        with closing(make(WORLD)) as game:
            for id_ in tqdm(ids, "view", unit="recording"):
                write_view(folder, id_, game, options.frames_per_tick)
    except RuntimeError as error:  # of the game: not installed, or it does not start
        raise ValueError(str(error)) from error


if __name__ == "__main__":
    run(main, Options)
