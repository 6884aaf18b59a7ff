"""Videos of any size and frame rate -> the agent's pictures: 128x128, 20 a second, without black borders.

In: a folder of `<id>.mp4`. Out: a folder of `<id>.mp4` (H.264, no sound) with `<id>.meta.json` and, where there is one,
the contractor's `<id>.jsonl`. What sees only these (label, shard) then never decodes a large picture. Of a video of
fewer than 20 pictures a second some are shown twice: the meta file says which (data_gathering/recordings.py). A video
that is there is left alone; one that is broken, empty or not 16:9 is named and the others go on. Run:

    python -m data_gathering.shrink --videos data/3_video --out data/4_small

OpenAI's contractor recordings leave the mouse pointer out while a window (inventory) is open; `--cursor` draws it, as
the published loader does, into the full-size picture.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
from tqdm import tqdm

from data_gathering.ledger import end_with
from data_gathering.recordings import (
    find_recordings,
    meta_of,
    meta_path,
    note_repeated,
    pressed_path,
    repeated_frames,
    video_path,
    write_agent_video,
)
from vlpt.files import whole_file, write_json
from vlpt.options import CountOrNone, run
from vpt.agent_video import AgentVideo, inspect_video
from vpt.errors import one_line
from vpt.files import is_there
from vpt.frames import read_cursor


@dataclass(frozen=True)
class Options:
    """Makes videos as small as the agent sees them."""

    videos: str = "data/3_video"  # folder of <id>.mp4
    out: str = "data/4_small"  # folder for the small ones
    crf: CountOrNone = 18  # H.264 quality (lower is better and larger)
    cursor: str = ""
    """a picture, with alpha, of the pointer to draw where the contractor's .jsonl says that a window is open; OpenAI's
    repository has it as cursors/mouse_cursor_white_16x16.png; its top-left 16x16 is used (empty: none)"""


def main(options: Options) -> dict[str, int]:
    """Returns how many are new, were there before, and failed (then the status is 1).

    Raises ValueError for a cursor that is missing, has no alpha, or that no recording can show.
    """
    totals, failed, ids = Counter(new=0, known=0, failed=0), [], find_recordings(options.videos)
    check_cursor(options, ids)
    for id_ in tqdm(ids, "videos", unit=""):
        try:
            totals["new" if shrink(id_, options) else "known"] += 1
        except Exception as error:  # whatever is wrong with one video, the others go on
            totals["failed"] += 1
            failed.append(f"{id_}: {one_line(error)}")
    print(f"{options.out}: {totals['new']} new, {totals['known']} there before, {totals['failed']} failed")
    end_with(failed)
    return dict(totals)


def check_cursor(options: Options, ids: list[str]) -> None:
    """One error at the start rather than one a video."""
    if not options.cursor:
        return
    pointer(options.cursor)
    if not any(pressed_path(options.videos, id_).exists() for id_ in ids):
        raise ValueError(f"--cursor has no effect: {options.videos} holds no contractor's <id>.jsonl that says where "
                         "the pointer is: put them beside the videos, or leave --cursor out")  # fmt: skip


@cache
def pointer(path: str) -> np.ndarray:
    """The pointer's picture, (h, w, 4) uint8 RGBA, read once for all videos. Raises ValueError as `read_cursor`."""
    return read_cursor(path)


def shrink(id_: str, options: Options) -> int:
    """How many pictures were made: 0 where they were there. Raises ValueError naming the video that is wrong."""
    source, target = video_path(options.videos, id_), video_path(options.out, id_)
    if target.is_file():
        return 0
    video = inspect_video(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_notes(id_, video, options)  # first: a recording is there once its pictures are
    cursor = pointer(options.cursor) if options.cursor else None
    made, n_frames = write_agent_video(source, target.parent, options.crf, cursor, video)
    if made != target:  # it is the agent's video already
        with whole_file(target) as unfinished:
            shutil.copyfile(made, unfinished)
    return n_frames


def copy_notes(id_: str, video: AgentVideo, options: Options) -> None:
    """What lies beside a video; its meta file also says which frames repeat a picture, where some do."""
    repeated = repeated_frames(options.videos, id_, video)
    if repeated.any():
        write_json(meta_path(options.out, id_), note_repeated(meta_of(options.videos, id_), repeated))
    elif is_there(meta_path(options.videos, id_)):
        shutil.copyfile(meta_path(options.videos, id_), meta_path(options.out, id_))
    if is_there(pressed_path(options.videos, id_)):
        shutil.copyfile(pressed_path(options.videos, id_), pressed_path(options.out, id_))


if __name__ == "__main__":
    run(main, Options)
