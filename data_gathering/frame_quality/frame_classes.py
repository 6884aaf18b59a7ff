"""Is a picture clean play, play with things laid over it, or something else? A support vector machine, calibrated.

In: vectors of pictures (frame_vectors.py), their classes, groups that must not be torn apart (channel
and scene) and domains (channels). Out: for each picture the probability of each class.

One machine a class against the rest (Cortes & Vapnik 1995) gives three scores. What a score means changes with the look
of a game: on a map never seen, a threshold that was right elsewhere may flag every clean picture. So scores of one
domain are read together (`probabilities`): each class is a Gaussian in the space of scores, as found on groups held
out, and a domain moves all of them by one shift, which is drawn towards 0 as strongly as the domains that are known
agree, and which pictures whose class is known pin down. Expectation maximisation (Dempster et al. 1977).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.metrics import precision_recall_curve, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from data_gathering.frame_quality.verdicts import CLASSES
from vlpt.files import whole_file
from vpt.files import is_there

FOLDS = 5
A_VIDEO_COUNTS = 4.0  # pictures: those of one video are alike, so that sixteen of them say less than sixteen
ROUNDS = 30
COST = 4.0


@dataclass(frozen=True)
class Machine:
    """One class against the rest: K(x, support) @ weights + bias, with K(a, b) = exp(-gamma |a - b|^2)."""

    support: np.ndarray  # (S, D) float32
    weights: np.ndarray  # (S,)
    bias: float
    gamma: float

    @classmethod
    def fit(cls, vectors: np.ndarray, belongs: np.ndarray) -> Machine:
        fitted = SVC(C=COST, class_weight="balanced").fit(vectors, belongs)
        return cls(fitted.support_vectors_.astype(np.float32), fitted.dual_coef_[0], float(fitted.intercept_[0]),
                   float(fitted._gamma))  # fmt: skip

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        squares = (vectors**2).sum(1)[:, None] + (self.support**2).sum(1) - 2 * vectors @ self.support.T
        return np.exp(-self.gamma * np.maximum(squares, 0)) @ self.weights + self.bias


@dataclass(frozen=True)
class FrameClasses:
    """Fitted machines and what their scores mean."""

    key: str  # of the vectors
    mean: np.ndarray  # (D,) of the vectors
    deviation: np.ndarray  # (D,)
    machines: tuple[Machine, ...]  # one a class
    centres: np.ndarray  # (3, 3) mean scores of each class on groups held out
    spread: np.ndarray  # (3, 3) covariance of scores within class and domain
    shift: np.ndarray  # (3, 3) covariance of the domains' shifts

    @classmethod
    def fit(
        cls, key: str, vectors: np.ndarray, labels: Sequence[str], groups: Sequence[str], domains: Sequence[str]
    ) -> tuple[FrameClasses, np.ndarray]:
        """Also returns the scores (N, 3) that each picture has from machines that never saw its group.

        Raises ValueError where there are too few groups of a class.
        """
        classes = np.array([CLASSES.index(label) for label in labels])
        groups, domains = np.asarray(groups), np.asarray(domains)
        for i, name in enumerate(CLASSES):
            if (here := len(set(groups[classes == i]))) < 2:
                raise ValueError(f"{here} group{'s' * (here != 1)} (channel and scene) labelled {name}: label pictures "
                                 "of at least two of each class")  # fmt: skip
        held_out = np.zeros((len(vectors), len(CLASSES)))
        for train, test in folds(classes, groups):
            scaler, machines = fit_machines(vectors[train], classes[train])
            held_out[test] = scores_of(machines, scaler.transform(vectors[test]).astype(np.float32))
        scaler, machines = fit_machines(vectors, classes)
        made = cls(key, scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32), machines,
                   *describe(held_out, classes, domains))  # fmt: skip
        return made, held_out

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """vectors (N, D) -> (N, 3). Raises ValueError where they are of another network."""
        if vectors.shape[1] != len(self.mean):
            raise ValueError(f"vectors have {vectors.shape[1]} numbers, the model was fitted on {len(self.mean)}")
        return scores_of(self.machines, ((vectors - self.mean) / self.deviation).astype(np.float32))

    def probabilities(
        self, scores: np.ndarray, videos: Sequence[str], known: dict[str, str] | None = None, adapt: bool = True
    ) -> np.ndarray:
        """Of pictures of one domain: scores (N, 3), the video of each, and labels of videos where they are known.

        Returns (N, 3), rows that sum to 1. adapt: whether the domain may shift.
        """
        names, video = np.unique(np.asarray(videos), return_inverse=True)
        weight = A_VIDEO_COUNTS / np.bincount(video)[video].clip(A_VIDEO_COUNTS)
        fixed = np.full(len(scores), -1)
        for name, label in (known or {}).items():
            fixed[video == np.flatnonzero(names == name)[:1]] = CLASSES.index(label)
        precision, shift, shares = np.linalg.inv(self.spread), np.zeros(len(CLASSES)), np.ones(len(CLASSES)) / 3
        for _ in range(ROUNDS if adapt else 1):
            away = scores[:, None] - self.centres - shift
            log_p = np.log(shares) - 0.5 * np.einsum("nci,ij,ncj->nc", away, precision, away)
            belongs = np.exp(log_p - log_p.max(1, keepdims=True))
            belongs /= belongs.sum(1, keepdims=True)
            free, belongs = belongs, np.where(fixed[:, None] < 0, belongs, np.eye(len(CLASSES))[fixed])
            if adapt:
                weighted = belongs * weight[:, None]
                rest = np.einsum("nc,nci->i", weighted, scores[:, None] - self.centres)
                shift = np.linalg.solve(np.linalg.inv(self.shift) + weighted.sum() * precision, precision @ rest)
                shares = (weighted.sum(0) + 1) / (weighted.sum() + len(CLASSES))
        return free

    def save(self, folder: Path | str) -> None:
        """Numbers and a description, whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in ("mean", "deviation", "centres", "spread", "shift")}
        for name, machine in zip(CLASSES, self.machines, strict=True):
            arrays |= {f"{name}.support": machine.support, f"{name}.weights": machine.weights,
                       f"{name}.bias_gamma": np.array([machine.bias, machine.gamma])}  # fmt: skip
        with whole_file(folder / "model.safetensors") as unfinished:
            save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, unfinished, {"key": self.key})

    @classmethod
    def load(cls, folder: Path | str) -> FrameClasses:
        """Raises ValueError naming the file that is missing or broken."""
        path = Path(folder) / "model.safetensors"
        if not is_there(path):
            raise ValueError(f"{path} is missing: fit a model with data_gathering.clean --fit")
        try:
            arrays = load_file(path)
            with open(path, "rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            machines = tuple(
                Machine(arrays[f"{name}.support"], arrays[f"{name}.weights"], *map(float, arrays[f"{name}.bias_gamma"]))
                for name in CLASSES
            )
            parts = (arrays[name] for name in ("mean", "deviation"))
            shape = (arrays[name] for name in ("centres", "spread", "shift"))
            return cls(header["__metadata__"]["key"], *parts, machines, *shape)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no model of ours ({error}): make it with data_gathering.clean --fit") from None


def folds(classes: np.ndarray, groups: np.ndarray):
    """Splits (train, test) that tear no group apart; as many as the rarest class has groups, five at most."""
    fewest = min(len(set(groups[classes == c])) for c in set(classes))
    return StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=0).split(classes, classes, groups)


def fit_machines(vectors: np.ndarray, classes: np.ndarray) -> tuple[StandardScaler, tuple[Machine, ...]]:
    scaler = StandardScaler().fit(vectors)
    scaled = scaler.transform(vectors).astype(np.float32)
    return scaler, tuple(Machine.fit(scaled, classes == i) for i in range(len(CLASSES)))


def scores_of(machines: tuple[Machine, ...], scaled: np.ndarray) -> np.ndarray:
    return np.stack([machine(scaled) for machine in machines], axis=1)


def describe(scores: np.ndarray, classes: np.ndarray, domains: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of the classes, covariance within class and domain, covariance of the domains' shifts."""
    centres = np.stack([scores[classes == i].mean(0) for i in range(len(CLASSES))])
    away = scores - centres[classes]
    shifts = np.stack([away[domains == name].mean(0) for name in sorted(set(domains))])
    inner = np.concatenate([away[domains == name] - shifts[i] for i, name in enumerate(sorted(set(domains)))])
    small = 1e-3 * np.eye(len(CLASSES))
    between = shifts.T @ shifts / len(shifts)
    return centres, np.cov(inner.T) + small, 0.5 * between + 0.5 * np.diag(np.diag(between)) + small


def report(probabilities: np.ndarray, labels: Sequence[str], recall: float = 0.9) -> dict[str, tuple[float, float]]:
    """Of each class against the rest: area under the ROC curve, and the precision where so much is recalled."""
    found = {}
    for i, name in enumerate(CLASSES):
        belongs = np.array([label == name for label in labels])
        precision, recalled, _ = precision_recall_curve(belongs, probabilities[:, i])
        found[name] = float(roc_auc_score(belongs, probabilities[:, i])), float(precision[recalled >= recall].max())
    return found
