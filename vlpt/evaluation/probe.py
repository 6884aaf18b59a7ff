"""What of the world can be read off what the cross attentions read? Linear probes, fitted on some channels of play and
tested on others.

In: an agent (a run or a folder of weights, joined or not), shards, and what is in view in each tick as the world knows
it: `<id>.view.jsonl.gz` of `python -m data_gathering.view`. Out: a table, and JSON with the same.

    evaluate.py probe --model pretrained/base --shards data/6_shards --views data_gathering/samples --out probe.json

Questions, each a logistic regression: is a pillar or a flower of a colour, anything of a colour, a tree in the left,
middle, right third of the picture; is that tool in the hand. Asked of:

    pixels    the picture averaged to 16 x 16: what needs no network
    vector    the trunk's vector of a frame
    patches   its patch features, by place
    both      vector and patches: all that words can ask of one frame

A thing counts as there where it covers `least_share` of the picture in that third; a tick where it covers less than
that, but something, is left out of the question. Reported: the area under the ROC curve (Hanley & McNeil 1982; 0.5:
nothing), for every question that has enough ticks of both answers in both parts of the channels, and its mean; and R²
of the distance of the nearest thing in view, metres, by ridge regression. The strength of the L2 penalty is chosen for
each reading by the last quarter of the episodes that are fitted on.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from tqdm import tqdm

from vlpt.checkpoint import model_folder, model_kind
from vlpt.data.lanes import split
from vlpt.data.shards import Episode, Shards
from vlpt.data.trunk_features import cache_features
from vlpt.data.views import Line, answers, nearest_m, read_view
from vlpt.files import check_writable, write_json
from vlpt.model import VLPT
from vlpt.options import Count, Device, PositiveShare, pick_device, run, to_dict
from vpt.policy import Policy

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # of the data against the penalty: scikit-learn's C
RIDGE = tuple(10.0**i for i in range(1, 7))  # penalties of the ridge regression
PIXELS = 16
THINGS = ("pillar", "flower", "tree")  # groups of questions that the mean is taken of


@dataclass(frozen=True)
class Options:
    """Measures what of the world can be read off an agent's features."""

    model: str = "pretrained/base"  # a run, or a folder with a model: an agent, alone or joined with words
    shards: str = "data/6_shards"  # LeRobotDataset folder
    views: str = "data_gathering/samples"  # folder of <id>.view.jsonl.gz, what is in view
    channels: tuple[str, ...] = ()  # that probes are fitted on; all that are not held out where none is named
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels that probes are tested on
    every: Count = 2  # use every so many lines of the files of what is in view
    least_share: PositiveShare = 0.001  # of the picture that a thing must cover to be there
    least_ticks: Count = 20  # with and without a thing, in both parts, for a question to be asked
    out: str = ""  # JSON file to write; none if empty
    device: Device = "auto"  # where the network runs


@dataclass(frozen=True, eq=False)
class Ticks:
    """The ticks of some episodes, N in all: what was read in each, and what was true."""

    readings: dict[str, np.ndarray]  # name: (N, features) float32
    views: list[Line]  # N
    episode: np.ndarray  # (N,) int

    def __len__(self) -> int:
        return len(self.views)


Reader = Callable[[Episode, int, int], np.ndarray]  # as Shards.read_frames


def readings(policy: Policy, shards: Shards, features: Reader, episode: Episode, frames: np.ndarray) -> dict:
    """{name: (n, features) float32}: what an agent has of the frames (n,) of an episode."""
    rows = features(episode, 0, episode.n_frames)[frames].astype(np.float32)
    pictures = np.concatenate([shards.read_frames(episode, frame, frame + 1) for frame in frames]).astype(np.float32)
    side = pictures.shape[1] // PIXELS
    pixels = pictures.reshape(len(frames), PIXELS, side, PIXELS, side, 3).mean((2, 4)).reshape(len(frames), -1)
    width = policy.config.width
    return {"pixels": pixels, "vector": rows[:, :width], "patches": rows[:, policy.config.vector_width :], "both": rows}


def read_ticks(
    policy: Policy, shards: Shards, features: Reader, episodes: Sequence[Episode], options: Options
) -> Ticks:
    """Readings and truth of the ticks of some episodes."""
    found, views, numbers = [], [], []
    for number, episode in enumerate(tqdm(episodes, "read", unit="episode")):
        lines = read_view(options.views, episode)[:: options.every]
        found.append(readings(policy, shards, features, episode, np.array([line.frame for line in lines])))
        views += lines
        numbers += [number] * len(lines)
    together = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return Ticks(together, views, np.array(numbers))


# ---- probes


class Standard:
    """Numbers of mean 0 and variance 1 on what is fitted, turned so that there are never more than ticks: the penalty
    does not see a rotation."""

    def __init__(self, x: np.ndarray) -> None:
        self.mean, self.scale = x.mean(0), x.std(0) + 1e-6
        self.axes = np.linalg.svd(self._scaled(x), full_matrices=False)[2].T if x.shape[1] > len(x) else None

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.scale

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self._scaled(x) if self.axes is None else self._scaled(x) @ self.axes


def auc(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], strength: float) -> float:
    """Of a logistic regression on (features (n, f), answers (n,)); nan where a part has only one answer."""
    (x, y), (u, v) = ((features[~np.isnan(said)], said[~np.isnan(said)]) for features, said in (train, test))
    if len(set(y)) < 2 or len(set(v)) < 2:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of a weight do not change an order
        fitted = LogisticRegression(C=strength, max_iter=100, tol=1e-3).fit(x, y)
    return float(roc_auc_score(v, fitted.decision_function(u)))


def mean_auc(x: np.ndarray, u: np.ndarray, asked: Sequence[tuple[np.ndarray, np.ndarray]], strength: float) -> float:
    """Over questions, (answers for x, answers for u) each; those of one answer left out."""
    every = [auc((x, y), (u, v), strength) for y, v in asked]
    return float(np.nanmean(every)) if not np.isnan(every).all() else float("nan")


def probe(name: str, train: Ticks, test: Ticks, asked: dict, distance: tuple[np.ndarray, np.ndarray]) -> dict:
    """One reading: AUC of every question ({question: (group, train answers, test answers)}), means, R² of distance
    (metres in train, in test)."""
    x, u = train.readings[name], test.readings[name]
    early = train.episode < np.ceil(0.75 * (train.episode.max() + 1))
    turn = Standard(x[early])
    before, after = turn(x[early]), turn(x[~early])
    strength = best(STRENGTHS, [mean_auc(before, after, [(y[early], y[~early]) for _, y, _ in asked.values()], c)
                                for c in STRENGTHS])  # fmt: skip
    metres = distance[0]
    penalty = best(RIDGE, [distance_r2((before, metres[early]), (after, metres[~early]), c) for c in RIDGE])
    turn = Standard(x)
    before, after = turn(x), turn(u)
    found = {question: auc((before, y), (after, v), strength) for question, (_, y, v) in asked.items()}
    groups = {group: float(np.mean([found[question] for question in asked if asked[question][0] == group]))
              for group in sorted({group for group, _, _ in asked.values()})}  # fmt: skip
    things = [found[question] for question in asked if asked[question][0] in THINGS]
    return {"features": x.shape[1], "mean_auc": float(np.mean(things)), "groups": groups, "strength": strength,
            "distance_r2": distance_r2((before, metres), (after, distance[1]), penalty), "auc": found}  # fmt: skip


def best(choices: Sequence[float], values: Sequence[float | None]) -> float:
    """The choice of the largest value; the middle one where none has a value."""
    numbers = np.array(values, float)
    return choices[len(choices) // 2 if np.isnan(numbers).all() else int(np.nanargmax(numbers))]


def distance_r2(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], penalty: float
) -> float | None:
    """R² on (features, metres) of a ridge regression; None where too little is in view to fit or to test."""
    (x, y), (u, v) = ((features[~np.isnan(metres)], metres[~np.isnan(metres)]) for features, metres in (train, test))
    if len(y) < 2 or len(v) < 2:
        return None
    return float(r2_score(v, Ridge(penalty).fit(x, y).predict(u)))


# ---- the program


def load_policy(path: str) -> Policy:
    """The agent of a run or a folder, alone or joined."""
    folder = model_folder(path)
    return VLPT.from_pretrained(folder).policy if model_kind(folder) == "VLPT" else Policy.from_pretrained(folder)


def choose_episodes(options: Options, shards: Shards) -> tuple[list[Episode], list[Episode]]:
    """Episodes to fit on and to test on. Raises ValueError where a channel is in both, or missing."""
    train, test = split(shards.episodes, options.held_out)
    if both := sorted(set(options.channels) & set(options.held_out)):
        raise ValueError(f"--channels and --held-out both name {', '.join(both)}: a probe is tested on other channels")
    if unknown := sorted(set(options.channels) - {episode.channel for episode in train}):
        raise ValueError(f"{options.shards} has no channel {', '.join(unknown)}: leave it out of --channels")
    train = [episode for episode in train if not options.channels or episode.channel in options.channels]
    if not test or len(train) < 2:
        raise ValueError(f"a probe wants two episodes to fit on and one to test on, got {len(train)} and {len(test)}: "
                         "name fewer --held-out, or more --channels")
    return train, test


def ask(train: Ticks, test: Ticks, options: Options) -> tuple[dict, list[str]]:
    """{question: (group, train answers, test answers)} of those that have enough ticks, and those that have not."""
    asked, left_out = {}, []
    every = {question: (group, y) for group, question, y in answers(train.views + test.views, options.least_share)}
    for question, (group, y) in every.items():
        parts = y[: len(train)], y[len(train) :]
        fewest = min((part == said).sum() for part in parts for said in (0, 1))
        if fewest >= options.least_ticks:
            asked[question] = (group, *parts)
        else:
            left_out.append(question)
    if not {group for group, _, _ in asked.values()} & set(THINGS):
        raise ValueError(f"no thing is there in {options.least_ticks} ticks and not there in as many, in both parts: "
                         "lower --least-ticks, or take more episodes")
    return asked, left_out


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    shards, device = Shards(options.shards), pick_device(options.device)
    episodes = choose_episodes(options, shards)
    for episode in sum(episodes, []):  # before minutes of work
        read_view(options.views, episode)
    policy = load_policy(options.model).to(device)
    features = cache_features(policy, shards, sum(episodes, []), device=device)
    train, test = (read_ticks(policy, shards, features, part, options) for part in episodes)
    asked, left_out = ask(train, test, options)
    distance = tuple(nearest_m(part.views, options.least_share) for part in (train, test))
    found = {name: probe(name, train, test, asked, distance)
             for name in tqdm(train.readings, "probe", unit="reading")}  # fmt: skip
    yes = {question: [int((y == 1).sum()), int((v == 1).sum())] for question, (_, y, v) in asked.items()}
    result = {"readings": found, "questions": len(asked), "left_out": left_out, "yes": yes,
              "ticks": {"train": len(train), "test": len(test)}, "options": to_dict(options)}  # fmt: skip
    if options.out:
        write_json(options.out, result)
    print(table(result))
    return result


def table(result: dict) -> str:
    """A line a reading."""
    groups = sorted({group for one in result["readings"].values() for group in one["groups"]})
    lines = ["reading   features  mean AUC  " + "  ".join(f"{group:>6}" for group in groups) + "  distance R²"]
    for name, one in result["readings"].items():
        means = "  ".join(f"{one['groups'][group]:6.3f}" for group in groups)
        r2 = "none" if one["distance_r2"] is None else f"{one['distance_r2']:.3f}"
        lines.append(f"{name:8}  {one['features']:8d}  {one['mean_auc']:8.3f}  {means}  {r2:>11}")
    said = f"{result['questions']} questions ({len(result['left_out'])} with too few ticks left out), "
    said += f"{result['ticks']['test']} held-out ticks; mean AUC: of pillars, flowers, trees by side"
    return "\n".join([*lines, said])


if __name__ == "__main__":
    run(main, Options)
