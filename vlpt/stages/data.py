"""What the stages share: which episodes to train on, and how numbers are named.

In: the options of train.py. Out: shards, episodes, names.
"""

import torch
from torch import nn

from vlpt.load import split
from vlpt.memory import map_tensors
from vlpt.shards import Episode, Shards

TOKENIZER = "tokenizer.json"


def read_episodes(options) -> tuple[Shards, list[Episode], list[Episode]]:
    """Shards, the episodes to train on (those not held out, or of them those of `train_on`), the held-out ones."""
    shards = Shards(options.shards)
    train, held_out = split(shards.episodes, options.held_out)
    if options.train_on:
        train = [episode for episode in train if episode.channel in options.train_on]
    return shards, train, held_out


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
