"""Shards: episodes of play (pictures, actions, words) as one LeRobotDataset v3.0 folder, written; see shard_reader.py
for the columns, and for reading, whose names can be had from here too.

In (`write_shards`): episodes whose pictures lie in 128x128 mp4 files of their own. Out: a folder with the pictures
joined in `videos/`, one row a frame in `data/`, one row an episode, with its words, in `meta/episodes/`.
Words are stored, not tokens, so that shards do not depend on a tokenizer. No frame is ever left out: what must not be
learnt from is marked (`null`), what is not known is marked (-1, nan).

    write_shards("data/6_shards", episodes, {"labels": "idm"})
    Shards("data/6_shards").episodes
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from vlpt.data import lerobot
from vlpt.data.dataset_card import write_card
from vlpt.data.language_events import EVENTS, to_events
from vlpt.data.shard_reader import FEATURES, ON_FRAMES, PICTURES, RECORDING, About, Episode, Errand, Shards
from vlpt.data.video_reader import VideoReader, join, signature
from vlpt.files import read_json, write_json
from vpt.actions import BUTTONS
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND

__all__ = ["FEATURES", "PICTURES", "About", "Episode", "Errand", "Shards", "damaged", "fits", "read_source",
           "write_shards"]  # fmt: skip

SOURCE_PATH = "meta/source.json"
FREE_PLAY = "free play"
_WORDS = pa.list_(pa.struct({"word": pa.string(), "start_ms": pa.float64(), "end_ms": pa.float64()}))
_ERRANDS = pa.list_(pa.struct({"name": pa.string(), "start_frame": pa.int64(), "end_frame": pa.int64(),
                               "done": pa.bool_()}))  # fmt: skip


def fits(video: Path) -> bool:
    """Whether `write_shards` takes a file's pictures as they are: 128x128, H.264, yuv420p in BT.601's studio range."""
    width, height, pixels, codec, _, colours, studio, _, _ = signature(video)
    plain = pixels == "yuv420p" and codec == "h264" and colours in (2, 5, 6) and studio in (0, 1)
    return (width, height) == (AGENT_SIZE, AGENT_SIZE) and plain


def write_shards(folder: Path | str, episodes: Sequence[Episode], source: dict) -> None:
    """Write episodes as one dataset; it appears whole or not at all. `source`: what it was made from, kept as JSON.

    Raises ValueError for no episodes, a repeated id, and a video that is broken or has not one frame a row.
    """
    folder, episodes = Path(folder), list(episodes)
    if not episodes or len({episode.id for episode in episodes}) < len(episodes):
        raise ValueError(f"{folder}: shards need at least one episode and every id once")
    tasks = sorted({errand["name"] for episode in episodes for errand in episode.errands} | {FREE_PLAY})
    lengths = [episode.n_frames for episode in episodes]
    with lerobot.appearing(folder) as unfinished:
        places = _write_videos(unfinished, episodes)
        task_index = np.concatenate([_task_of_frames(episode, tasks) for episode in episodes])
        each = [_columns(episode) for episode in episodes]
        columns = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
        columns |= lerobot.index_columns(lengths, FRAMES_PER_SECOND, task_index)
        lerobot.write_data(unfinished, columns | _on_frames(episodes), lengths)
        rows = [_episode_row(i, episode, place, own, tasks, sum(lengths[:i]))
                for i, (episode, place, own) in enumerate(zip(episodes, places, each, strict=True))]
        lerobot.write_episodes(unfinished, rows, {"words": _WORDS, "errands": _ERRANDS, "tasks": pa.list_(pa.string())})
        lerobot.write_tasks(unfinished, tasks)
        write_json(unfinished / lerobot.STATS_PATH, _statistics(unfinished, columns))
        features = FEATURES | ON_FRAMES
        lerobot.write_info(unfinished, features, FRAMES_PER_SECOND, len(episodes), sum(lengths), len(tasks))
        write_json(unfinished / SOURCE_PATH, source | {"bytes": _sizes(unfinished)})
        write_card(unfinished, {"episodes": len(episodes), "channels": len({episode.channel for episode in episodes}),
                                "frames": sum(lengths), "words": sum(len(episode.words) for episode in episodes)})
        _verify(unfinished)


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


def _verify(folder: Path) -> None:
    """Reads the dataset as whoever trains will: its tables, and whether each video has the frames they speak of."""
    promised: dict[Path, int] = {}
    for episode in Shards(folder).episodes:
        promised[episode.video] = max(promised.get(episode.video, 0), episode.first_frame + episode.n_frames)
    for video, n_frames in promised.items():
        if len(VideoReader(video)) != n_frames:
            raise ValueError(f"{video} was written with {len(VideoReader(video))} frames, {n_frames} were meant: "
                             "try again, perhaps on another disk")


def _write_videos(folder: Path, episodes: list[Episode]) -> list[dict]:
    """Join the videos, those encoded alike into one file up to a size and length; returns each episode's place."""
    batches: list[list[int]] = []
    last, size, n_frames = None, 0, 0
    for i, episode in enumerate(episodes):
        kind = signature(episode.video)
        size, n_frames = size + episode.video.stat().st_size, n_frames + episode.n_frames
        if not fits(episode.video):
            raise ValueError(f"{episode.video} is not 128x128 H.264 as vpt.frames.write_video makes it, but {kind[:4]}")
        full = size > lerobot.VIDEO_FILE_MB * 2**20 or n_frames > lerobot.VIDEO_FILE_S * FRAMES_PER_SECOND
        if kind != last or full:
            batches.append([])
            last, size, n_frames = kind, episode.video.stat().st_size, episode.n_frames
        batches[-1].append(i)
    places = [{} for _ in episodes]
    for file_index, batch in enumerate(batches):
        path = folder / lerobot.VIDEO_PATH.format(video_key=PICTURES, chunk_index=0, file_index=file_index)
        path.parent.mkdir(parents=True, exist_ok=True)
        start = 0
        for i, count in zip(batch, join([episodes[i].video for i in batch], path), strict=True):
            if count != episodes[i].n_frames:
                raise ValueError(f"{episodes[i].video} has {count} frames and {episodes[i].n_frames} rows of actions: "
                                 "record or label it again")
            places[i] = {"chunk_index": 0, "file_index": file_index, "from_timestamp": start / FRAMES_PER_SECOND,
                         "to_timestamp": (start + count) / FRAMES_PER_SECOND}
            start += count
    return places


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


def _on_frames(episodes: list[Episode]) -> dict[str, pa.Array]:
    """The columns ON_FRAMES."""
    about = [[json.dumps(_about(episode), ensure_ascii=False)] + [""] * (episode.n_frames - 1) for episode in episodes]
    return {RECORDING: pa.array([text for texts in about for text in texts], pa.string()),
            EVENTS: pa.concat_arrays([to_events(episode.words, episode.n_frames) for episode in episodes])}


def _about(episode: Episode) -> dict:
    """What an episode is, words apart."""
    return {"id": episode.id, "channel": episode.channel, "seed": episode.seed, "world": episode.world,
            "errands": episode.errands}  # fmt: skip


def _task_of_frames(episode: Episode, tasks: list[str]) -> np.ndarray:
    index = np.full(episode.n_frames, tasks.index(FREE_PLAY))
    for errand in episode.errands:
        index[errand["start_frame"]: errand["end_frame"]] = tasks.index(errand["name"])
    return index


def _episode_row(index: int, episode: Episode, place: dict, columns: dict, tasks: list[str], start: int) -> dict:
    present = np.unique(_task_of_frames(episode, tasks))
    statistics = {f"stats/{name}/{kind}": value for name, column in columns.items()
                  for kind, value in lerobot.statistics(column).items()}
    return {
        "episode_index": index, "tasks": [tasks[i] for i in present], "length": episode.n_frames,
        "dataset_from_index": start, "dataset_to_index": start + episode.n_frames,
        **{f"videos/{PICTURES}/{key}": value for key, value in place.items()},
        **_about(episode), "words": [asdict(word) for word in episode.words], **statistics,
    }  # fmt: skip


def _statistics(folder: Path, columns: dict[str, np.ndarray]) -> dict:
    """Of every column, and of about 100 pictures."""
    made = {name: lerobot.statistics(values) for name, values in columns.items()}
    videos = [VideoReader(path) for path in sorted(folder.glob("videos/*/*/*.mp4"))]
    sampled = [video.read_frames(i, i + 1)[0] for video in videos
               for i in range(0, len(video), max(1, len(video) // 100))]  # fmt: skip
    return {PICTURES: lerobot.statistics(np.stack(sampled), axis=(0, 1, 2), scale=255.0), **made}
