"""From shards to batches: lanes in which episodes are played in order, one after another, with memory flags.

In: `Shards`, a list of episodes, a tokenizer. Out: `Chunk`s of (lanes, frames) tensors, endlessly or for some epochs.
Lane b plays one episode from its first frame to its last, then the next; `first` marks the frame where memory must be
forgotten. The position is a small dict: a loader that continues from it gives what an uninterrupted one would.

    train, held_out = split(shards.episodes, ["ch4", "ch5"])
    for chunk in Lanes(shards, train, lanes=8, frames_per_chunk=128): ...               # an agent that hears nothing
    for chunk in Lanes(..., tokenizer=tokenizer, silence=model.language.vocabulary,
                       frames_per_tick=model.config.frames_per_tick): ...
    for chunk in Lanes(..., rank=3, world_size=64, workers=2): ...                      # one of 64 processes

Who plays what is planned in vlpt/data/schedule.py and filled in by vlpt/data/fill.py, ahead of who asks, in a thread or
in worker processes (vlpt/data/load_workers.py); the chunks are the same. Of all processes, rank r has lanes r * lanes
and on: together they give what one process with all their lanes would.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

from tokenizers import Tokenizer

from vlpt.data.chunk import NULL_BUTTONS, NULL_CAMERA, Chunk
from vlpt.data.fill import Fill, ReadFrames, one_later
from vlpt.data.load_workers import prefetched, read_ahead
from vlpt.data.schedule import Schedule
from vlpt.data.shards import Episode, Shards
from vlpt.data.word_sources import SOURCES, WordStreams

__all__ = ["COUNTED", "FRAME_SOURCES", "NULL_BUTTONS", "NULL_CAMERA", "Chunk", "Lanes", "check_one_of", "digest",
           "one_later", "split"]  # fmt: skip

FRAME_SOURCES = ("true", "swapped", "blank")
COUNTED = ("all", "non-null")  # frames, in the action loss


def split(episodes: Sequence[Episode], held_out: Sequence[str]) -> tuple[list[Episode], list[Episode]]:
    """Episodes of other channels, episodes of the `held_out` channels: no channel and no video is in both.

    Raises ValueError when a channel does not exist or nothing is left to train on.
    """
    channels = {episode.channel for episode in episodes}
    if unknown := sorted(set(held_out) - channels):
        raise ValueError(f"no channel {', '.join(unknown)}: there are {', '.join(sorted(channels))}")
    train = [episode for episode in episodes if episode.channel not in held_out]
    kept = [episode for episode in episodes if episode.channel in held_out]
    if not train:
        raise ValueError(f"every channel is held out ({', '.join(sorted(channels))}): nothing is left to train on")
    if both := sorted({episode.id for episode in train} & {episode.id for episode in kept}):
        raise ValueError(f"{', '.join(both)} is in a held-out channel and in another one: a video has one channel")
    assert not {episode.channel for episode in train} & {episode.channel for episode in kept}
    return train, kept


class Lanes:
    """Iterates over Chunks of `lanes` x `frames_per_chunk`, the lanes of this process.

    tokenizer: of the words; None where nothing is heard. frames_per_tick and silence (V) are then the language model's
    own and must be given. word_source: one of vlpt.data.word_sources.SOURCES; frame_source: "true", "swapped" (pictures
    and last actions of another episode, repeated or cut to length) or "blank" (nothing to be seen or felt).
    count_frames: which frames count in the action loss, "all" or "non-null" (those where something is pressed), of
    those whose label is known: no matter what is said, or shown.
    epochs None: endless. shuffle False: episodes in the given order. read_frames: (episode, start, stop) -> array
    (stop - start, ...), the shards' pictures when None. drop_words: the share of episodes, drawn anew each epoch, in
    which nothing is heard and the language loss counts nothing, so that the agent also learns to act without words (for
    guidance, see vlpt/agent.py). drop_last_action: the share of an episode's chunks in which it does not know what it
    did, so that it learns to see and not only to go on; tell_destination: the share of them in which it is told
    where its next walk leads, so that it learns to go where it is told. start_offsets: lanes begin in the middle of an
    episode, each elsewhere, so that they do not march in step; what comes before is played later in the epoch. rank,
    world_size: which of how many processes this is. workers: processes that read ahead, 0: a thread of this one does.
    """

    def __init__(self, shards: Shards, episodes: Sequence[Episode], *, lanes: int, frames_per_chunk: int,
                 tokenizer: Tokenizer | None = None, frames_per_tick: int | None = None, silence: int | None = None,
                 max_lateness_ms: float = 1000, word_source: str = "true", frame_source: str = "true",
                 count_frames: str = "all", epochs: int | None = None, shuffle: bool = True, seed: int = 0,
                 read_frames: ReadFrames | None = None, drop_words: float = 0.0, drop_last_action: float = 0.0,
                 tell_destination: float = 0.0, start_offsets: bool = False, rank: int = 0, world_size: int = 1,
                 workers: int = 0):
        if not episodes:
            raise ValueError("no episodes to load: is every channel held out?")
        check_one_of(word_source=(word_source, SOURCES), frame_source=(frame_source, FRAME_SOURCES),
                     count_frames=(count_frames, COUNTED))  # fmt: skip
        if tokenizer is not None and (frames_per_tick is None or silence is None):
            raise ValueError("words need frames_per_tick and silence: take the language model's, whose table may be "
                             "larger than its tokenizer")
        assert 0 <= rank < world_size, f"process {rank} of {world_size}"
        self.shards, self.episodes = shards, list(episodes)
        self.frames_per_chunk, self.frames_per_tick = frames_per_chunk, frames_per_tick or 1
        self.word_source, self.seed, self.world_size, self.workers = word_source, seed, world_size, workers
        self.streams = None
        if tokenizer is not None:
            self.streams = WordStreams(self.episodes, tokenizer, frames_per_tick, silence, max_lateness_ms, seed)
        self.fill = Fill(self.episodes, read_frames or shards.read_frames, self.streams, word_source, frame_source,
                         count_frames, drop_words, drop_last_action, tell_destination, seed)
        assert self.fill.picture is not None  # read now: what cannot be read is said before anything begins
        lengths = [-(-episode.n_frames // self.frames_per_tick) * self.frames_per_tick for episode in self.episodes]
        self.schedule = Schedule(lengths, lanes * world_size, seed=seed, epochs=epochs, shuffle=shuffle,
                                 tick=self.frames_per_tick, start_offsets=start_offsets)
        self.lanes = range(rank * lanes, (rank + 1) * lanes)  # of this process, among all
        self._ahead: Iterator[Chunk] | None = None

    @property
    def silence(self) -> int:
        """V, the id of silence in `heard` and `spoken`; 0 where there are no words."""
        return self.streams.silence if self.streams else 0

    @property
    def epoch(self) -> float:
        """Epochs handed out so far."""
        return self.schedule.handed_out / len(self.episodes)

    def __iter__(self):
        return self

    def __next__(self) -> Chunk:
        if self._ahead is None:
            self._ahead = self._from_here()
        chunk = next(self._ahead)
        self.schedule.next(self.frames_per_chunk)
        return chunk

    def _from_here(self) -> Iterator[Chunk]:
        what = self.schedule, self.fill, self.lanes, self.frames_per_chunk
        if not self.workers:
            return read_ahead(*what)
        return prefetched(*what, self.workers, partial(_begin_worker, self.shards, self.workers))

    def state_dict(self) -> dict:
        """The position, as plain numbers, and what it is a position in: the same in every process."""
        return self.schedule.state_dict() | {"of": self._identity(), "world_size": self.world_size}

    def load_state_dict(self, state: dict) -> bool:
        """Continue from a position; True where all lanes go on as they were.

        From that of another number of processes or lanes, every lane begins anew in the middle of an episode (`first`
        is said), and each frame of the epoch is still played once. Raises ValueError for a position in other episodes
        or chunks, or of another seed.
        """
        ours, theirs = self._identity(), dict(state["of"])
        lanes = theirs.pop("lanes")
        if isinstance(theirs["episodes"], list):  # as positions were written before
            theirs["episodes"] = digest(theirs["episodes"])
        differ = [f"{name}={theirs.get(name)} then, {ours[name]} now" for name in theirs if theirs[name] != ours[name]]
        if differ:
            raise ValueError(f"the saved position belongs to other data or options ({'; '.join(differ)}): start a new "
                             "run, or use what the old one used")
        self._ahead = None
        as_before = (lanes, state.get("world_size", 1)) == (ours["lanes"], self.world_size)
        self.schedule.load_state_dict(state, as_before)
        return as_before

    def _identity(self) -> dict:
        return {"episodes": digest(episode.id for episode in self.episodes), "lanes": len(self.schedule.lanes),
                "seed": self.seed, "frames_per_chunk": self.frames_per_chunk, "frames_per_tick": self.frames_per_tick}


def digest(ids) -> str:
    """A name for a list of episodes' ids, in order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def check_one_of(**chosen: tuple[str, tuple[str, ...]]) -> None:
    """Raises ValueError for a choice, (value, choices) by name, that does not exist."""
    for name, (value, choices) in chosen.items():
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, got {value!r}")


def _begin_worker(shards: Shards, workers: int) -> None:
    """In a worker, whose shards are its own from now on: opened anew, with its part of the decoded pictures. It does
    not know the lanes, which would then refer to themselves: workers end as soon as nobody has the lanes any more.
    """
    shards.reopen()
    shards.cache.budget_mb /= workers
