"""What is missing for a world to start here, step by step, each with its cure; starts nothing. Status 1 if anything is.

    python -m vlpt.worlds.check minecraft        # MineRL 1.0 and MineStudio; one of them is enough
    python -m vlpt.worlds.check luanti           # or dummy, minerl, minestudio
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["check", "main"]

MINECRAFT = ("minerl", "minestudio")
KNOWN = ("dummy", "luanti", "minecraft", *MINECRAFT)


def check(world: str) -> tuple[list[str], bool]:
    """Lines to print, and whether the world can start. Raises ValueError for another name than KNOWN."""
    if world not in KNOWN:
        raise ValueError(f"there is no world called {world!r}; choose one of {', '.join(KNOWN)}")
    if world == "dummy":
        return ["ok       dummy needs nothing"], True
    if world == "luanti":
        try:
            import_module("vlpt.worlds.luanti.game").check_installed()
        except RuntimeError as missing:
            return [f"missing  {missing}"], False
        return ["ok       luanti: the game, its display and its clock are installed"], True
    lines, ready = [], []
    for game in MINECRAFT if world == "minecraft" else (world,):
        steps = import_module("vlpt.worlds.minecraft.checks").steps(game)
        ready.append(all(step.right for step in steps))
        lines += [f"{game}:", *(step.line() for step in steps)]
        lines.append(f"{game} can start: --world {game} --size 640 360" if ready[-1] else f"{game} cannot start yet")
    return lines, any(ready)


def main(argv: list[str]) -> int:
    """The status to end with."""
    if argv in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    try:
        if len(argv) != 1:
            raise ValueError(f"name one world of {', '.join(KNOWN)}, got {' '.join(argv) or 'none'}")
        lines, ready = check(*argv)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
