"""What the instruments say of data in which there is nothing to find: their p-values must be uniform.

In: how alike the episodes of a channel are. Out: a row an instrument, {"instrument", "p_values", "ks", "below"}: ks is
the p-value of a Kolmogorov-Smirnov test of all its p-values against a uniform distribution, below the share of them
under 0.05.

    rows = null_rows(correlation=0.3, draws=1000, seed=0)

Every draw goes through the instrument's own functions, from what a model would have given (losses of two conditions
that are the same; nats of pairs whose sign is a matter of chance; what an agent does that heeds nobody) to the
interval; a p-value is read off the interval. One row is there to be found out: episodes taken as if each were a
channel.

That a model whose gates are closed has a dependence of exactly 0, and ties every pair, is a matter of tests:
tests/vlpt/test_evaluate.py, test_matching.py, test_flow.py.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import kstest, t

from vlpt.evaluation.coverage import CONTROL
from vlpt.evaluation.matching import right
from vlpt.evaluation.obedience import Lives, compare
from vlpt.evaluation.permuted import Claim, against_others
from vlpt.evaluation.shares import shares_by_kind
from vlpt.evaluation.two_levels import draw
from vlpt.metrics import paired_difference, t_interval

CHANNELS, EPISODES = 8, 3
MOMENTS, PAIRS = 6, 4  # announcements in an episode, and what each is held against
ARENAS, INSTRUCTIONS = 12, 6
TICKS, TOPICS, LASTS, MOST_CLAIMS = 200, 3, 20, 12  # of a life; how long a topic stays true, on the mean
PERMUTATIONS = 99
ANYWAY = 2, 4  # of the beta distribution of how often something is done in an arena whatever is said
LEVEL = 0.05
LEAST_KS = 0.01  # below which p-values are not uniform

Instrument = Callable[[np.random.Generator, float], float]  # (random, correlation) -> p-value


def p_value(mean: float, low: float, high: float, units: int, nothing: float = 0.0) -> float:
    """Two-sided, off a 95 % t interval over so many units, one end of which may have been cut."""
    error = max(high - mean, mean - low) / t.ppf(0.975, units - 1)
    return float(2 * t.sf(abs(mean - nothing) / error, units - 1)) if error > 0 else 1.0


def of_differences(random: np.random.Generator, correlation: float) -> float:
    """As dependence, worth and what closing gates costs: a condition against itself."""
    true, other = draw(random, "normal", correlation, 2, CHANNELS, EPISODES)
    found = paired_difference(true.ravel(), other.ravel(), _channels(EPISODES))
    return p_value(found.delta, found.low, found.high, CHANNELS)


def of_episodes(random: np.random.Generator, correlation: float) -> float:
    """The same, each episode being taken for a unit."""
    true, other = draw(random, "normal", correlation, 2, CHANNELS, EPISODES)
    found = t_interval((other - true).ravel())
    return p_value(found.delta, found.low, found.high, CHANNELS * EPISODES)


def of_pairs(random: np.random.Generator, correlation: float) -> float:
    """As matching: what decides a pair is shared in part by a channel's episodes, and of either sign."""
    shared = draw(random, "normal", correlation, 1, CHANNELS, EPISODES)[0].ravel()
    nats = np.repeat(shared, MOMENTS)[:, None] + random.standard_normal((len(shared) * MOMENTS, PAIRS))
    channels, count = _channels(EPISODES * MOMENTS), CHANNELS * EPISODES
    found = shares_by_kind([right(one) for one in nats], ["any"] * len(nats), channels,
                           np.repeat(np.arange(count), MOMENTS).tolist())["all"]  # fmt: skip
    return p_value(found["share"], found["low"], found["high"], CHANNELS, nothing=0.5)


def of_lives(random: np.random.Generator, correlation: float) -> float:
    """As steering, of all instructions together: arenas differ in what is done there, and nobody is heeded."""
    names, anyway = [f"do {i}" for i in range(INSTRUCTIONS)], random.beta(*ANYWAY, (ARENAS, INSTRUCTIONS))
    rows = [{"arena": arena, "told": told, "before": "",
             "when": {name: 0 if done else None for name, done in
                      zip(names, random.random(INSTRUCTIONS) < anyway[arena], strict=True)}}
            for arena in range(ARENAS) for told in ("", *names)]  # fmt: skip
    found = compare(Lives(rows, range(ARENAS), dict.fromkeys(names, 1)), {})["all"]
    return p_value(found["delta"], found["low"], found["high"], ARENAS)


def of_talk(random: np.random.Generator, correlation: float) -> float:
    """As saying: what is said in a life is said at any time; how much of a life is true of a topic differs."""
    changes = random.random((TOPICS, CHANNELS, TICKS)) < 1 / LASTS
    stretch = changes.cumsum(2)
    drawn = random.random((TOPICS, CHANNELS, TICKS)) < random.beta(2, 2, (TOPICS, CHANNELS, 1))
    true = np.take_along_axis(drawn, stretch, 2).astype(int)  # one draw a stretch
    claims = [Claim(life, int(random.integers(TICKS)), int(random.integers(TOPICS)))
              for life in range(CHANNELS) for _ in range(random.integers(1, MOST_CLAIMS))]  # fmt: skip
    return against_others(claims, lambda topic, life: true[topic, life], _channels(1), PERMUTATIONS,
                          int(random.integers(2**31)))["p"]  # fmt: skip


def _channels(each: int) -> list[int]:
    return np.repeat(np.arange(CHANNELS), each).tolist()


INSTRUMENTS: dict[str, Instrument] = {
    "differences over channels (dependence, worth, flow)": of_differences,
    "shares over channels (matching)": of_pairs,
    "told against otherwise over arenas (steering)": of_lives,
    "talk against permuted talk (saying)": of_talk,
    "episodes as units" + CONTROL: of_episodes,
}


def null_rows(correlation: float, draws: int, seed: int) -> list[dict]:
    """A row an instrument; see the top of the file."""
    rows = []
    for name, instrument in INSTRUMENTS.items():
        random = np.random.default_rng(seed)
        found = np.array([instrument(random, correlation) for _ in range(draws)])
        rows.append({"instrument": name, "p_values": found.round(4).tolist(),
                     "ks": float(kstest(found, "uniform").pvalue), "below": float((found < LEVEL).mean()),
                     "error": (LEVEL * (1 - LEVEL) / draws) ** 0.5})  # fmt: skip
    return rows
