"""Pictures that are not clean play, composed: things laid over play as streamers lay them, and other things altogether.

    lay_over("watermark", rgb, rng)          # (H, W, 3) uint8, a picture of its own
    other_scene("slide", (180, 320), rng)
"""

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

WORDS = "SUBSCRIBE like episode 12 survival live chat donate KILLS 7 goal follow me new video hardcore day 100".split()
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX)


def colour(rng) -> tuple[int, int, int]:
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def text(rgb, words: str, left: int, bottom: int, rng, height: float, paint=None) -> None:
    """height: of a letter, in pixels; outlined, as on screens."""
    font, scale, paint = FONTS[rng.integers(len(FONTS))], height / 22, paint or colour(rng)
    for thick, shade in ((max(2, round(height / 6)), (0, 0, 0)), (max(1, round(height / 12)), paint)):
        cv2.putText(rgb, words, (left, bottom), font, scale, shade, thick, cv2.LINE_AA)


def some_words(rng, count: int) -> str:
    return " ".join(rng.choice(WORDS, count))


def photo(rng, height: int, width: int, name: str | None = None) -> np.ndarray:
    """A cutting of a photograph."""
    whole = load_sample_image(name or ("china.jpg", "flower.jpg")[rng.integers(2)])
    h = int(rng.integers(120, 380))
    w = min(int(h * width / height) + 1, 600)
    y, x = rng.integers(0, 427 - h), rng.integers(0, 640 - w)
    return cv2.resize(whole[y : y + h, x : x + w], (width, height))


# ---- laid over play


def banner(rgb, rng):
    h, w = rgb.shape[:2]
    bh, bw = int(h * rng.uniform(0.1, 0.2)), int(w * rng.uniform(0.25, 0.6))
    y, x = int(rng.integers(0, h - bh)), int(rng.integers(0, w - bw))
    rgb[y : y + bh, x : x + bw] = colour(rng)
    text(rgb, some_words(rng, 2), x + 3, y + int(0.75 * bh), rng, 0.5 * bh)


def face_cam(rgb, rng):
    h, w = rgb.shape[:2]
    bh = int(h * rng.uniform(0.22, 0.4))
    bw = int(bh * rng.uniform(1.0, 1.5))
    y, x = (0, h - bh)[rng.integers(2)], (0, w - bw)[rng.integers(2)]
    rgb[y : y + bh, x : x + bw] = photo(rng, bh, bw)
    cv2.ellipse(rgb, (x + bw // 2, y + bh // 2), (bw // 5, bh // 3), 0, 0, 360,
                (int(rng.integers(120, 255)), int(rng.integers(90, 200)), int(rng.integers(70, 160))), -1)  # fmt: skip
    if rng.random() < 0.6:
        cv2.rectangle(rgb, (x, y), (x + bw - 1, y + bh - 1), colour(rng), 2)


def watermark(rgb, rng):
    h, w = rgb.shape[:2]
    over = rgb.copy()
    text(over, some_words(rng, 2), int(rng.integers(0, w // 2)), int(rng.integers(h // 8, h)), rng,
         h * rng.uniform(0.06, 0.12), (255, 255, 255))  # fmt: skip
    share = rng.uniform(0.45, 0.9)
    rgb[:] = (share * over + (1 - share) * rgb).astype(np.uint8)


def border(rgb, rng):
    h, w = rgb.shape[:2]
    top, side = int(h * rng.uniform(0.08, 0.16)), int(w * rng.uniform(0.06, 0.14))
    inner = cv2.resize(rgb, (w - 2 * side, h - 2 * top))
    rgb[:] = cv2.GaussianBlur(cv2.resize(rgb, (w, h)), (0, 0), h / 20) if rng.random() < 0.4 else (
        photo(rng, h, w) if rng.random() < 0.4 else np.broadcast_to(np.array(colour(rng), np.uint8), rgb.shape))
    rgb[top : h - top, side : w - side] = inner


def subtitles(rgb, rng):
    h, w = rgb.shape[:2]
    if rng.random() < 0.5:
        rgb[int(h * 0.82) : int(h * 0.94), w // 8 : -w // 8] //= 4
    text(rgb, some_words(rng, 4), w // 8 + 3, int(h * 0.91), rng, h * rng.uniform(0.06, 0.09), (255, 255, 255))


def chat_box(rgb, rng):
    h, w = rgb.shape[:2]
    x = (2, int(w * 0.62))[rng.integers(2)]
    rgb[h // 4 : 3 * h // 4, x : x + int(w * 0.36)] //= 3
    for row in range(6):
        text(rgb, some_words(rng, 2), x + 2, int(h * (0.33 + 0.075 * row)), rng, h * 0.05)


def arrow(rgb, rng):
    h, w = rgb.shape[:2]
    points = [tuple(int(v) for v in rng.uniform(0.2, 0.8, 2) * (w, h)) for _ in range(2)]
    cv2.arrowedLine(rgb, *points, (255, 30, 30), max(2, h // 30), tipLength=0.3)
    cv2.circle(rgb, points[1], h // 7, (255, 30, 30), max(2, h // 45))


def logo(rgb, rng):
    h, w = rgb.shape[:2]
    r = int(h * rng.uniform(0.07, 0.12))
    centre = (int(rng.choice([r + 3, w - r - 3])), int(rng.choice([r + 3, h - r - 3])))
    cv2.circle(rgb, centre, r, colour(rng), -1)
    cv2.circle(rgb, centre, r, (255, 255, 255), 2)
    text(rgb, str(rng.choice(WORDS))[0].upper(), centre[0] - r // 2, centre[1] + r // 2, rng, r, (255, 255, 255))


LAID = {"banner": banner, "face cam": face_cam, "watermark": watermark, "border": border, "subtitles": subtitles}
LAID_ELSEWHERE = {"chat box": chat_box, "arrow": arrow, "logo": logo}  # kinds kept for testing


def lay_over(kind: str, rgb: np.ndarray, rng) -> np.ndarray:
    made = np.ascontiguousarray(rgb).copy()
    {**LAID, **LAID_ELSEWHERE}[kind](made, rng)
    return made


# ---- other scenes


def slide(size, rng):
    made = np.full((*size, 3), colour(rng), np.uint8)
    for row in range(int(rng.integers(1, 5))):
        text(made, some_words(rng, 3), size[1] // 12, int(size[0] * (0.25 + 0.18 * row)), rng, size[0] * 0.09)
    return made


def terminal(size, rng):
    made = np.full((*size, 3), int(rng.integers(0, 40)), np.uint8)
    for row in range(10):
        text(made, some_words(rng, int(rng.integers(1, 5))), 4, int(size[0] * (0.1 + 0.09 * row)), rng, size[0] * 0.045,
             (200, 200, 200))  # fmt: skip
    return made


def menu(size, rng):
    made = cv2.GaussianBlur(photo(rng, *size), (0, 0), size[0] / 30) if rng.random() < 0.5 else slide(size, rng)
    for row in range(int(rng.integers(2, 6))):
        y = int(size[0] * (0.2 + 0.14 * row))
        cv2.rectangle(made, (size[1] // 4, y), (3 * size[1] // 4, y + size[0] // 10), (110, 110, 110), -1)
        cv2.rectangle(made, (size[1] // 4, y), (3 * size[1] // 4, y + size[0] // 10), (20, 20, 20), 1)
        text(made, some_words(rng, 1), size[1] // 3, y + size[0] // 13, rng, size[0] * 0.06, (240, 240, 240))
    return made


def china(size, rng):
    return photo(rng, *size, "china.jpg")


def flower(size, rng):
    return photo(rng, *size, "flower.jpg")


def tiles(size, rng):
    """A game seen from the side."""
    cells = rng.integers(0, 6, (9, 16))
    palette = rng.integers(0, 256, (6, 3)).astype(np.uint8)
    made = cv2.resize(palette[cells], size[::-1], interpolation=cv2.INTER_NEAREST)
    text(made, some_words(rng, 1), 5, size[0] // 8, rng, size[0] * 0.08)
    return made


def chart(size, rng):
    made = np.full((*size, 3), 250, np.uint8)
    for _ in range(3):
        y = size[0] / 2 + np.cumsum(rng.normal(0, size[0] / 40, size[1]))
        points = np.stack([np.arange(size[1]), y], axis=1).astype(np.int32)
        cv2.polylines(made, [points], False, colour(rng), 2, cv2.LINE_AA)
    text(made, some_words(rng, 2), size[1] // 4, size[0] // 8, rng, size[0] * 0.07, (30, 30, 30))
    return made


SCENES = {"slide": slide, "terminal": terminal, "menu": menu, "china": china}
SCENES_ELSEWHERE = {"flower": flower, "tiles": tiles, "chart": chart}


def other_scene(kind: str, size: tuple[int, int], rng) -> np.ndarray:
    return {**SCENES, **SCENES_ELSEWHERE}[kind](size, rng)


def recolour(rgb: np.ndarray, skin: int) -> np.ndarray:
    """Another look of the same world: hues turned, colours stronger or weaker, light bent; the same for a skin."""
    rng = np.random.default_rng(skin)
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(20, 160)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.3, 1.6), 0, 255)
    hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** rng.uniform(0.6, 1.5)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
