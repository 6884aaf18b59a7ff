"""The picture of `evaluate.py trust`. In: its result. Out: a matplotlib figure.

    write_picture("trust.png", trust_figure(read_json("trust.json")))
"""

import numpy as np
from matplotlib.figure import Figure

from vlpt.show.plots import AMBER, BLUE, FAINT, GREEN, INK, SOFT, canvas, title

WORLD_COLOURS = {"as measured": BLUE, "channels differ": AMBER, "heavy tails": GREEN, "skewed": INK,
                 "often done": BLUE, "seldom done": AMBER}  # fmt: skip
EPISODES = 4  # a channel, of the power that is drawn
MOST_CURVES = 6


def trust_figure(result: dict) -> Figure:
    """Coverage of every interval; p-values where there is no effect; power over channels."""
    names = list(dict.fromkeys((row["interval"], row["size"]) for row in result["coverage"]))
    figure, axes = canvas(1, 3, 15.0, max(4.5, 0.8 + 0.2 * len(names)))
    coverage_panel(axes[0, 0], result["coverage"], names)
    null_panel(axes[0, 1], result["null"])
    power_panel(axes[0, 2], result)
    return figure


def coverage_panel(ax, rows: list[dict], names: list[tuple[str, str]]) -> None:
    """A line an interval and size."""
    ax.axvline(0.95, color=SOFT, linewidth=1)
    ax.axvline(0.93, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    for world, colour in WORLD_COLOURS.items():
        shown = [row for row in rows if row["world"] == world]
        if shown:
            y = [names.index((row["interval"], row["size"])) for row in shown]
            ax.errorbar([row["coverage"] for row in shown], y, xerr=[2 * row["error"] for row in shown], fmt="o",
                        color=colour, markersize=3.5, linewidth=1.0, alpha=0.85, label=world)  # fmt: skip
    ax.set_yticks(range(len(names)), [f"{name}, {size}" for name, size in names], fontsize=6.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=6, labelcolor=INK)
    title(ax, "coverage of 95 % intervals", "± 2 errors")


def null_panel(ax, rows: list[dict]) -> None:
    """Sorted p-values against those of a uniform distribution."""
    ax.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    for row, colour in zip(rows, (BLUE, GREEN, AMBER, INK, SOFT), strict=False):
        values = np.sort(row["p_values"])
        ax.plot(np.linspace(0, 1, len(values)), values, color=colour, linewidth=1.5, label=row["instrument"])
    ax.set_xlabel("share of draws", fontsize=8, color=SOFT)
    ax.legend(fontsize=7, frameon=False, loc="upper left", labelcolor=INK)
    title(ax, "p-values where there is no effect")


def power_panel(ax, result: dict) -> None:
    """Over channels of EPISODES episodes: of the measured effect drawn through, of half of it dashed."""
    curves = {name: [row for row in rows if row["episodes"] == EPISODES] for name, rows in result["power"].items()}
    strongest = sorted(curves, key=lambda name: -sum(curves[name][0]["power"]))[:MOST_CURVES]
    colours = (BLUE, AMBER, GREEN, INK, "#8b3fb0", SOFT)
    for name, colour in zip(strongest, colours, strict=False):
        for row in curves[name]:
            whole = row["part"] == 1
            ax.plot(result["channels"], row["power"], color=colour, linewidth=1.5, label=name if whole else None,
                    linestyle="-" if whole else (0, (3, 2)))  # fmt: skip
    ax.axhline(0.8, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    ax.set_xscale("log", base=2)
    ax.set_xticks(result["channels"], [str(channels) for channels in result["channels"]])
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(f"channels of {EPISODES} episodes", fontsize=8, color=SOFT)
    if strongest:
        ax.legend(fontsize=7, frameon=False, loc="lower right", labelcolor=INK)
    title(ax, "power", "dashed: half as large")
