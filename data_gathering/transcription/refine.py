"""When exactly was each word said? Forced alignment of known words to sound, by pocketsphinx.

In: a file's words with rough times. Out: the same words with refined times; where a phrase cannot be aligned (a word is
in no dictionary, noise) its words keep their times, less what all the others turn out to be off by: recognisers begin
words late or early, each by its own amount. Needs pip install pocketsphinx.

    words = refine(words, read_sound("a.mp4"))
"""

import importlib.util
import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np

from data_gathering.transcription.word_scores import plain
from vlpt.data.words import Word

RATE_HZ, FRAME_MS = 16_000, 10  # of pocketsphinx's models
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
    """The sound track, (n,) int16 mono at 16 kHz. Raises ValueError naming a file that has none."""
    try:
        with av.open(str(path)) as container:
            resampler, parts = av.AudioResampler("s16", "mono", RATE_HZ), []
            for frame in container.decode(container.streams.audio[0]):
                parts += [one.to_ndarray()[0] for one in resampler.resample(frame)]
            parts += [one.to_ndarray()[0] for one in resampler.resample(None)]
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} has no sound that can be read: {error}") from error
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


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
