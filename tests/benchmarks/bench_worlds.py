"""How fast Luanti runs, one and two at a time, and whether each of 1,000 turns is in the frame that step returned.

Run: python tests/benchmarks/bench_worlds.py [--steps 400] [--turns 1000] [--cycles 20]
Prints rates and counts; asserts nothing.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from vlpt.options import Count, run  # noqa: E402  (runs from a clone that is not installed)
from vlpt.worlds import make, noop  # noqa: E402


def play(steps: int, seed: int, ready=None) -> float:
    """Steps a second of one world at 320x180 with camera, keys and digging in every step."""
    world = make("luanti")
    try:
        world.reset(seed=seed)
        if ready:
            ready.wait()
        begin_s = time.perf_counter()
        for step in range(steps):
            action = noop()
            action["camera"] = np.array([0.0, 3.0 if step % 40 < 20 else -3.0])
            action["forward"] = action["attack"] = int(step % 60 < 30)
            world.step(action)
        return steps / (time.perf_counter() - begin_s)
    finally:
        world.close()


def play_and_tell(steps: int, seed: int, ready, rates) -> None:
    rates.put(play(steps, seed, ready))


def pair(steps: int) -> list[float]:
    """Steps a second of two worlds at once."""
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(2), context.Queue()
    players = [context.Process(target=play_and_tell, args=(steps, seed, ready, rates)) for seed in (11, 12)]
    for player in players:
        player.start()
    found = [rates.get() for _ in players]
    for player in players:
        player.join()
    return found


def turns(count: int) -> tuple[int, int, int]:
    """Of `count` commanded turns: how many changed the frame, how many the gaze exactly; in how many keys were late."""
    world = make("luanti")
    random = np.random.default_rng(0)
    seen = exact = 0
    try:
        observation, info = world.reset(seed=11)
        for _ in range(count):
            before, yaw_deg = observation["pov"], info["truth"]["yaw_deg"]
            action = noop()
            action["camera"] = np.array([0.0, random.choice([-1, 1]) * random.uniform(0.5, 8)])
            observation, *_, info = world.step(action)
            turned_deg = (info["truth"]["yaw_deg"] - yaw_deg + 180) % 360 - 180
            seen += not np.array_equal(observation["pov"], before)
            exact += abs(turned_deg - info["camera_deg"][1]) < 0.01
        return seen, exact, world.unwrapped._session.late_keys
    finally:
        world.close()


def cycles(count: int) -> tuple[float, float]:
    """Seconds of one start (with its first reset) and one close, over `count` of them."""
    start_s = close_s = 0.0
    for seed in range(count):
        world = make("luanti")
        begin_s = time.perf_counter()
        world.reset(seed=seed)
        middle_s = time.perf_counter()
        world.close()
        start_s, close_s = start_s + middle_s - begin_s, close_s + time.perf_counter() - middle_s
    return start_s / count, close_s / count


def resets(count: int) -> float:
    """Seconds of a reset in a running game."""
    world = make("luanti")
    try:
        world.reset(seed=0)
        begin_s = time.perf_counter()
        for seed in range(1, count + 1):
            world.reset(seed=seed)
        return (time.perf_counter() - begin_s) / count
    finally:
        world.close()


@dataclass(frozen=True)
class Options:
    """How fast Luanti runs, one and two at a time, and whether each turn is in the frame that its step returned."""

    steps: Count = 400  # of each rate
    turns: Count = 1000  # commanded turns to look for
    cycles: Count = 20  # starts and stops


def main(options: Options) -> None:
    print(f"one world:   {play(options.steps, 11):.1f} steps/s at 320x180")
    both = pair(options.steps)
    print(f"two worlds:  {' + '.join(f'{rate:.1f}' for rate in both)} = {sum(both):.1f} steps/s")
    print(f"reset:       {resets(20):.2f} s")
    seen, exact, late = turns(options.turns)
    print(f"turns:       {seen} of {options.turns} in the returned frame, {exact} exact; keys late in {late} steps")
    start_s, close_s = cycles(options.cycles)
    print(f"start, stop: {start_s:.2f} s, {close_s:.2f} s, mean of {options.cycles}")


if __name__ == "__main__":
    run(main, Options)
