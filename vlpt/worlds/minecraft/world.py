"""Minecraft as a gymnasium world: MineRL 1.0 or MineStudio's simulator, 640x360, 50 ms a step.

    world = MineRL(); observation, info = world.reset(seed=7)                         # survival
    world.reset(options={"errand": "FindCave"})                                       # a BASALT task; ESC ends it
    observation, reward, terminated, truncated, info = world.step(action)

In and out as `contract.py` says, with `info["camera_deg"]` as asked (the game turns by degrees, not by whole counts)
and in `info["truth"]` what the task tells. The game runs in an environment and a process of its own, under a watchdog:

* a step that takes longer than `step_s`, or whose connection breaks, ends the game; the step comes back with the last
  picture, `truncated`, and `info["failed"]` saying why. So a recorder ends its episode as any other and loses nothing
  of it, and the next reset starts a new game;
* a reset that fails or takes longer than `reset_s` is tried anew with a new game, STARTS times in all;
* after `episodes` resets the game is ended and started anew, as its memory is known to grow.

MineRL 1.0 is known to time out after about an hour (minerl issue 682). Needs: python -m vlpt.worlds.check minecraft
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np

from vlpt.worlds.contract import STEP_S, action_space, check_render_mode, observation_space
from vlpt.worlds.minecraft.actions import BASALT, MINERL, MINESTUDIO, TASKS, for_game
from vlpt.worlds.minecraft.checks import check_installed, display, python_of
from vlpt.worlds.minecraft.process import GameFailed, GameProcess
from vlpt.worlds.minecraft.truth import Truth

__all__ = ["SIZE", "MineRL", "MineStudio"]

SIZE = (640, 360)
STARTS = 3
SURVIVAL = "HumanSurvival"


class Minecraft(gymnasium.Env):
    """One player in one game."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP_S), "nondeterministic": True}
    game: str

    def __init__(self, size: tuple[int, int] = SIZE, render_mode: str | None = "rgb_array", python: str = "",
                 step_s: float = 60.0, reset_s: float = 600.0, episodes: int = 20) -> None:  # fmt: skip
        """python: of the game's own environment (empty: as an environment variable says, see checks.py); step_s,
        reset_s: seconds that a step and a reset may take; episodes: resets before the game is started anew.

        Raises ValueError for another size, render_mode or a limit that is not above 0, and RuntimeError naming what is
        missing, with the cure.
        """
        if tuple(size) != SIZE:
            raise ValueError(f"Minecraft is seen at 640x360, as OpenAI's agents were trained, not at {size!r:.40}: "
                             "--size 640 360")  # fmt: skip
        if not (step_s > 0 and reset_s > 0 and episodes >= 1):
            raise ValueError(f"step_s, reset_s and episodes are above 0, got {step_s}, {reset_s}, {episodes}")
        self.size, self.render_mode = SIZE, check_render_mode(render_mode)
        check_installed(self.game, python)
        self._python, self._step_s, self._reset_s, self._episodes = (python_of(self.game, python), step_s, reset_s,
                                                                     episodes)  # fmt: skip
        self.action_space, self.observation_space = action_space(), observation_space(*SIZE)
        self._process: GameProcess | None = None
        self._task, self._resets, self._steps, self._running = "", 0, 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """A new life in the world of `seed`. options["errand"]: a BASALT task (MineRL only), absent: survival.

        Raises ValueError for another errand or option, RuntimeError (with the game's last lines) where STARTS games in
        a row fail.
        """
        task = self._asked(options)
        super().reset(seed=seed)
        if self._process and (task != self._task or self._resets >= self._episodes):
            self._end()
        for attempt in range(STARTS):
            try:
                told = self._start(task).ask("reset", self._reset_s, seed=None if seed is None else int(seed))
                break
            except GameFailed as failure:
                self._process = None
                if attempt == STARTS - 1:
                    raise
                print(f"{one_line(failure)}: starting it again", file=sys.stderr)
        self._resets, self._steps, self._running = self._resets + 1, 0, True
        self._truth, self._escaped = Truth(), False
        self._frame, truth = picture(told), self._truth.of(told)
        self._told = truth
        info = {"truth": truth, "camera_deg": np.zeros(2), "arena": {}, **self._errand_info()}
        return {"pov": self._frame}, info

    def step(self, action: dict[str, Any]):
        """One step. Where the game fails the episode is truncated; see the top of the file."""
        if not self._running or self._process is None:
            raise RuntimeError("the episode is over: call reset() to begin another")
        camera_deg, self._escaped = np.asarray(action["camera"], float).reshape(2), bool(int(action["ESC"]))
        try:
            told = self._process.ask("step", self._step_s, action=plain(for_game(action, self.game)))
        except GameFailed as failure:
            return self._failed(failure)
        self._steps += 1
        self._frame, self._told = picture(told), self._truth.of(told, action)
        late = self._task in BASALT and self._steps >= BASALT[self._task] / STEP_S and not self._escaped
        terminated, truncated = told["terminated"] and not late, told["truncated"] or told["terminated"] and late
        self._running = not (terminated or truncated)
        info = {"truth": self._told, "camera_deg": camera_deg, **self._errand_info()}
        return {"pov": self._frame}, told["reward"], terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """The last frame: (360, 640, 3) uint8 RGB; None when render_mode is None. RuntimeError before a reset."""
        if not self._resets:
            raise RuntimeError("the world is closed; call reset() to start it")
        return self._frame if self.render_mode else None

    def close(self) -> None:
        """Ends the game and all that it started. Safe to call twice; a later reset starts anew."""
        self._end()

    def _asked(self, options: dict[str, Any] | None) -> str:
        errand = (options or {}).get("errand") or SURVIVAL
        if unknown := sorted(set(options or {}) - {"errand"}):
            raise ValueError(f"reset knows no option {', '.join(unknown)}; it knows errand")
        if errand not in TASKS[self.game]:
            known = ", ".join(TASKS[self.game][1:]) or "none"
            raise ValueError(f"{self.game} has no errand {errand!r}; it has {known}")
        return errand

    def _start(self, task: str) -> GameProcess:
        if self._process is None:
            self._process = GameProcess(self._python, self.game, task, display(self.game))
            self._task, self._resets = task, 0
        return self._process

    def _failed(self, failure: GameFailed):
        """What a step gives where the game failed: the recorder gets an end, not an exception."""
        print(f"{one_line(failure)}: the episode ends after {self._steps} steps, the next one starts a new game",
              file=sys.stderr)  # fmt: skip
        self._process, self._running = None, False
        info = {"truth": {**self._told, "events": []}, "camera_deg": np.zeros(2), "failed": str(failure),
                **self._errand_info()}  # fmt: skip
        return {"pov": self._frame}, 0.0, False, True, info

    def _end(self) -> None:
        if self._process:
            self._process.close()
        self._process, self._running = None, False

    def _errand_info(self) -> dict[str, Any]:
        """People judge a BASALT task; here it is done when the player says so, by ESC."""
        if self._task == SURVIVAL:
            return {}
        return {"errand": {"name": self._task, "done": self._escaped, "progress": float(self._escaped), "goal": 1.0}}


class MineRL(Minecraft):
    """MineRL 1.0: survival and the BASALT tasks, with all keys."""

    game = MINERL


class MineStudio(Minecraft):
    """MineStudio's simulator: survival; it leaves out `drop`, `ESC` and `swapHands` without a word."""

    game = MINESTUDIO


def picture(told: dict[str, Any]) -> np.ndarray:
    """(H, W, 3) uint8 of what crossed the bridge."""
    return np.frombuffer(told["pov"], np.uint8).reshape(told["shape"])


def plain(action: dict[str, Any]) -> dict[str, Any]:
    """An action without arrays, as JSON takes it."""
    return {**action, "camera": [float(angle) for angle in action["camera"]]}


def one_line(failure: Exception) -> str:
    """Of an error with a log, what went wrong."""
    return str(failure).split("; its last lines")[0]
