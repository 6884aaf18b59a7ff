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
from data_gathering.streamer.ground import Arena
from vlpt.data.in_view import Thing, View, eye_of, read_things
from vlpt.data.views import view_path
from vlpt.files import read_lines
from vlpt.options import Count, run
from vlpt.worlds import make
from vpt.files import whole_file

WORLD = "luanti"
REACH_M = 5.0  # from the eyes to a flower that is picked, at most
HAND = ("axe", "pick", "shovel", "cobble", "wood")  # slots 0 to 4


@dataclass(frozen=True)
class Options:
    """Writes what is in view in each tick of recordings of a scripted player."""

    recordings: str  # folder of the recordings; <id>.view.jsonl.gz is written beside each
    channels: tuple[str, ...] = ()  # only these; all where none is named
    frames_per_tick: Count = 4  # frames from one line to the next


def view_of(row: dict[str, Any]) -> View:
    """From the pose in one contractor row."""
    return View(eye_of([row["xpos"], row["ypos"], row["zpos"]]), row["yaw"], row["pitch"])


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
    with whole_file(view_path(folder, id_)) as unfinished:
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
