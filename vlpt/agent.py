"""The agent as one plays it: frames in, actions and words out, and ears. The one way in which everything plays.

In: uint8 RGB frames of any size, one a lane. Out: one world action and one piece of speech a lane, and the memory for
the next frame. Nothing is remembered in the agent: acting twice from one memory gives the same twice.

    agent = Agent.from_pretrained("runs/demo/joint")
    memory = agent.hear("let's chop a tree", agent.start(lanes=1, seed=3))
    actions, words, memory = agent.act(frames, memory)

`load_agent` also takes an agent that was never joined with a language model, as OpenAI's: it plays without words.

Legend: B lanes, V vocabulary (as a token: silence).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from vlpt.checkpoint import SAMPLING, model_folder, model_kind
from vlpt.data.words import encode_text, load_tokenizer, save_tokenizer, vocabulary
from vlpt.files import read_json, write_json
from vlpt.memory import Memory
from vlpt.model import VLPT, Output
from vlpt.options import Device, from_dict, pick_device
from vpt.actions import MINECRAFT, to_world
from vpt.frames import resize_to_agent
from vpt.heads import ActionLogits, sample
from vpt.hub import push_saved
from vpt.model_card import model_card
from vpt.policy import Policy, PolicyOutput
from vpt.released import load_policy
from vpt.trees import map_tensors

NEVER_SPOKEN = -(2**31)  # ticks that a fresh lane has been silent


@dataclass(frozen=True)
class Sampling:
    """How choices are drawn. Temperature 0 takes the most likely; whether to speak is always drawn from its chance."""

    action_temperature: float = 1.0
    word_temperature: float = 1.0  # of which token, once something is said
    top_p: float = 1.0  # only the likeliest tokens that together have this much probability
    # Classifier-free guidance (Ho & Salimans 2022, 2207.12598) of actions by words: how far beyond what words change
    # about them, by an agent that was trained with `drop_words`. 0 is off and costs nothing, else a step costs twice.
    guidance: float = 0.0
    least_silence_ticks: int = 0  # once it has stopped talking; 0: off
    most_talk_ticks: int = 0  # in one go; 0: off

    def __post_init__(self) -> None:
        if min(self.guidance, self.least_silence_ticks, self.most_talk_ticks) < 0:
            raise ValueError(f"guidance and the guards are at least 0, got {self}")
        if min(self.action_temperature, self.word_temperature) < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"temperatures are at least 0 and top_p lies in (0, 1], got {self}")

    @classmethod
    def of(cls, folder: Path, **asked: float) -> "Sampling":
        """As sampling.json in a model's folder says, if it is there, but for what is asked. Raises ValueError naming a
        file with other names or values.
        """
        path = folder / SAMPLING
        try:
            return from_dict(cls, (read_json(path) if path.exists() else {}) | asked)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class AgentMemory:
    """All that lies between two frames. B lanes."""

    model: Memory
    first: Tensor  # (B,) bool: the next frame begins a life
    last_action: Tensor  # (B, 2) int64: indices of what was done at the last frame
    token: Tensor  # (B,) int64: what the word stream held at the last tick, V at the beginning
    queue: tuple[tuple[int, ...], ...]  # each lane's tokens that are still to be heard
    heard: tuple[str, ...]  # the piece each lane was told at the last frame; "" if none
    p_silence: Tensor  # (B,) float32: of the last tick, nan before the first
    talk_ticks: Tensor  # (B,) int64: ticks that the lane has talked in one go or, negative, been silent since
    generator: Tensor  # state of the torch.Generator


class Agent:
    """A fused model with its tokenizer and its manner of drawing."""

    speaks = True

    def __init__(self, model: VLPT, tokenizer: Tokenizer, sampling: Sampling | None = None) -> None:
        """Raises ValueError when model and tokenizer do not belong together."""
        self.model, self.tokenizer, self.sampling = model.eval(), tokenizer, sampling or Sampling()
        self.silence = model.language.vocabulary
        self.device = model.silence.vector.device
        if vocabulary(tokenizer) > self.silence:
            raise ValueError(f"the tokenizer makes {vocabulary(tokenizer)} tokens, the model knows {self.silence}: "
                             "take the tokenizer.json of the model's own folder")

    @classmethod
    def from_pretrained(cls, folder, device: Device = "auto", **sampling: float) -> "Agent":
        """From a model folder (config.json, model.safetensors, tokenizer.json), a run of train.py, or a repository
        `user/name` of the Hugging Face Hub; sampling: fields of Sampling that are not to be as the folder says.

        Raises ValueError naming what is missing or does not fit.
        """
        folder = model_folder(folder)
        model = VLPT.from_pretrained(folder).to(pick_device(device))
        return cls(model, load_tokenizer(folder / "tokenizer.json"), Sampling.of(folder, **sampling))

    def save_pretrained(self, save_directory: Path | str, *, half: bool = False) -> None:
        """Write a folder that `load_agent` reads: the model, its tokenizer, its manner of drawing; half: as fp16."""
        folder = Path(save_directory)
        self.model.save_pretrained(folder, half=half)
        write_json(folder / SAMPLING, asdict(self.sampling))
        if self.speaks:
            save_tokenizer(self.tokenizer, folder / "tokenizer.json")

    def push_to_hub(self, name: str, *, half: bool = False, card: str = "", **how) -> str:
        """Upload what `save_pretrained` writes, and a card, to the repository `user/name` of the Hugging Face Hub; see
        `vpt.checkpoint.Pretrained.push_to_hub`, and vlpt/publish.py for a card of what was measured.
        """
        card = card or model_card(self.model, name)
        return push_saved(lambda folder: self.save_pretrained(folder, half=half), name, card, **how)

    def gates(self) -> dict[str, float]:
        """How open each cross attention is, after tanh."""
        return self.model.gates()

    def start(self, lanes: int = 1, seed: int = 0) -> AgentMemory:
        """A fresh memory; everything the agent will draw follows from the seed."""
        silent = torch.full((lanes,), self.silence, device=self.device)
        generator = torch.Generator(self.device).manual_seed(seed)
        sides = 2 if self.sampling.guidance else 1  # guided lanes are followed by themselves without words
        return AgentMemory(
            model=self.model.start(sides * lanes), first=torch.ones_like(silent, dtype=torch.bool),
            last_action=self._nothing_done(lanes), token=silent,
            queue=((),) * lanes, heard=("",) * lanes, p_silence=torch.full((lanes,), float("nan")),
            talk_ticks=torch.full_like(silent, NEVER_SPOKEN), generator=generator.get_state(),
        )  # fmt: skip

    def reset(self, memory: AgentMemory, lanes: Sequence[bool]) -> AgentMemory:
        """Those lanes (B,) begin a new life at the next frame: nothing remembered, nothing left to be heard."""
        chosen = torch.as_tensor(lanes, device=self.device)
        queue = tuple(() if gone else rest for gone, rest in zip(lanes, memory.queue, strict=True))
        last_action = torch.where(chosen[:, None], self._nothing_done(len(chosen)), memory.last_action)
        return replace(memory, first=memory.first | chosen, last_action=last_action, queue=queue,
                       token=memory.token.masked_fill(chosen, self.silence),
                       p_silence=memory.p_silence.masked_fill(chosen.cpu(), float("nan")),
                       talk_ticks=memory.talk_ticks.masked_fill(chosen, NEVER_SPOKEN))  # fmt: skip

    def hear(self, text: str, memory: AgentMemory, lane: int = 0) -> AgentMemory:
        """Say something to a lane: from the next tick on its tokens take the place of the lane's own, one a tick."""
        ids = encode_text(" " + " ".join(text.split()), self.tokenizer)
        queue = [tuple(rest) for rest in memory.queue]
        queue[lane] += tuple(ids)
        return replace(memory, queue=tuple(queue))

    def set_tokens(self, tokens: Sequence[int], memory: AgentMemory) -> AgentMemory:
        """At the last tick the word stream held these tokens (B,) instead: how one follows a recording."""
        return replace(memory, token=torch.as_tensor(tokens, device=self.device))

    @torch.no_grad()
    def act(self, frames: Sequence[np.ndarray], memory: AgentMemory) -> tuple[list[dict], list[str], AgentMemory]:
        """One frame a lane, each (H, W, 3) uint8 RGB.

        Returns MineRL's action dictionary of each lane; the piece of speech that each lane itself says ("" on most
        frames; a piece that begins a word begins with a blank, so that joining them gives the text); the next memory.
        Raises ValueError when there is not one frame a lane.
        """
        if len(frames) != len(memory.queue):
            raise ValueError(f"one frame a lane: got {len(frames)} frames, and a memory of {len(memory.queue)} lanes")
        generator = torch.Generator(self.device)
        generator.set_state(memory.generator)
        pictures = torch.from_numpy(np.stack([resize_to_agent(frame) for frame in frames])).to(self.device)
        output, after = self._forward(pictures, memory)
        actions, done = self._sample_actions(output, generator)
        words, memory = self._sample_words(output, memory, generator)
        return actions, words, replace(memory, model=after, first=torch.zeros_like(memory.first), last_action=done,
                                       generator=generator.get_state())

    def set_actions(
        self, buttons: np.ndarray | None, camera_deg: np.ndarray | None, memory: AgentMemory
    ) -> AgentMemory:
        """At the last frame these buttons (B, 20) were pressed and this was the camera's motion (B, 2), or nobody knows
        (None), instead of what the agent chose: how one follows a recording, or takes over."""
        if buttons is None:
            return replace(memory, last_action=torch.full_like(memory.last_action, -1))
        done = np.stack(MINECRAFT.encode(buttons, camera_deg), -1)
        return replace(memory, last_action=torch.from_numpy(done).to(self.device))

    def _nothing_done(self, lanes: int) -> Tensor:
        nothing = torch.tensor([0, MINECRAFT.null_camera_index], device=self.device)
        return nothing.expand(lanes, 2)

    def piece(self, token: int) -> str:
        """How a token reads in a text: with the blank before it, if it begins a word; "" for silence."""
        if token == self.silence:
            return ""
        added = self.tokenizer.get_added_tokens_decoder()  # whole words whose blank the tokenizer has swallowed
        return " " * (token in added) + self.tokenizer.decode([token], skip_special_tokens=False)

    def _forward(self, pictures: Tensor, memory: AgentMemory) -> tuple[Output, Memory]:
        """pictures (B, 128, 128, 3) -> the model's output and memory. Guided lanes run twice, with words and
        without."""
        heard, first, strength = memory.token, memory.first, self.sampling.guidance
        if not strength:
            return self.model(pictures[:, None], first[:, None], heard[:, None], memory.model,
                              memory.last_action[:, None])
        lanes, nothing = len(heard), torch.full_like(heard, self.silence)
        output, after = self.model(torch.cat([pictures, pictures])[:, None], torch.cat([first, first])[:, None],
                                   torch.cat([heard, nothing])[:, None], memory.model,
                                   memory.last_action.repeat(2, 1)[:, None])
        with_words, without = (map_tensors(lambda x: x[side], output) for side in (slice(lanes), slice(lanes, None)))
        pairs = ((getattr(side.action, name) for side in (with_words, without)) for name in ("buttons", "camera"))
        guided = (((1 + strength) * told - strength * untold).log_softmax(-1) for told, untold in pairs)
        return replace(with_words, action=ActionLogits(*guided)), after

    def _guard(self, silent: Tensor, ticks: Tensor, memory: AgentMemory) -> tuple[Tensor, Tensor]:
        """silent, ticks (B,) bool -> silent with the guards applied, and how long each lane has talked or not."""
        run, guards = memory.talk_ticks, self.sampling
        if guards.most_talk_ticks:
            silent = silent | (run >= guards.most_talk_ticks)
        if guards.least_silence_ticks:
            silent = silent | ((run < 0) & (run > -guards.least_silence_ticks))
        talked, rested = run.clamp(min=0) + 1, torch.where(run > 0, -1, (run - 1).clamp(min=NEVER_SPOKEN))
        return silent, torch.where(ticks, torch.where(silent, rested, talked), run)

    def _sample_actions(self, output: Output, generator: torch.Generator) -> tuple[list[dict], Tensor]:
        """For the world, and as indices (B, 2)."""
        drawn = output.action.sample(generator, self.sampling.action_temperature)
        pressed = MINECRAFT.decode(*(index[:, 0].cpu().numpy() for index in drawn))
        actions = [to_world(buttons, camera_deg) for buttons, camera_deg in zip(*pressed, strict=True)]
        return actions, torch.cat(drawn, 1)

    def _sample_words(
        self, output: Output, memory: AgentMemory, generator: torch.Generator
    ) -> tuple[list[str], AgentMemory]:
        """Draws each lane's token where it ticks; a lane that is spoken to hears the next token of that instead."""
        lanes = len(memory.queue)
        if not output.tick_valid.shape[1]:
            return [""] * lanes, replace(memory, heard=("",) * lanes)
        ticks, p_silence = output.tick_valid[:, 0], output.silence_logit[:, 0].sigmoid()
        drawn, talk_ticks = self._draw(output, ticks, p_silence, memory, generator)
        own, token = [""] * lanes, drawn.tolist()
        queue, heard = list(memory.queue), [""] * lanes
        for lane in ticks.nonzero()[:, 0].tolist():
            if queue[lane]:
                token[lane], *rest = queue[lane]
                queue[lane], heard[lane] = tuple(rest), self.piece(token[lane])
            else:
                own[lane] = self.piece(token[lane])
        p_silence = torch.where(ticks, p_silence, memory.p_silence.to(p_silence)).cpu()
        token = torch.tensor(token, device=self.device)
        return own, replace(memory, token=token, queue=tuple(queue), heard=tuple(heard), p_silence=p_silence,
                            talk_ticks=talk_ticks)  # fmt: skip

    def _draw(
        self, output: Output, ticks: Tensor, p_silence: Tensor, memory: AgentMemory, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """What each lane says by itself (B,), its last token where it does not tick; and its new `talk_ticks`."""
        silent = torch.rand(len(ticks), generator=generator, device=self.device) < p_silence
        silent, talk_ticks = self._guard(silent, ticks, memory)
        log_probs = filter_log_probs(self.model.language.log_probs(output.hidden[:, 0]), self.sampling)
        token = sample(log_probs, generator).masked_fill(silent, self.silence)
        return torch.where(ticks, token, memory.token), talk_ticks


class PolicyAgent(Agent):
    """An agent that was never joined with a language model: it plays, and neither hears nor speaks."""

    speaks = False

    def __init__(self, model: Policy, sampling: Sampling | None = None) -> None:
        """Raises ValueError for guidance by words."""
        self.model, self.sampling = model.eval(), sampling or Sampling()
        self.silence, self.device = 0, next(model.parameters()).device
        if self.sampling.guidance:
            raise ValueError("guidance has no effect on a Policy: it hears no words")

    def gates(self) -> dict[str, float]:
        return {}

    def hear(self, text: str, memory: AgentMemory, lane: int = 0) -> AgentMemory:
        raise ValueError("a Policy hears nothing: take a VLPT, or say nothing to it")

    def _forward(self, pictures: Tensor, memory: AgentMemory) -> tuple[PolicyOutput, tuple]:
        return self.model(pictures[:, None], memory.first[:, None], memory.model, memory.last_action[:, None])

    def _sample_words(self, output: PolicyOutput, memory: AgentMemory, generator: torch.Generator):
        return [""] * len(memory.queue), memory


def load_agent(model, weights: str = "", device: Device = "auto", **sampling: float) -> Agent:
    """What plays: a model folder, a run or a repository `user/name` of the Hugging Face Hub that holds a VLPT or a
    Policy, or OpenAI's two files (.model and `weights`); sampling: fields of Sampling that are not to be as the folder
    says.

    Raises ValueError naming a folder that holds another kind of model, or a file that is wrong.
    """
    if weights:
        return PolicyAgent(load_policy(model, weights).to(pick_device(device)), Sampling(**sampling))
    folder = model_folder(model)
    kind = model_kind(folder)
    if kind == "Policy":
        return PolicyAgent(Policy.from_pretrained(folder).to(pick_device(device)), Sampling.of(folder, **sampling))
    if kind != "VLPT":
        article = "an" if kind[0] in "AEIO" else "a"
        raise ValueError(f"{model} holds {article} {kind}: vlpt.play takes a VLPT or a Policy")
    return Agent.from_pretrained(folder, device, **sampling)


def filter_log_probs(log_probs: Tensor, sampling: Sampling) -> Tensor:
    """log_probs (B, V) -> (B, V) to sample from, by temperature and top-p; the most likely token always stays."""
    if sampling.word_temperature == 0:
        best = log_probs == log_probs.max(-1, keepdim=True).values
        return log_probs.masked_fill(~best, float("-inf"))
    log_probs = (log_probs / sampling.word_temperature).log_softmax(-1)
    if sampling.top_p == 1:
        return log_probs
    ordered, index = log_probs.sort(-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()  # probability of all that is likelier
    return log_probs.masked_fill((before >= sampling.top_p).gather(-1, index.argsort(-1)), float("-inf"))
