"""What a browser's microphone recorded -> words with times.

In: bytes of a file that holds sound (WebM or Ogg with Opus, MP4, WAV: whatever FFmpeg reads). Out: words, the first
sample being time 0. Needs pip install faster-whisper; `vlpt.data.recognition.missing` says what else.

    words = hear_words(blob)
"""

import io

import av
import numpy as np

from vlpt.data.recognition import RATE_HZ, recognise_words
from vlpt.data.words import Word
from vpt.errors import one_line

LONGEST_S = 30.0  # of one utterance: longer sound is cut
LANGUAGE = "en"


def hear_words(blob: bytes, model: str = "") -> list[Word]:
    """Raises ValueError for what holds no sound that can be read, and with what to install."""
    words, _ = recognise_words(read_sound(blob), model, LANGUAGE)
    plain = [Word(word.word.strip(), word.start_ms, word.end_ms) for word in words]
    return [word for word in plain if any(map(str.isalnum, word.word))]


def read_sound(blob: bytes) -> np.ndarray:
    """(n,) float32 in -1..1, mono at 16 kHz, at most LONGEST_S. Raises ValueError where none can be read."""
    pieces, count = [np.zeros(0, np.int16)], 0
    try:
        with av.open(io.BytesIO(blob)) as container:
            resampler = av.AudioResampler("s16", "mono", RATE_HZ)
            for frame in container.decode(audio=0):
                for piece in resampler.resample(frame):
                    pieces.append(piece.to_ndarray().reshape(-1))
                    count += len(pieces[-1])
                if count > LONGEST_S * RATE_HZ:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ValueError(f"the sound cannot be read ({one_line(error)})") from error
    return np.concatenate(pieces)[: int(LONGEST_S * RATE_HZ)].astype(np.float32) / 32_768
