"""Videos as people have them: made small by PyAV, then cut, turned or delayed by Debian's ffmpeg, nothing encoded."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from support.numbered_recordings import numbers, picture
from vpt.agent_video import inspect_video

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs Debian's ffmpeg")


def film(path, times_ms, size=(320, 180), border=(0, 0), key_every: int = 10, pixels: str = "yuv420p") -> None:
    """A video whose pictures, numbered 0, 1, 2 ..., are shown from these times on; border: (rows, columns) of black."""
    rows, columns = border
    container_format = {".mkv": "matroska"}.get(Path(path).suffix, "mp4")
    with av.open(str(path), "w", format=container_format) as container:
        options = {"crf": "12", "g": str(key_every), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=1000, options=options)
        stream.width, stream.height, stream.pix_fmt = size[0] + 2 * columns, size[1] + 2 * rows, pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            shown = np.pad(picture(number, size), ((rows, rows), (columns, columns), (0, 0)))
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = int(time_ms), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def ffmpeg(*arguments) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def seen(path) -> list[int]:
    """The numbers of the pictures that the agent sees, 20 a second."""
    return numbers(np.stack(list(inspect_video(path).read_frames()))).tolist()
