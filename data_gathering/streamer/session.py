"""A session of play: decide and say so, do, comment, and so on for ever, with talk and small things on the way.

In:  a Player. Out: the endless generator `play` of button sets, and a log of errands with the frames they took.
What is decided is drawn at random and said before it can be seen: an errand's first motion comes after the last word
of its announcement, so that who hears the words knows what nobody can read off the picture.
Run: python -m data_gathering.demonstrate
"""

from collections.abc import Iterator
from typing import Any

from data_gathering.streamer import phrases
from data_gathering.streamer.chores import DO
from data_gathering.streamer.errand import Errand
from data_gathering.streamer.errands import choose
from data_gathering.streamer.player import STEP_M, Buttons, Player, Skill
from data_gathering.streamer.talk import small_talk
from data_gathering.streamer.whims import act_on_whim
from vpt.frames import FRAME_MS

LIMIT_FRAMES = 420  # an errand that takes longer has failed
ASKED = 0.7  # share of errands that a second voice asks for, where there is one


def play(player: Player, log: list[dict[str, Any]]) -> Iterator[Buttons]:
    """Endless: decide, do, comment, again. Appends to `log` a dict an errand as it begins."""
    last = ""
    if player.chance(0.5):
        player.say(player.narrator.say(phrases.GREETING))
        yield from player.wait(player.rng.integers(10, 40))
    while True:
        errand, announced_ms, asked = yield from decide(player, last)
        last = errand.kind
        entry = {"name": errand.title(), "announced_ms": announced_ms, "start_frame": player.frame}
        entry |= {"end_frame": None, "done": False}
        log.append(entry)
        player.doing = errand.kind
        entry["done"] = bool((yield from within(player, run(player, errand), LIMIT_FRAMES)))
        entry["end_frame"] = player.frame
        yield from conclude(player, errand, entry["done"], asked)


def run(player: Player, errand: Errand) -> Skill[bool]:
    """The errand itself; whoever does not know where its thing is looks for it first, on the side that was said."""
    if errand.target is not None and player.sight is not None:
        target, said = errand.target, errand.it.split()
        rivals = player.ground.of(target.noun)
        rivals = [target] if "far" in said else [other for other in rivals if other.colour == target.colour]
        way = -1 if "left" in said else 1 if "right" in said or player.chance(0.5) else -1
        errand.target = (yield from player.search(rivals, way)) or target
    return (yield from DO[errand.kind](player, errand))


def within(player: Player, errand: Skill[bool], limit: int) -> Skill[bool]:
    """An errand's frames, cut off after `limit` of them, with what comes to mind on the way. Returns whether it was
    done."""
    deadline = player.frame + limit
    while player.frame < deadline:
        begun = player.frame
        yield from act_on_whim(player)
        deadline += player.frame - begun
        try:
            keys = next(errand)
        except StopIteration as end:
            return end.value
        small_talk(player)
        yield keys
    return False


def decide(player: Player, last: str) -> Skill[tuple[Errand, float, bool]]:
    """What comes next, and nothing of it done yet. Returns (errand, onset of the words that told it in ms, whether
    somebody asked for it)."""
    player.doing = "decide"
    if player.plan is not None:
        (errand, told_ms), player.plan = player.plan, None
        yield from idle(player, player.mouth.ended_ms)
        return errand, told_ms, False
    errand = choose(player, last)
    if player.other is not None and player.chance(ASKED):
        return errand, (yield from be_asked(player, errand)), True
    onset_ms = player.say(player.narrator.announce(errand.kind, errand.it, errand.number))
    yield from idle(player, player.mouth.ended_ms)
    return errand, onset_ms, False


def be_asked(player: Player, errand: Errand) -> Skill[float]:
    """The second voice asks for it, the player answers. Returns the onset of the request in ms."""
    other = player.other
    request = other.narrator.request(errand.kind, errand.it, errand.number)
    onset_ms = player.mouth.say(request, player.now_ms, other.voice)
    yield from idle(player, player.mouth.ended_ms)
    if player.chance(0.8):
        player.say(player.narrator.answer())
    yield from player.wait(player.rng.integers(2, 10))
    return onset_ms


def idle(player: Player, until_ms: float) -> Skill[None]:
    """Wait until then and a moment longer, at most 0.7 s, as people do; never a hint of what comes next."""
    start = int(until_ms / FRAME_MS + player.rng.uniform(1, 12)) + 1
    while player.frame < start:
        if player.chance(player.persona.fidget):
            yield from fidget(player, start - player.frame)
        else:
            yield from player.wait(min(start - player.frame, int(player.rng.integers(5, 13))))


def fidget(player: Player, most_frames: int) -> Skill[None]:
    """Something to do while waiting, at most so long."""
    act = str(player.rng.choice(["flick", "glance", "sidle", "hop", "shuffle"], p=[0.15, 0.4, 0.2, 0.05, 0.2]))
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


def conclude(player: Player, errand: Errand, done: bool, asked: bool) -> Skill[None]:
    """A comment on how it went, a pause, sometimes a step back to look at it."""
    if asked and player.chance(0.6):
        player.remark(player.narrator.report(done))
    elif player.chance(0.1 + 0.4 * player.persona.talk):
        colour = errand.target.colour if errand.target else ""
        narrator = player.narrator
        player.remark(narrator.after(errand.kind, errand.number, colour) if done else narrator.say(phrases.FAILED))
    yield from player.wait(player.rng.integers(2, 10))
    if not done or (errand.kind in ("chop", "pillar", "place", "tower", "flower", "stone") and player.chance(0.3)):
        frames = int(player.rng.integers(5, 12))
        if player.ground.clear_m(player.position, player.yaw_deg + 180, 3.0) > frames * STEP_M + 0.2:
            yield from player.wait(frames, {"back"})
    player.look_level(player.yaw_deg, 6.0)
