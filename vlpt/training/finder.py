"""Stage finder: where in the picture each kind of thing is, learned from what the world knows to be in view.

In: shards, of each episode a file that says what is in view (`python -m data_gathering.view`), an agent. Out: that
agent with a finder (vpt/finder.py), for `train.py action --finder`. The world says of each thing in which thirds of
the picture it is and how much of them it covers; in which column of a third the finder learns from that alone. What is
hardly in view counts neither way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from vlpt.checkpoint import model_folder
from vlpt.data.meant import THINGS
from vlpt.data.shards import Episode, Shards
from vlpt.data.views import SIDES, Line, read_view
from vlpt.options import Count, NotNegative, Positive
from vlpt.training.diverged import stretches
from vlpt.training.episodes import ShardOptions, read_episodes
from vlpt.training.losses import LossPart, LossTotals
from vlpt.training.processes import rank, world_size
from vlpt.training.stage import Stage, count_parameters, prefixed
from vpt.finder import COLUMNS, Finder
from vpt.policy import Policy

IN_VIEW = 0.001  # share of the picture, all of it in one third
BRIGHTER, CONTRAST = 0.1, 0.2  # standard deviations by which pictures are changed


@dataclass(frozen=True, kw_only=True)
class FinderOptions(ShardOptions):
    """A finder: where in the picture is each kind of thing?"""

    stage = "finder"

    base: str = "pretrained/base"  # the agent that gets it: a run or a model folder
    views: str = "data_gathering/samples"  # folder of <id>.view.jsonl.gz
    every: Count = 8  # frames from one that is looked at to the next
    lanes: Count = 64  # pictures in a batch
    chunk: Count = 1
    accumulate: Count = 1
    weight_decay: NotNegative = 0.02
    rate_new: Positive = 3e-3  # learning rate


class Pictures(NamedTuple):
    """Frames, and what is in view in them."""

    frames: np.ndarray  # (N, px, px, 3) uint8
    share: Tensor  # (N, K, 3): of the picture that a kind of thing covers in each third
    episode: Tensor  # (N,)
    frame: Tensor  # (N,)


class Batch(NamedTuple):
    """Some of them."""

    frames: Tensor
    share: Tensor
    index: Tensor


def read_pictures(shards: Shards, episodes: Sequence[Episode], views: str, every: int) -> Pictures:
    """Raises ValueError for an episode of which nobody says what is in view."""
    frames, share, where = [], [], []
    for number, episode in enumerate(episodes):
        lines = read_view(views, episode)
        lines = [line for line in lines if line.frame % every == 0]
        frames.append(shards.read_frames(episode)[[line.frame for line in lines]])
        share += [shares(line) for line in lines]
        where += [(number, line.frame) for line in lines]
    return Pictures(np.concatenate(frames), torch.tensor(np.array(share)), *torch.tensor(where).T)


def shares(line: Line) -> np.ndarray:
    """(K, 3) float32."""
    found = np.zeros((len(THINGS), len(SIDES)), np.float32)
    for thing in line.things:
        name = thing.kind, thing.colour if (thing.kind, "") not in THINGS else ""
        if name in THINGS:
            found[THINGS.index(name)] += thing.share
    return found


def by_third(columns: Tensor) -> Tensor:
    """(N, K, COLUMNS) log odds -> (N, K, 3): of being in one of its columns; those on a border belong to both."""
    edges = np.arange(4) * COLUMNS / 3
    thirds = zip(np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int), strict=True)
    return torch.stack([columns[..., start:stop].logsumexp(2) for start, stop in thirds], 2)


class FinderStage(Stage):
    """Pictures in, of each kind of thing in which thirds it is."""

    Options = FinderOptions
    written = ("policy", "model")

    def __init__(self, options: FinderOptions, device: torch.device) -> None:
        self.options, self.device = options, device
        data, base = read_episodes(options), Policy.from_pretrained(model_folder(options.base))
        self.episodes = data.train
        self.train = read_pictures(data.shards, data.train, options.views, options.every)
        held_out = (data.shards, data.held_out, options.views, options.every)
        self.held_out = read_pictures(*held_out) if data.held_out else None
        self.policy = base.with_finder(Finder(len(THINGS), base.config.px)) .to(device)
        self.model: nn.Module = self.policy.finder
        self.drawn = 0  # batches

    def describe(self) -> str:
        held_out = len(self.held_out.frames) if self.held_out else 0
        return f"finder: {count_parameters(self.model)}, {len(self.train.frames):,} pictures, {held_out:,} held out"

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"finder": list(self.model.parameters())}

    def rates(self) -> dict[str, float]:
        return {"finder": self.options.rate_new}

    def weights(self) -> dict[str, float]:
        return {"in_view": 1.0}

    def next_batch(self) -> Batch:
        """Drawn anew for each, half of it as in a mirror, lighter or darker."""
        random = torch.Generator().manual_seed(seed_of(self.options.seed, self.drawn, rank(), world_size()))
        self.drawn += 1
        index = torch.randint(len(self.train.frames), (self.options.lanes,), generator=random)
        frames, share = torch.from_numpy(self.train.frames[index.numpy()]), self.train.share[index]
        mirrored = torch.rand(len(index), generator=random) < 0.5
        frames, share = frames.clone(), share.clone()
        frames[mirrored], share[mirrored] = frames[mirrored].flip(2), share[mirrored].flip(2)
        contrast = 1 + CONTRAST * torch.randn(len(index), 1, 1, 1, generator=random)
        brightness = 127.5 + 255 * BRIGHTER * torch.randn(len(index), 1, 1, 1, generator=random)
        changed = (frames - 127.5) * contrast + brightness
        return Batch(changed.clamp(0, 255).to(torch.uint8), share, index)

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"in_view": int(is_clear(batch.share).sum())}

    def place(self, batch: Batch) -> str:
        episode, frame = (x[batch.index][:, None] for x in (self.train.episode, self.train.frame))
        return stretches(episode, frame, [one.id for one in self.episodes])

    def losses(self, batch: Batch) -> dict[str, LossPart]:
        return self.step(batch.frames, batch.share)

    def step(self, frames: Tensor, share: Tensor) -> dict[str, LossPart]:
        """in_view: nats for each kind of thing and third of the picture in which it clearly is or is not."""
        found, share = by_third(self.model(frames.to(self.device))), share.to(self.device)
        nats = binary_cross_entropy_with_logits(found.float(), (share >= IN_VIEW).float(), reduction="none")
        return dict(in_view=LossPart.of(nats, is_clear(share)))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        totals = LossTotals()
        for start in range(0, len(self.held_out.frames) if self.held_out else 0, self.options.lanes):
            part = slice(start, start + self.options.lanes)
            totals.add(self.step(torch.from_numpy(self.held_out.frames[part]), self.held_out.share[part]))
        return prefixed("valid", totals.means())

    def baselines(self) -> dict[str, float]:
        """Of saying how often each is seen where."""
        if not self.held_out:
            return {}
        often = ((self.train.share >= IN_VIEW).float().mean(0)).clamp(1e-4, 1 - 1e-4).logit()
        share = self.held_out.share
        nats = binary_cross_entropy_with_logits(often.expand_as(share), (share >= IN_VIEW).float(), reduction="none")
        return {"unigram/in_view": float(nats[is_clear(share)].mean())}

    def save(self, folder: Path, half: bool = False) -> None:
        self.policy.save_pretrained(folder, half=half)

    def state(self) -> dict:
        return dict(drawn=self.drawn)

    def load(self, folder: Path, state: dict) -> None:
        self.policy.load_state_dict(Policy.from_pretrained(folder).state_dict())
        self.drawn = state["drawn"]


def seed_of(*numbers: int) -> int:
    """One that no other numbers give."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def is_clear(share: Tensor) -> Tensor:
    """(N, K, 3) bool: clearly in view, or not at all."""
    return (share == 0) | (share >= IN_VIEW)


def read_finder(folder: str) -> Finder:
    """Of an agent, a run or a folder. Raises ValueError where it has none."""
    policy = Policy.from_pretrained(model_folder(folder))
    if policy.finder is None:
        raise ValueError(f"{folder} holds an agent without a finder: make one with python train.py finder")
    return policy.finder
