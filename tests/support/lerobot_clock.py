"""LeRobot's own check of a picture's time, in numpy: its package wants another torch than ours."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def farthest_s(from_timestamp: float, stored: np.ndarray, shown: np.ndarray) -> float:
    """The largest distance in LeRobot's check of a picture's time, which it wants below 0.1 ms: the time asked for
    against that of the nearest picture in the file, both as float32 (decode_video_frames_* of lerobot 0.6.1)."""
    asked = (from_timestamp + stored.astype(np.float64)).astype(np.float32)
    return float(np.abs(asked - shown.astype(np.float32)).max())


def picture_times(video: Path) -> np.ndarray:
    """(n,) float64 seconds at which a file's pictures are shown."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        return np.array([float(Fraction(pts) * stream.time_base) for pts in times])
