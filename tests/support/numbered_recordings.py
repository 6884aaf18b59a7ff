"""Made-up recordings that can be checked: every picture, action and word says which frame of which recording it is.

Pictures hold the recording's and the frame's number as 16 blocks of 16x16 pixels that survive H.264; the action of a
frame is a fixed function of both numbers; words are "w<frame of their onset>".
"""

import numpy as np

from data_gathering.recordings import meta_path, pressed_path, video_path, words_path
from vlpt.data.words import Word, write_words
from vlpt.files import write_json, write_lines
from vpt.actions import BUTTONS, MINECRAFT, action_to_step
from vpt.frames import write_video

STRIDE = 2048  # frames a recording may have: number = recording * STRIDE + frame


def picture(number: int, size=(128, 128)) -> np.ndarray:
    """(height, width, 3) uint8 showing a number below 2**16 in its upper half, and something that moves below."""
    width, height = size
    frame = np.full((height, width, 3), 90, np.uint8)
    for bit in range(16):
        row, column = divmod(bit, 8)
        rows = slice(row * height // 8, (row + 1) * height // 8)
        frame[rows, column * width // 8: (column + 1) * width // 8] = 235 if number >> bit & 1 else 20
    frame[height // 2:, : (number * 7) % width] = (200, 40, 120)
    return frame


def numbers(frames: np.ndarray) -> np.ndarray:
    """(..., height, width, 3) uint8 -> the numbers that `picture` drew, int64."""
    height, width = frames.shape[-3:-1]
    total = np.zeros(frames.shape[:-3], np.int64)
    for bit in range(16):
        row, column = divmod(bit, 8)
        y, x = (2 * row + 1) * height // 16, (2 * column + 1) * width // 16
        total += (frames[..., y - 2: y + 2, x - 2: x + 2, :].mean((-1, -2, -3)) > 127).astype(np.int64) << bit
    return total


def action(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The buttons (20,) and camera degrees (2,) of the frame with that number; every ninth frame does nothing."""
    buttons, camera_deg = np.zeros(len(BUTTONS), np.uint8), np.zeros(2)
    if number % 9:
        random = np.random.default_rng(number)
        buttons[:10] = random.random(10) < 0.2
        camera_deg = random.integers(-60, 61, 2) * 0.15
    return buttons, camera_deg


def indices(number: int) -> tuple[int, int]:
    """The two classes of `action`."""
    buttons_index, camera_index = MINECRAFT.encode(*action(number))
    return int(buttons_index), int(camera_index)


def record(folder, id_: str, recording: int, frames: int, word_frames=(), size=(128, 128), gap: int = 250) -> None:
    """Write one recording; `word_frames`: at which frames a word begins, a third of the frame in."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with write_video(video_path(folder, id_), size) as video:
        for t in range(frames):
            video.write(picture(recording * STRIDE + t, size))
            rows.append(action_to_step(*action(recording * STRIDE + t), previous=rows[-1] if rows else None))
    write_lines(pressed_path(folder, id_), rows)
    write_words(words_path(folder, id_), [Word(f"w{t}", max(0, t * 50 - 30), t * 50 + 90) for t in word_frames])
    errands = [{"name": "chop", "start_frame": frames // 3, "end_frame": None, "done": False}] if frames > 9 else []
    meta = {"id": id_, "channel": id_.split("-")[0], "seed": recording, "world": "none", "frames": frames, "fps": 20,
            "errands": errands}
    write_json(meta_path(folder, id_), meta)
