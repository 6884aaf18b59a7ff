"""One dataset, opened: its episodes, each of which reads its labels and words from here when they are asked for.

In: the files of a dataset, and the cache that its labels share with others'. Out: `episodes`, and the attributes of one
by `read`. Checked at opening: the counts of episodes and frames in the tables against `meta/info.json`, the rows of
each episode and the pictures of each video against the lengths of the episodes. Checked when an episode is read: the
numbers of its frames, its classes of actions, its words and errands.

    part = DatasetPart(DatasetFiles("data/6_shards"), RecentlyUsed(256))
    part.read(0, "buttons_index")                             # as part.episodes[0].buttons_index does
"""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vlpt.data import lerobot
from vlpt.data.dataset_files import DatasetFiles
from vlpt.data.episode import FEATURES, ON_FRAMES, PICTURES, RECORDING, About, Episode, Errand, Late, stored_episode
from vlpt.data.kept_open import OpenParquet
from vlpt.data.language_events import EVENTS, from_events
from vlpt.data.lerobot import Row
from vlpt.data.lerobot_reader import EpisodeTable, FrameTable, RowGroups, read_info
from vlpt.data.mp4_header import count_samples
from vlpt.data.recently_used import RecentlyUsed
from vlpt.data.words import Word
from vpt.actions import MINECRAFT
from vpt.frames import FRAMES_PER_SECOND

STORED = {name: feature for name, feature in FEATURES.items() if name != PICTURES}
TOLD = ("words", "errands")
WORD_BYTES = 250  # about what one takes in memory


class DatasetPart:
    """labels, tables: what is kept of all datasets. Raises ValueError naming the file that is missing, cut short or
    does not fit the others."""

    def __init__(self, files: DatasetFiles, labels: RecentlyUsed, tables: OpenParquet | None = None):
        self.files, self.labels, self.fetched, tables = files, labels, {}, tables or OpenParquet()
        info = _read_info(files)
        self.table = EpisodeTable(files, PICTURES, ["id", "channel", "seed", "world"], info.total_episodes, tables)
        self.frames = FrameTable(files, STORED, list(ON_FRAMES), tables)
        rows = self.table.rows
        self.indices = np.array([row.episode_index for row in rows], np.int64)
        self.groups = self.frames.groups(files.frame_tables())
        self.data = [row.data_name for row in rows] if files.remote else []
        self._check_counts(info, rows)
        if files.remote:  # of which nothing is here yet but its descriptions
            self.frames.there.add(EVENTS)
        self.episodes = self._episodes(rows)
        if "words" not in self.table.there and EVENTS not in self.frames.there:
            with lerobot.reading(files.name("data")):
                raise ValueError(_dropped("words", EVENTS))
        if not files.remote:
            self._check_videos()
        self.table.rows, self.table.own = [], []  # the episodes have what is needed of them

    def read(self, number: int, name: str):
        """An attribute of READ_LATE of an episode, by its number among `episodes`."""
        key, make = (number, "told"), self._read_told
        if name not in TOLD:
            key, make = (number, "columns"), self._read_columns
        found = self.labels.get((str(self.files), *key))
        if found is None:
            found, n_bytes = make(number)
            self.labels.put((str(self.files), *key), found, n_bytes)
        return found[name]

    # ---- what opening checks

    def _check_counts(self, info: lerobot.Info, rows: list[Row]) -> None:
        lengths = np.array([row.length for row in rows], np.int64)
        n_frames = int((lengths if self.files.remote else self.groups.rows).sum())
        with lerobot.reading(str(self.files)):
            if n_frames != info.total_frames or len(rows) != info.total_episodes:
                raise ValueError(f"meta/info.json promises {info.total_frames} frames in {info.total_episodes} "
                                 f"episodes, there are {n_frames} in {len(rows)}")
        if not self.files.remote:
            self._check_lengths(self.groups, lengths)

    def _check_lengths(self, groups: RowGroups, lengths: np.ndarray) -> None:
        counts = groups.count(self.indices)
        with lerobot.reading(self.files.name("data")):
            for wrong in np.flatnonzero((counts >= 0) & (counts != lengths)):
                raise ValueError(_other_length(self.indices[wrong], lengths[wrong], counts[wrong]))

    def _check_videos(self) -> None:
        """The pictures that the episodes speak of are in the files, and belong to one episode each."""
        spans = defaultdict(list)
        for episode in self.episodes:
            spans[episode.video].append((episode.first_frame, episode.first_frame + episode.n_frames, episode.id))
        for video, held in spans.items():
            _check_spans(video, sorted(held))

    def fetch_video(self, video: Path) -> Path:
        """A video of a remote dataset, copied to this disk and checked. Raises ValueError naming its address."""
        name = str(video.relative_to(self.files.folder))
        with lerobot.reading(self.files.name(name)):
            self.files.local(name)
            held = [(one.first_frame, one.first_frame + one.n_frames, one.id) for one in self.episodes
                    if one.video == video]  # fmt: skip
            _check_spans(video, sorted(held))
        return video

    # ---- what an episode is

    def _episodes(self, rows: list[Row]) -> list[Episode]:
        recordings, videos, made, read, described = None, {}, [], self.read, self.files.name("meta/episodes")
        for number, (row, own) in enumerate(zip(rows, self.table.own, strict=True)):
            if own.get("id") is None or own.get("channel") is None:
                if recordings is None and self.files.remote:
                    self.groups = self.frames.groups(sorted(set(self.data)))
                if recordings is None:
                    recordings = self.frames.first_frames(self.groups, RECORDING)
                about = self._about(recordings.get(row.episode_index))
            else:
                with lerobot.reading(described):
                    about = lerobot.checked(About, {name: value for name, value in own.items() if value is not None})
            place = row.chunk_index, row.file_index
            if place not in videos:
                name = lerobot.VIDEO_PATH.format(video_key=PICTURES, chunk_index=place[0], file_index=place[1])
                videos[place] = self.files.path(name)
            made.append(stored_episode(
                Late(row.length, number, read), id=about.id, channel=about.channel, video=videos[place],
                seed=about.seed, world=about.world, first_frame=round(row.from_timestamp * FRAMES_PER_SECOND),
            ))  # fmt: skip
        return made

    def _about(self, recording: str | None) -> About:
        """What the first frame says an episode is."""
        with lerobot.reading(self.files.name("data")):
            if not recording:
                raise ValueError(_dropped("id", RECORDING))
            return lerobot.checked(About, json.loads(recording))

    # ---- what is read late

    def _groups(self, number: int) -> RowGroups:
        """Where an episode's frames lie; of a remote dataset, its file is fetched first."""
        if not self.files.remote:
            return self.groups
        name = self.data[number]
        if name not in self.fetched:
            self.fetched[name] = self.frames.groups([name])
        return self.fetched[name]

    def _read_frames(self, number: int) -> dict[str, np.ndarray]:
        groups, length = self._groups(number), self.episodes[number].n_frames
        columns = self.frames.read(self.indices[number], groups)
        with lerobot.reading(self.files.name("data")):
            if not np.array_equal(columns["frame_index"], np.arange(length)):
                raise ValueError(_other_length(self.indices[number], length, len(columns["frame_index"])))
            _check_actions(columns)
        return columns

    def _read_columns(self, number: int) -> tuple[dict, int]:
        columns = self._read_frames(number)
        known = bool((columns["truth.buttons"] >= 0).all())
        found = {
            "buttons_index": columns["action"][:, 0].copy(), "camera_index": columns["action"][:, 1].copy(),
            "null": columns["null"], "confidence": columns["confidence"],
            "true_buttons": columns["truth.buttons"].astype(np.uint8) if known else None,
            "true_camera_deg": columns["truth.camera_deg"] if known else None,
        }  # fmt: skip
        return found, sum(column.nbytes for column in found.values() if column is not None)

    def _read_told(self, number: int) -> tuple[dict, int]:
        """Words and errands from the episode's own columns or, where LeRobot's tools dropped them, from its frames."""
        own = {name: value for name, value in self.table.read(number, TOLD).items() if value is not None}
        columns = self._read_frames(number) if len(own) < len(TOLD) else {}
        if "errands" in own:
            with lerobot.reading(self.files.name("meta/episodes")):
                errands = lerobot.checked(_Errands, {"errands": own["errands"]}).errands
        else:
            errands = self._about(columns[RECORDING][0]).errands if columns[RECORDING][0] else ()
        words = self._words(own.get("words"), columns)
        return {"words": words, "errands": [asdict(errand) for errand in errands]}, WORD_BYTES * (1 + len(words))

    def _words(self, own: list[dict] | None, columns: dict[str, np.ndarray]) -> list[Word]:
        with lerobot.reading(self.files.name("data" if own is None else "meta/episodes")):
            if own is not None:
                words = lerobot.checked(list[Word], own)
            elif columns[RECORDING][0]:
                words = lerobot.checked(list[Word], [asdict(word) for word in from_events(columns[EVENTS])])
            else:
                raise ValueError(_dropped("words", EVENTS))
            for word in words:
                if not 0 <= word.start_ms <= word.end_ms < np.inf:
                    raise ValueError(f"a word needs 0 <= start_ms <= end_ms, got {word}")
        return words


@dataclass(frozen=True)
class _Errands:
    errands: tuple[Errand, ...] = ()


def read_dataset_info(folder: Path | str) -> lerobot.Info:
    """What `meta/info.json` of a folder says. Raises ValueError naming it where it has not our columns and rate."""
    return _read_info(DatasetFiles(folder))


def _read_info(files: DatasetFiles) -> lerobot.Info:
    info = read_info(files)
    with lerobot.reading(files.name(lerobot.INFO_PATH)):
        if info.fps != FRAMES_PER_SECOND:
            raise ValueError(f"{info.fps:g} frames a second, expected {FRAMES_PER_SECOND}")
        if missing := sorted(set(FEATURES) - set(info.features)):
            raise ValueError(f"features {missing} are missing")
        for name, feature in FEATURES.items():
            if list(info.features[name].shape) != feature["shape"]:
                raise ValueError(f"feature {name} has the shape {list(info.features[name].shape)}, "
                                 f"expected {feature['shape']}")
    return info


def _check_spans(video: Path, held: list[tuple[int, int, str]]) -> None:
    """held: from which frame to which each episode goes, in order, and its id."""
    count = count_samples(video)
    for start, stop, id_ in held:
        if stop > count:
            raise ValueError(f"{video} holds frames 0..{count - 1}, episode {id_} should be its frames "
                             f"{start}..{stop - 1}: make the dataset again with data_gathering.shard")
    for (_, stop, one), (start, _, other) in zip(held, held[1:], strict=False):
        if start < stop:
            raise ValueError(f"{video}: frame {start} belongs to {one}, which ends at {stop}, and to {other}: "
                             "make the dataset again with data_gathering.shard")


def _check_actions(columns: dict[str, np.ndarray]) -> None:
    for name, values, most in (("buttons_index", columns["action"][:, 0], MINECRAFT.n_buttons_index - 1),
                               ("camera_index", columns["action"][:, 1], MINECRAFT.n_camera_index - 1),
                               ("truth.buttons", columns["truth.buttons"] + 1, 2)):  # fmt: skip
        if values.size and not 0 <= values.min() <= values.max() <= most:
            raise ValueError(f"{name} lies in {values.min()}..{values.max()}, expected 0..{most}")


def _other_length(episode_index: int, length: int, found: int) -> str:
    return f"episode {episode_index} should have the frames 0..{length - 1}, has {found}"


def _dropped(of_episodes: str, of_frames: str) -> str:
    return (f"meta/episodes has no column {of_episodes!r} and data no column {of_frames!r}: a tool that changed the "
            "dataset dropped them; change one that data_gathering.shard wrote for lerobot 0.6")
