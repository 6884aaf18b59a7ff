"""What a player says besides announcing: what is in view, what comes next, what comes to mind.

In:  a Player, once a frame. Out: sentences in the player's mouth. About things in view, a remark names what, of which
colour, on which side and how many, so that who sees the picture could have said it.
"""

from __future__ import annotations

from collections import Counter

from data_gathering.streamer import phrases
from data_gathering.streamer.errands import choose
from data_gathering.streamer.ground import PLACES, Target, bearing_deg, flat_m
from data_gathering.streamer.motion import turn_deg
from data_gathering.streamer.player import Player
from data_gathering.streamer.whims import say_whim
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

HALF_VIEW_DEG, AHEAD_DEG = 42.0, 12.0  # to either side of the gaze; the picture ends at 52
# How far away one still makes out what a thing is, metres.
LEGIBLE_M = {"flower": 5.0, "pillar": 15.0, "tree": 13.0, "steps": 11.0}
OTHERS_M = 8.0
# What is planned while something else is done: kinds whose name does not change as the player turns.
PLANNED = ("hop", "spin", "turn", "place", "tower", "climb", "pillar", "orbit", "look", "back", "side")
PLAN, DURING = 0.25, 0.15  # shares of small talk; what is left is about what is in view
WHIM_S = 1.5  # mean time of walking between two whims


def small_talk(player: Player) -> None:
    """Now and then a whim, a plan, a remark about the errand, about what is in view, or about nothing at all."""
    rng, walks = player.rng, player.doing == "walk"
    if player.mouth.busy(player.now_ms):
        return
    if walks and player.chance(1 / (WHIM_S * FRAMES_PER_SECOND)) and say_whim(player):
        return
    if player.frame < player.next_talk:
        return
    if player.chance(PLAN) and player.other is None and say_plan(player):
        pass
    elif walks and player.chance(player.persona.digress):
        player.say(player.narrator.say(phrases.DIGRESS))
    elif player.chance(DURING):
        player.say(player.narrator.during(player.doing))
    else:
        player.say(sight(player))
    quiet_s = rng.exponential(player.persona.silence_s) + (rng.uniform(6, 14) if rng.random() < 0.1 else 0.7)
    player.next_talk = int(player.mouth.free_ms / FRAME_MS + FRAMES_PER_SECOND * quiet_s)


def say_plan(player: Player) -> bool:
    """Say what will be done next, before what is at hand is done. Returns whether something was said."""
    errand = choose(player, "")
    if player.plan is not None or errand.kind not in PLANNED:
        return False
    if errand.target is not None and errand.target.noun == "pillar":
        errand.it = f"the {errand.target.colour} pillar"  # on which side is another question by then
    player.plan = errand, player.say(player.narrator.plan(errand.kind, errand.it, errand.number))
    return True


def in_view(player: Player) -> list[tuple[Target, float]]:
    """The things that can be made out, and how far right of the gaze each is, in degrees."""
    seen = []
    for target in player.ground.targets:
        aside_deg = turn_deg(player.yaw_deg, bearing_deg(player.position, target.position))
        near = flat_m(player.position, target.position) < LEGIBLE_M.get(target.noun, OTHERS_M)
        if near and abs(aside_deg) < HALF_VIEW_DEG:
            seen.append((target, aside_deg))
    return seen


def sight(player: Player) -> str:
    """A remark about something that is in view, or about how many."""
    pitch_deg, narrator = player.truth["pitch_deg"], player.narrator
    if pitch_deg < -25:
        return narrator.sight("sky")
    seen = in_view(player)
    if not seen or pitch_deg > 40:
        return narrator.sight("ground")
    count = Counter(target.noun for target, _ in seen)
    target, aside_deg = seen[player.rng.integers(len(seen))]
    if count[target.noun] > 1 and target.noun in phrases.COUNTED and player.chance(0.4):
        return narrator.counted(target.noun, count[target.noun])
    where = "ahead" if abs(aside_deg) < AHEAD_DEG else "right" if aside_deg > 0 else "left"
    return narrator.sight(target.noun, target.colour, str(player.rng.choice(PLACES[where])))
