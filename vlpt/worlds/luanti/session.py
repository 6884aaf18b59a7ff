"""One running game with its display, its clock and its folder, moved 50 ms at a time.

In: buttons held, mouse counts. Out: `tick` (the client's pose after the last step), `events`, `inventory`, `arena` (the
server's news), and the frame. Used by `world.py`, which knows about actions, truth and errands.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from Xlib.error import ConnectionClosedError

from vlpt.worlds.contract import AS_IS, DEGREES_PER_COUNT, OTHER_TEXTURES, STEP_S
from vlpt.worlds.luanti.game import Game, GameError, pick_port, settings
from vlpt.worlds.luanti.home import Home
from vlpt.worlds.luanti.screen import Screen
from vlpt.worlds.luanti.textures import write_textures

__all__ = ["Session", "Tick", "wrap"]

START_S, ANSWER_S, ARENA_S = 120.0, 60.0, 120.0  # patience, in real time: a busy machine is slow
# After these a second loop is looked at: they may open or close a window of the game, or change what the hand holds.
LATE_KEYS = {"inventory", "ESC", "use", *(f"hotbar.{slot}" for slot in range(1, 10))}
SKY_FRAMES = 60  # in which the sky, a twentieth of the way each, takes an arena's light


@dataclass(frozen=True)
class Tick:
    """One line of the client mod: a loop of the client (see mods/tick/init.lua)."""

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
        """Luanti counts the camera's yaw from +x, anticlockwise, and its pitch up; we from +z, clockwise, and down."""
        _, dtime, x, y, z, yaw, pitch, hotbar, pulse, arena, hand = line.split(" ")
        return cls(float(dtime), (float(x), float(y), float(z)), wrap(90.0 - float(np.degrees(float(yaw)))),
                   -float(np.degrees(float(pitch))), int(hotbar), pulse == "1", int(arena), hand)  # fmt: skip


class Session:
    """A started game. Whoever makes one closes it."""

    def __init__(self, size: tuple[int, int], viewing_range: int, number: int, scene: str = AS_IS,
                 scene_seed: int = 0) -> None:  # fmt: skip
        """`number` differs between the instances of a process; `scene`: one of SCENES (contract.py).

        Raises GameError when the game does not come up.
        """
        self._stack = contextlib.ExitStack()
        self.tick: Tick | None = None
        self.gui_open, self.late_keys = False, 0
        self.arena: dict[str, Any] | None = None
        self.inventory: dict[str, int] = {}
        self.events: list[dict[str, Any]] = []
        self._builds, self._size, self._scene = 0, size, scene
        with self._closing_on_error():
            home = self._enter(Home())
            self._screen = self._enter(Screen(home.path, *size))
            configuration = settings(*size, DEGREES_PER_COUNT, pick_port(number), viewing_range)
            if scene == OTHER_TEXTURES:
                write_textures(home.path / "textures", scene_seed)
                configuration["texture_path"] = home.path / "textures"
            self._game = self._enter(Game(home.path, self._screen.relay, configuration))
            self.frame, self.cursor = self._screen.frame, self._screen.cursor
            self._wait_for_signs()
            self._check_mouse()

    def close(self) -> None:
        """Ends the game and the display and removes their files. Safe to call twice."""
        self._stack.close()

    def advance(self, held: Iterable[str], counts: np.ndarray) -> None:
        """Holds buttons, moves the mouse by (down, right) counts and the clock by 50 ms; returns once that is shown.

        The game has waited since its last frame, and goes on when the keys, the mouse and the clock are there for it:
        one loop, one frame. The pulse key shows that it read the keys. Where it was not seen, and after LATE_KEYS, a
        second loop at the same moment tells what came of them: with a window of the game open keys go there and the
        player's controls rest; keys that only the second loop saw were late, and `late_keys` counts them.
        """
        try:
            key = _, pulse = self._screen.send(set(held), int(counts[1]), int(counts[0]))
        except ConnectionClosedError as error:
            raise GameError(self._game.describe("the game's display (Xvfb) ended")) from error
        self._game.advance(STEP_S)
        first = last = self._loop(key)
        if first.pulse != pulse or LATE_KEYS & set(held):
            last = self._loop()
        if pulse:
            self.gui_open = not last.pulse
            self.late_keys += first.pulse != last.pulse

    def inside_window(self, counts: np.ndarray) -> np.ndarray:
        """(down, right) counts cut so that the pointer stays in the window: what a game's own window is for."""
        x, y = self.cursor()
        width, height = self._size
        return np.array([np.clip(counts[0], -y, height - 1 - y), np.clip(counts[1], -x, width - 1 - x)])

    def enter_arena(self, seed: int, errand: str | None) -> dict[str, Any]:
        """Has the server make the arena of `seed`, and waits for signs that the client has it all and stands in it."""
        self._builds += 1
        number = self._builds % 255 + 1
        self.arena = None
        order = {"number": number, "seed": seed % 2**31, "errand": errand}
        order |= {} if self._scene == AS_IS else {"scene": self._scene}
        self._game.command(json.dumps({"build": order}))
        self._wait(lambda: self.arena is not None and self.tick.arena == number)
        self._game.command(json.dumps({"enter": True}))
        self._wait(self._stands_at_spawn)
        self._wait(lambda: self.tick.hotbar == 0, {"hotbar.1"})
        for _ in range(SKY_FRAMES):
            self._game.loop(time.monotonic() + ANSWER_S)
        self.events.clear()
        return self.arena

    def _loop(self, key: tuple[int, bool] | None = None) -> Tick:
        """One loop of the game, which shows one frame; its line. With a key, the loop that sees a step's new time."""
        deadline_s = time.monotonic() + ANSWER_S
        while True:  # at the start, the game may still be in a loop that began before
            ticks = [tick for line in self._game.loop(deadline_s, key) if (tick := self._take(line))]
            if ticks and (key is None or ticks[-1].dtime_s > 0):
                return ticks[-1]

    def _enter(self, part):
        self._stack.callback(part.close)
        return part

    @contextlib.contextmanager
    def _closing_on_error(self):
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _wait_for_signs(self) -> None:
        """Waits, on the running clock, until the window is there and the client's loops answer; then stops it."""
        deadline_s, window, ticks = time.monotonic() + START_S, False, 0
        while not window or ticks < 10:
            if time.monotonic() > deadline_s:
                raise GameError(self._game.describe(f"the game did not start within {START_S:g} s"))
            ticks += sum(self._take(line) is not None for line in self._game.lines(0.02))
            window = window or self._screen.find_window("Minetest")
        self._game.freeze()

    def _check_mouse(self) -> None:
        """Turns and looks: a count must be 0.15 degrees, or the settings do not mean what we think."""
        for _ in range(6):  # the first motion after the window gets the keyboard only re-centres the pointer
            self.advance((), np.array([0, 2]))
        before = self.tick
        self.advance((), np.array([20, 100]))
        turned = np.array([self.tick.pitch_deg - before.pitch_deg, wrap(self.tick.yaw_deg - before.yaw_deg)])
        if np.abs(turned - np.array([20, 100]) * DEGREES_PER_COUNT).max() > 0.02:
            raise GameError(self._game.describe(f"20 and 100 mouse counts turned by {turned} degrees, not 3 and 15"))

    def _wait(self, sign: Callable[[], bool], held: Iterable[str] = ()) -> None:
        """Steps until the sign is there three steps on end and the client has no picture of the map left to make."""
        deadline_s, seen = time.monotonic() + ARENA_S, 0
        while seen < 3:
            if time.monotonic() > deadline_s:
                raise GameError(self._game.describe(f"the arena was not there after {ARENA_S:g} s"))
            self.advance(held if seen % 2 == 0 else (), np.zeros(2, int))
            seen = seen + 1 if sign() and self._game.meshes_done() else 0

    def _stands_at_spawn(self) -> bool:
        turned = abs(wrap(self.tick.yaw_deg - self.arena["spawn_yaw_deg"]))
        return turned < 0.1 and float(np.abs(np.subtract(self.tick.position, self.arena["spawn"])).max()) < 0.1

    def _take(self, line: str) -> Tick | None:
        """Files one line of the mods; returns it when it is a client loop."""
        kind, _, rest = line.partition(" ")
        if kind == "T":
            self.tick = Tick.parse(line)
            return self.tick
        message = json.loads(rest)
        self.inventory = {item: int(count) for item, count in (message["inventory"] or {}).items()}
        if kind == "R":
            self.arena = message["arena"]
        else:
            self.events += message.get("events") or []
        return None


def wrap(angle_deg: float) -> float:
    """The same angle in [-180, 180)."""
    return (angle_deg + 180.0) % 360.0 - 180.0
