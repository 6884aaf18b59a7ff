"""The player's map of the arena: what stands where, free ways between, and how a person would name a thing.

In:  `info["arena"]` of a world and, as play goes on, what was dug and placed. Out: paths, and names such as "the tree
on the left". Positions are nodes (x, y, z), y up; a cell is a column (x, z) of nodes, one metre wide, its centre on
whole numbers.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_gathering.streamer.motion import turn_deg

Cell = tuple[int, int]  # (x, z)
Node = tuple[int, int, int]  # (x, y, z), y up
Place = Sequence[float] | np.ndarray  # (x, z) or (x, y, z), metres
Arena = dict[str, Any]  # info["arena"] of a world

BODY_M = 0.36  # half the player's width and a little
HEAPS = ("sand", "dirt", "stone")


@dataclass(frozen=True)
class Target:
    """Something one can go to. `nodes` are the nodes it is made of, as far as the world tells."""

    noun: str
    position: Node
    nodes: tuple[Node, ...] = ()
    colour: str = ""


def bearing_deg(start: Place, end: Place) -> float:
    """Yaw (clockwise from +z) from one (x, …, z) position to another."""
    return float(np.degrees(np.arctan2(end[0] - start[0], end[-1] - start[-1])))


def flat_m(start: Place, end: Place) -> float:
    """Horizontal distance."""
    return float(np.hypot(end[0] - start[0], end[-1] - start[-1]))


class Ground:
    """What is where. `blocked` holds the cells one cannot walk through."""

    def __init__(self, arena: Arena) -> None:
        self.size = int(arena["size"])
        self.feet_y = float(arena["spawn"][1])
        self.floor_y = int(np.floor(self.feet_y - 0.4))
        arena = whole(arena)
        self.targets = list(read_targets(arena))
        solid = [node for target in self.targets if target.noun != "flower" for node in target.nodes]
        self.blocked = {(round(node[0]), round(node[2])) for node in solid}
        self.crowns = {cell for x, _, z in arena["trees"] for cell in square(x, z, 2)}  # low leaves may hang here

    def of(self, noun: str) -> list[Target]:
        """The targets of one noun that are still there."""
        return [target for target in self.targets if target.noun == noun]

    def remove(self, place: Place) -> None:
        """The node there was dug: its target shrinks or is gone; a hole in the floor is in the way from now on."""
        node = tuple(round(v) for v in place)
        for i, target in enumerate(self.targets):
            if node in target.nodes:
                rest = tuple(other for other in target.nodes if other != node)
                self.targets[i] = Target(target.noun, target.position, rest, target.colour)
        if node[1] <= self.floor_y:
            self.blocked.add((node[0], node[2]))  # a hole: walk around it
        self.targets = [target for target in self.targets if target.nodes]

    def add(self, place: Place) -> None:
        """A node was placed there."""
        self.blocked.add((round(place[0]), round(place[2])))

    def inside(self, cell: Cell) -> bool:
        """Whether a cell lies within the arena's walls."""
        return max(abs(cell[0]), abs(cell[1])) <= self.size - 2

    def free(self, x: float, z: float) -> bool:
        """May a player stand with the centre of the body at (x, z)?"""
        corners = {(round(x + dx), round(z + dz)) for dx in (-BODY_M, BODY_M) for dz in (-BODY_M, BODY_M)}
        return corners.isdisjoint(self.blocked) and corners.isdisjoint(self.crowns) and all(map(self.inside, corners))

    def clear(self, start: Place, end: Place) -> bool:
        """Can one walk straight from start to end (x, z)?"""
        steps = int(flat_m(start, end) / 0.2) + 2
        return all(self.free(x, z) for x, z in np.linspace((start[0], start[-1]), (end[0], end[-1]), steps)[1:])

    def clear_m(self, start: Place, yaw_deg: float, most_m: float) -> float:
        """How far one can walk from (x, z) in a direction, in metres, at most `most_m`."""
        step = np.array([np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg))])
        for metres in np.arange(0.4, most_m, 0.2):
            if not self.free(*(np.array([start[0], start[-1]]) + metres * step)):
                return metres - 0.2
        return most_m

    def path(self, start: Place, goal: Place, reach_m: float) -> list[Cell] | None:
        """Cells from start to a free cell within reach_m of goal, shortened to its corners; None when there is no way.

        A* (Hart, Nilsson, Raphael 1968) with the straight line as the least that is left to go.
        """
        first = (round(start[0]), round(start[-1]))
        came: dict[Cell, Cell | None] = {first: None}
        cost, queue = {first: 0.0}, [(0.0, first)]
        while queue:
            _, cell = heapq.heappop(queue)
            if flat_m(cell, goal) <= reach_m and (cell == first or not (cell in self.blocked or cell in self.crowns)):
                return self._corners(came, cell)
            for other, metres in self._steps(cell):
                total = cost[cell] + metres
                if total < cost.get(other, np.inf):
                    came[other], cost[other] = cell, total
                    heapq.heappush(queue, (total + max(0.0, flat_m(other, goal) - reach_m), other))
        return None

    def _steps(self, cell: Cell) -> Iterator[tuple[Cell, float]]:
        """Neighbours of a cell that one can walk to, and how far each is; under a tree's crown counts as far."""
        for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            passed = {(cell[0] + dx, cell[1]), (cell[0], cell[1] + dz), (cell[0] + dx, cell[1] + dz)}
            if passed.isdisjoint(self.blocked) and all(map(self.inside, passed)):
                yield (cell[0] + dx, cell[1] + dz), float(np.hypot(dx, dz)) + 6.0 * (not passed.isdisjoint(self.crowns))

    def _corners(self, came: dict[Cell, Cell | None], cell: Cell | None) -> list[Cell]:
        """The way that led to a cell, without the cells that lie on a straight stretch of it."""
        cells = []
        while cell is not None:
            cells.append(cell)
            cell = came[cell]
        cells.reverse()
        kept, i = [], 0
        while i < len(cells) - 1:
            i = next(j for j in range(len(cells) - 1, i, -1) if j == i + 1 or self.clear(cells[i], cells[j]))
            kept.append(cells[i])
        return kept or cells


def whole(value: Any) -> Any:
    """An arena with every whole float as an int: nodes are compared and looked up."""
    if isinstance(value, dict):
        return {key: whole(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def square(x: int, z: int, reach: int) -> list[Cell]:
    """The cells within `reach` cells of (x, z)."""
    return [(x + dx, z + dz) for dx in range(-reach, reach + 1) for dz in range(-reach, reach + 1)]


def read_targets(arena: Arena) -> Iterator[Target]:
    """All targets of an arena, with the nodes that its builder always gives them.

    Trunks have at least three nodes; a heap is a square of nine with one in the middle on top (and one more
    somewhere); a pond is three by three or four; steps are two wide and every one is solid down to the floor.
    """
    for x, y, z in arena["trees"]:
        yield Target("tree", (x, y, z), tuple((x, y + dy, z) for dy in range(3)))
    for flower in arena["flowers"]:
        yield Target("flower", tuple(flower["position"]), (tuple(flower["position"]),), flower["node"].split(":")[-1])
    for colour, (x, y, z) in arena["pillars"].items():
        yield Target("pillar", (x, y, z), tuple((x, y + dy, z) for dy in range(4)), colour)
    for noun in HEAPS:
        for x, y, z in arena[noun]:
            yield Target(noun, (x, y, z), tuple((i, y, k) for i, k in square(x, z, 1)) + ((x, y + 1, z),))
    for x, y, z in arena["water"]:
        cells = [*square(x, z, 1), *((x + i, z + 2) for i in (-1, 0, 1))]
        yield Target("water", (x, y, z), tuple((i, y, k) for i, k in cells))
    course = [tuple(step) for step in arena["steps"]]
    along = np.subtract(course[1], course[0])
    beside = [(x + along[2], y, z + along[0]) for x, y, z in course]
    yield Target("steps", course[0], tuple(course + [tuple(int(v) for v in node) for node in beside]))


def side(relative_deg: float) -> str:
    """How one says where something is, from its bearing relative to the gaze (right positive)."""
    if abs(relative_deg) <= 28:
        return "ahead"
    if abs(relative_deg) >= 135:
        return "behind"
    return "right" if relative_deg > 0 else "left"


PLACES = {
    "ahead": ("straight ahead", "in front of me"),
    "behind": ("behind me",),
    "left": ("on the left", "to my left"),
    "right": ("on the right", "to my right"),
}


def direction(place: Place, seen_from: Place, yaw_deg: float) -> str:
    """How one says where a place is, seen from another with the gaze at a yaw."""
    return side(turn_deg(yaw_deg, bearing_deg(seen_from, place)))


def flower_name(node: str) -> str:
    """As one says it: dandelion_white is a white dandelion."""
    return " ".join(reversed(node.split("_")))


def name(target: Target, rivals: Sequence[Target], position: Place, yaw_deg: float,
         rng: np.random.Generator) -> str | None:  # fmt: skip
    """Words that pick `target` out of `rivals` (things of the same noun, with or without itself), seen from position
    and yaw; None when this cannot be said in few words."""
    noun = {"flower": flower_name(target.colour), "pillar": f"{target.colour} pillar"}.get(target.noun, target.noun)
    rivals = [other for other in rivals if other != target and other.colour == target.colour]
    here = direction(target.position, position, yaw_deg)
    sides = [direction(other.position, position, yaw_deg) for other in rivals]
    distance, others = flat_m(position, target.position), [flat_m(position, other.position) for other in rivals]
    choices = [f"the {noun}"] if not rivals else []
    if here not in sides:
        choices += [f"the {noun} {rng.choice(PLACES[here])}"] * (2 if rivals else 1)
    if others and distance < min(others) - 0.5:
        choices += [f"the {rng.choice(['closest', 'nearest'])} {noun}"]
    if others and distance > max(others) + 0.5:
        choices += [f"the far {noun}"]
    same_side = [other_m for other_m, there in zip(others, sides, strict=True) if there == here]
    if same_side and (distance < min(same_side) - 0.5 or distance > max(same_side) + 0.5):
        choices += [f"the {'closest' if distance < min(same_side) else 'far'} {noun} {rng.choice(PLACES[here])}"]
    return str(rng.choice(choices)) if choices else None
