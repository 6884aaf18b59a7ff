"""Recordings and action labels -> one dataset to train from (LeRobotDataset v3.0, see vlpt/data/shards.py).

In: a folder of recordings (`<id>.mp4`, `<id>.words.jsonl`, and where known `<id>.jsonl` with what was truly pressed and
`<id>.meta.json`), and a folder of labels, or the word "truth", or "none" for plain video and words. Out: a dataset
folder that appears whole or not at all.
A finished dataset made of the very same files is left alone, when all of its own are there and whole; to one made of
some of them the others are added, and what is there is not written again. Run:

    python -m data_gathering.shard --recordings data/3_video --labels data/5_actions --out data/6_shards
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_gathering.label_file import Labels, read_labels
from data_gathering.recordings import (
    chosen,
    find_recordings,
    meta_of,
    meta_path,
    persons_frames,
    pressed_path,
    repeated_frames,
    video_path,
    words_path,
    write_agent_video,
)
from vlpt.data.lerobot import checked
from vlpt.data.shards import About, Episode, add_to_shards, damaged, read_source, write_shards
from vlpt.data.words import read_words
from vlpt.files import locked, put_back
from vlpt.options import CountOrNone, run
from vpt.actions import BUTTONS, MINECRAFT, read_contractor
from vpt.files import is_there
from vpt.frames import FRAMES_PER_SECOND

NO_FOLDER = ("truth", "none")  # words that stand in the place of a folder of labels


@dataclass(frozen=True)
class Options:
    """Turns recordings and labels into one dataset folder."""

    recordings: str = "data/3_video"  # folder of recordings
    words: str = ""  # folder of <id>.words.jsonl (empty: beside the recordings)
    # folder of labels (<id>.parquet), 'truth': what was really pressed, or 'none': video and words without actions, of
    # which words are learnt and no action
    labels: str = "data/5_actions"
    out: str = "data/6_shards"  # dataset folder to write
    channels: tuple[str, ...] = ()  # only these channels; all when none is named
    crf: CountOrNone = 18  # H.264 quality of pictures that must be made 128x128 (lower is better and larger)
    only: str = ""  # a file with an id a line: only these (empty: all)
    # where a person took over from the agent (vlpt.play --serve), learn from the person's frames only; the rest is seen
    only_person: bool = False


def main(options: Options) -> None:
    """Raises ValueError naming the file that is missing or broken, or who writes there now; then nothing is written."""
    with locked(options.out):
        put_back(options.out)
        ids = find_recordings(options.recordings, options.channels)
        if options.only:
            ids = chosen(ids, options.only)
        source = {"labels": options.labels if options.labels in NO_FOLDER else "idm", "crf": options.crf,
                  "sha256": {id_: _fingerprint(id_, options) for id_ in ids}}
        if options.only_person:
            source["only_person"] = True
        made_of = read_source(options.out)
        if new := _added(made_of, source):
            if (damage := damaged(options.out)) is None:
                print(f"{options.out} is made of {len(ids) - len(new)} of these {len(ids)} recordings: adding "
                      f"the other {len(new)}")
                return _write(new, source, options, add_to_shards)
            print(f"{damage}: making the dataset again")
        elif made_of == source:
            if (damage := damaged(options.out)) is None:
                print(f"{options.out} is made of these {len(ids)} recordings already: nothing to do")
                return None
            print(f"{damage}: making the dataset again")
        return _write(ids, source, options, write_shards)


def _added(made_of: dict | None, source: dict) -> list[str]:
    """The ids that a dataset lacks, where it was made with the same options of the others as they are now; else []."""
    if made_of is None or not isinstance(made_of.get("sha256"), dict):
        return []
    before, now = made_of["sha256"], source["sha256"]
    if made_of | {"sha256": now} != source or any(now.get(id_) != print_ for id_, print_ in before.items()):
        return []
    return [id_ for id_ in now if id_ not in before]


def _write(ids: list[str], source: dict, options: Options, write: Callable) -> None:
    counts, channels = Counter(), set()

    def episodes(small: Path) -> Iterator[Episode]:
        for id_ in tqdm(ids, "recordings", unit=""):
            episode = read_recording(id_, options, small)
            counts.update(frames=episode.n_frames, words=len(episode.words))
            channels.add(episode.channel)
            yield episode

    with tempfile.TemporaryDirectory() as small:
        write(options.out, episodes(Path(small)), source)
    print(f"{options.out}: {len(ids)} episodes of {len(channels)} channels, {counts['frames']} frames "
          f"({counts['frames'] / FRAMES_PER_SECOND / 60:.1f} minutes), {counts['words']} words, "
          f"labels: {source['labels']}")


def read_recording(id_: str, options: Options, small: Path) -> Episode:
    """One recording with its labels; pictures of another size are made 128x128 in the folder `small`.

    Raises ValueError naming the file that is missing, broken, or does not fit the others.
    """
    folder = Path(options.recordings)
    about, words = about_of(folder, id_), read_words(words_path(options.words or folder, id_))
    video, n_frames = write_agent_video(video_path(folder, id_), small, options.crf)
    truth_path = pressed_path(folder, id_)
    truth = read_contractor(truth_path) if truth_path.exists() else None
    if options.labels == "truth":
        if truth is None:
            raise ValueError(f"{truth_path} is missing: label the recording and name the folder with --labels")
        label_path, labels = truth_path, Labels(truth.buttons, truth.camera_deg, np.ones(len(truth), np.float32))
    elif options.labels == "none":
        label_path, labels = video, unknown_labels(n_frames)
    else:
        label_path = Path(options.labels) / f"{id_}.parquet"
        labels = read_labels(label_path)
    for path, n_rows in ((label_path, len(labels)), (truth_path, len(truth) if truth else n_frames)):
        if n_rows != n_frames:
            pictures = video_path(folder, id_)
            raise ValueError(f"{path} has {n_rows} rows, {pictures} has {n_frames} frames: make it again")
    buttons_index, camera_index = MINECRAFT.encode(labels.buttons, labels.camera_deg)
    null, confidence = MINECRAFT.is_null(labels.buttons, labels.camera_deg), labels.confidence
    if options.labels not in NO_FOLDER:  # where a picture only repeats, what looks like doing nothing says nothing
        confidence = np.where(null & repeated_frames(folder, id_), np.float32(0), confidence)
    if options.only_person:
        confidence = np.where(persons_frames(folder, id_, n_frames), confidence, np.float32(0))
    return Episode(
        id_, about.channel, video, words, buttons_index, camera_index, null, confidence,
        truth.buttons if truth else None, truth.camera_deg if truth else None,
        [asdict(errand) for errand in about.errands], about.seed, about.world,
    )  # fmt: skip


def unknown_labels(n_frames: int) -> Labels:
    """Nothing pressed, by nobody's word: a label of confidence 0 is not learnt from."""
    return Labels(np.zeros((n_frames, len(BUTTONS)), np.uint8), np.zeros((n_frames, 2)), np.zeros(n_frames, np.float32))


def about_of(folder: Path, id_: str) -> About:
    """What the meta file says a recording is. Raises ValueError naming the file, and what in it cannot be."""
    meta = meta_of(folder, id_)
    try:
        return checked(About, meta | {"id": id_, "world": str(meta.get("world", ""))})
    except ValueError as error:
        raise ValueError(f"{meta_path(folder, id_)}: {error}: correct it, or record again") from error


def _fingerprint(id_: str, options: Options) -> str:
    """Of everything that an episode is made from; a missing file counts as empty and is complained about later."""
    paths = [part(options.recordings, id_) for part in (video_path, pressed_path, meta_path)]
    paths.append(words_path(options.words or options.recordings, id_))
    if options.labels not in NO_FOLDER:
        paths.append(Path(options.labels) / f"{id_}.parquet")
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes() if is_there(path) else b"").digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    run(main, Options)
