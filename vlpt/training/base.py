"""Stage base: VPT alone, by behavioural cloning from pixels.

In: shards. Out: a policy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.data.clips import sample_clips
from vlpt.data.lanes import Chunk
from vlpt.options import Positive, without_effect
from vlpt.training.episodes import EpisodeOptions, EpisodeStage, frozen_outputs, read_episodes
from vlpt.training.losses import LossPart, action_loss
from vlpt.training.stage import parameters_apart
from vpt.attention import BlockMemory
from vpt.idm import IDM
from vpt.initialise import set_class_frequencies, standardise_norms
from vpt.motion_filters import init_change_heads
from vpt.policy import SIZES, Policy, PolicySize
from vpt.senses import with_last_action, with_motion


@dataclass(frozen=True, kw_only=True)
class BaseOptions(EpisodeOptions):
    """VPT alone by behavioural cloning, from pixels."""

    stage = "base"

    start: str = ""  # weights of an agent to go on from: a run or a model folder (empty: made anew)
    size: PolicySize = "tiny"  # of an agent made anew
    # the agent is told what it did at the frame before; one that was not told before learns to use it
    last_action: bool = False
    # an inverse dynamics model, whose picture encoder it gets beside its own, to see motion: a run or a model folder
    motion_from: str = ""
    trunk: Literal["frozen", "trained"] = "trained"  # trained: from pixels; frozen: from its cached outputs
    rate_new: Positive = 1e-4  # learning rate of an agent made anew
    rate_pretrained: Positive = 4e-5  # learning rate of weights to go on from
    heads_rate: Positive = 1.0  # times the rate of the rest, for the action heads
    picture_rate: Positive = 1.0  # times the rate of the rest, for the picture encoder

    def __post_init__(self) -> None:
        if self.start:
            without_effect(self, "--start", "size", "rate_new")
        else:
            without_effect(self, "an agent made anew (no --start)", "rate_pretrained", "trunk")
        if self.trunk == "frozen":
            without_effect(self, "a frozen trunk", "picture_rate")
        if not self.last_action and not self.start:
            without_effect(self, "an agent that is not told what it did (no --last-action)", "drop_last_action")


class Base(EpisodeStage):
    """VPT alone, behavioural cloning from pixels."""

    Options = BaseOptions

    def __init__(self, options: BaseOptions, device: torch.device) -> None:
        start = options.start
        model = Policy.from_pretrained(model_folder(start)) if start else Policy(SIZES[options.size])
        if options.last_action and not model.config.last_action:
            model = with_last_action(model)
        if options.motion_from:
            model = see_motion(model, options.motion_from)
        data, model = read_episodes(options), model.to(device)
        features = None
        if options.trunk == "frozen":
            for part in model.trunk:
                part.requires_grad_(False)
            features = frozen_outputs(model, data.shards, device)
        super().__init__(options, device, data, model, features)
        if not start:
            self._initialise()

    def _initialise(self) -> None:
        """An agent made anew sees change, and begins with the frequencies of actions instead of learning 8,641."""
        model, clips = self.model, sample_clips(self.data.shards, self.data.train, 32, 2, self.options.seed)
        frames, first = clips.to(self.device), torch.zeros(clips.shape[:2], dtype=torch.bool, device=self.device)
        init_change_heads(model)
        motion = model.motion, model.motion_input  # have learned already, or begin at 0
        model.motion = model.motion_input = None
        standardise_norms(model, lambda: model(frames, first, model.start(len(frames))))
        model.motion, model.motion_input = motion
        set_class_frequencies(model.heads.buttons, self.unigram.buttons.exp())
        set_class_frequencies(model.heads.camera, self.unigram.camera.exp())

    def start(self, lanes: int) -> tuple[BlockMemory, ...]:
        return self.model.start(lanes)

    def step(
        self, chunk: Chunk, memory: tuple[BlockMemory, ...]
    ) -> tuple[dict[str, LossPart], tuple[BlockMemory, ...]]:
        out, memory = self.model(chunk.frames, chunk.first, memory, chunk.last_action)
        parts = action_loss(out.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask, chunk.null)
        return parts, memory

    def groups(self) -> dict[str, list[nn.Parameter]]:
        pictures = [part for part in (self.model.picture, self.model.motion) if part]
        return parameters_apart("policy", self.model, picture=pictures, heads=[self.model.heads])

    def rates(self) -> dict[str, float]:
        options = self.options
        rate = options.rate_pretrained if options.start else options.rate_new
        return {"policy": rate, "picture": rate * options.picture_rate, "heads": rate * options.heads_rate}

    def weights(self) -> dict[str, float]:
        return {"action": 1.0}

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)


def see_motion(model: Policy, folder: str) -> Policy:
    """The agent with the motion encoder of the inverse dynamics model in a folder. Raises ValueError naming the folder
    where the two do not fit.
    """
    try:
        return with_motion(model, IDM.from_pretrained(model_folder(folder)))
    except ValueError as error:
        raise ValueError(f"--motion-from {folder}: {error}") from error
