"""Plain text for the language model alone: transcripts read in order, cut into lanes of tokens.

In: `<id>.words.jsonl` files and text files. Out: batches of ids (B, L) where row b reads on where it stopped.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from vlpt.data.words import encode_text, read_words
from vlpt.files import read_text


def transcripts(
    folder: Path | str, held_out: tuple[str, ...] = (), left_out: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    """(training texts, held-out texts): what is said in each recording of a folder, one string a recording.

    held_out, left_out: channels, the part of a recording's id before the last "-"; what is left out is in neither.
    Raises ValueError when there is no recording.
    """
    train, valid = [], []
    for path in sorted(Path(folder).glob("*.words.jsonl")):
        channel = path.name.removesuffix(".words.jsonl").rpartition("-")[0]
        text = " ".join(word.word for word in read_words(path))
        if channel not in left_out:
            (valid if channel in held_out else train).append(text)
    if not train and not valid:
        raise ValueError(f"{folder} holds no *.words.jsonl: record or transcribe something first")
    return train, valid


def read_texts(
    videos: str, text: str, held_out: tuple[str, ...], left_out: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    """(training texts, held-out texts) from a folder of transcripts and a text file; either may be "".

    Without transcripts the last twentieth of the file's words is held out. Raises ValueError when there is nothing.
    """
    if not videos and not text:
        raise ValueError("no text: give --videos (transcripts), --text (a file), or both")
    train, valid = transcripts(videos, held_out, left_out) if videos else ([], [])
    if text:
        if not Path(text).is_file():
            raise ValueError(f"{text} is no file: --text names a text to learn from")
        try:
            words = read_text(text, "utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise ValueError(f"{text} is not UTF-8 (byte {error.start}: {error.reason}): convert it") from error
        kept = len(words) if videos else len(words) - len(words) // 20
        train, valid = [*train, " ".join(words[:kept])], valid + ([" ".join(words[kept:])] if not videos else [])
    return train, valid


def encode(texts: list[str], tokenizer: Tokenizer) -> torch.Tensor:
    """All texts as one row of ids (N,) int64; what spells a special token is ordinary text."""
    ids = [i for text in texts for i in encode_text(" " + text.strip(), tokenizer)]
    return torch.tensor(ids, dtype=torch.int64)


@dataclass
class TextLanes:
    """Reads ids (N,) in `lanes` rows at once, round and round. `position` is all its state. Of world_size processes
    each has other rows, together those of one process with as many.

    next() -> (heard (B, L), spoken (B, L), first (B, L) bool): spoken is what is heard one token later; first marks the
    token where a lane starts its part of the text again.
    """

    ids: torch.Tensor
    lanes: int
    chunk: int
    position: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        self.length = (len(self.ids) - 1) // (self.lanes * self.world_size)
        if self.length < self.chunk:
            raise ValueError(f"{len(self.ids)} tokens are too few for {self.lanes * self.world_size} lanes of "
                             f"{self.chunk}: give more text or smaller --lanes and --chunk")

    @property
    def chunks(self) -> int:
        """Whole chunks in one reading."""
        return self.length // self.chunk

    def next(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The next chunk of every lane."""
        start = self.position % self.chunks * self.chunk
        self.position += 1
        ours, text = self.rank * self.lanes * self.length, self.lanes * self.length
        rows = self.ids[ours : ours + text].view(self.lanes, -1)
        after = self.ids[ours + 1 : ours + text + 1].view(self.lanes, -1)
        first = torch.zeros(self.lanes, self.chunk, dtype=torch.bool)
        first[:, 0] = start == 0
        return rows[:, start : start + self.chunk], after[:, start : start + self.chunk], first
