"""Shards, read: the episodes and pictures of a dataset. What an episode is stands in episode.py.

In: a LeRobotDataset v3.0 folder as `vlpt/data/shards.py` writes it, also after LeRobot's own tools changed it. Out:

    shards = Shards("data/6_shards")
    for episode in shards.episodes:
        pictures = shards.read_frames(episode, 0, 128)          # (128, 128, 128, 3) uint8 RGB

Opening checks what is cheap: the counts of episodes and frames in the tables' footers against `meta/info.json`, the
rows and the pictures of each episode against its length. What costs is checked when an episode is read. In memory are
the names of the episodes, and of labels, words and pictures what was used last.
"""

from pathlib import Path

import numpy as np

from vlpt.data import lerobot
from vlpt.data.dataset_part import DatasetPart
from vlpt.data.episode import FEATURES, ON_FRAMES, PICTURES, RECORDING, About, Episode, Errand
from vlpt.data.kept_open import KeptOpen, OpenParquet
from vlpt.data.recently_used import RecentlyUsed
from vlpt.data.remote_files import open_files
from vlpt.data.video_reader import VideoReader

__all__ = ["FEATURES", "ON_FRAMES", "PICTURES", "RECORDING", "About", "Episode", "Errand", "Shards"]

LABELS_MB = 256  # 4,000 episodes of a minute, or 60 of 70 minutes: more than there are lanes
MOST_VIDEOS = 64  # open at a time: 2 MB for six hours, and what a decoder holds


class Shards:
    """A dataset folder, or a folder of such parts, read: `episodes`, and their pictures by `read_frames`, of which up
    to `cache_mb` stay decoded. The folder may lie elsewhere (`s3://…`, `https://…`): `place` is what was given,
    `folder` where its files lie on this disk once they are fetched.

    It may travel to another process, which opens files of its own. Raises ValueError naming the file that is missing,
    cut short or does not fit the others.
    """

    def __init__(self, folder: Path | str, cache_mb: float = 1000):
        files, labels, tables = open_files(folder), RecentlyUsed(LABELS_MB), OpenParquet()
        self.place, self.folder, self.cache = str(folder), files.folder, RecentlyUsed(cache_mb)
        self.videos = KeptOpen(MOST_VIDEOS)
        parts = [] if files.has(lerobot.INFO_PATH) else [open_files(part) for part in files.parts()]
        self.parts = [DatasetPart(part, labels, tables) for part in parts or [files]]
        self.episodes = [episode for part in self.parts for episode in part.episodes]

    def read_frames(self, episode: Episode, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Pictures start..stop-1 of an episode -> (stop - start, 128, 128, 3) uint8 RGB."""
        stop = episode.n_frames if stop is None else stop
        if not 0 <= start <= stop <= episode.n_frames:
            raise ValueError(f"{episode.id} has frames 0..{episode.n_frames - 1}, asked for {start}..{stop - 1}")
        video = self.videos.get(episode.video, lambda path: VideoReader(self.fetch(path), self.cache))
        return video.read_frames(episode.first_frame + start, episode.first_frame + stop)

    def fetch(self, video: Path) -> Path:
        """An episode's video, on this disk: one of a remote dataset is copied there if it is not yet, and checked."""
        part = self._part_of(video)
        return part.fetch_video(video) if part is not None and part.files.remote else video

    def stamp(self, video: Path) -> dict:
        """What an episode's video is known by without reading it, nor fetching it. Raises FileNotFoundError."""
        files = self._part_of(video).files
        return files.stamp(str(video.relative_to(files.folder)))

    def _part_of(self, video: Path) -> DatasetPart | None:
        return next((part for part in self.parts if video.is_relative_to(part.files.folder)), None)

    def reopen(self) -> None:
        """Opens videos anew, as a child must, which would share the place in the file with its parent. A child that
        reads without having asked for it gets it too."""
        self.videos.forget()
