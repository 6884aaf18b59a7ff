"""Frames: their clock, the one way to the agent's 128x128 picture, a cursor drawn into it, video files in and out.

In: RGB uint8 arrays (height, width, 3), or H.264 files. Out: the same. Everything that makes pictures for an agent
(recording, labelling, training, play) goes through `resize_to_agent`.

    for rgb in read_video("ch0-03.mp4"): ...
    with write_video("out.mp4", size=(128, 128)) as video: video.write(rgb)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vpt.files import whole_file
from vpt.media import Turn, count_stored, is_shown, open_media, picture_stream, turn_of

FRAMES_PER_SECOND = 20  # Minecraft's and VPT's clock: frame t covers [50t, 50t + 50) ms
FRAME_MS = 1000 // FRAMES_PER_SECOND
AGENT_SIZE = 128
RECORDER_LINES = 720  # the contractors' window: pointer positions are in its pixels
CURSOR_SIZE = 16  # of the published cursor's picture, only this corner is drawn

# Colour spaces that cv2's I420 conversion implements: BT.601, studio range; 2 is "not said".
_BT601 = {2, 5, 6}
_STUDIO = {0, 1}


def resize_to_agent(rgb: np.ndarray) -> np.ndarray:
    """rgb (H, W, 3) uint8 -> (128, 128, 3) uint8: plain bilinear, aspect not kept, no antialiasing, as VPT was trained.

    Antialiased resizing differs by up to 148 grey levels, so no other resize may take its place.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"a frame is uint8 (height, width, 3), got {rgb.dtype} {rgb.shape}")
    if rgb.shape[:2] == (AGENT_SIZE, AGENT_SIZE):
        return rgb
    return cv2.resize(rgb, (AGENT_SIZE, AGENT_SIZE), interpolation=cv2.INTER_LINEAR)


def cursor_px(x: float, y: float, height_px: int) -> tuple[int, int]:
    """Pointer position in the recorder's window -> pixels (x, y) of a video of that height."""
    return int(x * height_px / RECORDER_LINES), int(y * height_px / RECORDER_LINES)


def read_cursor(path: str | Path) -> np.ndarray:
    """A picture file of a pointer -> its top-left corner, (16, 16, 4) uint8 RGBA, smaller where the picture is.

    Raises ValueError naming a file that is missing, no picture, or without alpha.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if Path(path).is_file() else None
    if picture is None:
        raise ValueError(f"{path} is missing or no picture: a cursor is a PNG with alpha, as OpenAI's cursors/*.png")
    if picture.ndim != 3 or picture.shape[2] != 4 or picture.dtype != np.uint8:
        raise ValueError(f"{path} has no alpha: a cursor is a PNG of red, green, blue and alpha, 8 bits each")
    return cv2.cvtColor(picture[:CURSOR_SIZE, :CURSOR_SIZE], cv2.COLOR_BGRA2RGBA)


def draw_cursor(frame: np.ndarray, cursor: np.ndarray, x_px: int, y_px: int) -> np.ndarray:
    """frame (H, W, 3) uint8, cursor (h, w, 4) uint8 (same colour order, then alpha) -> a new frame with it drawn.

    (x_px, y_px) is the cursor's top-left corner; what lies outside the frame is cut off, on all four sides.
    """
    top, left = max(y_px, 0), max(x_px, 0)
    bottom = min(y_px + cursor.shape[0], frame.shape[0])
    right = min(x_px + cursor.shape[1], frame.shape[1])
    out = frame.copy()
    if top < bottom and left < right:
        patch = cursor[top - y_px : bottom - y_px, left - x_px : right - x_px]
        alpha = patch[:, :, 3:] / 255.0
        blend = frame[top:bottom, left:right] * (1 - alpha) + patch[:, :, :3] * alpha
        out[top:bottom, left:right] = blend.astype(np.uint8)  # truncates, as the published loader does
    return out


def read_video(path: str | Path) -> Iterator[np.ndarray]:
    """Yield each frame that is shown, (H, W, 3) uint8 RGB, upright, in order, decoding once forwards.

    Raises ValueError naming the file where it cannot be opened, holds no picture, is broken or ends early.
    """
    count, packets, promised, turn = 0, 0, 0, None
    with open_media(path) as container:
        stream = picture_stream(container)
        promised = count_stored(stream)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # an error is better than a concealed picture
        for packet in container.demux(stream):
            packets += packet.size > 0 and is_shown(packet)
            for frame in filter(is_shown, packet.decode()):
                count, turn = count + 1, turn or turn_of(frame)
                yield to_rgb(frame, turn)
    promised = max(promised, packets)
    if count == 0 or count < promised:
        raise ValueError(f"{path} is cut short: it promises {promised} frames and holds {count}")


def count_frames(path: str | Path) -> int:
    """The number of shown frames that the file's header promises; 0 where it does not say. Raises as `read_video`."""
    with open_media(path) as container:
        return count_stored(picture_stream(container))


def to_rgb(frame: av.VideoFrame, turn: Turn) -> np.ndarray:
    """A decoded frame -> (H, W, 3) uint8 RGB, upright; turn: of its file."""
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    plain = frame.colorspace in _BT601 and frame.color_range in _STUDIO
    if frame.format.name == "yuv420p" and even and plain:  # three times faster than the general conversion
        return turn.apply(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420))
    return turn.apply(frame.to_ndarray(format="rgb24"))


class VideoWriter:
    """An open H.264 file; made by `write_video`."""

    def __init__(self, container: av.container.OutputContainer, stream: av.VideoStream, size: tuple[int, int]) -> None:
        self.container, self.stream, self.size = container, stream, size
        self.n_frames = 0

    def write(self, rgb: np.ndarray) -> None:
        """Append rgb (height, width, 3) uint8."""
        if rgb.shape != (self.size[1], self.size[0], 3) or rgb.dtype != np.uint8:
            raise ValueError(f"this video takes uint8 {(self.size[1], self.size[0], 3)}, got {rgb.dtype} {rgb.shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts, frame.time_base = self.n_frames, self.stream.codec_context.time_base
        self.n_frames += 1
        self.container.mux(self.stream.encode(frame))


@contextmanager
def write_video(path: str | Path, size: tuple[int, int], fps: int = FRAMES_PER_SECOND, crf: int = 20,
                preset: str = "veryfast") -> Iterator[VideoWriter]:
    """A context giving a writer of H.264 at size = (width, height), even numbers; crf: lower is better and larger.

    The file appears under its name only when the block ends well; after an exception nothing is left.
    """
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"H.264 (yuv420p) needs an even width and height, got {size}")
    with whole_file(path) as unfinished, av.open(str(unfinished), "w", format="mp4") as container:
        # One thread: the same frames give the same bytes, and recorders already run side by side.
        options = {"crf": str(crf), "preset": preset, "threads": "1"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        yield VideoWriter(container, stream, size)
        container.mux(stream.encode(None))
