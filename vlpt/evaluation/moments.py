"""Errands that are told before they are done, and what a fused model remembers at any frame of an episode.

In: episodes with words and errands, the tokenizer and clock of a model. Out:

    tracks = [Track(episode, trial) for episode in episodes]            # an episode as the model is given it
    told, untold = find_announcements(tracks)                           # the words that told each errand
    for number, frame, memory in memories(trial, tracks, read_frames, frames): ...

Which words told an errand: vlpt/evaluation/errand_times.py.

Legend: N frames and K ticks of an episode, n tokens, T frames of a chunk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vlpt.checkpoint import model_folder, model_kind
from vlpt.data.lanes import NULL_BUTTONS, NULL_CAMERA, one_later
from vlpt.data.shards import Episode
from vlpt.data.words import count_ticks, place, tokenise
from vlpt.evaluation.errand_times import told_words
from vlpt.evaluation.trial import Trial
from vlpt.memory import Memory
from vpt.frames import FRAMES_PER_SECOND

FRAMES_PER_CALL = 128
ReadFrames = Callable[[Episode, int, int], np.ndarray]  # as Shards.read_frames


def fused_trial(options) -> Trial:
    """The trial of the fused agent `options.model` (TrialOptions besides). Raises ValueError where it hears
    nothing.
    """
    if model_kind(model_folder(options.model)) != "VLPT":
        raise ValueError(f"{options.model} hears nothing: take an agent that was joined with words")
    return Trial(options.model, options)


@dataclass(frozen=True)
class Given:
    """What a model is given of T frames, as `vlpt.model.VLPT.forward` takes it, for one lane or for B."""

    frames: np.ndarray  # (T, ...)
    first: np.ndarray  # (T,) bool
    heard: np.ndarray  # (T,) int64
    last_action: np.ndarray  # (T, 2) int64

    @classmethod
    def stack(cls, lanes: Sequence["Given"]) -> "Given":
        """Side by side: every array (B, T, ...)."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.stack([getattr(one, name) for one in lanes]) for name in names})

    def run(self, trial: Trial, memory: Memory):
        """The model's output and memory, of lanes side by side."""
        to = {name: torch.from_numpy(getattr(self, name)).to(trial.device) for name in self.__dataclass_fields__}
        return trial.model(to["frames"], to["first"], to["heard"], memory, to["last_action"])


class Track:
    """One episode as a fused model is given it."""

    def __init__(self, episode: Episode, trial: Trial) -> None:
        self.episode, self.silence = episode, trial.model.language.vocabulary
        self.frames_per_tick = trial.model.config.frames_per_tick
        speech = tokenise(episode.words, trial.tokenizer)
        placed = place(speech.tokens, speech.onsets_ms, count_ticks(episode.n_frames, self.frames_per_tick),
                       self.frames_per_tick, trial.max_lateness_ms, self.silence)  # fmt: skip
        self.tokens = placed.tokens  # (K,) int64: what is said at each tick, silence among it
        self.tick, self.word = placed.tick, speech.word[: len(placed.tick)]  # (n,) int64: of each token
        known = episode.confidence > 0
        labels = ((episode.buttons_index, NULL_BUTTONS), (episode.camera_index, NULL_CAMERA))
        self.last_action = np.stack([one_later(np.where(known, index, -1), nothing) for index, nothing in labels], 1)

    def hear(self, tokens: np.ndarray, start: int, stop: int) -> np.ndarray:
        """(T,) int64: what is heard at the frames start..stop-1 where tokens (K,) are said."""
        frames = np.arange(start, stop)
        tick = np.minimum(frames // self.frames_per_tick, len(tokens))
        return np.where(frames % self.frames_per_tick == 0, np.append(self.silence, tokens)[tick], self.silence)

    def given(self, read_frames: ReadFrames, start: int, stop: int) -> Given:
        """Frames start..stop-1; beyond the episode's end the last one again."""
        last = self.episode.n_frames - 1
        begin, end = min(start, last), min(stop, last + 1)
        again = ((0, stop - start - (end - begin)),)
        frames, last_action = read_frames(self.episode, begin, end), self.last_action[begin:end]
        frames = np.pad(frames, again + ((0, 0),) * (frames.ndim - 1), "edge")
        last_action = np.pad(last_action, (*again, (0, 0)), "edge")
        return Given(frames, np.arange(start, stop) == 0, self.hear(self.tokens, start, stop), last_action)


@dataclass(frozen=True, eq=False)
class Announcement:
    """The words that told an errand."""

    track: int  # number in the list of tracks
    kind: str  # of errand: the first word of its name
    start_frame: int  # of the errand
    text: str
    tokens: np.ndarray  # (n,) int64
    ticks: np.ndarray  # (n,) int64, when each is said


def kind_of(errand: dict) -> str:
    """The kind of an errand: the first word of its name."""
    return errand["name"].split()[0]


def find_announcements(tracks: Sequence[Track]) -> tuple[list[Announcement], int]:
    """Of all tracks, in order, and how many errands nobody told. Raises ValueError where no errand was told."""
    found, untold = [], 0
    for number, track in enumerate(tracks):
        before = 0
        for errand in track.episode.errands:
            one = _announcement(track, number, errand, before)
            found, untold = found + [one] * (one is not None), untold + (one is None)
            before = errand["start_frame"]
    if not found:
        channels = ", ".join(sorted({track.episode.channel for track in tracks}))
        raise ValueError(f"no errand is told in the episodes of {channels}: take shards of recordings whose "
                         "<id>.meta.json has errands, and with words")  # fmt: skip
    return found, untold


def _announcement(track: Track, number: int, errand: dict, before_frame: int) -> Announcement | None:
    words = told_words(track.episode.words, errand, before_frame)
    mine = (track.word >= words.start) & (track.word < words.stop)
    ticks = track.tick[mine]
    if not len(ticks) or errand["start_frame"] >= track.episode.n_frames or not errand["name"].split():
        return None
    text = " ".join(track.episode.words[i].word for i in words)
    return Announcement(number, kind_of(errand), errand["start_frame"], text, track.tokens[ticks], ticks)


@torch.no_grad()
def memories(
    trial: Trial, tracks: Sequence[Track], read_frames: ReadFrames, frames: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int, Memory]]:
    """(number of the track, frame, memory of one lane) at each of `frames` of each track, when all frames before it
    have been seen and heard. As many episodes side by side as `trial` has lanes.
    """
    lanes = trial.options.lanes
    for begin in range(0, len(tracks), lanes):
        group = range(begin, min(begin + lanes, len(tracks)))
        memory, position = trial.model.start(len(group)), 0
        for stop in sorted({frame for number in group for frame in frames[number]}):
            for start in range(position, stop, FRAMES_PER_CALL):
                end = min(start + FRAMES_PER_CALL, stop)
                given = Given.stack([tracks[number].given(read_frames, start, end) for number in group])
                _, memory = given.run(trial, memory)
            position = stop
            yield from ((number, stop, memory.index([lane])) for lane, number in enumerate(group)
                        if stop in frames[number])  # fmt: skip


def training_episodes(trial: Trial) -> list[Episode]:
    """Of the channels that neither this trial nor the model's training kept apart. Raises ValueError for none."""
    kept = {*trial.trained.get("held_out", ()), *trial.trained.get("test", ()), *trial.options.held_out}
    found = [episode for episode in trial.shards.episodes if episode.channel not in kept]
    if not found:
        raise ValueError(f"{trial.options.shards} has no channel besides {', '.join(sorted(kept))}, which are kept: "
                         "there is nothing to fit on")  # fmt: skip
    return found


def in_frames(seconds: float) -> int:
    """At least one."""
    return max(1, round(seconds * FRAMES_PER_SECOND))
