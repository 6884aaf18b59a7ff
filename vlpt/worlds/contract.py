"""What crosses the border between an agent and a world: MineRL's HumanSurvival dictionaries.

In (action): one int 0/1 for each of BUTTONS and WORLD_ONLY, 0 where it is left out, and "camera": (pitch_deg, yaw_deg)
float, the change of gaze in this step, down and right positive. MineStudio's dictionaries pass as they are: without
WORLD_ONLY, with an empty "chat", "camera" of shape (1, 2). Out (observation): {"pov": (H, W, 3) uint8 RGB}. A step is
50 ms.

`info` of every reset and step:
    "truth"       {"position": [x, y, z], "yaw_deg" clockwise from +z, "pitch_deg" down positive, "hotbar": 0..8,
                   "hand": item, "inventory": {item: count}, "gui_open": bool,
                   "events": [{"kind": "dig" | "place" | "pickup", "node": name, "position": [x, y, z]}]}
    "camera_deg"  (pitch, yaw) float64, the change of gaze really applied (what a recorder must write)
    "errand"      {"name", "done", "progress", "goal"}, when the reset asked for one
and of a reset: "arena", where things are (see `luanti/mods/grove/arena.lua`).

A world is made in one of SCENES; in others than the first it shows what an agent that was trained in that never saw:
"other-textures" (what the ground, heaps, trees and walls are made of has other colours and patterns, drawn from
`scene_seed`; wool and flowers keep theirs, by which they are called), "other-time-of-day" (dusk), "moved-things" (the
player starts away from the middle, and things stand where else only the player does).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

__all__ = ["AS_IS", "BUTTONS", "DEGREES_PER_COUNT", "MOVED_THINGS", "OTHER_TEXTURES", "OTHER_TIME", "SCENES", "STEP_S",
           "WORLD_ONLY", "CheckSpaces", "action_space", "check_render_mode", "check_scene", "check_size", "noop",
           "observation_space", "whole_action"]  # fmt: skip

# VPT's clock, mouse and button names. A world imports nothing of ours, so they are repeated here; a test compares them.
STEP_S = 0.05
DEGREES_PER_COUNT = 0.15  # a mouse moves in whole counts
HOTBAR = tuple(f"hotbar.{slot}" for slot in range(1, 10))
BUTTONS = ("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory", *HOTBAR)
WORLD_ONLY = ("ESC", "pickItem", "swapHands")  # MineRL has them; no policy presses them, and only ESC may do something
UNHEARD = "chat"  # MineStudio sends it; no world here has a chat
CAMERA_LIMIT_DEG = 180.0
SCENES = AS_IS, OTHER_TEXTURES, OTHER_TIME, MOVED_THINGS = ("as-is", "other-textures", "other-time-of-day",
                                                            "moved-things")  # fmt: skip
TRUTH = {"position", "yaw_deg", "pitch_deg", "hotbar", "hand", "inventory", "gui_open", "events"}


def action_space() -> spaces.Dict:
    """The space of one action, as in MineRL's HumanSurvival."""
    buttons = {name: spaces.Discrete(2) for name in (*BUTTONS, *WORLD_ONLY)}
    return spaces.Dict({**buttons, "camera": spaces.Box(-CAMERA_LIMIT_DEG, CAMERA_LIMIT_DEG, (2,), np.float32)})


def observation_space(width: int, height: int) -> spaces.Dict:
    """The space of one observation: `pov` (height, width, 3) uint8 RGB."""
    return spaces.Dict({"pov": spaces.Box(0, 255, (height, width, 3), np.uint8)})


def noop() -> dict[str, Any]:
    """A fresh action that presses nothing and moves nothing."""
    return {**dict.fromkeys((*BUTTONS, *WORLD_ONLY), 0), "camera": np.zeros(2, np.float32)}


def whole_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """`action` with the buttons that it leaves out, each an int, and "camera" of shape (2,).

    Raises ValueError as check_action.
    """
    check_action(action)
    buttons = {name: int(np.asarray(action.get(name, 0)).item()) for name in (*BUTTONS, *WORLD_ONLY)}
    return {**buttons, "camera": np.asarray(action["camera"]).reshape(2)}


def check_action(action: Mapping[str, Any]) -> None:
    """Raises ValueError unless `action` has "camera", no key that the contract does not know, and values in range."""
    if not isinstance(action, Mapping):
        raise ValueError(f"an action is a dictionary, got {type(action).__name__}; start from noop()")
    missing = sorted({"camera"} - set(action))
    unknown = sorted(map(str, set(action) - {*BUTTONS, *WORLD_ONLY, "camera", UNHEARD}))
    if missing or unknown:
        raise ValueError(f"action keys: missing {missing or 'none'}, unknown {unknown or 'none'}; start from noop()")
    if np.asarray(action.get(UNHEARD, "")).tolist() not in ("", None, []):
        raise ValueError(f"action['{UNHEARD}'] must be empty, for this world has no chat, got {action[UNHEARD]!r:.80}")
    for name in sorted(set(action) & {*BUTTONS, *WORLD_ONLY}):
        value = np.asarray(action[name])
        if value.size != 1 or value.item() not in (0, 1):
            raise ValueError(f"action[{name!r}] must be 0 or 1, got {action[name]!r}")
    camera = np.asarray(action["camera"])
    if camera.shape not in ((2,), (1, 2)) or camera.dtype.kind not in "fiu":
        raise ValueError(f"action['camera'] must be two numbers (pitch_deg, yaw_deg), got {action['camera']!r}")
    if not (np.isfinite(camera).all() and (np.abs(camera) <= CAMERA_LIMIT_DEG).all()):
        raise ValueError(f"action['camera'] must lie within ±{CAMERA_LIMIT_DEG:g} degrees, got {camera.tolist()}")


def check_size(size: Any, least: int, even: bool = False) -> tuple[int, int]:
    """`size` as (width, height) pixels. Raises ValueError unless it is two whole numbers that are large enough."""
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        width = height = 0
    if min(width, height) < least or even and (width % 2 or height % 2):
        wanted = f"{'even and ' if even else ''}at least {least} pixels each"
        raise ValueError(f"size must be (width, height), {wanted}, got {size!r:.80}")
    return width, height


def check_render_mode(render_mode: str | None) -> str | None:
    """Raises ValueError unless it is one that gymnasium may ask a world for."""
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
    return render_mode


def check_scene(scene: str, scene_seed: int) -> tuple[str, int]:
    """Both. Raises ValueError unless the scene is one of SCENES and the seed a whole number from 0."""
    if scene not in SCENES:
        raise ValueError(f"there is no scene {scene!r}; choose one of {', '.join(SCENES)}")
    if isinstance(scene_seed, bool) or not isinstance(scene_seed, (int, np.integer)) or scene_seed < 0:
        raise ValueError(f"scene_seed must be a whole number from 0, got {scene_seed!r}")
    return scene, int(scene_seed)


def check_observation(observation: Mapping[str, Any], space: spaces.Dict) -> None:
    """Raises ValueError unless `observation` holds exactly a `pov` of the promised shape and type."""
    if not isinstance(observation, Mapping) or set(observation) != {"pov"}:
        raise ValueError(f"an observation holds exactly 'pov', got {observation!r:.200}")
    pov, promised = observation["pov"], space["pov"]
    if not isinstance(pov, np.ndarray) or pov.shape != promised.shape or pov.dtype != np.uint8:
        got = f"{pov.dtype} {pov.shape}" if isinstance(pov, np.ndarray) else type(pov).__name__
        raise ValueError(f"observation['pov'] must be uint8 {promised.shape}, got {got}")


def check_info(info: Mapping[str, Any]) -> None:
    """Raises ValueError unless `info` carries the whole truth and the camera motion really applied."""
    missing = sorted({"truth", "camera_deg"} - set(info)) or sorted(TRUTH - set(info["truth"]))
    if missing:
        raise ValueError(f"the world left out {missing} of info")


class CheckSpaces(gymnasium.Wrapper):
    """Lets only what the contract allows cross the border, in both directions; raises ValueError otherwise."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._running = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """As the world's own `reset`; raises ValueError for a seed that is not a whole number from 0."""
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
        observation, info = self.env.reset(seed=seed, options=options)
        check_observation(observation, self.observation_space)
        check_info(info)
        self._running = True
        return observation, info

    def step(self, action: Mapping[str, Any]):
        """As the world's own `step`; raises ValueError before the first reset and for a wrong action."""
        if not self._running:
            raise ValueError("step before reset: call reset() first")
        observation, reward, terminated, truncated, info = self.env.step(whole_action(action))
        check_observation(observation, self.observation_space)
        check_info(info)
        return observation, float(reward), bool(terminated), bool(truncated), info
