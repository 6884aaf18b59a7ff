"""Checkpoints of a model that FSDP shards: each process writes its own part of weights, optimiser and means.

In: a stage, before anything wraps its model; later its optimiser and mean weights. Out: in a checkpoint's `model/` and
`ema/` a part of the weights from each process beside config.json (read as any model: vpt/sharded.py), and `optimizer/`
in the same way. No process holds more than its part for it. Any number of processes goes on from it, with any wrapper.

    form = Sharded(stage)                   # in every process, as all of this
    taken = form.take(average, optimizer)   # copies of the own part, on the processor
    form.together(begin, lambda folder: form.save(taken.weights, folder / "model"))
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from vlpt.checkpoint import Run
from vlpt.training.average import Average
from vlpt.training.optimizer import restore
from vlpt.training.processes import rank, world_size
from vlpt.training.stage import Stage
from vpt.checkpoint import WEIGHTS, read_weights
from vpt.sharded import fill, is_sharded, outlines, write_shards

OPTIMIZER = "optimizer"  # folder of a sharded checkpoint: moments and means, as <kind>.<name of the parameter>
Weights = dict[str, Tensor]
Write = Callable[[Path], None]  # writes into a folder


class Taken(NamedTuple):
    """Of one moment of training, on the processor."""

    weights: Weights
    mean: Weights  # of the weights that are trained; {} where none is kept
    state: dict  # what trainer.pt holds of optimiser and mean
    moments: Weights  # what it does not, as each process holds a part


class Sharded:
    """A stage's models, written by all processes together."""

    def __init__(self, stage: Stage) -> None:
        self.model, self.saved = stage.model, getattr(stage, stage.written[0])
        self.names = tuple(self.saved.state_dict())  # asked for here: it is not to be in a thread beside a forward
        self.group = dist.new_group(backend="gloo")  # of its own, as a thread uses it beside training
        self.mesh = init_device_mesh("cpu", (world_size(),))
        self.stage = outline(stage)

    @torch.no_grad()
    def take(self, average: Average, optimizer: torch.optim.Optimizer | None = None) -> Taken:
        """Copies of the own part, which training does not change."""
        weights, mean = (self._on_host(part) for part in (self.saved.state_dict(), average.state()))
        if optimizer is None:
            return Taken(weights, mean, {}, {})
        known = optimizer.state_dict()
        moments = {f"{kind}.{name}": value for name, one in zip(names(self.model, optimizer), known_in_order(known))
                   for kind, value in one.items()}  # fmt: skip
        state = dict(optimizer=known | dict(state={}), average={})
        return Taken(weights, mean, state, self._on_host(moments) | {f"mean.{n}": x for n, x in mean.items()})

    def together(self, begin: Callable[[Write], None], write: Write) -> None:
        """begin: what the first process makes a folder with, in which all then write."""
        if rank() == 0:
            begin(lambda folder: write(self._told(folder)))
        else:
            write(self._told(None))

    def save(self, weights: Weights, folder: Path) -> None:
        """The model with these weights: its config by the first process, its weights by all."""
        if rank() == 0:
            self.stage.save(folder)
        write_shards(folder, {name: weights[name] for name in self.names}, self.group)

    def export(self, average: Average, checkpoint: Path, folder: Path) -> None:
        """The weights of a checkpoint, or their mean, in half precision and one file, by the first process."""
        if rank() == 0:
            source = checkpoint / ("ema" if average.means else "model")
            getattr(self.stage, self.stage.written[0]).load_state_dict(read_weights(source / WEIGHTS), assign=True)
            self.stage.save(folder, half=True)

    def _told(self, folder: Path | None) -> Path:
        """The first process's folder, in all."""
        told = [folder]
        dist.broadcast_object_list(told, src=0, group=self.group)
        return told[0]

    def _on_host(self, tensors: Weights) -> Weights:
        return {name: self._copy(tensor.detach()) for name, tensor in tensors.items()}

    def _copy(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, DTensor):
            return tensor.to("cpu", copy=True)
        return DTensor.from_local(tensor.to_local().to("cpu", copy=True), self.mesh, tensor.placements, run_check=False,
                                  shape=tensor.shape, stride=tensor.stride())  # fmt: skip


def outline(stage: Stage) -> Stage:
    """The stage once more, its models without memory for their weights: what `save` writes of it is all but those."""
    twin, empty = copy.copy(stage), {}
    for model in (getattr(stage, name) for name in stage.written):
        empty |= {id(x): nn.Parameter(x.detach().to("meta"), x.requires_grad) for x in model.parameters()}
        empty |= {id(x): x.to("meta") for x in model.buffers()}
    for name in stage.written:
        setattr(twin, name, copy.deepcopy(getattr(stage, name), empty))
    return twin


def names(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Of the optimiser's parameters, in its order."""
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    return [known[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def known_in_order(state: dict) -> list[dict[str, Tensor]]:
    """Of `Optimizer.state_dict()`: what is kept of each parameter; {} where there was no gradient yet."""
    return [state["state"].get(number, {}) for group in state["param_groups"] for number in group["params"]]


def restore_all(
    run: Run, state: dict, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average
) -> None:
    """Optimiser and means go on from the checkpoint that the run has loaded, whose trainer.pt held `state`. Of a
    sharded one each process reads the part that it now holds.

    Raises ValueError as `restore`, and where the folder is not whole.
    """
    folder = run.place / OPTIMIZER
    if not is_sharded(folder):
        restore(optimizer, state["optimizer"], run.folder)
        average.load(state.get("average", {}))
        return
    found, read, moments = outlines(folder), {}, {}
    parameters = dict(model.named_parameters())
    for number, name in enumerate(names(model, optimizer)):
        for kind in ("step", "exp_avg", "exp_avg_sq"):
            if (key := f"{kind}.{name}") in found:
                like = torch.zeros(()) if kind == "step" else torch.zeros_like(parameters[name].detach())
                read[key] = moments.setdefault(number, {})[kind] = like
    fill(folder, read | {f"mean.{name}": mean for name, mean in average.means.items()})
    restore(optimizer, state["optimizer"] | dict(state=moments), run.folder)
