"""What is in view, as the world knows it: `<id>.view.jsonl.gz` of `python -m data_gathering.view`, and questions to it.

    {"frame": 8, "hand": "axe", "things": [{"kind": "pillar", "colour": "red", "distance_m": 6.2,
                                            "share": [0.0, 0.0, 0.0121]}, ...]}

One such line a tick. In: a file and its episode. Out: lines, and for each question an answer a line.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter

from vlpt.data.shards import Episode
from vpt.errors import one_line
from vpt.files import is_there

SIDES = ("left", "middle", "right")
COLOURS = ("red", "yellow", "blue")


@dataclass(frozen=True)
class Thing:
    """One thing in view; share: of the picture, that it covers in its left, middle and right third."""

    kind: str
    colour: str
    distance_m: float
    share: tuple[float, float, float]


@dataclass(frozen=True)
class Line:
    """What is in view at a frame, as `data_gathering.view` writes it."""

    frame: Annotated[int, Field(ge=0)]
    hand: str
    things: list[Thing]


def view_path(folder: Path | str, id_: str) -> Path:
    """Where it is said what is in view in an episode."""
    return Path(folder) / f"{id_}.view.jsonl.gz"


def read_view(folder: Path | str, episode: Episode) -> list[Line]:
    """The lines of an episode. Raises ValueError where their file is missing, damaged, or not of this episode."""
    path = view_path(folder, episode.id)
    again = f"make it with python -m data_gathering.view --recordings {path.parent}"
    if not is_there(path):
        raise ValueError(f"{path} is missing: {again}")
    try:
        lines = TypeAdapter(list[Line]).validate_python(
            [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()])
        if not lines or max(line.frame for line in lines) >= episode.n_frames:
            raise ValueError(f"it has {len(lines)} lines that do not fit the {episode.n_frames} frames of the episode")
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be read as what is in view ({one_line(error, 200)}): {again}") from error
    return lines


def answers(views: Sequence[Line], least_share: float) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each question as (group, question, (N,) float: 1 yes, 0 no, nan hard to say)."""
    def there(wanted: Callable[[Thing], bool], side: int) -> np.ndarray:
        share = np.array([max((t.share[side] for t in view.things if wanted(t)), default=0.0) for view in views])
        return np.where(share >= least_share, 1.0, np.where(share > 0, np.nan, 0.0))

    for i, side in enumerate(SIDES):
        yield "tree", f"tree {side}", there(lambda t: t.kind == "tree", i)
        for colour in COLOURS:
            yield "colour", f"{colour} {side}", there(lambda t, c=colour: t.colour == c, i)
            for kind in ("pillar", "flower"):
                wanted = (kind, colour)
                yield kind, f"{colour} {kind} {side}", there(lambda t, w=wanted: (t.kind, t.colour) == w, i)
    for tool in sorted({view.hand for view in views}):
        yield "hand", f"{tool} in the hand", np.array([float(view.hand == tool) for view in views])


def nearest_m(views: Sequence[Line], least_share: float) -> np.ndarray:
    """(N,) how far the nearest thing is that covers so much of the picture; nan where none does."""
    return np.array([min((t.distance_m for t in view.things if sum(t.share) >= least_share), default=np.nan)
                     for view in views])  # fmt: skip
