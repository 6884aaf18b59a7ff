"""Any frames of a long H.264 file at the price of decoding them once, and files joined without re-encoding.

In: mp4 files of yuv420p pictures at a constant rate. Out: RGB frames (n, height, width, 3) uint8 by number, or one
joined mp4. A reader decodes whole groups of pictures (from one key frame to the next) and keeps the latest ones in a
`RecentlyUsed`, so playing forwards decodes every frame once and a random clip costs at most two groups more.

    video = VideoReader("file-000.mp4", RecentlyUsed(500)); video.read_frames(1000, 1128)
    join(["a.mp4", "b.mp4"], "ab.mp4")
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import av
import cv2
import numpy as np

from vlpt.data.recently_used import RecentlyUsed
from vlpt.data.video_packets import YUV420P, video_packets
from vpt.errors import one_line
from vpt.files import whole_file
from vpt.media import open_media, picture_stream, readable


class VideoReader:
    """Frames of one mp4 by number, 0 first.

    Raises ValueError naming the file where it is missing, cut short, broken or of another pixel format.
    """

    def __init__(self, path: Path | str, cache: RecentlyUsed | None = None):
        """cache: of decoded groups of pictures, as I420 planes, half the size of RGB."""
        self.path, self.cache = Path(path), cache or RecentlyUsed(100)
        self.lock = Lock()  # of what threads share: a demuxer's place in the file
        with _reading(path):
            self.packets = video_packets(path)
        self.group_start = self.packets.starts

    def __len__(self) -> int:
        return int(self.group_start[-1])

    def read_frames(self, start: int, stop: int) -> np.ndarray:
        """Frames start..stop-1 as (stop - start, H, W, 3) uint8 RGB."""
        planes = [self._slice(group, start, stop) for group in self._groups(start, stop)]
        out = np.empty((stop - start, *self.packets.size, 3), dtype=np.uint8)
        for i, plane in enumerate(plane for group in planes for plane in group):
            cv2.cvtColor(plane, cv2.COLOR_YUV2RGB_I420, dst=out[i])
        return out

    def cut(self, start: int, stop: int, out: Path | str) -> bool:
        """Copy frames start..stop-1 into an mp4 of their own, without decoding; False, and nothing written, where they
        are no whole groups of pictures."""
        if start not in self.group_start or stop not in self.group_start:
            return False
        with _open(self.path) as source:
            template = picture_stream(source)
            packets = [packet for group in self._groups(start, stop) for packet in self.packets.read(group)]
            order = np.argsort(np.argsort([packet.pts for packet in packets]))
            delay, frame_pts = int((np.arange(len(order)) - order).max()), _frame_pts(template)
            with whole_file(out) as unfinished, av.open(str(unfinished), "w", format="mp4") as container:
                stream = container.add_stream_from_template(template)
                stream.time_base = template.time_base
                for i, packet in enumerate(packets):
                    packet.is_keyframe = start + int(order[i]) in self.group_start
                    packet.stream, packet.time_base, packet.duration = stream, template.time_base, frame_pts
                    packet.pts, packet.dts = int(order[i]) * frame_pts, (i - delay) * frame_pts
                    container.mux(packet)
        return True

    def _groups(self, start: int, stop: int) -> range:
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"{self.path} holds frames 0..{len(self) - 1}, asked for {start}..{stop - 1}")
        first, last = np.searchsorted(self.group_start, [start, stop - 1], side="right") - 1
        return range(first, last + 1) if stop > start else range(0)

    def _slice(self, group: int, start: int, stop: int) -> np.ndarray:
        planes = self.cache.get((self.path, group))
        if planes is None:
            planes = self._decode(group)
            self.cache.put((self.path, group), planes, planes.nbytes)
        offset = self.group_start[group]
        return planes[max(start - offset, 0): stop - offset]

    def _decode(self, group: int) -> np.ndarray:
        """One group of pictures -> (n, 3H/2, W) uint8 planes."""
        with self.lock, _decoding(self.path):
            decoder, shown = self.packets.decoder, []
            try:
                for packet in self.packets.read(group):
                    shown += decoder.decode(packet)
                shown += decoder.decode(None)
            finally:
                decoder.flush_buffers()
            if [frame.pts for frame in shown] != self.packets.times(group):
                start, stop = self.group_start[group: group + 2]
                raise ValueError(f"frames {start}..{stop - 1} do not decode in order")
            if other := {frame.format.name for frame in shown} - {YUV420P}:
                raise ValueError(f"pixel format {', '.join(other)}")
            return np.stack([frame.to_ndarray() for frame in shown])


def signature(path: Path | str) -> tuple:
    """What two files must share to be joined: size, pixel format, codec and its parameter sets, colours, clock."""
    with _open(path) as container:
        stream = picture_stream(container)
        context = stream.codec_context
        return (context.width, context.height, context.pix_fmt, context.name, bytes(context.extradata or b""),
                context.colorspace, context.color_range, stream.average_rate, stream.time_base)


def join(paths: Sequence[Path | str], out: Path | str) -> list[int]:
    """Copy the pictures of several files, in order, into one mp4; returns the number of frames of each.

    No picture is decoded. Raises ValueError when the files differ in `signature` or one cannot be read.
    """
    signatures = {signature(path) for path in paths}
    if len(signatures) > 1:
        raise ValueError(f"{paths[0]} and {len(paths) - 1} more cannot be joined: they were encoded differently")
    shown = [_display_order(path) for path in paths]
    # A picture is decoded before it is shown; one delay for all keeps decoding times rising from file to file.
    delay = max(int((np.arange(len(order)) - order).max()) for order in shown)
    with av.open(str(paths[0])) as first, av.open(str(out), "w", format="mp4") as joined:
        template = first.streams.video[0]
        stream = joined.add_stream_from_template(template)
        stream.time_base = template.time_base
        frame_pts = _frame_pts(template)
        start = 0
        for path, order in zip(paths, shown, strict=True):
            for i, packet in enumerate(_packets(path)):
                packet.stream = stream
                packet.pts, packet.dts = (start + int(order[i])) * frame_pts, (start + i - delay) * frame_pts
                joined.mux(packet)
            start += len(order)
    return [len(order) for order in shown]


def _frame_pts(stream) -> int:
    """How long a picture is shown, in the stream's units."""
    return int(1 / (stream.average_rate * stream.time_base))


def _display_order(path) -> np.ndarray:
    """For each picture in decoding order, its number when shown (H.264 decodes some pictures ahead of time)."""
    pts = [packet.pts for packet in _packets(path)]
    with _reading(path):
        if not pts:
            raise ValueError("no picture")
    return np.argsort(np.argsort(pts))


def _packets(path):
    with _open(path) as container:
        for packet in container.demux(picture_stream(container)):
            if packet.pts is not None:  # an empty packet ends a stream
                yield packet


@contextmanager
def _decoding(path) -> Iterator[None]:
    """As `_reading`, of a file that is open: it may be gone by now, as a copy that had to make room for others."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path} cannot be read as H.264 video: {one_line(error, of=path)}; copy or record it again"
                         ) from error  # fmt: skip


def _reading(path):
    return readable(path, "H.264 video", "copy or record it again")


def _open(path):
    return open_media(path, "H.264 video", "copy or record it again")
