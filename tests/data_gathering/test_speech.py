"""The spoken track: word times are those at which the words sound, and it lies under the picture where it should."""

import ctypes.util
import importlib.util
import json

import av
import numpy as np
import pytest

from data_gathering import demonstrate
from data_gathering.demonstrate import Episode, Options, main
from data_gathering.streamer import speech
from data_gathering.streamer.speech import RATE_HZ
from vlpt.data.recording import add_track
from vlpt.data.words import Word
from vlpt.options import run
from vlpt.worlds import make
from vpt.frames import read_video, write_video

needs_espeak = pytest.mark.skipif(not ctypes.util.find_library("espeak-ng"), reason="apt-get install espeak-ng")


def loudness(sound, start_ms, end_ms):
    """Mean absolute sample between two times."""
    return float(np.abs(sound[start_ms * RATE_HZ // 1000 : end_ms * RATE_HZ // 1000].astype(float)).mean())


def decoded(path):
    """The sound track of a file as players place it: (n,) float at RATE_HZ, its first sample at time 0."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[0]))
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    start = round(float(frames[0].pts * frames[0].time_base) * RATE_HZ)
    return sound[-start:] if start < 0 else np.concatenate([np.zeros(start), sound])


@needs_espeak
def test_espeak_says_each_word_when_it_is_said_to():
    voice = speech.EspeakVoice(170)
    text = "let's chop down the closest tree and then dig a bit of the sand"
    words, end_ms = voice.speak(text, 1000)
    assert [word.word for word in words] == text.split()
    assert all(a.start_ms < a.end_ms <= b.start_ms for a, b in zip(words, words[1:], strict=False))
    assert 150 < len(words) / (words[-1].end_ms - words[0].start_ms) * 60_000 < 200
    sound = voice.track(end_ms + 1000)
    assert loudness(sound, 0, 990) == 0 and loudness(sound, end_ms + 100, end_ms + 900) < 50
    assert all(loudness(sound, word.start_ms, word.end_ms) > 300 for word in words)


@needs_espeak
def test_espeak_word_times_agree_with_the_word_spoken_in_another_sentence():
    """The same last word after different beginnings sounds alike from its own onset on."""
    voice = speech.EspeakVoice(170)
    clips = []
    for text in ("look at that stone", "there is some stone"):
        samples, spans = voice.synthesise(text, 0.8)
        clips.append(samples[spans[-1][0] : spans[-1][0] + 6000])
    shift = np.correlate(envelope(clips[0]), envelope(clips[1]), "full").argmax() - (len(envelope(clips[0])) - 1)
    assert abs(shift) * 10 <= 60  # ms


def envelope(samples):
    """Loudness in steps of 10 ms, without its mean."""
    steps = np.abs(samples[: len(samples) // 220 * 220]).reshape(-1, 220).mean(axis=1)
    return steps - steps.mean()


def test_a_word_that_espeak_does_not_announce_lies_between_its_neighbours():
    assert speech.word_starts("out of the way", [(0, 0), (4, 100), (11, 300)], 500) == [0, 100, 200, 300]


def test_piper_words_that_are_spoken_as_one_share_its_phonemes():
    sounds = {"on the left": ("onðə", "lɛft"), "on the": ("onðə",), "the left": ("ðə", "lɛft"), "left": ("lɛft",)}
    units = speech.phoneme_units("on the left", sounds.__getitem__)
    assert units == [(["on", "the"], "onðə"), (["left"], "lɛft")]
    lengths = [50, *[10] * 4, 7, *[20] * 4]
    assert speech.word_spans(units, lengths) == [(50, 70), (70, 90), (97, 177)]


def test_a_track_lies_where_it_should_and_leaves_the_picture_alone(tmp_path):
    path, rng = tmp_path / "a.mp4", np.random.default_rng(0)
    frames = rng.integers(0, 255, (40, 64, 64, 3)).astype(np.uint8)
    with write_video(path, (64, 64)) as video:
        for frame in frames:
            video.write(frame)
    before = np.stack(list(read_video(path)))
    sound = np.zeros(2 * RATE_HZ, np.int16)
    sound[RATE_HZ : RATE_HZ + 4000] = rng.normal(0, 8000, 4000)
    add_track(path, sound, RATE_HZ)
    assert (np.stack(list(read_video(path))) == before).all()
    heard = np.abs(decoded(path))
    first = np.flatnonzero(heard > 0.1 * heard.max())[0]
    assert abs(first - RATE_HZ) < 0.02 * RATE_HZ
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@needs_espeak
def test_a_recording_with_speech_sounds_where_its_words_are(tmp_path):
    options = Options(out=str(tmp_path), seconds=8, speech="espeak", world="dummy")
    demonstrate.record(make("dummy", size=(64, 64)), options, Episode(0, 0, False), lambda count: None)
    sound = decoded(tmp_path / "ch0-00.mp4")
    lines = (tmp_path / "ch0-00.words.jsonl").read_text().splitlines()
    words = [Word(**json.loads(line)) for line in lines]
    assert len(words) > 4 and len(list(read_video(tmp_path / "ch0-00.mp4"))) == 160
    inside = [loudness(sound, word.start_ms, word.end_ms) for word in words]
    assert min(inside) > 5 * loudness(sound, 0, max(words[0].start_ms - 30, 1)) and min(inside) > 0.003


@pytest.mark.parametrize("voice, package", [("espeak", "apt-get install espeak-ng"), ("piper", "pip install")])
def test_a_voice_that_is_not_installed_is_one_clear_line(voice, package, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    speech._espeak_library.cache_clear()
    with pytest.raises(SystemExit):
        run(main, Options, ["--out", str(tmp_path), "--speech", voice])
    assert package in capsys.readouterr().err.splitlines()[-1]
