"""Which thing an errand is to, frame by frame, as far as the data say it.

In: an episode, whose errands are named as the scripted player's log names them ("pillar the red pillar", "chop the
closest tree 2"). Out: `meant`, (n,) int64: an index of THINGS while an errand to such a thing is run, NOTHING at other
times, UNKNOWN where nobody says: in an episode without errands or without their frames, and while one is announced.
With it the agent learns which words mean which thing (vlpt/target.py).
"""

import numpy as np

from vlpt.data.episode import Episode

# What is told apart: kind and, where people name a thing by it, colour.
THINGS = (*(("pillar", colour) for colour in ("red", "blue", "yellow", "green", "white")),
          *((kind, "") for kind in ("tree", "sand", "dirt", "stone", "water", "steps", "flower")))  # fmt: skip
NOTHING, UNKNOWN = len(THINGS), -1
ERRANDS = {"chop": "tree", "climb": "steps", "orbit": "pillar"}  # that are not called as their thing
TOLD_FRAMES = 20  # before an errand, in which it may have been told already


def thing(name: str) -> int:
    """Of an errand's name: an index of THINGS, or NOTHING."""
    kind, *words = name.split()
    kind = ERRANDS.get(kind, kind)
    return next((i for i, (noun, colour) in enumerate(THINGS) if noun == kind and (not colour or colour in words)),
                NOTHING)  # fmt: skip


def meant(episode: Episode, start: int, stop: int) -> np.ndarray:
    """Of the frames from start to stop."""
    errands = episode.errands
    if not errands or any(errand[end] is None for errand in errands for end in ("start_frame", "end_frame")):
        return np.full(stop - start, UNKNOWN)
    found = np.full(stop - start, NOTHING)
    for errand in errands:
        begins, ends = errand["start_frame"] - start, errand["end_frame"] - start
        found[max(0, begins - TOLD_FRAMES) : max(0, begins)] = UNKNOWN
        found[max(0, begins) : max(0, ends)] = thing(errand["name"])
    return found
