"""The picture of `evaluate.py steering`. In: its JSON. Out: a matplotlib figure.

    write_picture("runs/demo/steering.png", steering_figure(read_json("runs/demo/steering.json")))

On the left, of each instruction: how often it is done by the first agent after being told this, something else and
nothing, and by agents that hear nothing; on the right what being told adds, in the mean, by condition.
"""

import numpy as np
from matplotlib.figure import Figure

from vlpt.show.plots import AMBER, BLUE, FAINT, GREEN, INK, SOFT, canvas, title

SHOWN = (("told", BLUE), ("otherwise", SOFT), ("untold", FAINT))


def steering_figure(result: dict) -> Figure:
    """Bars with 95 % intervals, and one difference a condition."""
    found = result["steering"]
    names = [name for name in found if name not in ("all", "above_zero")]
    deaf = {agent: one for agent, one in result["conditions"].items() if one["all"]["told"] is None and one != found}
    told = {agent: one for agent, one in result["conditions"].items() if agent not in deaf}
    figure, axes = canvas(1, 2, 11.6, 1.4 + 0.42 * len(names))
    bars_panel(axes[0, 0], names, found, deaf)
    title(axes[0, 0], "done after being told", f"share of {result['arenas']} arenas; 95 % interval")
    difference_panel(axes[0, 1], names, told)
    title(axes[0, 1], "told - told something else", "95 % t interval over arenas")
    return figure


def bars_panel(ax, names: list[str], found: dict, deaf: dict[str, dict]) -> None:
    """A group of bars an instruction; agents that hear nothing as marks."""
    height = 0.26
    for i, (key, colour) in enumerate(SHOWN):
        known = [(y + (i - 1) * height, found[name]) for y, name in enumerate(names) if found[name][key] is not None]
        ax.barh([y for y, _ in known], [row[key] for _, row in known], height, color=colour, label=key)
        for y, row in known:
            if row[f"{key}_low"] is not None:
                ax.plot([row[f"{key}_low"], row[f"{key}_high"]], [y, y], color=INK, linewidth=0.9)
    for (agent, one), marker, colour in zip(deaf.items(), ("D", "o"), (AMBER, GREEN), strict=False):
        known = [(y, one[name]["untold"]) for y, name in enumerate(names) if one[name]["untold"] is not None]
        ax.plot([share for _, share in known], [y for y, _ in known], marker, color=colour, markersize=4, label=agent)
    _rows(ax, names)
    ax.set_xlim(0, 1.02)
    ax.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=5, labelcolor=INK)


def difference_panel(ax, names: list[str], conditions: dict[str, dict]) -> None:
    """A row an instruction and one for all, of each condition in which something was told."""
    ax.axvline(0, color=SOFT, linewidth=1)
    rows, colours = ["all", *names], (BLUE, AMBER, GREEN, INK)
    offsets = 0.18 * (np.arange(len(conditions)) - (len(conditions) - 1) / 2)
    for i, (agent, found) in enumerate(conditions.items()):
        known = [(y + offsets[i], found[name]) for y, name in enumerate(rows) if found[name]["low"] is not None]
        colour = colours[i % len(colours)]
        ax.plot([row["delta"] for _, row in known], [y for y, _ in known], "D", color=colour, markersize=4, label=agent)
        for y, row in known:
            ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.6, alpha=0.6)
    _rows(ax, rows)
    ax.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=4, labelcolor=INK)


def _rows(ax, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
