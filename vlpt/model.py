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

import torch
from torch import Tensor, nn

from vlpt.clock import Clock, Timestamps, Visibility
from vlpt.fusion import GatedCrossAttention, KeyValues
from vlpt.language.decoder import DecoderConfig
from vlpt.language.families import build, config_of
from vlpt.language.interface import LanguageModel
from vlpt.language.silence import Silence
from vlpt.language.transformer_xl import TransformerXLConfig
from vlpt.memory import FrameMemory, FrameSequence, LanguageMemory, Memory, WordMemory
from vlpt.parts import freeze, gates, groups
from vpt.attention import BlockMemory, window_mask
from vpt.checkpoint import Pretrained, with_tuples
from vpt.heads import ActionLogits
from vpt.policy import Policy, PolicyConfig


@dataclass(frozen=True)
class VLPTConfig:
    """How the two models are joined. Windows are in frames: how far back words may look, and frames may listen."""

    policy: PolicyConfig
    language: TransformerXLConfig | DecoderConfig
    frames_per_tick: int = 4
    frame_window: int = 128
    words_window: int = 256
    remember_silence: str = "last"  # none | last | all, see vlpt/language/visibility.py
    silence: str = "factored"  # or softmax, see vlpt/language/silence.py
    flamingo_every: int = 0  # 0: words ask frames once, at the input (PaLI); n: before every n-th layer (Flamingo)
    listen_to: str = "words"  # frames ask the ticks that hear a word, or all "ticks", most of which are silent
    listen_every_block: bool = False  # frames ask words before each of blocks 2..n, not only before block 2
    cross_heads: int = 4
    cross_head_width: int = 32

    def __post_init__(self) -> None:
        if isinstance(self.policy, dict):  # as config.json holds them
            object.__setattr__(self, "policy", PolicyConfig(**with_tuples(self.policy)))
        if isinstance(self.language, dict):
            object.__setattr__(self, "language", config_of(self.language))
        if self.policy.blocks < 2:
            raise ValueError(f"frames ask words before VPT's block 2, but this agent has {self.policy.blocks} block")
        if self.listen_to not in ("words", "ticks"):
            raise ValueError(f"listen_to is words or ticks, got {self.listen_to!r}")
        for name in ("frames_per_tick", "sight_window", "words_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of frames, at least 1; got {getattr(self, name)}")


@dataclass(frozen=True)
class Output:
    """What the agent makes of a chunk. Ticks that a lane does not have are padding: `tick_valid` is False there."""

    action: ActionLogits  # log-probabilities of a frame's action, (B, T, ...) fp32
    silence_logit: Tensor  # (B, L) fp32, of nothing being said at this tick
    hidden: Tensor  # (B, L, E) what the language model thinks
    language: LanguageModel  # who thinks it; words are spelt out where they are asked for
    tick_index: Tensor  # (B, L) int64, the tick's frame in the chunk
    tick_valid: Tensor  # (B, L) bool

    @property
    def vocabulary(self) -> int:
        """V, which as a token is silence."""
        return self.language.vocabulary

    @property
    def token_log_probs(self) -> Tensor:
        """(B, L, V) fp32, given that something is said."""
        return self.language.log_probs(self.hidden)

    def token_nats(self, ids: Tensor, where: Tensor) -> Tensor:
        """(B, L) fp32: nats of ids (B, L), 0 where `where` (B, L) is False; only the others are computed."""
        nats = self.language.nats(self.hidden[where], ids[where])
        return torch.zeros_like(ids, dtype=nats.dtype).masked_scatter(where, nats)


class VLPT(nn.Module, Pretrained):
    """The fused agent; see the top of the file."""

    config_class = VLPTConfig

    def __init__(self, config: VLPTConfig) -> None:
        super().__init__()
        self.config = config
        self.policy = Policy(config.policy)
        self.language = build(config.language)
        self.silence = Silence(self.language.width, config.silence)
        self.silence.fit(self.language)
        agent, talker = config.policy.width, self.language.width
        layers = range(0, config.language.layers, config.flamingo_every or config.language.layers)
        blocks = range(1, config.policy.blocks if config.listen_every_block else 2)
        self.words_ask_frames = nn.ModuleDict(
            {str(i): self._cross(talker, agent, config.frame_window) for i in layers}
        )
        self.frames_ask_words = nn.ModuleDict(
            {str(i): self._cross(agent, talker, config.words_window) for i in blocks}
        )
        self.trained: tuple[nn.Module, ...] | None = None  # set by `freeze`; None: all

    def _cross(self, width: int, source_width: int, window: int) -> GatedCrossAttention:
        return GatedCrossAttention(width, source_width, window, self.config.cross_heads, self.config.cross_head_width)

    @classmethod
    def from_parts(cls, policy: Policy, language: LanguageModel, **options) -> "VLPT":
        """The fused agent at birth: both models as they are, gates closed. `options` are fields of VLPTConfig."""
        model = cls(VLPTConfig(policy.config, language.config, **options))
        model.policy, model.language = policy, language
        model.silence.fit(language)
        return model

    def start(self, lanes: int) -> Memory:
        """A fresh memory for so many lanes."""
        c, device = self.config, self.silence.vector.device
        return Memory(
            blocks=self.policy.start(lanes),
            sight=FrameMemory.fresh(lanes, self._frame_slots, c.policy.width, device),
            language=self.language.start(lanes, c.remember_silence),
            words=WordMemory.fresh(lanes, self._word_slots, self.language.width, device),
            readings=tuple(block.unread(lanes, self._word_slots) for block in self.frames_ask_words.values()),
            frame=torch.zeros(lanes, dtype=torch.long, device=device),
        )

    @property
    def _frame_slots(self) -> int:
        return max(1, self.config.frame_window - 1)

    @property
    def _word_slots(self) -> int:
        return math.ceil(self.config.words_window / self.config.frames_per_tick)  # the latest tick's among them

    def forward(
        self,
        sight: Tensor,
        first: Tensor,
        heard: Tensor,
        memory: Memory,
        tick_count: int | None = None,
    ) -> tuple[Output, Memory]:
        """One chunk.

        sight: frames (B, T, 128, 128, 3) uint8, or the trunk's outputs (B, T, D) float; first (B, T) bool: the lane
        begins anew; heard (B, T) int64: at tick frames the token of the tick before (V: silence), elsewhere not read.
        A memory made from frames goes on with frames, one made from the trunk's outputs with these. tick_count: L where
        it is known, as in a step recorded as a CUDA graph (0: no lane ticks; more than there are: padding).
        """
        clock = Clock.of(first, memory.frame, self.config.frames_per_tick, tick_count)
        visible = window_mask(first, memory.blocks[-1].mask, self.config.policy.memory_frames)
        x, trunk = self.look(sight, first, memory.blocks[0], visible)  # (B, T, D)
        pictures = memory.sight.followed_by(x, clock)
        hidden, ticks, language = self.think(heard, pictures, memory)  # (B, L, E), words ask frames
        words, readings, asked, view = self.listen(hidden, ticks, clock, memory)
        action, blocks = self.respond(x, first, memory.blocks[1:], visible, asked, view)
        silence_logit = self.silence.logit_of(hidden, self.language) if clock.tick_count else hidden[..., 0]
        output = Output(action, silence_logit, hidden, self.language, clock.ticks.time, clock.ticks.real)
        sight = pictures.remember(self._frame_slots)
        return output, Memory((trunk, *blocks), sight, language, words, readings, clock.next_frame)

    def look(
        self, sight: Tensor, first: Tensor, memory: BlockMemory, visible: Tensor | None = None
    ) -> tuple[Tensor, BlockMemory]:
        """The trunk, CNN and block 1: frames (B, T, 128, 128, 3) uint8 -> (B, T, D). Its own outputs pass through.

        Raises ValueError for anything else.
        """
        if sight.is_floating_point():
            width = self.config.policy.width
            if sight.ndim != 3 or sight.shape[2] != width:
                raise ValueError(f"cached sight is (lanes, frames, {width}), this model's trunk's outputs; "
                                 f"got {tuple(sight.shape)}")  # fmt: skip
            return sight, memory
        return self.policy.blocks[0](self.policy.embed(sight), first, memory, visible)

    def think(self, heard: Tensor, pictures: FrameSequence, memory: Memory) -> tuple[Tensor, Timestamps, LanguageMemory]:
        """What the language model makes of the words heard (B, T) and the frames seen: (B, L, E); the ticks, of which
        those that frames may ask are real; its memory.
        """
        clock = pictures.clock
        if not clock.tick_count:  # most frames of a stream
            return memory.words.content[:, :0], clock.ticks, memory.language
        ids = heard.gather(1, clock.ticks.time).where(clock.ticks.real, self.language.vocabulary)
        spoken = ids != self.language.vocabulary
        plan = self.language.plan(clock.ticks, clock.last_segment, spoken, memory.language, self.config.remember_silence)
        view = Visibility.of(clock.ticks, pictures.stamps, self.config.frame_window)

        def ask_frames(layer: int, x: Tensor) -> Tensor:
            if str(layer) not in self.words_ask_frames:
                return x
            block = self.words_ask_frames[str(layer)]
            return block(x, block.read(pictures.content, pictures.stamps.time), view)

        embedded = self.silence.embed(ids, self.language)
        hidden, language = self.language.run(embedded, plan, memory.language, ask_frames)
        if self.config.listen_to == "words":  # silent ticks are four of five: left in, they drown the words at birth
            return hidden, replace(clock.ticks, real=clock.ticks.real & spoken), language
        return hidden, clock.ticks, language

    def listen(
        self, hidden: Tensor, ticks: Timestamps, clock: Clock, memory: Memory
    ) -> tuple[WordMemory, tuple[KeyValues, ...], tuple[KeyValues, ...], Visibility]:
        """What was thought (B, L, E) is remembered and read: the words and their readings for the memory; and for the
        frames of this chunk what each block asks, and who hears what.
        """
        words, window = memory.words, self.config.words_window
        if clock.tick_count:
            rows = words.followed_by(hidden, ticks, clock)
            words = rows.remember(self._word_slots)
            if clock.length > 1:  # frames between ticks: each asks what was there by then
                view = Visibility.of(clock.frames, rows.stamps, window)
                with torch.no_grad():  # what follows, if it learns, reads again
                    readings = self._read(words.content, -words.age_frames)
                return words, readings, self._read(rows.content, rows.stamps.time), view
        view = Visibility.back(clock.since_tick, words.age_frames, words.mask, window)
        known = not clock.tick_count and not torch.is_grad_enabled()
        readings = memory.readings if known else self._read(words.content, -words.age_frames)
        return words, readings, readings, view

    def _read(self, content: Tensor, happened_at: Tensor) -> tuple[KeyValues, ...]:
        return tuple(block.read(content, happened_at) for block in self.frames_ask_words.values())

    def respond(
        self, x: Tensor, first: Tensor, memory: tuple[BlockMemory, ...], visible: Tensor, asked: tuple[KeyValues, ...],
        view: Visibility,
    ) -> tuple[ActionLogits, tuple[BlockMemory, ...]]:
        """What the frames (B, T, D) lead to, given the words: log-probabilities of actions, memory of blocks 2..n."""
        readings, after = dict(zip(self.frames_ask_words, asked, strict=True)), []
        for i, past in enumerate(memory, start=1):
            if str(i) in readings:
                x = self.frames_ask_words[str(i)](x, readings[str(i)], view)
            x, present = self.policy.blocks[i](x, first, past, visible)
            after.append(present)
        return self.policy.heads(self.policy.finish(x)), tuple(after)

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
