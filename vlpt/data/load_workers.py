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
import itertools
import math
import mmap
import os
import signal
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, get_worker_info

from vlpt.data.chunk import Chunk
from vlpt.data.fill import Fill
from vlpt.data.schedule import Schedule

AHEAD = 2  # chunks that a worker fills in before they are asked for
# Those that are filled in or asked for, and two that a trainer may have: the one it is at, and the one before.
SLOTS = AHEAD + 1 + 2


def read_ahead(schedule: Schedule, fill: Fill, own: range, frames: int) -> Iterator[Chunk]:
    """Chunks of the lanes `own` from where the schedule stands, which is left as it is; one is always ahead.

    Raises what filling it in raised.
    """
    schedule = copy.deepcopy(schedule)

    def next_chunk() -> Chunk | None:
        pieces = schedule.next(frames, own)
        if pieces is None:
            return None
        rows = fill(pieces, frames)
        return Chunk.of(rows["frames"], [rows])

    with ThreadPoolExecutor(1, "read ahead") as reader:
        ahead = reader.submit(next_chunk)
        while (chunk := ahead.result()) is not None:
            ahead = reader.submit(next_chunk)
            yield chunk


class _Parts(Dataset):
    """In a worker: the chunks of its share of the lanes, one after another. What it is asked for is where their
    pictures go."""

    def __init__(self, schedule: Schedule, fill: Fill, own: range, frames: int, slots: "_Slots") -> None:
        self.schedule, self.fill, self.own, self.frames, self.slots = schedule, fill, own, frames, slots

    def __getitem__(self, slot: int) -> dict | str | None:
        """A chunk's fields without pictures; what is wrong with the data; or None where nothing is left."""
        worker, n = get_worker_info(), len(self.own)
        mine = slice(n * worker.id // worker.num_workers, n * (worker.id + 1) // worker.num_workers)
        pieces = self.schedule.next(self.frames, self.own[mine])
        if pieces is None:
            return None
        try:
            rows = self.fill(pieces, self.frames, self.slots.pictures(slot)[mine])
        except (OSError, ValueError) as error:
            return str(error)
        del rows["frames"]
        return rows


class _Slots:
    """Memory for the pictures of some chunks, which workers write and the trainer reads: one that was written before
    costs a third less than new memory of the system. A slot is free again as soon as nothing refers to its pictures.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.bytes = -(-math.prod(shape) * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        self.memory = mmap.mmap(-1, SLOTS * self.bytes)  # children that are forked share it
        self.free, self.asked = deque(range(SLOTS)), deque()

    def pictures(self, slot: int) -> np.ndarray:
        return np.ndarray(self.shape, self.dtype, self.memory, slot * self.bytes)

    def ask(self, workers: int) -> Iterator[int]:
        """Endless: where the pictures of the next chunk go, told to each worker."""
        while True:
            self.asked.append(self.free.popleft())
            yield from [self.asked[-1]] * workers

    def hand_out(self) -> np.ndarray:
        """The pictures of the chunk that was asked for first: a copy where whoever has earlier ones keeps them."""
        slot = self.asked.popleft()
        found = self.pictures(slot)
        if not self.free:
            found = found.copy()
            self.free.append(slot)
        else:
            weakref.finalize(found, self.free.append, slot).atexit = False
        return found


def prefetched(
    schedule: Schedule, fill: Fill, own: range, frames: int, workers: int, reopen: Callable[[], None] = lambda: None
) -> Iterator[Chunk]:
    """Chunks of the lanes `own` from where the schedule stands, which is left as it is.

    reopen: called in each worker before it reads anything. Raises ValueError where data cannot be read.
    """
    workers = min(workers, len(own))
    slots = _Slots((len(own), frames, *fill.picture.shape), fill.picture.dtype)

    def begin(_: int) -> None:
        _leave_signals_to_the_trainer()
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads are not there after a fork, nor are OpenCV's
        cv2.setNumThreads(0)
        reopen()

    loader = DataLoader(
        _Parts(copy.deepcopy(schedule), fill, own, frames, slots), batch_size=None, sampler=slots.ask(workers),
        num_workers=workers, collate_fn=_as_it_is, prefetch_factor=AHEAD, worker_init_fn=begin,
        multiprocessing_context="fork",
    )  # fmt: skip
    parts = iter(loader)  # in turn: of the first worker, of the second, ...
    while True:
        together = list(itertools.islice(parts, workers))
        for part in together:
            if isinstance(part, str):
                raise ValueError(part)
        if None in together:
            return
        yield Chunk.of(slots.hand_out(), together)


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
