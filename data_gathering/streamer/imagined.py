"""Narration without a game: what the scripted player might have said, for pre-training a language model.

In:  a seed and a number of words. Out: text, one line an episode, of the same sentences in the same mix as in play;
sides, colours and numbers are drawn as the game would give them.
Run: python -m data_gathering.demonstrate --text-only 100000 --out text.txt
"""

from dataclasses import dataclass

import numpy as np

from data_gathering.streamer import phrases
from data_gathering.streamer.chores import LOOKS, TURNS_DEG
from data_gathering.streamer.errands import NUMBERED, WAYS
from data_gathering.streamer.ground import HEAPS, PLACES
from data_gathering.streamer.narration import Narrator
from vlpt.worlds.errands import COLOURS

IN_VIEW = tuple(place for side in ("ahead", "left", "right") for place in PLACES[side])
ANYWHERE = (*IN_VIEW, *PLACES["behind"])
WITHOUT_TARGET = {  # what is said instead of a target's name
    "side": ("left", "right"), "spin": ("left", "right"), "turn": tuple(TURNS_DEG), "look": tuple(LOOKS),
    "wander": tuple(WAYS), "back": ("",), "hop": ("",), "place": ("",), "tower": ("",),
}  # fmt: skip
ASKED_SHARE = 0.1  # of the episodes, in which a second voice asks for errands


@dataclass(frozen=True)
class Imagined:
    """An errand that nobody runs."""

    kind: str
    it: str
    number: int
    colour: str  # of a pillar, or the name of a flower


def corpus(seed: int, words: int) -> str:
    """Plausible narration without a game, for pre-training a language model: one line an episode, at least `words`
    words."""
    rng = np.random.default_rng(seed)
    lines, total = [], 0
    while total < words:
        line = " ".join(episode(Narrator(rng, int(rng.integers(1 << 30))), rng))
        lines.append(line)
        total += len(line.split())
    return "\n".join(lines) + "\n"


def episode(narrator: Narrator, rng: np.random.Generator) -> list[str]:
    """The remarks of one episode, in order."""
    said = [narrator.say(phrases.GREETING)] if rng.random() < 0.4 else []
    errands = [imagine(rng) for _ in range(rng.integers(5, 10))]
    accompanied, planned = rng.random() < ASKED_SHARE, False
    for errand, following in zip(errands, errands[1:], strict=False):
        if not planned:
            asked = accompanied and rng.random() < 0.6
            said += ask(narrator, errand) if asked else [narrator.announce(errand.kind, errand.it, errand.number)]
        planned = not accompanied and rng.random() < 0.25
        said += at_errand(narrator, rng, errand, following if planned else None, accompanied)
    return said


def ask(narrator: Narrator, errand: Imagined) -> list[str]:
    """What a second voice asks for, and the answer."""
    return [narrator.request(errand.kind, errand.it, errand.number), narrator.answer()]


def imagine(rng: np.random.Generator) -> Imagined:
    """A random errand."""
    kind = str(rng.choice(list(phrases.ANNOUNCE)))
    colour = str(rng.choice(list(phrases.FLOWERS) if kind == "flower" else COLOURS))
    least, most = NUMBERED.get(kind, (0, 0))
    return Imagined(kind, imagined_target(kind, colour, rng), int(rng.integers(least, most + 1)), colour)


def imagined_target(kind: str, colour: str, rng: np.random.Generator) -> str:
    """A target's name as ground.py and errands.py would give it."""
    if kind in WITHOUT_TARGET:
        return str(rng.choice(WITHOUT_TARGET[kind]))
    noun = {"chop": "tree", "flower": colour, "climb": "steps"}.get(kind, kind)
    noun = f"{colour} pillar" if kind in ("pillar", "orbit") else noun
    alone = kind in ("pillar", "orbit", "climb")  # there is only one of it
    which = "" if alone or rng.random() < 0.6 else str(rng.choice(["closest", "nearest", "far"]))
    where = str(rng.choice(ANYWHERE)) if which != "nearest" and rng.random() < 0.6 else ""
    return " ".join(f"the {which} {noun} {where}".split())


def at_errand(narrator: Narrator, rng: np.random.Generator, errand: Imagined, planned: Imagined | None,
              accompanied: bool) -> list[str]:  # fmt: skip
    """The remarks that one errand gives rise to once it was told, in order. planned: what comes after it, where the
    player says so."""
    said = on_the_way(narrator, rng)
    if errand.kind in ("chop", *HEAPS):
        said += [narrator.count(i) for i in range(1, errand.number + 1) if rng.random() < 0.3]
    if rng.random() < 0.4:
        said.append(narrator.during(errand.kind))
    if planned is not None:
        said.append(narrator.plan(planned.kind, planned.it, planned.number))
    done = rng.random() < 0.9
    if accompanied and rng.random() < 0.4:
        said.append(narrator.report(done))
    elif rng.random() < 0.85:
        said.append(narrator.after(errand.kind, errand.number, errand.colour, errand.it) if done
                    else narrator.say(phrases.FAILED))  # fmt: skip
    if rng.random() < 0.25:
        said.append(narrator.say(phrases.DIGRESS))
    return said


def on_the_way(narrator: Narrator, rng: np.random.Generator) -> list[str]:
    """What is done, seen and remarked on the way to an errand."""
    said = [in_view(narrator, rng) for _ in range(rng.poisson(1.0))]
    if rng.random() < 0.4:
        said.append(narrator.say(phrases.DURING["walk"]))
    if rng.random() < 0.3:
        said.append(narrator.whim(str(rng.choice(list(phrases.WHIM)))))
    if rng.random() < 0.2:
        said.append(narrator.say(str(rng.choice([phrases.OVERSHOT, phrases.WRONG, phrases.STUCK, phrases.WRONG_TOOL]))))
    return [said[i] for i in rng.permutation(len(said))]


def in_view(narrator: Narrator, rng: np.random.Generator) -> str:
    """A remark about something in view: a thing with its colour and side, or how many there are."""
    where = str(rng.choice(IN_VIEW)) if rng.random() < 0.7 else ""
    if rng.random() < 0.25:
        thing = str(rng.choice(["tree", "flower", "pillar"]))
        return narrator.counted(thing, int(rng.integers(0, len(COLOURS) + 1 if thing == "pillar" else 7)), where)
    thing = str(rng.choice(list(phrases.SIGHT), p=[0.16, 0.16, 0.24, 0.09, 0.08, 0.09, 0.06, 0.06, 0.03, 0.03]))
    colour = str(rng.choice(list(phrases.FLOWERS) if thing == "flower" else COLOURS))
    return narrator.sight(thing, colour, where)
