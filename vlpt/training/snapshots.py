"""Checkpoints that training does not wait for: weights and state are copied to memory, and a thread writes them.

In: a stage, its optimiser, what else a trainer's state holds. Out: `checkpoint/` of a run, `earlier/`, `best/` (see
vlpt/checkpoint.py), and of other processes than the first the memory of their lanes, `ranks/<step>/<rank>.pt`. Weights
that FSDP shards are put together first, in every process; so what is written does not depend on how many there were.

    snapshots = Snapshots(run, stage, keep=2)      # before anything wraps the stage's model
    snapshots.save(dict(step=100, …), optimizer, average)
    snapshots.wait()                               # raises what went wrong in the thread
"""

import copy
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn

from vlpt.checkpoint import Run
from vlpt.files import whole_file
from vlpt.training.average import Average
from vlpt.training.parallel import whole
from vlpt.training.processes import rank
from vlpt.training.stage import Stage

Weights = dict[str, Tensor]


class Twin:
    """A stage's models once more, on the processor, to be written while the stage trains on."""

    def __init__(self, stage: Stage) -> None:
        self.stage, shared = copy.copy(stage), {}
        for name in stage.written:
            setattr(self.stage, name, copy.deepcopy(getattr(stage, name), shared).cpu())

    @torch.no_grad()
    def save(self, weights: Weights, folder: Path, half: bool = False) -> None:
        """Writes the model with these weights; those that are not named are as they were."""
        own = {**dict(self.stage.model.named_parameters()), **dict(self.stage.model.named_buffers())}
        for name, tensor in weights.items():
            own[name].copy_(tensor)
        self.stage.save(folder, half)


class Snapshots:
    """The checkpoints of a run, written one after another. As a context: at its end all are."""

    def __init__(self, run: Run, stage: Stage, keep: int = 1) -> None:
        self.run, self.stage, self.keep = run, stage, keep
        self.twin = Twin(stage) if rank() == 0 else None
        self._thread, self._pending = ThreadPoolExecutor(1, "checkpoint"), []

    def __enter__(self) -> "Snapshots":
        return self

    def __exit__(self, *_) -> None:
        self.wait()

    def save(self, state: dict, optimizer: torch.optim.Optimizer, average: Average) -> None:
        """Has a checkpoint written.

        state: of the trainer, with its `step`; what the stage remembers, the optimiser and the mean weights are added.
        """
        self.wait(but_for=1)
        weights, own = moving(self.stage.model), on_host(self.stage.state())
        state = state | dict(stage=own, optimizer=on_host(optimizer.state_dict()), average=on_host(average.state()),
                             random=dict(torch=torch.get_rng_state()))  # fmt: skip
        if rank():
            self._begin(lambda: self._write_rank(state))
        else:
            self._begin(lambda: self.run.save(lambda folder: self._write_models(folder, weights, state["average"]),
                                              state, self.keep))  # fmt: skip

    def save_best(self, average: Average, told: dict) -> None:
        """Has the weights of now written as the best; told: what best.json says of them."""
        self.wait(but_for=1)
        weights, mean = moving(self.stage.model), on_host(average.state())
        if rank() == 0:
            self._begin(lambda: self.run.save_best(lambda folder: self.twin.save(weights | mean, folder), told))

    def export(self, folder: Path, average: Average) -> None:
        """The weights of now, or if there is one their mean, in half precision."""
        self.wait()
        weights = moving(self.stage.model) | on_host(average.state())
        if rank() == 0:
            self.twin.save(weights, folder, half=True)

    def wait(self, but_for: int = 0) -> None:
        """Until so many wait to be written at most. Raises what went wrong, as ValueError where a disk is full."""
        while len(self._pending) > but_for:
            self._pending.pop(0).result()

    def _write_models(self, folder: Path, weights: Weights, mean: Weights) -> None:
        self.twin.save(weights, folder / "model")
        if mean:
            self.twin.save(mean, folder / "ema")

    def _write_rank(self, state: dict) -> None:
        """What only this process knows."""
        folder = self.run.folder / "ranks"
        place = folder / str(state["step"]) / f"{rank()}.pt"
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(place) as unfinished:
            torch.save(dict(stage=state["stage"], random=state["random"]), unfinished)
        steps = sorted((int(path.name) for path in folder.iterdir()), reverse=True)
        for step in steps[self.keep + 1 :]:  # one more: the first process may not have replaced its own yet
            shutil.rmtree(folder / str(step), ignore_errors=True)

    def _begin(self, write: Callable[[], None]) -> None:
        self._pending.append(self._thread.submit(write))


def moving(model: nn.Module) -> Weights:
    """Copies on the processor of all that training changes: parameters that are trained, and buffers."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return on_host({**trained, **dict(model.named_buffers())})


def on_host(state):
    """The same nest of dictionaries, lists and tuples, every tensor of it a whole copy on the processor."""
    if isinstance(state, Tensor):
        return whole(state.detach()).to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: on_host(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_host(value) for value in state)
    return state


def own_state(run: Run, state: dict) -> dict:
    """A checkpoint's state as this process takes it: the first one's, with what this one wrote beside it, or else
    without what only this one could know."""
    path = run.folder / "ranks" / str(state["step"]) / f"{rank()}.pt"
    if rank() == 0:
        return state
    if path.is_file():
        return state | torch.load(path, map_location="cpu", weights_only=True)
    return state | dict(random=None, stage={name: x for name, x in state["stage"].items() if name != "memory"})
