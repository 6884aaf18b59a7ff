"""What the stages language, action and joint share: the agent and the language model, joined.

In: shards with labelled actions and words; the two models, or an earlier stage's checkpoint. Out: the fused model. The
stages differ in what they train (vlpt/parts.py) and what counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.data.lanes import Chunk
from vlpt.data.oracle import action_ids
from vlpt.data.shards import Episode
from vlpt.data.soon import soon
from vlpt.data.words import load_tokenizer, save_tokenizer
from vlpt.files import read_json
from vlpt.joints import Joints
from vlpt.language.families import load_language
from vlpt.memory import Memory
from vlpt.model import VLPT, Output
from vlpt.options import Count, CountOrNone, NotNegative, Positive, Share, without_effect
from vlpt.parts import unjoined, untouched
from vlpt.training.episodes import EpisodeOptions, EpisodeStage, frozen_outputs, read_episodes
from vlpt.training.finder import read_finder
from vlpt.training.losses import LossPart, action_loss, intention_loss, kl_to_reference, language_loss, meant_loss
from vlpt.training.stage import TOKENIZER, prefixed
from vlpt.training.unigram import enough
from vpt.policy import Policy

ALONE = ("action", "action_non_null", "token")  # losses that each model has without the other
HOW = ("frames_per_tick", "flamingo_every", "patch_window", "frames_ask", "silence", "intention")  # how two are joined


@dataclass(frozen=True, kw_only=True)
class JoinedOptions(EpisodeOptions):
    """What can be asked of the stages that train the fused model."""

    # where to start: a fused model, or else two models that are joined
    start: str = ""  # weights of a fused model to go on from: a run or a model folder
    base: str = "pretrained/base"  # the agent to embody, a run or a folder
    language: str = "pretrained/words"  # the language model to embody: a run, or a folder, also a published decoder's
    joints: str = ""  # what joined two other models (see vlpt/joints.py), to begin with; empty: closed gates
    language_window: Count = 512  # tokens that a published decoder looks back on
    lora_rank: CountOrNone = 0  # adapters of this rank on a published decoder's attention (0: none)
    frames_per_tick: Count = 4  # frames a tick of the language model
    flamingo_every: CountOrNone = 0  # words ask frames at the input (0) or before every so many layers
    patch_window: CountOrNone = 32  # frames back in which words ask for places in the picture (0: never)
    frames_ask: Literal["ticks", "words"] = "ticks"  # what frames ask: every tick, or those that hear a word
    silence: Literal["factored", "softmax"] = "factored"  # silence has a logit of its own, or is one more token
    intention: bool = True  # read what will be done soon off the words, beside cross attention (vlpt/intention.py)
    # an agent whose finder (train.py finder) this one gets, and a reader of where the thing is that words name
    # (vlpt/target.py): a run or a folder; empty: as it is
    finder: str = ""
    # what is heard
    words: Literal["true", "shuffled", "oracle", "silence"] = "true"  # all but true are controls
    frames: Literal["true", "blank"] = "true"  # what is seen and felt; blank is a control
    drop_words: Share = 0.0  # share of episodes that are trained on without words, for guidance in play
    max_lateness_ms: CountOrNone = 2000  # a token later than this after its word's onset is not trained on
    # what is trained, and how fast
    trunk: Literal["frozen", "trained"] = "frozen"  # frozen: train from cached features; trained: from pixels
    rate_pretrained: Positive = 4e-5  # learning rate of pre-trained weights
    rate_new: Positive = 1e-4  # learning rate of new modules
    rate_gates: Positive = 1e-2  # learning rate of the gates

    def __post_init__(self) -> None:
        if self.start:
            without_effect(self, "--start (the model says it)", "base", "language", "joints", "language_window",
                           "lora_rank", *HOW)
        if self.joints:
            without_effect(self, "--joints (they say it)", *HOW)
        if not any(models_trained(self)) and self.trunk == "frozen":
            without_effect(self, "two models that are not trained", "rate_pretrained")
        if not models_trained(self)[1] and self.stage != "language":
            without_effect(self, "an agent that is not trained", "only_blocks")
        if not models_trained(self)[0]:
            without_effect(self, "a language model that is not trained", "lora_rank")


def models_trained(options: JoinedOptions) -> tuple[bool, bool]:
    """The language model, the agent after its trunk: is it trained?"""
    return getattr(options, "train_language", False), getattr(options, "train_agent", False)


@dataclass(frozen=True, kw_only=True)
class WordsAreTrained:
    """Options of the stages that train words: language and joint."""

    train_language: bool = True  # train the language model too (with --lora-rank: its adapters)
    token_weight: NotNegative = 1.0  # weight of the token loss (nats/token)
    silence_weight: NotNegative = 1.0  # weight of the silence loss (nats/tick)


@dataclass(frozen=True, kw_only=True)
class ActionsAreTrained:
    """Options of the stages that train actions: action and joint."""

    train_agent: bool = True  # train the agent's blocks 2..n and heads too
    # of the agent train its blocks and last layer alone: not its heads, and not what it makes of its own motion, which
    # words ask
    only_blocks: bool = False
    intention_weight: NotNegative = 1.0  # weight of what words say will be done soon (nats a frame)
    intention_decay: NotNegative = 0.05  # nats for the squared length of the weights that read it
    meant_weight: NotNegative = 1.0  # weight of which thing an errand is to (nats a frame), where the data say it
    meant_decay: NotNegative = 0.003  # nats for the squared length of the weights that tell it
    # share of chunks in which such a reader is told where the next walk leads (hindsight), so that the agent learns to
    # go where it is told
    tell_destination: Share = 0.0
    kl_weight: NotNegative = 0.0  # weight of the KL to the agent as it was before this stage (nats/frame)


def joined_losses(model: VLPT, output: Output, chunk: Chunk) -> dict[str, LossPart]:
    """Actions and words of one chunk."""
    parts = action_loss(output.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask, chunk.null)
    if output.intention is not None:
        parts |= intention_loss(output.intention, chunk.soon, chunk.action_mask, model.intention.read.weight)
    if output.meant is not None:
        parts |= meant_loss(output.meant, chunk.meant, chunk.action_mask, model.target.name.weight)
    return parts | language_loss(model.language, output, chunk.spoken, chunk.language_mask)


def soon_share(episodes: Sequence[Episode]) -> np.ndarray:
    """(SOON,) float64: at which share of the frames whose action is known each thing is done soon."""
    each = [soon(episode.buttons_index, episode.camera_index)[episode.confidence > 0] for episode in episodes]
    return np.concatenate(each).mean(0)


def constant_intention_loss(share: np.ndarray, done: np.ndarray) -> float:
    """Nats a frame of saying that each thing is done at a share (SOON,) of frames where it is at `done` (SOON,)."""
    share = share.clip(1e-4, 1 - 1e-4)
    return float(-(done * np.log(share) + (1 - done) * np.log(1 - share)).sum())


class Joined(EpisodeStage):
    """The two models, joined."""

    def __init__(self, options: JoinedOptions, device: torch.device) -> None:
        source = model_folder(options.start or options.language)
        self.tokenizer = load_tokenizer(source / TOKENIZER)
        model = VLPT.from_pretrained(source) if options.start else self._join(options, source)
        if options.finder:
            model = model.with_finder(read_finder(options.finder))
        model = model.to(device)
        model.freeze(options.stage, options.trunk, *models_trained(options), getattr(options, "only_blocks", False))
        acts = options.stage != "language"
        if acts and model.intention is None:
            without_effect(options, "a model that reads no intention off words", "intention_weight", "intention_decay")
        if acts and model.target is None:
            without_effect(options, "a model that reads no targets off words", "meant_weight", "meant_decay",
                           "tell_destination")
        # The agent as it was before this stage, which sees and hears the same. Loss `kl` keeps the new one near it.
        self.reference = untouched(model) if getattr(options, "kl_weight", 0) else None
        data = read_episodes(options)
        frozen = options.trunk == "frozen"
        super().__init__(
            options, device, data, model, frozen_outputs(model.policy, data.shards, device) if frozen else None,
            tokenizer=self.tokenizer, silence=model.language.vocabulary, frames_per_tick=model.config.frames_per_tick,
            word_source=options.words, frame_source=options.frames, drop_words=options.drop_words,
            max_lateness_ms=options.max_lateness_ms, tell_destination=getattr(options, "tell_destination", 0.0),
        )  # fmt: skip
        if model.intention is not None and model.intention.is_fresh:
            model.intention.begin_with(self.soon_share)

    def _join(self, options: JoinedOptions, language: Path) -> VLPT:
        """Agent and language model as they are, the gates between them closed."""
        policy = Policy.from_pretrained(model_folder(options.base))
        speaker = load_language(language, options.language_window, options.lora_rank)
        if options.words == "oracle":
            speaker.reinit_embeddings(action_ids(self.tokenizer))
        if options.joints:
            return VLPT.from_parts(policy, speaker, Joints.from_pretrained(options.joints))
        return VLPT.from_parts(policy, speaker, **{name: getattr(options, name) for name in HOW})

    def weights_beside_action(self) -> dict[str, float]:
        """Of the losses that belong to the action's, where actions are trained."""
        weights, each = {"kl": self.options.kl_weight}, self.options.intention_weight
        if self.model.intention is not None:
            weights |= {"intention": each, "intention_size": each * self.options.intention_decay}
        if self.model.target is not None:
            each = self.options.meant_weight
            weights |= {"meant": each, "meant_size": each * self.options.meant_decay}
        return weights

    @cached_property
    def soon_share(self) -> np.ndarray:
        """Of the training episodes (of `enough` of them), read through once, when it is first asked for."""
        return soon_share(enough(self.data.train))

    def start(self, lanes: int) -> tuple:
        """Fresh memories: the model's and, where there is one, the reference's."""
        return self.model.start(lanes), self.reference and self.reference.start(lanes)

    def step(self, chunk: Chunk, memory: tuple) -> tuple[dict[str, LossPart], tuple]:
        own, others = memory
        inputs = chunk.frames, chunk.first, chunk.heard
        out, own = self.model(*inputs, own, chunk.last_action, destination=chunk.told_destination)
        parts = joined_losses(self.model, out, chunk)
        if self.reference:
            with torch.no_grad():
                before, others = self.reference(*inputs, others, chunk.last_action)
            parts |= kl_to_reference(out.action, before.action, chunk.action_mask)
        return parts, (own, others)

    def baselines(self) -> dict[str, float]:
        """Unigrams, and what the two models reach without each other on the held-out channels: as the first stage that
        joined them found it, where it is on the same channels."""
        if not self.data.held_out:
            return {}
        found = super().baselines() | (self._found_before() or self._found_alone())
        if self.model.intention is not None:
            found["unigram/intention"] = constant_intention_loss(self.soon_share, soon_share(self.data.held_out))
        return found

    def _found_before(self) -> dict[str, float]:
        run, options = Path(self.options.start), self.options
        if not options.start or not (run / "done.json").is_file():
            return {}
        asked, done = read_json(run / "options.json")["options"], read_json(run / "done.json")
        same = all(asked[name] == getattr(options, name) for name in ("shards", "words", "frames"))
        same = same and sorted(asked["held_out"]) == sorted(options.held_out)
        return {name: value for name, value in done.items() if same and name.startswith("alone/")}

    def _found_alone(self) -> dict[str, float]:
        alone = unjoined(self.model)

        def step(chunk: Chunk, memory: Memory) -> tuple[dict[str, LossPart], Memory]:
            out, memory = alone(chunk.frames, chunk.first, chunk.heard, memory, chunk.last_action)
            return joined_losses(alone, out, chunk), memory

        means = self.held_out_means(alone.start, step)
        return {f"alone/{name}": value for name, value in means.items() if name in ALONE}

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
