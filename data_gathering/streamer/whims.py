"""Small things done on the way: a hop, a step aside, a glance, each said in a word or two and done right after.

In:  a Player who walks. Out: the buttons of the frames that a whim takes; the way goes on after it.
Why: a player decides far more often than there are errands, and each decision is a moment in which words tell what the
next frames will be.
"""

from __future__ import annotations

from collections.abc import Callable

from data_gathering.streamer.player import STEP_M, Player, Skill
from vpt.frames import FRAME_MS

ROOM_M, WORDS_M = 1.0, 3.2  # of the way that must be left when a whim is done, and what is walked while it is said
GLANCES_DEG = {"up": -40.0, "down": 45.0}  # pitch


def say_whim(player: Player) -> bool:
    """Say one of the whims for which there is room where the words will end. Returns whether something was said."""
    kind = str(player.rng.choice(list(DO)))
    if player.whim is not None or player.way_left_m() < ROOM_M + WORDS_M:
        return False
    onset_ms = player.say(player.narrator.whim(kind))
    due = int(player.mouth.ended_ms / FRAME_MS) + 1 + int(player.rng.integers(1, 6))
    player.whim = kind, onset_ms, due
    return True


def act_on_whim(player: Player) -> Skill[None]:
    """Do what was said when its time has come; one that the end of the way overtook is forgotten."""
    if player.whim is None or player.frame < player.whim[2]:
        return
    (kind, said_ms, _), player.whim = player.whim, None
    if player.doing != "walk":
        return
    player.whims.append({"name": kind, "said_ms": said_ms, "start_frame": player.frame})
    gaze, tolerance_deg = player.gaze, player.tolerance_deg
    yield from DO[kind](player, kind)
    player.look(gaze, tolerance_deg)


def hop(player: Player, kind: str) -> Skill[None]:
    """One jump, walking on."""
    player.jump()
    yield from ()


def step(player: Player, kind: str) -> Skill[None]:
    """Some steps aside or back, as far as there is room."""
    turn_deg = {"left": -90, "right": 90, "back": 180}[kind]
    frames = int(player.rng.integers(6, 12))
    clear_m = player.ground.clear_m(player.position, player.yaw_deg + turn_deg, 3.0)
    yield from player.wait(max(3, min(frames, int(clear_m / STEP_M) - 1)), {kind})


def glance(player: Player, kind: str) -> Skill[None]:
    """A look up or down, standing."""
    player.look((player.rng.normal(GLANCES_DEG[kind], 5.0), player.yaw_deg), 5.0)
    yield from player.settle(30)
    yield from player.wait(player.rng.integers(2, 9))


def stop(player: Player, kind: str) -> Skill[None]:
    """Stand still for a moment."""
    yield from player.wait(player.rng.integers(10, 22))


DO: dict[str, Callable[[Player, str], Skill[None]]] = {
    "hop": hop, "left": step, "right": step, "back": step, "up": glance, "down": glance, "stop": stop,
}  # fmt: skip
