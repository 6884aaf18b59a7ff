"""Videos -> what was pressed in them, as an inverse dynamics model sees it.

In: a trained model's folder, a folder of `<id>.mp4` (20 frames a second). Out: `<id>.parquet` for each (see
data_gathering/label_file.py). A video labelled by the same weights is left alone; one that fails is named and the
others go on. Where the contractor's `<id>.jsonl` lies beside a video the accuracy is printed. Run:

    python -m data_gathering.label --idm checkpoints/idm --videos data/3_video --out data/5_actions
"""

import hashlib
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from data_gathering.label_file import Labels, labelled_by, read_labels, write_labels
from data_gathering.shard import find_recordings
from vlpt.options import option, run
from vlpt.shards import check_rate
from vpt.actions import read_contractor
from vpt.allocator import keep_freed_memory
from vpt.frames import count_frames, read_video, resize_to_agent
from vpt.idm import IDM
from vpt.scores import Scores
from vpt.windows import infer


@dataclass(frozen=True)
class Options:
    """Labels videos with the actions that an inverse dynamics model infers."""

    idm: str = option("checkpoints/idm", "folder of the trained model (config.json, model.safetensors)")
    videos: str = option("data/3_video", "folder of <id>.mp4")
    out: str = option("data/5_actions", "folder for <id>.parquet")
    channels: tuple[str, ...] = option((), "only these channels; all when none is named")
    batch: int = option(4, "windows of 128 frames that go through the model together")
    threads: int = option(0, "processor threads; 0: as many as there are")
    device: str = option("cpu", "torch device")


def main(options: Options) -> dict[str, int]:
    """Returns how many videos were labelled, left alone and failed; ends with status 1 when one failed."""
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    if not Path(options.idm).is_dir():
        raise ValueError(f"{options.idm} is no folder: --idm names a trained model (train.py --stage idm makes one)")
    ids = find_recordings(options.videos, options.channels)
    idm, made_by = IDM.from_pretrained(options.idm).to(options.device), fingerprint(Path(options.idm))
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    totals, scores = Counter(labelled=0, done_before=0, failed=0), Scores()
    for id_ in tqdm(ids, "videos", unit=""):
        video, path = Path(options.videos) / f"{id_}.mp4", out / f"{id_}.parquet"
        try:
            done = labelled_by(path) == made_by
            if not done:
                write_labels(path, label_video(idm, video, options.batch), made_by)
            _compare(scores, read_labels(path), video.with_suffix(".jsonl"))
            totals["done_before" if done else "labelled"] += 1
        except (ValueError, OSError) as error:
            totals["failed"] += 1
            tqdm.write(f"failed: {error}", file=sys.stderr)
    print(f"{len(ids)} videos: {totals['labelled']} labelled, {totals['done_before']} done before, "
          f"{totals['failed']} failed")
    if scores.frames:
        print(scores)
    assert totals.total() == len(ids)
    if totals["failed"]:
        sys.exit(1)
    return dict(totals)


def label_video(idm: IDM, path: Path, batch: int) -> Labels:
    """One video's labels, as many as it has frames. Raises ValueError naming a video that cannot be read."""
    check_rate(path)
    try:
        count = count_frames(path) or sum(1 for _ in read_video(path))  # not every header says
        said = infer(idm, (resize_to_agent(rgb) for rgb in read_video(path)), count, batch)
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return Labels(said.buttons, said.camera_deg, said.confidence)


def fingerprint(idm: Path) -> str:
    """A name for the weights: labels of other weights are made anew."""
    return hashlib.sha256((idm / "model.safetensors").read_bytes()).hexdigest()[:16]


def _compare(scores: Scores, labels: Labels, truth_path: Path) -> None:
    if truth_path.exists():
        truth = read_contractor(truth_path)
        if len(truth) != len(labels):
            raise ValueError(f"{truth_path} has {len(truth)} rows, its video {len(labels)} frames: record it again")
        scores.add(labels.buttons, labels.camera_deg, truth.buttons, truth.camera_deg)


if __name__ == "__main__":
    run(main, Options)
