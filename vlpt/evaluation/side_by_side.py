"""Tasks done by several processes side by side, each with a worker of its own: a game, say, and an agent in it.

In: how a worker is made (it has `run(task)` and `close()`), tasks. Out: what `run` gives, as it comes, in any order.

    for row in outcomes(partial(Trials, options), lives, workers=2): ...

A process that ends too early, whoever ended it, ends the run with an error; what `run` raises is raised here. Processes
end with the one that started them, however that ends, and on Ctrl-C at once: what a worker holds must end with it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from typing import Any, Protocol


class Worker(Protocol):
    """What does tasks, one after another."""

    def run(self, task: Any) -> Any: ...

    def close(self) -> None: ...


def outcomes(make: Callable[[], Worker], tasks: Sequence, workers: int) -> Iterator:
    """What a worker's `run` gives for each task. One worker works in this process; `make` and tasks are pickled for
    several. Raises ValueError when a process was ended, or a worker could not be made in it.
    """
    if min(workers, len(tasks)) <= 1:
        with closing(make()) as worker:
            yield from map(worker.run, tasks)
        return
    pool = ProcessPoolExecutor(min(workers, len(tasks)), multiprocessing.get_context("spawn"), _begin, (make,))
    try:
        for done in as_completed([pool.submit(_run, task) for task in tasks]):
            yield done.result()
    except BrokenProcessPool as error:
        raise ValueError("a process ended before its work was done, perhaps for want of memory: give the same command "
                         "again, with fewer --workers (with 1 it says what is wrong)") from error  # fmt: skip
    finally:
        pool.shutdown(cancel_futures=True)


# ---- in a process of its own

_worker: Worker | None = None


def _begin(make: Callable[[], Worker]) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # Ctrl-C reaches all: nothing more is begun, nothing said
    _worker = make()
    Finalize(None, _worker.close, exitpriority=10)


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _run(task: Any) -> Any:
    return _worker.run(task)
