"""VLPT: VPT and a language model that learn to condition on each other. It sees, acts, hears and speaks in one forward.

In: frames (or the frozen trunk's cached outputs), `first`, the words heard, memory. Out: actions a frame, words a tick,
memory. Chunks of any size, or one frame at a time, give the same as the whole stream, and `first` may be true anywhere.

    frames -> trunk (CNN + block 1) -+------------------------> (+) -> VPT blocks 2..n -> keys and mouse
                                     v words ask frames          ^ frames ask words
    words  -> embeddings ---------> (+) -> language model -------+---> next word, or silence

    model = VLPT.from_parts(Policy.from_pretrained(a), load_language(b), frames_per_tick=4)
    output, memory = model(frames, first, heard, model.start(lanes))

Legend: B lanes, T frames in a chunk, L language ticks in a chunk, D agent width, E language width, V vocabulary.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from vlpt.clock import Clock, Timestamps, Visibility
from vlpt.fusion import GatedCrossAttention, KeyValues
from vlpt.language.decoder import DecoderConfig
from vlpt.language.families import build, config_of
from vlpt.language.interface import LanguageModel
from vlpt.language.silence import Silence
from vlpt.language.transformer_xl import TransformerXLConfig
from vlpt.memory import FrameMemory, Memory, WordMemory
from vlpt.parts import freeze, gates, groups
from vpt.attention import window_mask
from vpt.checkpoint import Pretrained, with_tuples
from vpt.heads import ActionLogits
from vpt.policy import Policy, PolicyConfig


@dataclass(frozen=True)
class VLPTConfig:
    """How the two models are joined. Windows are in frames: how far back words ask frames, and frames ask words."""

    policy: PolicyConfig
    language: TransformerXLConfig | DecoderConfig
    frames_per_tick: int = 4
    frame_window: int = 128
    words_window: int = 256
    remember_silence: str = "last"  # none | last | all, see vlpt/language/visibility.py
    silence: str = "factored"  # or softmax, see vlpt/language/silence.py
    flamingo_every: int = 0  # 0: words ask frames once, at the input (PaLI); n: before every n-th layer (Flamingo)
    frames_ask: str = "words"  # the ticks that hear a word, or all "ticks", most of which are silent
    ask_every_block: bool = False  # frames ask words before each of blocks 2..n, not only before block 2
    cross_heads: int = 4
    cross_head_width: int = 32

    # as folders saved before had it
    RENAMED: ClassVar = dict(sight_window="frame_window", listen_to="frames_ask", listen_every_block="ask_every_block")

    def __post_init__(self) -> None:
        if isinstance(self.policy, dict):  # as config.json holds them
            object.__setattr__(self, "policy", PolicyConfig(**with_tuples(self.policy)))
        if isinstance(self.language, dict):
            object.__setattr__(self, "language", config_of(self.language))
        if self.policy.blocks < 2:
            raise ValueError(f"frames ask words before VPT's block 2, but this agent has {self.policy.blocks} block")
        if self.frames_ask not in ("words", "ticks"):
            raise ValueError(f"frames_ask is words or ticks, got {self.frames_ask!r}")
        for name in ("frames_per_tick", "frame_window", "words_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of frames, at least 1; got {getattr(self, name)}")

    @property
    def layer_spans(self) -> tuple[range, ...]:
        """The language model's layers in portions, before each of which words ask frames."""
        return _spans(range(0, self.language.layers, self.flamingo_every or self.language.layers), self.language.layers)

    @property
    def block_spans(self) -> tuple[range, ...]:
        """The policy's blocks after the trunk in portions, before each of which frames ask words."""
        return _spans(range(1, self.policy.blocks if self.ask_every_block else 2), self.policy.blocks)


def _spans(starts: range, end: int) -> tuple[range, ...]:
    """From each start to the next one, and from the last to `end`."""
    return tuple(range(start, stop) for start, stop in pairwise((*starts, end)))


@dataclass(frozen=True)
class Output:
    """What the agent makes of a chunk. Ticks that a lane does not have are padding: `tick_valid` is False there.

    Words are spelt out where they are asked for, by `VLPT.language`: of most states nobody wants V numbers.
    """

    action: ActionLogits  # log-probabilities of a frame's action, (B, T, ...) fp32
    silence_logit: Tensor  # (B, L) fp32, of nothing being said at this tick
    hidden: Tensor  # (B, L, E) the language model's states
    tick_index: Tensor  # (B, L) int64, the tick's frame in the chunk
    tick_valid: Tensor  # (B, L) bool


class VLPT(nn.Module, Pretrained):
    """The fused agent; see the top of the file."""

    config_class = VLPTConfig

    def __init__(self, config: VLPTConfig) -> None:
        super().__init__()
        self.config = config
        self.layer_spans, self.block_spans = config.layer_spans, config.block_spans
        self.policy = Policy(config.policy)
        self.language = build(config.language)
        self.silence = Silence(self.language.width, config.silence)
        self.silence.fit(self.language)
        agent, words = config.policy.width, self.language.width
        self.words_ask_frames = nn.ModuleDict(
            {str(span.start): self._cross(words, agent, config.frame_window) for span in self.layer_spans}
        )
        self.frames_ask_words = nn.ModuleDict(
            {str(span.start): self._cross(agent, words, config.words_window) for span in self.block_spans}
        )
        self.trained: tuple[nn.Module, ...] | None = None  # set by `freeze`; None: all

    def _cross(self, width: int, source_width: int, window: int) -> GatedCrossAttention:
        return GatedCrossAttention(width, source_width, window, self.config.cross_heads, self.config.cross_head_width)

    @classmethod
    def from_parts(cls, policy: Policy, language: LanguageModel, **options) -> "VLPT":
        """Both models as they are, joined with closed gates. `options` are fields of VLPTConfig."""
        model = cls(VLPTConfig(policy.config, language.config, **options))
        model.policy, model.language = policy, language
        model.silence.fit(language)
        return model

    def start(self, lanes: int) -> Memory:
        """A fresh memory for so many lanes."""
        c, device = self.config, self.silence.vector.device
        return Memory(
            blocks=self.policy.start(lanes),
            frames=FrameMemory.fresh(lanes, self._frame_slots, c.policy.width, device),
            language=self.language.start(lanes, c.remember_silence),
            words=WordMemory.fresh(lanes, self._word_slots, self.language.width, device),
            word_key_values=tuple(b.no_key_values(lanes, self._word_slots) for b in self.frames_ask_words.values()),
            next_frame=torch.zeros(lanes, dtype=torch.long, device=device),
        )

    @property
    def _frame_slots(self) -> int:
        return max(1, self.config.frame_window - 1)

    @property
    def _word_slots(self) -> int:
        return math.ceil(self.config.words_window / self.config.frames_per_tick)  # the latest tick's among them

    def forward(
        self, frames: Tensor, first: Tensor, heard: Tensor, memory: Memory, n_ticks: int | None = None
    ) -> tuple[Output, Memory]:
        """One chunk.

        frames: pictures (B, T, 128, 128, 3) uint8, or the trunk's outputs (B, T, D) float; first (B, T) bool: the lane
        begins anew; heard (B, T) int64: at tick frames the token of the tick before (V: silence), elsewhere not read.
        A memory made from pictures goes on with pictures, one made from the trunk's outputs with these. n_ticks: L
        where it is known, as in a step recorded as a CUDA graph (0: no lane ticks; more than there are: padding).
        """
        c = self.config
        clock = Clock.of(first, memory.next_frame, c.frames_per_tick, n_ticks)
        visible = window_mask(first, memory.blocks[-1].mask, c.policy.memory_frames)

        # ---- frames pass the trunk
        x, trunk = self.policy.encode_frames(frames, first, memory.blocks[0], visible)  # (B, T, D)
        seen = memory.frames.followed_by(x, clock)

        # ---- words pass the language model, and before its layers ask frames (cross attention 1)
        hidden, asked_ticks, language = memory.words.content[:, :0], clock.ticks, memory.language  # (B, 0, E)
        if clock.n_ticks:  # most frames of a stream have none
            ids = heard.gather(1, clock.ticks.time).where(clock.ticks.real, self.language.vocabulary)
            spoken = ids != self.language.vocabulary
            plan = self.language.plan(clock.ticks, clock.last_segment, spoken, language, c.remember_silence)
            sees = Visibility.of(clock.ticks, seen.times, c.frame_window)
            h, rows = self.silence.embed(ids, self.language), ()  # (B, L, E)
            prepared = self.language.prepare(plan, h.dtype)
            for layers in self.layer_spans:
                ask_frames = self.words_ask_frames[str(layers.start)]
                h = ask_frames(h, ask_frames.key_values(seen.content, seen.times.time), sees)
                h, kept = self.language.run_layers(h, prepared, language, layers)
                rows += kept
            hidden, language = self.language.finish(h), plan.keep(rows)
            if c.frames_ask == "words":  # silent ticks are four of five: left in, they drown the words at first
                asked_ticks = replace(clock.ticks, real=clock.ticks.real & spoken)

        # ---- frames pass the other blocks, and before these ask words (cross attention 2)
        words, word_key_values, asked, sees = self._words_asked(hidden, asked_ticks, clock, memory)
        blocks = (trunk,)
        for span, key_values in zip(self.block_spans, asked, strict=True):
            x = self.frames_ask_words[str(span.start)](x, key_values, sees)
            x, kept = self.policy.run_blocks(x, first, memory.blocks, visible, span)
            blocks += kept

        action = self.policy.heads(self.policy.finish(x))
        silence_logit = self.silence.logit_of(hidden, self.language) if clock.n_ticks else hidden[..., 0]
        output = Output(action, silence_logit, hidden, clock.ticks.time, clock.ticks.real)
        seen = seen.newest(self._frame_slots)
        return output, Memory(blocks, seen, language, words, word_key_values, clock.next_frame)

    def _words_asked(
        self, hidden: Tensor, ticks: Timestamps, clock: Clock, memory: Memory
    ) -> tuple[WordMemory, tuple[KeyValues, ...], tuple[KeyValues, ...], Visibility]:
        """The words and their keys and values for the memory; and, for the frames of this chunk, what each block asks
        and who sees what. hidden (B, L, E) of the chunk's ticks, of which those that may be asked are real.
        """
        words, window = memory.words, self.config.words_window
        if clock.n_ticks:
            sequence = words.followed_by(hidden, ticks, clock)
            words = sequence.newest(self._word_slots)
            if clock.length > 1:  # frames between ticks: each asks what was there by then
                sees = Visibility.of(clock.frames, sequence.times, window)
                with torch.no_grad():  # what follows, if it learns, makes them again
                    kept = self._key_values(words.content, -words.age_frames)
                return words, kept, self._key_values(sequence.content, sequence.times.time), sees
        sees = Visibility.of_older(clock.since_tick, words.age_frames, words.mask, window)
        known = not clock.n_ticks and not torch.is_grad_enabled()
        key_values = memory.word_key_values if known else self._key_values(words.content, -words.age_frames)
        return words, key_values, key_values, sees

    def _key_values(self, content: Tensor, time: Tensor) -> tuple[KeyValues, ...]:
        return tuple(block.key_values(content, time) for block in self.frames_ask_words.values())

    # ---- training

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter once, by kind: see vlpt/parts.py."""
        return groups(self)

    def gates(self) -> dict[str, float]:
        """How open the cross attentions are, after tanh: see vlpt/parts.py."""
        return gates(self)

    def freeze(self, stage: str, trunk: str = "frozen", language: bool = True) -> None:
        """Leaves to train what `stage` (language, action or joint) trains: see vlpt/parts.py."""
        freeze(self, stage, trunk, language)

    def train(self, mode: bool = True) -> "VLPT":
        """Training mode for what is trained; what is frozen stays in eval mode."""
        super().train(mode)
        if mode and self.trained is not None:
            for part in self.children():
                part.eval()
            for part in self.trained:
                part.train()
        return self
