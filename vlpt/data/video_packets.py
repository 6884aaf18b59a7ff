"""The packets of a video file, a group of pictures at a time, ready for its decoder.

In: an mp4 file. Out: where each group begins, its packets, and a decoder. Of a plain H.264 file they are found by its
own tables (vlpt/data/mp4_table.py), so that 6 hours are open in 6 ms and 2 MB; any other that libav knows is gone
through once, whole (2 s, 90 MB).

    packets = video_packets("file-000.mp4")
    packets.starts[7], packets.read(7)
"""

import os
import threading
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from vlpt.data.mp4_table import PictureTable, picture_table
from vlpt.data.recently_used import RecentlyUsed
from vpt.media import is_shown, picture_stream

YUV420P = "yuv420p"
MOST_DECODERS, DECODER_MB = 8, 5  # of a thread: what is encoded alike has one
_kept = threading.local()


class Packets(Protocol):
    """Group g are the pictures starts[g]..starts[g + 1] - 1, as they are shown."""

    starts: np.ndarray  # (groups + 1,) int64
    size: tuple[int, int]  # height, width

    @property
    def decoder(self) -> av.VideoCodecContext:
        """Of this thread; it remembers nothing between two groups, if it is flushed."""

    def read(self, group: int) -> list[av.Packet]:
        """Its packets, in the order in which they are decoded."""

    def times(self, group: int) -> list[int]:
        """Their `pts`, in the order in which they are shown."""


def video_packets(path: Path | str) -> Packets:
    """Raises what libav raises where a file cannot be read, and ValueError where it hides pictures or is no yuv420p."""
    table = picture_table(path)
    return Demuxed(path) if table is None else Tabled(table)


def _strict(decoder: av.VideoCodecContext) -> av.VideoCodecContext:
    decoder.thread_count = 1  # frame threads would decode past the group's end for nothing
    decoder.options = {"err_detect": "explode"}
    return decoder


class Tabled:
    """By the file's own tables; a packet's `pts` is the number of its picture."""

    def __init__(self, table: PictureTable):
        self.table, self.starts, self.size = table, table.keys, table.height_width

    @property
    def decoder(self) -> av.VideoCodecContext:
        kept = vars(_kept).setdefault("decoders", RecentlyUsed(MOST_DECODERS * DECODER_MB))
        decoder = kept.get(self.table.setup)
        if decoder is None:
            decoder = _strict(av.CodecContext.create("h264", "r"))
            decoder.extradata = self.table.setup
            kept.put(self.table.setup, decoder, DECODER_MB * 2**20)
        return decoder

    def read(self, group: int) -> list[av.Packet]:
        found = self.table.group(group)
        begin, end = int(found.offset.min()), int((found.offset + found.size).max())
        content = os.pread(self.table.file.fileno(), end - begin, begin)
        if len(content) < end - begin:
            raise ValueError("it is cut short")
        packets = []
        for at, size, number in zip((found.offset - begin).tolist(), found.size.tolist(), found.shown.tolist(),
                                    strict=True):
            packet = av.Packet(content[at: at + size])
            packet.pts = number
            packets.append(packet)
        return packets

    def times(self, group: int) -> list[int]:
        return list(range(*self.starts[group: group + 2].tolist()))


class Demuxed:
    """By libav, whose demuxer is asked for all packets once, and then for a group's."""

    def __init__(self, path: Path | str):
        self.container = av.open(str(path), metadata_errors="replace")
        self.stream = picture_stream(self.container)
        packets = [(packet.pts, packet.dts, packet.is_keyframe, is_shown(packet))
                   for packet in self.container.demux(self.stream) if packet.pts is not None]  # fmt: skip
        pixels = self.stream.codec_context.pix_fmt
        if pixels != YUV420P or not packets or not packets[0][2]:
            raise ValueError(f"pixel format {pixels}, {len(packets)} frames")
        if not all(shown for *_, shown in packets):
            raise ValueError("its edit list hides frames")
        self.decoder, self.size = _strict(self.stream.codec_context), (self.stream.height, self.stream.width)
        self.pts = np.sort(np.array([pts for pts, *_ in packets], np.int64))
        keys = sorted((pts, dts) for pts, dts, is_key, _ in packets if is_key)
        self.starts = np.append(np.searchsorted(self.pts, [pts for pts, _ in keys]), len(self.pts))
        self.dts = [dts for _, dts in keys]

    def times(self, group: int) -> list[int]:
        return self.pts[slice(*self.starts[group: group + 2])].tolist()

    def read(self, group: int) -> list[av.Packet]:
        """The group's only: the decoder must not be fed the next group's, whose frames would come out first."""
        wanted, packets = set(self.times(group)), []
        self.container.seek(self.dts[group], stream=self.stream)
        for packet in self.container.demux(self.stream):
            if packet.pts in wanted:
                wanted.remove(packet.pts)
                packets.append(packet)
            if not wanted:
                break
        return packets
