"""Any recording of a 16:9 game -> the agent's pictures: 128x128, 20 a second, without black borders.

In: a video file of any size and frame rate. Out: its pictures, decoded once forwards.

    footage = survey("online.mp4")               # what there is, from the file's clock and a few pictures
    for rgb in footage.read_frames(): ...             # (128, 128, 3) uint8, footage.count of them
    pointer = Pointer(read_cursor("cursor.png"), rows.gui_open, rows.cursor)     # rows = read_contractor(...)
    for rgb in footage.read_frames(pointer): ...      # the same with the mouse pointer in open windows

Picture k is the one that was on screen at k / 20 seconds, by the file's timestamps: a dropped frame is seen longer, a
changing rate changes nothing. Black borders are found once a video, over pictures from everywhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from vpt.frames import (
    AGENT_SIZE,
    FRAMES_PER_SECOND,
    cursor_px,
    draw_cursor,
    read_video,
    resize_to_agent,
    to_rgb,
)

LOOKS = 24  # pictures in which borders are looked for
BLACK = 16  # brightest value of a border (encoders leave some noise)
MOST_BORDER = 0.3  # of the height or width, on one side
ASPECT, TOLERANCE = 16 / 9, 0.03
EARLY_S = 2e-3  # timestamps are rounded to milliseconds by some containers


@dataclass(frozen=True)
class Pointer:
    """The mouse pointer of a contractor's recording: the file leaves it out, and the agent was trained to see it."""

    picture: np.ndarray  # (h, w, 4) uint8 RGBA
    gui_open: np.ndarray  # (N,) bool: a window is open, so the pointer shows
    position: np.ndarray  # (N, 2) float64 x, y in the recorder's 720-line window

    def draw(self, rgb: np.ndarray, number: int) -> np.ndarray:
        """The file's picture `number`, (H, W, 3) uint8 RGB at full size -> the same, with the pointer if it shows."""
        if not self.gui_open[number]:
            return rgb
        return draw_cursor(rgb, self.picture, *cursor_px(*self.position[number], rgb.shape[0]))


@dataclass(frozen=True)
class AgentVideo:
    """A video as the agent will see it."""

    path: Path
    source: np.ndarray  # (count,) int64: the number of the file's picture that picture k shows, never falling
    pictures: int  # in the file
    crop: tuple[int, int, int, int]  # top, bottom, left, right in pixels of the file: rows top..bottom-1 are kept

    @property
    def count(self) -> int:
        """Pictures at 20 a second."""
        return len(self.source)

    @property
    def as_it_is(self) -> bool:
        """Whether the file holds these very pictures already."""
        whole = self.crop == (0, AGENT_SIZE, 0, AGENT_SIZE)
        return whole and np.array_equal(self.source, np.arange(self.pictures))

    def read_frames(self, pointer: Pointer | None = None) -> Iterator[np.ndarray]:
        """Each picture (128, 128, 3) uint8 RGB, in order, with the pointer (one row a picture of the file) if given.

        Raises ValueError naming a file that is broken or cut.
        """
        top, bottom, left, right = self.crop
        shown, last = iter(self.source.tolist()), -1
        wanted = next(shown, None)
        for number, rgb in enumerate(read_video(self.path)):
            last = number
            if number != wanted:
                continue
            if pointer is not None:
                rgb = pointer.draw(rgb, number)  # before borders are cut: positions are in the whole picture
            small = resize_to_agent(rgb[top:bottom, left:right])
            while number == wanted:
                yield small
                wanted = next(shown, None)
        if wanted is not None:
            raise ValueError(f"{self.path} is cut short: it promises {self.pictures} pictures and holds {last + 1}")


def inspect_video(path: str | Path) -> AgentVideo:
    """Reads the file's clock and a few pictures. Raises ValueError naming a file that is broken, empty or not 16:9.

    Files of 128x128 are taken to be the agent's pictures already, whatever their aspect was.
    """
    path = Path(path)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
            if not times:
                raise ValueError(f"{path} holds no picture")
            seconds = (np.array(times) - times[0]) * float(stream.time_base)
            last_s = float(1 / stream.average_rate) if stream.average_rate else 1 / FRAMES_PER_SECOND
            size, pixel = (stream.height, stream.width), float(stream.sample_aspect_ratio or 1)
            crop = (0, *size[:1], 0, *size[1:])
            if size != (AGENT_SIZE, AGENT_SIZE):
                crop = _inside_borders(_glances(container, stream, times))
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a video: {error}") from error
    if size != (AGENT_SIZE, AGENT_SIZE):
        _check_aspect(path, crop, pixel)
    return AgentVideo(path, _at_rate(seconds, last_s), len(times), crop)


def _at_rate(seconds: np.ndarray, last_s: float) -> np.ndarray:
    """seconds (n,) rising from 0; the last picture lasts `last_s` -> (count,): which picture is seen at k / 20."""
    count = max(1, round((seconds[-1] + last_s) * FRAMES_PER_SECOND))
    return np.searchsorted(seconds, np.arange(count) / FRAMES_PER_SECOND + EARLY_S, side="right") - 1


def _glances(container, stream, times: list[int]) -> list[np.ndarray]:
    """Pictures from everywhere in the file, each the key frame before a place."""
    glances = []
    for pts in times[:: max(1, len(times) // LOOKS)]:
        container.seek(pts, stream=stream)
        frame = next(container.decode(stream), None)
        if frame is not None:
            glances.append(to_rgb(frame))
    return glances


def _inside_borders(glances: list[np.ndarray]) -> tuple[int, int, int, int]:
    """Rows and columns at the edges that are black in every glance are border: top, bottom, left, right kept."""
    brightest = np.max([rgb.max(-1) for rgb in glances], axis=0) if glances else np.full((1, 1), 255)
    lit = brightest > BLACK
    return (*_span(lit.mean(1)), *_span(lit.mean(0)))


def _span(lit: np.ndarray) -> tuple[int, int]:
    """From the first to after the last line of which more than a hundredth is lit; all, if that leaves too little."""
    inside = np.flatnonzero(lit > 0.01)
    most = MOST_BORDER * len(lit)
    if not len(inside) or inside[0] > most or len(lit) - 1 - inside[-1] > most:
        return 0, len(lit)
    return int(inside[0]), int(inside[-1]) + 1


def _check_aspect(path: Path, crop: tuple[int, int, int, int], pixel: float) -> None:
    top, bottom, left, right = crop
    aspect = (right - left) * pixel / (bottom - top)
    if abs(aspect / ASPECT - 1) > TOLERANCE:
        raise ValueError(f"{path} shows {right - left}x{bottom - top} pixels, {aspect:.2f}:1, inside its borders: the "
                         "agent sees 16:9 (1.78:1); crop it to the game or leave it out")  # fmt: skip
