"""An inverse dynamics model over whole videos: overlapping windows of which the middles are kept.

In: the model and videos, each a name and its frames one after another. Out: what was pressed on every frame of each.
A window of 128 frames advances by 64; its middle 64 are kept, because a frame near a window's end has little future
(or past) to be seen by (VPT, arXiv 2206.11795, appendix D). The first window keeps its beginning, the last its end.
Buttons are the likelier; the camera is the expected angle, which has the least squared error: finer than a bin, and
where the model knows how far but not which way, the likeliest bin would be as far off as can be.

    for name, inferred in infer_videos(idm, [("ch0-00", frames, 1000), ...]): ...

The picture encoder sees a frame and two neighbours on either side, so its work is done once a frame although windows
overlap; only the two frames at each end of a window, which see nothing beyond it, are done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vpt.actions import MINECRAFT
from vpt.idm import IDM, IDMOutput, mirror_camera
from vpt.motion import REACH

LENGTH = 128


@dataclass(frozen=True)
class Window:
    """Frames start..stop-1 go through the model together; of them keep_from..keep_to-1 are kept."""

    start: int
    stop: int
    keep_from: int
    keep_to: int


@dataclass(frozen=True)
class Inferred:
    """N frames."""

    buttons: np.ndarray  # (N, 20) uint8
    camera_deg: np.ndarray  # (N, 2) float64 pitch, yaw: expected angles
    confidence: np.ndarray  # (N,) float32: the probability of the frame's whole action


def windows(n_frames: int, length: int = LENGTH) -> list[Window]:
    """Windows over a video of so many frames; what they keep covers every frame once. A short video is one window.

    Neighbours meet in the middle of what they share; the last one ends with the video.
    """
    starts = [*range(0, n_frames - length, length // 2), max(n_frames - length, 0)]
    meet = [0, *((before + length + after) // 2 for before, after in zip(starts, starts[1:], strict=False)), n_frames]
    return [
        Window(start, min(start + length, n_frames), *keep)
        for start, keep in zip(starts, zip(meet, meet[1:], strict=False), strict=True)
    ]


def infer(
    idm: IDM, frames: Iterable[np.ndarray], n_frames: int, batch: int = 4, length: int = LENGTH, mirror: bool = False
) -> Inferred:
    """One video: `n_frames` pictures (128, 128, 3) uint8 -> Inferred. Raises ValueError when there are not so many."""
    _, found = next(infer_videos(idm, [("", frames, n_frames)], batch, length, mirror))
    if isinstance(found, Exception):
        raise found
    return found


@torch.inference_mode()
def infer_videos(
    idm: IDM,
    videos: Iterable[tuple[str, Iterable[np.ndarray], int]],
    batch: int = 4,
    length: int = LENGTH,
    mirror: bool = False,
) -> Iterator[tuple[str, Inferred | Exception]]:
    """videos: (name, frames read once forwards, how many) -> (name, Inferred), in the order in which they end.

    `batch` windows, of one video or several, go through the model together. A video whose frames raise anything, are
    not as many as promised, or no pictures as the model sees them, gives that error in place of a result; the others go
    on. What the model itself raises is nobody's alone, and ends all. mirror: look at each picture and its mirror image
    and take the mean of what they say, for twice the time.
    """
    was_training = idm.training
    idm.eval()
    waiting: list[_Work] = []
    open_videos: list[_Video] = []
    for name, frames, count in videos:
        video = _Video(name, iter(frames), count, idm.config.n_buttons, idm.config.px, mirror)
        open_videos.append(video)
        for work in video.works(length):
            waiting.append(work)
            if len(waiting) == batch:
                _label(idm, waiting)
                waiting = []
        if video.error:
            waiting = [work for work in waiting if work.video is not video]
        while open_videos and (open_videos[0].left == 0 or open_videos[0].error):
            yield open_videos.pop(0).result()
    _label(idm, waiting)
    yield from (video.result() for video in open_videos)
    idm.train(was_training)


@dataclass
class _Video:
    """A video on its way: its frames, of which only those still needed are held, and what is known of them."""

    name: str
    frames: Iterator[np.ndarray]
    count: int
    n_buttons: int
    px: int
    mirror: bool
    held: list[np.ndarray] = field(default_factory=list)
    first: int = 0  # number of the frame held[0]
    codes: Tensor | None = None  # (sides, n, D) of the last frames that were encoded with all their neighbours
    asked: int = REACH  # up to this frame they have been asked for
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.left = self.count
        self.buttons = np.zeros((self.count, self.n_buttons), np.uint8)
        self.camera_deg, self.confidence = np.zeros((self.count, 2)), np.zeros(self.count, np.float32)

    def works(self, length: int) -> Iterator[_Work]:
        """Its windows with what must be encoded for them. Where its frames fail they end, and `error` says why."""
        try:
            for window in windows(self.count, length) if self.count else []:
                yield _Work(self, window, self.read(window))
            self.close()
        except Exception as error:  # whatever a library stumbles over
            self.error = error

    def read(self, window: Window) -> list[np.ndarray]:
        """What must be encoded for a window: its first two frames, its last two and all that is new between them.

        Each (sides, t + 4, 128, 128, 3) with two neighbours at either end, black beyond the window; sides: the picture
        and, if asked for, its mirror image. Raises ValueError when the video has ended, and for what is no picture.
        """
        self.held, self.first = self.held[window.start - self.first :], window.start
        while len(self.held) < window.stop - window.start:
            frame = next(self.frames, None)
            if frame is None:
                raise ValueError(f"the video ends after {self.first + len(self.held)} of {self.count} frames")
            if frame.shape != (self.px, self.px, 3) or frame.dtype != np.uint8:
                raise ValueError(f"frame {self.first + len(self.held)} is {frame.dtype} {frame.shape}, the model sees "
                                 f"uint8 {(self.px, self.px, 3)}; vpt.frames.resize_to_agent makes such pictures")
            self.held.append(frame)
        nothing = [np.zeros_like(self.held[0])] * REACH
        if len(self.held) <= 2 * REACH:
            return [self.sides(nothing + self.held + nothing)]
        new = self.held[max(window.start, self.asked - REACH) - window.start :]
        self.asked = window.stop - REACH
        return [self.sides(run) for run in (nothing + self.held[: 2 * REACH], new, self.held[-2 * REACH :] + nothing)]

    def sides(self, run: list[np.ndarray]) -> np.ndarray:
        frames = np.stack(run)
        return np.stack([frames, frames[:, :, ::-1]]) if self.mirror else frames[None]

    def codes_of(self, window: Window, codes: list[Tensor]) -> Tensor:
        """The window's codes (sides, n, D) from those of the runs that `read` gave; to be called window by window."""
        if len(codes) == 1:
            return codes[0]
        begin, new, end = codes
        self.codes = new if self.codes is None else torch.cat([self.codes, new], dim=1)
        self.codes = self.codes[:, -(window.stop - window.start - 2 * REACH) :]
        return torch.cat([begin, self.codes, end], dim=1)

    def close(self) -> None:
        """Raises ValueError when there are more frames than promised."""
        if next(self.frames, None) is not None:
            raise ValueError(f"the video has more than the {self.count} frames that its header promises")

    def keep(self, window: Window, buttons: np.ndarray, camera_deg: np.ndarray, confidence: np.ndarray) -> None:
        """Of a window's labels those of its middle."""
        kept = slice(window.keep_from, window.keep_to)
        inside = slice(window.keep_from - window.start, window.keep_to - window.start)
        self.buttons[kept], self.camera_deg[kept] = buttons[inside], camera_deg[inside]
        self.confidence[kept] = confidence[inside]
        self.left -= window.keep_to - window.keep_from

    def result(self) -> tuple[str, Inferred | Exception]:
        return self.name, self.error or Inferred(self.buttons, self.camera_deg, self.confidence)


@dataclass(frozen=True)
class _Work:
    """One window and what must be encoded for it."""

    video: _Video
    window: Window
    runs: list[np.ndarray]


def _label(idm: IDM, works: list[_Work]) -> None:
    """Label windows of any videos: encoded together, then those of one length through the blocks together."""
    if not works:
        return
    codes, degrees = _encode(idm, works), torch.from_numpy(MINECRAFT.camera_deg_of_bins(np.arange(idm.config.n_bins)))
    for length in sorted({code.shape[1] for code in codes}):
        alike = [(work, code) for work, code in zip(works, codes, strict=True) if code.shape[1] == length]
        sides = torch.stack([code for _, code in alike], dim=1)  # (sides, windows, length, D)
        buttons, camera = _mean_of_sides(idm.predict(sides.flatten(0, 1)), len(sides))
        turned_deg = (camera * degrees.to(camera)).sum(-1).double().cpu().numpy()
        sure = (buttons.amax(-1).prod(-1) * camera.amax(-1).prod(-1)).cpu().numpy()
        pressed = buttons.argmax(-1).cpu().numpy()
        for (work, _), *labels in zip(alike, pressed, turned_deg, sure, strict=True):
            work.video.keep(work.window, *labels)


def _mean_of_sides(output: IDMOutput, sides: int) -> tuple[Tensor, Tensor]:
    """Probabilities of buttons (W, T, 20, 2) and camera (W, T, 2, 11); a mirror image's are turned round first."""
    buttons, camera = (log_p.exp().unflatten(0, (sides, -1)).unbind(0) for log_p in (output.buttons, output.camera))
    if sides == 1:
        return buttons[0], camera[0]
    return (buttons[0] + buttons[1][..., MINECRAFT.mirror, :]) / 2, (camera[0] + mirror_camera(camera[1])) / 2


def _encode(idm: IDM, works: list[_Work]) -> list[Tensor]:
    """The codes (sides, n, D) of each window, as the model would give them for the window alone."""
    device = next(idm.parameters()).device
    runs = [torch.from_numpy(run).to(device) for work in works for run in work.runs]
    shapes = [(len(run), run.shape[1] - 2 * REACH) for run in runs]
    codes = idm.encode(runs).split([sides * frames for sides, frames in shapes])
    each = (code.unflatten(0, shape) for code, shape in zip(codes, shapes, strict=True))
    return [work.video.codes_of(work.window, [next(each) for _ in work.runs]) for work in works]
