"""The scripted player's body: looking, walking, digging, placing, with a person's imprecision, and a mouth.

Each skill is a generator: it yields the set of buttons of one frame and finds, when it continues, the truth of the
next. It returns whether it worked.
In:  info["truth"] of each frame. Out: buttons and mouse motion of each frame, and words. Skills are put together in
errands.py.
"""

from collections.abc import Generator, Sequence, Set
from dataclasses import dataclass
from typing import Any, SupportsInt, TypeVar

import numpy as np

from data_gathering.streamer import phrases
from data_gathering.streamer.errand import Errand
from data_gathering.streamer.ground import Cell, Ground, Place, Target, bearing_deg, flat_m
from data_gathering.streamer.motion import Hand, turn_deg
from data_gathering.streamer.narration import Mouth, Narrator, Voice
from data_gathering.streamer.persona import Persona
from data_gathering.streamer.sight import Sight
from vlpt.data.in_view import EYE_M
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

Buttons = Set[str]  # names of those that are down in a frame
Truth = dict[str, Any]  # info["truth"] of a world
Result = TypeVar("Result")
Skill = Generator[Buttons, None, Result]  # yields the buttons of each frame, returns how it went

STEP_M = 0.2  # walked in a frame
CLICK_FRAMES = 2
STANDS_FRAMES = 2  # since the feet last rose or fell: one can jump
MOST_STROKES = 6  # of the gaze, to see what is all around


@dataclass(frozen=True)
class Other:
    """A second person who watches and asks for things."""

    narrator: Narrator
    voice: Voice


class Player:
    """One person in one episode."""

    def __init__(self, ground: Ground, persona: Persona, narrator: Narrator, mouth: Mouth,
                 rng: np.random.Generator, other: Other | None = None, sight: Sight | None = None,
                 kinds: Sequence[str] = ()) -> None:  # fmt: skip
        """sight: what it sees; None: it knows where everything is. kinds: of errands that it runs; none: all."""
        self.ground, self.persona, self.sight, self.kinds = ground, persona, sight, tuple(kinds)
        self.narrator, self.mouth, self.other = narrator, mouth, other
        self.rng = rng
        self.hand = Hand(persona.hand, rng)
        self.frame = 0
        self.truth: Truth = {}  # of this frame; empty before the first is seen
        self.slot = 0  # in hand
        self.standing = 0  # frames since the feet last rose or fell
        self.events: list[tuple[int, dict[str, Any]]] = []  # (frame, event), the whole episode
        self.taps: dict[int, set[str]] = {}  # frame -> buttons to be pressed in it besides the skill's own
        self.gaze: tuple[float, ...] = (10.0, 0.0)  # (pitch, yaw) or a point (x, y, z)
        self.tolerance_deg = 3.0
        self.frozen_until = 0  # the frame until which the mouse rests
        self.doing = "look"  # for small talk: the kind of errand, or "walk" on the way to it
        self.way_to: Place | None = None  # where the way leads that is being walked
        self.next_talk = int(rng.integers(20, 60))
        self.plan: tuple[Errand, float] | None = None  # what was said to come next, and the words' onset in ms
        self.whim: tuple[str, float, int] | None = None  # said to be done at once: its onset in ms, the frame it is due
        self.whims: list[dict[str, Any]] = []  # the whims that were done

    # -- the frame ---------------------------------------------------------------------------------------------

    def see(self, truth: Truth, frame: int) -> None:
        """Take in the truth of `frame` before acting in it."""
        rise_m = truth["position"][1] - (self.truth or truth)["position"][1]
        self.standing = self.standing + 1 if abs(rise_m) < 0.01 else 0
        self.truth, self.frame = truth, frame
        for event in truth["events"]:
            self.events.append((frame, event))
            if event["kind"] == "dig":
                self.ground.remove(event["position"])
            elif event["kind"] == "place":
                self.ground.add(event["position"])

    def act(self, wanted: Buttons) -> tuple[set[str], np.ndarray]:
        """The skill's buttons -> buttons and camera_deg (2,) of this frame."""
        buttons = set(wanted) | self.taps.pop(self.frame, set())
        if {"left", "right"} <= buttons:
            buttons -= {"left", "right"}
        slots = [slot for slot in range(4) if f"hotbar.{slot + 1}" in buttons]
        if slots and slots[0] == self.slot:  # only a change of slot can be seen, so nothing else is pressed
            buttons.discard(f"hotbar.{self.slot + 1}")
        self.slot = slots[0] if slots else self.slot
        if self.frame < self.frozen_until:
            return buttons, np.zeros(2)
        gaze_deg = self.truth["pitch_deg"], self.truth["yaw_deg"]
        return buttons, self.hand.move(gaze_deg, self.goal(), self.tolerance_deg)

    # -- where and whither -------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self.frame * FRAME_MS

    @property
    def position(self) -> list[float]:
        return self.truth["position"]

    @property
    def yaw_deg(self) -> float:
        return self.truth["yaw_deg"]

    def goal(self) -> tuple[float, float]:
        """(pitch, yaw) degrees of what the player wants to look at."""
        if len(self.gaze) == 2:
            return self.gaze
        x, y, z = np.subtract(self.gaze, self.position)
        pitch_deg = float(np.degrees(np.arctan2(EYE_M - y, max(np.hypot(x, z), 0.05))))
        return pitch_deg, bearing_deg(self.position, self.gaze)

    def gaze_error_deg(self) -> float:
        """How far the gaze is from there."""
        pitch, yaw = self.goal()
        return float(np.hypot(pitch - self.truth["pitch_deg"], turn_deg(self.truth["yaw_deg"], yaw)))

    def way_left_m(self) -> float:
        """Of the way that is being walked, as the crow flies; 0 when standing."""
        return flat_m(self.position, self.way_to) if self.doing == "walk" and self.way_to is not None else 0.0

    def look(self, gaze: Sequence[float] | np.ndarray, tolerance_deg: float = 3.0) -> None:
        """Set what to look at: (pitch, yaw) degrees or a point (x, y, z); the hand follows from now on."""
        self.gaze, self.tolerance_deg = tuple(float(v) for v in gaze), tolerance_deg

    def look_level(self, yaw_deg: float, tolerance_deg: float = 3.0) -> None:
        """Set to look that way, a little below the horizon as this person does."""
        self.look((self.rng.normal(self.persona.pitch_deg, 2.5), yaw_deg), tolerance_deg)

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.rng.random() < share

    def say(self, text: str) -> float:
        """Say it when the mouth is free; returns the onset in ms."""
        return self.mouth.say(text, self.now_ms)

    def remark(self, text: str, share: float = 1.0) -> None:
        """A comment that only comes out when nothing else is being said."""
        if not self.mouth.busy(self.now_ms) and self.chance(share):
            self.say(text)

    # -- skills ------------------------------------------------------------------------------------------------

    def wait(self, frames: SupportsInt, keys: Buttons = frozenset()) -> Skill[bool]:
        """Hold `keys` for a number of frames."""
        for _ in range(int(frames)):
            yield keys
        return True

    def settle(self, limit: int = 50, keys: Buttons = frozenset()) -> Skill[bool]:
        """Wait until the gaze is on its target; False when it takes too long."""
        for _ in range(limit):
            if self.gaze_error_deg() <= self.tolerance_deg and not self.hand.stroke:
                return True
            yield keys
        return False

    def select(self, slot: int) -> Skill[bool]:
        """Take slot 0..3 in hand, sometimes the wrong one first."""
        while any(self.taps.values()):  # let the fingers finish what they are at
            yield set()
        if self.slot == slot:
            return True
        if self.chance(self.persona.talk * 0.6):
            self.remark(self.narrator.say(phrases.TOOL[slot]))
            yield from self.wait(self.rng.integers(5, 14))
        if self.chance(self.persona.clumsy):
            wrong = int(self.rng.choice([other for other in range(4) if other not in (slot, self.slot)]))
            yield {f"hotbar.{wrong + 1}"}
            yield from self.wait(self.rng.integers(6, 12))
            self.remark(self.narrator.say(phrases.WRONG_TOOL), self.persona.talk)
            yield from self.wait(self.rng.integers(3, 8))
        yield {f"hotbar.{slot + 1}"}
        yield from self.wait(self.rng.integers(4, 10))
        return True

    def jump(self) -> None:
        """Two frames of jump, beginning now, beside whatever else is pressed; nothing while in the air."""
        if self.standing < STANDS_FRAMES or any("jump" in buttons for buttons in self.taps.values()):
            return
        for frame in (self.frame, self.frame + 1):
            self.taps[frame] = self.taps.get(frame, set()) | {"jump"}

    def flick(self) -> None:
        """Run through some slots in the coming frames, as a habit."""
        when = self.frame + int(self.rng.integers(2, 12))
        for _ in range(int(self.rng.integers(1, 4))):
            if not self.taps.get(when):
                self.taps[when] = {f"hotbar.{self.rng.integers(1, 5)}"}
            when += int(self.rng.integers(5, 9))

    def walk(self, goal: Place, reach_m: float, limit: int = 400, face: Place | None = None) -> Skill[bool]:
        """Walk around what stands in the way until within reach_m of goal. `face`: point to look at on the last leg.

        Returns whether the goal was reached in `limit` frames.
        """
        deadline, tries, doing = self.frame + limit, 0, self.doing
        self.doing, self.way_to = "walk", goal
        if self.chance(self.persona.fidget * 0.6):
            self.flick()
        while flat_m(self.position, goal) > reach_m and tries < 5 and self.frame < deadline:
            path = self.ground.path(self.position, goal, reach_m)
            if path is None:
                return False
            tries += 1
            for corner in path[:-1]:
                if not (yield from self.leg(corner, None, reach_m, None, deadline)):
                    yield from self.free_oneself()
                    break
            else:
                if not (yield from self.leg(path[-1], goal, reach_m, face, deadline)):
                    yield from self.free_oneself()
        self.doing = doing
        if flat_m(self.position, goal) <= reach_m and self.chance(self.persona.clumsy):
            yield from self.overshoot()
        return flat_m(self.position, goal) <= reach_m + 0.6

    def leg(self, corner: Cell, goal: Place | None, reach_m: float, face: Place | None,
            deadline: int) -> Skill[bool]:  # fmt: skip
        """A straight stretch towards `corner`, or until within reach of `goal` on the last one. False when stuck or
        late."""
        trail: list[tuple[float, float] | None] = []  # where the feet were in each frame, None when not walking
        strafe, strafe_until = None, 0
        while self.frame < deadline:
            here = self.position
            if flat_m(here, corner) < 0.45 or (goal is not None and flat_m(here, goal) <= reach_m):
                return True
            self.watch_the_way(corner, goal, face)
            error = turn_deg(self.yaw_deg, bearing_deg(here, corner))
            if self.frame >= strafe_until:
                strafe, strafe_until = self.sidestep(error, flat_m(here, corner))
            keys = self.walking_keys(error, strafe if self.frame < strafe_until else None)
            trail.append((here[0], here[2]) if "forward" in keys else None)
            if is_stuck(trail):
                return False
            if self.chance(self.persona.hop / (3 * FRAMES_PER_SECOND)) and "forward" in keys and abs(error) < 15:
                self.jump()
            yield keys
        return False

    def watch_the_way(self, corner: Cell, goal: Place | None, face: Place | None) -> None:
        """While walking: look at `face` once the goal is near, else at the goal where nothing is in between."""
        here = self.position
        if face is not None and flat_m(here, goal) < 5:
            self.look(face, 3.0)
            return
        at_goal = goal is not None and self.ground.clear(here, corner) and flat_m(here, goal) > 0.5
        pitch_deg = self.gaze[0] if len(self.gaze) == 2 else self.persona.pitch_deg
        yaw_deg = bearing_deg(here, goal if at_goal else corner)
        self.look((pitch_deg, yaw_deg), self.persona.walk_tolerance_deg)

    def walking_keys(self, error_deg: float, strafe: str | None) -> set[str]:
        """The keys that move along a heading `error_deg` right of the gaze."""
        if strafe:
            return {"forward", strafe} if abs(error_deg) < 60 else {strafe}
        if abs(error_deg) <= 40:
            return {"forward"}
        if abs(error_deg) <= 70:
            return {"forward", "right" if error_deg > 0 else "left"}
        return set()

    def sidestep(self, error_deg: float, distance_m: float) -> tuple[str | None, int]:
        """Sometimes a heading error is mended with a step aside instead of a turn. Returns (key, until frame)."""
        sideways_m = distance_m * np.sin(np.radians(error_deg))
        if not 0.25 < abs(sideways_m) < 1.6 or abs(error_deg) > 35 or not self.chance(self.persona.strafe):
            return None, 0
        frames = int(np.clip(round(abs(sideways_m) / (STEP_M * 0.7)), 3, 10))
        self.frozen_until = self.frame + frames
        return ("right" if error_deg > 0 else "left"), self.frame + frames

    def overshoot(self) -> Skill[None]:
        """Walk a little too far, notice, and come back."""
        if self.ground.clear_m(self.position, self.yaw_deg, 2.0) < 1.4:
            return
        frames = int(self.rng.integers(3, 6))
        yield from self.wait(frames, {"forward"})
        yield from self.wait(self.rng.integers(3, 7))
        self.remark(self.narrator.say(phrases.OVERSHOT), self.persona.talk)
        yield from self.wait(frames + 1, {"back"})

    def free_oneself(self) -> Skill[None]:
        """Stuck: back off, step aside, hop on."""
        self.remark(self.narrator.say(phrases.STUCK), self.persona.talk * 0.7)
        yield from self.wait(self.rng.integers(4, 9), {"back"})
        aside = str(self.rng.choice(["left", "right"]))
        yield from self.wait(self.rng.integers(4, 10), {aside})
        if self.chance(0.6):
            self.jump()
            yield from self.wait(8, {"forward"})

    def search(self, rivals: Sequence[Target], way: int) -> Skill[Target | None]:
        """Turn to one side (-1 left, 1 right) until one of `rivals` is in view, at most about once around. Returns the
        nearest that is."""
        seen = self.nearest_seen(rivals)
        for _ in range(MOST_STROKES):
            if seen:
                break
            self.look_level(self.yaw_deg + way * self.rng.uniform(50, 110), 8.0)
            notices = int(self.rng.integers(2, 6))  # frames from when something is in view until the hand stops
            for _ in range(40):
                seen = self.nearest_seen(rivals)
                notices -= seen is not None
                if notices < 0 or (self.gaze_error_deg() <= 8.0 and not self.hand.stroke):
                    break
                yield set()
            yield from self.wait(self.rng.integers(0, 4))
        return seen

    def nearest_seen(self, rivals: Sequence[Target]) -> Target | None:
        """Of these, the nearest that is in view."""
        seen = [target for target in rivals if self.sight.sees(self.truth, target)]
        return min(seen, key=lambda target: flat_m(self.position, target.position), default=None)

    def dig(self, node: Place, limit: int = 110, within_m: float = 0.4) -> Skill[bool]:
        """Hold attack on a node (x, y, z) within arm's reach until it, or another above the floor so near to it, is
        gone. False when that takes longer than `limit` frames."""
        begun = self.frame
        aim = np.add(node, self.rng.uniform(-0.15, 0.15, 3))
        if self.chance(self.persona.clumsy * 0.7):
            yield from self.wrong_neighbour(node)
        self.look(aim, 2.5)
        yield from self.settle()
        yield from self.wait(self.rng.integers(0, 4))
        while self.frame - begun < limit:
            if self.was("dig", begun, node, within_m):
                yield from self.wait(self.rng.integers(0, 4))
                return True
            yield {"attack"}
        return False

    def wrong_neighbour(self, node: Place) -> Skill[None]:
        """Begin on the node beside the one that was meant."""
        aside = np.radians(self.yaw_deg + self.rng.choice([-90, 90]))
        self.look(np.add(node, (np.sin(aside), self.rng.uniform(-0.3, 0.3), np.cos(aside))), 3.0)
        yield from self.settle()
        yield from self.wait(self.rng.integers(3, 7), {"attack"})
        self.remark(self.narrator.say(phrases.WRONG), self.persona.talk)
        yield from self.wait(self.rng.integers(3, 8))

    def place(self, aim: Place, tries: int = 3) -> Skill[bool]:
        """Click `use` on the face under the point `aim`; True when the world says that something was placed."""
        self.look(aim, 1.5)
        yield from self.settle()
        yield from self.wait(self.rng.integers(2, 6))
        for _ in range(tries):
            begun = self.frame
            yield from self.wait(CLICK_FRAMES, {"use"})
            for _ in range(8):
                if self.was("place", begun):
                    return True
                yield set()
            self.remark(self.narrator.say(phrases.MISPLACED), self.persona.talk * 0.5)
            self.look(np.add(aim, self.rng.uniform(-0.1, 0.1, 3)), 1.2)
            yield from self.settle()
        return False

    def was(self, kind: str, since: int, node: Place | None = None, within_m: float = 0.4) -> bool:
        """Did such an event happen since a frame (at a node above the floor, or so near to it)?"""
        places = [event["position"] for frame, event in self.events if frame >= since and event["kind"] == kind]
        if node is None:
            return bool(places)
        return any(np.linalg.norm(np.subtract(at, node)) <= within_m and at[1] > self.ground.floor_y for at in places)


def is_stuck(trail: Sequence[tuple[float, float] | None]) -> bool:
    """Whether the feet have hardly moved in the last 14 frames although they walked in all of them."""
    recent = trail[-14:]
    return len(trail) > 14 and None not in recent and flat_m(recent[0], recent[-1]) < 0.5
