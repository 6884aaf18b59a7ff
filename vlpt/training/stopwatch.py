"""Where an update's time goes, what of a machine's arithmetic is used, and memory: `speed/…` in a run's log.

In: named parts of the loop. Out: shares of the time between two rows, frames a second, floating point operations of
the model over the machine's own rate of matrix products, measured here (1: nothing but products). On a GPU parts are
timed by its own events, so that nothing waits for them.

    watch = Stopwatch(device, frames=3072)
    with watch.part("forward"): ...
    row |= watch.row()

Source of the count: torch.utils.flop_counter, of one update, backward included; with --recompute what is made again
counts too.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from vlpt.checkpoint import peak_gb

COUNTED_AT = 3  # update of a start in which operations are counted: after kernels have been chosen


class Stopwatch:
    """Times the parts of updates; frames: of one update, of all processes."""

    def __init__(self, device: torch.device, frames: int) -> None:
        self.device, self.frames, self.updates = device, frames, 0
        self.flops = self.ceiling = 0.0
        self._parts: dict[str, float] = defaultdict(float)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._since = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A context whose time counts for that part."""
        if self.device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            yield
            end.record()
            self._events.append((name, begin, end))
            return
        begin = time.perf_counter()
        yield
        self._parts[name] += time.perf_counter() - begin

    @contextmanager
    def counting(self, dtype: torch.dtype) -> Iterator[None]:
        """A context for one update: in the third its operations are counted, by running what is compiled uncompiled."""
        self.updates += 1
        if self.updates != COUNTED_AT:
            yield
            return
        with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
            yield
        self.flops, self.ceiling = float(counter.get_total_flops()), matmul_rate(self.device, dtype)

    def row(self) -> dict[str, float]:
        """Numbers since the last row; `speed/` before each name."""
        now, wall = time.perf_counter(), time.perf_counter() - self._since
        for name, begin, end in self._events:
            end.synchronize()
            self._parts[name] += begin.elapsed_time(end) / 1000
        found = {f"share_{name}": seconds / wall for name, seconds in self._parts.items()}
        found["frames_per_s"] = self.frames / wall
        if self.flops and self.updates > COUNTED_AT:
            found["utilisation"] = self.flops / wall / self.ceiling
        found["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9 if self.device.type == "cuda" else peak_gb()
        self._parts.clear()
        self._events.clear()
        self._since = now
        return {f"speed/{name}": round(value, 6) for name, value in found.items()}


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating point operations a second of a large product of two matrices, the best of three."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.full((size, size), 0.5, device=device, dtype=dtype) for _ in range(2))  # no random number is drawn
    best = float("inf")
    for _ in range(4):
        begin = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best
