"""What stages on recorded play share: which episodes, lanes of them, carried memory, validation, unigram baselines.

In: shards. Out: `EpisodeStage`, to which a child gives a model and says what one chunk costs.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import nn

from vlpt.data.lanes import Chunk, Lanes, split
from vlpt.data.meant import UNKNOWN
from vlpt.data.shards import Episode, Shards
from vlpt.data.trunk_features import Features, cache_features
from vlpt.memory import tensors, with_tensors
from vlpt.options import CountOrNone, Share
from vlpt.training.diverged import stretches
from vlpt.training.losses import LossPart, LossTotals, Unigram
from vlpt.training.processes import rank, world_size
from vlpt.training.stage import Stage, StageOptions, count_parameters, detached, prefixed
from vlpt.training.unigram import blank_frames, count_labels, enough, unigram_losses
from vpt.policy import Policy


@dataclass(frozen=True, kw_only=True)
class ShardOptions(StageOptions):
    """What can be asked of stages that learn from recorded play."""

    shards: str = "data/6_shards"  # LeRobotDataset folder
    train_on: tuple[str, ...] = ()  # channels to train on (none named: all that are not held out)


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions(ShardOptions):
    """What can be asked of stages that learn to act from whole episodes."""

    # frames that count in the action losses: all whose label is known, or of them those where something is pressed, for
    # play whose idle frames drown the rest. Validation reports both: action (all) and action_non_null
    count_frames: Literal["all", "non-null"] = "all"
    drop_last_action: Share = 0.0  # share of chunks in which an agent that feels what it did does not
    # lanes begin in the middle of an episode, each elsewhere, so that they do not march in step
    start_offsets: bool = False
    workers: CountOrNone = 0  # processes that decode and read ahead of the training (0: none, a thread of it does)


class EpisodeSplit(NamedTuple):
    """Shards, the episodes to train on, and those of the held-out channels."""

    shards: Shards
    train: list[Episode]
    held_out: list[Episode]


def read_episodes(options: ShardOptions) -> EpisodeSplit:
    """Train on the episodes that are not held out, or of them those of `train_on`. Raises ValueError where a channel
    that is named does not exist or nothing is left to train on.
    """
    shards = Shards(options.shards)
    train, kept = split(shards.episodes, (*options.held_out, *options.test))
    held_out = [episode for episode in kept if episode.channel not in options.test]
    if options.train_on:
        if unknown := sorted(set(options.train_on) - {episode.channel for episode in train}):
            raise ValueError(f"--train-on: no channel {', '.join(unknown)} that is not held out in {options.shards}")
        train = [episode for episode in train if episode.channel in options.train_on]
    return EpisodeSplit(shards, train, held_out)


def frozen_outputs(policy: Policy, shards: Shards, device: torch.device) -> Features:
    """What takes the place of pictures where the trunk is not trained: its outputs, made by all processes together."""
    return cache_features(policy, shards, device=device, rank=rank(), world_size=world_size())


class EpisodeStage(Stage):
    """A stage whose lanes play whole episodes in order, with memory carried from chunk to chunk."""

    def __init__(
        self, options: EpisodeOptions, device: torch.device, data: EpisodeSplit, model: nn.Module,
        read_frames: Callable | None = None, **words,
    ) -> None:
        """read_frames: what takes the place of the shards' pictures; words: what Lanes is to know of words."""
        self.options, self.device, self.data, self.model = options, device, data, model
        self.read_frames, self.words = read_frames or data.shards.read_frames, words
        self.batches = self._lanes(data.train, lanes=options.lanes, seed=options.seed,
                                   count_frames=options.count_frames, drop_last_action=options.drop_last_action,
                                   start_offsets=options.start_offsets, workers=options.workers,
                                   rank=rank(), world_size=world_size(), **words)  # fmt: skip
        self.memory = self.start(options.lanes)

    @abstractmethod
    def start(self, lanes: int):
        """A fresh memory for so many lanes."""

    @abstractmethod
    def step(self, chunk: Chunk, memory) -> tuple[dict[str, LossPart], object]:
        """One chunk's losses and the memory after it."""

    def describe(self) -> str:
        frames = sum(episode.n_frames for episode in self.data.train)
        return (f"{self.options.stage}: {count_parameters(self.model)}, {len(self.data.train)} episodes of {frames:,} "
                f"frames, {len(self.data.held_out)} held out")

    def next_batch(self) -> Chunk:
        return next(self.batches)

    def counts(self, chunk: Chunk) -> dict[str, int]:
        """Of the losses in vlpt/training/losses.py; a child with a loss of its own adds that one's."""
        counted = int(chunk.action_mask.sum())
        spoken = chunk.language_mask & (chunk.spoken != self.batches.silence)
        meant = int((chunk.action_mask & (chunk.meant != UNKNOWN)).sum())
        return dict(action=counted, buttons=counted, camera=counted, kl=counted,
                    intention=counted, intention_size=counted, meant=meant, meant_size=meant,
                    action_non_null=int((chunk.action_mask & ~chunk.null).sum()),
                    silence=int(chunk.language_mask.sum()), token=int(spoken.sum()))  # fmt: skip

    def place(self, chunk: Chunk) -> str:
        return stretches(chunk.episode, chunk.frame, [episode.id for episode in self.data.train])

    def losses(self, chunk: Chunk) -> dict[str, LossPart]:
        parts, self.memory = self.step(chunk.to(self.device), self.memory)
        self.memory = detached(self.memory)
        return parts

    def validate(self) -> dict[str, float]:
        """Means over all held-out frames, memory carried through each episode."""
        return prefixed("valid", self.held_out_means(self.start, self.step)) if self.data.held_out else {}

    @torch.no_grad()
    def held_out_means(self, start: Callable, step: Callable) -> dict[str, float]:
        """{loss: mean over all held-out frames} of any model that has these two, see the methods of these names."""
        totals, episodes = LossTotals(), self.data.held_out[rank()::world_size()]  # each process its share
        batches = self.once(episodes) if episodes else ()
        memory = start(len(batches.lanes)) if episodes else None
        for chunk in batches:
            parts, memory = step(chunk.to(self.device), memory)
            totals.add(parts)
        return totals.over_all_processes().means()

    def baselines(self) -> dict[str, float]:
        """Unigrams counted on the training channels, under training's mask, and measured on the held-out ones, under
        validation's."""
        if not self.data.held_out:
            return {}
        chunks = self.once(self.data.held_out, read_frames=blank_frames)
        return prefixed("unigram", unigram_losses(self.unigram, chunks, words="tokenizer" in self.words))

    @cached_property
    def unigram(self) -> Unigram:
        """How often each label counts in the training channels (in `enough` of them); counted when first asked for."""
        chunks = self.once(enough(self.data.train), blank_frames, self.options.count_frames)
        return count_labels(chunks, self.batches.silence)

    def once(
        self, episodes: Sequence[Episode], read_frames: Callable | None = None, count_frames: str = "all"
    ) -> Lanes:
        """Each episode once, in order, nothing left out."""
        lanes = min(self.options.lanes, len(episodes))
        return self._lanes(episodes, lanes=lanes, epochs=1, shuffle=False, seed=self.options.seed,
                           count_frames=count_frames, read_frames=read_frames,
                           **{**self.words, "drop_words": 0.0, "tell_destination": 0.0})  # fmt: skip

    def _lanes(self, episodes: Sequence[Episode], read_frames: Callable | None = None, **how) -> Lanes:
        return Lanes(self.data.shards, episodes, frames_per_chunk=self.options.chunk,
                     read_frames=read_frames or self.read_frames, **how)

    def state(self) -> dict:
        """The position of all processes' lanes, and the memory of this one's."""
        return dict(batches=self.batches.state_dict(), memory=tensors(self.memory))

    def load(self, folder: Path, state: dict) -> None:
        self.model.load_state_dict(type(self.model).from_pretrained(folder).state_dict())
        go_on = self.batches.load_state_dict(state["batches"])
        known = go_on and "memory" in state
        self.memory = with_tensors(self.memory, state["memory"]) if known else self.start(self.options.lanes)
