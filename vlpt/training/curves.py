"""TensorBoard's curves of a run.

    with curves("runs/demo/base/tensorboard", first_step=0) as writer:
        writer.add_scalar("action", 3.2, 1)
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


@contextmanager
def curves(folder: Path | str, first_step: int) -> Iterator[SummaryWriter]:
    """A context with a writer; what an earlier start wrote from `first_step` on is taken back.

    TensorBoard writes in a thread of its own, and raises what happens there, as on a full disk, at the next `add_…`
    too: that is enough, so the thread's own report is left out.
    """
    before = threading.excepthook
    threading.excepthook = lambda told: None if isinstance(told.exc_value, OSError) else before(told)
    try:
        with closing(SummaryWriter(folder, purge_step=first_step)) as writer:
            yield writer
    finally:
        threading.excepthook = before
