"""Shards: episodes of play (pictures, actions, words) as one LeRobotDataset v3.0 folder, written and read.

In (`write_shards`): episodes whose pictures lie in 128x128 mp4 files of their own. Out: a folder with the pictures
joined in `videos/`, one row a frame in `data/`, one row an episode, with its words, in `meta/episodes/`.
Words are stored, not tokens, so that shards do not depend on a tokenizer. No frame is ever left out: what must not be
learnt from is marked (`null`), what is not known is marked (-1, nan).

    shards = Shards("data/6_shards")
    for episode in shards.episodes:
        pictures = shards.read_frames(episode, 0, 128)          # (128, 128, 128, 3) uint8 RGB

Columns of a frame: `action` (buttons index, camera index) as labelled, `null`, `confidence` of the label (1: truth, 0:
unknown), `truth.buttons` (20, 0/1, -1 unknown) and `truth.camera_deg` (pitch, yaw; nan unknown). LeRobot's tools drop
the columns of an episode that are not theirs, so what is said stands on the frames too (`language_events`), and what an
episode is on its first one (`recording`, JSON).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from vlpt.data import lerobot
from vlpt.data.dataset_card import write_card
from vlpt.data.language_events import EVENTS, from_events, to_events
from vlpt.data.language_events import FEATURE as EVENTS_FEATURE
from vlpt.data.video_reader import PictureCache, VideoReader, join, signature
from vlpt.data.words import Word
from vlpt.files import read_json, write_json
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND

PICTURES = "observation.images.pov"
RECORDING = "recording"
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
# Written beside them. A dataset need not have them where its episodes have columns of their own for what they say.
ON_FRAMES = {RECORDING: {"dtype": "string", "shape": [1], "names": None}, EVENTS: EVENTS_FEATURE}
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
    confidence: np.ndarray  # (N,) float32, probability the labeller gave its label; 0: unknown, not learnt from
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


@dataclass(frozen=True)
class Errand:
    """What the player was about for some frames."""

    name: str
    start_frame: lerobot.Number
    end_frame: lerobot.Number | None = None  # none where the recording ended
    done: bool | None = None


@dataclass(frozen=True)
class About:
    """What an episode is, as its meta file and its dataset say."""

    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$")]  # files are named after it
    channel: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=-1, lt=2**63)] = -1
    world: str = ""
    errands: tuple[Errand, ...] = ()


def _read_episodes(folder: Path) -> list[Episode]:
    info = _read_info(folder)
    rows = lerobot.read_episodes(folder, PICTURES, [*About.__dataclass_fields__, "words"])
    index = {name: lerobot.INDEX_FEATURES[name] for name in ("episode_index", "frame_index")}
    stored = {name: feature for name, feature in FEATURES.items() if name != PICTURES}
    columns = lerobot.read_data(folder, stored | index, list(ON_FRAMES))
    n_frames = len(columns["frame_index"])
    with lerobot.reading(folder):
        if n_frames != info.total_frames or len(rows) != info.total_episodes:
            raise ValueError(f"meta/info.json promises {info.total_frames} frames in {info.total_episodes} episodes, "
                             f"there are {n_frames} in {len(rows)}")
    with lerobot.reading(folder / "data"):
        _check_actions(columns)
    return [_episode(folder, row, own, columns) for row, own in rows]


def _read_info(folder: Path) -> lerobot.Info:
    info = lerobot.read_info(folder)
    with lerobot.reading(folder / lerobot.INFO_PATH):
        if info.fps != FRAMES_PER_SECOND:
            raise ValueError(f"{info.fps:g} frames a second, expected {FRAMES_PER_SECOND}")
        if missing := sorted(set(FEATURES) - set(info.features)):
            raise ValueError(f"features {missing} are missing")
        for name, feature in FEATURES.items():
            if list(info.features[name].shape) != feature["shape"]:
                raise ValueError(f"feature {name} has the shape {list(info.features[name].shape)}, "
                                 f"expected {feature['shape']}")
    return info


def _check_actions(columns: dict[str, np.ndarray]) -> None:
    for name, values, most in (("buttons_index", columns["action"][:, 0], MINECRAFT.n_buttons_index - 1),
                               ("camera_index", columns["action"][:, 1], MINECRAFT.n_camera_index - 1),
                               ("truth.buttons", columns["truth.buttons"] + 1, 2)):  # fmt: skip
        if values.size and not 0 <= values.min() <= values.max() <= most:
            raise ValueError(f"{name} lies in {values.min()}..{values.max()}, expected 0..{most}")


def _episode(folder: Path, row: lerobot.Row, own: dict, columns: dict[str, np.ndarray]) -> Episode:
    where = slice(*np.searchsorted(columns["episode_index"], [row.episode_index, row.episode_index + 1]))
    mine = {name: column[where] for name, column in columns.items()}
    with lerobot.reading(folder / "data"):
        if not np.array_equal(mine["frame_index"], np.arange(row.length)):
            raise ValueError(f"episode {row.episode_index} should have the frames 0..{row.length - 1}, "
                             f"has {len(mine['frame_index'])}")
    about, words = _read_about(folder, own, mine), _read_words(folder, own, mine)
    known = bool((mine["truth.buttons"] >= 0).all())
    video = lerobot.VIDEO_PATH.format(video_key=PICTURES, chunk_index=row.chunk_index, file_index=row.file_index)
    return Episode(
        about.id, about.channel, folder / video, words,
        mine["action"][:, 0].copy(), mine["action"][:, 1].copy(), mine["null"], mine["confidence"],
        mine["truth.buttons"].astype(np.uint8) if known else None, mine["truth.camera_deg"] if known else None,
        [asdict(errand) for errand in about.errands], about.seed, about.world,
        round(row.from_timestamp * FRAMES_PER_SECOND),
    )  # fmt: skip


def _read_about(folder: Path, own: dict, columns: dict[str, np.ndarray]) -> About:
    """From the episode's own columns, or where LeRobot's tools dropped them, from its first frame."""
    if own.get("id") is not None and own.get("channel") is not None:
        with lerobot.reading(folder / "meta/episodes"):
            there = {name: own.get(name) for name in About.__dataclass_fields__}
            return lerobot.checked(About, {name: value for name, value in there.items() if value is not None})
    with lerobot.reading(folder / "data"):
        if not columns[RECORDING][0]:
            raise ValueError(_dropped("id", RECORDING))
        return lerobot.checked(About, json.loads(columns[RECORDING][0]))


def _read_words(folder: Path, own: dict, columns: dict[str, np.ndarray]) -> list[Word]:
    """As `_read_about`."""
    with lerobot.reading(folder / ("data" if own.get("words") is None else "meta/episodes")):
        if own.get("words") is not None:
            words = lerobot.checked(list[Word], own["words"])
        elif columns[RECORDING][0]:
            words = lerobot.checked(list[Word], [asdict(word) for word in from_events(columns[EVENTS])])
        else:
            raise ValueError(_dropped("words", EVENTS))
        for word in words:
            if not 0 <= word.start_ms <= word.end_ms < np.inf:
                raise ValueError(f"a word needs 0 <= start_ms <= end_ms, got {word}")
    return words


def _dropped(of_episodes: str, of_frames: str) -> str:
    return (f"meta/episodes has no column {of_episodes!r} and data no column {of_frames!r}: a tool that changed the "
            "dataset dropped them; change one that data_gathering.shard wrote for lerobot 0.6")
