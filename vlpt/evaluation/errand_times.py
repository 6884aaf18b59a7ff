"""When errands are told, begin and last: the moments into which the frames of an episode fall, each into one.

In: an episode's words and errands. Out: which words told an errand, and the moment of every frame:

    announcement     from the first word that told an errand up to its beginning
    0-1 s, 1-2 s, 2-4 s   so long after an errand's beginning, while it lasts
    rest of errand   what comes after these
    between errands  all else; all there is where no errand is known

The first seconds of an errand go before an announcement that is made during them, and that before the rest.

    moments = moment_of_frames(episode); MOMENTS[moments[120]]

Which words told an errand is what it says itself (`announced_ms`, the onset of their first one); where it does not, the
last ones that began before it, and after the errand before it.
"""

from collections.abc import Sequence

import numpy as np

from vlpt.data.shards import Episode
from vlpt.data.words import Word, split_at_pauses
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

FIRST_SECONDS = {"0-1 s": (0, 1), "1-2 s": (1, 2), "2-4 s": (2, 4)}  # after an errand's beginning
MOMENTS = ("announcement", *FIRST_SECONDS, "rest of errand", "between errands")
ANNOUNCEMENT, REST, BETWEEN = (MOMENTS.index(name) for name in ("announcement", "rest of errand", "between errands"))


def moment_of_frames(episode: Episode) -> np.ndarray:
    """(N,) int64: of each frame, a number in MOMENTS."""
    found = np.full(episode.n_frames, BETWEEN)
    spans = [_span(errand, episode.n_frames) for errand in episode.errands]
    for begin, end in spans:
        found[begin:end] = REST
    before = 0
    for errand, (begin, _) in zip(episode.errands, spans, strict=True):
        told = told_words(episode.words, errand, before)
        if told:
            found[int(episode.words[told.start].start_ms // FRAME_MS) : begin] = ANNOUNCEMENT
        before = begin
    for begin, end in spans:
        for name, (since, until) in FIRST_SECONDS.items():
            first, last = (min(begin + seconds * FRAMES_PER_SECOND, end) for seconds in (since, until))
            found[first:last] = MOMENTS.index(name)
    return found


def _span(errand: dict, n_frames: int) -> tuple[int, int]:
    """Its first frame, and the one after its last; an errand without an end lasts to the recording's."""
    end = errand.get("end_frame")
    return int(errand["start_frame"]), n_frames if end is None else min(int(end), n_frames)


def told_words(words: Sequence[Word], errand: dict, before_frame: int) -> range:
    """Which of the words told an errand, the one before having begun at `before_frame`; none where nobody did."""
    announced_ms = errand.get("announced_ms")
    start_ms, end, found = errand["start_frame"] * FRAME_MS, 0, range(0)
    for run in split_at_pauses(words):
        begin, end = end, end + len(run)
        if announced_ms is None:
            if before_frame * FRAME_MS <= run[0].start_ms < start_ms:
                found = range(begin, end)
        elif run[0].start_ms - FRAME_MS <= announced_ms <= run[-1].start_ms:
            return range(next(i for i in range(begin, end) if words[i].start_ms >= announced_ms - FRAME_MS), end)
    return found
