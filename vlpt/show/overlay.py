"""The picture of play: what is seen, the keys and the mouse, the words as running subtitles, gates and P(silence).

In: one `Moment` a frame. Out: one RGB picture (720, 960, 3) uint8 a frame, for `vpt.frames.write_video`. Blue is the
agent; amber is whoever else speaks or plays: words it hears, and on a recording the person's own keys and words.

    overlay = Overlay("luanti, seed 3", gates=model.gates())
    with write_video("play.mp4", overlay.size) as video: video.write(overlay.draw(moment))
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from vlpt.show.keyboard import Keyboard, Mouse
from vlpt.show.paint import AGENT, DIM, FAINT, OTHER, PANEL, WHITE, box, place, shade, text, text_width
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND

PICTURE = (960, 540)
PANEL_HEIGHT = 180
SPEECH_BOTTOM = 436  # above a game's hotbar
HISTORY = 10 * FRAMES_PER_SECOND


@dataclass(frozen=True)
class Moment:
    """One frame of play. buttons (20,) 0/1 and camera_deg (2,) are the agent's; `other_*` the person's, if known."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    buttons: np.ndarray
    camera_deg: np.ndarray
    word: str = ""  # the agent's piece of speech in this frame; a piece that begins a word begins with a blank
    other_word: str = ""  # heard, or said by the person
    p_silence: float | None = None  # None before the first tick
    other_buttons: np.ndarray | None = None
    other_camera_deg: np.ndarray | None = None


class Subtitle:
    """The last words of a stream, in two lines at most: a pause clears them, a full line moves up."""

    def __init__(self, width_px: int, size_px: int, keep_frames: int = 4 * FRAMES_PER_SECOND) -> None:
        self.width_px, self.size_px, self.keep_frames = width_px, size_px, keep_frames
        self.lines: list[list[tuple[str, tuple]]] = []
        self.quiet, self.blank = 0, False

    def add(self, piece: str, colour: tuple[int, int, int]) -> None:
        """One frame: a piece of a word, or "" for silence."""
        self.quiet = 0 if piece else self.quiet + 1
        if self.quiet > self.keep_frames:
            self.lines = []
        self.blank |= piece.startswith(" ")
        word = piece.strip()
        if not word:
            return
        last = self.lines[-1] if self.lines else []
        if last and not self.blank and last[-1][1] == colour:
            last[-1] = (last[-1][0] + word, colour)
        elif last and self._width([*last, (word, colour)]) <= self.width_px:
            last.append((word, colour))
        else:
            self.lines = [*self.lines[-1:], [(word, colour)]]
        self.blank = piece.endswith(" ")

    def draw(self, canvas: np.ndarray, bottom: int) -> int:
        """Centred, its last line on `bottom`; returns the y to stack the next subtitle on."""
        height = int(self.size_px * 1.35)
        for line in reversed(self.lines):
            width = self._width(line)
            x = (canvas.shape[1] - width) // 2
            shade(canvas, x - 12, bottom - height + 4, width + 24, height)
            for word, colour in line:
                text(canvas, word, x, bottom - height // 5, self.size_px, colour, 600)
                x += text_width(word + " ", self.size_px, 600)
            bottom -= height
        return bottom

    def _width(self, line: list[tuple[str, tuple]]) -> int:
        return text_width(" ".join(word for word, _ in line), self.size_px, 600)


class Overlay:
    """Draws moments in order; remembers only what runs: subtitles, the mouse's trace, P(silence) of the last 10 s."""

    size = (PICTURE[0], PICTURE[1] + PANEL_HEIGHT)

    def __init__(self, title: str, gates: dict[str, float] | None = None, other: str = "", watching: bool = False):
        """title: shown above; gates: mean |tanh| by name; other: whom amber stands for; watching: that is a person who
        plays and talks while the agent only predicts both.
        """
        self.title, self.gates, self.other, self.watching, self.n_frames = title, gates or {}, other, watching, 0
        self.empty = np.full((self.size[1], self.size[0], 3), PANEL, np.uint8)
        self.keyboard, self.mouse = Keyboard(20, PICTURE[1] + 16), Mouse(352, PICTURE[1] + 16)
        self.subtitles = [Subtitle(PICTURE[0] - 120, 28), Subtitle(PICTURE[0] - 120, 28)]
        self.silence: deque[tuple[float, bool]] = deque(maxlen=HISTORY)

    def draw(self, moment: Moment) -> np.ndarray:
        """The next frame's picture (720, 960, 3) uint8."""
        canvas = self.empty.copy()
        # recordings at the agent's size are 16:9 pictures squeezed by vpt.frames.resize_to_agent
        squeezed = self.watching and moment.picture.shape[:2] == (AGENT_SIZE, AGENT_SIZE)
        place(canvas[: PICTURE[1]], moment.picture, stretch=squeezed)
        self._title(canvas)
        self._speech(canvas, moment)
        self.keyboard.draw(canvas, moment.buttons, moment.other_buttons)
        self.mouse.draw(canvas, moment.buttons, moment.camera_deg, moment.other_buttons, moment.other_camera_deg)
        self._meters(canvas, moment)
        self.n_frames += 1
        return canvas

    def _title(self, canvas: np.ndarray) -> None:
        seconds = self.n_frames / FRAMES_PER_SECOND
        label = f"{self.title}   {int(seconds) // 60}:{seconds % 60:04.1f}"
        width = text_width(label, 17)
        shade(canvas, 14, 14, width + 20, 28)
        text(canvas, label, 24, 34, 17, WHITE)

    def _speech(self, canvas: np.ndarray, moment: Moment) -> None:
        """One stream when the agent plays (it hears or it speaks); two where it watches a person who speaks."""
        mine, others = self.subtitles
        if not self.watching:
            mine.add(moment.other_word or moment.word, OTHER if moment.other_word else WHITE)
        else:
            mine.add(moment.word, AGENT)
            others.add(moment.other_word, OTHER)
        others.draw(canvas, mine.draw(canvas, SPEECH_BOTTOM) - 8)

    def _meters(self, canvas: np.ndarray, moment: Moment) -> None:
        x, y, width = 660, PICTURE[1] + 16, 280
        if moment.p_silence is not None:
            self.silence.append((moment.p_silence, bool(moment.word)))
        value = "" if moment.p_silence is None else f"{moment.p_silence:.2f}"
        text(canvas, "chance of silence", x, y + 12, 14, DIM)
        text(canvas, value, x + width - text_width(value, 14, 600), y + 12, 14, WHITE, 600)
        self._history(canvas, x, y + 20, width, 36)
        for row, (name, gate) in enumerate(self.gates.items()):
            meter(canvas, x, y + 72 + 30 * row, width, f"gate: {name.replace('_', ' ')}", gate)
        if self.other:
            text(canvas, "agent", x, y + 142, 14, AGENT, 600)
            text(canvas, self.other, x + text_width("agent  ", 14, 600), y + 142, 14, OTHER, 600)

    def _history(self, canvas: np.ndarray, x: int, y: int, width: int, height: int) -> None:
        """P(silence) over the last ten seconds, a dot where the agent spoke."""
        box(canvas, x, y, width, height, FAINT, radius=4)
        if len(self.silence) < 2:
            return
        at = x + width - (len(self.silence) - 1 - np.arange(len(self.silence))) * width / HISTORY
        points = np.stack([at, y + height - 4 - np.array([p for p, _ in self.silence]) * (height - 8)], 1)
        cv2.polylines(canvas, [points.astype(np.int32)], False, DIM, 1, cv2.LINE_AA)
        for (px, py), (_, spoke) in zip(points, self.silence, strict=True):
            if spoke:
                cv2.circle(canvas, (int(px), int(py)), 3, AGENT, -1, cv2.LINE_AA)


def meter(canvas: np.ndarray, x: int, y: int, width: int, name: str, value: float) -> None:
    """A name, a number and a bar from 0 to 1."""
    text(canvas, name, x, y + 6, 14, DIM)
    number = f"{value:.3f}"
    text(canvas, number, x + width - text_width(number, 14, 600), y + 6, 14, WHITE, 600)
    box(canvas, x, y + 12, width, 5, FAINT, radius=2)
    if filled := int(width * min(max(value, 0), 1)):
        box(canvas, x, y + 12, max(filled, 4), 5, AGENT, radius=2)
