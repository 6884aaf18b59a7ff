"""A tiny world for tests: no game, no waiting, the same everything for the same seed and actions.

    world = Dummy(size=(128, 128)); observation, info = world.reset(seed=7, options={"errand": "chop"})

In and out as `contract.py` says. The picture is real geometry (a checkered ground, sky, coloured boxes seen through a
72-degree lens), so it moves with the camera and the keys as a game's would; boxes can be dug, placed and stood upon.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np

from vlpt.worlds.contract import (
    AS_IS,
    BUTTONS,
    DEGREES_PER_COUNT,
    MOVED_THINGS,
    STEP_S,
    action_space,
    check_render_mode,
    check_scene,
    check_size,
    observation_space,
)
from vlpt.worlds.dummy_picture import GROUND_Y, Box, Look, distance, draw
from vlpt.worlds.errands import COLOURS, Errand, check_options

__all__ = ["Dummy"]

SIDE, EYE_M, REACH_M = 16, 1.6, 4.0
WALK_M, SPRINT_M = 4.0 * STEP_S, 5.6 * STEP_S
DIG_STEPS = 8
PITCH_LIMIT_DEG = 89.0
HOTBAR = ("axe", "pickaxe", "shovel", "cobble", "planks", "", "", "", "")


class Dummy(gymnasium.Env):
    """One player among boxes."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP_S), "nondeterministic": False}

    def __init__(self, size: tuple[int, int] = (128, 128), render_mode: str | None = "rgb_array",
                 scene: str = AS_IS, scene_seed: int = 0) -> None:  # fmt: skip
        """`size`: (width, height) pixels; `scene`: one of SCENES (contract.py), drawn from `scene_seed`.

        Raises ValueError unless both sizes are at least 16, for another render_mode than "rgb_array" and None, and for
        another scene.
        """
        self.size, self.render_mode = check_size(size, 16), check_render_mode(render_mode)
        self.scene, scene_seed = check_scene(scene, scene_seed)
        self._look = Look.of(scene, scene_seed)
        self.action_space, self.observation_space = action_space(), observation_space(*self.size)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """As Luanti's reset; raises ValueError for an unknown errand or option."""
        super().reset(seed=seed)
        errand = check_options(options)
        random = np.random.default_rng(self.np_random.integers(2**31))
        self._arena, self._boxes = build(random, moved=self.scene == MOVED_THINGS)
        self._position = np.array(self._arena["spawn"])
        self._yaw_deg, self._pitch_deg = float(random.integers(-180, 180)), 5.0
        self._hotbar, self._dug_steps, self._used, self._gui_open = 0, 0, False, False
        self._tiles = random.integers(90, 160, (64, 64))
        self._inventory: dict[str, int] = {"default:cobble": 99}
        self._events: list[dict[str, Any]] = []
        truth = self._truth()
        self._errand = Errand(errand, self._arena, truth) if errand else None
        info = {"truth": truth, "camera_deg": np.zeros(2), "arena": self._arena, **self._errand_info()}
        return self._observation(), info

    def step(self, action: dict[str, Any]):
        """One step of 50 ms."""
        held = {name for name in BUTTONS if int(action[name])}
        camera_deg = self._turn(np.asarray(action["camera"], float))
        self._walk(held)
        for slot in range(9):
            self._hotbar = slot if f"hotbar.{slot + 1}" in held else self._hotbar
        self._dig("attack" in held)
        self._place("use" in held)
        truth = self._truth()
        if self._errand and not self._errand.done:
            self._errand.update(truth, camera_deg)
        done = bool(self._errand and self._errand.done)
        info = {"truth": truth, "camera_deg": camera_deg, **self._errand_info()}
        return self._observation(), float(done), done, False, info

    def render(self) -> np.ndarray | None:
        """The current picture: (H, W, 3) uint8 RGB; None when render_mode is None."""
        return self._observation()["pov"] if self.render_mode else None

    def _turn(self, camera_deg: np.ndarray) -> np.ndarray:
        turned = np.rint(camera_deg / DEGREES_PER_COUNT) * DEGREES_PER_COUNT
        pitch = float(np.clip(self._pitch_deg + turned[0], -PITCH_LIMIT_DEG, PITCH_LIMIT_DEG))
        turned[0] = pitch - self._pitch_deg
        self._pitch_deg, self._yaw_deg = pitch, float((self._yaw_deg + turned[1] + 180.0) % 360.0 - 180.0)
        return turned

    def _walk(self, held: set[str]) -> None:
        ahead = ("forward" in held) - ("back" in held)
        aside = ("right" in held) - ("left" in held)
        yaw = np.radians(self._yaw_deg)
        move = ahead * np.array([np.sin(yaw), np.cos(yaw)]) + aside * np.array([np.cos(yaw), -np.sin(yaw)])
        length = np.hypot(*move)
        if length:
            move *= (SPRINT_M if "sprint" in held else WALK_M) / length
        there = np.clip(self._position[[0, 2]] + move, 1.5 - SIDE, SIDE - 2.5)
        feet = self._floor(there)
        if feet <= self._position[1] or ("jump" in held and feet <= self._position[1] + 1):
            self._position = np.array([there[0], feet, there[1]])

    def _floor(self, at: np.ndarray) -> float:
        under = [box.height for box in self._boxes if max(abs(box.x - at[0]), abs(box.z - at[1])) < 0.6]
        return GROUND_Y + max(under, default=0)

    def _dig(self, attack: bool) -> None:
        box = self._looked_at() if attack else None
        self._dug_steps = self._dug_steps + 1 if box else 0
        if box and self._dug_steps >= DIG_STEPS:
            self._dug_steps = 0
            self._boxes.remove(box)
            if box.height > 1:
                self._boxes.append(replace(box, height=box.height - 1))
            self._note("dig", box)
            self._inventory[box.node] = self._inventory.get(box.node, 0) + 1

    def _place(self, use: bool) -> None:
        if use and not self._used and HOTBAR[self._hotbar] == "cobble":
            yaw = np.radians(self._yaw_deg)
            x, z = np.rint(self._position[[0, 2]] + 2 * np.array([np.sin(yaw), np.cos(yaw)]))
            if self._floor(np.array([x, z])) == GROUND_Y:
                self._boxes.append(Box("default:cobble", float(x), float(z), 1))
                self._note("place", self._boxes[-1])
        self._used = use

    def _note(self, kind: str, box: Box) -> None:
        self._events.append({"kind": kind, "node": box.node, "position": [box.x, GROUND_Y - 0.5 + box.height, box.z]})

    def _looked_at(self) -> Box | None:
        """The box in the middle of the picture, when it is within reach."""
        pitch, yaw = np.radians(self._pitch_deg), np.radians(self._yaw_deg)
        ray = np.array([[np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)]])
        far = [(float(distance(self._position + [0, EYE_M, 0], ray, box)[0]), n) for n, box in enumerate(self._boxes)]
        nearest_m, n = min(far, default=(np.inf, 0))
        return self._boxes[n] if nearest_m <= REACH_M else None

    def _truth(self) -> dict[str, Any]:
        events, self._events = self._events, []
        return {"position": self._position.tolist(), "yaw_deg": self._yaw_deg, "pitch_deg": self._pitch_deg,
                "hotbar": self._hotbar, "hand": HOTBAR[self._hotbar], "inventory": dict(self._inventory),
                "gui_open": self._gui_open, "events": events}  # fmt: skip

    def _errand_info(self) -> dict[str, Any]:
        return {"errand": self._errand.report()} if self._errand else {}

    def _observation(self) -> dict[str, np.ndarray]:
        eye = self._position + np.array([0.0, EYE_M, 0.0])
        picture = draw(eye, self._yaw_deg, self._pitch_deg, self.size, self._boxes, self._tiles, self._look)
        return {"pov": picture}


def build(random: np.random.Generator, moved: bool = False) -> tuple[dict[str, Any], list[Box]]:
    """An arena with Luanti's keys (info["arena"]) and its boxes, on free whole-numbered places. moved: the player
    starts away from the middle.
    """
    start = (0, 0)
    if moved:
        start = tuple(random.choice([-7, 7], 2).tolist())
        random = np.random.default_rng(random.integers(2**31))  # other places for all
    taken = [start]

    def place(gap_m: int = 3) -> tuple[int, int]:
        while True:
            x, z = (int(n) for n in random.integers(3 - SIDE, SIDE - 4, 2))
            if all(max(abs(x - a), abs(z - b)) >= gap_m for a, b in taken):
                taken.append((x, z))
                return x, z

    base_y = GROUND_Y + 0.5
    boxes: list[Box] = []

    def stand(node: str, height: int, at: tuple[int, int] | None = None) -> list[float]:
        x, z = at or place()
        boxes.append(Box(node, float(x), float(z), height))
        return [float(x), base_y, float(z)]

    x, z = int(random.integers(-5, 6)), int(random.choice([-10, 9]))
    taken += [(x + n, z) for n in range(4)]
    steps = [stand("default:stonebrick", n + 1, (x + n, z)) for n in range(4)]
    arena = {
        "size": SIDE, "ground": GROUND_Y - 0.5, "spawn": [float(start[0]), GROUND_Y, float(start[1])],
        "pillars": {colour: stand(f"wool:{colour}", 4) for colour in COLOURS},
        "trees": [stand("default:tree", 4) for _ in range(4)], "sand": [stand("default:sand", 3)],
        "dirt": [stand("default:dirt", 3)], "stone": [stand("default:stone", 3)], "water": [],
        "flowers": [{"position": stand("flowers:rose", 1), "node": "flowers:rose"} for _ in range(3)],
        "steps": [[at[0], at[1] + n, at[2]] for n, at in enumerate(steps)],
    }  # fmt: skip
    return arena, boxes
