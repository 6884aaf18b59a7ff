"""Utterances and the pictures over which they are spoken, to learn from that they belong together.

In: `Shards` whose words have times, a tokenizer. Out: `Utterances`, what is said between two pauses with some pictures
of each, decoded once into one file (48 KB a picture); batches of them, endlessly. The position is one number.

    train = Utterances(shards, episodes, tokenizer, pictures=4)
    for batch in UtteranceBatches(train, size=64, pictures=2): ...      # 64 utterances, 2 pictures of each

The pictures of an utterance are evenly spaced from 250 ms before its first word to its end: who names a thing has seen
it before.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tqdm import tqdm

from vlpt.data.shards import Episode, Shards
from vlpt.data.video_hashes import video_hash
from vlpt.data.words import encode_text, split_at_pauses
from vlpt.files import whole_file
from vpt.files import is_there
from vpt.frames import AGENT_SIZE, FRAME_MS

BEFORE_MS = 250.0  # from an utterance's first picture to its first word


@dataclass(frozen=True)
class Utterance:
    """What is said between two pauses; the interval is [start_ms, end_ms), from its episode's first frame."""

    episode: int  # number in the list of episodes
    tokens: tuple[int, ...]  # at least one
    start_ms: float
    end_ms: float

    def frames(self, n_frames: int, count: int) -> list[int]:
        """`count` frames of its episode of `n_frames`, in order; the same one again where it is short."""
        ends = np.array([self.start_ms - BEFORE_MS, self.end_ms]) // FRAME_MS
        return np.linspace(*ends.clip(0, n_frames - 1), count).round().astype(int).tolist()


@dataclass(frozen=True)
class UtteranceBatch:
    """N utterances and F pictures of each."""

    index: torch.Tensor  # (N,) int64: which utterances
    pictures: torch.Tensor  # (N, F, 128, 128, 3) uint8 RGB


def find_utterances(episodes: Sequence[Episode], tokenizer: Tokenizer) -> list[Utterance]:
    """Every utterance of some episodes, in order, apart from those that begin after the last frame or that the
    tokenizer turns into nothing."""
    found = []
    for number, episode in enumerate(episodes):
        for run in split_at_pauses(episode.words):
            tokens = tuple(encode_text(" " + " ".join(word.word for word in run), tokenizer))
            if tokens and run[0].start_ms < episode.n_frames * FRAME_MS:
                found.append(Utterance(number, tokens, run[0].start_ms, run[-1].end_ms))
    return found


class Utterances:
    """The U utterances of some episodes, and `pictures` (U, K, 128, 128, 3) uint8 of them, read where they lie on disk.

    Raises ValueError where nothing is said.
    """

    def __init__(
        self, shards: Shards, episodes: Sequence[Episode], tokenizer: Tokenizer, pictures: int,
        folder: Path | str | None = None,
    ) -> None:
        """pictures: K, of each; folder: where they are kept, `features` beside the shards when None."""
        self.all = find_utterances(episodes, tokenizer)
        if not self.all:
            raise ValueError(f"{shards.folder}: nothing is said in {len(episodes)} episodes: take shards with words")
        wanted = [(episodes[one.episode], one.frames(episodes[one.episode].n_frames, pictures)) for one in self.all]
        folder = Path(folder or shards.folder.parent / "features")
        self.file = folder / f"utterances-{_digest(wanted, folder)}.npy"
        if not is_there(self.file):
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.file) as unfinished:
                _decode(shards, wanted, unfinished)
        self.pictures = np.load(self.file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.all)


def _digest(wanted: list[tuple[Episode, list[int]]], folder: Path) -> str:
    """A name for the pictures of these frames: what they are made from."""
    digests = {video: video_hash(video, folder) for video in {one.video for one, _ in wanted}}
    made_from = [[digests[episode.video], episode.first_frame, frames] for episode, frames in wanted]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]


def _decode(shards: Shards, wanted: list[tuple[Episode, list[int]]], path: Path) -> None:
    shape = len(wanted), len(wanted[0][1]), AGENT_SIZE, AGENT_SIZE, 3
    pictures = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    for row, (episode, frames) in zip(pictures, tqdm(wanted, "pictures", unit="utterance"), strict=True):
        for picture, frame in zip(row, frames, strict=True):
            picture[:] = shards.read_frames(episode, frame, frame + 1)[0]
    pictures.flush()


class UtteranceBatches:
    """Iterates over batches of `size` utterances with `pictures` of each, drawn anew in every epoch, in which no
    utterance comes twice. Without `shuffle` in order, the first pictures of each. Of world_size processes each has
    other utterances, together those of one process with as many.

    Raises ValueError where there are fewer utterances than that.
    """

    def __init__(self, utterances: Utterances, size: int, pictures: int, seed: int = 0, shuffle: bool = True,
                 rank: int = 0, world_size: int = 1) -> None:
        if len(utterances) < size * world_size:
            raise ValueError(f"{len(utterances)} utterances are fewer than a batch of {size * world_size}: lower "
                             "--lanes, or take shards with more words")
        self.utterances, self.size, self.n_pictures = utterances, size, pictures
        self.seed, self.shuffle, self.position = seed, shuffle, 0
        self.rank, self.world_size = rank, world_size

    @property
    def epoch_batches(self) -> int:
        """Whole batches in an epoch; the utterances that are left over are others in each."""
        return len(self.utterances) // (self.size * self.world_size)

    def __iter__(self) -> Iterator[UtteranceBatch]:
        return self

    def __next__(self) -> UtteranceBatch:
        epoch, place = divmod(self.position, self.epoch_batches)
        self.position += 1
        random = np.random.default_rng((self.seed, epoch))
        utterances, kept = self.utterances.pictures.shape[:2]
        order, columns = np.arange(utterances), np.tile(np.arange(kept), (utterances, 1))
        if self.shuffle:
            order, columns = random.permutation(order), random.permuted(columns, axis=1)
        begin = (place * self.world_size + self.rank) * self.size
        index = order[begin: begin + self.size]
        pictures = self.utterances.pictures[index[:, None], columns[index, : self.n_pictures]]
        return UtteranceBatch(torch.from_numpy(index), torch.from_numpy(pictures))

    def state_dict(self) -> dict:
        """The position, and what it is a position in."""
        return {"position": self.position, "of": self._identity()}

    def load_state_dict(self, state: dict) -> None:
        """Continue from a position. Raises ValueError when it is one of other utterances, sizes or seed."""
        if state["of"] != self._identity():
            raise ValueError(f"the saved position belongs to other data or options: {state['of']}, not "
                             f"{self._identity()}; start a new run, or use what the old one used")
        self.position = state["position"]

    def _identity(self) -> dict:
        return {"pictures": self.utterances.file.stem, "utterances": self.size, "of_each": self.n_pictures,
                "seed": self.seed}
