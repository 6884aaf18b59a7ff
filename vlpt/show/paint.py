"""Colours, rounded boxes and text for pictures of play. In: RGB canvases (H, W, 3) uint8, drawn on in place."""

from functools import cache

import cv2
import numpy as np

AGENT, OTHER = (92, 170, 255), (255, 190, 70)
WHITE, DIM, FAINT, PANEL = (245, 245, 245), (150, 156, 166), (44, 49, 58), (22, 25, 31)
FONT = cv2.FontFace("sans")  # comes with OpenCV 5: no font file is needed


def text(canvas: np.ndarray, words: str, x: int, y: int, size_px: int, colour: tuple, weight: int = 400) -> None:
    """Words whose baseline begins at (x, y); weight 400 is regular, 700 bold."""
    cv2.putText(canvas, words, (x, y), colour, FONT, size_px, weight)


@cache
def text_width(words: str, size_px: int, weight: int = 400) -> int:
    """Pixels from the beginning of `words` to where the next ones would begin."""
    nowhere = np.zeros((1, 1, 3), np.uint8)
    end, _ = cv2.putText(nowhere, words, (0, 0), WHITE, FONT, size_px, weight, cv2.PUT_TEXT_ALIGN_LEFT, (0, 1 << 20))
    return end[0]


def box(canvas: np.ndarray, x: float, y: float, width: float, height: float, colour: tuple, radius: float = 6,
        outline_px: int = 0) -> None:
    """A rounded rectangle, filled or (outline_px > 0) only its outline."""
    shape = np.round(rounded(x, y, width, height, min(radius, width / 2, height / 2)) * 16).astype(np.int32)
    if outline_px:
        cv2.polylines(canvas, [shape], True, colour, outline_px, cv2.LINE_AA, shift=4)
    else:
        cv2.fillPoly(canvas, [shape], colour, cv2.LINE_AA, shift=4)


def rounded(x: float, y: float, width: float, height: float, radius: float) -> np.ndarray:
    """(32, 2) points of a rounded rectangle, clockwise from the right."""
    angles = np.radians(np.arange(4)[:, None] * 90 + np.linspace(0, 90, 8))
    corners = np.array([(1, 1), (0, 1), (0, 0), (1, 0)]) * [width - 1 - 2 * radius, height - 1 - 2 * radius]
    arcs = np.stack([np.cos(angles), np.sin(angles)], -1) * radius
    return (arcs + corners[:, None] + [x + radius, y + radius]).reshape(-1, 2)


def arrow(canvas: np.ndarray, start: np.ndarray, tip: np.ndarray, colour: tuple) -> None:
    """From start to tip (2,) pixels, with a head that shrinks with a short arrow."""
    way = np.asarray(tip, float) - start
    length = float(np.hypot(*way))
    if length < 1:
        return
    along, head = way / length, min(14.0, length * 0.7)
    across, neck = np.array([-along[1], along[0]]), tip - along * head
    shaft = [start, neck]
    cv2.line(canvas, *(tuple(np.round(point * 16).astype(int).tolist()) for point in shaft), colour, 3, cv2.LINE_AA, 4)
    points = np.round(np.array([tip, neck + across * head / 2, neck - across * head / 2]) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [points], colour, cv2.LINE_AA, shift=4)


def shade(canvas: np.ndarray, x: int, y: int, width: int, height: int) -> None:
    """Darken a part of the picture to 45 %, so that text on it can be read."""
    part = canvas[max(y, 0) : y + height, max(x, 0) : x + width]
    part[:] = cv2.convertScaleAbs(part, alpha=0.45)


def place(canvas: np.ndarray, picture: np.ndarray, stretch: bool = False) -> None:
    """Enlarge `picture` into `canvas` (both (h, w, 3) uint8), centred, its aspect kept unless `stretch`."""
    scale = min(canvas.shape[0] / picture.shape[0], canvas.shape[1] / picture.shape[1])
    height, width = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
    if stretch:
        height, width = canvas.shape[:2]
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    large = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas[top : top + height, left : left + width] = large
