"""Differences and their intervals: the channel is the unit, then the episode.

Run: pytest tests/vlpt/test_metrics.py
"""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from vlpt.evaluation.shares import share
from vlpt.metrics import interval, over_channels, paired_difference


def test_channels_are_the_unit_however_many_episodes_each_has():
    """Six episodes of one channel count as one of another: the interval is that of the channels' means."""
    other = np.array([1.0, 1.2, 0.8, 1.0, 1.1, 0.9, 3.0, 5.0, np.nan])
    found = paired_difference(np.zeros(9), other, [*"aaaaaabcd"])
    expected = ttest_1samp([1.0, 3.0, 5.0], 0).confidence_interval(0.95)
    assert found.delta == pytest.approx(3) and (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.channels == 3 and found.episodes == 8  # the nan is left out
    assert set(found.to_dict()) == {"delta", "low", "high", "channels", "episodes"}


def test_of_one_channel_the_episodes_are_drawn_and_two_that_differ_tell_little():
    random, channels = np.random.default_rng(0), [*"aaaabbbb"]
    apart = paired_difference(np.zeros(8), np.repeat([0.0, 1.0], 4) + random.normal(0, 0.01, 8), channels)
    assert apart.low < -5 and apart.high > 6 and apart.delta == pytest.approx(0.5, abs=0.02) and apart.channels == 2
    alone = paired_difference(np.zeros(8), random.normal(0.5, 0.1, 8), [*"aaaaaaaa"])
    assert 0.3 < alone.low < alone.delta < alone.high < 0.7 and alone.channels == 1


def test_the_interval_of_a_share_is_the_same_one():
    right, channels, episodes = [0.2, 0.4, 0.9, 0.5, 0.6, 0.7], [*"aabbcc"], range(6)
    found, same = share(right, channels, episodes), over_channels(right, channels, episodes)
    assert (found["share"], found["low"], found["high"]) == (same.delta, max(0, same.low), min(1, same.high))


def test_what_has_no_interval_says_so():
    one = over_channels([0.25, 0.75], ["a", "a"], [3, 3])
    assert one.to_dict() == {"delta": 0.5, "low": None, "high": None, "channels": 1, "episodes": 1}
    nothing = over_channels([np.nan], ["a"], [0])
    assert nothing.delta is None and nothing.channels == 0
    assert interval(one.to_dict()) == "+0.5000" and interval(nothing.to_dict()) == "none"
    assert interval(dict(delta=0.5, low=-0.00001, high=1.0)) == "+0.5000 [+0.0000, +1.0000]"
    with pytest.raises(ValueError, match="at least 2 episodes, got 1"):
        paired_difference(np.zeros(2), np.array([1, np.nan]), ["a", "b"])
    with pytest.raises(ValueError, match=r"one shape, got \(2,\), \(2,\) and 3 channels"):
        paired_difference(np.zeros(2), np.zeros(2), ["a", "b", "c"])


@pytest.mark.parametrize("channels", [4, 8, 12])
def test_the_interval_covers_where_channels_differ(channels):
    """DESIGN §9: 93 % of the time or more, at the sizes that are used (an interval over episodes: about 70 %)."""
    random, hits, of = np.random.default_rng(channels), 0, 600
    names = np.repeat(np.arange(channels), 3).tolist()
    for _ in range(of):
        values = np.repeat(random.normal(0.5, 1.0, channels), 3) + random.normal(0, 0.5, 3 * channels)
        found = paired_difference(np.zeros(len(values)), values, names)
        hits += found.low <= 0.5 <= found.high
    assert hits / of > 0.93
