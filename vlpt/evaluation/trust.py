"""May the instruments be trusted? Simulations of what they say where the truth is known, at the sizes that are used, on
numbers that vary as the measured ones do.

In: JSON files of evaluate.py dependence, worth and flow, which hold the losses of every episode. Out: JSON, a table and
a picture:

    variances  of each measured difference, how much channels and how much episodes vary (vlpt/evaluation/two_levels.py)
    coverage   how often each interval that is used holds the truth, with the error of the simulation; marked where that
               is under 93 % by more than two errors (vlpt/evaluation/coverage.py)
    null       p-values of the instruments on data without an effect, which must be uniform (null_effects.py)
    power      how many channels, and hours, would show an effect as large as the measured one, and half as large, with
               a chance of 80 % (power.py); "cautious": were channels to vary as much as the measured ones allow

    python evaluate.py trust --evaluation runs/demo/evaluation.json runs/demo/worth.json --out runs/demo/trust.json
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlpt.evaluation import coverage
from vlpt.evaluation.null_effects import LEAST_KS, null_rows
from vlpt.evaluation.power import MOST, least_channels, power
from vlpt.evaluation.two_levels import TwoLevels, estimate
from vlpt.evaluation.worth import MATCHED
from vlpt.files import check_writable, read_json
from vlpt.options import Count, Positive, Seed, run, to_dict
from vlpt.show.plots import check_out, write_result
from vlpt.show.results import CONDITIONS
from vlpt.show.trust_plot import trust_figure

EPISODES = (2, 4, 10)  # a channel
LIMIT = 0.8  # at which the channels' variance is cautious
CURVE = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)  # channels


@dataclass(frozen=True)
class Options:
    """Simulates whether intervals, p-values and sizes of samples can be trusted."""

    evaluation: tuple[str, ...] = ("runs/demo/evaluation.json", "runs/demo/worth.json")  # what numbers vary as
    draws: Count = 1000  # simulations of every row
    episode_seconds: Positive = 50.0  # how long an episode is, for hours
    seed: Seed = 0  # of all that is drawn
    out: str = ""  # JSON file to write, and a picture beside it; none if empty

    def __post_init__(self) -> None:
        check_out(self.out)


# ---- what was measured


def measured(path: str) -> Iterator[tuple[str, np.ndarray, list[str]]]:
    """(name, (episodes,) differences with nan where an episode has none, channels) of a file. Raises ValueError where
    it holds no losses of episodes.
    """
    found = read_json(path)
    try:
        channels = found.get("channels") or [id_.rpartition("-")[0] for id_ in found["episodes"]]
        for name, true, other in _pairs(found):
            values = np.array(other, float) - np.array(true, float)
            if len(values) != len(channels):
                raise ValueError(f"{len(values)} losses of {len(channels)} episodes")
            yield name, values, channels
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} does not hold losses of episodes ({error!r}): take a file of evaluate.py dependence, "
                         "worth or flow") from error  # fmt: skip


def _pairs(found: dict) -> Iterator[tuple[str, list, list]]:
    """(name, losses with the signal, losses without it)."""
    if "conditions" in found:
        for name, (run_, own, other, loss) in CONDITIONS.items():
            yield f"dependence: {name}", *(found["conditions"][run_][condition][loss] for condition in (own, other))
    elif "closed" in found:
        for name in found["closed"]:
            for loss in ("token", "action"):
                yield f"closed: {name}: {loss}", *(found["losses"][one][loss] for one in ("open", name))
    else:
        for name, pair in MATCHED.items():
            yield f"worth: {name}", *(found["losses"][one][pair.loss] for one in (pair.run, pair.without))


def variances(paths: tuple[str, ...]) -> dict[str, TwoLevels]:
    """{difference: what it varies by}; those that are 0 in every episode are left out."""
    found = {}
    for path in paths:
        for name, values, channels in measured(path):
            if np.nanmax(np.abs(values), initial=0) > 0:
                found[name] = estimate(values, channels)
    return found


# ---- what it would take


def sizes(found: TwoLevels, episode_seconds: float) -> list[dict]:
    """A row a number of episodes in a channel and part of the measured effect: least channels, and hours."""
    rows = []
    for episodes in EPISODES:
        for part in (1.0, 0.5):
            row = {"episodes": episodes, "part": part}
            for name, one in (("channels", found), ("cautious", found.cautious(LIMIT))):
                row[name] = least_channels(part * found.mean, one.of_channel_mean(episodes))
            hours = row["channels"] and row["channels"] * episodes * episode_seconds / 3600
            curve = [power(part * found.mean, found.of_channel_mean(episodes), channels) for channels in CURVE]
            rows.append(row | {"hours": hours, "power": curve})
    return rows


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    found = variances(options.evaluation)
    alike = max((one.correlation for one in found.values()), default=0.0)
    rows = coverage.of_channels(alike, options.draws, options.seed) + coverage.of_arenas(options.draws, options.seed)
    result = {
        "variances": {name: one.to_dict() for name, one in found.items()}, "correlation": alike,
        "coverage": rows, "null": null_rows(alike, options.draws, options.seed), "channels": list(CURVE),
        "power": {name: sizes(one, options.episode_seconds) for name, one in found.items()},
        "options": to_dict(options),
    }  # fmt: skip
    write_result(options.out, result, trust_figure)
    print(table(result))
    return result


# ---- as text


def table(result: dict) -> str:
    """Coverage, null and power, one below the other."""
    return "\n\n".join(part(result) for part in (coverage_table, null_table, power_table))


def short(row: dict) -> bool:
    """Whether an interval covers less than is wanted, by more than chance."""
    return row["coverage"] + 2 * row["error"] < coverage.WANTED


def coverage_table(result: dict) -> str:
    """A line an interval and size, a column a world."""
    lines = [f"coverage of 95 % intervals, ± error of the simulation; ! under {coverage.WANTED:.0%}; episodes of a "
             f"channel correlate by {result['correlation']:.2f} as measured at most, {coverage.DIFFER} where channels "
             "differ"]  # fmt: skip
    together: dict[tuple[str, str], dict[str, dict]] = {}
    for row in result["coverage"]:
        together.setdefault((row["interval"], row["size"]), {})[row["world"]] = row
    heading: tuple[str, ...] = ()
    for (name, size), worlds in together.items():
        if tuple(worlds) != heading:
            heading = tuple(worlds)
            lines.append(f"{'interval':42}{'size':8}" + "".join(f"{world:18}" for world in heading))
        cells = (f"{row['coverage']:.3f} ± {row['error']:.3f} {'!' if short(row) else ''}" for row in worlds.values())
        lines.append(f"{name:42}{size:8}" + "".join(f"{cell:18}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)


def null_table(result: dict) -> str:
    """A line an instrument."""
    lines = ["where there is nothing to find: p-values against uniform ones (Kolmogorov-Smirnov), share under 0.05"]
    for row in result["null"]:
        says = "not uniform" if row["ks"] < LEAST_KS else "uniform"
        lines.append(f"{row['instrument']:54} p = {row['ks']:.3f} ({says}), {row['below']:.3f} ± {row['error']:.3f}")
    return "\n".join(lines)


def power_table(result: dict) -> str:
    """A line a difference and part of it: channels of four episodes."""
    episodes = EPISODES[1]
    lines = [f"channels of {episodes} episodes that would show it 8 times of 10 (hours; cautious: were channels to "
             "vary as much as the measured ones allow)",
             f"{'difference':50}{'measured':>10}{'correlation':>12}   {'as large':36}half as large"]  # fmt: skip
    for name, rows in result["power"].items():
        found = result["variances"][name]
        cells = []
        for row in (row for row in rows if row["episodes"] == episodes):
            number, cautious = (one or f"> {MOST}" for one in (row["channels"], row["cautious"]))
            hours = f"{row['hours']:.1f} h; " if row["hours"] else ""
            cells.append(f"{number} ({hours}cautious: {cautious})")
        lines.append(f"{name:50}{found['mean']:+10.4f}{found['correlation']:12.2f}   {cells[0]:36}{cells[1]}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main, Options)
