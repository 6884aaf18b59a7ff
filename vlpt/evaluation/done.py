"""What counts as having done what one was told, and when it was done.

In: what was pressed and seen to happen in the frames that are watched. Out: of each instruction (instructions.py)
the first frame by which it is done, or None. Judged by how long one watches, one life answers for every instruction.

    red, blue, yellow    it stands within 2.5 m of that pillar's axis        flower    one flower is picked, of any kind
    tree, sand, dirt, stone    one node of that kind is dug, above ground  place     one block is placed, above ground
    jump    jump is pressed anew as often as was asked   back, left, right    the key is down for 8 frames on end
    up      the gaze has risen by 20 degrees             turn    it has turned by 120 degrees to one side

What is asked of the motions is what the scripted player does at least, or a little less; of an errand it is that it has
begun to be done, which takes that player some seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlpt.evaluation.instructions import INSTRUCTIONS
from vlpt.worlds.errands import Errand, above_ground
from vpt.actions import MINECRAFT

LEAST_FRAMES, LEAST_UP_DEG, LEAST_TURN_DEG = 8, 20.0, 120.0


@dataclass(frozen=True)
class Watched:
    """N frames of a life."""

    buttons: np.ndarray  # (N, 20) 0/1, what was pressed
    camera_deg: np.ndarray  # (N, 2) (pitch, yaw) degrees by which the gaze really changed
    progress: dict[str, np.ndarray]  # of each errand that an instruction asks for, (N,) how far it is done by then


class Judge:
    """Watches one life in a world, frame by frame; what is dug or placed counts above the ground."""

    def __init__(self, arena: Mapping, truth: Mapping) -> None:
        """truth: of the moment from which on it counts."""
        self.arena, self.rows = arena, []
        self.errands = {name: Errand(name, arena, truth) for name in wanted_errands()}

    def see(self, buttons: Sequence, info: Mapping) -> None:
        """buttons (20,) of a frame, info: of the world after it."""
        above = above_ground(info["truth"], self.arena)
        for errand in self.errands.values():
            errand.update(above, info["camera_deg"])
        self.rows.append((buttons, info["camera_deg"], [errand.progress for errand in self.errands.values()]))

    def watched(self, frames: int | None = None) -> Watched:
        """All that was seen, or the first so many frames of it."""
        buttons, camera_deg, progress = (np.array(part) for part in zip(*self.rows[:frames], strict=True))
        return Watched(buttons, camera_deg, dict(zip(self.errands, progress.T, strict=True)))


def wanted_errands() -> list[str]:
    """The errands of the world that instructions ask for."""
    return [instruction.errand for instruction in INSTRUCTIONS.values() if instruction.errand]


def down(buttons: np.ndarray, key: str) -> np.ndarray:
    """buttons (N, 20) -> (N,) bool: when a key is down."""
    return buttons[:, MINECRAFT.column[key]].astype(bool)


def presses(buttons: np.ndarray, key: str) -> np.ndarray:
    """(N,) how often a key has been pressed anew by then; one that is down at first counts."""
    held = down(buttons, key)
    return np.cumsum(held & ~np.concatenate([[False], held[:-1]]))


def held_for(buttons: np.ndarray, key: str) -> np.ndarray:
    """(N,) for how many frames on end a key has been down."""
    held = down(buttons, key)
    count = np.arange(1, len(held) + 1)
    return count - np.maximum.accumulate(np.where(held, 0, count))


MOTIONS: dict[str, Callable[[Watched, int], np.ndarray]] = {  # (what is watched, jumps asked for) -> (N,) bool
    "jump": lambda watched, jumps: presses(watched.buttons, "jump") >= jumps,
    "back": lambda watched, jumps: held_for(watched.buttons, "back") >= LEAST_FRAMES,
    "left": lambda watched, jumps: held_for(watched.buttons, "left") >= LEAST_FRAMES,
    "right": lambda watched, jumps: held_for(watched.buttons, "right") >= LEAST_FRAMES,
    "up": lambda watched, jumps: watched.camera_deg[:, 0].cumsum() <= -LEAST_UP_DEG,
    "turn": lambda watched, jumps: np.abs(watched.camera_deg[:, 1].cumsum()) >= LEAST_TURN_DEG,
}


def when_done(name: str, watched: Watched, jumps: int) -> int | None:
    """The first frame by which an instruction is done; None where it is not in all that is watched."""
    errand = INSTRUCTIONS[name].errand
    done = watched.progress[errand] >= 1 if errand else MOTIONS[name](watched, jumps)
    return int(done.argmax()) if done.any() else None
