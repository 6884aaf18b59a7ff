"""OpenAI's index files, and what of a downloaded pair of files must be mended before it is a recording of ours.

In: an index; `NAME.mp4` and `NAME.jsonl` as they came. Out: what the index lists; the recording in its folder.

* Names are <contractor>-<session>-<date>-<time>, in a folder named after the recorder's version ("data/6.9/"): a
  contractor is a channel, so that held-out channels are held-out people.
* Recorders 5.7 and 5.8 tell of twice the mouse motion in an open window, 6.7 to 6.9 of half: it is scaled by
  WINDOW_SCALE, as the comment in the published loader asks for and its code does not do. Elsewhere nothing is scaled.
* Rows beyond the last picture are dropped, as the published loader never reads them. Fewer rows than pictures is of no
  use: nobody knows what was pressed.
* All else is read where rows are read (vpt/actions.py): attack stuck from the menu, a slot chosen by the wheel is its
  hotbar key, ESC is no action of the policy; the pointer is drawn by shrink --cursor.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from data_gathering.http_file import fetch_file
from data_gathering.recordings import meta_path, pressed_path, video_path, words_path
from data_gathering.site import check_address
from vlpt.files import read_json, read_text, write_json, write_text
from vpt.actions import read_contractor
from vpt.frames import count_frames

WINDOW_SCALE = {"5.7": 0.5, "5.8": 0.5, "6.7": 2.0, "6.8": 2.0, "6.9": 2.0}  # of dx, dy; by recorder
LARGEST_INDEX = 1e8  # bytes
PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,150}")
PARTS = 3  # of a name, after the contractor: session, date, time
ESCAPE_FRAMES = 200  # before the end, in which "save and quit" says that an errand was done


class Misfit(ValueError):
    """A pair of files that is no recording, however often it is fetched."""


@dataclass(frozen=True)
class Listed:
    """A recording that an index lists."""

    id: str
    address: str  # without .mp4
    recorder: str  # version, as "6.9"; empty where the index does not say

    @property
    def channel(self) -> str:
        """The contractor."""
        parts = self.id.rsplit("-", PARTS)
        return parts[0] if len(parts) > PARTS else self.id


def read_index(index: str, attempts: int = 5, wait_s: float = 2.0) -> list[Listed]:
    """What an index file, or the one at an address, lists, each once, in its order. Raises ValueError naming it."""
    if not index.startswith(("http://", "https://")):
        return listed(read_json(index), index)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index.json"
        fetch_file(index, path, 1e9, LARGEST_INDEX, attempts, wait_s)
        return listed(read_json(path), index)


def listed(content, index: str) -> list[Listed]:
    """Of an index's content. Raises ValueError naming it where that is another, or a path leads elsewhere."""
    form = '{"basedir": "https://…/", "relpaths": ["data/6.9/NAME.mp4", …]}'
    if not isinstance(content, dict) or not isinstance(content.get("basedir"), str) or not isinstance(
            content.get("relpaths"), list):  # fmt: skip
        raise ValueError(f"{index} is no index file of OpenAI's: it should be {form}")
    base, found = check_address(content["basedir"]).rstrip("/"), {}
    for path in content["relpaths"]:
        parts = str(path).removesuffix(".mp4").strip("/").split("/")
        if not all(PLAIN.fullmatch(part) and part.strip(".") and not part.startswith("-") for part in parts):
            raise ValueError(f"{index} lists {str(path)[:100]!r}, which is no path of a recording")
        recorder = parts[-2] if len(parts) > 1 and re.fullmatch(r"\d+\.\d+", parts[-2]) else ""
        found.setdefault(parts[-1], Listed(parts[-1], f"{base}/{'/'.join(parts)}", recorder))
    return list(found.values())


def write_recording(one: Listed, part: Path, out: Path, errand: str = "") -> dict:
    """The pair of files in the folder `part` -> a recording in `out`; returns what the manifest says of it.

    The video appears last. Raises Misfit saying why it is none.
    """
    video, rows_path = video_path(part, one.id), pressed_path(part, one.id)
    scale = WINDOW_SCALE.get(one.recorder, 1.0)
    try:
        frames = count_frames(video)
        lines = [line for line in read_text(rows_path).split("\n") if line.strip()]
        if len(lines) < frames or not frames:
            raise ValueError(f"{len(lines)} rows of {frames} pictures")
        rows = [scaled(line, scale) for line in lines[:frames]]
        write_text(pressed_path(out, one.id), "\n".join(rows) + "\n")
        actions = read_contractor(pressed_path(out, one.id))
    except ValueError as error:
        pressed_path(out, one.id).unlink(missing_ok=True)
        raise Misfit(str(error)) from error
    mended = {"recorder": one.recorder, "window_scale": scale, "rows_dropped": len(lines) - frames}
    errands = [{"name": errand, "start_frame": 0, "end_frame": frames, "done": quits(rows)}] if errand else []
    write_json(meta_path(out, one.id), {"id": one.id, "channel": one.channel, "world": "minecraft", "frames": frames,
               "fps": 20, "errands": errands, "source": f"{one.address}.mp4", **mended})  # fmt: skip
    write_text(words_path(out, one.id), "")  # contractors are not heard
    with open(video, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows_path.unlink()
    os.replace(video, video_path(out, one.id))
    return {"frames": frames, "null": int(actions.null.sum()), "sha256": digest, "source": one.address, **mended}


def scaled(line: str, scale: float) -> str:
    """A row whose mouse motion is scaled where a window is open; any other stays as it came, byte for byte."""
    if scale == 1.0:
        return line
    row = json.loads(line)
    if not isinstance(row, dict) or not row.get("isGuiOpen"):
        return line
    row["mouse"] |= {axis: row["mouse"][axis] * scale for axis in ("dx", "dy")}
    return json.dumps(row)


def quits(rows: list[str]) -> bool:
    """Whether the player opened the game's menu near the end, by which a BASALT task is said to be done."""
    return any("key.keyboard.escape" in row for row in rows[-ESCAPE_FRAMES:])
