"""What the stages share: which episodes to train on, and how numbers are named.

In: the options of train.py. Out: shards, episodes, names.
"""

import numpy as np
import torch
from torch import nn

from vlpt.data.lanes import split
from vlpt.data.shards import Episode, Shards
from vpt.trees import map_tensors

TOKENIZER = "tokenizer.json"


def read_episodes(options) -> tuple[Shards, list[Episode], list[Episode]]:
    """Shards, the episodes to train on (those not held out, or of them those of `train_on`), the held-out ones."""
    shards = Shards(options.shards)
    train, held_out = split(shards.episodes, options.held_out)
    if options.train_on:
        train = [episode for episode in train if episode.channel in options.train_on]
    return shards, train, held_out


def sample_clips(shards: Shards, episodes: list[Episode], *, count: int, frames: int, seed: int) -> torch.Tensor:
    """Frames from everywhere: (count, frames, 128, 128, 3) uint8, each row from a random place of a random episode."""
    random, rows = np.random.default_rng((seed, count)), []
    for episode in random.choice(np.array(episodes, dtype=object), count):
        start = int(random.integers(0, max(1, episode.n_frames - frames + 1)))
        shown = shards.read_frames(episode, start, min(start + frames, episode.n_frames))
        rows.append(np.resize(shown, (frames, *shown.shape[1:])))
    return torch.from_numpy(np.stack(rows))


def parameters_apart(rest: str, model: nn.Module, **parts: list[nn.Module]) -> dict[str, list[nn.Parameter]]:
    """The parameters of named parts of a model, and under the name `rest` all others: each exactly once."""
    found = {name: [p for module in modules for p in module.parameters()] for name, modules in parts.items()}
    apart = {id(parameter) for parameters in found.values() for parameter in parameters}
    return {rest: [p for p in model.parameters() if id(p) not in apart], **found}


def prefixed(prefix: str, means: dict[str, float]) -> dict[str, float]:
    """{"loss": x} -> {"<prefix>/loss": x}."""
    return {f"{prefix}/{name}": value for name, value in means.items()}


def count_parameters(model: nn.Module) -> str:
    """Trained and all parameters, in millions."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{trained / 1e6:.2f} of {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters trained"


def detached(memory):
    """Any nest of memories, cut from the graph of the chunk before."""
    return map_tensors(torch.Tensor.detach, memory)
