"""Captions with the times of words -> words: YouTube's json3, and WebVTT as it rolls up.

In: a caption file. Out: Words in order, each with its start and end in ms. Captions without word times (a whole line at
once, as in translated and in written ones) are refused, as a word's onset would be a guess; where only a few lines are
so, they are left out and counted, and so are words at impossible times and lines that are there twice.

json3: events with tStartMs, dDurationMs and segs, each utf8 and tOffsetMs; events with aAppend only move lines.
WebVTT: inside a cue `okay<00:00:00.353><c> so</c>`; lines without such times repeat what was said before, or are one
new word. Not said, and left out: `[Music]`, `(laughs)`, `[ __ ]`, `>>`, notes of music, punctuation alone.

    words, left_out = read_captions_and_faults("a.en.json3")        # left_out: {"at_an_impossible_time": 1, ...}
"""

import codecs
import html
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from vlpt.data.words import LATEST_MS, Word
from vpt.errors import one_line
from vpt.files import existing_file

CUE = re.compile(r"^((?:\d+:)?\d+:\d\d\.\d{3})\s+-->\s+((?:\d+:)?\d+:\d\d\.\d{3})")
TIME = re.compile(r"<((?:\d+:)?\d+:\d\d\.\d{3})>")
# Neither runs over another "<" or bracket, so that a file full of them costs no more than its length.
TAG = re.compile(r"</?(?:c|b|i|u|v|ruby|rt|lang)(?:[.\s][^<>]*)?>")
NOTE = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|【[^【】]*】|（[^（）]*）|［[^［］]*］")  # [Music], (laughs), [ __ ]
OPENING, CLOSING = tuple("[(【（［"), tuple("])】）］")
AROUND = ">»♪♫♬♩"  # a change of speaker, music
SPELLING = str.maketrans({**dict.fromkeys("’‘ʼ＇", "'"), **dict.fromkeys("\0\u00ad\u200b\u200e\u200f\u2060\ufeff")})
SAID_SIGNS = frozenset("&+=%@")  # signs that are spoken though they stand alone
FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, OSError)

LONGEST_MS = 2000  # of a word after which nothing is said
LONGEST_NOTE = 12  # words in brackets, where a bracket is open from one piece to another
LONGEST_PIECE = 200  # characters that may share one time
MOST_LINES = 100  # of a cue
ROLLED = 8  # lines of the cue before that a cue may repeat
BETWEEN_MS = 100  # a cue that is shorter only moves lines up
UNTIMED = 3.0  # words without times for each with one: more, and these are not captions with word times
DOUBLED, LEAST_TO_TELL = 0.8, 3  # share of lines that come in pairs, and kinds of pairs, in a track that doubles them
MOST_BYTES, MOST_WORDS = 40_000_000, 250_000  # of a file: a day of talk


class Piece(NamedTuple):
    """Text with one time; None where it has none of its own. `end_ms` is that of its line."""

    text: str
    start_ms: float | None
    end_ms: float


class Said(NamedTuple):
    """One word as it was found: in the line of that number, which ends at `end_ms`."""

    word: str
    start_ms: float | None
    end_ms: float
    line: int


def read_captions(path: Path | str) -> list[Word]:
    """Raises ValueError naming a file that is broken, of another kind, or has no times of words."""
    return read_captions_and_faults(path)[0]


def read_captions_and_faults(path: Path | str) -> tuple[list[Word], Counter]:
    """Words, and how many were left out, by reason. Raises ValueError as `read_captions`."""
    path = Path(path)
    readers = {".json3": json3, ".vtt": vtt}
    if path.suffix not in readers:
        raise ValueError(f"{path} is neither .json3 nor .vtt")
    try:
        said, left_out = timed_words(readers[path.suffix](_text(path)))
    except FAULTS as error:
        raise ValueError(f"{path} cannot be read as captions ({one_line(error, of=path)})") from error
    if not said or left_out["without_a_time"] > UNTIMED * len(said):
        counted = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in left_out.items() if n)
        raise ValueError(f"{path} has no words with times of their own" + (counted and f" to speak of ({counted})"))
    return _ended(said), left_out


def _text(path: Path) -> str:
    """A file's text, whatever byte-order mark it begins with."""
    if existing_file(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes are more than captions have")
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


# ---- the two formats: text -> lines of pieces


def json3(text: str) -> Iterator[list[Piece]]:
    """YouTube's format. An event of several words with one time for all has no word times."""
    if text.count("[") + text.count("{") > 1000 + len(text) // 10:
        raise ValueError("it holds more brackets than captions do")  # and would take a hundred times its size to read
    for event in json.loads(text, parse_int=float)["events"]:
        if not event.get("aAppend") and "segs" in event:
            yield _event(event)


def _event(event: dict) -> list[Piece]:
    start_ms, offset_ms = float(event["tStartMs"]), 0.0
    end_ms = start_ms + float(event.get("dDurationMs") or 0)
    if all(segment.get("tOffsetMs") is None for segment in event["segs"]):
        texts = [segment.get("utf8") or "" for segment in event["segs"]]
        return [Piece(text, None if _several(texts) else start_ms, end_ms) for text in texts]
    pieces = []
    for segment in event["segs"]:
        if segment.get("tOffsetMs") is not None:  # else it has that of the segment before
            offset_ms = float(segment["tOffsetMs"])
        pieces.append(Piece(segment.get("utf8") or "", start_ms + offset_ms, end_ms))
    return pieces


def vtt(text: str) -> Iterator[list[Piece]]:
    """WebVTT with times inside its cues; in a file that has them, cues repeat the lines of the cue before."""
    rolls, before = bool(TIME.search(text)), []
    for begin_ms, end_ms, lines in cues(text):
        shown = [" ".join(TAG.sub("", TIME.sub("", line)).split()) for line in lines]
        timed = [i for i, line in enumerate(lines) if TIME.search(line)]
        old = 0
        if rolls:
            between = end_ms - begin_ms < BETWEEN_MS
            old = _repeated(before, shown[: timed[0] if timed else None], len(shown) if between else len(shown) - 1)
        before = shown[-ROLLED:]
        if timed:
            for i in timed:
                yield _timed_line(lines[i], begin_ms, end_ms)
        else:
            start_ms = None if _several(shown[old:]) else begin_ms
            yield [Piece(line, start_ms, end_ms) for line in shown[old:]]


def cues(text: str) -> Iterator[tuple[float, float, list[str]]]:
    """Each cue's begin and end in ms and its lines that are not blank, without names of cues and comments."""
    times, lines, after_blank = None, [], False
    named = comment = False  # the last line may be the next cue's name; a comment goes on
    for line in io.StringIO(text, newline=None):
        line = line.rstrip("\n")
        if match := CUE.match(line):
            if times:
                yield *times, lines[:-1] if named else lines
            times, lines, named, comment = (_ms(match.group(1)), _ms(match.group(2))), [], False, False
        elif not line:
            named = comment = False
        elif line.strip():
            comment |= after_blank and line.startswith("NOTE")
            named = after_blank and bool(lines)
            lines += [line] * bool(times and not comment)
        after_blank = not line
        if len(lines) > MOST_LINES:
            raise ValueError(f"a cue has more than {MOST_LINES} lines")
    if times:
        yield *times, lines


def _repeated(before: list[str], shown: list[str], most: int) -> int:
    """How many of the first lines of a cue are the last of the cue before."""
    return next((n for n in range(min(len(before), len(shown), most), 0, -1) if before[-n:] == shown[:n]), 0)


def _timed_line(line: str, begin_ms: float, end_ms: float) -> list[Piece]:
    pieces = TIME.split(line)
    starts_ms = [begin_ms, *(_ms(time) for time in pieces[1::2])]
    return [Piece(TAG.sub("", text), start_ms, end_ms) for text, start_ms in zip(pieces[::2], starts_ms, strict=True)]


def _ms(time: str) -> float:
    """Infinite for more hours than a number can hold."""
    parts = [float(part) for part in time.split(":")]
    hours = parts[-3] if len(parts) > 2 else 0.0
    time_ms = 1000 * (3600 * hours + 60 * parts[-2] + parts[-1])
    return round(time_ms) if time_ms <= LATEST_MS else float("inf")


# ---- what was said


def timed_words(lines: Iterable[list[Piece]]) -> tuple[list[Said], Counter]:
    """Those words of the lines that have a time, and how many of the others there are."""
    said, left_out = [], Counter()
    for one in spoken(tokens(lines, left_out)):
        if one.start_ms is None:
            left_out["without_a_time"] += 1
        elif not 0 <= one.start_ms <= LATEST_MS:  # false for what is not a number, too
            left_out["at_an_impossible_time"] += 1
        else:
            said.append(one)
        if len(said) > MOST_WORDS:
            raise ValueError(f"more than {MOST_WORDS} words")
    kept = without_double_lines(said)
    left_out["in_lines_that_are_there_twice"] += len(said) - len(kept)
    return kept, left_out


def tokens(lines: Iterable[list[Piece]], left_out: Counter) -> Iterator[Said]:
    """What stands between blanks, in one spelling, without what is in brackets within a piece."""
    for number, line in enumerate(lines):
        for text, start_ms, end_ms in line:
            if len(text) > LONGEST_PIECE:
                left_out["without_a_time"] += 1 + text.count(" ")
                continue
            text = _spelt(text)
            for token in NOTE.sub(" ", text).split():
                if token := token.strip(AROUND):
                    yield Said(token, start_ms, end_ms, number)


def _spelt(text: str) -> str:
    """Without entities (some tracks escape twice), with plain apostrophes, without what cannot be seen."""
    if text.isascii() and "&" not in text and "\0" not in text:
        return text
    text = html.unescape(html.unescape(text)).translate(SPELLING)
    return text.encode("utf-8", "ignore").decode("utf-8")  # without halves of characters


def clean_words(words: Iterable[Word]) -> list[Word]:
    """Words of a recogniser as those of captions: without what is in brackets, and what is no word."""
    lines = ([Piece(word.word, word.start_ms, word.end_ms)] for word in words)
    return [Word(one.word, one.start_ms, one.end_ms) for one in spoken(tokens(lines, Counter()))]


def spoken(found: Iterable[Said]) -> Iterator[Said]:
    """Without what stands in brackets that open in one piece and close in another, and without what is no word."""
    held: list[Said] = []  # since a bracket opened
    for one in found:
        if held or one.word.startswith(OPENING):
            held.append(one)
            if one.word.rstrip(".,:;!?").endswith(CLOSING):
                held = []
            elif len(held) > LONGEST_NOTE:  # it never closes
                yield from filter(_is_word, held)
                held = []
        elif _is_word(one):
            yield one
    yield from filter(_is_word, held)


def _is_word(one: Said) -> bool:
    return one.word.isalnum() or (any(map(str.isalnum, one.word)) or one.word in SAID_SIGNS) and not any(
        bracket in one.word for bracket in OPENING + CLOSING)  # fmt: skip


def _several(texts: list[str]) -> bool:
    """Whether there are several words, those in brackets among them."""
    text = " ".join(texts)
    return len(text) > LONGEST_PIECE or sum(any(map(str.isalnum, part)) for part in _spelt(text).split()) > 1


def without_double_lines(said: list[Said]) -> list[Said]:
    """Lines that are there twice, once: those that begin before the same line has been said to its end, and all second
    ones of a track that doubles nearly every line, as translated ones do. A person may well say a line twice."""
    lines: list[list[Said]] = []
    for _, group in groupby(said, key=lambda one: one.line):
        line = list(group)
        if not (lines and _same(lines[-1], line) and line[0].start_ms <= lines[-1][-1].start_ms):
            lines.append(line)
    firsts, pairs, i = [], set(), 0
    while i < len(lines):
        double = i + 1 < len(lines) and _same(lines[i], lines[i + 1])
        if double:
            pairs.add(tuple(one.word for one in lines[i]))
        firsts.append(lines[i])
        i += 1 + double
    doubled = len(pairs) >= LEAST_TO_TELL and 2 * (len(lines) - len(firsts)) >= DOUBLED * len(lines)
    return [one for line in (firsts if doubled else lines) for one in line]


def _same(line: list[Said], other: list[Said]) -> bool:
    return [one.word for one in line] == [one.word for one in other]


def _ended(said: list[Said]) -> list[Word]:
    """Words that end where the next begins, at the latest."""
    following = [*(one.start_ms for one in said[1:]), float("inf")]
    return [Word(word, start, max(start, min(end if end > start else start + LONGEST_MS, after, start + LONGEST_MS)))
            for (word, start, end, _), after in zip(said, following, strict=True)]  # fmt: skip
