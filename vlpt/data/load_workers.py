"""Chunks that are filled in ahead of who trains on them: by a thread of that process, or by others (torch's DataLoader)
with several lanes each.

In: what the lanes of this process play (`Schedule`), and what fills it in (`Fill`). Out: an endless or finite run of
chunks. Who reads ahead follows the schedule by itself from where it was at the beginning, so that it holds no position
that would have to be saved: what is ahead of the trainer is made again after a stop.

    for chunk in read_ahead(schedule, fill, range(8), frames=128): ...
    for chunk in prefetched(schedule, fill, range(8), frames=128, workers=2): ...

Decoding and computing let go of Python's lock, so that a thread is enough until a processor's worth of decoding is not.
Workers are forked: episodes in memory are shared with them, and no file that the parent has opened may be used, which
is why what reads pictures opens its own (`reopen`). Ctrl-C and SIGTERM are the trainer's to answer.
"""

import copy
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import cv2
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vlpt.data.chunk import Chunk
from vlpt.data.fill import Fill
from vlpt.data.schedule import Schedule

AHEAD = 2  # chunks that a worker fills in before they are asked for


def read_ahead(schedule: Schedule, fill: Fill, own: range, frames: int) -> Iterator[Chunk]:
    """Chunks of the lanes `own` from where the schedule stands, which is left as it is; one is always ahead.

    Raises what filling it in raised.
    """
    schedule = copy.deepcopy(schedule)

    def next_chunk() -> Chunk | None:
        pieces = schedule.next(frames, own)
        return None if pieces is None else Chunk.of([fill(pieces, frames)])

    with ThreadPoolExecutor(1, "read ahead") as reader:
        ahead = reader.submit(next_chunk)
        while (chunk := ahead.result()) is not None:
            ahead = reader.submit(next_chunk)
            yield chunk


class _Parts(IterableDataset):
    """The chunks of one worker's share of the lanes."""

    def __init__(self, schedule: Schedule, fill: Fill, own: range, frames: int) -> None:
        super().__init__()
        self.schedule, self.fill, self.own, self.frames = schedule, fill, own, frames

    def __iter__(self) -> Iterator[dict | str]:
        """A chunk's fields, or what is wrong with the data."""
        worker = get_worker_info()
        ends = [len(self.own) * i // worker.num_workers for i in range(worker.num_workers + 1)]
        mine = self.own[ends[worker.id]: ends[worker.id + 1]]
        while (pieces := self.schedule.next(self.frames, mine)) is not None:
            try:
                yield self.fill(pieces, self.frames, share=True)
            except (OSError, ValueError) as error:
                yield str(error)
                return


def prefetched(
    schedule: Schedule, fill: Fill, own: range, frames: int, workers: int, reopen: Callable[[], None] = lambda: None
) -> Iterator[Chunk]:
    """Chunks of the lanes `own` from where the schedule stands, which is left as it is.

    reopen: called in each worker before it reads anything. Raises ValueError where data cannot be read.
    """
    workers = min(workers, len(own))

    def begin(_: int) -> None:
        _leave_signals_to_the_trainer()
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads are not there after a fork, nor are OpenCV's
        cv2.setNumThreads(0)
        reopen()

    loader = DataLoader(
        _Parts(copy.deepcopy(schedule), fill, own, frames), batch_size=None, num_workers=workers, collate_fn=_as_it_is,
        prefetch_factor=AHEAD, worker_init_fn=begin, multiprocessing_context="fork",
    )  # fmt: skip
    parts = iter(loader)  # in turn: of the first worker, of the second, ...
    while (first := next(parts, None)) is not None:
        together = [first, *(next(parts) for _ in range(workers - 1))]
        for part in together:
            if isinstance(part, str):
                raise ValueError(part)
        yield Chunk.of(together)


def _as_it_is(part):
    return part


def _leave_signals_to_the_trainer() -> None:
    """A terminal and a cluster's scheduler send them to all processes, and the trainer still wants batches then; a
    worker ends where the trainer itself says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(trainer: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != trainer:
        pass
    os._exit(0)
