"""The pictures of episodes joined in few mp4 files, those that were encoded alike, up to a size.

In: episodes whose pictures lie in files of their own. Out: files of at most 200 MB, or of one episode, and where in
them each episode lies. No picture is decoded.

    videos = VideoFiles(folder)
    place = videos.add(episode)                          # what LeRobot keeps of it in meta/episodes
    videos.close(); videos.written                       # {path: frames}
"""

from pathlib import Path

from vlpt.data.episode import PICTURES, Episode
from vlpt.data.lerobot import VIDEO_FILE_MB, VIDEO_PATH, place_of
from vlpt.data.lerobot_writer import next_file, times_hold
from vlpt.data.video_reader import join, signature
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND


def fits(video: Path) -> bool:
    """Whether `write_shards` takes a file's pictures as they are: 128x128, H.264, yuv420p in BT.601's studio range."""
    return _plain(signature(video))


def _plain(found: tuple) -> bool:
    width, height, pixels, codec, _, colours, studio, _, _ = found
    plain = pixels == "yuv420p" and codec == "h264" and colours in (2, 5, 6) and studio in (0, 1)
    return (width, height) == (AGENT_SIZE, AGENT_SIZE) and plain


class VideoFiles:
    """Adds to the videos of a dataset folder. A batch of episodes is joined when the next one does not go with it."""

    def __init__(self, folder: Path):
        self.folder, self.written = folder, {}
        self.number = next_file(folder, VIDEO_PATH, video_key=PICTURES) - 1
        self._begin(None)

    def _begin(self, kind: tuple | None) -> None:
        self.number += kind is not None
        self.batch, self.kind, self.bytes, self.n_frames = [], kind, 0, 0

    def add(self, episode: Episode) -> dict[str, float]:
        """The episode's place: file, and from when to when. Raises ValueError for pictures that cannot be stored."""
        kind, size = signature(episode.video), episode.video.stat().st_size
        if not _plain(kind):
            raise ValueError(f"{episode.video} is not 128x128 H.264 as vpt.frames.write_video makes it, but {kind[:4]}")
        full = self.bytes + size > VIDEO_FILE_MB * 2**20
        if kind != self.kind or full or not times_hold(self.n_frames, episode.n_frames, FRAMES_PER_SECOND):
            self.close()
            self._begin(kind)
        start = self.n_frames
        self.batch.append(episode)
        self.bytes, self.n_frames = self.bytes + size, self.n_frames + episode.n_frames
        return {**place_of(self.number), "from_timestamp": start / FRAMES_PER_SECOND,
                "to_timestamp": self.n_frames / FRAMES_PER_SECOND}  # fmt: skip

    def close(self) -> None:
        """Joins the last batch. Raises ValueError for a video that has not one frame a row."""
        if not self.batch:
            return
        path = self.folder / VIDEO_PATH.format(video_key=PICTURES, **place_of(self.number))
        path.parent.mkdir(parents=True, exist_ok=True)
        for episode, count in zip(self.batch, join([one.video for one in self.batch], path), strict=True):
            if count != episode.n_frames:
                raise ValueError(f"{episode.video} has {count} frames and {episode.n_frames} rows of actions: "
                                 "record or label it again")
        self.written[path] = self.n_frames
        self.batch = []
