"""Is it done more often after being told than after being told something else, or nothing? Statistics over arenas.

In: rows of lives (told_lives.py) of one agent, how long each instruction is waited for. Out: of each instruction

    told, otherwise, untold    share of lives in which it was done after being told this, any of the others, nothing
    *_low, *_high              95 %: Wilson's interval where an arena has one life (told, untold); Student's t interval
                               over arenas, cut at 0 and 1, of the others, for the lives of one arena are no independent
                               draws
    delta, low, high           told - otherwise, Student's t interval over arenas
    against                    told - the share of agents that were told nothing, in the same arenas, likewise
    arenas                     how many count: those in which no life that is needed was lost

What there is none of is None. Those who were told this a moment before something else are not told "otherwise".
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from vlpt.metrics import t_interval

NONE = {"delta": None, "low": None, "high": None}
Rows = Sequence[Mapping]


class Lives:
    """The lives of one agent that were not lost."""

    def __init__(self, rows: Rows, arenas: Sequence[int], frames: Mapping[str, int]) -> None:
        """frames: of each instruction, for how many it is waited for."""
        self.arenas, self.frames = arenas, frames
        self.rows = {(row["arena"], row["told"]): row for row in rows if "lost" not in row}

    def done(self, arena: int, told: str, name: str) -> float:
        """1 where an instruction was done after being told one ("": nothing), 0 where not, nan where nobody knows."""
        row = self.rows.get((arena, told))
        if row is None:
            return float("nan")
        when = row["when"][name]
        return float(when is not None and when < self.frames[name])

    def told(self, name: str) -> np.ndarray:
        """(arenas,)"""
        return np.array([self.done(arena, name, name) for arena in self.arenas])

    def untold(self, name: str) -> np.ndarray:
        """(arenas,)"""
        return np.array([self.done(arena, "", name) for arena in self.arenas])

    def otherwise(self, name: str) -> np.ndarray:
        """(arenas,) the mean over what else was told."""
        return np.array([self._otherwise(arena, name) for arena in self.arenas])

    def _otherwise(self, arena: int, name: str) -> float:
        others = [told for told in self.frames if told != name and (row := self.rows.get((arena, told)))
                  and row["before"] != name]  # fmt: skip
        return float(np.mean([self.done(arena, told, name) for told in others])) if others else float("nan")


def compare(lives: Lives, others: Mapping[str, Lives]) -> dict:
    """{instruction: as above, "all": their means, "above_zero": how many have an interval above 0}. others: agents that
    are told nothing.
    """
    found, differences = {}, []
    for name in lives.frames:
        told, otherwise, untold = lives.told(name), lives.otherwise(name), lives.untold(name)
        differences.append(told - otherwise)
        against = {"untold": untold, **{other: of.untold(name) for other, of in others.items()}}
        found[name] = {
            **wilson("told", told), **over_arenas("otherwise", otherwise), **wilson("untold", untold),
            **difference(told - otherwise), "arenas": int(np.isfinite(differences[-1]).sum()),
            "against": {other: difference(told - values) for other, values in against.items()},
        }  # fmt: skip
    above = sum(row["low"] is not None and row["low"] > 0 for row in found.values())
    every = {key: mean([row[key] for row in found.values()]) for key in ("told", "otherwise", "untold")}
    everything = every | difference(mean_of_known(np.array(differences)))
    return found | {"all": everything, "above_zero": above}


def wilson(key: str, done: np.ndarray) -> dict[str, float | None]:
    """done (n,) 0, 1 or nan -> {key: share, key_low, key_high}."""
    known = done[np.isfinite(done)]
    if not len(known):
        return _named(key, None, None, None)
    ends = binomtest(int(known.sum()), len(known)).proportion_ci(0.95, method="wilson")
    return _named(key, float(known.mean()), float(ends.low), float(ends.high))


def over_arenas(key: str, shares: np.ndarray) -> dict[str, float | None]:
    """shares (n,) 0..1 or nan, one an arena -> {key: mean, key_low, key_high}."""
    found = difference(shares)
    low, high = (end if end is None else min(1.0, max(0.0, end)) for end in (found["low"], found["high"]))
    return _named(key, found["delta"], low, high)


def difference(values: np.ndarray) -> dict[str, float | None]:
    """values (n,) or nan, one an arena -> {"delta", "low", "high"}."""
    known = values[np.isfinite(values)]
    if len(known) > 1:
        return t_interval(known).to_dict()
    return NONE | ({"delta": float(known[0])} if len(known) else {})


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """values (instructions, arenas) -> (arenas,), nan where nothing is known."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(0) / known.sum(0)


def jumps(rows: Rows) -> dict[str, dict[str, float | None]]:
    """{how many were asked for: {"told": how many there were on the mean, "otherwise", "lives": told so}}."""
    found = {}
    for asked in sorted({row["jumps_asked"] for row in rows if "lost" not in row}):
        here = [row for row in rows if row.get("jumps_asked") == asked]
        counts = {kind: [row["jumps"] for row in here if row["told"] and (row["told"] == "jump") == (kind == "told")]
                  for kind in ("told", "otherwise")}  # fmt: skip
        found[str(asked)] = {kind: mean(of) for kind, of in counts.items()} | {"lives": len(counts["told"])}
    return found


def _named(key: str, share: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    return {key: share, f"{key}_low": low, f"{key}_high": high}
