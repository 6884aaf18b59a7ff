"""Do a video's words run with its sound? Finds captions that are shifted, or whose clock goes too fast or too slow.

In: words with times, and the sound they are said to be in. Out: what their clock is off by, mended where that is clear.
Where words are there should be voice: in pieces of a minute, the loudness of the sound in the band of voices is
compared with the words' times at every lag up to five seconds. Pieces that say the same, on a line over the whole
video, are believed (Theil-Sen: half of them may be wrong); a game's noise alone lines up nowhere.

    clock = find_clock(words, read_sound("a.mp4"))      # None where it cannot be told
    words = clock.mend(words)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import butter, sosfilt
from scipy.stats import theilslopes

from data_gathering.transcription.refine import RATE_HZ
from vlpt.data.words import Word

STEP_MS = 20
PIECE_MS, LAG_MS = 60_000, 5_000
VOICE_HZ = (250, 3500)
LEAST_SPOKEN, MOST_SPOKEN = 0.05, 0.9  # of a piece: else there is nothing to line up
CLEAR = 0.25  # correlation at the best lag
AGREE_MS = 150.0  # pieces that are off the line by less agree with it
LEAST_AGREEING = 0.6  # of the pieces
NOTICED_MS = 150.0  # what is off by less everywhere is left alone


@dataclass(frozen=True)
class Clock:
    """How the words' times are off: true time = time + offset_ms + rate * time."""

    offset_ms: float
    rate: float

    def mend(self, words: Sequence[Word]) -> list[Word]:
        """The words at their true times."""
        return [replace(word, start_ms=self._true(word.start_ms), end_ms=self._true(word.end_ms)) for word in words]

    def off_by_ms(self, time_ms: float) -> float:
        return self.offset_ms + self.rate * time_ms

    def _true(self, time_ms: float) -> float:
        return max(0.0, time_ms + self.off_by_ms(time_ms))


def find_clock(words: Sequence[Word], sound: np.ndarray) -> Clock | None:
    """words, and sound (n,) int16 at RATE_HZ -> how the words' clock is off; None where that is not clear."""
    if not words or len(sound) < RATE_HZ:
        return None
    heard = loudness(sound)
    said = spoken(words, len(heard))
    places, lags_ms = [], []
    for start in range(0, len(heard), PIECE_MS // STEP_MS):
        lag_ms = best_lag_ms(heard, said, slice(start, start + PIECE_MS // STEP_MS))
        if lag_ms is not None:
            places.append((start + PIECE_MS / STEP_MS / 2) * STEP_MS)
            lags_ms.append(lag_ms)
    return line(np.array(places), np.array(lags_ms))


def loudness(sound: np.ndarray) -> np.ndarray:
    """(n,) -> (n / 20 ms,): logarithm of the power between the lowest and highest tones of voices."""
    band = sosfilt(butter(4, VOICE_HZ, "bandpass", fs=RATE_HZ, output="sos"), sound.astype(np.float32) / 32_768)
    step = RATE_HZ * STEP_MS // 1000
    power = np.square(band[: len(band) // step * step]).reshape(-1, step).mean(1)
    return np.log(power + 1e-7)


def spoken(words: Sequence[Word], steps: int) -> np.ndarray:
    """(steps,) 0 or 1: somebody speaks, by the words' times."""
    said = np.zeros(steps)
    for word in words:
        said[int(word.start_ms // STEP_MS) : int(np.ceil(word.end_ms / STEP_MS))] = 1
    return said


def best_lag_ms(heard: np.ndarray, said: np.ndarray, piece: slice) -> float | None:
    """By how much later the words of a piece are heard than they are said to be; None where nothing is clear."""
    pattern, reach = said[piece], LAG_MS // STEP_MS
    if len(pattern) < PIECE_MS // STEP_MS // 2 or not LEAST_SPOKEN < pattern.mean() < MOST_SPOKEN:
        return None
    padded = np.pad(heard, (reach, reach), mode="edge")[piece.start : piece.start + len(pattern) + 2 * reach]
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(pattern))
    centred = pattern - pattern.mean()
    alike = windows @ centred / (windows.std(1) * pattern.std() * len(pattern) + 1e-9)
    best = int(alike.argmax())
    return (best - reach) * STEP_MS if alike[best] >= CLEAR and 0 < best < 2 * reach else None


def line(places: np.ndarray, lags_ms: np.ndarray) -> Clock | None:
    """The line that most pieces lie on (Theil 1950, Sen 1968); None where too few agree. One piece gives no rate."""
    if not len(places):
        return None
    rate, offset_ms = 0.0, float(lags_ms[0])
    if len(places) > 1:
        rate, offset_ms, *_ = map(float, theilslopes(lags_ms, places, method="joint"))
    agreeing = np.abs(lags_ms - offset_ms - rate * places) <= AGREE_MS
    return Clock(offset_ms, rate) if agreeing.mean() >= LEAST_AGREEING else None
