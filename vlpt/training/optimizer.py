"""The optimiser: AdamW, a rate per kind of weight, decay on matrices only, warm-up then cosine, clipping that clips.

In: named groups of parameters (as `VLPT.groups()` gives them) and a base rate for each name. Out: a torch optimiser.
Rates follow what fine-tunes VPT well (STEVE-1, MineStudio): 4e-5 for pre-trained weights, 1e-4 for new modules, and far
more for the gates, which are single numbers that start at 0 and must be able to open in the steps there are.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn


def make_optimizer(
    groups: dict[str, Iterable[nn.Parameter]], rates: dict[str, float], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters of `groups`; `rates[name]` is the base learning rate of group `name`.

    Decay acts on tensors of two or more dimensions only: not on biases, norms, gates. Raises ValueError when nothing is
    trainable or a group has no rate.
    """
    settings = []
    for name, parameters in groups.items():
        trainable = [p for p in parameters if p.requires_grad]
        if trainable and name not in rates:
            raise ValueError(f"no learning rate for the parameter group {name!r}; rates are given for {sorted(rates)}")
        for matrices in (True, False):
            members = [p for p in trainable if (p.ndim >= 2) == matrices]
            if members:
                decay = weight_decay if matrices else 0.0
                settings.append(dict(params=members, lr=rates[name], base=rates[name], weight_decay=decay, name=name))
    if not settings:
        raise ValueError("nothing to train: every parameter is frozen")
    return torch.optim.AdamW(settings, betas=(0.9, 0.95))


def schedule(step: int, steps: int, warmup: int, floor: float = 0.1) -> float:
    """The factor on every base rate at `step` of `steps`: linear warm-up, then cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Sets every group's learning rate to its base rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def clip(optimizer: torch.optim.Optimizer, max_norm: float) -> float:
    """Scales all gradients down to a joint L2 norm of at most `max_norm`; returns the norm before."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return float(nn.utils.clip_grad_norm_(parameters, max_norm))
