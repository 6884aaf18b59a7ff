"""A trained model on held-out episodes: the losses of each episode under any condition of words and frames.

In: a run of train.py (or a folder of weights), shards, the held-out channels. Out: `Losses`. For evaluate.py's
subcommands, which compare them.

    trial = Trial("runs/demo/joint", options)
    trial.losses(word_source="swapped").each("action")      # (episodes,) nats a frame
    trial.losses().moment(1).mean("action")                 # of the first second of errands (errand_times.py)

Legend: B lanes, T frames in a chunk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vlpt.checkpoint import model_folder, model_kind
from vlpt.data.lanes import Chunk, Lanes, split
from vlpt.data.shards import Episode, Shards
from vlpt.data.trunk_features import cache_features
from vlpt.data.words import load_tokenizer
from vlpt.evaluation.errand_times import BETWEEN, MOMENTS, moment_of_frames
from vlpt.files import read_json
from vlpt.model import VLPT, Output
from vlpt.options import Count, Device, Seed, pick_device
from vlpt.training.joined import JoinedOptions
from vlpt.training.losses import action_nats, language_nats
from vlpt.training.stage import TOKENIZER, StageOptions
from vlpt.training.unigram import blank_frames, count_labels, unigram_losses
from vpt.policy import Policy, PolicyOutput

ACTIONS = ("action", "action_non_null")  # nats a frame, of all frames and of those where something is pressed
# Nats a spoken token; the same without each episode's first, which a text has nothing before; nats a tick.
WORDS = ("token", "token_after_first", "silence")


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    """Which episodes a model is measured on, and how."""

    shards: str = "data/6_shards"  # LeRobotDataset folder
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels to measure on, that nothing was trained on
    lanes: Count = 8  # episodes side by side
    seed: Seed = 0  # of all that is drawn
    device: Device = "auto"  # where the model runs


@dataclass(frozen=True)
class Losses:
    """sums: {loss: (episodes, 2) nats and how many they sum}, in the order of the episodes; by_moment: the same of each
    of MOMENTS, (episodes, moments, 2), where they were told apart.
    """

    sums: dict[str, np.ndarray]
    by_moment: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of_moments(cls, by_moment: dict[str, np.ndarray]) -> "Losses":
        """Of all moments together, too."""
        return cls({name: total.sum(1) for name, total in by_moment.items()}, by_moment)

    def moment(self, number: int) -> "Losses":
        """Of one of MOMENTS alone."""
        return Losses({name: total[:, number] for name, total in self.by_moment.items()})

    def each(self, loss: str) -> np.ndarray:
        """(episodes,) nats apiece; nan where an episode has none."""
        with np.errstate(invalid="ignore"):
            return self.sums[loss][:, 0] / self.sums[loss][:, 1]

    def mean(self, loss: str) -> float:
        """Nats apiece over all episodes; nan where there is none."""
        nats, count = self.sums[loss].sum(0)
        return float(nats / count) if count else float("nan")

    def count(self, loss: str) -> int:
        """How many frames, tokens or ticks of all episodes it counts."""
        return int(self.sums[loss][:, 1].sum())

    def __add__(self, other: "Losses") -> "Losses":
        """Of the same episodes under two draws."""
        return Losses(*({name: total + others[name] for name, total in own.items()}
                        for own, others in ((self.sums, other.sums), (self.by_moment, other.by_moment))))  # fmt: skip

    def to_json(self) -> dict[str, list[float | None]]:
        """Each episode's losses; JSON has no NaN."""
        return {name: [None if np.isnan(value) else round(float(value), 5) for value in self.each(name)]
                for name in self.sums}  # fmt: skip


class OfFrames:
    """A number of each frame of some episodes, looked up for chunks of them.

    number: an episode -> (N,) int64; elsewhere: the number where there is no episode.
    """

    def __init__(self, number: Callable[[Episode], np.ndarray], episodes: Sequence[Episode], elsewhere: int,
                 device: torch.device) -> None:  # fmt: skip
        longest = max(episode.n_frames for episode in episodes)
        rows = np.full((len(episodes) + 1, longest), elsewhere)  # the last: of no episode
        for row, episode in zip(rows[:-1], episodes, strict=True):
            row[: episode.n_frames] = number(episode)
        self.rows = torch.from_numpy(rows).to(device)

    def __call__(self, chunk: Chunk) -> torch.Tensor:
        """(B, T) int64."""
        return self.rows[chunk.episode, chunk.frame.clamp(max=self.rows.shape[1] - 1)]


def reported_episodes(shards: Shards, options: TrialOptions) -> list[Episode]:
    """The episodes of the channels to measure on. Raises ValueError where there is none."""
    _, held_out = split(shards.episodes, options.held_out)
    if not held_out:
        raise ValueError("--held-out names no channel: there is nothing to measure on")
    return held_out


class Trial:
    """One trained model, a fused one or an agent alone, and how its data was read. Raises ValueError for a model that
    was trained on what is held out now.
    """

    def __init__(self, run: Path | str, options: TrialOptions, shards: Shards | None = None) -> None:
        self.options, folder, record = options, model_folder(run), Path(run) / "options.json"
        self.shards = shards or Shards(options.shards)
        self.episodes = reported_episodes(self.shards, options)
        self.trained = read_json(record)["options"] if record.exists() else {}
        same_shards = self.trained.get("shards", options.shards) == options.shards  # a channel's name is theirs
        kept = {*self.trained.get("held_out", options.held_out), *self.trained.get("test", ())}
        seen = set(options.held_out) - kept
        if seen and same_shards:
            raise ValueError(f"{run} was trained on {sorted(seen)}: these channels cannot be held out now")
        self.device, self.speaks = pick_device(options.device), model_kind(folder) == "VLPT"
        if not self.speaks and model_kind(folder) != "Policy":
            raise ValueError(f"{folder} holds a {model_kind(folder)}: a VLPT or a Policy is measured on episodes")
        self.model = (VLPT if self.speaks else Policy).from_pretrained(folder).to(self.device).eval()
        self.tokenizer = load_tokenizer(folder / TOKENIZER) if self.speaks else None
        self.features = self.features_of(self.episodes)

    def features_of(self, episodes: Sequence[Episode]) -> Callable:
        """What its trunk makes of episodes, in the place of `Shards.read_frames`."""
        policy = self.model.policy if self.speaks else self.model
        return cache_features(policy, self.shards, episodes, device=self.device)

    @property
    def max_lateness_ms(self) -> float:
        """Of tokens that count, as in its training."""
        return self.trained.get("max_lateness_ms", JoinedOptions.max_lateness_ms)

    def lanes(
        self, word_source: str = "true", frame_source: str = "true", seed: int = 0,
        episodes: Sequence[Episode] | None = None, read_frames: Callable | None = None,
    ) -> Lanes:
        """Each episode once, in order; see vlpt.data.lanes.Lanes."""
        episodes = self.episodes if episodes is None else episodes
        words = {}
        if self.speaks:
            words = dict(tokenizer=self.tokenizer, frames_per_tick=self.model.config.frames_per_tick,
                         silence=self.model.language.vocabulary, max_lateness_ms=self.max_lateness_ms)  # fmt: skip
        return Lanes(self.shards, episodes, lanes=min(self.options.lanes, len(episodes)), epochs=1,
                     frames_per_chunk=self.trained.get("chunk", StageOptions.chunk), word_source=word_source,
                     frame_source=frame_source, shuffle=False, seed=seed,
                     read_frames=read_frames or self.features, **words)  # fmt: skip

    def unigram_losses(self) -> dict[str, float]:
        """{loss: nats apiece} of how often each label came in its training channels, on what is measured here."""
        kept = {*self.trained["held_out"], *self.trained.get("test", ()), *self.options.held_out}
        learned = [episode for episode in self.shards.episodes if episode.channel not in kept]
        unigram = count_labels(self.lanes(episodes=learned, read_frames=blank_frames), self.model.language.vocabulary)
        return unigram_losses(unigram, self.lanes(read_frames=blank_frames), words=True)

    @torch.no_grad()
    def outputs(self, lanes: Lanes, feels: bool = True) -> Iterator[tuple[Chunk, Output | PolicyOutput]]:
        """What the model makes of each chunk, its memory carried on; feels: it knows what was done at the frame before.
        """
        memory = self.model.start(len(lanes.lanes))
        for chunk in lanes:
            chunk = chunk.to(self.device)
            last_action = chunk.last_action if feels else torch.full_like(chunk.last_action, -1)
            heard = (chunk.heard,) if self.speaks else ()
            output, memory = self.model(chunk.frames, chunk.first, *heard, memory, last_action)
            yield chunk, output

    @torch.no_grad()
    def losses(
        self, word_source: str = "true", frame_source: str = "true", seed: int = 0, feels: bool = True,
        episodes: Sequence[Episode] | None = None, read_frames: Callable | None = None,
    ) -> Losses:
        """Of every loss that the model has, in all and by moment; seed: of the partners when words or frames are
        swapped; episodes, read_frames: this trial's with other words, or film (the moments stay this trial's).
        """
        lanes = self.lanes(word_source, frame_source, seed, episodes, read_frames)
        names = ACTIONS + (WORDS if self.speaks else ())
        sums = {name: np.zeros((len(self.episodes) + 1, len(MOMENTS), 2)) for name in names}
        opening = self._opening_frames(lanes) if self.speaks else None
        for chunk, output in self.outputs(lanes, feels):
            moment = self.moments_of(chunk)
            add_actions(sums, chunk, output, moment)
            if self.speaks:
                self._add_words(sums, chunk, output, opening, moment)
        return Losses.of_moments({name: total[:-1] for name, total in sums.items()})

    def swapped(self, swaps: int, **condition) -> Losses:
        """As `losses`, over so many partners of each episode."""
        first, *others = (self.losses(**condition, seed=self.options.seed + i) for i in range(swaps))
        return sum(others, start=first)

    def moments_of(self, chunk: Chunk) -> torch.Tensor:
        """(B, T) int64: of each frame of a chunk of this trial's episodes, its number in MOMENTS."""
        return self._moments(chunk)

    @cached_property
    def _moments(self) -> "OfFrames":
        return OfFrames(moment_of_frames, self.episodes, BETWEEN, self.device)

    def _opening_frames(self, lanes: Lanes) -> torch.Tensor:
        """(episodes + 1,): the frame of each episode's first token; a frame that never comes where it has none."""
        said = [lanes.streams.tokens(i, lanes.word_source)[0] != lanes.silence for i in range(len(self.episodes))]
        frames = [int(one.argmax()) * lanes.frames_per_tick if one.any() else 2**62 for one in said]
        return torch.tensor([*frames, 2**62], device=self.device)

    def _add_words(self, sums: dict, chunk: Chunk, output: Output, opening: torch.Tensor, moment: torch.Tensor) -> None:
        silence, token, spoken = language_nats(self.model.language, output, chunk.spoken)
        counted = output.tick_valid & chunk.language_mask.gather(1, output.tick_index)
        episode, frame, moment = (values.gather(1, output.tick_index)
                                  for values in (chunk.episode, chunk.frame, moment))  # fmt: skip
        tally(sums["silence"], silence, counted, episode, moment)
        tally(sums["token"], token, counted & spoken, episode, moment)
        tally(sums["token_after_first"], token, counted & spoken & (frame > opening[episode]), episode, moment)


def add_actions(sums: dict[str, np.ndarray], chunk: Chunk, output: Output | PolicyOutput, *moment: torch.Tensor
                ) -> None:  # fmt: skip
    """Adds a chunk's action losses, under both masks; moment: (B, T) where it is told apart."""
    buttons, camera = action_nats(output.action, chunk.buttons_index, chunk.camera_index)
    tally(sums["action"], buttons + camera, chunk.action_mask, chunk.episode, *moment)
    tally(sums["action_non_null"], buttons + camera, chunk.action_mask & ~chunk.null, chunk.episode, *moment)


def tally(sums: np.ndarray, nats: torch.Tensor, mask: torch.Tensor, *row: torch.Tensor) -> None:
    """Adds nats and counts to sums (episodes + 1, 2), or (episodes + 1, moments, 2), where the mask is True; row: the
    episode of each, and its moment. Episode -1 goes to the last row.
    """
    place = tuple(index[mask].cpu().numpy() for index in row)
    for column, value in ((0, nats), (1, torch.ones_like(nats))):
        np.add.at(sums[..., column], place, value[mask].double().cpu().numpy())
