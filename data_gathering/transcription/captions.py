"""Captions with the times of words -> words: YouTube's json3, and WebVTT as it rolls up.

In: a caption file. Out: Words in order, each with its start and end in ms. Captions without word times (a whole line at
once) are refused, as a word's onset would be a guess.

json3: events with tStartMs, dDurationMs and segs, each utf8 and tOffsetMs; events with aAppend only move lines.
WebVTT: inside a cue `okay<00:00:00.353><c> so</c>`; lines without such times repeat what was said before.
"""

import html
import json
import re
from pathlib import Path

from vlpt.data.words import Word

CUE = re.compile(r"^((?:\d+:)?\d+:\d\d\.\d{3})\s+-->\s+((?:\d+:)?\d+:\d\d\.\d{3})")
TIME = re.compile(r"<((?:\d+:)?\d+:\d\d\.\d{3})>")
TAG = re.compile(r"</?c[^>]*>|</?[biuv][^>]*>")
SOUND = re.compile(r"^[\[(].*[\])]$|^[♪♫]+$")  # [Music], (laughs)
LONGEST_MS = 2000  # of a word after which nothing is said


def read_captions(path: Path | str) -> list[Word]:
    """Raises ValueError naming a file that is broken, of another kind, or has no times of words."""
    path = Path(path)
    readers = {".json3": json3, ".vtt": vtt}
    if path.suffix not in readers:
        raise ValueError(f"{path} is neither .json3 nor .vtt")
    try:
        words = readers[path.suffix](path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as captions ({type(error).__name__}: {error})") from error
    if not words:
        raise ValueError(f"{path} has no words with times of their own")
    return words


def json3(text: str) -> list[Word]:
    """YouTube's format. An event of several words with one time for all has no word times and is left out."""
    said: list[tuple[str, float, float]] = []
    for event in json.loads(text)["events"]:
        if event.get("aAppend") or "segs" not in event:
            continue
        start, length = float(event["tStartMs"]), float(event.get("dDurationMs", 0))
        segments = [(seg.get("utf8", ""), seg.get("tOffsetMs")) for seg in event["segs"]]
        if all(offset is None for _, offset in segments) and len(" ".join(t for t, _ in segments).split()) > 1:
            continue
        said += [(piece, start + float(offset or 0), start + length) for piece, offset in segments]
    return _ended(said)


def vtt(text: str) -> list[Word]:
    """WebVTT with times inside its cues."""
    said, begin, end = [], 0.0, 0.0
    for line in text.splitlines():
        if match := CUE.match(line):
            begin, end = _ms(match.group(1)), _ms(match.group(2))
        elif TIME.search(line):
            pieces = TIME.split(line)
            starts = [begin, *(_ms(time) for time in pieces[1::2])]
            said += [(html.unescape(TAG.sub("", piece)), start, end)
                     for piece, start in zip(pieces[::2], starts, strict=True)]  # fmt: skip
    return _ended(said)


def _ended(said: list[tuple[str, float, float]]) -> list[Word]:
    """Pieces with their start and the end of their line -> words that end where the next begins, at the latest."""
    starts = [(word, start, end) for piece, start, end in said for word in piece.split() if not SOUND.match(word)]
    following = [*(start for _, start, _ in starts[1:]), *[float("inf")] * bool(starts)]
    return [Word(word, start, max(start, min(end if end > start else start + LONGEST_MS, after, start + LONGEST_MS)))
            for (word, start, end), after in zip(starts, following, strict=True)]  # fmt: skip


def _ms(time: str) -> float:
    parts = [float(part) for part in time.split(":")]
    hours = parts[-3] if len(parts) > 2 else 0.0
    return round(1000 * (3600 * hours + 60 * parts[-2] + parts[-1]))
