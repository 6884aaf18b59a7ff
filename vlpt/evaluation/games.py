"""Games in which agents live one life after another, and all that are asked for, lived side by side and kept.

In: a world, agents by name, lives (dataclasses with at least an agent's name and an arena's seed). Out: a row of plain
values a life. A child says how an agent is made and what a life is:

    class Trials(Games): ...
    live_all(partial(Trials, options), lives, workers=2, kept=kept, title="steering")

A game that ends costs one life; one after another ending is an error. Used by `python evaluate.py steering` and
`finetuning`.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, fields

import numpy as np
from tqdm import tqdm

from vlpt.agent import Agent
from vlpt.evaluation.kept_rows import KeptRows
from vlpt.evaluation.side_by_side import outcomes
from vlpt.options import Device, use_threads
from vlpt.worlds import make
from vpt.errors import one_line

LOST_IN_A_ROW = 5  # games that end one after another: something else is wrong


class GameLostError(Exception):
    """The game of a life ended, or no longer answers."""


@contextmanager
def game_may_end() -> Iterator[None]:
    """Raises GameLostError where the game that is called in it ends."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise GameLostError(one_line(error)) from error


def make_game(world: str, **how):
    """A world, whose game starts at its first life. Raises ValueError for a game that is not installed, or a size."""
    try:
        return make(world, **how)
    except RuntimeError as error:
        raise ValueError(one_line(error)) from error


class Games(ABC):
    """One game at a time, and the agents that live in it. Whoever makes one closes it."""

    def __init__(self, options, make_world: Callable, device: Device = "auto", threads: int = 0) -> None:
        """make_world: of options, as `make_game`; options: its, and seed; threads: of the processor, 0: as they are.
        Raises ValueError for a world that cannot be made.
        """
        use_threads(threads)
        self.options, self.device, self._make_world, self.world = options, device, make_world, make_world(options)
        self._agents: dict[str, Agent] = {}

    @abstractmethod
    def make_agent(self, name: str) -> Agent:
        """The agent of that name; asked for once."""

    @abstractmethod
    def lived(self, life) -> dict:
        """What came of a life. Raises GameLostError."""

    def close(self) -> None:
        """Ends the game. Safe to call twice."""
        self.world.close()

    def run(self, life) -> dict:
        """The life's own fields, and what came of it; or "lost": why, where the game ended, which is made anew for the
        next life.
        """
        try:
            return {**asdict(life), **self.lived(life)}
        except GameLostError as error:
            self.close()
            self.world = self._make_world(self.options)
            return {**asdict(life), "lost": str(error)}

    def agent(self, name: str) -> Agent:
        """Made when it is first asked for."""
        if name not in self._agents:
            self._agents[name] = self.make_agent(name)
        return self._agents[name]

    def seed_of(self, arena: int) -> int:
        """From which all that an agent draws in an arena follows."""
        return int(np.random.SeedSequence((self.options.seed, arena)).generate_state(1)[0])


def live_all(make: Callable, lives: Sequence, workers: int, kept: KeptRows, title: str) -> float | None:
    """Lives what is not kept yet; how many lives a minute that were, or None. make: makes a `Games`. Raises
    ValueError where game after game ends.
    """
    names = [field.name for field in fields(lives[0])]
    known = {tuple(row[name] for name in names) for row in kept.rows}
    missing = [life for life in lives if astuple(life) not in known]
    if not missing:
        return None
    begin, in_a_row = time.monotonic(), 0
    for row in tqdm(outcomes(make, missing, workers), title, len(missing), unit="life"):
        kept.add(row)
        in_a_row = in_a_row + 1 if "lost" in row else 0
        if in_a_row == LOST_IN_A_ROW:
            raise ValueError(f"{in_a_row} games ended one after another, the last one so: {row['lost']}")
    return 60 * len(missing) / (time.monotonic() - begin)


def threads_of(workers: int) -> int:
    """Processor threads for each of so many side by side; 0: as they are."""
    return 0 if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
