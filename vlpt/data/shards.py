"""Shards: episodes of play (pictures, actions, words) as one LeRobotDataset v3.0 folder, written and read.

In (`write_shards`): episodes whose pictures lie in 128x128 mp4 files of their own. Out: a folder with the pictures
joined in `videos/`, one row a frame in `data/`, one row an episode, with its words, in `meta/episodes/`.
Words are stored, not tokens, so that shards do not depend on a tokenizer. No frame is ever left out: what must not be
learnt from is marked (`null`), what is not known is marked (-1, nan).

    shards = Shards("data/6_shards")
    for episode in shards.episodes:
        pictures = shards.read_frames(episode, 0, 128)          # (128, 128, 128, 3) uint8 RGB

Columns of a frame: `action` (buttons index, camera index) as labelled, `null`, `confidence` of the label (1 for truth),
`truth.buttons` (20, 0/1, -1 unknown) and `truth.camera_deg` (pitch, yaw; nan unknown).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlpt.data import lerobot
from vlpt.data.video_reader import PictureCache, VideoReader, join, signature
from vlpt.data.words import Word
from vlpt.files import read_json, write_json
from vpt.actions import BUTTONS
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND

PICTURES = "observation.images.pov"
SOURCE_PATH = "meta/source.json"
FREE_PLAY = "free play"

FEATURES = {
    PICTURES: lerobot.video_feature(AGENT_SIZE, AGENT_SIZE, FRAMES_PER_SECOND),
    "action": {"dtype": "int64", "shape": [2], "names": ["buttons_index", "camera_index"]},
    "null": {"dtype": "bool", "shape": [1], "names": None},
    "confidence": {"dtype": "float32", "shape": [1], "names": None},
    "truth.buttons": {"dtype": "int8", "shape": [len(BUTTONS)], "names": list(BUTTONS)},
    "truth.camera_deg": {"dtype": "float32", "shape": [2], "names": ["pitch", "yaw"]},
}
_WORDS = pa.list_(pa.struct({"word": pa.string(), "start_ms": pa.float64(), "end_ms": pa.float64()}))
_ERRANDS = pa.list_(pa.struct({"name": pa.string(), "start_frame": pa.int64(), "end_frame": pa.int64(),
                               "done": pa.bool_()}))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Episode:
    """One recording of N frames; row t is what is pressed after frame t was seen and before frame t + 1."""

    id: str
    channel: str
    video: Path  # mp4 that holds the pictures
    words: list[Word]  # in spoken order
    buttons_index: np.ndarray  # (N,) int64, as labelled
    camera_index: np.ndarray  # (N,) int64
    null: np.ndarray  # (N,) bool: the labelled action is "nothing"
    confidence: np.ndarray  # (N,) float32, probability the labeller gave its label
    true_buttons: np.ndarray | None = None  # (N, 20) uint8 where known
    true_camera_deg: np.ndarray | None = None  # (N, 2) float32 pitch, yaw
    errands: list[dict] = field(default_factory=list)  # {"name", "start_frame", "end_frame" (exclusive), "done"}
    seed: int = -1
    world: str = ""
    first_frame: int = 0  # where the episode begins in `video`

    @property
    def n_frames(self) -> int:
        """N."""
        return len(self.buttons_index)


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
        lerobot.write_data(unfinished, columns, lengths)
        rows = [_episode_row(i, episode, place, own, tasks, sum(lengths[:i]))
                for i, (episode, place, own) in enumerate(zip(episodes, places, each, strict=True))]
        lerobot.write_episodes(unfinished, rows, {"words": _WORDS, "errands": _ERRANDS, "tasks": pa.list_(pa.string())})
        lerobot.write_tasks(unfinished, tasks)
        write_json(unfinished / lerobot.STATS_PATH, _statistics(unfinished, columns))
        write_json(unfinished / SOURCE_PATH, source)
        lerobot.write_info(unfinished, FEATURES, FRAMES_PER_SECOND, len(episodes), sum(lengths), len(tasks))


def read_source(folder: Path | str) -> dict | None:
    """What a finished dataset was made from; None when there is none."""
    folder = Path(folder)
    if not (folder / lerobot.INFO_PATH).exists() or not (folder / SOURCE_PATH).exists():
        return None
    return read_json(folder / SOURCE_PATH)


def _write_videos(folder: Path, episodes: list[Episode]) -> list[dict]:
    """Join the videos, those encoded alike into one file up to a size; returns each episode's place."""
    batches: list[list[int]] = []
    last, size = None, 0
    for i, episode in enumerate(episodes):
        kind, size = signature(episode.video), size + episode.video.stat().st_size
        if not fits(episode.video):
            raise ValueError(f"{episode.video} is not 128x128 H.264 as vpt.frames.write_video makes it, but {kind[:4]}")
        if kind != last or size > lerobot.VIDEO_FILE_MB * 2**20:
            batches.append([])
            last, size = kind, 0
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
        "id": episode.id, "channel": episode.channel, "seed": episode.seed, "world": episode.world,
        "words": [asdict(word) for word in episode.words], "errands": episode.errands, **statistics,
    }  # fmt: skip


def _statistics(folder: Path, columns: dict[str, np.ndarray]) -> dict:
    """Of every column, and of about 100 pictures."""
    made = {name: lerobot.statistics(values) for name, values in columns.items()}
    videos = [VideoReader(path) for path in sorted(folder.glob("videos/*/*/*.mp4"))]
    sampled = [video.read_frames(i, i + 1)[0] for video in videos
               for i in range(0, len(video), max(1, len(video) // 100))]  # fmt: skip
    return {PICTURES: lerobot.statistics(np.stack(sampled), axis=(0, 1, 2), scale=255.0), **made}


class Shards:
    """A dataset folder, or a folder of such parts, read: `episodes`, and their pictures by `frames`, of which up to
    `cache_mb` stay decoded.

    Raises ValueError naming the file that is missing, cut short or does not fit the others.
    """

    def __init__(self, folder: Path | str, cache_mb: float = 1000):
        self.folder, self.cache, self.videos = Path(folder), PictureCache(cache_mb), {}
        whole = [self.folder] if (self.folder / lerobot.INFO_PATH).exists() else []
        parts = [path for path in sorted(self.folder.glob("*/")) if (path / lerobot.INFO_PATH).exists()]
        self.episodes = [episode for part in whole or parts or [self.folder] for episode in _read_episodes(part)]

    def read_frames(self, episode: Episode, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Pictures start..stop-1 of an episode -> (stop - start, 128, 128, 3) uint8 RGB."""
        stop = episode.n_frames if stop is None else stop
        if not 0 <= start <= stop <= episode.n_frames:
            raise ValueError(f"{episode.id} has frames 0..{episode.n_frames - 1}, asked for {start}..{stop - 1}")
        if episode.video not in self.videos:
            self.videos[episode.video] = VideoReader(episode.video, self.cache)
        return self.videos[episode.video].read_frames(episode.first_frame + start, episode.first_frame + stop)


def _read_episodes(folder: Path) -> list[Episode]:
    info = _read_info(folder)
    rows, table = _read_table(folder, "meta/episodes").to_pylist(), _read_table(folder, "data")
    if table.num_rows != info["total_frames"] or len(rows) != info["total_episodes"]:
        raise ValueError(_cure(folder, f"meta/info.json promises {info['total_frames']} frames in "
                               f"{info['total_episodes']} episodes, there are {table.num_rows} in {len(rows)}"))
    columns = {name: _to_numpy(table[name]) for name in FEATURES if name != PICTURES}
    return [_episode(folder, row, columns) for row in sorted(rows, key=lambda row: row["episode_index"])]


def _read_info(folder: Path) -> dict:
    path = folder / lerobot.INFO_PATH
    if not path.exists():
        raise ValueError(f"{path} is missing: {folder} is no dataset; make one with data_gathering.shard")
    info = read_json(path)
    if info["codebase_version"] != lerobot.VERSION or info["fps"] != FRAMES_PER_SECOND:
        raise ValueError(_cure(path, f"version {info['codebase_version']} at {info['fps']} frames a second, "
                               f"expected {lerobot.VERSION} at {FRAMES_PER_SECOND}"))
    if not set(FEATURES) <= set(info["features"]):
        raise ValueError(_cure(path, f"features {sorted(set(FEATURES) - set(info['features']))} are missing"))
    return info


def _episode(folder: Path, row: dict, columns: dict[str, np.ndarray]) -> Episode:
    rows = slice(row["dataset_from_index"], row["dataset_to_index"])
    mine = {name: column[rows] for name, column in columns.items()}
    known = bool((mine["truth.buttons"] >= 0).all())
    place = {key: row[f"videos/{PICTURES}/{key}"] for key in ("chunk_index", "file_index", "from_timestamp")}
    first_frame = round(place.pop("from_timestamp") * FRAMES_PER_SECOND)
    return Episode(
        row["id"], row["channel"], folder / lerobot.VIDEO_PATH.format(video_key=PICTURES, **place),
        [Word(**word) for word in row["words"]],
        mine["action"][:, 0].copy(), mine["action"][:, 1].copy(), mine["null"], mine["confidence"],
        mine["truth.buttons"].astype(np.uint8) if known else None, mine["truth.camera_deg"] if known else None,
        row["errands"], row["seed"], row["world"], first_frame,
    )  # fmt: skip


def _read_table(folder: Path, below: str) -> pa.Table:
    paths = sorted((folder / below).glob("*/*.parquet"))
    if not paths:
        raise ValueError(_cure(folder / below, "no Parquet file"))
    tables = []
    for path in paths:
        try:
            tables.append(pq.read_table(path))
        except (pa.ArrowException, OSError) as error:
            raise ValueError(_cure(path, str(error).splitlines()[0])) from error
    return pa.concat_tables(tables)


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if pa.types.is_fixed_size_list(array.type):
        return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), -1)
    return array.to_numpy(zero_copy_only=False)


def _cure(path, problem: str) -> str:
    return f"{path} cannot be read ({problem}): make the dataset again with data_gathering.shard"
