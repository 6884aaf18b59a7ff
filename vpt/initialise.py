"""Networks made anew: norms that are standard over data, heads that begin with the frequencies of actions.

In: a model with the published random weights. Out: the same model, changed in place. Nothing here concerns released or
trained weights. Together with vpt/motion_filters.py it is worth about ten times the updates (docs/log.md).
Data-dependent scaling: Mishkin & Matas 2015 (1511.06422).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vpt.cnn import PictureNorm

LEAST_DEVIATION = 0.1  # of a norm's output: what hardly ever moves is not blown up


@torch.no_grad()
def standardise_norms(model: nn.Module, run: Callable[[], object]) -> None:
    """Sets scale and shift of every norm so that its output is standard, per channel, over what `run()` shows.

    run: calls the model once; a norm that is used several times is set at its first use.
    """

    def hook(norm: nn.Module, _, output: Tensor) -> Tensor:
        axes = tuple(range(output.ndim - 1))
        mean, deviation = output.mean(axes), output.std(axes).clamp_min(LEAST_DEVIATION)
        norm.weight.div_(deviation)
        norm.bias.sub_(mean).div_(deviation)
        hooks.pop(norm).remove()
        return (output - mean) / deviation

    norms = [module for module in model.modules() if isinstance(module, (nn.LayerNorm, PictureNorm))]
    hooks = {norm: norm.register_forward_hook(hook) for norm in norms}
    run()
    for unused in hooks.values():
        unused.remove()


@torch.no_grad()
def set_class_frequencies(head, frequency: Tensor) -> None:
    """A categorical head begins with these frequencies (as many as it has classes), hardly swayed by its input."""
    head.linear.bias.copy_(frequency.flatten().log() * head.temperature)
    head.linear.weight.mul_(0.1)
