"""Worlds: games behind MineRL's dictionaries and gymnasium's `reset`/`step`.

    world = make("luanti", size=(320, 180))        # or make("dummy"), make("minerl", size=(640, 360))
    observation, info = world.reset(seed=7, options={"errand": "chop"})
    observation, reward, terminated, truncated, info = world.step(noop())
    world.close()

`contract.py` says what crosses the border. Only the chosen world is imported. After `import vlpt.worlds`, or with the
module named before the id, gymnasium makes them too, with the same border:

    world = gymnasium.make("vlpt.worlds:vlpt/Luanti-v0", render_mode="rgb_array")   # or "vlpt.worlds:vlpt/Dummy-v0"
"""

from __future__ import annotations

import inspect
from importlib import import_module

import gymnasium
from gymnasium.envs.registration import WrapperSpec

from vlpt.worlds.contract import BUTTONS, CheckSpaces, noop

__all__ = ["BUTTONS", "WORLDS", "CheckSpaces", "check_name", "make", "noop"]

WORLDS = {"dummy": ("vlpt.worlds.dummy", "Dummy"), "luanti": ("vlpt.worlds.luanti.world", "Luanti"),
          "minerl": ("vlpt.worlds.minecraft.world", "MineRL"),
          "minestudio": ("vlpt.worlds.minecraft.world", "MineStudio")}
REPEATABLE = {"dummy"}  # the same pictures for the same seed and actions; compared with the worlds' metadata by a test

_BORDER = WrapperSpec("CheckSpaces", "vlpt.worlds.contract:CheckSpaces", {})
for _name, (_module, _world) in WORLDS.items():
    gymnasium.register(f"vlpt/{_world}-v0", f"{_module}:{_world}", nondeterministic=_name not in REPEATABLE,
                       additional_wrappers=(_BORDER,))  # fmt: skip


def check_name(name: str) -> None:
    """Raises ValueError when there is no world of this name: to be asked before anything is loaded for it."""
    if name not in WORLDS:
        raise ValueError(f"there is no world called {name!r}; choose one of {', '.join(sorted(WORLDS))}")


def make(name: str, **options) -> CheckSpaces:
    """The world called `name` with its border checked; `options` go to its constructor.

    Raises ValueError when there is no such world or it knows no such option, and whatever it raises for an option.
    """
    check_name(name)
    module, world = WORLDS[name]
    constructor = getattr(import_module(module), world)
    known = list(inspect.signature(constructor).parameters)
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"the world {name} knows no option {', '.join(unknown)}; it knows {', '.join(known)}")
    return CheckSpaces(constructor(**options))
