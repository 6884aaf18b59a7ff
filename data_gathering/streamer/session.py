"""A session of play: wait and announce, do, comment, and so on for ever, with small talk.

In:  a Player. Out: the endless generator `play` of button sets, and a log of errands with the frames they took.
An announcement begins 0.5 to 2.5 seconds before its errand's first motion. Run: python -m data_gathering.demonstrate
"""

from collections.abc import Iterator
from typing import Any

from data_gathering.streamer import phrases
from data_gathering.streamer.chores import DO
from data_gathering.streamer.errands import Errand, choose
from data_gathering.streamer.ground import direction, flat_m
from data_gathering.streamer.player import STEP_M, Buttons, Player, Skill
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

LIMIT_FRAMES = 420  # an errand that takes longer has failed


def play(player: Player, log: list[dict[str, Any]]) -> Iterator[Buttons]:
    """Endless: wait and announce, do, comment, again. Appends to `log` a dict an errand as it begins."""
    last = ""
    if player.chance(0.5):
        player.say(player.narrator.say(phrases.GREETING))
        yield from player.wait(player.rng.integers(10, 40))
    while True:
        errand = choose(player, last)
        last = errand.kind
        announced_ms = yield from announce(player, errand)
        entry = {"name": errand.title(), "announced_ms": announced_ms, "start_frame": player.frame}
        entry |= {"end_frame": None, "done": False}
        log.append(entry)
        player.doing = errand.kind
        entry["done"] = bool((yield from within(player, DO[errand.kind](player, errand), LIMIT_FRAMES)))
        entry["end_frame"] = player.frame
        yield from conclude(player, errand, entry["done"])


def within(player: Player, errand: Skill[bool], limit: int) -> Skill[bool]:
    """An errand's frames, cut off after `limit` of them. Returns whether it was done."""
    deadline = player.frame + limit
    while player.frame < deadline:
        try:
            keys = next(errand)
        except StopIteration as end:
            return end.value
        small_talk(player)
        yield keys
    return False


def announce(player: Player, errand: Errand) -> Skill[float]:
    """Say what comes next; its motion starts 0.5 to 2.5 s after the first word. Returns the onset of that, in ms."""
    onset_ms = player.say(player.narrator.announce(errand.kind, errand.it, errand.number))
    start = int(onset_ms / FRAME_MS + player.rng.uniform(11, 40)) + 1
    while player.frame < start:
        if player.chance(player.persona.fidget):
            yield from fidget(player, start - player.frame)
        else:
            yield from player.wait(min(start - player.frame, int(player.rng.integers(5, 13))))
    return onset_ms


def fidget(player: Player, most_frames: int) -> Skill[None]:
    """Something to do while waiting, at most so long; never a hint of what comes next."""
    act = str(player.rng.choice(["flick", "glance", "sidle", "hop", "shuffle"], p=[0.2, 0.22, 0.25, 0.13, 0.2]))
    if act == "flick":
        player.flick()
        yield from player.wait(min(most_frames, 12))
    elif act == "hop" and most_frames >= 14:
        player.jump()
        yield from player.wait(14)
    elif act == "glance":
        pitch, yaw = player.persona.pitch_deg + player.rng.normal(0, 10), player.yaw_deg + player.rng.normal(0, 12)
        player.look((pitch, yaw), 4.0)
        yield from player.settle(most_frames)
    else:
        yield from shift(player, act, min(most_frames, int(player.rng.integers(4, 10))))


def shift(player: Player, act: str, n_frames: int) -> Skill[None]:
    """A few steps where there is room."""
    ways = {"left": -90, "right": 90} if act == "sidle" else {"forward": 0, "back": 180}
    key = str(player.rng.choice(list(ways)))
    clear_m = player.ground.clear_m(player.position, player.yaw_deg + ways[key], 3.0)
    yield from player.wait(n_frames, {key} if clear_m > n_frames * STEP_M + 0.4 else set())


def conclude(player: Player, errand: Errand, done: bool) -> Skill[None]:
    """A comment on how it went, a pause, sometimes a step back to look at it."""
    if player.chance(0.35 + 0.6 * player.persona.talk):
        colour = errand.target.colour if errand.target else ""
        narrator = player.narrator
        player.remark(narrator.after(errand.kind, errand.number, colour) if done else narrator.say(phrases.FAILED))
    yield from player.wait(player.rng.integers(3, 14))
    if not done or (errand.kind in ("chop", "pillar", "place", "tower", "flower", "stone") and player.chance(0.45)):
        frames = int(player.rng.integers(5, 12))
        if player.ground.clear_m(player.position, player.yaw_deg + 180, 3.0) > frames * STEP_M + 0.2:
            yield from player.wait(frames, {"back"})
    player.look_level(player.yaw_deg, 6.0)


def small_talk(player: Player) -> None:
    """Now and then a remark about the errand, about what is in view, or about nothing at all."""
    if player.mouth.busy(player.now_ms) or player.frame < player.next_talk:
        return
    persona, rng = player.persona, player.rng
    share = rng.random()
    if share < persona.digress and player.doing == "walk":
        player.say(player.narrator.say(phrases.DIGRESS))
    elif share < persona.digress + (1 - persona.digress) * 0.4:
        player.say(player.narrator.during(player.doing))
    else:
        player.say(sight(player))
    quiet_s = rng.exponential(persona.silence_s) + (rng.uniform(8, 20) if rng.random() < 0.15 else 1.0)
    player.next_talk = int(player.mouth.free_ms / FRAME_MS + FRAMES_PER_SECOND * quiet_s)


def sight(player: Player) -> str:
    """A remark about something that is in view."""
    pitch = player.truth["pitch_deg"]
    if pitch < -25:
        return player.narrator.sight("sky")
    near = [target for target in player.ground.targets if flat_m(player.position, target.position) < 14]
    seen = [one for one in near if direction(one.position, player.position, player.yaw_deg) == "ahead"]
    if not seen or pitch > 40:
        return player.narrator.sight("ground")
    target = seen[player.rng.integers(len(seen))]
    return player.narrator.sight(target.noun, target.colour)
