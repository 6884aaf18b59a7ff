"""VLPT: VPT and a language model that learn to condition on each other. It sees, acts, hears and speaks in one forward.

In: frames (or the frozen trunk's cached outputs), `first`, the words heard, memory. Out: actions a frame, words a tick,
memory. Chunks of any size, or one frame at a time, give the same as the whole stream, and `first` may be true anywhere.

    frames -> trunk (CNN + block 1) -+-------------------------> (+) -> VPT blocks 2..n -> keys and mouse
                    | patches        | vectors                    ^ frames ask words
                    +----------------+ words ask frames           |
                                     v                            |
    words  -> embeddings ---------> (+) -> language model --------+---> next word, or silence

    model = VLPT.from_parts(Policy.from_pretrained(a), load_language(b), frames_per_tick=4)
    output, memory = model(frames, first, heard, model.start(lanes))

Legend: B lanes, T frames in a chunk, L language ticks in a chunk, D agent width, E language width, V vocabulary, P
patches of a frame, C their width, V numbers of the trunk's vector (D, or 2 D of an agent that sees motion).
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vlpt.checkpoint import named_parts
from vlpt.clock import Clock, Timestamps, Visibility
from vlpt.fusion import KeyValues, unit_size
from vlpt.intention import sums
from vlpt.joints import Joints, VLPTConfig
from vlpt.language.families import build, load_language
from vlpt.language.interface import LanguageModel
from vlpt.memory import FrameMemory, FrameSequence, Memory, TickMemory, pick
from vlpt.parts import freeze, gates, groups
from vpt.attention import window_mask
from vpt.checkpoint import Pretrained
from vpt.finder import Finder
from vpt.heads import ActionLogits
from vpt.policy import Policy


@dataclass(frozen=True)
class Output:
    """What the agent makes of a chunk. Ticks that a lane does not have are padding: `tick_valid` is False there.

    Words are spelt out where they are asked for, by `VLPT.language`: of most states nobody wants V numbers.
    """

    action: ActionLogits  # log-probabilities of a frame's action, (B, T, ...) fp32
    intention: Tensor | None  # (B, T, SOON), what words say will be done soon; None where no such reader is
    # (B, T, K + 1), log-probabilities of which thing words mean, the last: none; None where no such reader is
    meant: Tensor | None
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
        joints = Joints(config)
        self.silence, self.words_ask_frames = joints.silence, joints.words_ask_frames
        self.frames_ask_words, self.intention = joints.frames_ask_words, joints.intention
        self.target = joints.target
        self.silence.fit(self.language)
        self.trained: tuple[nn.Module, ...] | None = None  # set by `freeze`; None: all

    @classmethod
    def from_parts(cls, policy: Policy, language: LanguageModel, joints: Joints | None = None, **options) -> "VLPT":
        """Both models as they are, joined with closed gates; `options` are fields of VLPTConfig. Or joined as `joints`
        join others: raises ValueError where these do not fit.
        """
        how = VLPTConfig(policy.config, language.config, **options) if joints is None else joints.config
        if how.policy.things and not policy.config.things:
            if not how.own_body:
                raise ValueError("joints that read targets need an agent with a finder; this one has none")
            policy = policy.with_finder(Finder(how.policy.things, policy.config.px))
        model = cls(replace(how, policy=policy.config, language=language.config))
        model.policy, model.language = policy, language
        model.silence.fit(language)
        if joints is not None:
            joints.put_into(model)
        return model

    def with_finder(self, finder: Finder) -> "VLPT":
        """The same with such a finder, and a reader of targets, fresh if it had none."""
        config = replace(self.config, policy=self.policy.with_finder(finder).config, target=True)
        model = VLPT(config)
        own = {**model.state_dict(), **self.state_dict()}
        found = {f"policy.finder.{name}": weight for name, weight in finder.state_dict().items()}
        model.load_state_dict(own | found)
        return model

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **hub) -> "VLPT":
        """As of every model; or put together of the three folders that config.json names as its `parts`, so that an
        agent and the models it is made of are stored once.
        """
        folder = Path(pretrained_model_name_or_path)
        parts = named_parts(folder) if folder.is_dir() else None
        if parts is None:
            return super().from_pretrained(pretrained_model_name_or_path, **hub)
        policy, language, joints = parts
        return cls.from_parts(Policy.from_pretrained(policy), load_language(language), Joints.from_pretrained(joints)
                              ).eval()  # fmt: skip

    def start(self, lanes: int) -> Memory:
        """A fresh memory for so many lanes."""
        c, device = self.config, self.silence.vector.device
        return Memory(
            blocks=self.policy.start(lanes),
            frames=FrameMemory.fresh(lanes, self._frame_slots, c.policy.width, device),
            patches=TickMemory.fresh(lanes, self._patch_slots, c.policy.patches * c.policy.patch_width, device),
            language=self.language.start(lanes),
            words=TickMemory.fresh(lanes, self._word_slots, self.language.width, device),
            word_key_values=tuple(b.no_key_values(lanes, self._word_slots) for b in self.frames_ask_words.values()),
            next_frame=torch.zeros(lanes, dtype=torch.long, device=device),
        )

    @property
    def _frame_slots(self) -> int:
        return max(1, self.config.frame_window - 1)

    @property
    def _patch_slots(self) -> int:
        """Ticks before the present one whose frames' patches are asked."""
        return max(0, math.ceil(self.config.patch_window / self.config.frames_per_tick) - 1)

    @property
    def _word_slots(self) -> int:
        return math.ceil(self.config.words_window / self.config.frames_per_tick)  # the latest tick's among them

    def forward(
        self, frames: Tensor, first: Tensor, heard: Tensor, memory: Memory, last_action: Tensor | None = None,
        n_ticks: int | None = None, destination: Tensor | None = None,
    ) -> tuple[Output, Memory]:
        """One chunk.

        frames: pictures (B, T, 128, 128, 3) uint8, or the trunk's outputs as `Policy.pack` puts them; first (B, T)
        bool: the lane begins anew; heard (B, T) int64: at tick frames the token of the tick before (V: silence),
        elsewhere not read; last_action (B, T, 2) int64: what was done at the frame before, for an agent that knows it
        (see `Policy.forward`). A memory made from pictures goes on with pictures, one made from the trunk's outputs
        with these. n_ticks: L where it is known, as in a step recorded as a CUDA graph (0: no lane ticks; more than
        there are: padding). destination (B, T) int64: where the next walk leads, for a reader of targets that
        is to take it as said; UNKNOWN: it reads.
        """
        c = self.config
        clock = Clock.of(first, memory.next_frame, c.frames_per_tick, n_ticks)
        visible = window_mask(first, memory.blocks[-1].mask, c.policy.memory_frames)

        # ---- frames pass the trunk
        x, patches, trunk = self.policy.encode_frames(frames, first, memory.blocks[0], visible)  # (B, T, V), (.., P, C)
        found = self.policy.found(x) if self.target is not None else None  # (B, T, K, C)
        x = self.policy.add_own_motion(x, last_action)  # (B, T, D)
        seen, places = memory.frames.followed_by(x, clock), memory.patches

        # ---- words pass the language model, and before its layers ask frames (cross attention 1)
        hidden = said = memory.words.content[:, :0]  # (B, 0, E)
        silence_logit = x.new_empty(len(x), 0)  # (B, 0)
        asked_ticks, language = clock.ticks, memory.language
        if clock.n_ticks:  # most frames of a stream have none
            ids = heard.gather(1, clock.ticks.time).where(clock.ticks.real, self.language.vocabulary)
            plan = self.language.plan(clock.ticks, clock.last_segment, ids, language)
            places, asked, sees = self._frames_asked(seen, patches, clock, memory)
            h, rows = self.silence.embed(plan, self.language), ()  # (B, L, E)
            embedded = h
            prepared = self.language.prepare(plan, h.dtype)
            for layers, key_values in zip(self.layer_spans, asked, strict=True):
                h = self.words_ask_frames[str(layers.start)](h, key_values, sees)
                h, kept = self.language.run_layers(h, prepared, language, layers)
                rows += kept
            hidden, language = self.language.finish(h), plan.keep(rows)
            silence_logit = self.silence.logit_of(hidden, plan, self.language)
            said = unit_size(embedded) + unit_size(hidden)  # the word itself: hidden states tell of the next one
            if c.frames_ask == "words":
                asked_ticks = replace(clock.ticks, real=clock.ticks.real & (ids != self.language.vocabulary))

        # ---- frames pass the other blocks, and before these ask words (cross attention 2)
        words, word_key_values, asked, read, sees = self._words_asked(said, asked_ticks, clock, memory)
        intention, log_meant, told, blocks = None, None, [], (trunk,)
        lately = sums(read, sees) if self.intention or self.target else None
        if self.intention is not None:
            intention = self.intention.logits(lately)
            told.append((self.intention, self.intention.told(intention)))
        if self.target is not None:
            log_meant = self.target.meant(lately)
            told.append((self.target, self.target.told(log_meant, found, destination)))
        for reader, odds in told:
            x = x + reader.tell(odds)
        for span, key_values in zip(self.block_spans, asked, strict=True):
            x = self.frames_ask_words[str(span.start)](x, key_values, sees)
            x, kept = self.policy.run_blocks(x, first, memory.blocks, visible, span)
            blocks += kept

        x = self.policy.finish(x)
        for reader, odds in told:
            x = x + reader.urge(odds)
        action = self.policy.heads(x)
        output = Output(action, intention, log_meant, silence_logit, hidden, clock.ticks.time, clock.ticks.real)
        seen = seen.newest(self._frame_slots)
        return output, Memory(blocks, seen, places, language, words, word_key_values, clock.next_frame)

    def _frames_asked(
        self, seen: FrameSequence, patches: Tensor, clock: Clock, memory: Memory
    ) -> tuple[TickMemory, tuple[KeyValues, ...], Visibility]:
        """The patches for the memory; and, for the ticks of this chunk, what each layer asks and who sees what.
        patches (B, T, P, C).
        """
        c, ticks, blocks = self.config, clock.ticks, self.words_ask_frames.values()
        asked = tuple(block.key_values(seen.content, seen.times.time) for block in blocks)
        sees = Visibility.of(ticks, seen.times, c.frame_window)
        if not c.patch_window:
            return memory.patches, asked, sees
        now = pick(patches.flatten(2), ticks.time)  # (B, L, P C)
        sequence = memory.patches.followed_by(now, ticks, clock)
        places = sequence.content.unflatten(2, patches.shape[2:])
        asked = tuple(vectors.followed_by(block.patch_key_values(places, sequence.times.time))
                      for block, vectors in zip(blocks, asked, strict=True))
        sees = sees.and_of(Visibility.of(ticks, sequence.times, c.patch_window), patches.shape[2])
        return sequence.newest(self._patch_slots), asked, sees

    def _words_asked(
        self, said: Tensor, ticks: Timestamps, clock: Clock, memory: Memory
    ) -> tuple[TickMemory, tuple[KeyValues, ...], tuple[KeyValues, ...], Tensor, Visibility]:
        """The words and their keys and values for the memory; and, for the frames of this chunk, what each block asks,
        the words (B, K, E) themselves and who sees what. said (B, L, E) of the chunk's ticks, of which those that may
        be asked are real.
        """
        words, window = memory.words, self.config.words_window
        if clock.n_ticks:
            sequence = words.followed_by(said, ticks, clock)
            words = sequence.newest(self._word_slots)
            if clock.length > 1:  # frames between ticks: each asks what was there by then
                sees = Visibility.of(clock.frames, sequence.times, window)
                with torch.no_grad():  # what follows, if it learns, makes them again
                    kept = self._key_values(words.content, -words.age_frames)
                asked = self._key_values(sequence.content, sequence.times.time)
                return words, kept, asked, sequence.content, sees
        sees = Visibility.of_older(clock.since_tick, words.age_frames, words.mask, window)
        known = not clock.n_ticks and not torch.is_grad_enabled()
        key_values = memory.word_key_values if known else self._key_values(words.content, -words.age_frames)
        return words, key_values, key_values, words.content, sees

    def _key_values(self, content: Tensor, time: Tensor) -> tuple[KeyValues, ...]:
        return tuple(block.key_values(content, time) for block in self.frames_ask_words.values())

    # ---- training

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter once, by kind: see vlpt/parts.py."""
        return groups(self)

    def gates(self) -> dict[str, float]:
        """How open the cross attentions are, after tanh: see vlpt/parts.py."""
        return gates(self)

    def freeze(
        self, stage: str, trunk: str = "frozen", language: bool = True, agent: bool = True, only_blocks: bool = False
    ) -> None:
        """Leaves to train what `stage` (language, action or joint) trains: see vlpt/parts.py."""
        freeze(self, stage, trunk, language, agent, only_blocks)

    def train(self, mode: bool = True) -> "VLPT":
        """Training mode for what is trained; what is frozen stays in eval mode."""
        super().train(mode)
        if mode and self.trained is not None:
            for part in self.children():
                part.eval()
            for part in self.trained:
                part.train()
        return self
