"""Numbers of episodes of channels, as mean + what the channel adds + what the episode adds: how large both are, and
draws of such numbers.

In: one number an episode, and each one's channel. Out: variances by analysis of variance (Searle, Casella & McCulloch
1992, ch. 3.6), and arrays of numbers whose truth is known, for simulations of what is done with them.

    found = estimate(differences, channels)                  # .mean, .channel, .episode, .correlation
    values = draw(random, "normal", found.correlation, 1000, channels=8, episodes=3)     # (1000, 8, 3)
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import chi2

Sampler = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

# Mean 0 and variance 1 each.
SHAPES: dict[str, Sampler] = {
    "normal": lambda random, size: random.standard_normal(size),
    "heavy tails": lambda random, size: random.standard_t(3, size) / 3**0.5,
    "skewed": lambda random, size: random.standard_exponential(size) - 1.0,
}


@dataclass(frozen=True)
class TwoLevels:
    """What a number of an episode is made of, in the squared unit of the numbers."""

    mean: float  # over channels
    channel: float  # variance of what channels add
    episode: float  # variance of what episodes add
    channels: int
    episodes: float  # a channel, harmonic mean

    @property
    def correlation(self) -> float:
        """Of two episodes of one channel, in 0..1: the channels' part of the variance."""
        total = self.channel + self.episode
        return self.channel / total if total else 0.0

    def of_channel_mean(self, episodes: float) -> float:
        """Variance of the mean of so many episodes of a channel."""
        return self.channel + self.episode / episodes

    def cautious(self, level: float) -> "TwoLevels":
        """The same with a channel variance that makes the variance of channel means as large as its upper one-sided
        limit at `level`: few channels tell little of how much channels differ.
        """
        freedom = self.channels - 1
        limit = self.of_channel_mean(self.episodes) * freedom / chi2.ppf(1 - level, freedom)
        return TwoLevels(self.mean, limit - self.episode / self.episodes, self.episode, self.channels, self.episodes)

    def to_dict(self) -> dict[str, float]:
        """Plain numbers, for JSON."""
        return asdict(self) | {"correlation": self.correlation}


def estimate(values: Sequence[float], channels: Sequence[str]) -> TwoLevels:
    """values (n,), channels (n,); values that are nan are left out. A variance that comes out below 0 is 0. Raises
    ValueError for fewer than two channels, or where no channel has two episodes.
    """
    each: dict[str, list[float]] = {}
    for value, channel in zip(values, channels, strict=True):
        if np.isfinite(value):
            each.setdefault(channel, []).append(float(value))
    groups = [np.array(one) for one in each.values()]
    sizes = np.array([len(one) for one in groups])
    if len(groups) < 2 or sizes.max() < 2:
        raise ValueError("variances of channels and episodes need two channels, and two episodes in one of them; got "
                         f"{dict(zip(each, sizes.tolist(), strict=True))} episodes")  # fmt: skip
    means = np.array([one.mean() for one in groups])
    within = sum(((one - one.mean()) ** 2).sum() for one in groups) / (sizes.sum() - len(groups))
    between = (sizes * (means - np.concatenate(groups).mean()) ** 2).sum() / (len(groups) - 1)
    typical = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
    channel = max(0.0, float(between - within) / float(typical))
    return TwoLevels(float(means.mean()), channel, float(within), len(groups), float(len(sizes) / (1 / sizes).sum()))


def draw(
    random: np.random.Generator, shape: str, correlation: float, count: int, channels: int, episodes: int
) -> np.ndarray:
    """(count, channels, episodes) float: mean 0, variance 1; shape: of what both channels and episodes add."""
    sampler = SHAPES[shape]
    of_channels = correlation**0.5 * sampler(random, (count, channels, 1))
    return of_channels + (1 - correlation) ** 0.5 * sampler(random, (count, channels, episodes))
