"""The optimiser: AdamW, a rate per kind of weight, decay on weights only, warm-up then cosine, clipping that clips.

In: a model, named groups of its parameters (as `VLPT.groups()` gives them) and a base rate for each name. Out: a torch
optimiser. Rates follow what fine-tunes VPT well (STEVE-1, MineStudio): 4e-5 for pre-trained weights, 1e-4 for new
modules, and far more for the gates, which are single numbers that start at 0 and must be able to open in the steps
there are.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from vlpt.language.token_table import TokenTable
from vlpt.training.parallel import local, sharded_as, whole

WEIGHED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)  # modules whose `weight` multiplies their input


def make_optimizer(
    model: nn.Module, groups: dict[str, Iterable[nn.Parameter]], rates: dict[str, float], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters of `groups`; `rates[name]` is the base learning rate of group `name`.

    Decay acts on the weights of the model's linear layers, convolutions and tables (`decaying`), on nothing else. Each
    group is up to two of the optimiser's: what decays, then what does not. Raises ValueError when nothing is trainable
    or a group has no rate.
    """
    settings, weights = [], {id(weight) for weight in decaying(model)}
    for name, parameters in groups.items():
        trainable = [p for p in parameters if p.requires_grad]
        if trainable and name not in rates:
            raise ValueError(f"no learning rate for the parameter group {name!r}; rates are given for {sorted(rates)}")
        for decays in (True, False):
            members = [p for p in trainable if (id(p) in weights) == decays]
            if members:
                decay = weight_decay if decays else 0.0
                settings.append(dict(params=members, lr=rates[name], base=rates[name], weight_decay=decay, name=name))
    if not settings:
        raise ValueError("nothing to train: every parameter is frozen")
    return torch.optim.AdamW(settings, betas=(0.9, 0.95))


def decaying(model: nn.Module) -> list[nn.Parameter]:
    """The weights that decay: those that multiply an input. Biases (those of attention scores have two dimensions, and
    so have VPT's curves over age), norms, gates and single vectors do not, whatever their shape.
    """
    found = []
    for module in model.modules():
        if isinstance(module, WEIGHED):
            found.append(module.weight)
        elif isinstance(module, TokenTable):
            found += [parameter for parameter in module.parameters() if parameter.ndim == 2]
    return found


def restore(optimizer: torch.optim.Optimizer, state: dict, folder: Path) -> None:
    """Goes on from what `state_dict` gave. Raises ValueError naming the run's folder where that was of other groups."""
    ours, theirs = (
        [(group["name"], group["weight_decay"] > 0, len(group["params"])) for group in groups]
        for groups in (optimizer.param_groups, state["param_groups"])
    )
    if ours != theirs:
        raise ValueError(f"{folder}: its checkpoint sorts the weights in another way, as another version of this "
                         "program does: go on from its weights under another --name (--start), or delete the folder")
    each = [p for group in optimizer.param_groups for p in group["params"]]
    moments = {number: {name: sharded_as(x, each[number]) if torch.is_tensor(x) else x for name, x in one.items()}
               for number, one in state["state"].items()}  # fmt: skip
    optimizer.load_state_dict({**state, "state": moments})


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
    return clip_and_tell(optimizer, max_norm)[0]


def clip_and_tell(optimizer: torch.optim.Optimizer, max_norm: float) -> tuple[float, dict[str, float]]:
    """As `clip`; and the norm before of each group's gradients, by name."""
    named = [(group.get("name", "all"), [p.grad for p in group["params"] if p.grad is not None])
             for group in optimizer.param_groups]  # fmt: skip
    named = [(name, gradients) for name, gradients in named if gradients]
    norms = torch.stack([whole(nn.utils.get_total_norm(gradients)) for _, gradients in named])
    total = torch.linalg.vector_norm(norms)
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_, without asking whether it is 1
    for _, gradients in named:
        torch._foreach_mul_([local(gradient) for gradient in gradients], factor)
    *each, total = torch.cat([norms, total[None]]).tolist()
    by_name: dict[str, float] = {}
    for (name, _), norm in zip(named, each, strict=True):
        by_name[name] = math.hypot(by_name.get(name, 0.0), norm)
    return total, by_name
