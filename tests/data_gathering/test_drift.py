"""Captions whose clock is off: found by where voice is, on sounds made here and on espeak's voice."""

import ctypes.util
import wave

import numpy as np
import pytest
from support.real_files import ffmpeg, film, needs_ffmpeg

from data_gathering import rehearsal, transcribe
from data_gathering.rehearsal_site import rolled_up
from data_gathering.transcription.drift import Clock, find_clock
from data_gathering.transcription.refine import RATE_HZ, read_sound
from vlpt.data.words import Word, read_words


def talk(minutes: float, seed: int, noise: float) -> tuple[list[Word], np.ndarray]:
    """Words in breaths, tones of a voice where they are, and a game's noise everywhere: steps and hiss."""
    rng, words, now = np.random.default_rng(seed), [], 800.0
    length_ms = 60_000 * minutes
    while now < length_ms - 6000:
        for _ in range(int(rng.integers(2, 9))):
            lasts = float(rng.uniform(120, 400))
            words.append(Word("word", now, now + lasts))
            now += lasts + float(rng.uniform(0, 60))
        now += float(rng.uniform(600, 5000))
    sound = noise * rng.normal(size=int(length_ms * RATE_HZ / 1000)).astype(np.float32)
    for step in rng.integers(0, len(sound) - 800, int(length_ms / 400)):
        sound[step : step + 800] += 4 * noise * rng.normal(size=800)
    for word in words:
        span = slice(int(word.start_ms * RATE_HZ / 1000), int(word.end_ms * RATE_HZ / 1000))
        time = np.arange(span.stop - span.start) / RATE_HZ
        sound[span] += 0.2 * np.sin(2 * np.pi * rng.uniform(400, 1500) * time) * rng.uniform(0.5, 1)
    return words, (np.clip(sound, -1, 1) * 32_000).astype(np.int16)


def shifted(words: list[Word], offset_ms: float, rate: float) -> list[Word]:
    """The words by a clock that is off: `Clock(offset_ms, rate)` makes them right."""
    return [Word(w.word, (w.start_ms - offset_ms) / (1 + rate), (w.end_ms - offset_ms) / (1 + rate)) for w in words]


@pytest.mark.parametrize(("offset_ms", "rate"), [(0, 0), (700, 0), (-1500, 0), (300, 1e-3), (-200, -2e-3)])
def test_a_clock_that_is_off_is_found_and_mended(offset_ms, rate):
    words, sound = talk(8, 0, 0.03)
    late = shifted(words, offset_ms, rate)
    clock = find_clock(late, sound)
    assert clock.offset_ms == pytest.approx(offset_ms, abs=80) and clock.rate == pytest.approx(rate, abs=3e-4)
    errors = [abs(a.start_ms - b.start_ms) for a, b in zip(clock.mend(late), words, strict=True)]
    assert np.percentile(errors, 95) < 100


def test_what_cannot_be_told_is_not_told():
    words, sound = talk(6, 1, 0.03)
    others, _ = talk(6, 2, 0.03)
    hiss = (np.random.default_rng(0).normal(size=len(sound)) * 3000).astype(np.int16)
    assert find_clock(words, hiss) is None and find_clock(others, sound) is None  # only noise; another video's words
    assert find_clock([], sound) is None and find_clock(words, sound[:100]) is None
    assert find_clock(words[:3], sound) is None


def test_words_never_start_before_the_video():
    assert Clock(-500.0, 0.0).mend([Word("a", 100, 200)]) == [Word("a", 0.0, 0.0)]


@pytest.mark.skipif(not ctypes.util.find_library("espeak-ng"), reason="needs Debian's espeak-ng")
def test_captions_that_are_late_are_mended_where_the_video_speaks(tmp_path):
    (id_, *_) = rehearsal.publish(rehearsal.Options(channels=("ch0",), speech="espeak"), tmp_path)
    true = read_words(tmp_path / f"{id_}.words.jsonl")
    late = [Word(word.word, word.start_ms + 900, word.end_ms + 900) for word in true]
    (tmp_path / f"{id_}.en.vtt").write_text(rolled_up(late))
    options = transcribe.Options(videos=str(tmp_path), out=str(tmp_path / "words"), use="captions")
    found = transcribe.write_transcript(id_, options)
    assert "clock mended by -" in found["from"]
    errors = [abs(a.start_ms - b.start_ms)
              for a, b in zip(read_words(tmp_path / f"words/{id_}.words.jsonl"), true, strict=True)]
    assert np.median(errors) < 120
    assert read_sound(tmp_path / f"{id_}.mp4").any()


@needs_ffmpeg
def test_right_captions_of_late_sound_are_left_alone_and_wrong_ones_mended(tmp_path):
    """The sound begins 1.7 s late; captions are by the picture's clock, as a site makes them."""
    words, sound = talk(3, 0, 0.03)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    film(tmp_path / "a.mkv", range(0, 182_000, 2000), size=(64, 36))
    ffmpeg("-i", tmp_path / "a.mkv", "-itsoffset", "1.7", "-i", tmp_path / "a.wav", "-map", "0:v", "-map", "1:a",
           "-c:v", "copy", tmp_path / "a.mp4")  # fmt: skip
    right = shifted(words, -1700, 0)
    assert transcribe.in_time(right, tmp_path / "a.mp4", "captions") == (right, "captions")
    mended, source = transcribe.in_time(words, tmp_path / "a.mp4", "captions")
    assert "clock mended by +1" in source
    assert np.median([abs(a.start_ms - b.start_ms) for a, b in zip(mended, right, strict=True)]) < 80
    assert find_clock(right, read_sound(tmp_path / "a.mp4")).offset_ms == pytest.approx(0, abs=80)
