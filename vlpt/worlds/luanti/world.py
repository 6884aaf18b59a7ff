"""Luanti (Debian's `minetest` 5.6) as a gymnasium world in lockstep: 50 ms a step, however slow the agent is.

    world = Luanti(size=(320, 180))
    observation, info = world.reset(seed=7, options={"errand": "chop"})

In: MineRL's action dictionary. Out: {"pov": (H, W, 3) uint8 RGB}, the frame that already shows the step's input, and in
`info` the truth: pose from the client (no lag), digs and inventory from the server (a step or two later). See contract.py.
Needs: apt-get install --no-install-recommends minetest minetest-data xvfb faketime libgl1-mesa-dri
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from vlpt.worlds.contract import BUTTONS, STEP_S, action_space, observation_space
from vlpt.worlds.errands import Errand, check_options
from vlpt.worlds.luanti.game import Game, GameError, check_installed, pick_port, settings
from vlpt.worlds.luanti.home import Home
from vlpt.worlds.luanti.screen import Screen

__all__ = ["Luanti"]

DEGREES_PER_COUNT = 0.15  # VPT's mouse
PITCH_LIMIT_DEG = 89.5  # Luanti's own clamp
STARTS = 4  # one start in ten fails to answer; a new one costs seconds
START_S, ANSWER_S, ARENA_S = 60.0, 10.0, 60.0
_instances = itertools.count()


@dataclass(frozen=True)
class Tick:
    """One line of the client mod: a loop of the client."""

    dtime_s: float
    position: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float
    hotbar: int
    pulse: bool
    arena: int
    hand: str

    @classmethod
    def parse(cls, line: str) -> Tick:
        words = line.split(" ")
        numbers = [float(word) for word in words[1:10]]
        yaw_deg = (90.0 - np.degrees(numbers[4]) + 180.0) % 360.0 - 180.0
        return cls(numbers[0], tuple(numbers[1:4]), float(yaw_deg), -float(np.degrees(numbers[5])), int(numbers[6]),
                   bool(numbers[7]), int(numbers[8]), words[10] if len(words) > 10 else "")  # fmt: skip


class Luanti(gymnasium.Env):
    """One player in one small arena."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"

    def __init__(self, size: tuple[int, int] = (320, 180), viewing_range: int = 48) -> None:
        """`size`: (width, height) pixels, even and at least 64 each. Raises ValueError for it, RuntimeError for missing packages."""
        width, height = size
        if min(size) < 64 or width % 2 or height % 2:
            raise ValueError(f"size must be (width, height), even and at least 64 pixels each, got {size}")
        check_installed()
        self.size, self.viewing_range = (width, height), viewing_range
        self.action_space, self.observation_space = action_space(), observation_space(width, height)
        self._owner = os.getpid()
        self._number = next(_instances)
        self._builds = 0
        self._stack = contextlib.ExitStack()
        self._running = False
        self._finalizer = weakref.finalize(self, _close_stack, self._stack, self._owner)

    # ── gymnasium ──────────────────────────────────────────────────────────────────────────────────────────────────

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Builds the arena of `seed` (a random one for None) and puts the player into it.

        options["errand"]: one of errands.ERRANDS, or absent. Raises ValueError for another, RuntimeError when the game fails.
        """
        super().reset(seed=seed)
        errand = check_options(options)
        seed = int(self.np_random.integers(2**31)) if seed is None else int(seed)
        if not self._running:
            self._start()
        with self._closing_on_error():
            arena = self._build(seed, errand)
            self._game.pause()
        truth = self._truth()
        self._errand = Errand(errand, arena, truth) if errand else None
        return self._observation(), {"truth": truth, "camera_deg": np.zeros(2), "arena": arena, **self._errand_info()}

    def step(self, action: dict[str, Any]):
        """One step of 50 ms: presses, moves, returns the frame that shows it. Raises RuntimeError when the game fails."""
        if not self._running:
            raise RuntimeError("the world is closed; call reset() to start it again")
        held = {name for name in BUTTONS if int(action[name])}
        if int(action["ESC"]) and self._gui_open:  # elsewhere it would open the pause menu
            held.add("ESC")
        counts = self._counts(np.asarray(action["camera"], float))
        before = self._tick
        with self._closing_on_error():
            self._advance(held, counts)
            self._game.pause()
        camera_deg = self._turned(before, counts)
        truth = self._truth()
        if self._errand and not self._errand.done:
            self._errand.update(truth, camera_deg)
        done = bool(self._errand and self._errand.done)
        info = {"truth": truth, "camera_deg": camera_deg, **self._errand_info()}
        return self._observation(), float(done), done, False, info

    def render(self) -> np.ndarray:
        """The last frame: (H, W, 3) uint8 RGB."""
        return self._screen.frame()

    def close(self) -> None:
        """Ends the game and the display and removes their files. Safe to call twice; a later reset starts anew."""
        self._running = False
        self._stack.close()

    # ── start ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        for attempt in range(STARTS):
            try:
                with self._closing_on_error():
                    self._start_once()
                return
            except GameError:
                if attempt == STARTS - 1:
                    raise

    def _start_once(self) -> None:
        home = Home()
        self._stack.callback(home.close)
        self._screen = Screen(home.path, *self.size)
        self._stack.callback(self._screen.close)
        port = pick_port(self._number)
        configuration = settings(*self.size, DEGREES_PER_COUNT, port, self.viewing_range)
        self._game = Game(home.path, self._screen.name, configuration)
        self._stack.callback(self._game.close)
        self._events, self._inventory, self._reply = [], {}, None
        self._fraction, self._gui_open, self._tick = np.zeros(2), False, None
        self._wait_for_signs()
        self._running = True
        self._check_mouse()

    def _wait_for_signs(self) -> None:
        """Lets game time and real time pass until the window is there and the client's loops answer."""
        deadline_s, window, ticks = time.monotonic() + START_S, False, 0
        while not window or ticks < 10:
            if time.monotonic() > deadline_s:
                raise GameError(self._game.describe(f"the game did not start within {START_S:g} s"))
            ticks += sum(self._take(line) is not None for line in self._game.lines(0.02))
            window = window or self._screen.find_window("Minetest")
        self._game.freeze()

    def _check_mouse(self) -> None:
        """Turns and looks back: a count must be 0.15 degrees, or the settings do not mean what we think."""
        for _ in range(6):  # the first motion after the window gets the keyboard only re-centres the pointer
            self._advance(set(), np.array([0, 2]))
        before = self._tick
        self._advance(set(), np.array([20, 100]))
        turned = np.array([self._tick.pitch_deg - before.pitch_deg, _wrap(self._tick.yaw_deg - before.yaw_deg)])
        if np.abs(turned - np.array([20, 100]) * DEGREES_PER_COUNT).max() > 0.02:
            raise GameError(self._game.describe(f"20 and 100 counts of the mouse turned by {turned} degrees, not 3 and 15"))

    # ── one step ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self, held: set[str], counts: np.ndarray) -> None:
        """Sends input, moves the clock by 50 ms and waits until a frame with both has been drawn.

        The client prints a line for the loop that sees the new time, and one for the loop after it, which begins when
        the frame has been presented.
        """
        self._screen.send(held, int(counts[1]), int(counts[0]))
        self._game.advance(STEP_S)
        self._game.resume()
        deadline_s, loops = time.monotonic() + ANSWER_S, 0
        while loops < 2:
            for line in self._game.lines(0.2):
                tick = self._take(line)
                loops += bool(tick and (loops or tick.dtime_s > 0))
            if time.monotonic() > deadline_s:
                raise GameError(self._game.describe(f"the game did not answer within {ANSWER_S:g} s"))

    def _take(self, line: str) -> Tick | None:
        """Files one line of the mods; returns it when it is a client loop."""
        kind, _, rest = line.partition(" ")
        if kind == "T":
            self._tick = Tick.parse(line)
            return self._tick
        message = json.loads(rest)
        self._inventory = {item: int(count) for item, count in (message["inventory"] or {}).items()}
        if kind == "R":
            self._reply = message["arena"]
        else:
            self._events += message.get("events") or []
        return None

    def _counts(self, camera_deg: np.ndarray) -> np.ndarray:
        """(pitch, yaw) whole mouse counts for degrees; what is left of a count is kept for the next step."""
        wanted = camera_deg / DEGREES_PER_COUNT + self._fraction
        counts = np.rint(wanted)
        self._fraction = wanted - counts
        return counts.astype(int)

    def _turned(self, before: Tick, counts: np.ndarray) -> np.ndarray:
        """(pitch, yaw) degrees applied: the counts, or less where the gaze reached straight up or down."""
        return counts * DEGREES_PER_COUNT

    def _truth(self) -> dict[str, Any]:
        events, self._events = self._events, []
        tick = self._tick
        return {"position": list(tick.position), "yaw_deg": tick.yaw_deg, "pitch_deg": tick.pitch_deg,
                "hotbar": tick.hotbar, "hand": tick.hand, "inventory": dict(self._inventory),
                "gui_open": self._gui_open, "events": events}  # fmt: skip

    def _observation(self) -> dict[str, np.ndarray]:
        return {"pov": self._screen.frame()}

    def _errand_info(self) -> dict[str, Any]:
        return {"errand": self._errand.report()} if self._errand else {}

    # ── reset ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _build(self, seed: int, errand: str | None) -> dict[str, Any]:
        """Has the server make the arena and waits for signs that the client has it all."""
        self._builds += 1
        number = self._builds % 255 + 1
        self._reply, self._fraction = None, np.zeros(2)
        self._game.command(json.dumps({"build": {"number": number, "seed": seed % 2**31, "errand": errand}}))
        self._wait(lambda: self._reply is not None and self._tick.arena == number)
        self._game.command(json.dumps({"enter": True}))
        self._wait(self._stands_at_spawn)
        self._wait(lambda: self._tick.hotbar == 0, {"hotbar.1"})
        self._events = []
        return self._reply

    def _wait(self, sign: Callable[[], bool], held: Iterable[str] = ()) -> None:
        """Steps until the sign is there in several steps on end and the client has no picture of the map left to make."""
        deadline_s, seen = time.monotonic() + ARENA_S, 0
        while seen < 3:
            if time.monotonic() > deadline_s:
                raise GameError(self._game.describe(f"the arena was not there after {ARENA_S:g} s"))
            self._advance(set(held) if seen % 2 == 0 else set(), np.zeros(2, int))
            seen = seen + 1 if sign() and self._game.meshes_done() else 0

    def _stands_at_spawn(self) -> bool:
        turned = abs(_wrap(self._tick.yaw_deg - self._reply["spawn_yaw_deg"]))
        return turned < 0.1 and float(np.abs(np.subtract(self._tick.position, self._reply["spawn"])).max()) < 0.1

    @contextlib.contextmanager
    def _closing_on_error(self):
        try:
            yield
        except BaseException:
            self.close()
            raise


def _wrap(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0


def _close_stack(stack: contextlib.ExitStack, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not end its parent's game
        stack.close()
