"""Announcements held against others: what the fused model makes of its own words and film, and of another's in place.

In: a trial, tracks, the moments of their announcements. Out: of each moment, by how many nats its own wins its pairs:

    for index, pairs in compare(trial, tracks, moments): pairs.nats["actions_from_words"]

All lanes of a moment go on from one memory, that of its episode up to `cut`; see matching.py for what is held
against what.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from vlpt.evaluation.moments import Announcement, Given, Track, in_frames, memories
from vlpt.evaluation.trial import Trial
from vlpt.memory import Memory
from vlpt.training.losses import action_nats, language_nats

ACTIONS, WORDS = "actions_from_words", "words_from_frames"
CONDITIONS = (ACTIONS, WORDS, f"{ACTIONS}_same_kind", f"{WORDS}_same_kind")


@dataclass(frozen=True, eq=False)
class Moment:
    """An announcement, and the frames that are looked at: from `cut` on its film, up to `film_end`, and from its
    errand's first one its actions, up to `end`. By tick `said_by` other words must be said.
    """

    told: Announcement
    cut: int
    film_end: int
    end: int
    said_by: int

    @property
    def stop(self) -> int:
        """The frame after the last one that is looked at."""
        return max(self.film_end, self.end)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Of each condition, what a moment is held against and by how many nats its own wins."""

    numbers: dict[str, np.ndarray]  # {condition: (pairs,) int64, numbers of other moments}
    nats: dict[str, np.ndarray]  # {condition: (pairs,) float64}


def moment(told: Announcement, track: Track, seconds: float, film_seconds: float) -> Moment:
    """Where an announcement's film, of so many seconds before it, and the seconds of its actions lie."""
    ticks, every = told.ticks, track.frames_per_tick
    cut = max(0, ticks[0] * every - in_frames(film_seconds)) // every * every
    said_by = max(ticks[-1], told.start_frame // every - 1)
    return Moment(told, int(cut), int(ticks[-1]) * every + 1, told.start_frame + in_frames(seconds), int(said_by))


# ---- other words


def exchange(track: Track, own: Moment, other: Announcement) -> np.ndarray | None:
    """(K,) tokens of a track in which the other's words stand where a moment's own are: from the same tick on, spread
    over the same time. None where they do not fit before the errand begins, and between the words that stay.
    """
    own_span, other_span = (one.ticks[-1] - one.ticks[0] for one in (own.told, other))
    wished = (other.ticks - other.ticks[0]) * own_span // max(1, other_span)
    order = np.arange(len(wished))
    ticks = own.told.ticks[0] + order + np.maximum.accumulate(wished - order)  # one a tick, none earlier than wished
    tokens = track.tokens.copy()
    tokens[own.told.ticks] = track.silence
    if ticks[-1] > own.said_by or (tokens[own.told.ticks[0] : ticks[-1] + 1] != track.silence).any():
        return None
    tokens[ticks] = other.tokens
    return tokens


def other_words(true: Given, track: Track, own: Moment, other: Moment) -> Given:
    """What is given where the other announcement is heard."""
    return replace(true, heard=track.hear(exchange(track, own, other.told), own.cut, own.stop))


# ---- other films


def shift(own: Moment, other: Moment, frames_per_tick: int) -> int:
    """From a frame of a moment's film to the frame of the other's that takes its place."""
    return int(other.told.ticks[0] - own.told.ticks[0]) * frames_per_tick


def film_fits(own: Moment, other: Moment, track: Track) -> bool:
    """Whether the other's film is as long; track: the other's."""
    by = shift(own, other, track.frames_per_tick)
    return own.cut + by >= 0 and own.film_end + by <= track.episode.n_frames


def other_film(true: Given, trial: Trial, track: Track, own: Moment, other: Moment) -> Given:
    """What is given where the other's film is seen, and felt; track: the other's."""
    length, begin = own.film_end - own.cut, own.cut + shift(own, other, track.frames_per_tick)
    film = track.given(trial.features, begin, begin + length)
    frames, last_action = true.frames.copy(), true.last_action.copy()
    frames[:length], last_action[:length] = film.frames, film.last_action
    return replace(true, frames=frames, last_action=last_action)


# ---- a moment under every condition, side by side


def draw(trial: Trial, tracks: Sequence[Track], moments: Sequence[Moment], index: int) -> dict[str, np.ndarray]:
    """{condition: numbers of the moments that one is held against}: of another kind or of the same one, never of the
    same text; at most `trial.options.others` each.
    """
    own, random = moments[index], np.random.default_rng((trial.options.seed, index))
    track = tracks[own.told.track]
    fits = {ACTIONS: lambda other: actions_count(own, track) and exchange(track, own, other.told) is not None,
            WORDS: lambda other: film_fits(own, other, tracks[other.told.track])}  # fmt: skip
    found = {}
    for condition in CONDITIONS:
        direction, same = condition.removesuffix("_same_kind"), condition.endswith("_same_kind")
        chosen = (int(i) for i in random.permutation(len(moments))
                  if (moments[i].told.kind == own.told.kind) == same
                  and moments[i].told.text != own.told.text and fits[direction](moments[i]))  # fmt: skip
        found[condition] = np.array(list(islice(chosen, trial.options.others)), np.int64)
    return found


def hold_against(
    trial: Trial, tracks: Sequence[Track], moments: Sequence[Moment], index: int, memory: Memory
) -> Pairs:  # fmt: skip
    """A moment against others, from the memory at its `cut`: in lane 0 the truth, then condition by condition."""
    own, numbers = moments[index], draw(trial, tracks, moments, index)
    track = tracks[own.told.track]
    lanes = [true := track.given(trial.features, own.cut, own.stop)]
    for condition, chosen in numbers.items():
        for other in (moments[i] for i in chosen):
            lanes.append(other_words(true, track, own, other) if condition.startswith(ACTIONS)
                         else other_film(true, trial, tracks[other.told.track], own, other))  # fmt: skip
    output, _ = Given.stack(lanes).run(trial, memory.index([0] * len(lanes)))
    of = {ACTIONS: actions_nats(output, track, own), WORDS: tokens_nats(trial, output, track, own)}
    ends, nats = np.cumsum([1, *map(len, numbers.values())]), {}
    for condition, begin, end in zip(numbers, ends[:-1], ends[1:], strict=True):
        losses = of[condition.removesuffix("_same_kind")]
        nats[condition] = losses[begin:end] - losses[0]
    return Pairs(numbers, nats)


def actions_count(own: Moment, track: Track) -> bool:
    """Whether the errand's seconds are all there, and what is done in them is known."""
    known = track.episode.confidence[own.told.start_frame : own.end] > 0
    return own.end <= track.episode.n_frames and bool(known.any())


def actions_nats(output, track: Track, own: Moment) -> np.ndarray:
    """(lanes,) nats of the actions of a moment's errand."""
    episode, lanes = track.episode, len(output.action.buttons)
    frames = np.arange(own.told.start_frame, min(own.end, episode.n_frames))
    frames = frames[episode.confidence[frames] > 0]
    at, device = torch.from_numpy(frames - own.cut), output.action.buttons.device
    labels = (torch.from_numpy(index[frames]).to(device).expand(lanes, -1)
              for index in (episode.buttons_index, episode.camera_index))  # fmt: skip
    chosen = type(output.action)(output.action.buttons[:, at], output.action.camera[:, at])
    return sum(action_nats(chosen, *labels)).double().sum(1).cpu().numpy()


def tokens_nats(trial: Trial, output, track: Track, own: Moment) -> np.ndarray:
    """(lanes,) nats of a moment's announcement, given that something is said."""
    device, lanes = output.hidden.device, len(output.hidden)
    spoken = torch.full((lanes, own.stop - own.cut), track.silence, device=device)
    at = torch.from_numpy(own.told.ticks * track.frames_per_tick - own.cut).to(device)
    spoken[:, at] = torch.from_numpy(own.told.tokens).to(device)
    _, token, said = language_nats(trial.model.language, output, spoken)
    return token.double().masked_fill(~(said & output.tick_valid), 0).sum(1).cpu().numpy()


@torch.no_grad()
def compare(trial: Trial, tracks: Sequence[Track], moments: Sequence[Moment]) -> Iterator[tuple[int, Pairs]]:
    """Every moment against others, each episode being streamed once."""
    at: list[dict[int, list[int]]] = [{} for _ in tracks]
    for index, one in enumerate(moments):
        at[one.told.track].setdefault(one.cut, []).append(index)
    for number, frame, memory in memories(trial, tracks, trial.features, [sorted(cuts) for cuts in at]):
        for index in at[number][frame]:
            yield index, hold_against(trial, tracks, moments, index, memory)
