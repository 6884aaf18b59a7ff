"""What the world's truth tells of the moment of each token, for sight.py: how long nobody has spoken, which errand this
is, what is done, what is in view.

In: training episodes and what was in view in them, which say what can be told apart; then any episode, and the frames
of some tokens in it. Out: numbers (n, F) of each group:

    truth = Truth(episodes, lines)
    truth.tell(episode, lines, frames, pause_s)["view"]     # (n, F) float32, 0 or 1

Legend: n tokens, F numbers.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vlpt.data.shards import Episode
from vlpt.data.views import Line
from vlpt.evaluation.moments import kind_of
from vlpt.evaluation.told_truth import SINCE_S, beginning, often_begun
from vpt.actions import MINECRAFT
from vpt.frames import FRAMES_PER_SECOND

GROUPS = ("pause", "errands", "doing", "view")
PAUSES_S = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 5.0)  # between which pauses are told apart
ENDED_S = (0.0, 0.5, 1.0, 2.0, 4.0)  # the same of the time since an errand ended
DONE_S = (0.5, 2.0)  # of buttons and of turning, how far back
TURNED_DEG = 15.0
NEAR_M, LEAST_SHARE = 5.0, 0.003  # of a thing in view; of the picture's third that it covers


def among(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """values (n,) -> (n, len(edges) + 1) float32: 1 in the stretch that each lies in."""
    return np.eye(len(edges) + 1, dtype=np.float32)[np.searchsorted(edges, values, "right")]


def of_errands(episode: Episode, frames: np.ndarray, errands: Sequence[str], kinds: Sequence[str]) -> np.ndarray:
    """(n, F): the errand that is being done and for how long, by its name or the beginning of one; the kind of the one
    that ended last, how long ago, and whether it was done.
    """
    lasts = np.zeros((len(frames), len(errands), len(SINCE_S) + 1), np.float32)
    ended = np.zeros((len(frames), len(kinds) + 2, len(ENDED_S) + 1), np.float32)
    for errand in episode.errands:
        until = episode.n_frames if errand["end_frame"] is None else errand["end_frame"]
        known = beginning(errand["name"], errands)
        here = (frames >= errand["start_frame"]) & (frames < until)
        if known is not None:
            since = (frames[here] - errand["start_frame"]) / FRAMES_PER_SECOND
            lasts[here, errands.index(known)] = among(since, SINCE_S)
        after = frames >= until
        since = among((frames[after] - until) / FRAMES_PER_SECOND, ENDED_S)
        ended[after] = 0
        ended[after, len(kinds) + int(bool(errand["done"]))] = since
        if kind_of(errand) in kinds:
            ended[after, kinds.index(kind_of(errand))] = since
    return np.concatenate([lasts.reshape(len(frames), -1), ended[..., 1:-1].reshape(len(frames), -1)], 1)


def of_doing(episode: Episode, frames: np.ndarray) -> np.ndarray:
    """(n, F): which buttons were down in the last stretches of time, and whether the view turned, and which way."""
    buttons, camera_deg = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
    pressed, turned = (np.concatenate([np.zeros((1, rows.shape[1])), rows.cumsum(0)]) for rows in
                       (buttons.astype(float), camera_deg.astype(float)))  # fmt: skip
    found = []
    for seconds in DONE_S:
        back = np.maximum(frames - round(seconds * FRAMES_PER_SECOND), 0)
        moved = turned[frames] - turned[back]
        found += [pressed[frames] > pressed[back], moved > TURNED_DEG, moved < -TURNED_DEG]
    return np.concatenate(found, 1).astype(np.float32)


def of_view(lines: Sequence[Line], frames: np.ndarray, things: Sequence[tuple[str, str]],
            hands: Sequence[str]) -> np.ndarray:  # fmt: skip
    """(n, F): of the latest line before each frame, the things of each kind and colour by side, near ones, and what is
    held."""
    found = np.zeros((len(frames), len(things), 4), np.float32)
    held = np.zeros((len(frames), len(hands)), np.float32)
    latest = np.searchsorted([line.frame for line in lines], frames, "right") - 1
    for row, line in enumerate(lines[max(number, 0)] for number in latest):
        for thing in line.things:
            if (thing.kind, thing.colour) in things:
                seen = [share > LEAST_SHARE for share in thing.share]
                now = found[row, things.index((thing.kind, thing.colour))]
                now[:] = np.maximum(now, [*seen, thing.distance_m < NEAR_M])
        if line.hand in hands:
            held[row, hands.index(line.hand)] = 1
    return np.concatenate([found.reshape(len(frames), -1), held], 1)


class Truth:
    """What can be told, by what there is in the training channels."""

    def __init__(self, episodes: Sequence[Episode], lines: Sequence[Sequence[Line]]) -> None:
        errands = [errand for episode in episodes for errand in episode.errands]
        self.errands = often_begun([errand["name"] for errand in errands])
        self.kinds = sorted(Counter(map(kind_of, errands)))
        every = [line for some in lines for line in some]
        self.things = sorted({(thing.kind, thing.colour) for line in every for thing in line.things})
        self.hands = sorted({line.hand for line in every})

    def tell(self, episode: Episode, lines: Sequence[Line], frames: np.ndarray, pause_s: np.ndarray) -> dict:
        """{group: (n, F) float32}."""
        return {"pause": among(pause_s, PAUSES_S), "doing": of_doing(episode, frames),
                "errands": of_errands(episode, frames, self.errands, self.kinds),
                "view": of_view(lines, frames, self.things, self.hands)}  # fmt: skip
