"""From shards to batches: lanes in which episodes are played in order, one after another, with memory flags.

In: `Shards`, a list of episodes, a tokenizer. Out: `Chunk`s of (lanes, frames) tensors, endlessly or for some epochs.
Lane b plays one episode from its first frame to its last, then the next; `first` marks the frame where memory must be
forgotten. The position is a small dict: a loader that continues from it gives what an uninterrupted one would.

    train, held_out = split(shards.episodes, ["ch4", "ch5"])
    for chunk in Lanes(shards, train, lanes=8, frames_per_chunk=128): ...               # an agent that hears nothing
    for chunk in Lanes(..., tokenizer=tokenizer, silence=model.language.vocabulary,
                       frames_per_tick=model.config.frames_per_tick): ...
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from tokenizers import Tokenizer

from vlpt.data.shards import Episode, Shards
from vlpt.data.soon import FRAMES as SOON_FRAMES
from vlpt.data.soon import SOON, soon
from vlpt.data.word_sources import SOURCES, WordStreams, partner
from vpt.actions import BUTTONS, MINECRAFT


@dataclass(frozen=True)
class Chunk:
    """B lanes, T frames. Language is given at tick frames (frame number of the episode a multiple of D); elsewhere, and
    everywhere without a tokenizer, `heard` and `spoken` hold silence and `language_mask` is False."""

    frames: torch.Tensor  # (B, T, 128, 128, 3) uint8 RGB, or (B, T, width) float32 features
    first: torch.Tensor  # (B, T) bool: an episode begins here
    real: torch.Tensor  # (B, T) bool: False where an episode was filled up to a whole tick, or a lane has nothing left
    heard: torch.Tensor  # (B, T) int64: the previous tick's token; V is silence
    spoken: torch.Tensor  # (B, T) int64: this tick's token, the target
    buttons_index: torch.Tensor  # (B, T) int64
    camera_index: torch.Tensor  # (B, T) int64
    # (B, T) int64: what was pressed at the frame before the one that is shown, nothing before an episode's first frame;
    # -1 where the agent is not to know
    last_buttons: torch.Tensor
    last_camera: torch.Tensor
    action_mask: torch.Tensor  # (B, T) bool: counts in the action loss, whatever is said; not where no label is known
    null: torch.Tensor  # (B, T) bool: the label is "nothing"
    # (B, T, SOON) bool: what is done soon, see vlpt/data/soon.py; False without a tokenizer, which alone announces it
    soon: torch.Tensor
    language_mask: torch.Tensor  # (B, T) bool: counts in the language loss; not where words are too late
    episode: torch.Tensor  # (B, T) int64: number in the list of episodes, -1 where a lane has nothing left
    frame: torch.Tensor  # (B, T) int64: frame number in the episode

    @property
    def last_action(self) -> torch.Tensor:
        """(B, T, 2) int64, as `vpt.policy.Policy.forward` takes it."""
        return torch.stack([self.last_buttons, self.last_camera], -1)

    def to(self, device) -> "Chunk":
        """The same on another device."""
        return replace(self, **{field.name: getattr(self, field.name).to(device) for field in fields(self)})


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


FRAME_SOURCES = ("true", "swapped", "blank")
COUNTED = ("all", "non-null")  # frames, in the action loss
WORDS = ("heard", "spoken", "language_mask")
SHOWN = ("frames", "last_buttons", "last_camera")  # of the episode whose pictures are shown
NULL_BUTTONS, NULL_CAMERA = (int(index) for index in MINECRAFT.encode(np.zeros(len(BUTTONS)), np.zeros(2)))


@dataclass
class _Lane:
    """What a lane plays: the episode's number (-1: nothing left), the next frame, and the epoch it belongs to."""

    episode: int = -1
    frame: int = 0
    epoch: int = 0


class Lanes:
    """Iterates over Chunks of `lanes` x `frames_per_chunk`.

    tokenizer: of the words; None where nothing is heard. frames_per_tick and silence (V) are then the language model's
    own and must be given. word_source: one of vlpt.data.word_sources.SOURCES; frame_source: "true", "swapped" (pictures
    and last actions of another episode, repeated or cut to length) or "blank" (nothing to be seen or felt).
    count_frames: which frames count in the action loss, "all"
    or "non-null" (those where something is pressed), of those whose label is known: no matter what is said, or shown.
    epochs None: endless. shuffle False: episodes in the given order. read_frames: (episode, start, stop) -> array
    (stop - start, ...), the shards' pictures when None. drop_words: the share of episodes, drawn anew each epoch, in
    which nothing is heard and the language loss counts nothing, so that the agent also learns to act without words (for
    guidance, see vlpt/agent.py). drop_last_action: the share of an episode's chunks in which it does not know what it
    did, so that it learns to see and not only to go on.
    """

    def __init__(self, shards: Shards, episodes: Sequence[Episode], *, lanes: int, frames_per_chunk: int,
                 tokenizer: Tokenizer | None = None, frames_per_tick: int | None = None, silence: int | None = None,
                 max_lateness_ms: float = 1000, word_source: str = "true", frame_source: str = "true",
                 count_frames: str = "all", epochs: int | None = None, shuffle: bool = True, seed: int = 0,
                 read_frames: Callable | None = None, drop_words: float = 0.0, drop_last_action: float = 0.0):
        if not episodes:
            raise ValueError("no episodes to load: is every channel held out?")
        check_one_of(word_source=(word_source, SOURCES), frame_source=(frame_source, FRAME_SOURCES),
                     count_frames=(count_frames, COUNTED))  # fmt: skip
        if tokenizer is not None and (frames_per_tick is None or silence is None):
            raise ValueError("words need frames_per_tick and silence: take the language model's, whose table may be "
                             "larger than its tokenizer")
        self.episodes, self.read_frames = list(episodes), read_frames or shards.read_frames
        self.frames_per_chunk, self.frames_per_tick = frames_per_chunk, frames_per_tick or 1
        self.streams = None
        if tokenizer is not None:
            self.streams = WordStreams(episodes, tokenizer, frames_per_tick, silence, max_lateness_ms, seed)
        self.word_source, self.frame_source, self.drop_words = word_source, frame_source, drop_words
        self.count_frames, self.drop_last_action = count_frames, drop_last_action
        self.epochs, self.shuffle, self.seed, self.handed_out = epochs, shuffle, seed, 0
        self.lanes = [_Lane() for _ in range(lanes)]
        self._picture = self.read_frames(self.episodes[0], 0, 1)[0]

    @property
    def silence(self) -> int:
        """V, the id of silence in `heard` and `spoken`; 0 where there are no words."""
        return self.streams.silence if self.streams else 0

    @property
    def epoch(self) -> float:
        """Epochs handed out so far."""
        return self.handed_out / len(self.episodes)

    def __iter__(self):
        return self

    def __next__(self) -> Chunk:
        for lane in self.lanes:
            self._advance(lane)
        if all(lane.episode < 0 for lane in self.lanes):
            raise StopIteration
        batch = self._empty()
        for b, lane in enumerate(self.lanes):
            t = 0
            while t < self.frames_per_chunk and lane.episode >= 0:
                t += self._play(lane, {name: rows[b] for name, rows in batch.items()}, t)
                self._advance(lane)
        return Chunk(**{name: torch.from_numpy(rows) for name, rows in batch.items()})

    def state_dict(self) -> dict:
        """The position, as plain numbers, and what it is a position in."""
        return {"handed_out": self.handed_out, "lanes": [[lane.episode, lane.frame, lane.epoch] for lane in self.lanes],
                "of": self._identity()}

    def load_state_dict(self, state: dict) -> None:
        """Continue from a position. Raises ValueError when it is one of other episodes, lanes or seed."""
        if state["of"] != self._identity():
            raise ValueError(f"the saved position belongs to other data or options: {state['of']}, not "
                             f"{self._identity()}; start a new run, or use what the old one used")
        self.handed_out = state["handed_out"]
        self.lanes = [_Lane(*lane) for lane in state["lanes"]]

    def _identity(self) -> dict:
        return {"episodes": [episode.id for episode in self.episodes], "lanes": len(self.lanes), "seed": self.seed,
                "frames_per_chunk": self.frames_per_chunk, "frames_per_tick": self.frames_per_tick}

    def _length(self, episode: int) -> int:
        """Frames of an episode filled up to whole ticks, so that every lane ticks at the same frames of a chunk."""
        return -(-self.episodes[episode].n_frames // self.frames_per_tick) * self.frames_per_tick

    def _advance(self, lane: _Lane) -> None:
        """Give a lane that is through with its episode the next one, while there is one."""
        if lane.episode >= 0 and lane.frame < self._length(lane.episode):
            return
        epoch, place = divmod(self.handed_out, len(self.episodes))
        if self.epochs is not None and epoch >= self.epochs:
            lane.episode = -1
            return
        order = np.arange(len(self.episodes))
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.episodes))
        lane.episode, lane.frame, lane.epoch = int(order[place]), 0, epoch
        self.handed_out += 1

    def _empty(self) -> dict[str, np.ndarray]:
        """A chunk in which nothing happens, to be filled in."""
        shape = (len(self.lanes), self.frames_per_chunk)
        flags = {name: np.zeros(shape, bool) for name in ("first", "real", "action_mask", "null", "language_mask")}
        words = {name: np.full(shape, self.silence, np.int64) for name in ("heard", "spoken")}
        numbers = {name: np.zeros(shape, np.int64) for name in ("buttons_index", "camera_index", "frame")}
        last = {"last_buttons": np.full(shape, NULL_BUTTONS), "last_camera": np.full(shape, NULL_CAMERA)}
        return {"frames": np.zeros((*shape, *self._picture.shape), self._picture.dtype), **flags, **words, **numbers,
                **last, "soon": np.zeros((*shape, SOON), bool), "episode": np.full(shape, -1, np.int64)}

    def _play(self, lane: _Lane, row: dict[str, np.ndarray], t: int) -> int:
        """Fill one lane's row from column t with the lane's episode; returns the number of columns filled."""
        episode, start = self.episodes[lane.episode], lane.frame
        n = min(self.frames_per_chunk - t, self._length(lane.episode) - start)
        seen = max(0, min(n, episode.n_frames - start))
        frame = np.arange(start, start + n)
        row["episode"][t: t + n], row["frame"][t: t + n] = lane.episode, frame
        row["first"][t] = start == 0
        here, recorded = slice(t, t + seen), slice(start, start + seen)
        row["real"][here] = True
        if self.frame_source != "blank":
            self._show(lane.episode, start, {name: row[name][here] for name in SHOWN})
        if self.frame_source == "blank" or self._draws(self.drop_last_action, lane, 1, start):
            row["last_buttons"][here] = row["last_camera"][here] = -1
        row["buttons_index"][here] = episode.buttons_index[recorded]
        row["camera_index"][here] = episode.camera_index[recorded]
        row["null"][here] = episode.null[recorded]
        if self.streams:  # nobody else reads it
            ahead = slice(start, start + seen + SOON_FRAMES)
            row["soon"][here] = soon(episode.buttons_index[ahead], episode.camera_index[ahead])[:seen]
        # Where nothing seems to be pressed because a picture only repeats, no label is known: see Episode.confidence.
        row["action_mask"][here] = episode.confidence[recorded] > 0
        if self.count_frames == "non-null":
            row["action_mask"] &= ~row["null"]
        if self.streams:
            self._speak(lane, {name: rows[t: t + n] for name, rows in row.items() if name in WORDS}, frame)
        lane.frame += n
        return n

    def _speak(self, lane: _Lane, out: dict[str, np.ndarray], frame: np.ndarray) -> None:
        """Fill the rows of WORDS at the frames (n,) of the lane's episode that are ticks."""
        tokens, late = self.streams.tokens(lane.episode, self.word_source, lane.epoch)
        at = np.flatnonzero(frame % self.frames_per_tick == 0)
        tick = frame[at] // self.frames_per_tick
        out["spoken"][at], out["language_mask"][at] = tokens[tick], ~late[tick]
        out["heard"][at] = np.where(tick > 0, tokens[tick - 1], self.silence)
        if self._draws(self.drop_words, lane, 0):
            out["heard"][:], out["language_mask"][:] = self.silence, False

    def _draws(self, share: float, lane: _Lane, what: int, frame: int = 0) -> bool:
        """A chance that is always the same for this episode in this epoch; what: number of the thing that is drawn."""
        seed = self.seed, lane.epoch, lane.episode, what, frame
        return share > 0 and np.random.default_rng(seed).random() < share

    def _show(self, index: int, start: int, out: dict[str, np.ndarray]) -> None:
        """Fill the rows of SHOWN with the frames from `start` on, and what was pressed before each: of the episode or,
        when swapped, of its partner."""
        swapped, n = self.frame_source == "swapped", len(out["frames"])
        shown = self.episodes[partner(index, len(self.episodes), self.seed) if swapped else index]
        filled = 0
        while filled < n:
            begin = (start + filled) % shown.n_frames
            end = min(begin + n - filled, shown.n_frames)
            to = slice(filled, filled + end - begin)
            out["frames"][to] = self.read_frames(shown, begin, end)
            known = shown.confidence > 0
            for name, values, nothing in (("last_buttons", shown.buttons_index, NULL_BUTTONS),
                                          ("last_camera", shown.camera_index, NULL_CAMERA)):
                out[name][to] = one_later(np.where(known, values, -1), nothing)[begin:end]
            filled = to.stop


def one_later(values: np.ndarray, before: int) -> np.ndarray:
    """values (N,) -> (N,): at each place the one before, and `before` at the first."""
    return np.append(before, values[:-1])


def check_one_of(**chosen: tuple[str, tuple[str, ...]]) -> None:
    """Raises ValueError for a choice, (value, choices) by name, that does not exist."""
    for name, (value, choices) in chosen.items():
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, got {value!r}")
