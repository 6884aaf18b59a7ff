"""What the stages language, action and joint share: the agent and the language model, joined.

In: shards with labelled actions and words; the two models, or an earlier stage's checkpoint. Out: the fused model. The
stages differ in what they train (vlpt/parts.py) and what counts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.data.lanes import Chunk
from vlpt.data.oracle import action_ids
from vlpt.data.trunk_features import cache_features
from vlpt.data.words import load_tokenizer, save_tokenizer
from vlpt.language.families import load_language
from vlpt.model import VLPT
from vlpt.options import Count, CountOrNone, NotNegative, Positive, Share, without_effect
from vlpt.training.episodes import EpisodeStage, ShardOptions, read_episodes
from vlpt.training.losses import LossPart, action_loss, kl_to_reference, language_loss
from vlpt.training.stage import TOKENIZER, prefixed
from vpt.policy import Policy


@dataclass(frozen=True, kw_only=True)
class JoinedOptions(ShardOptions):
    """What can be asked of the stages that train the fused model."""

    # where to start: a fused model, or else two models that are joined
    start: str = ""  # weights of a fused model to go on from: a run or a model folder
    base: str = "pretrained/base"  # the agent to embody, a run or a folder
    language: str = "pretrained/words"  # the language model to embody: a run, or a folder, also a published decoder's
    language_window: Count = 512  # tokens that a published decoder looks back on
    lora_rank: CountOrNone = 0  # adapters of this rank on a published decoder's attention (0: none)
    frames_per_tick: Count = 4  # frames a tick of the language model
    flamingo_every: CountOrNone = 0  # words ask frames at the input (0) or before every so many layers
    silence: Literal["factored", "softmax"] = "factored"  # silence has a logit of its own, or is one more token
    remember_silence: Literal["none", "last", "all"] = "last"  # which silent ticks the language model's memory keeps
    # what is heard
    words: Literal["true", "shuffled", "oracle", "silence"] = "true"  # oracle and shuffled are controls
    drop_words: Share = 0.0  # share of episodes that are trained on without words, for guidance in play
    max_lateness_ms: CountOrNone = 2000  # a token later than this after its word's onset is not trained on
    # what is trained, and how fast
    trunk: Literal["frozen", "trained"] = "frozen"  # frozen: train from cached features; trained: from pixels
    rate_pretrained: Positive = 4e-5  # learning rate of pre-trained weights
    rate_new: Positive = 1e-4  # learning rate of new modules
    rate_gates: Positive = 1e-2  # learning rate of the gates

    def __post_init__(self) -> None:
        if self.start:
            without_effect(self, "--start (the model says it)", "language", "language_window", "lora_rank",
                           "frames_per_tick", "flamingo_every", "silence", "remember_silence")
            if not getattr(self, "kl_weight", 0):  # else the agent is the reference
                without_effect(self, "--start", "base")


@dataclass(frozen=True, kw_only=True)
class WordsAreTrained:
    """Options of the stages that train words: language and joint."""

    train_language: bool = True  # train the language model too (with --lora-rank: its adapters)
    token_weight: NotNegative = 1.0  # weight of the token loss (nats/token)
    silence_weight: NotNegative = 1.0  # weight of the silence loss (nats/tick)


@dataclass(frozen=True, kw_only=True)
class ActionsAreTrained:
    """Options of the stages that train actions: action and joint."""

    kl_weight: NotNegative = 0.0  # weight of the KL to the agent of --base, alone (nats/frame)


class Joined(EpisodeStage):
    """The two models, joined."""

    def __init__(self, options: JoinedOptions, device: torch.device) -> None:
        source = model_folder(options.start or options.language)
        self.tokenizer = load_tokenizer(source / TOKENIZER)
        model = (VLPT.from_pretrained(source) if options.start else self._join(options, source)).to(device)
        model.freeze(options.stage, options.trunk, getattr(options, "train_language", False))
        # The pre-trained agent, untouched and alone: it hears nothing. Loss `kl` keeps the fused agent near it.
        self.reference = None
        if getattr(options, "kl_weight", 0):
            self.reference = Policy.from_pretrained(model_folder(options.base)).to(device).requires_grad_(False)
        data = read_episodes(options)
        frozen = options.trunk == "frozen"
        super().__init__(
            options, device, data, model, cache_features(model.policy, data.shards, device=device) if frozen else None,
            tokenizer=self.tokenizer, silence=model.language.vocabulary, frames_per_tick=model.config.frames_per_tick,
            word_source=options.words, drop_words=options.drop_words, max_lateness_ms=options.max_lateness_ms,
        )  # fmt: skip

    def _join(self, options: JoinedOptions, language: Path) -> VLPT:
        """Agent and language model as they are, the gates between them closed."""
        policy = Policy.from_pretrained(model_folder(options.base))
        speaker = load_language(language, options.language_window, options.lora_rank)
        if options.words == "oracle":
            speaker.reinit_embeddings(action_ids(self.tokenizer))
        how = ("frames_per_tick", "flamingo_every", "silence", "remember_silence")
        return VLPT.from_parts(policy, speaker, **{name: getattr(options, name) for name in how})

    def start(self, lanes: int) -> tuple:
        """Fresh memories: the model's and, where there is one, the reference's."""
        return self.model.start(lanes), self.reference and self.reference.start(lanes)

    def step(self, chunk: Chunk, memory: tuple) -> tuple[dict[str, LossPart], tuple]:
        own, others = memory
        out, own = self.model(chunk.frames, chunk.first, chunk.heard, own)
        parts = action_loss(out.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask)
        parts |= language_loss(self.model.language, out, chunk.spoken, chunk.language_mask)
        if self.reference:
            with torch.no_grad():
                alone, others = self.reference(chunk.frames, chunk.first, others)
            parts |= kl_to_reference(out.action, alone.action, chunk.action_mask)
        return parts, (own, others)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return self.model.groups()

    def rates(self) -> dict[str, float]:
        old, new = self.options.rate_pretrained, self.options.rate_new
        return dict(trunk=old, blocks=old, heads=old, language=old, silence=new, cross_words=new, cross_frames=new,
                    gates=self.options.rate_gates)

    def gates(self) -> dict[str, float]:
        return prefixed("gate", self.model.gates())

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)
        save_tokenizer(self.tokenizer, folder / TOKENIZER)
