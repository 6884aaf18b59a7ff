"""Contact sheets: pictures spread evenly over a video, on one JPEG.

In: video files. Out: JPEG bytes. A `Sheets` makes them in the background and keeps the latest.

    sheets = Sheets(); sheets.ask(Path("a.mp4")).result()
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np

from vpt.frames import to_rgb
from vpt.media import is_shown, open_media, picture_stream, read_clock, turn_of

COLUMNS, ROWS = 4, 4
TILE = (320, 240)  # a picture fits into this, pixels
GAP_PX, GAP_GREY = 4, 28


class Sheets:
    """Sheets that were asked for, the latest `keep` of them; two are made at a time, in the order of asking."""

    def __init__(self, keep: int = 64) -> None:
        self.keep, self.lock = keep, threading.Lock()
        self.made: OrderedDict[tuple, Future] = OrderedDict()
        self.pool = ThreadPoolExecutor(2, thread_name_prefix="sheets")

    def ask(self, path: Path) -> Future:
        """A sheet to come: JPEG bytes, or the ValueError of a video that cannot be read."""
        key = (path, path.stat().st_mtime_ns)  # a video that was mended is looked at again
        with self.lock:
            if key not in self.made:
                self.made[key] = self.pool.submit(contact_sheet, path)
            self.made.move_to_end(key)
            while len(self.made) > self.keep:
                self.made.popitem(last=False)
            return self.made[key]

    def close(self) -> None:
        """Make no more."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def contact_sheet(path: Path) -> bytes:
    """A video's sheet as JPEG. Raises ValueError naming the file that cannot be read."""
    tiles = [_fit(picture) for picture in read_samples(path, COLUMNS * ROWS)]
    height, width = tiles[0].shape[:2]
    sheet = np.full((ROWS * (height + GAP_PX) - GAP_PX, COLUMNS * (width + GAP_PX) - GAP_PX, 3), GAP_GREY, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // COLUMNS * (height + GAP_PX), i % COLUMNS * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = cv2.resize(tile, (width, height))
    return cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def sample_frames(path: Path, n_frames: int) -> list[np.ndarray]:
    """All that `read_samples` gives, in memory at once."""
    return list(read_samples(path, n_frames))


def read_samples(path: Path, n_frames: int) -> Iterator[np.ndarray]:
    """`n_frames` pictures (H, W, 3) uint8 RGB, one from the first half of each `n_frames`-th part of the video.

    A key frame in that half is taken as it is, so long videos cost a seek a picture; else the frames before it are
    decoded. Raises ValueError naming the file that cannot be opened, is broken or ends early.
    """
    (begin, length), turn = _extent(path), None
    with open_media(path) as container:
        stream = picture_stream(container)
        stream.codec_context.thread_count = 1  # threads decode ahead, for nothing after a seek
        for frame in _decode_spread(container, stream, begin, length, n_frames):
            turn = turn or turn_of(frame)
            yield to_rgb(frame, turn)


def _extent(path: Path) -> tuple[int, int]:
    """When the pictures begin and how long they last, in units of their stream's clock."""
    with open_media(path) as container:
        stream = picture_stream(container)
        if stream.duration:
            return stream.start_time or 0, stream.duration
        tick_s = float(stream.time_base)
    clock = read_clock(path)  # the header knows of pictures and sound together only, and sound may be longer
    return round(clock.begin_s / tick_s), round(clock.end_s / tick_s)


def _decode_spread(container, stream, begin: int, length: int, n_frames: int) -> Iterator[av.VideoFrame]:
    """The first frame shown in each part, or the key frame after it. Times are in units of the stream's clock."""
    keys = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
    frames, frame = None, None
    for start in (begin + length * i // n_frames for i in range(n_frames)):
        latest = start + length // (2 * n_frames)
        key = max((time for time in keys if time <= latest), default=latest)
        if frame is None or key > frame.pts:
            container.seek(latest, stream=stream)
            frames, frame = filter(is_shown, container.decode(stream)), None
        while frame is None or frame.pts is None or frame.pts + (frame.duration or 1) <= start:
            frame = next(frames, None)
            if frame is None:
                second, lasts_s = (float(time * stream.time_base) for time in (start - begin, length))
                raise ValueError(f"it is cut short: no picture at {second:.0f} s of {lasts_s:.0f} s")
        yield frame


def _fit(picture: np.ndarray) -> np.ndarray:
    scale = min(TILE[0] / picture.shape[1], TILE[1] / picture.shape[0])
    size = tuple(max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
