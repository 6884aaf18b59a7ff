"""Checkpoints that training does not wait for: weights and state are copied to memory, and a thread writes them.

In: a stage, its optimiser, what else a trainer's state holds. Out: `checkpoint/` of a run, `earlier/`, `best/` (see
vlpt/checkpoint.py), and of other processes than the first the memory of their lanes, `ranks/<step>/<rank>.pt`. The
first process writes the models, or where FSDP shards them each its own part (vlpt/training/sharded.py).

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
from vlpt.training.sharded import OPTIMIZER, Sharded, Taken, Weights, Write
from vlpt.training.stage import Stage
from vpt.checkpoint import WEIGHTS
from vpt.sharded import put_together, write_shards


class Whole:
    """A stage's models, written by the first process, which keeps them once more on the processor for it."""

    def __init__(self, stage: Stage) -> None:
        self.model = stage.model
        if rank():
            return
        self.stage, shared = copy.copy(stage), {}
        for name in stage.written:
            setattr(self.stage, name, copy.deepcopy(getattr(stage, name), shared).cpu())

    def take(self, average: Average, optimizer: torch.optim.Optimizer | None = None) -> Taken:
        """Copies of all that training changes."""
        mean = on_host(average.state())
        state = dict(optimizer=on_host(optimizer.state_dict()), average=mean) if optimizer else {}
        return Taken(moving(self.model), mean, state, {})

    def together(self, begin: Callable[[Write], None], write: Write) -> None:
        """begin: what the first process makes a folder with, in which it then writes."""
        if rank() == 0:
            begin(write)

    @torch.no_grad()
    def save(self, weights: Weights, folder: Path, half: bool = False) -> None:
        """Writes the model with these weights; those that are not named are as they were."""
        own = {**dict(self.stage.model.named_parameters()), **dict(self.stage.model.named_buffers())}
        for name, tensor in weights.items():
            own[name].copy_(tensor)
        self.stage.save(folder, half)

    def export(self, average: Average, checkpoint: Path, folder: Path) -> None:
        """The weights of now, or their mean, in half precision; the checkpoint has the same."""
        taken = self.take(average)
        if rank() == 0:
            self.save(taken.weights | taken.mean, folder, half=True)


class Snapshots:
    """The checkpoints of a run, written one after another. As a context: at its end all are.

    sharded: of a model that FSDP shards.
    """

    def __init__(self, run: Run, stage: Stage, keep: int = 1, sharded: bool = False) -> None:
        self.run, self.stage, self.keep = run, stage, keep
        self.form = Sharded(stage) if sharded else Whole(stage)
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
        taken, own = self.form.take(average, optimizer), on_host(self.stage.state())
        state = state | taken.state | dict(stage=own, random=dict(torch=torch.get_rng_state()))
        self._begin(lambda: self._write(taken, state))

    def save_best(self, average: Average, told: dict) -> None:
        """Has the weights of now written as the best; told: what best.json says of them."""
        self.wait(but_for=1)
        taken = self.form.take(average)
        self._begin(lambda: self.form.together(lambda write: self.run.save_best(write, told),
                                               lambda folder: self.form.save(taken.weights | taken.mean, folder)))

    def export(self, folder: Path, average: Average) -> None:
        """The weights of now, or if there is one their mean, in half precision; they are those of the last checkpoint.
        """
        self.wait()
        self.form.export(average, self.run.folder / "checkpoint", folder)

    def put_together(self) -> None:
        """What is asked for most is made a model folder like any other: the weights of the last checkpoint and of the
        best, where processes wrote a part each."""
        self.wait()
        for name in ("checkpoint/model", "checkpoint/ema", "best") if rank() == 0 else ():
            put_together(self.run.folder / name, WEIGHTS)

    def wait(self, but_for: int = 0) -> None:
        """Until so many wait to be written at most. Raises what went wrong, as ValueError where a disk is full."""
        while len(self._pending) > but_for:
            self._pending.pop(0).result()

    def _write(self, taken: Taken, state: dict) -> None:
        if rank():
            self._write_rank(state)
        self.form.together(lambda write: self.run.save(write, state, self.keep),
                           lambda folder: self._write_models(taken, folder))  # fmt: skip

    def _write_models(self, taken: Taken, folder: Path) -> None:
        self.form.save(taken.weights, folder / "model")
        if taken.mean:
            self.form.save(taken.weights | taken.mean, folder / "ema")
        if taken.moments:
            write_shards(folder / OPTIMIZER, taken.moments, self.form.group)

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
