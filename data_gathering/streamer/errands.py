"""Which errand comes next: drawn at random among what is possible where the player stands.

In:  a Player in an arena. Out: an Errand, whose words `it` single out its target, so that who hears them knows what
will be done although nothing in the picture tells. How it is done: chores.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from data_gathering.streamer.chores import LOOKS, TURNS_DEG, nearest, site
from data_gathering.streamer.errand import Errand
from data_gathering.streamer.ground import HEAPS, flat_m, name
from data_gathering.streamer.player import Player

TRIES = 100  # to find an errand that is possible
REACH_M = {"chop": 3.1, "climb": 3.0}  # how near a way must lead; 2 m for the others


Make = Callable[[Player, str], Errand | None]  # (player, kind) -> an errand, if there can be one


def choose(player: Player, last: str) -> Errand:
    """A random errand of the player's kinds that is possible now, rarely the same kind as the last one; a look
    around where none is possible any more, as when all trees are felled.
    """
    return draw(player, player.kinds or tuple(WEIGHTS), last) or draw(player, ("look",), last)


def draw(player: Player, kinds: Sequence[str], last: str) -> Errand | None:
    """One of some kinds, by their weights; None where TRIES were not possible."""
    shares = np.array([WEIGHTS[kind] * (0.15 if kind == last else 1.0) for kind in kinds])
    for _ in range(TRIES):
        kind = str(player.rng.choice(kinds, p=shares / shares.sum()))
        errand = MAKE[kind](player, kind)
        if errand is not None:
            return errand
    return None


def named(player: Player, kind: str, noun: str, number: int = 0) -> Errand | None:
    """An errand to a random target of a noun that can be walked to."""
    rivals = [target for target in player.ground.of(noun) if len(target.nodes) >= 1]
    rivals = [target for target in rivals if noun not in ("tree", *HEAPS) or len(target.nodes) >= number]
    if not rivals:
        return None
    liking = np.array([1.0 / (6.0 + flat_m(player.position, target.position)) for target in rivals])
    target = rivals[player.rng.choice(len(rivals), p=liking / liking.sum())]
    if player.ground.path(player.position, nearest(player, target.nodes), REACH_M.get(kind, 2.0)) is None:
        return None
    it = name(target, player.ground.of(noun), player.position, player.yaw_deg, player.rng)
    return Errand(kind, it, target, number) if it else None


def make_thing(noun: str, least: int = 0, most: int = 0) -> Make:
    """An errand to a thing, for least..most of what it is made of."""

    def make(player: Player, kind: str) -> Errand | None:
        return named(player, kind, noun, int(player.rng.integers(least, most + 1)))

    return make


def make_way(turns: Mapping[str, float], least_m: float) -> Make:
    """An errand in one of several directions relative to the gaze in which there is room."""

    def make(player: Player, kind: str) -> Errand | None:
        way = str(player.rng.choice(list(turns)))
        yaw_deg = player.yaw_deg + turns[way]
        room = player.ground.clear_m(player.position, yaw_deg, least_m + 1) >= least_m
        return Errand(kind, way, yaw_deg=yaw_deg) if room else None

    return make


def make_look(player: Player, kind: str) -> Errand:
    """An errand to look somewhere."""
    return Errand(kind, str(player.rng.choice(list(LOOKS))))


def make_number(least: int, most: int) -> Make:
    """An errand that is done least..most times."""

    def make(player: Player, kind: str) -> Errand:
        return Errand(kind, number=int(player.rng.integers(least, most + 1)))

    return make


def make_building(least: int, most: int) -> Make:
    """An errand to place least..most blocks where there is room for them."""

    def make(player: Player, kind: str) -> Errand | None:
        number = int(player.rng.integers(least, most + 1))
        return Errand(kind, number=number) if site(player, number) else None

    return make


def make_spin(player: Player, kind: str) -> Errand:
    """An errand to turn around once."""
    return Errand(kind, str(player.rng.choice(["left", "right"])))


def make_turn(player: Player, kind: str) -> Errand:
    """An errand to turn on the spot."""
    return Errand(kind, str(player.rng.choice(list(TURNS_DEG))))


# Of how many things or times: least and most, both drawn.
NUMBERED = {"chop": (2, 3), "place": (2, 5), "tower": (2, 2), "hop": (2, 5)} | dict.fromkeys(HEAPS, (2, 4))
WAYS = {"to the left": -90, "to the right": 90, "forward": 0, "back the other way": 180}
MAKE: dict[str, Make] = {
    "chop": make_thing("tree", *NUMBERED["chop"]),
    **{heap: make_thing(heap, *NUMBERED[heap]) for heap in HEAPS},
    "flower": make_thing("flower"),
    "pillar": make_thing("pillar"),
    "orbit": make_thing("pillar"),
    "climb": make_thing("steps"),
    "place": make_building(*NUMBERED["place"]),
    "tower": make_building(*NUMBERED["tower"]),
    "look": make_look,
    "spin": make_spin,
    "turn": make_turn,
    "hop": make_number(*NUMBERED["hop"]),
    "wander": make_way(WAYS, 3.0),
    "back": make_way({"": 180}, 2.5),
    "side": make_way({"left": -90, "right": 90}, 2.5),
}
# How often each is drawn, relative to the others. Half of them are over in a second or two, and nothing need be found
# for them: the more often a player decides, the more there is for words to tell.
WEIGHTS = {
    "chop": 2.2, "sand": 1.4, "dirt": 1.2, "stone": 1.6, "flower": 2.4, "pillar": 4.0, "orbit": 1.0, "climb": 1.2,
    "place": 2.6, "tower": 1.3, "look": 3.0, "spin": 1.2, "turn": 2.6, "hop": 2.8, "wander": 2.2, "back": 2.8,
    "side": 3.6,
}  # fmt: skip
