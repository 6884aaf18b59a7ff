"""The loop that fine-tunes an agent by a recipe of published_recipe.py, small enough to be read beside both scripts.

In: an agent, lanes of episodes, a recipe. Out: the agent, trained in place; `fine_tuned` keeps it on the disk:

    fine_tuned(options, "ours", folder, made_with)    # {"frames", "updates", "frames_a_second", …}, as trained.json has

The trunk stays frozen under every recipe and is read from its cached outputs. A recipe that is done is not trained
again.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from vlpt.checkpoint import model_folder, model_kind
from vlpt.data.lanes import Chunk, Lanes
from vlpt.data.trunk_features import cache_features
from vlpt.evaluation.published_recipe import (
    CHUNK,
    LANES,
    RECIPES,
    Cut,
    Recipe,
    counted,
    idle_frames,
    labelled,
    nats,
    optimizer_of,
)
from vlpt.files import read_json, whole_folder, write_json
from vlpt.options import pick_device
from vlpt.training.base import BaseOptions
from vlpt.training.episodes import EpisodeSplit
from vlpt.training.optimizer import clip, schedule, set_rates
from vlpt.training.stage import detached
from vpt.policy import Policy

TRAINED = "trained.json"


@dataclass(frozen=True)
class Pace:
    """How long, and how fast."""

    frames: int  # seen in training, at least
    rate: float  # of ours, after warm-up
    published_rate: float  # of a constant rate

    def chunks(self) -> int:
        return math.ceil(self.frames / (LANES * CHUNK))

    def factor(self, recipe: Recipe, step: int) -> float:
        """On the base rate, at an update."""
        if recipe.constant_rate:
            return 1.0
        steps = math.ceil(self.chunks() * LANES * CHUNK / Cut.of(recipe).update)
        return schedule(step, steps, min(BaseOptions.warmup, max(1, steps // 10)))

    def base_rate(self, recipe: Recipe) -> float:
        return self.published_rate if recipe.constant_rate else self.rate


class Training:
    """An agent, its optimiser, and the memory of its lanes."""

    def __init__(self, model: Policy, recipe: Recipe, pace: Pace) -> None:
        self.model, self.recipe, self.pace, self.cut = model, recipe, pace, Cut.of(recipe)
        self.optimizer = optimizer_of(model, recipe, pace.base_rate(recipe))
        self.memories = [model.start(self.cut.lanes)] * (LANES // self.cut.lanes)  # of the lanes that are one sample
        self.updates, self._frames, self._count = 0, 0, 0  # the last two: in the update that is being gathered

    def learn(self, chunk: Chunk, mask: Tensor) -> None:
        """chunk: LANES x CHUNK frames; mask: those that count."""
        for group, rows, columns in cuts(self.cut):
            sample = part_of(chunk, rows, columns)
            self._learn(group, sample, mask[rows, columns])
            self._frames += sample.frame.numel()
            if self._frames == self.cut.update:
                self.update()

    def _learn(self, group: int, sample: Chunk, mask: Tensor) -> None:
        """Adds the gradient of a sample's sum."""
        output, after = self.model(sample.frames, sample.first, self.memories[group], sample.last_action)
        self.memories[group] = detached(after)
        count = int(mask.sum())
        if count:
            nats(output.action, sample, self.recipe).masked_fill(~mask, 0).sum().backward()
        self._count += count

    def update(self) -> None:
        """One step by the gradient of the mean over all that counted since the last one; none where nothing did."""
        if self._count:
            set_rates(self.optimizer, self.pace.factor(self.recipe, self.updates))
            for group in self.optimizer.param_groups:
                torch._foreach_div_([p.grad for p in group["params"] if p.grad is not None], self._count)
            if not self.recipe.unclipped:
                clip(self.optimizer, BaseOptions.clip)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        self.updates += bool(self._frames)
        self._frames = self._count = 0


def cuts(cut: Cut) -> Iterator[tuple[int, slice, slice]]:
    """The samples of a chunk, in time: number of the group of lanes, its lanes, its frames."""
    for column in range(0, CHUNK, cut.frames):
        for group in range(LANES // cut.lanes):
            row = group * cut.lanes
            yield group, slice(row, row + cut.lanes), slice(column, column + cut.frames)


def part_of(chunk: Chunk, rows: slice, columns: slice) -> Chunk:
    """Some lanes, some frames."""
    return Chunk(**{field.name: getattr(chunk, field.name)[rows, columns] for field in fields(Chunk)})


def fine_tuned(options, name: str, data: EpisodeSplit, folder: Path, made_with: dict) -> dict:
    """The recipe of that name, trained into a folder, unless it is there; what `trained.json` says in it.

    options: base, frames, rate, published_rate, drop_last_action, seed, device; made_with: what weights depend on.
    Raises ValueError for weights that are there and were made with something else.
    """
    place = folder / name
    if (place / TRAINED).exists():
        found = read_json(place / TRAINED)
        if found["made_with"] != made_with:
            raise ValueError(f"{place} was trained with other options: give --out another name, or delete it")
        return found
    begin = time.monotonic()
    model, updates, seen = trained(options, RECIPES[name], data, name)
    found = {"frames": seen, "updates": updates, "frames_a_second": seen / (time.monotonic() - begin),
             "made_with": made_with}  # fmt: skip
    with whole_folder(place) as unfinished:
        model.save_pretrained(unfinished)
        write_json(unfinished / TRAINED, found)
    return found


def trained(options, recipe: Recipe, data: EpisodeSplit, name: str = "") -> tuple[Policy, int, int]:
    """The agent, the number of updates, the number of frames seen."""
    torch.manual_seed(options.seed)
    device = pick_device(options.device)
    model = load_base(options.base).to(device)
    episodes = [labelled(episode, recipe) for episode in data.train]
    features = cache_features(model, data.shards, data.train, device=device)
    lanes = Lanes(data.shards, episodes, lanes=LANES, frames_per_chunk=CHUNK, seed=options.seed,
                  read_frames=features, drop_last_action=options.drop_last_action)  # fmt: skip
    pace, idle = Pace(options.frames, options.rate, options.published_rate), idle_frames(data.train)
    training = Training(model, recipe, pace)
    for _ in tqdm(range(pace.chunks()), f"train {name}", unit="chunk"):
        chunk = next(lanes).to(device)
        training.learn(chunk, counted(chunk, idle, recipe))
    training.update()
    return model.eval(), training.updates, pace.chunks() * LANES * CHUNK


def load_base(base: str) -> Policy:
    """The agent to fine-tune, its trunk frozen. Raises ValueError for a model that is none."""
    folder = model_folder(base)
    if model_kind(folder) != "Policy":
        raise ValueError(f"--base {base} holds a {model_kind(folder)}: take an agent of stage base")
    model = Policy.from_pretrained(folder).train()
    for part in model.trunk:
        part.requires_grad_(False)
    return model
