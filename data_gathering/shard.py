"""Recordings and action labels -> one dataset to train from (LeRobotDataset v3.0, see vlpt/data/shards.py).

In: a folder of recordings (`<id>.mp4`, `<id>.words.jsonl`, and where known `<id>.jsonl` with what was truly pressed and
`<id>.meta.json`), and a folder of labels, or the word "truth". Out: a dataset folder that appears whole or not at all.
A finished dataset made of the very same files is left alone. Run:

    python -m data_gathering.shard --recordings data/3_video --labels data/5_actions --out data/6_shards
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_gathering.label_file import Labels, read_labels
from vlpt.data.shards import Episode, fits, read_source, write_shards
from vlpt.data.words import FRAMES_PER_SECOND, read_words
from vlpt.old_options import option, run
from vpt.actions import MINECRAFT, read_contractor
from vpt.agent_video import inspect_video
from vpt.frames import AGENT_SIZE, write_video


@dataclass(frozen=True)
class Options:
    """Turns recordings and labels into one dataset folder."""

    recordings: str = option("data/3_video", "folder of recordings")
    words: str = option("", "folder of <id>.words.jsonl (empty: beside the recordings)")
    labels: str = option("data/5_actions", "folder of labels (<id>.parquet), or 'truth': what was really pressed")
    out: str = option("data/6_shards", "dataset folder to write")
    channels: tuple[str, ...] = option((), "only these channels; all when none is named")
    crf: int = option(18, "H.264 quality of pictures that must be made 128x128 (lower is better and larger)")
    only: str = option("", "a file with an id a line: only these (empty: all)")


def main(options: Options) -> None:
    """Raises ValueError naming the file that is missing or broken; then nothing is written."""
    ids = find_recordings(options.recordings, options.channels)
    if options.only:
        ids = chosen(ids, Path(options.only))
    source = {"labels": options.labels if options.labels == "truth" else "idm", "crf": options.crf,
              "sha256": {id_: _fingerprint(id_, options) for id_ in ids}}
    if read_source(options.out) == source:
        print(f"{options.out} is made of these {len(ids)} recordings already: nothing to do")
        return
    with tempfile.TemporaryDirectory() as small:
        episodes = [read_recording(id_, options, Path(small)) for id_ in tqdm(ids, "recordings", unit="")]
        write_shards(options.out, episodes, source)
    frames = sum(episode.n_frames for episode in episodes)
    words = sum(len(episode.words) for episode in episodes)
    print(f"{options.out}: {len(episodes)} episodes of {len({episode.channel for episode in episodes})} channels, "
          f"{frames} frames ({frames / FRAMES_PER_SECOND / 60:.1f} minutes), {words} words, labels: {source['labels']}")


def find_recordings(folder: str, channels: tuple[str, ...] = ()) -> list[str]:
    """The ids of a folder's recordings, sorted. Raises ValueError when there is none (of those channels)."""
    ids = sorted(path.stem for path in Path(folder).glob("*.mp4"))
    kept = [id_ for id_ in ids if not channels or meta_of(Path(folder), id_)["channel"] in channels]
    if not kept:
        raise ValueError(f"{folder} holds no recording (<id>.mp4)" + (f" of {', '.join(channels)}" if channels else "")
                         + ": record some with data_gathering.demonstrate, or name another folder")
    return kept


def chosen(ids: list[str], only: Path) -> list[str]:
    """Those of the ids that a file names, in their order. Raises ValueError for one that is not there."""
    wanted = set(only.read_text(encoding="utf-8").split())
    if missing := sorted(wanted - set(ids)):
        raise ValueError(f"{only} names {missing[0]}, of which there is no recording")
    return [id_ for id_ in ids if id_ in wanted]


def read_recording(id_: str, options: Options, small: Path) -> Episode:
    """One recording with its labels; pictures of another size are made 128x128 in the folder `small`.

    Raises ValueError naming the file that is missing, broken, or does not fit the others.
    """
    folder = Path(options.recordings)
    meta, words = meta_of(folder, id_), read_words(Path(options.words or folder) / f"{id_}.words.jsonl")
    video, frames = agent_video(folder / f"{id_}.mp4", small, options.crf)
    truth_path = folder / f"{id_}.jsonl"
    truth = read_contractor(truth_path) if truth_path.exists() else None
    if options.labels == "truth":
        if truth is None:
            raise ValueError(f"{truth_path} is missing: label the recording and name the folder with --labels")
        label_path, labels = truth_path, Labels(truth.buttons, truth.camera_deg, np.ones(len(truth), np.float32))
    else:
        label_path = Path(options.labels) / f"{id_}.parquet"
        labels = read_labels(label_path)
    for path, rows in ((label_path, len(labels)), (truth_path, len(truth) if truth else frames)):
        if rows != frames:
            raise ValueError(f"{path} has {rows} rows, {folder / id_}.mp4 has {frames} frames: make it again")
    buttons_index, camera_index = MINECRAFT.encode(labels.buttons, labels.camera_deg)
    return Episode(
        id_, meta["channel"], video, words, buttons_index, camera_index,
        MINECRAFT.is_null(labels.buttons, labels.camera_deg), labels.confidence,
        truth.buttons if truth else None, truth.camera_deg if truth else None,
        meta.get("errands", []), int(meta.get("seed", -1)), str(meta.get("world", "")),
    )  # fmt: skip


def agent_video(path: Path, small: Path, crf: int) -> tuple[Path, int]:
    """A 128x128 H.264 file of the pictures that labelling saw, and how many; all are decoded: no broken one passes."""
    footage = inspect_video(path)
    if footage.as_it_is and fits(path):
        return path, sum(1 for _ in footage.read_frames())
    with write_video(small / path.name, (AGENT_SIZE, AGENT_SIZE), FRAMES_PER_SECOND, crf) as video:
        for rgb in footage.read_frames():
            video.write(rgb)
    return small / path.name, video.n_frames


def meta_of(folder: Path, id_: str) -> dict:
    """`<id>.meta.json`, if there is one; a recording without it belongs to the channel its id begins with."""
    path, channel = folder / f"{id_}.meta.json", id_.rsplit("-", 1)[0]
    if not path.exists():
        return {"channel": channel}
    try:
        return {"channel": channel, **json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no JSON object ({error}): delete it or record again") from error


def _fingerprint(id_: str, options: Options) -> str:
    """Of everything that an episode is made from; a missing file counts as empty and is complained about later."""
    paths = [Path(options.recordings) / (id_ + ending) for ending in (".mp4", ".jsonl", ".meta.json")]
    paths.append(Path(options.words or options.recordings) / f"{id_}.words.jsonl")
    if options.labels != "truth":
        paths.append(Path(options.labels) / f"{id_}.parquet")
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes() if path.exists() else b"").digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    run(main, Options)
