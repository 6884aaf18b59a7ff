"""Videos of any size and frame rate -> the agent's pictures: 128x128, 20 a second, without black borders.

In: a folder of `<id>.mp4`. Out: a folder of `<id>.mp4` (H.264, no sound) with `<id>.meta.json` and, where there is one,
the contractor's `<id>.jsonl`. What sees only these (label, shard) then never decodes a large picture. A video that is
there is left alone; one that is broken, empty or not 16:9 is named and the others go on. Run:

    python -m data_gathering.shrink --videos data/3_video --out data/4_small
"""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data_gathering.ledger import end_with
from data_gathering.shard import agent_video, find_recordings
from vlpt.old_options import option, run


@dataclass(frozen=True)
class Options:
    """Makes videos as small as the agent sees them."""

    videos: str = option("data/3_video", "folder of <id>.mp4")
    out: str = option("data/4_small", "folder for the small ones")
    crf: int = option(18, "H.264 quality (lower is better and larger)")


def main(options: Options) -> dict[str, int]:
    """Returns how many are new, were there before, and failed (then the status is 1)."""
    totals, failed = Counter(new=0, known=0, failed=0), []
    for id_ in tqdm(find_recordings(options.videos), "videos", unit=""):
        try:
            totals["new" if shrink(id_, options) else "known"] += 1
        except (ValueError, OSError) as error:
            totals["failed"] += 1
            failed.append(f"{id_}: {error}")
    print(f"{options.out}: {totals['new']} new, {totals['known']} there before, {totals['failed']} failed")
    end_with(failed)
    return dict(totals)


def shrink(id_: str, options: Options) -> int:
    """How many pictures were made: 0 where they were there. Raises ValueError naming the video that is wrong."""
    videos, out = Path(options.videos), Path(options.out)
    if (out / f"{id_}.mp4").exists():
        return 0
    out.mkdir(parents=True, exist_ok=True)
    for ending in (".meta.json", ".jsonl"):  # first: a recording is there once its pictures are
        if (videos / (id_ + ending)).exists():
            shutil.copyfile(videos / (id_ + ending), out / (id_ + ending))
    made, frames = agent_video(videos / f"{id_}.mp4", out, options.crf)
    if made.parent != out:
        unfinished = out / f"{id_}.mp4.tmp"
        shutil.copyfile(made, unfinished)
        os.replace(unfinished, out / f"{id_}.mp4")
    return frames


if __name__ == "__main__":
    run(main, Options)
