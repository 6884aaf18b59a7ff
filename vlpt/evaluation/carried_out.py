"""What somebody said will be done, and whether it then is: of announcements and whims of the grammar.

In: a recognised sentence, and a life from its last word on. Out: True, False, or None where nobody can know.

    told = announced("announce:pillar", {"it": "the red pillar on the left"}, grammar)
    Deeds(life, grammar).done(told, start=400, stop=640)

What is done with keys and mouse alone is judged by these, about as long as the scripted player does it at least; what
is done to a thing, or somewhere, by the world's truth (vlpt/worlds/errands.py): a thing dug or placed at least once, a
pillar or the top of the steps reached by who was not there. Legend: N frames of a life, n of what is watched.
"""

from dataclasses import dataclass

import numpy as np

from vlpt.data.in_view import FLOWERS
from vlpt.data.sentences import Grammar
from vlpt.evaluation.done import down
from vlpt.evaluation.hand import press_lengths
from vlpt.evaluation.lives import Life
from vlpt.worlds.errands import ERRANDS, Errand
from vpt.actions import MINECRAFT

LEAST_FRAMES, LEAST_STEP, LEAST_STOP = 8, 3, 8  # of walking backwards or aside; of a step; of standing still
LEAST_JUMPS = {"hop": 2, "whim:hop": 1}
LEAST_TURN = 0.6  # of what is meant
GLANCES_DEG = {"up": (-40.0, 0.0), "down": (45.0, 0.0)}  # pitch, yaw
ABOUT_DEG = 120.0  # turned in all, by who looks around
WANDERED_M, WITHIN_DEG = 2.0, 45.0
NEAR_M, AROUND_DEG = 5.0, 60.0  # of a pillar that somebody walks around
ERRAND_OF = {"chop": "chop", "sand": "dig_sand", "dirt": "dig_dirt", "stone": "dig_stone", "climb": "climb",
             "place": "place"}  # fmt: skip
WALKING = ("forward", "back", "left", "right")


@dataclass(frozen=True)
class Told:
    """What will be done: a kind of errand, as "pillar", or of whim, as "whim:hop"; `it` as the sentence names it."""

    kind: str
    it: str = ""
    colour: str = ""  # of the pillar or flower

    @property
    def short(self) -> bool:
        """Whether keys and mouse are enough, and it is over in a moment."""
        return self.kind.startswith("whim:") or self.kind in ("look", "back", "side", "hop", "spin", "turn")


def announced(rule: str, held: dict[str, str], grammar: Grammar) -> Told | None:
    """What a recognised sentence says will be done right now; None where it says no such thing."""
    table, _, kind = rule.partition(":")
    if table == "whim":
        return Told(rule)
    it = held.get("it", "")
    return Told(kind, it, colour_of(it, grammar)) if table == "announce" else None


def colour_of(it: str, grammar: Grammar) -> str:
    """The colour of the flower or pillar that words name; "" where they name none."""
    flower = max((name for name in grammar.file.flowers if name in it), key=len, default="")
    return grammar.file.flowers.get(flower) or next((word for word in it.split() if word in grammar.file.colours), "")


class Deeds:
    """What is done in one life."""

    def __init__(self, life: Life, grammar: Grammar) -> None:
        self.life, self.turns = life, grammar.file.turns
        self._progress: dict[str, np.ndarray | None] = {}

    def done(self, told: Told, start: int, stop: int) -> bool | None:
        """Whether it is done in the frames start..stop-1."""
        if told.short:
            return self._by_hand(told, self.life.buttons[start:stop], self.life.camera_deg[start:stop])
        if self.life.world is None:
            return None
        by_place = {"wander": self._wandered, "orbit": self._orbited, "tower": self._stacked}
        if told.kind in by_place:
            return by_place[told.kind](told, start, stop)
        progress = self._errand(told)
        if progress is None:  # no such thing in this arena
            return False
        made = np.diff(progress[start : stop + 1])
        there = told.kind in ("pillar", "climb") and made[:1].sum() > 0  # it stands there already
        return bool(made.sum() >= 1 and not there)

    def _by_hand(self, told: Told, buttons: np.ndarray, camera_deg: np.ndarray) -> bool:
        kind, way = told.kind, told.it

        def longest(key: str) -> int:
            return max(press_lengths(down(buttons, key)), default=0)

        if kind in LEAST_JUMPS:
            return len(press_lengths(down(buttons, "jump"))) >= LEAST_JUMPS[kind]
        if kind in ("back", "side"):
            return longest(way or "back") >= LEAST_FRAMES
        if kind in ("whim:left", "whim:right", "whim:back"):
            return longest(kind.removeprefix("whim:")) >= LEAST_STEP
        if kind == "whim:stop":
            still = ~buttons[:, [MINECRAFT.column[key] for key in WALKING]].any(1)
            return max(press_lengths(still), default=0) >= LEAST_STOP and not still.all()
        meant = GLANCES_DEG.get(kind.removeprefix("whim:")) or self.turns[kind].get(way)
        return turned(camera_deg, meant)

    def _errand(self, told: Told) -> np.ndarray | None:
        """(N + 1,) progress before each frame of the errand; None where the world knows none of it."""
        name = ERRAND_OF.get(told.kind, f"{told.kind}:{told.colour}")
        if name not in self._progress:
            self._progress[name] = self._follow(told, name)
        return self._progress[name]

    def _follow(self, told: Told, name: str) -> np.ndarray | None:
        world, flower = self.life.world, told.kind == "flower"
        asked = "pick_flower" if flower else name.replace("pillar", "go_pillar")
        if asked not in ERRANDS:
            return None
        dug = flower_nodes(world.arena, told.colour) if flower else set()
        errand = Errand(asked, world.arena, {"position": world.position[0]})
        progress = [0.0]
        for position, events in zip(world.position, world.events, strict=True):
            counted = [event for event in events if not flower or event["node"] in dug]
            errand.update({"position": position, "events": counted}, np.zeros(2))
            progress.append(errand.progress)
        return np.array(progress)

    def _wandered(self, told: Told, start: int, stop: int) -> bool:
        world = self.life.world
        way = (world.position[start:stop] - world.position[start])[:, [0, 2]]
        metres = np.hypot(*way.T)
        aside = np.degrees(np.arctan2(*way.T)) - world.gaze_deg[start, 0] - self.turns["wander"][told.it][1]
        return bool(((metres >= WANDERED_M) & (np.abs((aside + 180) % 360 - 180) <= WITHIN_DEG)).any())

    def _orbited(self, told: Told, start: int, stop: int) -> bool:
        pillar = self.life.world.arena["pillars"].get(told.colour)
        if pillar is None:
            return False
        away = (self.life.world.position[start:stop] - np.array(pillar, float))[:, [0, 2]]
        bearing = np.unwrap(np.arctan2(*away.T))[np.hypot(*away.T) <= NEAR_M]
        return bool(len(bearing) and np.degrees(np.ptp(bearing)) >= AROUND_DEG)

    def _stacked(self, told: Told, start: int, stop: int) -> bool:
        placed = [tuple(event["position"]) for events in self.life.world.events[start:stop] for event in events
                  if event["kind"] == "place"]  # fmt: skip
        return any((x, y + 1, z) in placed for x, y, z in placed)


def turned(camera_deg: np.ndarray, meant: tuple[float, float] | None) -> bool:
    """Whether the gaze went most of the way that is meant (pitch, yaw; degrees), at some moment; None: about. Half a
    turn may go either way round.
    """
    if meant is None:
        return bool(np.abs(camera_deg[:, 1]).sum() >= ABOUT_DEG)
    axis = int(abs(meant[1]) > 10)
    gone, least = camera_deg[:, axis].cumsum() * np.sign(meant[axis]), LEAST_TURN * abs(meant[axis])
    either = axis == 1 and 170 < abs(meant[1]) < 190
    return bool((np.abs(gone) if either else gone).max(initial=0.0) >= least)


def flower_nodes(arena: dict, colour: str) -> set[str]:
    """The nodes of an arena's flowers of a colour."""
    return {one["node"] for one in arena["flowers"] if FLOWERS.get(one["node"].split(":")[-1]) == colour}
