"""Activation checkpointing: what backward needs of the trunk and the language model is made again instead of kept.

In: a model. Out: the same model, in place, whose training takes less memory and about a third more time; losses and
gradients are the same, bit for bit. Chen et al. 2016 (1604.06174).

    recompute(model)
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vlpt.language.interface import LanguageModel
from vpt.attention import Block
from vpt.cnn import Stack


def recompute(model: nn.Module) -> nn.Module:
    """Of each picture stack, block and layer of the language model only what goes in is kept; names of weights stay.

    Raises ValueError for a model that has none of these.
    """
    parts = [part for part in model.modules() if isinstance(part, Stack | Block | LanguageModel)]
    if not parts:
        raise ValueError("--recompute has no effect here: the model has no pictures, blocks or language layers")
    for part in parts:
        if isinstance(part, LanguageModel):
            part.run_layers = _layer_by_layer(part.run_layers)
            continue
        part.forward = _made_again(part.forward)
        if isinstance(part, Block):
            part.all_to_all = _made_again(part.all_to_all)
    return model


def _made_again(run: Callable) -> Callable:
    def run_again(*inputs):
        return checkpoint(run, *inputs, use_reentrant=False) if torch.is_grad_enabled() else run(*inputs)

    return run_again


def _layer_by_layer(run_layers: Callable) -> Callable:
    """`LanguageModel.run_layers`, in which each layer is one part."""
    run = _made_again(run_layers)

    def run_each(x, prepared, memory, layers: range):
        rows = ()
        for i in layers:
            x, kept = run(x, prepared, memory, range(i, i + 1))
            rows += kept
        return x, rows

    return run_each
