"""Worlds: games behind MineRL's dictionaries and gymnasium's `reset`/`step`.

    world = make("luanti", size=(320, 180))        # or make("dummy")
    observation, info = world.reset(seed=7, options={"errand": "chop"})
    observation, reward, terminated, truncated, info = world.step(noop())
    world.close()

`contract.py` says what crosses the border. Only the chosen world is imported.
"""

from __future__ import annotations

from importlib import import_module

from vlpt.worlds.contract import BUTTONS, CheckSpaces, noop

__all__ = ["BUTTONS", "WORLDS", "CheckSpaces", "check_name", "make", "noop"]

WORLDS = {"dummy": ("vlpt.worlds.dummy", "Dummy"), "luanti": ("vlpt.worlds.luanti.world", "Luanti")}


def check_name(name: str) -> None:
    """Raises ValueError when there is no world of this name: to be asked before anything is loaded for it."""
    if name not in WORLDS:
        raise ValueError(f"there is no world called {name!r}; choose one of {', '.join(sorted(WORLDS))}")


def make(name: str, **options) -> CheckSpaces:
    """The world called `name` with its border checked; `options` go to its constructor.

    Raises ValueError when there is no such world, and whatever the world raises for its own options.
    """
    check_name(name)
    module, world = WORLDS[name]
    return CheckSpaces(getattr(import_module(module), world)(**options))
