"""How often the intervals that are used here hold the truth: simulated, at the sizes at which they are used.

In: how alike the episodes of a channel are. Out: a row an interval and size, {"interval", "size", "world", "coverage",
"error"}; error: of the simulation, one standard error.

    rows = of_channels(correlation=0.3, draws=1000, seed=0) + of_arenas(draws=1000, seed=0)

Each interval is the very function that the instruments call. Two rows are there to be found out: episodes taken as if
each were a channel of its own, and lives in one arena as if each had its own. They cover too little where channels, or
arenas, differ.
"""

from collections.abc import Callable, Iterator

import numpy as np

from vlpt.evaluation import obedience
from vlpt.evaluation.two_levels import SHAPES, draw
from vlpt.metrics import over_channels, t_interval

WANTED = 0.93  # of a 95 % interval
CHANNELS, EPISODES = (12, 8, 4, 2), (10, 3, 2)
DIFFER = 0.5  # correlation of the episodes of a channel, where channels differ much
ARENAS = (40, 8, 4)
INSTRUCTIONS, LIVES = 10, 4
CONTROL = " (control)"
# Chances of what was told being done, told it and told something else, and how alike lives in an arena are.
RATES = {"often done": (0.6, 0.2), "seldom done": (0.1, 0.02)}
ALIKE = 0.2

Ends = tuple[float | None, float | None]


def over_these(values: np.ndarray, seed: int) -> Ends:
    """values (C, E), of channels -> `vlpt.metrics.over_channels`."""
    count, each = values.shape
    found = over_channels(values.ravel(), np.repeat(np.arange(count), each).tolist(), range(values.size), seed)
    return found.low, found.high


def over_episodes(values: np.ndarray, seed: int) -> Ends:
    """Student's t over episodes, whichever channel's."""
    found = t_interval(values.ravel())
    return found.low, found.high


INTERVALS: dict[str, tuple[Callable[[np.ndarray, int], Ends], tuple[int, ...]]] = {  # and numbers of channels
    "over channels": (over_these, CHANNELS),
    "over episodes" + CONTROL: (over_episodes, (8, 2)),
}


def of_channels(correlation: float, draws: int, seed: int) -> list[dict]:
    """Of means over channels; `draws` simulations a row."""
    worlds = {"as measured": ("normal", correlation), "channels differ": ("normal", DIFFER),
              **{shape: (shape, correlation) for shape in SHAPES if shape != "normal"}}  # fmt: skip
    rows = []
    for name, (interval, sizes) in INTERVALS.items():
        for channels in sizes:
            for episodes in EPISODES:
                for world, (shape, alike) in worlds.items():
                    random = np.random.default_rng((seed, channels, episodes))
                    values = draw(random, shape, alike, draws, channels, episodes)
                    ends = (interval(one, i) for i, one in enumerate(values))
                    rows.append(_row(name, f"{channels} x {episodes}", world, ends, 0.0, draws))
    return rows


def of_arenas(draws: int, seed: int) -> list[dict]:
    """Of what is done in arenas: differences, of one instruction and of the mean of ten, by t; shares by Wilson."""
    rows = []
    for world, (told, otherwise) in RATES.items():
        for arenas in ARENAS:
            random = np.random.default_rng((seed, arenas))
            for name, of in (("one instruction", lambda values: values[:, 0]),
                             ("all instructions", lambda values: values.mean(1))):  # fmt: skip
                found = (obedience.difference(of(_told_less_otherwise(random, arenas, told, otherwise)))
                         for _ in range(draws))  # fmt: skip
                ends = ((one["low"], one["high"]) for one in found)
                rows.append(_row(f"t over arenas, {name}", f"{arenas}", world, ends, told - otherwise, draws))
            for name, lives in (("Wilson, a life an arena", 1), (f"Wilson, {LIVES} lives an arena" + CONTROL, LIVES)):
                done = random.random((draws, lives, arenas)) < _rates(random, told, (draws, 1, arenas))
                found = (obedience.wilson("told", one.ravel().astype(float)) for one in done)
                ends = ((one["told_low"], one["told_high"]) for one in found)
                rows.append(_row(name, f"{arenas}", world, ends, told, draws))
    return rows


def _rates(random: np.random.Generator, rate: float, size: tuple[int, ...]) -> np.ndarray:
    """Of arenas that differ: beta distributed, so that lives in one are alike by ALIKE."""
    strength = 1 / ALIKE - 1
    return random.beta(rate * strength, (1 - rate) * strength, size)


def _told_less_otherwise(random: np.random.Generator, arenas: int, told: float, otherwise: float) -> np.ndarray:
    """(arenas, instructions) of one life an instruction in each arena, told - mean of the others."""
    size = (arenas, INSTRUCTIONS)
    done = random.random(size) < _rates(random, told, size)
    rest = random.binomial(INSTRUCTIONS - 1, _rates(random, otherwise, size)) / (INSTRUCTIONS - 1)
    return done - rest


def _row(name: str, size: str, world: str, ends: Iterator[Ends], truth: float, draws: int) -> dict:
    share = sum(low is not None and low <= truth <= high for low, high in ends) / draws
    error = max(share * (1 - share), 0.25 / draws) ** 0.5 / draws**0.5
    return {"interval": name, "size": size, "world": world, "coverage": share, "error": error}
