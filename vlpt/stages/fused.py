"""Stages language, action and joint: the agent and the language model, joined.

In: shards with labelled actions and words, the two models or an earlier stage's checkpoint. Out: the fused model.
"""

from pathlib import Path

import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.features import cache_features
from vlpt.language import LanguageModel
from vlpt.load import Chunk
from vlpt.losses import action_loss, language_loss
from vlpt.model import VLPT
from vlpt.stages.behaviour import OnEpisodes
from vlpt.stages.data import TOKENIZER, prefixed
from vlpt.words import load_tokenizer, save_tokenizer
from vpt.policy import Policy


class Fused(OnEpisodes):
    """Stages language, action and joint: the two models, joined."""

    def __init__(self, options, device: torch.device) -> None:
        super().__init__(options, device)
        source = model_folder(options.start or options.language)
        self.tokenizer = load_tokenizer(source / TOKENIZER)
        self.model = (VLPT.from_pretrained(source) if options.start else self.join(source)).to(device)
        self.model.freeze(options.stage, trunk=options.trunk)
        self.reference = None
        self.sight = self.shards.frames
        if options.trunk == "frozen":
            self.sight = cache_features(self.model, self.shards, device=device)
        self.begin()

    def join(self, language: Path) -> VLPT:
        """The fused model at birth: agent and language model as they are."""
        policy = Policy.from_pretrained(model_folder(self.options.base))
        return VLPT.from_parts(policy, LanguageModel.from_pretrained(language),
                               frames_per_tick=self.options.frames_per_tick)

    def start(self, lanes: int):
        return self.model.start(lanes)

    def step(self, chunk: Chunk, memory):
        """One chunk's losses and the memory after it."""
        out, memory = self.model(chunk.sight, chunk.first, chunk.heard, memory)
        parts = action_loss(out.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask)
        return parts | language_loss(out, chunk.spoken, chunk.language_mask), memory

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return self.model.groups()

    def rates(self) -> dict[str, float]:
        old, new = self.options.rate_pretrained, self.options.rate_new
        return dict(trunk=old, blocks=old, heads=old, language=old, silence=new, cross_words=new, cross_frames=new,
                    gates=self.options.rate_gates)

    def weights(self) -> dict[str, float]:
        """A stage counts what it trains; the rest is logged."""
        words = self.options.stage in ("language", "joint")
        return {"action": float(self.options.stage in ("action", "joint")), "buttons": 0.0, "camera": 0.0,
                "token": words * self.options.token_weight, "silence": words * self.options.silence_weight}

    def gates(self) -> dict[str, float]:
        return prefixed("gate", self.model.gates())

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)
        save_tokenizer(self.tokenizer, folder / TOKENIZER)
