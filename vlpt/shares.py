"""A share of what is right, with its interval over channels: for instruments that count hits.

In: of each example whether it was right (or how much of it), its channel and its episode. Out: share and 95 % interval.
The unit is the channel, then the episode: what one person says and does is no independent example.
"""

from collections.abc import Sequence

import numpy as np

from vlpt.metrics import t_interval

LEAST_CHANNELS = 3  # for a t interval over channels; over fewer, channels and their episodes are drawn
RESAMPLES = 10_000


def share(right: Sequence[float], channels: Sequence[str], episodes: Sequence[int], seed: int = 0) -> dict:
    """right (n,) in 0..1, channels (n,), episodes (n,) numbers -> {"share", "low", "high", "count", "channels"}.

    share: mean over channels of each one's mean over its episodes, so that who decides often counts no more. Student's
    t interval over three channels or more, else a hierarchical bootstrap (channels, then episodes in each; Davison &
    Hinkley 1997, ch. 3.8); None where a single episode leaves nothing to tell it from.
    """
    means = _episode_means(right, channels, episodes)
    found = {"share": None, "low": None, "high": None, "count": len(right), "channels": len(means)}
    if not means:
        return found
    of_channels = np.array([one.mean() for one in means])
    found["share"] = float(of_channels.mean())
    if len(means) >= LEAST_CHANNELS:
        ends = t_interval(of_channels)
        low, high = ends.low, ends.high
    elif sum(map(len, means)) > 1:
        low, high = np.percentile(_resampled(means, np.random.default_rng(seed)), [2.5, 97.5])
    else:
        return found
    return found | {"low": max(0.0, float(low)), "high": min(1.0, float(high))}


def shares_by_kind(
    right: Sequence[float], kinds: Sequence[str], channels: Sequence[str], episodes: Sequence[int], seed: int = 0
) -> dict[str, dict]:
    """As `share`, of "all" and, under "kinds", of each kind of example (n,)."""
    rows = list(zip(right, channels, episodes, kinds, strict=True))

    def of(*wanted: str) -> dict:
        chosen = [row for row in rows if row[3] in wanted]
        return share(*([row[i] for row in chosen] for i in range(3)), seed)

    each = sorted({row[3] for row in rows})
    return {"all": of(*each), "kinds": {kind: of(kind) for kind in each}}


def _episode_means(right: Sequence[float], channels: Sequence[str], episodes: Sequence[int]) -> list[np.ndarray]:
    """Of each channel, (its episodes,) mean of each."""
    each: dict[str, dict[int, list[float]]] = {}
    for value, channel, episode in zip(right, channels, episodes, strict=True):
        each.setdefault(channel, {}).setdefault(episode, []).append(float(value))
    return [np.array([np.mean(values) for values in of_channel.values()]) for of_channel in each.values()]


def _resampled(means: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """(RESAMPLES,) the share in channels drawn with replacement, and in each of these, episodes drawn likewise."""
    drawn = np.stack([random.choice(one, (RESAMPLES, len(means), len(one))).mean(2) for one in means], 2)
    which = random.integers(len(means), size=(RESAMPLES, len(means), 1))
    return np.take_along_axis(drawn, which, 2)[..., 0].mean(1)


def written(found: dict) -> str:
    """A share and its interval as text."""
    if found["share"] is None:
        return "none"
    ends = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['share']:.3f}{ends}"
