"""Where the time of recorded play goes: bare games and recorders side by side, and a recorder's share of each part.

Run: python tests/benchmarks/bench_recorder.py [--frames 600] [--workers 2] [--seed 5]
Prints frames a second from the first frame on (no starts, no ends), and milliseconds a frame; asserts nothing. Parts
are timed in the worker's own thread, so that each of them also holds what else the processor did meanwhile: compare
the lines "processor", which do not.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from data_gathering import demonstrate  # noqa: E402  (runs from a clone that is not installed)
from vlpt.data import recording  # noqa: E402
from vlpt.options import Count, CountOrNone, run  # noqa: E402
from vlpt.worlds import make, noop  # noqa: E402
from vpt.frames import FRAMES_PER_SECOND, VideoWriter  # noqa: E402

TICKS_A_SECOND = 100  # of the processor times in /proc


@dataclass(frozen=True)
class Options:
    """Where the time of recorded play goes: bare games and recorders side by side."""

    frames: Count = 600  # of each game
    workers: Count = 2  # games side by side
    seed: CountOrNone = 5  # of the play


class Parts:
    """Seconds of each part of a recorder, counted from `begin` on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, part: str, call: Callable) -> Callable:
        """`call`, its time added to `part`."""

        def measured(*arguments, **options):
            begin_s = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds[part] += time.perf_counter() - begin_s

        return measured

    def watch(self, world) -> None:
        """Times a world's steps and, in this process, all that a recording calls."""
        world.step = self.timed("game", world.step)
        recording.resize_to_agent = self.timed("resize", recording.resize_to_agent)
        VideoWriter.write = self.timed("encoding", VideoWriter.write)
        demonstrate.Player.see = self.timed("script", demonstrate.Player.see)
        demonstrate.Player.act = self.timed("script", demonstrate.Player.act)
        play = demonstrate.play
        demonstrate.play = lambda *arguments: self._each(play(*arguments))

    def _each(self, script):
        following = self.timed("script", lambda: next(script))
        while True:
            yield following()


def processor_s(process: int) -> float:
    """Processor time of a process and its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def turn_and_walk(world, frames: int) -> None:
    """Play that needs no script: camera, keys and digging."""
    for frame in range(frames):
        camera_deg = np.array([0.0, 3.0 if frame % 40 < 20 else -3.0])
        world.step({**noop(), "camera": camera_deg, **dict.fromkeys(("forward", "attack"), int(frame % 60 < 30))})


def measure(options: Options, worker: int, recorded: bool, ready, results) -> None:
    """One game, its recorder where `recorded`; puts (frames a second, ms a frame of each part)."""
    world, parts = make("luanti", size=demonstrate.WORLD_SIZE), Parts()
    try:
        world.reset(seed=worker)
        session = world.unwrapped._session
        processes = {"game": session._game.process.pid, "display": session._screen.process.pid}
        parts.watch(world)
        reset, began = world.reset, {}

        def times() -> dict[str, float]:
            used = {f"processor {name}": processor_s(number) for name, number in processes.items()}
            return {**used, "processor recorder": time.process_time(), "all": time.perf_counter()}

        def reset_together(**options):
            found = reset(**options)
            ready.wait()
            parts.seconds.clear()
            began.update(times())
            return found

        world.reset = reset_together
        if recorded:
            with tempfile.TemporaryDirectory() as folder:
                asked = demonstrate.Options(out=folder, seed=options.seed, seconds=options.frames / FRAMES_PER_SECOND)
                demonstrate.record(world, asked, demonstrate.Episode(worker, 0, False), lambda _: None)
                used = times()
        else:
            world.reset(seed=worker)
            turn_and_walk(world, options.frames)
            used = times()
        seconds = {**parts.seconds, **{name: used[name] - began[name] for name in used}}
        per_frame = {name: 1000 * value / options.frames for name, value in seconds.items()}
        results.put((options.frames / seconds["all"], per_frame))
    finally:
        world.close()


def side_by_side(options: Options, recorded: bool) -> list[tuple[float, dict[str, float]]]:
    """What `measure` finds in so many processes that begin their first frame together."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(options.workers), context.Queue()
    workers = [context.Process(target=measure, args=(options, worker, recorded, ready, results))
               for worker in range(options.workers)]  # fmt: skip
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return found


def main(options: Options) -> None:
    for recorded, name in ((False, "bare games"), (True, "recorders")):
        found = side_by_side(options, recorded)
        rates = [rate for rate, _ in found]
        print(f"{options.workers} {name}: {' + '.join(f'{rate:.1f}' for rate in rates)} = {sum(rates):.1f} frames/s")
        for part in found[0][1]:
            spent_ms = np.mean([parts[part] for _, parts in found])
            share = spent_ms / np.mean([parts["all"] for _, parts in found])
            print(f"    {part:<20}{spent_ms:6.2f} ms a frame  {share:4.0%}")


if __name__ == "__main__":
    run(main, Options)
