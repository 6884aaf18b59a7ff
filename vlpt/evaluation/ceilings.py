"""What there is to find in pairs of words and play: logistic regressions on the world's truth, for matching.py.

In: a trial, the moments it is asked about, and of each the numbers of those that it is held against. Out: of each
moment, by how much the true one wins each of its pairs, in nats. Fitted on the errands of the training channels.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vlpt.data.shards import Episode
from vlpt.data.views import Line, read_view
from vlpt.evaluation.exchanges import Moment, shift
from vlpt.evaluation.moments import Track, find_announcements, in_frames, kind_of, training_episodes
from vlpt.evaluation.trial import Trial
from vpt.actions import MINECRAFT


class Classifier:
    """Log-probabilities of topics (a text each) from numbers (n, f); a topic that was never learned from has none."""

    def __init__(self, numbers: Sequence[np.ndarray], topics: Sequence[str]) -> None:
        self.known = sorted(set(topics))
        self.model = None
        if len(self.known) > 1:
            self.model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            self.model.fit(np.stack(numbers), topics)

    def nats(self, numbers: np.ndarray, topic: str) -> float:
        """log P(topic | numbers (f,)); the logarithm of 1e-12 for an unknown one."""
        if self.model is None or topic not in self.known:
            return float(np.log(1e-12))
        return float(self.model.predict_log_proba(numbers[None])[0, self.known.index(topic)])


def check(trial: Trial) -> None:
    """Raises ValueError where there is nothing to fit on, or a file of what is in view is missing or damaged."""
    learned = training_episodes(trial)
    for episode in [*learned, *trial.episodes] if trial.options.views else ():
        read_view(trial.options.views, episode)


# ---- actions from words


def done_between(episode: Episode, start: int, stop: int) -> np.ndarray:
    """(22,): share of the frames in which each button is down, and how far the gaze turned (pitch, yaw; degrees)."""
    buttons, camera_deg = episode.true_buttons, episode.true_camera_deg
    if buttons is None or camera_deg is None:
        buttons, camera_deg = MINECRAFT.decode(episode.buttons_index[start:stop], episode.camera_index[start:stop])
        start, stop = 0, len(buttons)
    return np.append(buttons[start:stop].mean(0), camera_deg[start:stop].sum(0))


def of_actions(
    trial: Trial, tracks: Sequence[Track], moments: Sequence[Moment], numbers: Sequence[np.ndarray]
) -> list[np.ndarray] | None:  # fmt: skip
    """Whether the true actions are likelier those of the true kind of errand than those of the other's; None where
    fewer than two kinds can be learned.
    """
    length = in_frames(trial.options.seconds)
    learned = [(done_between(episode, errand["start_frame"], errand["start_frame"] + length), kind_of(errand))
               for episode in training_episodes(trial) for errand in episode.errands
               if errand["start_frame"] + length <= episode.n_frames]  # fmt: skip
    judge, found = Classifier([did for did, _ in learned], [kind for _, kind in learned]), []
    if judge.model is None:
        return None
    for own, held in zip(moments, numbers, strict=True):
        won = []
        if len(held):
            did = done_between(tracks[own.told.track].episode, own.told.start_frame, own.end)
            won = [judge.nats(did, own.told.kind) - judge.nats(did, moments[i].told.kind) for i in held]
        found.append(np.array(won))
    return found


# ---- words from frames


def topic(text: str, kind: str, colours: set[str]) -> str:
    """What an announcement is about: the kind of errand, and the first colour that it names."""
    return " ".join([kind, *[word for word in text.split() if word in colours][:1]])


class Views:
    """What is in view in the films of some tracks."""

    def __init__(self, tracks: Sequence[Track], folder: str) -> None:
        self.lines: list[list[Line]] = [read_view(folder, track.episode)
                                        for track in tracks]  # fmt: skip
        self.frames = [np.array([line.frame for line in lines]) for lines in self.lines]

    def things(self) -> set[tuple[str, str]]:
        """(kind, colour) of all that there ever is."""
        return {(thing.kind, thing.colour) for lines in self.lines for line in lines for thing in line.things}

    def between(self, track: int, start: int, stop: int, things: Sequence[tuple[str, str]]) -> np.ndarray:
        """(things x 3,): mean share of the picture that each thing covers on the left, in the middle, on the right."""
        first, last = np.searchsorted(self.frames[track], [start, stop])
        shown, column = np.zeros((len(things), 3)), {thing: i for i, thing in enumerate(things)}
        lines = self.lines[track][min(first, len(self.frames[track]) - 1) : max(last, first + 1)]
        for thing in (thing for line in lines for thing in line.things):
            if (thing.kind, thing.colour) in column:
                shown[column[thing.kind, thing.colour]] += np.array(thing.share) / len(lines)
        return shown.ravel()


def of_views(
    trial: Trial, tracks: Sequence[Track], moments: Sequence[Moment], numbers: Sequence[np.ndarray]
) -> list[np.ndarray] | None:  # fmt: skip
    """Whether what the announcement is about is likelier given what is in view in its own film than in the other's;
    None without --views.
    """
    if not trial.options.views:
        return None
    learned = [Track(episode, trial) for episode in training_episodes(trial)]
    views, shown = (Views(some, trial.options.views) for some in (learned, tracks))
    things, (told, _) = sorted(views.things()), find_announcements(learned)
    colours = {colour for _, colour in things if colour}
    before = in_frames(trial.options.film_seconds)
    seen = [views.between(one.track, one.ticks[0] * learned[one.track].frames_per_tick - before,
                          one.ticks[-1] * learned[one.track].frames_per_tick + 1, things) for one in told]  # fmt: skip
    judge, found = Classifier(seen, [topic(one.text, one.kind, colours) for one in told]), []

    def nats(own: Moment, other: Moment) -> float:
        by = shift(own, other, tracks[0].frames_per_tick)
        film = shown.between(other.told.track, own.cut + by, own.film_end + by, things)
        return judge.nats(film, topic(own.told.text, own.told.kind, colours))

    for own, held in zip(moments, numbers, strict=True):
        found.append(np.array([nats(own, own) - nats(own, moments[i]) for i in held]))
    return found
