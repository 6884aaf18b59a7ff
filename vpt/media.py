"""What a video file shows, and when: what its edit list hides is not shown, what it turns is turned, time 0 is the
first shown picture. Every reader of video or sound goes through here.

In: a file of any container. Out: an open container, its pictures' stream, the times of what it shows.

    with open_media("online.mp4") as container:
        stream = picture_stream(container)
        for frame in filter(is_shown, container.decode(stream)): ...          # turn_of(frame).apply(rgb)
    read_clock("online.mp4").seconds                  # sound is placed by the same clock, from its begin_s on
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition

from vpt.errors import one_line
from vpt.files import existing_file

LONGEST_GAP_S = 600  # between two pictures: what stands still for longer is no play, or its timestamps are broken
LONGEST_S = 24 * 3600
UNSAID_S = 1 / 20  # how long a picture is seen that is the only one of a file that names no rate


@contextmanager
def readable(path: Path | str, kind: str = "a video", cure: str = "") -> Iterator[None]:
    """A context in which a file is read: whatever goes wrong in it is one ValueError that names the file.

    All of it: a broken file makes the libraries raise nearly anything. What is no file (a folder, a pipe, a link to
    nothing) is refused before it is opened, as a pipe would be waited for. cure: what to do about it.
    """
    try:
        existing_file(path)
        yield
    except Exception as error:
        said = one_line(error, of=path) + (f"; {cure}" if cure else "")
        raise ValueError(f"{path} cannot be read as {kind}: {said}") from error


@contextmanager
def open_media(
    path: Path | str, kind: str = "a video", cure: str = ""
) -> Iterator[av.container.InputContainer]:
    """A context giving the open file. Raises ValueError naming it, as `readable`; titles in any encoding are let be."""
    with readable(path, kind, cure), av.open(str(path), metadata_errors="replace") as container:
        yield container


def picture_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The moving pictures, not a cover. Raises ValueError where there are none, or none of a codec that is known."""
    if not has_pictures(container):
        raise ValueError("it holds no moving pictures")
    stream = _moving(container)[0]
    if stream.codec_context is None:
        raise ValueError("its pictures are of an unknown codec")
    return stream


def has_pictures(container: av.container.InputContainer) -> bool:
    """Whether there are moving pictures: a sound file has none, or a cover."""
    return bool(_moving(container))


def _moving(container) -> list[av.VideoStream]:
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def is_shown(part: av.Packet | av.VideoFrame) -> bool:
    """Whether a player shows it: a lossless cut keeps pictures that are only decoded, before time 0 or marked so."""
    hidden = isinstance(part, av.Packet) and part.is_discard
    return not hidden and (part.pts is None or part.pts >= 0)


def count_stored(stream: av.VideoStream) -> int:
    """How many pictures to be shown the file's index promises; 0 where it has none at its beginning."""
    return sum(not entry.is_discard for entry in stream.index_entries) if stream.frames else 0


@dataclass(frozen=True)
class Clock:
    """When a file's pictures are shown."""

    begin_s: float  # of the first one, by the file's timestamps: time 0
    seconds: np.ndarray  # (n,) float64 never falling from 0, one a shown picture
    last_s: float  # how long the last picture is seen: as long as they mostly are
    hidden: int  # pictures in the file that are not shown
    keys: list[int]  # presentation times of pictures that decoding can begin at, also hidden ones, in the file's units

    @property
    def end_s(self) -> float:
        """When the last picture has been seen, from time 0 on."""
        return float(self.seconds[-1]) + self.last_s


def read_clock(path: Path | str) -> Clock:
    """Reads the timestamps, decodes nothing.

    Raises ValueError naming a file that is broken, shows nothing, has nothing new for ten minutes or lasts over a day.
    """
    with open_media(path) as container:
        stream = picture_stream(container)
        stamps = [(packet.pts, packet.is_keyframe, is_shown(packet))  # packets themselves would keep the file in memory
                  for packet in container.demux(stream) if packet.pts is not None]  # fmt: skip
        shown = np.sort(np.array([pts for pts, _, seen in stamps if seen], np.int64))
        keys = sorted({pts for pts, is_key, _ in stamps if is_key}) or shown[:1].tolist()
        tick_s = float(stream.time_base)
        usual_s = float(1 / stream.average_rate) if stream.average_rate else UNSAID_S
    if not len(shown):
        raise ValueError(f"{path} holds no picture that is shown")
    if len(shown) > 1:
        usual_s = float(np.median(np.diff(shown))) * tick_s  # headers are guesses where the rate changes
    clock = Clock(shown[0] * tick_s, (shown - shown[0]) * tick_s, usual_s, len(stamps) - len(shown), keys)
    _check_lengths(path, clock)
    return clock


def _check_lengths(path: Path | str, clock: Clock) -> None:
    lasting_s = np.diff(clock.seconds, append=clock.end_s)
    longest = int(lasting_s.argmax())
    if not lasting_s[longest] <= LONGEST_GAP_S:
        raise ValueError(f"{path} shows one picture for {lasting_s[longest]:.0f} s, from {clock.seconds[longest]:.0f} "
                         f"s on: {LONGEST_GAP_S} s are the most; cut it there, or leave it out")  # fmt: skip
    if clock.end_s > LONGEST_S:
        raise ValueError(f"{path} lasts {clock.end_s / 3600:.1f} hours: {LONGEST_S // 3600} are the most; cut it into "
                         "parts")  # fmt: skip


class Turn(NamedTuple):
    """How to see a decoded picture upright: swap rows and columns, then left and right, then top and bottom?"""

    transpose: bool = False
    left_right: bool = False
    up_down: bool = False

    def apply(self, rgb: np.ndarray) -> np.ndarray:
        """(H, W, 3) -> the same, or (W, H, 3)."""
        if self.transpose:
            rgb = cv2.transpose(rgb)
        if self.left_right or self.up_down:
            rgb = cv2.flip(rgb, -1 if self.left_right and self.up_down else int(self.left_right))
        return rgb


def turn_of(frame: av.VideoFrame) -> Turn:
    """The quarter turns and mirrorings that a file asks players for; ask once a video.

    The file says it by a matrix: x' = a x + c y, y' = b x + d y. Of other angles the nearest quarter is taken. A frame
    whose side data was asked for is in a circle of references: it keeps its memory until Python looks for circles.
    """
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return Turn()
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix)[:36], np.int32).tolist()
    transpose = abs(b) + abs(c) > abs(a) + abs(d)
    return Turn(transpose, c < 0, b < 0) if transpose else Turn(False, a < 0, d < 0)
