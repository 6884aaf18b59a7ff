"""A short GIF of a film that vlpt.play wrote, small enough for a README.

In: the film (20 pictures a second). Out: a GIF that repeats for ever, all its pictures in one palette. Run:

    python -m vlpt.show.animate --film runs/demo/play.mp4 --out docs/play.gif --start-s 4 --seconds 9
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vlpt.files import whole_file
from vlpt.options import Count, NotNegative, Positive, run
from vpt.frames import FRAMES_PER_SECOND, read_video

COLOURS = 127  # in the palette; more look hardly better and compress worse
SEEN = COLOURS  # and one more for "as in the picture before"


@dataclass(frozen=True)
class Options:
    """Makes a short GIF of a film."""

    film: str = "runs/demo/play.mp4"  # what vlpt.play wrote
    out: str = "docs/play.gif"  # GIF to write
    start_s: NotNegative = 0.0  # where in the film it begins, seconds
    seconds: Positive = 9.0  # length; the film may end earlier
    fps: Count = 5  # pictures a second: 1, 2, 4, 5, 10 or 20
    width: Count = 640  # pixels, at most the film's
    most_mb: Positive = 1.5  # a larger GIF is refused

    def __post_init__(self) -> None:
        if FRAMES_PER_SECOND % self.fps:
            raise ValueError(f"--fps is 1, 2, 4, 5, 10 or 20, as the film has {FRAMES_PER_SECOND}, got {self.fps}")
        if not self.out.endswith(".gif"):
            raise ValueError(f"--out ends in .gif, got {self.out!r}")


def main(options: Options) -> int:
    """Writes the GIF; returns its size in bytes. Raises ValueError where that is too much, and as `read_excerpt`."""
    pictures = in_one_palette(read_excerpt(options))
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    with whole_file(options.out) as unfinished:
        # Pillow writes one table of colours, and unchanged pixels as transparent, only where both are given.
        pictures[0].save(unfinished, "GIF", save_all=True, append_images=pictures[1:], duration=1000 // options.fps,
                         loop=0, optimize=True, palette=bytes(pictures[0].getpalette()), transparency=SEEN)  # fmt: skip
        n_bytes = unfinished.stat().st_size
        if n_bytes > options.most_mb * 1e6:
            raise ValueError(f"{options.out} would have {n_bytes / 1e6:.2f} MB, more than --most-mb {options.most_mb}: "
                             "give fewer --seconds, a lower --fps or a smaller --width")  # fmt: skip
    print(f"{options.out}: {len(pictures)} pictures, {pictures[0].width}x{pictures[0].height}, {n_bytes / 1e6:.2f} MB")
    return n_bytes


def read_excerpt(options: Options) -> list[np.ndarray]:
    """The film's pictures from `start_s` on, (height, width, 3) uint8 RGB at the GIF's width and rate.

    Raises ValueError for a film that is broken, ends before `start_s`, or is narrower than the GIF.
    """
    start = round(options.start_s * FRAMES_PER_SECOND)
    stop = start + max(1, round(options.seconds * FRAMES_PER_SECOND))
    chosen = islice(read_video(options.film), start, stop, FRAMES_PER_SECOND // options.fps)
    pictures = [shrink(rgb, options.width) for rgb in chosen]
    if not pictures:
        raise ValueError(f"{options.film} ends before --start-s {options.start_s}: begin earlier")
    return pictures


def shrink(rgb: np.ndarray, width: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (height, width, 3) uint8 of the same aspect. Raises ValueError for one that is narrower."""
    if width > rgb.shape[1]:
        raise ValueError(f"--width {width} is more than the film's {rgb.shape[1]}: a GIF is not made larger")
    return cv2.resize(rgb, (width, round(rgb.shape[0] * width / rgb.shape[1])), interpolation=cv2.INTER_AREA)


def in_one_palette(pictures: list[np.ndarray]) -> list[Image.Image]:
    """(height, width, 3) uint8 RGB each -> pictures of a common palette, with the colour SEEN in none of them.

    Without dithering: what stands still then stays the same from picture to picture and costs nothing.
    """
    palette = Image.fromarray(np.concatenate(pictures)).quantize(COLOURS, Image.Quantize.MEDIANCUT)
    table = palette.getpalette()
    table += [0] * (3 * (SEEN + 1) - len(table))
    found = [Image.fromarray(rgb).quantize(palette=palette, dither=Image.Dither.NONE) for rgb in pictures]
    for picture in found:
        picture.putpalette(table)
    return found


if __name__ == "__main__":
    run(main, Options)
