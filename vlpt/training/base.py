"""Stages on whole episodes: lanes, memory, baselines and validation, and the stage base (VPT alone, from pixels).

In: shards. Out: a policy. Legend: B lanes, T frames in a chunk.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.data.lanes import Chunk, Lanes
from vlpt.data.shards import Episode
from vlpt.memory import tensors, with_tensors
from vlpt.training.losses import Counts, LossPart, LossTotals, Unigram, action_loss
from vlpt.training.stage import count_parameters, detached, parameters_apart, prefixed, read_episodes, sample_clips
from vpt.fast import compile_parts
from vpt.initialise import set_class_frequencies, standardise_norms
from vpt.motion_filters import init_change_heads
from vpt.policy import SIZES, Policy


class OnEpisodes:
    """What stages on whole episodes share: lanes, memory, baselines, validation. Children: Behaviour, Fused."""

    def __init__(self, options, device: torch.device) -> None:
        self.options, self.device, self.tokenizer = options, device, None
        self.shards, self.train, self.held_out = read_episodes(options)

    def lanes(self, episodes: list[Episode], once: bool = False, sight=None, words: str | None = None) -> Lanes:
        """Endless shuffled lanes to train on or, `once`, each episode in order."""
        options = self.options
        return Lanes(self.shards, episodes, lanes=min(options.lanes, len(episodes)) if once else options.lanes,
                     frames_per_chunk=options.chunk, frames_per_tick=options.frames_per_tick, tokenizer=self.tokenizer,
                     max_lateness_ms=options.max_lateness_ms, words=words or options.words, epochs=1 if once else None,
                     shuffle=not once, seed=options.seed, sight=sight or self.sight,
                     drop_words=0.0 if once else options.drop_words)

    def begin(self) -> None:
        """To be called when model and tokenizer are there."""
        self.batches = self.lanes(self.train)
        self.memory = self.start(self.options.lanes)

    def losses(self) -> dict[str, LossPart]:
        parts, self.memory = self.step(next(self.batches).to(self.device), self.memory)
        self.memory = detached(self.memory)
        return parts

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Means over all held-out frames, memory carried through each episode."""
        if not self.held_out:
            return {}
        parts, batches = LossTotals(), self.lanes(self.held_out, once=True)
        memory = self.start(len(batches.lanes))
        for chunk in batches:
            found, memory = self.step(chunk.to(self.device), memory)
            parts.add(found)
        return prefixed("valid", parts.means())

    def baselines(self) -> dict[str, float]:
        """Unigrams counted on the training channels, measured on the held-out ones, under the same masks."""
        if not self.held_out:
            return {}
        parts = LossTotals()
        for chunk in self.lanes(self.held_out, once=True, sight=no_frames):
            parts.add(self.unigram.action_loss(chunk.buttons_index, chunk.camera_index, chunk.action_mask))
            if self.tokenizer is not None:
                parts.add(self.unigram.language_loss(chunk.spoken, chunk.language_mask))
        return prefixed("unigram", parts.means())

    @cached_property
    def unigram(self) -> Unigram:
        """How often each label counts in the training channels; counted once, when it is first asked for."""
        counts = Counts.zero(self.batches.silence)
        for chunk in self.lanes(self.train, once=True, sight=no_frames):
            counts = counts.plus_actions(chunk.buttons_index, chunk.camera_index, chunk.action_mask)
            counts = counts.plus_words(chunk.spoken, chunk.language_mask)
        return Unigram.of(counts)

    def state(self) -> dict:
        return dict(batches=self.batches.state_dict(), memory=tensors(self.memory))

    def load(self, folder: Path, state: dict) -> None:
        self.model.load_state_dict(type(self.model).from_pretrained(folder).state_dict())
        self.batches.load_state_dict(state["batches"])
        self.memory = with_tensors(self.memory, state["memory"])

    def describe(self) -> str:
        frames = sum(episode.n_frames for episode in self.train)
        return (f"{self.options.stage}: {count_parameters(self.model)}, {len(self.train)} episodes of {frames:,} "
                f"frames, {len(self.held_out)} held out")


class Behaviour(OnEpisodes):
    """Stage base: VPT alone, behavioural cloning from pixels."""

    def __init__(self, options, device: torch.device) -> None:
        super().__init__(options, device)
        self.sight = self.shards.read_frames
        made = Policy.from_pretrained(model_folder(options.start)) if options.start else Policy(SIZES[options.size])
        self.model = made.to(device)
        self.begin()
        if not options.start:
            self.initialise()
        if options.compile:
            compile_parts(self.model)

    def initialise(self) -> None:
        """A newborn agent sees change, and expects the frequencies of actions instead of learning 8,641 one by one."""
        init_change_heads(self.model)
        frames = sample_clips(self.shards, self.train, count=32, frames=2, seed=self.options.seed).to(self.device)
        first = torch.zeros(frames.shape[:2], dtype=torch.bool, device=self.device)
        standardise_norms(self.model, lambda: self.model(frames, first, self.model.start(len(frames))))
        set_class_frequencies(self.model.heads.buttons, self.unigram.buttons.exp())
        set_class_frequencies(self.model.heads.camera, self.unigram.camera.exp())

    def start(self, lanes: int):
        return self.model.start(lanes)

    def step(self, chunk: Chunk, memory) -> tuple[dict[str, LossPart], tuple]:
        """One chunk's losses and the memory after it."""
        out, memory = self.model(chunk.sight, chunk.first, memory)
        return action_loss(out.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask), memory

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return parameters_apart("policy", self.model, picture=[self.model.picture], heads=[self.model.heads])

    def rates(self) -> dict[str, float]:
        rate = self.options.rate_pretrained if self.options.start else self.options.rate_new
        return {"policy": rate, "picture": rate * self.options.picture_rate, "heads": rate * self.options.heads_rate}

    def weights(self) -> dict[str, float]:
        return {"action": 1.0}

    def gates(self) -> dict[str, float]:
        return {}

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)


def no_frames(episode: Episode, start: int, stop: int) -> np.ndarray:
    """A sight that shows nothing: for counting labels."""
    return np.zeros((stop - start, 1), np.float32)
