"""Agents play, told nothing; what errands get done and how the hand moves is kept of each life.

In: folders of agents by name, a world. Out: a row of plain values a life:

    with closing(Plays(options, {"base": "pretrained/base"})) as plays:
        plays.run(Play("base", arena=3))    # {"agent", "arena", "numbers": {"errands_a_minute": …}, "done": {…}, …}

The world's truth says what is done (vlpt/worlds/errands.py). An errand of things counts as often as it is done: three
nodes dug, a flower picked, three blocks placed, all above ground; a pillar or the top of the steps reached by who was
not there. Turning and walking far are told apart, for an erratic agent does them by itself. All lives in an arena begin
alike, and what an agent draws follows from the arena. Used by `python evaluate.py finetuning`.
"""

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from vlpt.agent import Agent, load_agent
from vlpt.evaluation.games import Games, game_may_end, make_game
from vlpt.evaluation.motion_statistics import statistics
from vlpt.options import Count, Device, Positive
from vlpt.worlds import check_name, noop
from vlpt.worlds.errands import ERRANDS, Errand, above_ground
from vpt.frames import FRAMES_PER_SECOND

MOTIONS = ("look", "wander")
THINGS = tuple(name for name in ERRANDS if name not in MOTIONS)
PLACES = tuple(name for name in THINGS if name == "climb" or name.startswith("go_pillar:"))


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """What a life is like."""

    world: str = "luanti"  # where they play, by its name in vlpt.worlds
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    seconds: Positive = 15.0  # length of a life

    def __post_init__(self) -> None:
        check_name(self.world)


@dataclass(frozen=True)
class Play:
    """One life to be lived."""

    agent: str  # its name
    arena: int  # its seed


class ErrandCount:
    """`done`: how often each errand was done; `steps`: nodes dug, picked or placed, and places reached."""

    def __init__(self, arena: dict, truth: dict) -> None:
        self.arena, self.done, self.steps = arena, Counter(), 0
        self._open = {name: Errand(name, arena, truth) for name in ERRANDS}
        self._there = {name: self._gain(name, truth, np.zeros(2)) > 0 for name in PLACES}

    def update(self, truth: dict, camera_deg: np.ndarray) -> None:
        """One step: the truth after it, and the degrees applied in it."""
        truth = above_ground(truth, self.arena)
        for name in ERRANDS:
            gain = self._gain(name, truth, camera_deg)
            if name in PLACES:
                self._reached(name, gain > 0)
                continue
            self.steps += int(gain) if name in THINGS else 0
            if self._open[name].done:
                self.done[name] += 1
                self._open[name] = Errand(name, self.arena, truth)

    def _gain(self, name: str, truth: dict, camera_deg: np.ndarray) -> float:
        before = self._open[name].progress
        self._open[name].update(truth, camera_deg)
        return self._open[name].progress - before

    def _reached(self, name: str, there: bool) -> None:
        arrived = there and not self._there[name]
        self.done[name] += arrived
        self.steps += arrived
        self._there[name] = there


class Plays(Games):
    """One game and the agents that play in it. A life's row: {"agent", "arena", "numbers": {name: number or None},
    "done": {errand: how often}, "frames_a_second"}; or {"agent", "arena", "lost": why}.
    """

    def __init__(self, options, folders: dict[str, str], device: Device = "auto", threads: int = 0) -> None:
        """options: PlayOptions, and seed; folders: of the agents by name."""
        super().__init__(options, make_world, device, threads)
        self.folders = folders

    def make_agent(self, name: str) -> Agent:
        return load_agent(self.folders[name], device=self.device)

    def lived(self, play: Play) -> dict:
        agent, options = self.agent(play.agent), self.options
        with game_may_end():
            observation, info = self.world.reset(seed=play.arena)
        errands, rows, begin = ErrandCount(info["arena"], info["truth"]), [], time.monotonic()
        memory = agent.start(seed=self.seed_of(play.arena))
        for _ in range(max(2, round(options.seconds * FRAMES_PER_SECOND))):
            (action,), _, memory = agent.act([observation["pov"]], memory)
            with game_may_end():
                observation, *_, info = self.world.step({**noop(), **action})
            errands.update(info["truth"], info["camera_deg"])
            rows.append((action.buttons, action.camera_deg))
        buttons, camera_deg = (np.array(part) for part in zip(*rows, strict=True))
        minutes = len(rows) / FRAMES_PER_SECOND / 60
        numbers = {"errands_a_minute": sum(errands.done[name] for name in THINGS) / minutes,
                   "errand_steps_a_minute": errands.steps / minutes,
                   **{f"{name}_a_minute": errands.done[name] / minutes for name in MOTIONS},
                   **statistics(buttons, camera_deg)}  # fmt: skip
        return {"numbers": numbers, "done": {name: count for name, count in errands.done.items() if count},
                "frames_a_second": round(len(rows) / (time.monotonic() - begin), 1)}  # fmt: skip


def make_world(options: PlayOptions):
    """See `games.make_game`."""
    return make_game(options.world, size=options.size)
