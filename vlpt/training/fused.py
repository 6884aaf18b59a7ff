"""Stages language, action and joint: the agent and the language model, joined.

In: shards with labelled actions and words, the two models or an earlier stage's checkpoint. Out: the fused model.
"""

from pathlib import Path

import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.data.lanes import Chunk
from vlpt.data.oracle import action_ids
from vlpt.data.trunk_features import cache_features
from vlpt.data.words import load_tokenizer, save_tokenizer
from vlpt.language.families import load_language
from vlpt.model import VLPT
from vlpt.training.base import OnEpisodes
from vlpt.training.losses import LossPart, action_loss, kl_to_reference, language_loss
from vlpt.training.stage import TOKENIZER, prefixed
from vpt.attention import window_mask
from vpt.heads import ActionLogits
from vpt.policy import Policy


class Fused(OnEpisodes):
    """Stages language, action and joint: the two models, joined."""

    def __init__(self, options, device: torch.device) -> None:
        super().__init__(options, device)
        source = model_folder(options.start or options.language)
        self.tokenizer = load_tokenizer(source / TOKENIZER)
        self.model = (VLPT.from_pretrained(source) if options.start else self.join(source)).to(device)
        self.model.freeze(options.stage, options.trunk, options.train_language)
        self.reference = Reference(options.base, device) if options.kl_weight else None
        self.sight = self.shards.read_frames
        if options.trunk == "frozen":
            self.sight = cache_features(self.model, self.shards, device=device)
        self.begin()

    def join(self, language: Path) -> VLPT:
        """The fused model at birth: agent and language model as they are."""
        policy = Policy.from_pretrained(model_folder(self.options.base))
        speaker = load_language(language, self.options.language_window, self.options.lora_rank)
        if self.options.words == "oracle":
            speaker.reinit_embeddings(action_ids(self.tokenizer))
        how = ("frames_per_tick", "flamingo_every", "silence", "remember_silence")
        return VLPT.from_parts(policy, speaker, **{name: getattr(self.options, name) for name in how})

    def start(self, lanes: int) -> tuple:
        """Fresh memories: the model's and, where there is one, the reference's."""
        return self.model.start(lanes), self.reference and self.reference.policy.start(lanes)

    def step(self, chunk: Chunk, memory: tuple) -> tuple[dict[str, LossPart], tuple]:
        """One chunk's losses and the memories after it."""
        own, others = memory
        out, own = self.model(chunk.sight, chunk.first, chunk.heard, own)
        parts = action_loss(out.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask)
        parts |= language_loss(out, chunk.spoken, chunk.language_mask)
        if self.reference:
            action, others = self.reference(chunk.sight, chunk.first, others)
            parts |= kl_to_reference(out.action, action, chunk.action_mask)
        return parts, (own, others)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return self.model.groups()

    def rates(self) -> dict[str, float]:
        old, new = self.options.rate_pretrained, self.options.rate_new
        return dict(trunk=old, blocks=old, heads=old, language=old, silence=new, cross_words=new, cross_frames=new,
                    gates=self.options.rate_gates)

    def weights(self) -> dict[str, float]:
        """A stage counts what it trains; the rest is logged."""
        words = self.options.stage in ("language", "joint")
        return {"action": float(self.options.stage in ("action", "joint")), "kl": self.options.kl_weight,
                "token": words * self.options.token_weight, "silence": words * self.options.silence_weight}

    def gates(self) -> dict[str, float]:
        return prefixed("gate", self.model.gates())

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)
        save_tokenizer(self.tokenizer, folder / TOKENIZER)


class Reference:
    """The pre-trained agent, untouched and alone: it hears nothing. Loss `kl` keeps the fused agent near it."""

    def __init__(self, folder: str, device: torch.device) -> None:
        self.policy = Policy.from_pretrained(model_folder(folder)).to(device).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, sight: torch.Tensor, first: torch.Tensor, memory: tuple) -> tuple[ActionLogits, tuple]:
        """sight: frames (B, T, 128, 128, 3) uint8 or the trunk's outputs (B, T, D); first (B, T) bool."""
        after, x = [memory[0]], sight
        if not sight.is_floating_point():
            x, after[0] = self.policy.blocks[0](self.policy.embed(sight), first, memory[0])
        visible = window_mask(first, memory[1].mask, self.policy.config.memory_frames)
        for block, past in zip(self.policy.blocks[1:], memory[1:], strict=True):
            x, present = block(x, first, past, visible)
            after.append(present)
        return self.policy.heads(self.policy.finish(x)), tuple(after)
