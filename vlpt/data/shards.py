"""Shards, written: episodes of play (pictures, actions, words) as one LeRobotDataset v3.0 folder, or added to one; see
shard_reader.py for reading, and episode.py for the columns, whose names can be had from here too.

In: episodes whose pictures lie in 128x128 mp4 files of their own. Out: a folder with the pictures joined in `videos/`
(200 MB a file), one row a frame in `data/` (100 MB or 256 episodes a file), and one row an episode, with its words, in
`meta/episodes/`. LeRobot has an episode in one file: one that alone has more than 200 MB, or is longer than LeRobot's
clock bears within a file (`times_hold`), has a file of its own. Words are stored, not tokens, so that shards do not
depend on a tokenizer. No frame is ever left out: what must not be learnt from is marked (`null`), what is not known is
marked (-1, nan).

    write_shards("data/6_shards", episodes, {"labels": "idm"})
    add_to_shards("data/6_shards", later_episodes, {"labels": "idm"})   # what is there is not written again
"""

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from vlpt.data import lerobot, lerobot_writer
from vlpt.data.dataset_card import write_card
from vlpt.data.dataset_part import read_dataset_info
from vlpt.data.episode import FEATURES, ON_FRAMES, PICTURES, RECORDING, About, Episode, Errand
from vlpt.data.language_events import EVENTS, to_events
from vlpt.data.lerobot_statistics import statistics, together
from vlpt.data.shard_reader import Shards
from vlpt.data.shard_videos import VideoFiles, fits
from vlpt.data.video_reader import VideoReader
from vlpt.files import read_json, write_json
from vpt.actions import BUTTONS
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

__all__ = ["FEATURES", "PICTURES", "About", "Episode", "Errand", "Shards", "add_to_shards", "damaged", "fits",
           "read_source", "write_shards"]  # fmt: skip

SOURCE_PATH = "meta/source.json"
FREE_PLAY = "free play"
LATE_WORD_MS = 10_000  # after an episode's end, at most, for a word to begin: recognition errs by that, not by more
_WORDS = pa.list_(pa.struct({"word": pa.string(), "start_ms": pa.float64(), "end_ms": pa.float64()}))
_ERRANDS = pa.list_(pa.struct({"name": pa.string(), "start_frame": pa.int64(), "end_frame": pa.int64(),
                               "done": pa.bool_()}))  # fmt: skip
_TYPES = {"words": _WORDS, "errands": _ERRANDS, "tasks": pa.list_(pa.string())}


def write_shards(folder: Path | str, episodes: Iterable[Episode], source: dict) -> None:
    """Write episodes as one dataset; it appears whole or not at all. `source`: what it was made from, kept as JSON.

    Each episode is asked for once, and only its row is kept. Raises ValueError for no episodes, a repeated id, words
    that belong to another recording, and a video that is broken or has not one frame a row.
    """
    folder = Path(folder)
    with lerobot_writer.appearing(folder) as unfinished:
        (unfinished / "data").mkdir()
        _fill(unfinished, episodes, source, [], set())


def add_to_shards(folder: Path | str, episodes: Iterable[Episode], source: dict) -> None:
    """Add episodes to a dataset in files of their own. Until all is written, and after a kill, the old one is there.

    Those of its files that stay are linked into a new folder, not copied, where the disk can do that; that folder then
    takes its place. source: what all of it was made from. Raises ValueError as `write_shards`, and where the dataset
    has other columns.
    """
    folder, old = Path(folder), Shards(folder)
    with lerobot_writer.appearing(folder) as unfinished:
        for name in _sizes(folder):
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            _link(folder / name, unfinished / name)
        _fill(unfinished, episodes, source, lerobot_writer.read_tasks(folder), {episode.id for episode in old.episodes})


def _link(there: Path, new: Path) -> None:
    try:
        os.link(there, new)
    except OSError:  # another disk's, or one without links
        shutil.copy2(there, new)


def _fill(folder: Path, episodes: Iterable[Episode], source: dict, tasks: list[str], ids: set[str]) -> None:
    """Write episodes into a folder that is empty, or holds those named `ids`."""
    before = read_dataset_info(folder) if ids else None
    n_episodes, n_frames = (before.total_episodes, before.total_frames) if before else (0, 0)
    tasks = tasks or [FREE_PLAY]
    videos, data, rows, parts = VideoFiles(folder), lerobot_writer.DataWriter(folder), [], []
    for episode in episodes:
        _check(episode, ids)
        ids.add(episode.id)
        columns, task_index = _columns(episode), _task_of_frames(episode, tasks)
        index = lerobot_writer.index_columns(episode.n_frames, n_episodes, n_frames, FRAMES_PER_SECOND, task_index)
        place = data.write(columns | index | _on_frames(episode))
        made = {name: statistics(column) for name, column in (columns | index).items()}
        names = sorted(tasks[i] for i in np.unique(task_index))
        rows.append({"episode_index": n_episodes, "tasks": names, "length": episode.n_frames,
                     "dataset_from_index": n_frames, "dataset_to_index": n_frames + episode.n_frames,
                     **{f"data/{name}": number for name, number in place.items()},
                     **{f"videos/{PICTURES}/{name}": value for name, value in videos.add(episode).items()},
                     **_about(episode), "words": [asdict(word) for word in episode.words],
                     **{f"stats/{name}/{kind}": value for name in columns for kind, value in made[name].items()}})
        parts.append(made)
        n_episodes, n_frames = n_episodes + 1, n_frames + episode.n_frames
    if not rows:
        raise ValueError("shards need at least one episode")
    data.close()
    videos.close()
    _describe(folder, rows, parts, videos.written, tasks, source, n_episodes, n_frames)
    _verify(folder, videos.written)


def _describe(folder: Path, rows: list[dict], parts: list[dict], videos: dict[Path, int], tasks: list[str],
              source: dict, n_episodes: int, n_frames: int) -> None:
    """The tables and descriptions, when frames and pictures are there; `meta/info.json`, the manifest, last."""
    (folder / lerobot.INFO_PATH).unlink(missing_ok=True)  # a link; what it names stays
    lerobot_writer.write_episodes(folder, rows, _TYPES)
    (folder / lerobot.TASKS_PATH).unlink(missing_ok=True)
    lerobot_writer.write_tasks(folder, tasks)
    write_json(folder / lerobot.STATS_PATH, _statistics(folder, parts, videos))
    lerobot_writer.write_info(folder, FEATURES | ON_FRAMES, FRAMES_PER_SECOND, n_episodes, n_frames, len(tasks))
    write_json(folder / SOURCE_PATH, source | {"bytes": _sizes(folder)})
    write_card(folder, lerobot_writer.count_rows(folder) | {"frames": n_frames})


def _check(episode: Episode, ids: set[str]) -> None:
    """Raises ValueError for an id that is there already, and words that cannot have been said in an episode."""
    if episode.id in ids:
        raise ValueError(f"{episode.id}: shards need every id once")
    end_ms = episode.n_frames * FRAME_MS
    for word in episode.words:
        if word.start_ms > end_ms + LATE_WORD_MS:
            raise ValueError(f"{episode.id}: the word {word.word!r} begins at {word.start_ms / 1000:.1f} s, "
                             f"{episode.video} ends at {end_ms / 1000:.1f} s: transcribe that video again")


def read_source(folder: Path | str) -> dict | None:
    """What a finished dataset was made from; None when there is none, or it does not say."""
    source = _source(Path(folder))
    if source is None or not (Path(folder) / lerobot.INFO_PATH).exists():
        return None
    return {name: value for name, value in source.items() if name != "bytes"}


def damaged(folder: Path | str) -> str | None:
    """What of a finished dataset is not as it was written, in words; None when all files are there, and whole."""
    folder = Path(folder)
    written, found = (_source(folder) or {}).get("bytes"), _sizes(folder)
    if not isinstance(written, dict):
        return f"{folder / SOURCE_PATH} does not say how large its files are"
    for name in sorted({*written, *(name for name in found if name.endswith(".parquet"))}):  # which are read unnamed
        if written.get(name) != found.get(name):
            return f"{folder / name} has {found.get(name, 'no')} bytes, {written.get(name, 'none')} were written"
    return None


def _source(folder: Path) -> dict | None:
    with suppress(ValueError):
        source = read_json(folder / SOURCE_PATH)
        return source if isinstance(source, dict) else None
    return None


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every table, video and description of a dataset; not of its card, which others may rewrite."""
    paths = [path for part in ("data", "meta", "videos") for path in (folder / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(paths)
            if path != folder / SOURCE_PATH}  # fmt: skip


def _verify(folder: Path, videos: dict[Path, int]) -> None:
    """Reads the dataset as whoever trains will, and of each new video every index."""
    Shards(folder)
    for video, n_frames in videos.items():
        if (found := len(VideoReader(video))) != n_frames:
            raise ValueError(f"{video} was written with {found} frames, {n_frames} were meant: try again, perhaps on "
                             "another disk")


def _columns(episode: Episode) -> dict[str, np.ndarray]:
    n = episode.n_frames
    buttons, camera_deg = episode.true_buttons, episode.true_camera_deg
    return {
        "action": np.stack([episode.buttons_index, episode.camera_index], axis=1).astype(np.int64),
        "null": np.asarray(episode.null, dtype=bool),
        "confidence": np.asarray(episode.confidence, dtype=np.float32),
        "truth.buttons": np.asarray(np.full((n, len(BUTTONS)), -1) if buttons is None else buttons, dtype=np.int8),
        "truth.camera_deg": np.asarray(np.full((n, 2), np.nan) if camera_deg is None else camera_deg, np.float32),
    }


def _on_frames(episode: Episode) -> dict[str, pa.Array]:
    """The columns ON_FRAMES."""
    about = [json.dumps(_about(episode), ensure_ascii=False)] + [""] * (episode.n_frames - 1)
    return {RECORDING: pa.array(about, pa.string()), EVENTS: to_events(episode.words, episode.n_frames)}


def _about(episode: Episode) -> dict:
    """What an episode is, words apart."""
    return {"id": episode.id, "channel": episode.channel, "seed": episode.seed, "world": episode.world,
            "errands": episode.errands}  # fmt: skip


def _task_of_frames(episode: Episode, tasks: list[str]) -> np.ndarray:
    """(N,) int64, of each frame the number of its errand among `tasks`, to which new ones are added."""
    numbers = {name: i for i, name in enumerate(tasks)}
    index = np.full(episode.n_frames, numbers[FREE_PLAY])
    for errand in episode.errands:
        if errand["name"] not in numbers:
            numbers[errand["name"]] = len(tasks)
            tasks.append(errand["name"])
        index[errand["start_frame"]: errand["end_frame"]] = numbers[errand["name"]]
    return index


def _statistics(folder: Path, parts: list[dict], videos: dict[Path, int]) -> dict:
    """Of every column, and of about 100 pictures a video; with what the dataset had before, as far as it says."""
    sampled = [reader.read_frames(i, i + 1)[0] for reader in map(VideoReader, videos)
               for i in range(0, len(reader), max(1, len(reader) // 100))]  # fmt: skip
    new = {PICTURES: statistics(np.stack(sampled), axis=(0, 1, 2), scale=255.0)}
    new |= {name: together([part[name] for part in parts]) for name in parts[0]}
    before = {}
    with suppress(ValueError):
        before = read_json(folder / lerobot.STATS_PATH)
    return {name: together([before[name], made]) if name in before else made for name, made in new.items()}
