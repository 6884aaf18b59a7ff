"""An inverse dynamics model over a whole video: overlapping windows of which the middles are kept.

In: the model and a video's frames, one after another. Out: what was pressed on every frame, each frame exactly once.
A window of 128 frames advances by 64; its middle 64 are kept, because a frame near a window's end has little future
(or past) to be seen by (VPT, arXiv 2206.11795, appendix D). The first window keeps its beginning, the last its end.
Buttons are the likelier; the camera is the bin nearest to the expected angle, which has the least squared error: where
the model knows how far but not which way, the likeliest bin would be as far off as can be.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from vpt.actions import MINECRAFT
from vpt.idm import IDM

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
    camera_deg: np.ndarray  # (N, 2) float64 pitch, yaw: centres of camera bins
    confidence: np.ndarray  # (N,) float32: the probability of the frame's whole action


def windows(frames: int, length: int = LENGTH) -> list[Window]:
    """Windows over a video of so many frames; what they keep covers every frame once. A short video is one window.

    Neighbours meet in the middle of what they share; the last one ends with the video.
    """
    starts = [*range(0, frames - length, length // 2), max(frames - length, 0)]
    meet = [0, *((before + length + after) // 2 for before, after in zip(starts, starts[1:], strict=False)), frames]
    return [
        Window(start, min(start + length, frames), *keep)
        for start, keep in zip(starts, zip(meet, meet[1:], strict=False), strict=True)
    ]


@torch.inference_mode()
def infer(idm: IDM, frames: Iterable[np.ndarray], count: int, batch: int = 4, length: int = LENGTH) -> Inferred:
    """frames: `count` pictures (128, 128, 3) uint8, read once forwards -> Inferred. `batch`: windows at a time.

    At most (batch + 1) * length frames are held. Raises ValueError when there are not `count` frames.
    """
    buttons = np.zeros((count, idm.config.n_buttons), np.uint8)
    bins, confidence = np.zeros((count, 2), np.int64), np.zeros(count, np.float32)
    like, was_training = next(idm.parameters()), idm.training
    degrees = torch.from_numpy(MINECRAFT.camera_deg_of_bins(np.arange(idm.config.n_bins))).to(like)
    idm.eval()
    for group, clips in _batches(iter(frames), windows(count, length) if count else [], count, batch):
        output = idm(torch.from_numpy(clips).to(like.device))
        said, turned_deg = output.greedy()[0].cpu().numpy(), (output.camera.exp() @ degrees).cpu().numpy()
        sure = output.confidence().float().cpu().numpy()
        for i, window in enumerate(group):
            kept, inside = (
                slice(window.keep_from, window.keep_to),
                slice(window.keep_from - window.start, window.keep_to - window.start),
            )
            buttons[kept], bins[kept] = said[i, inside], MINECRAFT.camera_bins(turned_deg[i, inside])
            confidence[kept] = sure[i, inside]
    idm.train(was_training)
    return Inferred(buttons, MINECRAFT.camera_deg_of_bins(bins), confidence)


def _batches(
    frames: Iterator[np.ndarray], plan: list[Window], count: int, batch: int
) -> Iterator[tuple[list[Window], np.ndarray]]:
    """Groups of windows with their frames (windows, length, 128, 128, 3); only the frames still needed are held."""
    held: list[np.ndarray] = []
    first = 0  # number of the frame held[0]
    for i in range(0, len(plan), batch):
        group = plan[i : i + batch]
        held, first = held[group[0].start - first :], group[0].start
        for _ in range(group[-1].stop - first - len(held)):
            held.append(_next(frames, first + len(held), count))
        yield group, np.stack([np.stack(held[window.start - first : window.stop - first]) for window in group])
    if next(frames, None) is not None:
        raise ValueError(f"the video has more than the {count} frames that its header promises")


def _next(frames: Iterator[np.ndarray], number: int, count: int) -> np.ndarray:
    frame = next(frames, None)
    if frame is None:
        raise ValueError(f"the video ends after {number} of {count} frames")
    return frame
