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
from vlpt.show.paint import AGENT, OTHER, WHITE
from vpt.frames import FRAMES_PER_SECOND, read_video

COLOURS = 63  # in the palette; more compress worse
RARE = 20  # of them to cover all that is seen, however small
SEEN = COLOURS  # and one more for "as in the picture before"
STILL = 12  # grey levels by which H.264 lets a pixel tremble that stands still


@dataclass(frozen=True)
class Options:
    """Makes a short GIF of a film."""

    film: str = "runs/demo/play.mp4"  # what vlpt.play wrote
    out: str = "docs/play.gif"  # GIF to write
    start_s: NotNegative = 0.0  # where in the film it begins, seconds
    seconds: Positive = 9.0  # length; the film may end earlier
    fps: Count = 5  # pictures a second: 1, 2, 4, 5, 10 or 20
    width: Count = 560  # pixels, at most the film's
    most_mb: Positive = 1.5  # a larger GIF is refused

    def __post_init__(self) -> None:
        if FRAMES_PER_SECOND % self.fps:
            raise ValueError(f"--fps is 1, 2, 4, 5, 10 or 20, as the film has {FRAMES_PER_SECOND}, got {self.fps}")
        if not self.out.endswith(".gif"):
            raise ValueError(f"--out ends in .gif, got {self.out!r}")


def main(options: Options) -> int:
    """Writes the GIF; returns its size in bytes. Raises ValueError where that is too much, and as `read_excerpt`."""
    pictures = in_one_palette(without_tremble(read_excerpt(options)))
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


def without_tremble(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """(height, width, 3) uint8 each -> the same, where a pixel that hardly changes stays as it was shown before: a GIF
    keeps only what changes, and becomes a third smaller.
    """
    shown = pictures[:1]
    for rgb in pictures[1:]:
        change = np.abs(rgb.astype(np.int16) - shown[-1]).max(-1, keepdims=True)
        shown.append(np.where(change <= STILL, shown[-1], rgb))
    return shown


def in_one_palette(pictures: list[np.ndarray]) -> list[Image.Image]:
    """(height, width, 3) uint8 RGB each -> pictures of a common palette, with the colour SEEN in none of them."""
    table = palette_of(pictures)
    palette = Image.new("P", (1, 1))
    palette.putpalette(table[: 3 * SEEN])
    # Dithering would make what stands still differ from picture to picture.
    found = [Image.fromarray(rgb).quantize(palette=palette, dither=Image.Dither.NONE) for rgb in pictures]
    for picture in found:
        picture.putpalette(table)
    return found


def palette_of(pictures: list[np.ndarray]) -> list[int]:
    """Red, green, blue of SEEN + 1 colours in a row. A third goes by area; what is rare must keep its colour too: words
    and keys (set, each in two darker shades for the edges of letters), and whatever else a game shows.
    """
    own = [round(part * share) for colour in (AGENT, OTHER, WHITE) for share in (1, 0.75, 0.5) for part in colour]
    everything = Image.fromarray(np.concatenate(pictures))
    rare = everything.quantize(RARE, Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * RARE]
    room = COLOURS - (len(own) + len(rare)) // 3
    table = own + rare + everything.quantize(room, Image.Quantize.MEDIANCUT).getpalette()[: 3 * room]
    return table + [0] * (3 * (SEEN + 1) - len(table))


if __name__ == "__main__":
    run(main, Options)
