"""What a run tells of itself while it trains: log.jsonl and TensorBoard, and Weights & Biases where it is asked for.

In: one dict of numbers a step. Out: a line, curves. Only the first of the processes that train together tells.

    with telling(run, options, first_step=0) as tell:
        tell(dict(step=1, action=3.2))
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from vlpt.checkpoint import Run
from vlpt.training.stage import StageOptions

Tell = Callable[[dict], None]


@contextmanager
def telling(run: Run, options: StageOptions, first_step: int) -> Iterator[Tell]:
    """A context with a function that takes a row; what an earlier start told from `first_step` on is taken back.

    Raises ValueError where --wandb is asked for and not installed.
    """
    if not run.writes:
        yield lambda row: None
        return
    others = wandb_run(run, options)
    with curves(run.folder / "tensorboard", first_step) as writer:
        def tell(row: dict) -> None:
            run.log(row)
            values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items()]
            writer.file_writer.add_summary(Summary(value=values), row["step"])
            if others:
                others.log(row, step=row["step"])

        try:
            yield tell
        finally:
            if others:
                others.finish()


@contextmanager
def curves(folder, first_step: int) -> Iterator[SummaryWriter]:
    """A context with TensorBoard's writer.

    It writes in a thread of its own, and raises what happens there, as on a full disk, at the next row too: that is
    enough, so the thread's own report is left out.
    """
    before = threading.excepthook
    threading.excepthook = lambda told: None if isinstance(told.exc_value, OSError) else before(told)
    try:
        writer = SummaryWriter(folder, purge_step=first_step)
        try:
            yield writer
        finally:
            writer.close()
    finally:
        threading.excepthook = before


def wandb_run(run: Run, options: StageOptions):
    """A run on Weights & Biases, or None where none is asked for; the same one when this run goes on.

    Who is told, and whether over the network, its own settings say (WANDB_MODE=offline writes a folder in the run's).
    """
    if not options.wandb:
        return None
    try:
        import wandb
    except ImportError as error:
        raise ValueError("--wandb needs the package wandb: pip install wandb, then wandb login (or WANDB_MODE=offline)"
                         ) from error  # fmt: skip
    os.environ.setdefault("WANDB_SILENT", "true")
    return wandb.init(project=options.wandb, name=options.name, id=options.name, resume="allow", config=run.options,
                      dir=str(run.folder))  # fmt: skip
