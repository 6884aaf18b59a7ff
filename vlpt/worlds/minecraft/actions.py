"""Our action -> the dictionary of one of Minecraft's environments, and what that one cannot do.

In: an action of vlpt/worlds/contract.py, whole. Out: that environment's own keys.

    for_game(noop(), MINERL)["ESC"]
    lost(MINESTUDIO)                       # ("drop", "ESC", "swapHands"): this simulator has no such keys
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vlpt.worlds.contract import BUTTONS, WORLD_ONLY

__all__ = ["BASALT", "MINERL", "MINESTUDIO", "TASKS", "for_game", "lost"]

MINERL, MINESTUDIO = "minerl", "minestudio"
BASALT = {"FindCave": 3 * 60, "MakeWaterfall": 5 * 60, "CreateVillageAnimalPen": 5 * 60, "BuildVillageHouse": 12 * 60}
"""Tasks of the BASALT competition and their seconds."""
TASKS = {MINERL: ("HumanSurvival", *BASALT), MINESTUDIO: ("HumanSurvival",)}
KEYS = {MINERL: (*BUTTONS, *WORLD_ONLY), MINESTUDIO: tuple(name for name in BUTTONS if name != "drop") + ("pickItem",)}


def lost(game: str) -> tuple[str, ...]:
    """Our buttons that this game's own classes leave out, without a word."""
    return tuple(name for name in (*BUTTONS, *WORLD_ONLY) if name not in KEYS[game])


def for_game(action: dict[str, Any], game: str) -> dict[str, Any]:
    """The game's own dictionary: each of its buttons an int, "camera" (2,) float32 degrees, MineStudio's empty chat."""
    buttons = {name: int(action[name]) for name in KEYS[game]}
    chat = {"chat": ""} if game == MINESTUDIO else {}
    return {**buttons, "camera": np.asarray(action["camera"], np.float32).reshape(2), **chat}
