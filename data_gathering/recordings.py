"""What a recording on disk is: a video, and beside it, where they are known, its words, its actions and its origin.

    <id>.mp4            pictures, and perhaps sound
    <id>.words.jsonl    what is said in it, and when (vlpt/data/words.py)
    <id>.jsonl          what was truly pressed, one contractor object a frame (vpt/actions.py)
    <id>.meta.json      {"channel", "world", "seed", "errands", ..., "repeated", "repeated_frames"}

`repeated` is the share of frames that show the picture before once more, as in files of fewer than 20 pictures a
second; `repeated_frames` says which (`repeated_frames`). Nothing moves in them, whatever was pressed.

In: a folder, or several that hold these parts. Out: ids, paths, what the meta file says, the pictures an agent sees.
"""

import base64
from pathlib import Path

import numpy as np

from vlpt.data.shards import fits
from vlpt.files import read_json, read_text
from vpt.actions import read_contractor
from vpt.agent_video import AgentVideo, Pointer, inspect_video
from vpt.files import is_there
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND, write_video
from vpt.media import readable
from vpt.options import short


def video_path(folder: Path | str, id_: str) -> Path:
    """The pictures. Paths are joined by hand, as an id may hold dots."""
    return Path(folder) / f"{id_}.mp4"


def words_path(folder: Path | str, id_: str) -> Path:
    """What is said."""
    return Path(folder) / f"{id_}.words.jsonl"


def pressed_path(folder: Path | str, id_: str) -> Path:
    """What was truly pressed."""
    return Path(folder) / f"{id_}.jsonl"


def meta_path(folder: Path | str, id_: str) -> Path:
    """Where it comes from."""
    return Path(folder) / f"{id_}.meta.json"


def find_recordings(folder: Path | str, channels: tuple[str, ...] = ()) -> list[str]:
    """The ids of a folder's recordings, sorted. Raises ValueError when there is none (of those channels)."""
    ids = sorted(path.stem for path in Path(folder).glob("*.mp4"))
    kept = [id_ for id_ in ids if not channels or _belongs(folder, id_, channels)]
    if not kept:
        raise ValueError(f"{folder} holds no recording (<id>.mp4)" + (f" of {', '.join(channels)}" if channels else "")
                         + ": record some with data_gathering.demonstrate, or name another folder")
    return kept


def chosen(ids: list[str], only: Path | str) -> list[str]:
    """Those of the ids that a file names, one a line, in their own order. Blanks within a line are the id's.

    Raises ValueError naming a file that is missing or no text, and the first line of which there is no recording.
    """
    with readable(only, "ids, one a line"):
        wanted = {line.strip() for line in read_text(only, "utf-8-sig").split("\n")} - {""}
    if missing := sorted(wanted - {id_.strip() for id_ in ids}):
        raise ValueError(f"{only} names {short(missing[0])}, of which there is no recording: it takes one id a line")
    return [id_ for id_ in ids if id_.strip() in wanted]


def channel_of(id_: str) -> str:
    """The channel that an id begins with: what stands before its last "-"."""
    return id_.rsplit("-", 1)[0]


def _belongs(folder: Path | str, id_: str, channels: tuple[str, ...]) -> bool:
    """By the meta file; where that is broken by the id, as one broken file must not stop the others."""
    try:
        return meta_of(folder, id_)["channel"] in channels
    except ValueError:
        return channel_of(id_) in channels


def meta_of(folder: Path | str, id_: str) -> dict:
    """What the meta file says, if there is one; a recording without it belongs to the channel its id begins with.

    Raises ValueError naming a file that is no JSON object, or whose channel is no name.
    """
    path, meta = meta_path(folder, id_), {}
    if is_there(path):
        meta = read_json(path)
    meta = {"channel": channel_of(id_), **meta} if isinstance(meta, dict) else None
    if meta is None or not isinstance(meta["channel"], str):
        raise ValueError(f"{path} is no JSON object with a channel's name: delete it or record again")
    return meta


def repeated_frames(folder: Path | str, id_: str, video: AgentVideo | None = None) -> np.ndarray:
    """(n,) bool, one a frame: it shows the picture before once more, by the file's clock or by what `shrink` noted.

    What looks like doing nothing there says nothing of what was pressed. video: of `id_`, where it was inspected
    already. Raises ValueError naming a video that is broken, and a note that is not of this video.
    """
    video = video or inspect_video(video_path(folder, id_))
    noted = meta_of(folder, id_).get("repeated_frames")
    if noted is None:
        return video.repeated
    with readable(meta_path(folder, id_), f"notes of {video.count} frames", "shrink the video again"):
        bits = np.unpackbits(np.frombuffer(base64.b64decode(noted, validate=True), np.uint8)).astype(bool)
        if not video.count <= len(bits) < video.count + 8:
            raise ValueError(f"it has {len(bits)}")
    return bits[: video.count] | video.repeated


def persons_frames(folder: Path | str, id_: str, n_frames: int) -> np.ndarray:
    """(n_frames,) bool: a person played, by the meta file's `person`, [begin, end) of each stretch; all where it says
    nothing of it.

    Raises ValueError naming a meta file in which `person` is something else.
    """
    stretches = meta_of(folder, id_).get("person")
    if stretches is None:
        return np.ones(n_frames, bool)
    found = np.zeros(n_frames, bool)
    with readable(meta_path(folder, id_), "stretches [begin, end) of frames as `person`", "record again"):
        for begin, end in stretches:
            if not 0 <= begin < end <= n_frames:
                raise ValueError(f"of {n_frames} frames, {begin} to {end} is none")
            found[begin:end] = True
    return found


def note_repeated(meta: dict, repeated: np.ndarray) -> dict:
    """The meta file's content with what `repeated_frames` reads: eight frames a byte, in base64."""
    noted = base64.b64encode(np.packbits(repeated).tobytes()).decode()
    return {**meta, "repeated": round(float(repeated.mean()), 4), "repeated_frames": noted}


def write_agent_video(
    path: Path, folder: Path, crf: int, cursor: np.ndarray | None = None, video: AgentVideo | None = None
) -> tuple[Path, int]:
    """A 128x128 H.264 file of the pictures that labelling saw, and how many there are.

    That is `path` itself where it is one already, else a file of its name in `folder`. Every picture is decoded, so
    that no broken one passes. A `cursor`, (h, w, 4) uint8 RGBA, is drawn where the .jsonl beside `path` says that a
    window is open. video: of `path`, where it was inspected already. Raises ValueError naming a file that is broken,
    empty or not 16:9, and as `find_pointer`.
    """
    video = video or inspect_video(path)
    pointer = None if cursor is None else find_pointer(video, cursor)
    if pointer is None and video.as_it_is and fits(path):
        return path, sum(1 for _ in video.read_frames())
    with write_video(folder / path.name, (AGENT_SIZE, AGENT_SIZE), FRAMES_PER_SECOND, crf) as small:
        for rgb in video.read_frames(pointer):
            small.write(rgb)
    return folder / path.name, small.n_frames


def find_pointer(video: AgentVideo, cursor: np.ndarray) -> Pointer | None:
    """Where the contractor's rows beside a video want its pointer drawn; None without rows or without an open window.

    Raises ValueError naming rows that are not one a picture, and a video that is too small for the pointer.
    """
    path = pressed_path(video.path.parent, video.path.stem)
    rows = read_contractor(path) if is_there(path) else None
    if rows is not None and len(rows) != video.pictures:
        raise ValueError(f"{path} has {len(rows)} rows, {video.path} has {video.pictures} frames: get both files anew, "
                         "or leave the recording out")  # fmt: skip
    if rows is None or not rows.gui_open.any():
        return None
    if video.crop == (0, AGENT_SIZE, 0, AGENT_SIZE):
        raise ValueError(f"{video.path} is {AGENT_SIZE}x{AGENT_SIZE} already: the pointer belongs into full-size "
                         "pictures; take the contractor's own file, or leave --cursor out")  # fmt: skip
    return Pointer(cursor, rows.gui_open, rows.cursor)
