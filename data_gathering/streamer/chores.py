"""How each errand is done: generators over a player's skills.

In:  a Player (player.py) and what is to be done. Out: the buttons of each frame; at the end, whether it
worked. `DO` maps the kinds of errands to them. Run: python -m data_gathering.demonstrate
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data_gathering.streamer import phrases
from data_gathering.streamer.errand import Errand
from data_gathering.streamer.ground import Cell, Node, bearing_deg, flat_m, square
from data_gathering.streamer.motion import turn_deg
from data_gathering.streamer.player import EYE_M, STANDS_FRAMES, STEP_M, Player, Skill

ARM_M = 3.4  # safely within the game's reach of 4 nodes
TOOLS = {"chop": 0, "stone": 1, "sand": 2, "dirt": 2, "place": 3, "tower": 3}  # slots
# What can be said of a look, and the (pitch, turn) degrees it means; None: a few glances around.
LOOKS: dict[str, tuple[float, float] | None] = {
    "to the left": (8, -85),
    "to the right": (8, 85),
    "behind me": (8, 175),
    "up": (-35, 0),
    "up at the sky": (-50, 0),
    "down": (40, 0),
    "down at the ground": (50, 0),
    "around": None,
    "over my left shoulder": (8, -140),
    "over my right shoulder": (8, 140),
}
TURNS_DEG = {"left": -90.0, "right": 90.0, "around": 180.0}


def chop(player: Player, errand: Errand) -> Skill[bool]:
    """Fell logs of a tree, from the side of its crown."""
    x, y, z = errand.target.position
    if not (yield from player.walk((x, y, z), 3.1, face=(x, y + 1, z))):
        return False
    yield from player.select(TOOLS["chop"])
    heights = sorted((node[1] - y for node in errand.target.nodes), key=lambda dy: (dy > 1, player.rng.random()))
    return (yield from dig_all(player, [(x, y + dy, z) for dy in heights[: errand.number]]))


def dig_heap(player: Player, errand: Errand) -> Skill[bool]:
    """Dig some nodes of a heap, the nearest first."""
    first = nearest(player, errand.target.nodes)
    if not (yield from player.walk(first, player.rng.uniform(1.5, 2.1), face=first)):
        return False
    yield from player.select(TOOLS[errand.kind])
    dug = 0
    for _ in range(errand.number):
        left = [target for target in player.ground.of(errand.target.noun) if target.position == errand.target.position]
        if not left:
            break
        node = nearest(player, left[0].nodes)
        if reach_m(player, node) > ARM_M and not (yield from player.walk(node, 1.8, 120, face=node)):
            break
        if not (yield from player.dig(node, within_m=2.5)):
            break
        dug += 1
        player.remark(player.narrator.count(dug), player.persona.talk * 0.6)
    return dug >= errand.number - 1


def dig_all(player: Player, nodes: Sequence[Node]) -> Skill[bool]:
    """Dig these nodes one after another."""
    for i, node in enumerate(nodes):
        if not (yield from player.dig(node)):
            return False
        if i < len(nodes) - 1:
            player.remark(player.narrator.count(i + 1), player.persona.talk * 0.6)
    return True


def nearest(player: Player, nodes: Sequence[Node]) -> Node:
    """The node nearest to the eyes, the higher of two."""
    return min(nodes, key=lambda node: (reach_m(player, node), -node[1]))


def reach_m(player: Player, node: Node) -> float:
    """From the eyes to a node."""
    x, y, z = np.subtract(node, player.position)
    return float(np.sqrt(x * x + (y - EYE_M) ** 2 + z * z))


def pick_flower(player: Player, errand: Errand) -> Skill[bool]:
    """Walk up to a flower, aim at its stalk and hit it, aiming anew when that did nothing."""
    x, y, z = errand.target.position
    if not (yield from player.walk((x, y, z), player.rng.uniform(1.3, 2.0), face=(x, y - 0.3, z))):
        return False
    begun = player.frame
    player.look((x, y - 0.3, z), 1.5)
    yield from player.settle()
    yield from player.wait(player.rng.integers(2, 8))
    for _ in range(3):
        for _ in range(12):
            if player.was("dig", begun, (x, y, z)):
                return True
            yield {"attack"}
        player.look(np.add((x, y - 0.35, z), player.rng.uniform(-0.08, 0.08, 3)), 1.0)
        yield from player.settle()
    return False


def go_to_pillar(player: Player, errand: Errand) -> Skill[bool]:
    """Walk up to a pillar, and sometimes look up at it."""
    x, y, z = errand.target.position
    if not (yield from player.walk((x, y, z), player.rng.uniform(1.6, 2.4), face=(x, y + 0.8, z))):
        return False
    if player.chance(0.5):
        player.look((x, y + player.rng.uniform(1.5, 3.0), z), 4.0)
        yield from player.settle()
        yield from player.wait(player.rng.integers(4, 14))
    return True


def orbit(player: Player, errand: Errand) -> Skill[bool]:
    """Walk around a pillar sideways, looking at it all the time; where the way ends, back and around the other side."""
    x, y, z = errand.target.position
    if not (yield from player.walk((x, y, z), 2.6, face=(x, y + 0.8, z))):
        return False
    aside = str(player.rng.choice(["left", "right"]))
    player.look((x, y + 0.6, z), 4.0)
    turns, begun = 0, player.frame
    for _ in range(int(player.rng.integers(40, 80))):
        lateral = player.yaw_deg + (90 if aside == "right" else -90)
        if player.ground.clear_m(player.position, lateral, 1.0) < 0.6:
            aside, turns = "left" if aside == "right" else "right", turns + 1
            if turns == 3:
                break
        distance = flat_m(player.position, (x, y, z))
        yield {aside} | ({"forward"} if distance > 3.0 else {"back"} if distance < 1.8 else set())
    return player.frame - begun >= 12


def climb(player: Player, errand: Errand) -> Skill[bool]:
    """Jump up the steps, one after another."""
    steps = [np.array(step, float) for step in errand.target.nodes[:5]]
    start = steps[0] - 1.4 * (steps[1] - steps[0])
    for _ in range(2):
        if not (yield from player.walk(start, 0.9)):
            return False
        if (yield from climb_from(player, steps)):
            player.look_level(player.yaw_deg + player.rng.uniform(-90, 90))
            yield from player.settle()
            yield from player.wait(player.rng.integers(8, 20))
            return True
        player.remark(player.narrator.say(phrases.PARTS["oops"]))
    return False


def climb_from(player: Player, steps: Sequence[np.ndarray]) -> Skill[bool]:
    """From the ground before the first step to the top of the last. False after a fall."""
    for i, step in enumerate(steps):
        top, limit = step[1] + 0.5, player.frame + 60
        while flat_m(player.position, step) > 0.3 or player.position[1] < top - 0.1:
            if player.frame > limit or (i > 1 and player.position[1] < top - 1.6):
                return False
            away_m, ahead = flat_m(player.position, step), steps[min(i + 1, len(steps) - 1)]
            player.look((18.0, bearing_deg(player.position, step if away_m > 0.7 else ahead)), 4.0)
            error = turn_deg(player.yaw_deg, bearing_deg(player.position, step))
            if player.position[1] < top - 0.3 and away_m < 1.25 and abs(error) < 25:
                player.jump()
            yield player.walking_keys(error, None) if abs(error) < 60 or away_m > 0.5 else set()
    return True


def place_row(player: Player, errand: Errand) -> Skill[bool]:
    """A row of blocks on the ground, across the gaze, stepping aside between them."""
    yaw, cells = yield from go_to_site(player, errand.number)
    if not cells:
        return False
    yield from player.select(TOOLS["place"])
    placed = 0
    for i, cell in enumerate(cells):
        sideways_m = flat_m(player.position, cell) * np.sin(np.radians(bearing_deg(player.position, cell) - yaw))
        if i and (abs(sideways_m) > 1.4 or player.chance(0.7)):
            player.look((player.truth["pitch_deg"], yaw), 4.0)
            yield from player.settle()
            yield from player.wait(round(abs(sideways_m) / STEP_M), {"right" if sideways_m > 0 else "left"})
        placed += yield from player.place((cell[0], player.ground.floor_y + 0.5, cell[1]))
        player.remark(player.narrator.count(placed), player.persona.talk * 0.4)
    return placed >= max(1, errand.number - 1)


def place_tower(player: Player, errand: Errand) -> Skill[bool]:
    """One block on the ground and another on its top."""
    _, cells = yield from go_to_site(player, 1)
    if not cells:
        return False
    yield from player.select(TOOLS["tower"])
    (x, z), floor = cells[0], player.ground.floor_y
    if not (yield from player.place((x, floor + 0.5, z))):
        return False
    away = np.array([x - player.position[0], z - player.position[2]])
    x, z = np.array([x, z]) + 0.12 * away / np.hypot(*away)
    return (yield from player.place((x, floor + 1.5, z)))


def site(player: Player, number: int) -> tuple[np.ndarray, float, list[Cell]] | None:
    """The nearest place to stand with `number` free cells in a row in front: (spot (x, z), yaw, cells), or None."""
    here = np.round([player.position[0], player.position[2]]).astype(int)
    around = (here + (dx, dz) for dx, dz in square(0, 0, 4))
    spots = sorted(around, key=lambda spot: np.abs(spot - here).sum() + player.rng.random())
    yaws = sorted((0.0, 90.0, 180.0, 270.0), key=lambda yaw: abs(turn_deg(player.yaw_deg, yaw)))
    for spot in spots:
        for yaw in yaws:
            ahead = np.round([np.sin(np.radians(yaw)), np.cos(np.radians(yaw))]).astype(int)
            across = np.array([ahead[1], -ahead[0]]) * (1 if player.chance(0.5) else -1)
            cells = [tuple((spot + 2 * ahead + i * across).tolist()) for i in range(number)]
            if all(player.ground.free(*cell) and player.ground.free(*(np.array(cell) - 2 * ahead)) for cell in cells):
                return spot.astype(float), yaw, cells
    return None


def go_to_site(player: Player, number: int) -> Skill[tuple[float, list[Cell]]]:
    """Walk to a site and face it. Returns (yaw, cells); no cells when there is none."""
    found = site(player, number)
    if found is None or not (yield from player.walk(found[0], 0.7, 120)):
        return 0.0, []
    player.look((player.persona.pitch_deg + 20, found[1]), 5.0)
    yield from player.settle()
    return found[1], found[2]


def look_about(player: Player, errand: Errand) -> Skill[bool]:
    """Look somewhere, stay a while, and perhaps look back."""
    start = player.yaw_deg
    way = LOOKS[errand.it]
    glances = [way] if way else [(8, turn) for turn in (-70, 70, 160)[: player.rng.integers(2, 4)]]
    for pitch, turn in glances:
        player.look((player.rng.normal(pitch, 4), start + player.rng.normal(turn, 8)), 5.0)
        yield from player.settle(70)
        yield from player.wait(player.rng.integers(8, 25))
    if abs(glances[-1][0]) > 20 or player.chance(0.3):
        player.look_level(start, 5.0)
        yield from player.settle(70)
    return True


def wander(player: Player, errand: Errand) -> Skill[bool]:
    """Walk some metres in a direction, swerving a little."""
    metres = player.ground.clear_m(player.position, errand.yaw_deg, player.rng.uniform(3, 6)) - 0.3
    start = np.array(player.position)
    goal = start + metres * np.array([np.sin(np.radians(errand.yaw_deg)), 0, np.cos(np.radians(errand.yaw_deg))])
    return (yield from player.walk(goal, 0.6, 160))


def back_up(player: Player, errand: Errand) -> Skill[bool]:
    """Walk backwards as far as there is room."""
    metres = player.ground.clear_m(player.position, player.yaw_deg + 180, 6.0)
    frames = int(min(player.rng.integers(12, 30), metres / STEP_M - 1))
    yield from player.wait(max(frames, 3), {"back"})
    return frames >= 5


def go_aside(player: Player, errand: Errand) -> Skill[bool]:
    """Walk to the left or right without turning."""
    lateral = player.yaw_deg + (90 if errand.it == "right" else -90)
    frames = int(min(player.rng.integers(12, 30), player.ground.clear_m(player.position, lateral, 6.0) / STEP_M - 1))
    yield from player.wait(max(frames, 3), {errand.it})
    return frames >= 5


def hop(player: Player, errand: Errand) -> Skill[bool]:
    """Jump on the spot, so many times."""
    for _ in range(errand.number):
        while player.standing < STANDS_FRAMES:  # who is still in the air does not jump
            yield set()
        player.jump()
        yield from player.wait(player.rng.integers(15, 20))
    return True


def spin(player: Player, errand: Errand) -> Skill[bool]:
    """Turn around once, a quarter at a time."""
    start, way = player.yaw_deg, 1 if errand.it == "right" else -1
    for quarter in (1, 2, 3, 4):
        player.look_level(start + way * 90 * quarter, 12.0 if quarter < 4 else 5.0)
        yield from player.settle(40)
    return True


def turn(player: Player, errand: Errand) -> Skill[bool]:
    """Turn on the spot and stay a moment."""
    player.look_level(player.yaw_deg + TURNS_DEG[errand.it] + player.rng.normal(0, 8), 5.0)
    yield from player.settle(70)
    yield from player.wait(player.rng.integers(4, 14))
    return True


DO: dict[str, Callable[[Player, Errand], Skill[bool]]] = {
    "chop": chop, "sand": dig_heap, "dirt": dig_heap, "stone": dig_heap, "flower": pick_flower,
    "pillar": go_to_pillar, "orbit": orbit, "climb": climb, "place": place_row, "tower": place_tower,
    "look": look_about, "spin": spin, "turn": turn, "hop": hop, "wander": wander, "back": back_up, "side": go_aside,
}  # fmt: skip
