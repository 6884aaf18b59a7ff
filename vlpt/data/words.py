"""Words and time: from spoken words with onsets to one token, or silence, a language tick.

In: words of a video (`Word`), a `tokenizers.Tokenizer`. Out: `Placement`, a token id a tick.
The one home of the word clock (20 frames a second; frame t covers [50t, 50t + 50) ms; tick k is frame
k * frames_per_tick):

    speech = tokenise(read_words("ch0-03.words.jsonl"), tokenizer)
    placed = place(speech.tokens, speech.onsets_ms, ticks, frames_per_tick=4, max_lateness_ms=1000, silence=V)

A word's tokens go to the first ticks at or after its onset, one a tick, in order; a busy tick pushes them later, never
earlier. Silence is V, the first id that the tokenizer cannot make. Nothing is dropped silently: what does not fit
before the end of the video and what is later than `max_lateness_ms` is counted.
"""

import json
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from vlpt.files import read_text, whole_file, write_lines
from vpt.frames import FRAME_MS

LATEST_MS = 360_000_000.0  # a hundred hours: no video is longer, and a word that is later has a broken time
LONGEST_WORD, LONGEST_LINE = 1000, 10_000  # characters, the line with all its escapes
PAUSE_MS = 150.0  # between two utterances, at least: within one, word follows word
MOST_WORDS = 32  # where nobody pauses, an utterance ends after so many
UNKNOWN = " \U0002a6d6"  # a character that is in hardly any vocabulary: what a tokenizer says for what it does not know
SHORT = reprlib.Repr()  # what is shown of something wrong, however long it is
SHORT.maxstring = SHORT.maxother = 160


@dataclass(frozen=True)
class Word:
    """One spoken word; the interval is [start_ms, end_ms), from the first frame of its video."""

    word: str
    start_ms: float
    end_ms: float


def split_at_pauses(words: Sequence[Word], pause_ms: float = PAUSE_MS, most: int = MOST_WORDS) -> list[list[Word]]:
    """Words in spoken order -> runs of at most so many, cut where nobody speaks for so long."""
    runs: list[list[Word]] = []
    for word in words:
        if not runs or word.start_ms - runs[-1][-1].end_ms >= pause_ms or len(runs[-1]) == most:
            runs.append([])
        runs[-1].append(word)
    return runs


@dataclass(frozen=True)
class Speech:
    """The tokens of a video in the order they are spoken."""

    tokens: np.ndarray  # (n,) int64
    onsets_ms: np.ndarray  # (n,) float64: onset of the word that the token belongs to
    word: np.ndarray  # (n,) int64: which word that is
    tokenless_words: int  # words that the tokenizer turned into nothing


@dataclass(frozen=True)
class Placement:
    """One token or silence for each of N ticks, and how late the clock had to be."""

    tokens: np.ndarray  # (N,) int64, `silence` where nobody speaks
    late: np.ndarray  # (N,) bool: the tick's token is later than allowed; to be masked from the language loss
    tick: np.ndarray  # (n,) int64: the tick of each token that fitted
    lateness_ms: np.ndarray  # (n,) float64: from the word's onset to the token's tick
    late_stretches: int  # runs of consecutive late ticks
    overflow: int  # tokens that would have come after the last tick


def count_ticks(n_frames: int, frames_per_tick: int) -> int:
    """Language ticks of a video of so many frames: those at frames 0, D, 2D ... that exist."""
    return -(-n_frames // frames_per_tick)


def place(tokens: Sequence[int], onsets_ms: Sequence[float], ticks: int, frames_per_tick: int,
          max_lateness_ms: float, silence: int) -> Placement:
    """Put n tokens, each with the onset of its word, on the ticks of a video.

    tokens: (n,) ids in 0..silence-1, in spoken order; onsets_ms: (n,) milliseconds from the start of the video.
    Raises ValueError for ids outside that range and onsets that are negative or not a number.
    """
    tokens, onsets = np.asarray(tokens, dtype=np.int64), np.asarray(onsets_ms, dtype=np.float64)
    _check(tokens, onsets, silence)
    tick_ms = FRAME_MS * frames_per_tick
    first = np.ceil(onsets / tick_ms).astype(np.int64)
    first += first * tick_ms < onsets  # the division may have rounded down
    order = np.arange(len(tokens))
    tick = order + np.maximum.accumulate(first - order)  # = max(first of this word, tick before + 1), for all at once
    fits = tick < ticks
    tick, lateness_ms = tick[fits], tick[fits] * tick_ms - onsets[fits]
    stream, late = np.full(ticks, silence, dtype=np.int64), np.zeros(ticks, dtype=bool)
    stream[tick] = tokens[fits]
    late[tick] = lateness_ms > max_lateness_ms
    stretches = int(late[:1].sum() + (late[1:] & ~late[:-1]).sum())
    return Placement(stream, late, tick, lateness_ms, stretches, int((~fits).sum()))


def _check(tokens: np.ndarray, onsets_ms: np.ndarray, silence: int) -> None:
    if tokens.shape != onsets_ms.shape or tokens.ndim != 1:
        raise ValueError(f"one onset a token, got {tokens.shape} tokens and {onsets_ms.shape} onsets")
    if tokens.size and not (0 <= tokens.min() and tokens.max() < silence):
        raise ValueError(f"token ids must lie below silence = {silence}, got {tokens.min()}..{tokens.max()}: "
                         "take the vocabulary of the tokenizer that made them")
    if not ((onsets_ms >= 0) & (onsets_ms <= LATEST_MS)).all():  # false for what is not a number, too
        raise ValueError("onsets are milliseconds from the start of the video: none negative, none missing, none after "
                         f"{LATEST_MS / 3_600_000:.0f} hours")


def tokenise(words: Sequence[Word], tokenizer: Tokenizer) -> Speech:
    """words in spoken order -> tokens, each tied to its word by character offsets.

    The words are encoded as one text, so that a word's tokens do not depend on where a video was cut. A token that
    reaches over several words belongs to the last of them: it must not be heard before that one is spoken.
    """
    # The leading blank gives the first word the same tokens as any other in byte-level vocabularies.
    spelled = [" " + " ".join(word.word.split()) for word in words]
    ids, owner = _encode_words(spelled, tokenizer)
    control = np.array(sorted(control_ids(tokenizer)), dtype=np.int64)
    if (wrong := np.isin(ids, control)).any():  # the vocabulary itself holds what a word spells: letter by letter
        for i in np.unique(owner[wrong]):
            spelled[i] = " " + " ".join(spelled[i].replace(" ", ""))
        ids, owner = _encode_words(spelled, tokenizer)
        ordinary = ~np.isin(ids, control)
        ids, owner = ids[ordinary], owner[ordinary]
    onsets = np.array([word.start_ms for word in words], dtype=np.float64)
    return Speech(ids, onsets[owner], owner, len(words) - len(np.unique(owner)))


def _encode_words(spelled: Sequence[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Words, each with a blank before it -> ids (n,) int64, and the word (n,) int64 that each belongs to."""
    written = np.array([i for i, text in enumerate(spelled) if len(text) > 1], dtype=np.int64)
    ends = np.cumsum([len(spelled[i]) for i in written])
    text = "".join(spelled[i] for i in written)
    with special_as_text(tokenizer):
        encoding = tokenizer.encode(text, add_special_tokens=False)
    last = [_last_visible(text, start, end) for start, end in encoding.offsets]
    owner = written[np.searchsorted(ends, last, side="right")] if last else written[:0]
    owner = np.maximum.accumulate(owner)  # normalisers may swap a character's pieces; time only runs forwards
    return np.array(encoding.ids, dtype=np.int64), owner


def encode_text(text: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a text, none of them special: what people write is never a command to the model."""
    with special_as_text(tokenizer):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
    if control_ids(tokenizer).isdisjoint(ids):
        return ids
    return tokenise([Word(word, 0.0, 0.0) for word in text.split()], tokenizer).tokens.tolist()


@contextmanager
def special_as_text(tokenizer: Tokenizer) -> Iterator[None]:
    """A context in which text that spells a special token (`<|im_end|>`) is cut into pieces as any other."""
    before = tokenizer.encode_special_tokens
    tokenizer.encode_special_tokens = True
    try:
        yield
    finally:
        tokenizer.encode_special_tokens = before


def control_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids that no spoken word may have: special ones, except what stands for a piece that it cannot spell."""
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return special - set(tokenizer.encode(UNKNOWN, add_special_tokens=False).ids) if special else special


def _last_visible(text: str, start: int, end: int) -> int:
    """The position of the token's last character that is not a blank; a blank alone belongs to what follows it."""
    end = max(end, start + 1)
    while end > start + 1 and text[end - 1: end].isspace():
        end -= 1
    position = end - 1
    while position < len(text) - 1 and text[position].isspace():
        position += 1
    return position


def vocabulary(tokenizer: Tokenizer) -> int:
    """V: one more than the largest id the tokenizer can make; silence gets exactly this id."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1


def train_tokenizer(texts: Iterable[str], vocab_size: int, whole_words: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE over texts whose words are separated by blanks; any text can be encoded and decoded again.

    A blank belongs to the word after it and merges may take in punctuation, so that a frequent word is one token, one
    tick. `whole_words` become single tokens whatever their frequency (ids after those learnt).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\s*\S+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((" " + " ".join(text.split()) for text in texts), trainer)
    tokenizer.add_tokens([AddedToken(word, single_word=True, lstrip=True, normalized=False) for word in whole_words])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, path: Path | str) -> None:
    """Write `tokenizer.json`, whole or not at all."""
    with whole_file(path) as unfinished:
        tokenizer.save(str(unfinished))


def load_tokenizer(path: Path | str) -> Tokenizer:
    """Read any `tokenizer.json`. Raises ValueError naming the file when it is missing or broken.

    It reads text that spells a special token as text, for people write such things into captions.
    """
    try:
        tokenizer = Tokenizer.from_str(read_text(path))
    except Exception as error:  # the library raises bare Exceptions
        raise ValueError(f"{path} is not a tokenizer.json ({SHORT.repr(error)}); train one or copy it again") from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def read_words(path: Path | str) -> list[Word]:
    """Read `<id>.words.jsonl`: one {"word", "start_ms", "end_ms"} a line, in spoken order; an empty file is silence.

    Raises ValueError naming the file, and the line that is no such object.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} is missing: transcribe the recording, or write an empty file if nobody speaks in it")
    try:
        lines = read_text(path, "utf-8-sig").split("\n")  # not splitlines: a word may hold a rarer line's end
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({SHORT.repr(error)}): transcribe the recording again") from error
    words = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                words.append(_word(line))
            except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: {SHORT.repr(line)} is not a word with start_ms and end_ms "
                                 f"({SHORT.repr(error)}): transcribe the recording again, or mend the line") from error
    return words


def _word(line: str) -> Word:
    """One line of a words file; raises what is wrong with it."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{len(line)} characters are more than a line with a word has")
    row = json.loads(line)
    if not isinstance(row["word"], str):
        raise TypeError(f"the word is {SHORT.repr(row['word'])}")
    word = Word(row["word"], float(row["start_ms"]), float(row["end_ms"]))
    if fault := fault_of(word):
        raise ValueError(fault)
    return word


def fault_of(word: Word) -> str:
    """Why a word cannot be in a words file; "" where it can."""
    if not 0 <= word.start_ms <= word.end_ms <= LATEST_MS:  # false for what is not a number, too
        return (f"a word needs 0 <= start_ms <= end_ms <= {LATEST_MS:.0f}, got {SHORT.repr(word.start_ms)} and "
                f"{SHORT.repr(word.end_ms)}")
    if len(word.word) > LONGEST_WORD:
        return f"{len(word.word)} characters are no word"
    if any("\ud800" <= letter <= "\udfff" for letter in word.word):
        return f"{SHORT.repr(word.word)} holds half a character"
    return ""


def write_words(path: Path | str, words: Iterable[Word]) -> None:
    """Write `<id>.words.jsonl`, whole or not at all; its folder is made.

    Raises ValueError for a word that `read_words` would refuse: a broken file would stop every dataset it is part of.
    """
    words = list(words)
    for number, word in enumerate(words, start=1):
        if fault := fault_of(word):
            raise ValueError(f"{path}, word {number} is not written: {fault}")
    write_lines(path, map(asdict, words))
