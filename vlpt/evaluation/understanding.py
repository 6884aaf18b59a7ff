"""Which kind of errand begins now? A linear probe on what frames may ask of words, and on the words themselves.

In: a fused agent, shards whose episodes hold errands, the held-out channels. Out: a table, a picture, and JSON with the
same. At the first frame of each errand that somebody told is read

    states        the language model's states that frames may ask (Memory.words): their mean over the last seconds, and
                  the latest one
    bag of words  how often each word was said in the last seconds, as a reference: what a reader of text has

and a logistic regression, fitted on the training channels, says which kind of errand it is. Its penalty is chosen on
their last quarter. The commonest kind's share is what knowing nothing gives. A kind that is told fewer than --least
times in the training channels is left out, in both parts, and counted. 95 % intervals over channels (shares.py).

    python evaluate.py understanding --model runs/demo/joint --held-out ch4 ch5 --out runs/demo/understanding.json
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from vlpt.data.shards import Episode
from vlpt.data.trunk_features import cache_features
from vlpt.evaluation.moments import (
    Announcement,
    Track,
    find_announcements,
    fused_trial,
    in_frames,
    memories,
    training_episodes,
)
from vlpt.evaluation.probe import STRENGTHS, Standard, best
from vlpt.evaluation.shares import shares_by_kind, written
from vlpt.evaluation.trial import Trial, TrialOptions
from vlpt.files import check_writable
from vlpt.memory import Memory
from vlpt.options import Count, Positive, run, to_dict
from vlpt.show.plots import check_out, understanding_figure, write_result
from vpt.frames import FRAME_MS


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions):
    """Measures whether a fused agent's words say which kind of errand begins."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    seconds: Positive = 4.0  # of words before an errand's first frame that are read
    least: Count = 5  # times that a kind of errand must be told in the training channels
    out: str = ""  # JSON file to write, and a picture beside it; none if empty

    def __post_init__(self) -> None:
        check_out(self.out)


@dataclass(frozen=True, eq=False)
class Examples:
    """The announcements of some episodes, n in all, and what was read at the first frame of each one's errand."""

    tracks: list[Track]
    told: list[Announcement]
    untold: int
    states: np.ndarray  # (n, 2 E) float32
    said: list[list[str]]  # n: the words of the last seconds

    @property
    def kinds(self) -> np.ndarray:
        """(n,) the kind of each errand."""
        return np.array([one.kind for one in self.told])

    @property
    def episode(self) -> np.ndarray:
        """(n,) number of each one's episode."""
        return np.array([one.track for one in self.told])

    def of_kinds(self, kinds: Sequence[str]) -> "Examples":
        """Those of the kinds alone."""
        kept = np.flatnonzero(np.isin(self.kinds, kinds))
        return Examples(self.tracks, [self.told[i] for i in kept], self.untold, self.states[kept],
                        [self.said[i] for i in kept])  # fmt: skip


# ---- what is read


def states(memory: Memory, seconds: float) -> np.ndarray:
    """memory of one lane -> (2 E,) float32: mean of the states of the last seconds, and the latest; 0 for none."""
    words = memory.words
    recent = words.mask[0] & (words.age_frames[0] < in_frames(seconds))
    content = words.content[0][recent].float()  # oldest first
    if not len(content):
        return np.zeros(2 * words.content.shape[2], np.float32)
    return torch.cat([content.mean(0), content[-1]]).cpu().numpy()


def last_words(episode: Episode, frame: int, seconds: float) -> list[str]:
    """The words that began in the seconds before a frame."""
    end_ms = frame * FRAME_MS
    begin_ms = end_ms - in_frames(seconds) * FRAME_MS
    return [word.word.lower() for word in episode.words if begin_ms <= word.start_ms < end_ms]


@torch.no_grad()
def read(trial: Trial, episodes: Sequence[Episode], seconds: float) -> Examples:
    """Every announcement of some episodes. Raises ValueError where there is none."""
    tracks = [Track(episode, trial) for episode in episodes]
    told, untold = find_announcements(tracks)
    features = cache_features(trial.model.policy, trial.shards, episodes, device=trial.device)
    stops = [[one.start_frame + 1 for one in told if one.track == number] for number in range(len(tracks))]
    found = {(number, stop): states(memory, seconds)
             for number, stop, memory in tqdm(memories(trial, tracks, features, stops), "read", len(told),
                                              unit="errand")}  # fmt: skip
    said = [last_words(tracks[one.track].episode, one.start_frame, seconds) for one in told]
    return Examples(tracks, told, untold, np.stack([found[one.track, one.start_frame + 1] for one in told]), said)


def bags(said: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> np.ndarray:
    """(n, words) float32: how often each word of the vocabulary is there."""
    column = {word: i for i, word in enumerate(vocabulary)}
    found = np.zeros((len(said), len(vocabulary)), np.float32)
    for row, words in zip(found, said, strict=True):
        for word in words:
            if word in column:
                row[column[word]] += 1
    return found


# ---- the probe


def guess(x: np.ndarray, y: np.ndarray, u: np.ndarray, strength: float) -> np.ndarray:
    """Fitted on x (n, f) and kinds y (n,): the kinds (m,) of u (m, f); the commonest where there is nothing to fit."""
    if len(set(y)) < 2 or not x.shape[1]:
        return np.full(len(u), Counter(y.tolist()).most_common(1)[0][0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of a weight change no guess
        return LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(x, y).predict(u)


def probe(train: Examples, test: Examples, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, float]:
    """x (n, f) of train, u (m, f) of test -> (m,) bool, whether the kind is told right; and the penalty's strength."""
    early = train.episode < np.ceil(0.75 * (train.episode.max() + 1))
    strength = STRENGTHS[len(STRENGTHS) // 2]
    if early.any() and not early.all():
        turn, kinds = Standard(x[early]), train.kinds
        before, after = turn(x[early]), turn(x[~early])
        strength = best(STRENGTHS, [(guess(before, kinds[early], after, c) == kinds[~early]).mean()
                                    for c in STRENGTHS])  # fmt: skip
    turn = Standard(x)
    return guess(turn(x), train.kinds, turn(u), strength) == test.kinds, strength


def shares(right: np.ndarray, test: Examples, seed: int) -> dict[str, dict]:
    """right (m,) -> the share of "all" and of each kind."""
    channels = [test.tracks[one.track].episode.channel for one in test.told]
    return shares_by_kind(right.tolist(), test.kinds.tolist(), channels, test.episode.tolist(), seed)


# ---- the program


def choose(train: Examples, test: Examples, least: int) -> tuple[Examples, Examples, dict[str, list[int]]]:
    """The examples of kinds told often enough, and {kind: [in training, held out]} of the others. Raises ValueError
    where nothing is left.
    """
    count, asked = Counter(train.kinds.tolist()), Counter(test.kinds.tolist())
    kinds = [kind for kind, n in count.items() if n >= least]
    left_out = {kind: [count[kind], asked[kind]] for kind in sorted({*count, *asked} - {*kinds})}
    if len(kinds) < 2 or not {*kinds} & {*asked}:
        raise ValueError(f"{len(kinds)} kinds of errand are told {least} times in the training channels, and some of "
                         "them in the held-out ones: two or more are needed; lower --least, or take more episodes")
    return train.of_kinds(kinds), test.of_kinds(kinds), left_out


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    trial = fused_trial(options)
    parts = (read(trial, episodes, options.seconds) for episodes in (training_episodes(trial), trial.episodes))
    train, test, left_out = choose(*parts, options.least)
    vocabulary = sorted({word for words in train.said for word in words})
    readings = {"states": (train.states, test.states),
                "bag of words": tuple(bags(part.said, vocabulary) for part in (train, test))}  # fmt: skip
    found = {}
    for name, (x, u) in readings.items():
        right, strength = probe(train, test, x, u)
        found[name] = {**shares(right, test, options.seed), "features": x.shape[1], "strength": strength}
    commonest = Counter(train.kinds.tolist()).most_common(1)[0][0]
    result = {"readings": found, "left_out": left_out, "untold_errands": [train.untold, test.untold],
              "commonest": {"kind": commonest, **shares(test.kinds == commonest, test, options.seed)["all"]},
              "errands": {"train": len(train.told), "test": len(test.told)},
              "episodes": [episode.id for episode in trial.episodes], "options": to_dict(options)}  # fmt: skip
    write_result(options.out, result, understanding_figure)
    print(table(result))
    return result


def table(result: dict) -> str:
    """A line a reading, and of each kind what each reading tells."""
    lines = ["share of errands whose kind is told right, 95 % interval over channels"]
    for name, found in result["readings"].items():
        lines.append(f"{name:14}  {written(found['all']):22}  {found['features']} features")
    commonest = result["commonest"]
    lines.append(f"{'commonest kind':14}  {written(commonest):22}  {commonest['kind']}")
    first, second = (found["kinds"] for found in result["readings"].values())
    lines += [f"  {kind:12}  {written(first[kind]):22}  {written(second[kind]):22}  {first[kind]['count']} errands"
              for kind in first]  # fmt: skip
    left_out = ", ".join(f"{kind} ({n} and {m})" for kind, (n, m) in result["left_out"].items()) or "none"
    said = f"{result['errands']['train']} errands to learn from, {result['errands']['test']} held out; "
    return "\n".join([*lines, f"{said}kinds left out (in training, held out): {left_out}"])


if __name__ == "__main__":
    run(main, Options)
