"""How fast videos are labelled, against a loop over windows, and whether memory stays flat.

In: nothing. Out: frames a second on standard output; nothing is asserted. The loop takes one window of 128 frames after
another through the whole model, written as the published code is (channels-last group norms, ReLU before pooling, the
3-D convolution as such), and keeps the middle 64, so that it encodes every frame twice.

    python tests/benchmarks/bench_label.py --size small        # about a minute; --size 4x: the released one, minutes
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench_vpt import published_stacks  # noqa: E402

from vlpt.checkpoint import peak_gb  # noqa: E402
from vlpt.options import Count, CountOrNone, run, use_threads  # noqa: E402
from vpt.idm import IDM, IDM_SIZES  # noqa: E402
from vpt.windows import infer_videos, windows  # noqa: E402


@dataclass(frozen=True)
class Options:
    """Measures how fast videos are labelled."""

    size: Literal[*IDM_SIZES] = "small"  # of the model
    threads: CountOrNone = 0  # processor threads; 0: torch's choice
    frames: Count = 448  # of the video that both ways label
    stream: CountOrNone = 0  # then label a video of so many frames, and watch memory


def published(idm: IDM, frames: torch.Tensor) -> torch.Tensor:
    """The codes of a window (T, 128, 128, 3) as the published code computes them."""
    x = frames.permute(3, 0, 1, 2)[None].float() / 255
    x = F.relu(F.conv3d(x, idm.temporal.conv.weight, idm.temporal.conv.bias, padding=(2, 0, 0)))[0].transpose(0, 1)
    return idm.picture.project(published_stacks(idm.picture, x))


@torch.inference_mode()
def rate(way, frames: int) -> float:
    begin = time.perf_counter()
    way()
    return frames / (time.perf_counter() - begin)


def main(options: Options) -> None:
    use_threads(options.threads)
    idm = IDM(IDM_SIZES[options.size]).eval()
    video = np.random.default_rng(0).integers(0, 256, (options.frames, 128, 128, 3), dtype=np.uint8)
    clips = [torch.from_numpy(video[window.start : window.stop]) for window in windows(options.frames)]
    loops = {
        "window by window, as published": lambda: [idm.predict(published(idm, clip)[None]) for clip in clips],
        "window by window, our networks": lambda: [idm(clip[None]) for clip in clips],
        "infer_videos": lambda: list(infer_videos(idm, [("", iter(video), len(video))])),
        "infer_videos, both sides of a mirror": lambda: list(infer_videos(idm, [("", iter(video), len(video))],
                                                                         mirror=True)),
    }  # fmt: skip
    rates = {}
    for name, way in loops.items():
        rates[name] = max(rate(way, options.frames) for _ in range(2))
        print(f"{name:38s} {rates[name]:7.1f} frames/s  {rates[name] / next(iter(rates.values())):.2f}x", flush=True)
    if options.stream:
        peaks = []
        stream(idm, video, options.stream, peaks)
        print(f"peak memory after each 1,000 frames, MB: {' '.join(f'{peak:.0f}' for peak in peaks)}")


def stream(idm: IDM, video: np.ndarray, count: int, peaks: list[float]) -> None:
    """Label one long video, made of a short one over and over, and note the process's peak memory on the way."""

    def frames():
        for i in range(count):
            if i % 1000 == 999:
                peaks.append(1e3 * peak_gb())
            yield video[i % len(video)]

    list(infer_videos(idm, [("", frames(), count)]))


if __name__ == "__main__":
    run(main, Options)
