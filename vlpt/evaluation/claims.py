"""What talk claims: of each sentence, what it says will be done, and what it says is there to be seen.

In: lives (lives.py) and a grammar. Out: claims on ticks and their truth, for permuted.py:

    carried_out     an announcement ("now the red pillar") or a whim ("step left"), and what is done after its last word
    thing           a thing that a remark about the view names ("a tree on the left"), and what is in view
    colour          the same of a colour: a thing of this kind and colour must be in view
    side            the same of a side: it must be in that third of the picture
    announced       the target of an announcement (not "behind me"): a pillar, a tree ... that is in view; people, too,
                    announce what they have yet to turn to

In view is what is there at some moment of the second before the first word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlpt.data.sentences import Grammar
from vlpt.evaluation.carried_out import Deeds, Told, announced, colour_of
from vlpt.evaluation.lives import TICK_FRAMES, Life
from vlpt.evaluation.permuted import Claim
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

SEEN_TICKS = 5  # up to the tick of the first word
SIDES = {"on the left": 0, "to my left": 0, "straight ahead": 1, "in front of me": 1, "on the right": 2,
         "to my right": 2}  # fmt: skip
TARGETS = {"chop": "tree", "sand": "sand", "dirt": "dirt", "stone": "stone", "climb": "steps", "flower": "flower",
           "pillar": "pillar", "orbit": "pillar"}  # fmt: skip
VIEW = ("thing", "colour", "side", "announced")


@dataclass(frozen=True)
class Look:
    """Something that is said to be in view: colour or third of the picture "" and -1 where none is named."""

    kind: str
    colour: str = ""
    third: int = -1


@dataclass(frozen=True)
class Said:
    """A sentence of a life."""

    life: int
    index: int  # among the sentences of its life
    start_ms: float
    end_ms: float
    text: str
    rule: str  # that makes it; "" for none
    held: dict[str, str]

    @property
    def first_tick(self) -> int:
        return int(self.start_ms // (FRAME_MS * TICK_FRAMES))

    @property
    def last_tick(self) -> int:
        """The one in which the last word ends."""
        return int(self.end_ms // (FRAME_MS * TICK_FRAMES))


def all_said(lives: Sequence[Life], grammar: Grammar) -> list[Said]:
    """Every sentence of some lives."""
    found = []
    for number, life in enumerate(lives):
        for index, sentence in enumerate(life.sentences):
            text = " ".join(word.word for word in sentence)
            rule, held = grammar.recognise(text) or ("", {})
            found.append(Said(number, index, sentence[0].start_ms, sentence[-1].end_ms, text, rule, held))
    return found


def told_of(one: Said, grammar: Grammar) -> Told | None:
    """What a sentence says will be done."""
    return announced(one.rule, one.held, grammar) if one.rule else None


def looks_of(one: Said, grammar: Grammar) -> dict[str, Look]:
    """{"thing", "colour", "side", "announced": what a sentence says is in view}, of what it speaks of."""
    table, _, kind = one.rule.partition(":")
    if table == "announce" and kind in TARGETS and "behind" not in one.held.get("it", ""):
        return {"announced": Look(TARGETS[kind], colour_of(one.held.get("it", ""), grammar))}
    if table not in ("sight", "counted") or kind not in grammar.file.things or "none" in one.held:
        return {}
    colour = one.held.get("colour") or colour_of(one.held.get("flower", ""), grammar)
    found = {"thing": Look(kind)} | ({"colour": Look(kind, colour)} if colour else {})
    third = SIDES.get(one.held.get("where", ""))
    return found if third is None else found | {"side": Look(kind, colour, third)}


# ---- their truth


class Truths:
    """Whether something is done, or in view, at every tick of some lives."""

    def __init__(self, lives: Sequence[Life], grammar: Grammar, soon: float, within: float) -> None:
        """soon, within: seconds for what needs keys and mouse alone, and for what must be gone to."""
        self.lives, self.deeds = lives, [Deeds(life, grammar) for life in lives]
        self.soon, self.within = (max(1, round(seconds * FRAMES_PER_SECOND)) for seconds in (soon, within))
        self._known: dict[tuple, np.ndarray] = {}

    def length(self, told: Told) -> int:
        """Frames in which it must be done."""
        return self.soon if told.short else self.within

    def known(self, told: Told, life: int) -> int:
        """How many ticks of a life have all these frames after them; 0 where nobody can know."""
        if not told.short and self.lives[life].world is None:
            return 0
        return max(0, (self.lives[life].frames - self.length(told)) // TICK_FRAMES + 1)

    def done(self, told: Told, life: int) -> np.ndarray:
        """(ticks,) 1 where it is done in the seconds after a tick."""
        if (told, life) not in self._known:
            self._known[told, life] = self._done(told, life)
        return self._known[told, life]

    def _done(self, told: Told, life: int) -> np.ndarray:
        starts = range(0, self.known(told, life) * TICK_FRAMES, TICK_FRAMES)
        deeds, length = self.deeds[life], self.length(told)
        return np.array([bool(deeds.done(told, start, start + length)) for start in starts], float)

    def in_view(self, look: Look, life: int) -> np.ndarray:
        """(ticks,) 1 where it is in view at a tick, or in the second before."""
        if (look, life) in self._known:
            return self._known[look, life]
        at = np.array([any(fits(thing, look) for thing in line.things) for line in self.lives[life].lines], float)
        before = np.pad(at, (SEEN_TICKS, 0))
        self._known[look, life] = np.max([before[by : by + len(at)] for by in range(SEEN_TICKS + 1)], axis=0)
        return self._known[look, life]

    def deeds_claimed(self, said: Sequence[Said], grammar: Grammar) -> dict[int, Claim]:
        """{number of a sentence: the claim that it makes}; of those whose seconds are all there, and known."""
        found = {}
        for number, one in enumerate(said):
            told = told_of(one, grammar)
            if told is not None and one.last_tick < self.known(told, one.life):
                found[number] = Claim(one.life, one.last_tick, told)
        return found

    def views_claimed(self, said: Sequence[Said], grammar: Grammar) -> dict[str, dict[int, Claim]]:
        """{"thing", "colour", "side", "announced": {number of a sentence: the claim that it makes}}."""
        found: dict[str, dict[int, Claim]] = {name: {} for name in VIEW}
        for number, one in enumerate(said):
            if one.first_tick < len(self.lives[one.life].lines):
                for name, look in looks_of(one, grammar).items():
                    found[name][number] = Claim(one.life, one.first_tick, look)
        return found


def fits(thing, look: Look) -> bool:
    """Whether a thing in view is what is looked for."""
    kind, colour = look.kind, look.colour
    return (thing.kind == kind and colour in ("", thing.colour)) and (look.third < 0 or thing.share[look.third] > 0)
