"""Which places of the picture a spoken noun looks at: the weights of words ask frames when the noun is heard.

In: a trial of a fused model, tracks, what is in view as the world knows it (vlpt/data/views.py). A noun is a word that
names something in view by its kind or its colour ("pillar", "trees", "red"); a colour right before a kind names, with
it, things of both. Out: of each noun, where it looked; and where other nouns would have looked in the same picture, and
where it would have looked at other ticks of its episode:

    nouns = find_nouns(tracks, views)
    for noun, looked in zip(nouns, attention(trial, tracks, nouns, others=4)): looked["own"][0].places

Each of these differs from the episode in what is heard at one tick alone: memory and pictures are the episode's.

Legend: P patches of a frame, row by row from the top left; n lanes; H heads; K rows asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vlpt.data.views import SIDES, Line, Thing
from vlpt.evaluation.moments import Track, in_frames, memories
from vlpt.evaluation.trial import Trial
from vlpt.looking import looking
from vlpt.memory import Memory

OWN, OTHER_NOUN, OTHER_TIME = "own", "other_noun", "other_time"
LEAST_SHARE = 0.001  # of the picture, that what a noun names must cover
APART_S = 3.0  # between a noun's tick and another time


# ---- nouns


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun that was said, and what it names in the picture in which it is heard."""

    track: int  # number in the list of tracks
    word: str  # as it is spelt for one thing
    token: int  # its last one
    frame: int  # of the tick at which that is heard
    things: tuple[Thing, ...]

    @property
    def thirds(self) -> np.ndarray:
        """(3,) of what it names, how much is on the left, in the middle, on the right; they add up to 1."""
        covered = np.sum([thing.share for thing in self.things], 0)
        return covered / covered.sum()


def find_nouns(tracks: Sequence[Track], views: Sequence[Sequence[Line]]) -> tuple[list[Noun], int]:
    """Of all tracks, in order, and how many more named nothing in view. Raises ValueError where none did."""
    things = [thing for lines in views for line in lines for thing in line.things]
    kinds, colours = {thing.kind for thing in things}, {thing.colour for thing in things} - {""}
    found, unseen = [], 0
    for number, (track, lines) in enumerate(zip(tracks, views, strict=True)):
        at = {line.frame: line.things for line in lines}
        said = [singular(word.word, kinds) for word in track.episode.words]
        for i, word in enumerate(said):
            ticks = track.tick[track.word == i]
            if word not in kinds | colours or not len(ticks):
                continue
            frame = (int(ticks[-1]) + 1) * track.frames_per_tick
            named = names(said, i, kinds, colours)
            seen = tuple(thing for thing in at.get(frame, ()) if named <= {thing.kind, thing.colour})
            if sum(sum(thing.share) for thing in seen) >= LEAST_SHARE:
                found.append(Noun(number, word, int(track.tokens[ticks[-1]]), frame, seen))
            else:
                unseen += 1
    if not found:
        raise ValueError("no word of these episodes names anything in view: take more channels, or other --views")
    return found, unseen


def singular(word: str, kinds: set[str]) -> str:
    """A word without its punctuation and, where that is a kind of thing, without its plural's s."""
    plain = word.strip(".,!?").lower()
    return plain[:-1] if plain not in kinds and plain[:-1] in kinds and plain.endswith("s") else plain


def names(said: Sequence[str], i: int, kinds: set[str], colours: set[str]) -> set[str]:
    """The kind, the colour or both that word i of an episode asks of what it names."""
    before, after = said[i - 1] if i else "", said[i + 1] if i + 1 < len(said) else ""
    if said[i] in kinds and before in colours:
        return {said[i], before}
    if said[i] in colours and after in kinds:
        return {said[i], after}
    return {said[i]}


# ---- where they look


@dataclass(frozen=True, eq=False)
class Look:
    """Where one token looked: shares of all its attention, mean over heads and layers."""

    patches: np.ndarray  # (P,) of each patch of the present frame
    all_patches: np.ndarray  # (layers,) of patches of all frames, by layer
    vector: float  # of the present frame's vector
    even: float  # what the present frame's patches would have if every row that it sees had the same
    even_all: float  # and the patches of all frames

    @property
    def places(self) -> np.ndarray:
        """(P,) of the attention to the present frame's patches."""
        return self.patches / max(float(self.patches.sum()), 1e-12)


@torch.no_grad()
def look(trial: Trial, track: Track, frame: int, memory: Memory, tokens: Sequence[int]) -> list[Look]:
    """Where each of some tokens looks when it is heard at a frame, a tick, from a memory of one lane."""
    given = track.given(trial.features, frame, frame + 1)
    lanes = [replace(given, heard=np.array([token])) for token in tokens]
    with looking(trial.model) as kept:
        type(given).stack(lanes).run(trial, memory.index([0] * len(lanes)))
    weights = torch.stack([one[:, :, 0].mean(1) for one, _ in kept], 1).cpu().numpy()  # (n, layers, K)
    visible = kept[0][1][:, 0].cpu().numpy()  # (n, K)
    vectors, count = memory.frames.content.shape[1] + 1, trial.model.config.policy.patches  # the present's come last
    return [Look(of[:, -count:].mean(0), of[:, vectors:].sum(1), float(of[:, vectors - 1].mean()), count / seen.sum(),
                 seen[vectors:].sum() / seen.sum()) for of, seen in zip(weights, visible, strict=True)]  # fmt: skip


def attention(trial: Trial, tracks: Sequence[Track], nouns: Sequence[Noun], others: int) -> list[dict[str, list[Look]]]:
    """Of each noun, {"own": [its look], "other_noun": looks of at most so many others that name nothing of what it
    names, at its tick; "other_time": its own at so many other ticks}. Each episode is streamed once.
    """
    found = [{OWN: [], OTHER_NOUN: [], OTHER_TIME: []} for _ in nouns]
    wanted: list[dict[int, list[tuple[int, str, int]]]] = [{} for _ in tracks]
    for index, noun in enumerate(nouns):
        for frame, condition, token in _asked(nouns, index, tracks[noun.track], others, trial.options.seed):
            wanted[noun.track].setdefault(frame, []).append((index, condition, token))
    for number, frame, memory in memories(trial, tracks, trial.features, [sorted(frames) for frames in wanted]):
        asked = wanted[number][frame]
        looks = look(trial, tracks[number], frame, memory, [token for *_, token in asked])
        for (index, condition, _), one in zip(asked, looks, strict=True):
            found[index][condition].append(one)
    return found


def _asked(nouns: Sequence[Noun], index: int, track: Track, others: int, seed: int) -> list[tuple[int, str, int]]:
    """(frame, condition, token) of all looks of one noun."""
    noun = nouns[index]
    here = {text for thing in noun.things for text in (thing.kind, thing.colour)}
    strangers = sorted({one.token for one in nouns if one.word not in here} - {noun.token})
    chosen = np.random.default_rng((seed, index)).permutation(strangers)[:others]
    ticks = np.arange(track.frames_per_tick, track.episode.n_frames, track.frames_per_tick)
    ticks = np.random.default_rng((seed, noun.track)).permutation(ticks)  # few ticks for all nouns of an episode
    times = ticks[np.abs(ticks - noun.frame) >= in_frames(APART_S)][:others]
    return [(noun.frame, OWN, noun.token), *((noun.frame, OTHER_NOUN, int(token)) for token in chosen),
            *((int(frame), OTHER_TIME, noun.token) for frame in times)]  # fmt: skip


# ---- against what is in view


def on_things(one: Look, noun: Noun) -> float:
    """How much of a look at the present frame lies in the columns of what a noun names: its share of each third of the
    picture, weighted by how much of the thing is there.
    """
    side = round(len(one.patches) ** 0.5)
    columns = one.places.reshape(side, side).sum(0)
    edges = np.linspace(0, 1, side + 1)
    cuts = np.linspace(0, 1, len(SIDES) + 1)
    overlap = np.minimum(edges[1:], cuts[1:, None]) - np.maximum(edges[:-1], cuts[:-1, None])  # (3, side)
    return float(noun.thirds @ (overlap.clip(0) * side) @ columns)


def more_on_things(noun: Noun, looked: dict[str, list[Look]], than: str) -> float | None:
    """The share of other looks that lie less on what a noun names than its own does; one alike counts half; None where
    there are none.
    """
    own = on_things(looked[OWN][0], noun)
    differences = own - np.array([on_things(one, noun) for one in looked[than]])
    return float(np.mean((differences > 1e-6) + 0.5 * (np.abs(differences) <= 1e-6))) if len(differences) else None
