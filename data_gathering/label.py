"""Videos -> what was pressed in them, as an inverse dynamics model sees it.

In: a model, and a folder of videos `<id>.mp4` of any size and frame rate (vpt/agent_video.py: 20 pictures a second by
the file's clock, black borders cut off). Out: `<id>.parquet` for each (see data_gathering/label_file.py). A video
labelled by the same weights is left alone; one that is broken, empty or not 16:9 is named and the others go on. Where
the contractor's `<id>.jsonl` lies beside a video the accuracy is printed. Run:

    python -m data_gathering.label --idm pretrained/idm --videos data/3_video --out data/5_actions
    python -m data_gathering.label --model 4x_idm.model --weights 4x_idm.weights --lastlayer used

The model is a folder of ours, or OpenAI's two released files. Their public code computes a last layer and throws the
result away, though the weights hold it trained: --lastlayer says whether to do the same (discarded) or to use it.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from tqdm import tqdm

from data_gathering.label_file import Labels, labelled_by, read_labels, write_labels
from data_gathering.recordings import find_recordings, pressed_path, video_path
from vlpt.options import Count, CountOrNone, Device, pick_device, run, use_threads
from vpt.actions import read_contractor
from vpt.agent_video import inspect_video
from vpt.allocator import keep_freed_memory
from vpt.errors import one_line
from vpt.files import is_there
from vpt.idm import IDM
from vpt.released import load_idm
from vpt.scores import Scores
from vpt.windows import Inferred, infer_videos

Window = Annotated[int, Field(ge=8)]  # frames: a shorter one has no middle half to keep


@dataclass(frozen=True)
class Options:
    """Labels videos with the actions that an inverse dynamics model infers."""

    idm: str = "pretrained/idm"  # folder of the trained model (config.json, model.safetensors)
    model: str = ""  # instead of --idm: OpenAI's .model file
    weights: str = ""  # and its .weights file
    # of OpenAI's model: discarded, as their code has it, or used
    lastlayer: Literal["discarded", "used"] = "discarded"
    videos: str = "data/3_video"  # folder of <id>.mp4
    out: str = "data/5_actions"  # folder for <id>.parquet
    channels: tuple[str, ...] = ()  # only these channels; all when none is named
    batch: Count = 4  # windows of 128 frames, of one video or several, that go through the model together
    window: Window = 128  # frames of a window, of which the middle half is kept; 8 at least
    mirror: bool = False  # label each picture and its mirror image: fewer errors, twice the time
    threads: CountOrNone = 0  # processor threads; 0: torch's choice
    device: Device = "auto"  # where the model runs


def main(options: Options) -> dict[str, int]:
    """Returns how many videos were labelled, left alone and failed; ends with status 1 when one failed."""
    keep_freed_memory()
    use_threads(options.threads)
    idm, made_by = load(options)
    ids = find_recordings(options.videos, options.channels)
    out, totals, scores = Path(options.out), Counter(labelled=0, done_before=0, failed=0), Scores()
    out.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(ids), desc="videos", unit="") as bar:
        for id_, found in label_videos(idm, ids, options, made_by):
            path, video = out / f"{id_}.parquet", video_path(options.videos, id_)
            try:
                if isinstance(found, Exception):
                    raise found
                if found is not None:
                    write_labels(path, Labels(found.buttons, found.camera_deg, found.confidence), made_by)
                _compare(scores, read_labels(path), pressed_path(options.videos, id_))
                totals["done_before" if found is None else "labelled"] += 1
            except Exception as error:  # whatever is wrong with one video, the others go on
                totals["failed"] += 1
                said = one_line(error)
                bar.write(f"failed: {said if id_ in said else f'{video}: {said}'}", file=sys.stderr)
            bar.update()
    print(f"{len(ids)} videos: {totals['labelled']} labelled, {totals['done_before']} done before, "
          f"{totals['failed']} failed")
    if scores.n_frames:
        print(scores)
    assert totals.total() == len(ids)
    if totals["failed"]:
        sys.exit(1)
    return dict(totals)


def load(options: Options) -> tuple[IDM, str]:
    """The model on its device, and a name for its weights: what others have labelled is labelled anew."""
    how, device = (str(options.window), str(options.mirror)), pick_device(options.device)
    precision = torch.bfloat16 if device.type == "cuda" else torch.float32
    if bool(options.model) != bool(options.weights):
        raise ValueError("--model and --weights belong together: OpenAI's model is in two files")
    if options.model:
        idm = load_idm(options.model, options.weights, lastlayer=options.lastlayer)
        return idm.to(device, precision), fingerprint([options.model, options.weights], options.lastlayer, *how)
    folder = Path(options.idm)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: --idm names a trained model (train.py idm makes one)")
    idm = IDM.from_pretrained(folder).to(device, precision)
    return idm, fingerprint([folder / "config.json", folder / "model.safetensors"], *how)


def label_videos(
    idm: IDM, ids: list[str], options: Options, made_by: str
) -> Iterator[tuple[str, Inferred | Exception | None]]:
    """Each video once: what was inferred, why it failed, or None where the same weights have labelled it already."""
    skipped: list[tuple[str, Exception | None]] = []

    def readable_videos() -> Iterator[tuple[str, Iterable, int]]:
        for id_ in ids:
            try:
                if labelled_by(Path(options.out) / f"{id_}.parquet") == made_by:
                    skipped.append((id_, None))
                    continue
                video = inspect_video(video_path(options.videos, id_))
            except Exception as error:  # as in `main`
                skipped.append((id_, error))
            else:
                yield id_, video.read_frames(), video.count

    yield from infer_videos(idm, readable_videos(), options.batch, options.window, options.mirror)
    yield from skipped


def fingerprint(files: list[Path | str], *more: str) -> str:
    """A name for weights and how they are read."""
    digest = hashlib.sha256(b"expected angles")
    for content in (*(Path(file).read_bytes() for file in files), *(part.encode() for part in more)):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _compare(scores: Scores, labels: Labels, truth_path: Path) -> None:
    if is_there(truth_path):
        truth = read_contractor(truth_path)
        if len(truth) != len(labels):
            raise ValueError(f"{truth_path} has {len(truth)} rows, its video {len(labels)} frames: record it again")
        scores.add(labels.buttons, labels.camera_deg, truth.buttons, truth.camera_deg)


if __name__ == "__main__":
    run(main, Options)
