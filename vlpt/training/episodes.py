"""What stages on recorded play share: which episodes, lanes of them, carried memory, validation, unigram baselines.

In: shards. Out: `EpisodeStage`, to which a child gives a model and says what one chunk costs.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from vlpt.data.lanes import Chunk, Lanes, split
from vlpt.data.shards import Episode, Shards
from vlpt.memory import tensors, with_tensors
from vlpt.training.losses import Counts, LossPart, LossTotals, Unigram
from vlpt.training.stage import Stage, StageOptions, count_parameters, detached, prefixed


@dataclass(frozen=True, kw_only=True)
class ShardOptions(StageOptions):
    """What can be asked of stages that learn from recorded play."""

    shards: str = "data/6_shards"  # LeRobotDataset folder
    train_on: tuple[str, ...] = ()  # channels to train on (none named: all that are not held out)


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
    train, held_out = split(shards.episodes, options.held_out)
    if options.train_on:
        if unknown := sorted(set(options.train_on) - {episode.channel for episode in train}):
            raise ValueError(f"--train-on: no channel {', '.join(unknown)} that is not held out in {options.shards}")
        train = [episode for episode in train if episode.channel in options.train_on]
    return EpisodeSplit(shards, train, held_out)


class EpisodeStage(Stage):
    """A stage whose lanes play whole episodes in order, with memory carried from chunk to chunk."""

    def __init__(
        self, options: ShardOptions, device: torch.device, data: EpisodeSplit, model: nn.Module,
        read_frames: Callable | None = None, **words,
    ) -> None:
        """read_frames: what takes the place of the shards' pictures; words: what Lanes is to know of words."""
        self.options, self.device, self.data, self.model = options, device, data, model
        self.read_frames, self.words = read_frames or data.shards.read_frames, words
        self.batches = self._lanes(data.train, lanes=options.lanes, seed=options.seed, **words)
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

    def losses(self) -> dict[str, LossPart]:
        parts, self.memory = self.step(next(self.batches).to(self.device), self.memory)
        self.memory = detached(self.memory)
        return parts

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Means over all held-out frames, memory carried through each episode."""
        if not self.data.held_out:
            return {}
        totals, batches = LossTotals(), self.once(self.data.held_out)
        memory = self.start(len(batches.lanes))
        for chunk in batches:
            parts, memory = self.step(chunk.to(self.device), memory)
            totals.add(parts)
        return prefixed("valid", totals.means())

    def baselines(self) -> dict[str, float]:
        """Unigrams counted on the training channels, measured on the held-out ones, under the same masks."""
        if not self.data.held_out:
            return {}
        totals = LossTotals()
        for chunk in self.once(self.data.held_out, read_frames=blank_frames):
            totals.add(self.unigram.action_loss(chunk.buttons_index, chunk.camera_index, chunk.action_mask))
            if "tokenizer" in self.words:
                totals.add(self.unigram.language_loss(chunk.spoken, chunk.language_mask))
        return prefixed("unigram", totals.means())

    @cached_property
    def unigram(self) -> Unigram:
        """How often each label counts in the training channels; counted once, when it is first asked for."""
        counts = Counts.zero(self.batches.silence)
        for chunk in self.once(self.data.train, read_frames=blank_frames):
            counts = counts.plus_actions(chunk.buttons_index, chunk.camera_index, chunk.action_mask)
            counts = counts.plus_words(chunk.spoken, chunk.language_mask)
        return Unigram.of(counts)

    def once(self, episodes: Sequence[Episode], read_frames: Callable | None = None) -> Lanes:
        """Each episode once, in order, nothing left out."""
        lanes = min(self.options.lanes, len(episodes))
        return self._lanes(episodes, lanes=lanes, epochs=1, shuffle=False, seed=self.options.seed,
                           read_frames=read_frames, **{**self.words, "drop_words": 0.0})  # fmt: skip

    def _lanes(self, episodes: Sequence[Episode], read_frames: Callable | None = None, **how) -> Lanes:
        return Lanes(self.data.shards, episodes, frames_per_chunk=self.options.chunk,
                     read_frames=read_frames or self.read_frames, **how)

    def state(self) -> dict:
        return dict(batches=self.batches.state_dict(), memory=tensors(self.memory))

    def load(self, folder: Path, state: dict) -> None:
        self.model.load_state_dict(type(self.model).from_pretrained(folder).state_dict())
        self.batches.load_state_dict(state["batches"])
        self.memory = with_tensors(self.memory, state["memory"])


def blank_frames(episode: Episode, start: int, stop: int) -> np.ndarray:
    """Pictures that show nothing, for counting labels: (stop - start, 1) float32."""
    return np.zeros((stop - start, 1), np.float32)
