"""Luanti (Debian's `minetest` 5.6) as a gymnasium world in lockstep: 50 ms a step, however slow the agent is.

    world = Luanti(size=(320, 180))
    observation, info = world.reset(seed=7, options={"errand": "chop"})

In: MineRL's action dictionary. Out: {"pov": (H, W, 3) uint8 RGB}, the frame that already shows the step's input, and in
`info` the truth: pose from the client (no lag), digs and inventory from the server (a step or two later); contract.py.
Repeatable, from one seed and one sequence of actions, are the arena, the spawn and the gaze after each step. Not quite
repeatable are the pictures, which differ by 2 to 3 grey levels on average, and the position, by 2 cm after 6 s.
Needs: apt-get install --no-install-recommends minetest minetest-data xvfb faketime libgl1-mesa-dri
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import Any

import gymnasium
import numpy as np

from vlpt.worlds.contract import (
    AS_IS,
    BUTTONS,
    DEGREES_PER_COUNT,
    STEP_S,
    action_space,
    check_render_mode,
    check_scene,
    check_size,
    observation_space,
)
from vlpt.worlds.errands import Errand, check_options
from vlpt.worlds.luanti.game import check_installed
from vlpt.worlds.luanti.session import Session

__all__ = ["Luanti"]

STARTS = 4  # one start in ten fails, and now and then a first arena; a new start costs seconds
PITCH_LIMIT_DEG = 89.5  # where Luanti stops the gaze
ROUNDING_DEG = 0.02  # of the client's own angles
_instances = itertools.count()


class Luanti(gymnasium.Env):
    """One player in one small arena. Several may run side by side, in one process or in many."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP_S), "nondeterministic": True}

    def __init__(self, size: tuple[int, int] = (320, 180), viewing_range: int = 48,
                 render_mode: str | None = "rgb_array", scene: str = AS_IS, scene_seed: int = 0) -> None:  # fmt: skip
        """`size`: (width, height) pixels; `viewing_range`: metres; `scene`: one of SCENES (contract.py), drawn from
        `scene_seed`.

        Raises ValueError unless both sizes are even and at least 64, the render_mode is "rgb_array" or None and there
        is such a scene, and RuntimeError naming Debian packages to install.
        """
        self.size, self.render_mode = check_size(size, 64, even=True), check_render_mode(render_mode)
        self._scene = check_scene(scene, scene_seed)
        check_installed()
        self.viewing_range = viewing_range
        self.action_space, self.observation_space = action_space(), observation_space(*self.size)
        self._number = next(_instances)
        self._session: Session | None = None
        self._errand: Errand | None = None
        self._fraction = np.zeros(2)
        self._finalizer: weakref.finalize | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Builds the arena of `seed` (a random one for None) and puts the player into it, starting the game if need be.

        options["errand"]: one of errands.ERRANDS, or absent. Raises ValueError for another, RuntimeError (with the
        game's last log lines) when the game fails.
        """
        errand = check_options(options)
        super().reset(seed=seed)
        seed = int(self.np_random.integers(2**31)) if seed is None else int(seed)
        arena = self._enter_arena(seed, errand)
        self._fraction = np.zeros(2)
        truth = self._truth()
        self._errand = Errand(errand, arena, truth) if errand else None
        info = {"truth": truth, "camera_deg": np.zeros(2), "arena": arena, **self._errand_info()}
        return {"pov": self._session.frame()}, info

    def step(self, action: dict[str, Any]):
        """One step of 50 ms: presses, moves, returns the frame that shows it; RuntimeError when the game fails."""
        if self._session is None:
            raise RuntimeError("the world is closed; call reset() to start it again")
        held = {name for name in BUTTONS if int(action[name])}
        if int(action["ESC"]) and self._session.gui_open:  # elsewhere it would open the game's own menu
            held.add("ESC")
        counts = self._counts(np.asarray(action["camera"], float))
        if self._session.gui_open:
            counts = self._session.inside_window(counts)
        pitch_before_deg = self._session.tick.pitch_deg
        self._or_close(self._session.advance, held, counts)
        camera_deg = counts * DEGREES_PER_COUNT
        pitched_deg = self._session.tick.pitch_deg - pitch_before_deg
        if abs(self._session.tick.pitch_deg) > PITCH_LIMIT_DEG - ROUNDING_DEG:
            camera_deg[0] = round(pitched_deg / DEGREES_PER_COUNT) * DEGREES_PER_COUNT
        truth = self._truth()
        if self._errand and not self._errand.done:
            self._errand.update(truth, camera_deg)
        done = bool(self._errand and self._errand.done)
        info = {"truth": truth, "camera_deg": camera_deg, **self._errand_info()}
        return {"pov": self._session.frame()}, float(done), done, False, info

    def render(self) -> np.ndarray | None:
        """The last frame: (H, W, 3) uint8 RGB; None when render_mode is None. Raises RuntimeError before a reset."""
        if self._session is None:
            raise RuntimeError("the world is closed; call reset() to start it")
        return self._session.frame() if self.render_mode else None

    def close(self) -> None:
        """Ends the game and the display and removes their files. Safe to call twice; a later reset starts anew."""
        if self._finalizer:
            self._finalizer()
        self._session = None

    def _enter_arena(self, seed: int, errand: str | None) -> dict[str, Any]:
        """Has the arena built; a game that fails at it is started anew: all that an arena is follows from its seed."""
        for attempt in range(STARTS):
            try:
                if self._session is None:
                    self._session = Session(self.size, self.viewing_range, self._number, *self._scene)
                    self._finalizer = weakref.finalize(self, _close_own, self._session, os.getpid())
                return self._or_close(self._session.enter_arena, seed, errand)
            except RuntimeError:  # of the game or of its display
                if attempt == STARTS - 1:
                    raise

    def _or_close(self, call, *arguments):
        """`call(*arguments)`; whatever goes wrong, Ctrl-C included, the game is closed before it is passed on."""
        try:
            return call(*arguments)
        except BaseException:
            self.close()
            raise

    def _counts(self, camera_deg: np.ndarray) -> np.ndarray:
        """(pitch, yaw) whole mouse counts for degrees; what is left of a count is kept for the next step."""
        wanted = camera_deg / DEGREES_PER_COUNT + self._fraction
        counts = np.rint(wanted)
        self._fraction = wanted - counts
        return counts.astype(int)

    def _truth(self) -> dict[str, Any]:
        session, tick = self._session, self._session.tick
        events, session.events = session.events, []
        return {"position": list(tick.position), "yaw_deg": tick.yaw_deg, "pitch_deg": tick.pitch_deg,
                "hotbar": tick.hotbar, "hand": tick.hand, "inventory": dict(session.inventory),
                "gui_open": session.gui_open, "events": events}  # fmt: skip

    def _errand_info(self) -> dict[str, Any]:
        return {"errand": self._errand.report()} if self._errand else {}


def _close_own(session: Session, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not end its parent's game
        session.close()
