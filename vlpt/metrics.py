"""Statistics over episodes: paired differences with bootstrap confidence intervals, t intervals over few arenas.

In: one number an episode under two conditions, in the same order. Out: mean difference and its 95 % interval.
Episodes are the unit that is resampled, because frames of one episode are not independent.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import bootstrap, t


@dataclass(frozen=True)
class Difference:
    """Mean of (other - true) over episodes, in the unit of its inputs; positive = the true signal helps."""

    delta: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain numbers, for JSON."""
        return asdict(self)


def paired_difference(true: np.ndarray, other: np.ndarray, resamples: int = 10_000, confidence: float = 0.95,
                      seed: int = 0) -> Difference:
    """Paired percentile bootstrap (Efron & Tibshirani 1993, ch. 13) of mean(other - true).

    true, other: (episodes,) float, the same episodes in the same order; pairs with a NaN (an episode without any spoken
    token, say) are left out. Raises ValueError when fewer than two pairs remain.
    """
    true, other = np.asarray(true, float), np.asarray(other, float)
    if true.shape != other.shape:
        raise ValueError(f"paired values need one shape, got {true.shape} and {other.shape}")
    differences = (other - true)[np.isfinite(true) & np.isfinite(other)]
    if len(differences) < 2:
        raise ValueError(f"a confidence interval needs at least 2 episodes, got {len(differences)}")
    low, high = bootstrap((differences,), np.mean, n_resamples=resamples, confidence_level=confidence,
                          method="percentile", rng=np.random.default_rng(seed)).confidence_interval  # fmt: skip
    return Difference(float(differences.mean()), float(low), float(high))


def interval(found: dict[str, float]) -> str:
    """A difference and its interval as text: found as `Difference.to_dict` gives it."""
    return f"{found['delta']:+z.4f} [{found['low']:+z.4f}, {found['high']:+z.4f}]"


def t_interval(differences: np.ndarray, confidence: float = 0.95) -> Difference:
    """Student's t interval of the mean of differences (n,), one a unit (an arena, a channel).

    Raises ValueError for fewer than two.
    """
    differences = np.asarray(differences, float)
    if len(differences) < 2:
        raise ValueError(f"a confidence interval needs at least 2 units, got {len(differences)}")
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    half = float(t.ppf(0.5 + confidence / 2, len(differences) - 1)) * error
    return Difference(mean, mean - half, mean + half)
