"""When exactly was each word said? Forced alignment of known words to sound, by pocketsphinx.

In: a file's words with rough times. Out: the same words with refined times; where a phrase cannot be aligned (a word is
in no dictionary, noise) its words keep their times, less what all the others turn out to be off by: recognisers begin
words late or early, each by its own amount. Needs pip install pocketsphinx.

    words = refine(words, read_sound("a.mp4"))
"""

import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np

from data_gathering.transcription.word_scores import plain
from vlpt.data.words import Word
from vpt.media import LONGEST_GAP_S, LONGEST_S, has_pictures, open_media, read_clock

RATE_HZ, FRAME_MS = 16_000, 10  # of pocketsphinx's models
HOLE_S = 0.02  # by which timestamps may be off where sound goes on: containers round them to milliseconds
GAP_MS = 350.0  # of silence parts two phrases
MARGIN_MS = 300.0  # of sound before and after a phrase that the aligner hears too
EARLY_MS = 60.0  # by which it begins words too early, measured on a natural voice with known times
FURTHEST_MS = 700.0  # a word that is moved further than that was not found
LEAST_TO_TELL, NOTICED_MS = 10, 30.0  # so many aligned words tell by how much all are off; less is let be
# Words of games that the packaged dictionary lacks, in its phones.
EXTRA = {"pickaxe": "P IH K AE K S", "creeper": "K R IY P ER", "creepers": "K R IY P ER Z", "zombie": "Z AA M B IY",
         "zombies": "Z AA M B IY Z", "cobblestone": "K AA B AH L S T OW N", "redstone": "R EH D S T OW N",
         "obsidian": "AH B S IH D IY AH N", "enderman": "EH N D ER M AE N", "okay": "OW K EY"}  # fmt: skip


def read_sound(path: Path | str) -> np.ndarray:
    """The sound track, (n,) int16 mono at 16 kHz, on the pictures' clock: sample 0 is heard as the first one shows.

    It is placed by its timestamps: holes are silence, what comes before the first picture or long after the last is
    cut. Raises ValueError naming a file that has no sound, and as `read_clock`.
    """
    begin_s, longest_s = _picture_times(path)
    with open_media(path, "sound") as container:
        runs = list(_runs(container, begin_s, longest_s))
    sound = np.zeros(max((start + len(samples) for start, samples in runs), default=0), np.int16)
    for start, samples in runs:
        sound[max(start, 0) : max(start + len(samples), 0)] = samples[max(-start, 0) :]
    return sound


def _picture_times(path: Path | str) -> tuple[float | None, float]:
    """When the first picture is shown, and until how long after it sound is kept; None where there is sound alone."""
    with open_media(path, "sound") as container:
        if not container.streams.audio:
            raise ValueError("it has none")
        if not has_pictures(container):
            return None, LONGEST_S
    clock = read_clock(path)
    return clock.begin_s, clock.end_s + LONGEST_GAP_S


def _runs(container, begin_s: float | None, longest_s: float) -> Iterator[tuple[int, np.ndarray]]:
    """(place of its first sample on the clock that begins at `begin_s`, (n,) int16) of each piece without a hole."""
    run: _Run | None = None
    for frame in container.decode(container.streams.audio[0]):
        time_s = frame.time if frame.time is not None else run.end_s if run else 0.0
        begin_s = time_s if begin_s is None else begin_s
        if time_s - begin_s > longest_s:
            break
        if run is None or not run.takes(frame, time_s):
            if run is not None:
                yield run.samples(begin_s)
            run = _Run(frame, time_s)
        run.add(frame)
    if run is not None:
        yield run.samples(begin_s)


class _Run:
    """Sound without a hole, made 16 kHz mono as it comes."""

    def __init__(self, first: av.AudioFrame, start_s: float) -> None:
        self.kind, self.start_s, self.end_s = _kind(first), start_s, start_s
        self.resampler, self.parts = av.AudioResampler("s16", "mono", RATE_HZ), []

    def takes(self, frame: av.AudioFrame, time_s: float) -> bool:
        """Whether the frame goes on where this ends, in the same form."""
        return _kind(frame) == self.kind and abs(time_s - self.end_s) < HOLE_S

    def add(self, frame: av.AudioFrame | None) -> None:
        self.parts += [one.to_ndarray()[0] for one in self.resampler.resample(frame)]
        self.end_s += frame.samples / frame.sample_rate if frame else 0.0

    def samples(self, begin_s: float) -> tuple[int, np.ndarray]:
        self.add(None)
        samples = np.concatenate(self.parts) if self.parts else np.zeros(0, np.int16)
        return round((self.start_s - begin_s) * RATE_HZ), samples


def _kind(frame: av.AudioFrame) -> tuple:
    return frame.format.name, frame.layout.name, frame.sample_rate


def refine(words: list[Word], sound: np.ndarray) -> tuple[list[Word], int]:
    """The words with refined times, and how many were moved. Raises ValueError when pocketsphinx is not installed."""
    refined, moves_ms = _refine_once(words, sound)
    off_ms = float(np.median(moves_ms)) if len(moves_ms) >= LEAST_TO_TELL else 0.0
    if abs(off_ms) > NOTICED_MS:
        words = [replace(word, start_ms=max(0.0, word.start_ms + off_ms), end_ms=max(0.0, word.end_ms + off_ms))
                 for word in words]  # fmt: skip
        refined, moves_ms = _refine_once(words, sound)
    return refined, len(moves_ms)


def _refine_once(words: list[Word], sound: np.ndarray) -> tuple[list[Word], list[float]]:
    """The words, and by how much each aligned one was moved."""
    refined, moves_ms = [], []
    for phrase in phrases(words):
        aligned = _align(phrase, sound)
        refined += aligned or phrase
        moves_ms += [new.start_ms - old.start_ms for new, old in zip(aligned or (), phrase, strict=False)]
    return refined, moves_ms


def phrases(words: list[Word]) -> list[list[Word]]:
    """Words between two silences."""
    if not words:
        return []
    cuts = [i + 1 for i, (a, b) in enumerate(itertools.pairwise(words)) if b.start_ms - a.end_ms > GAP_MS]
    return [words[a:b] for a, b in itertools.pairwise([0, *cuts, len(words)])]


def _align(phrase: list[Word], sound: np.ndarray) -> list[Word] | None:
    """A phrase with its times, or None where it could not be aligned."""
    decoder, said = aligner(), [plain(word.word) for word in phrase]
    if not all(word and decoder.lookup_word(word) for word in said):
        return None
    begin_ms = max(0.0, phrase[0].start_ms - MARGIN_MS)
    samples = slice(int(begin_ms * RATE_HZ / 1000), int((phrase[-1].end_ms + MARGIN_MS) * RATE_HZ / 1000))
    try:
        decoder.set_align_text(" ".join(said))
        decoder.start_utt()
        decoder.process_raw(sound[samples].tobytes(), full_utt=True)
        decoder.end_utt()
        found = [seg for seg in decoder.seg() or () if seg.word.split("(")[0] in said]
    except RuntimeError:  # no path through the sound
        return None
    if [seg.word.split("(")[0] for seg in found] != said:
        return None
    edges = [(begin_ms + FRAME_MS * seg.start_frame, begin_ms + FRAME_MS * (seg.end_frame + 1)) for seg in found]
    times = [(min(start + EARLY_MS, end - FRAME_MS), end) for start, end in edges]
    if any(abs(start - word.start_ms) > FURTHEST_MS for (start, _), word in zip(times, phrase, strict=True)):
        return None
    return [replace(word, start_ms=start, end_ms=end) for word, (start, end) in zip(phrase, times, strict=True)]


@cache
def aligner():
    """pocketsphinx with wide beams, so that it hardly ever loses the way."""
    if importlib.util.find_spec("pocketsphinx") is None:
        raise ValueError("refined word times need: pip install pocketsphinx")
    from pocketsphinx import Decoder

    decoder = Decoder(lm=None, loglevel="FATAL", beam=1e-100, pbeam=1e-100, wbeam=1e-80)
    for word, phones in EXTRA.items():
        if not decoder.lookup_word(word):
            decoder.add_word(word, phones, True)
    return decoder
