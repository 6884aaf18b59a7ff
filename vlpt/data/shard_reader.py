"""Shards, read: what an episode is, which columns its frames have, and the episodes and pictures of a dataset.

In: a LeRobotDataset v3.0 folder as `vlpt/data/shards.py` writes it, also after LeRobot's own tools changed it. Out:

    shards = Shards("data/6_shards")
    for episode in shards.episodes:
        pictures = shards.read_frames(episode, 0, 128)          # (128, 128, 128, 3) uint8 RGB

Columns of a frame: `action` (buttons index, camera index) as labelled, `null`, `confidence` of the label (1: truth, 0:
unknown), `truth.buttons` (20, 0/1, -1 unknown) and `truth.camera_deg` (pitch, yaw; nan unknown). LeRobot's tools drop
the columns of an episode that are not theirs, so what is said stands on the frames too (`language_events`), and what an
episode is on its first one (`recording`, JSON).
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from vlpt.data import lerobot
from vlpt.data.language_events import EVENTS, from_events
from vlpt.data.language_events import FEATURE as EVENTS_FEATURE
from vlpt.data.video_reader import PictureCache, VideoReader
from vlpt.data.words import Word
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND

PICTURES = "observation.images.pov"
RECORDING = "recording"

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


@dataclass(frozen=True)
class Errand:
    """What the player was about for some frames."""

    name: str
    start_frame: lerobot.Number
    end_frame: lerobot.Number | None = None  # none where the recording ended
    done: bool | None = None
    announced_ms: lerobot.Number | None = None  # when the words began that told it


@dataclass(frozen=True)
class About:
    """What an episode is, as its meta file and its dataset say."""

    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$")]  # files are named after it
    channel: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=-1, lt=2**63)] = -1
    world: str = ""
    errands: tuple[Errand, ...] = ()


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
