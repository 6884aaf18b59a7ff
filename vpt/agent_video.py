"""Any recording of a 16:9 game -> the agent's pictures: 128x128, 20 a second, without black borders.

In: a video file of any size and frame rate. Out: its pictures, decoded once forwards.

    footage = inspect_video("online.mp4")             # what there is, from the file's clock and a few pictures
    for rgb in footage.read_frames(): ...             # (128, 128, 3) uint8, footage.count of them
    pointer = Pointer(read_cursor("cursor.png"), rows.gui_open, rows.cursor)     # rows = read_contractor(...)
    for rgb in footage.read_frames(pointer): ...      # the same with the mouse pointer in open windows

Picture k is the one that was on screen at k / 20 seconds, by the file's timestamps, counted from the first picture that
is shown: a dropped frame is seen longer, a changing rate changes nothing, what an edit list hides is not there, what
the file turns is upright. Below 20 pictures a second some are seen twice, and nothing moves between (`repeated`). Black
borders are found once a video, over pictures from everywhere in it.
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
from vpt.media import Clock, Turn, is_shown, open_media, picture_stream, read_clock, turn_of

SAMPLED = 24  # pictures in which borders are looked for, at most
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
    source: np.ndarray  # (count,) int64: the number of the file's shown picture that picture k is, never falling
    pictures: int  # shown by the file
    size: tuple[int, int]  # height, width of a shown picture, upright
    crop: tuple[int, int, int, int]  # top, bottom, left, right in pixels of that: rows top..bottom-1 are kept
    edited: bool  # the file hides or turns pictures: what is stored is not what is shown

    @property
    def count(self) -> int:
        """Pictures at 20 a second."""
        return len(self.source)

    @property
    def repeated(self) -> np.ndarray:
        """(count,) bool: picture k is picture k - 1 once more, so that what moved between them cannot be told."""
        return np.diff(self.source, prepend=-1) == 0

    @property
    def as_it_is(self) -> bool:
        """Whether the file holds these very pictures already."""
        whole = self.crop == (0, AGENT_SIZE, 0, AGENT_SIZE) and not self.edited
        return whole and np.array_equal(self.source, np.arange(self.pictures))

    def read_frames(self, pointer: Pointer | None = None) -> Iterator[np.ndarray]:
        """Each picture (128, 128, 3) uint8 RGB, in order, with the pointer (one row a picture of the file) if given.

        Raises ValueError naming a file that is broken or cut, or whose pictures change their size.
        """
        top, bottom, left, right = self.crop
        shown, last = iter(self.source.tolist()), -1
        wanted = next(shown, None)
        for number, rgb in enumerate(read_video(self.path)):
            last = number
            if number != wanted:
                continue
            if rgb.shape[:2] != self.size:
                raise ValueError(f"{self.path} changes its size at picture {number}: encode it anew at one size")
            if pointer is not None:
                rgb = pointer.draw(rgb, number)  # before borders are cut: positions are in the whole picture
            small = resize_to_agent(rgb[top:bottom, left:right])
            while number == wanted:
                yield small
                wanted = next(shown, None)
        if wanted is not None:
            raise ValueError(f"{self.path} is cut short: it promises {self.pictures} pictures and holds {last + 1}")


def inspect_video(path: str | Path) -> AgentVideo:
    """Reads the file's clock and a few pictures. Raises ValueError naming a file that is broken, empty or not 16:9, and
    as `read_clock`.

    Files of 128x128 are taken to be the agent's pictures already, whatever their aspect was.
    """
    path = Path(path)
    clock = read_clock(path)
    with open_media(path) as container:
        stream = picture_stream(container)
        stream.codec_context.thread_count = 1  # threads decode ahead, for nothing after a seek
        frames = _sample(container, stream, clock.keys)
        first = next(frames, None)
        if first is None:
            raise ValueError("none of its pictures can be decoded")
        turn = turn_of(first)
        pixel = float(stream.sample_aspect_ratio or 1) ** (-1 if turn.transpose else 1)  # its width by its height
        lit = _lit(first, turn)
        if lit.shape != (AGENT_SIZE, AGENT_SIZE):
            for frame in frames:
                _add_lit(lit, _lit(frame, turn))
    size, crop = lit.shape, (0, AGENT_SIZE, 0, AGENT_SIZE)
    if size != (AGENT_SIZE, AGENT_SIZE):
        crop = (*_span(lit.mean(1)), *_span(lit.mean(0)))
        _check_aspect(path, crop, pixel)
    return AgentVideo(path, _at_rate(clock), len(clock.seconds), size, crop, clock.hidden > 0 or any(turn))


def _at_rate(clock: Clock) -> np.ndarray:
    """(count,): which picture is seen at k / 20 seconds."""
    count = max(1, round(clock.end_s * FRAMES_PER_SECOND))
    return np.searchsorted(clock.seconds, np.arange(count) / FRAMES_PER_SECOND + EARLY_S, side="right") - 1


def _sample(container, stream, keys: list[int]) -> Iterator[av.VideoFrame]:
    """Pictures from everywhere in the file, one at a time: those at key frames, where decoding costs least."""
    last = None
    for place in np.linspace(0, len(keys) - 1, min(SAMPLED, len(keys))).astype(int):
        if place:  # the first is where a file begins that was just opened; some containers seek only roughly
            container.seek(keys[place], stream=stream)
        frame = next(filter(is_shown, container.decode(stream)), None)
        if frame is not None and frame.pts != last:
            last = frame.pts
            yield frame


def _lit(frame: av.VideoFrame, turn: Turn) -> np.ndarray:
    """(H, W) bool: what is brighter than a border."""
    rgb = to_rgb(frame, turn)
    return np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2]) > BLACK


def _add_lit(lit: np.ndarray, more: np.ndarray) -> None:
    """What is black in every picture is border. So that large pictures are held one at a time, theirs are joined here;
    one of another size is left out, as `AgentVideo.read_frames` refuses it."""
    if more.shape == lit.shape:
        lit |= more


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
