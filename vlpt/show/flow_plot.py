"""The pictures of `evaluate.py flow`. In: its result; pictures with where a noun looked. Out: matplotlib figures.

    write_picture("flow.png", flow_figure(read_json("flow.json")))
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vlpt.parts import CROSS
from vlpt.show.plots import BLUE, FAINT, GATE_COLOURS, INK, SOFT, canvas, title

UNITS = {"token": ("words", "nats/token"), "action": ("actions", "nats/frame")}
COLUMNS = 4  # of pictures


def flow_figure(result: dict) -> Figure:
    """Gates over training, and what closing each costs words and actions."""
    rows = list(result["closed"])
    figure, axes = canvas(1, 3, 13.0, 1.4 + 0.42 * len(rows))
    gates_panel(axes[0, 0], result["history"])
    for ax, loss in zip(axes[0, 1:], UNITS, strict=True):
        costs_panel(ax, {name: result["closed"][name][loss] for name in rows}, named=loss == "token")
        name, unit = UNITS[loss]
        title(ax, f"closing costs {name}", f"{unit}; 95 % interval")
    return figure


def gates_panel(ax, history: Sequence[dict]) -> None:
    """Every gate over the stages that led to a run: attention gates drawn through, feed-forward gates dashed."""
    offset = 0
    for stage in history:
        steps = np.array(stage["steps"])
        for name, values in stage["gates"].items():
            direction, _, gate = name.partition(".")
            if gate:
                ax.plot(steps + offset, values, color=GATE_COLOURS[direction], linewidth=1.4,
                        linestyle="-" if gate.endswith("attention_gate") else (0, (3, 2)))  # fmt: skip
        ax.annotate(stage["run"], (offset, 1), (3, -10), xycoords=("data", "axes fraction"),
                    textcoords="offset points", fontsize=8, color=SOFT)  # fmt: skip
        offset += int(steps[-1]) if len(steps) else 0
        ax.axvline(offset, color=FAINT, linewidth=0.8)
    ax.axhline(0, color=SOFT, linewidth=0.8)
    for x, direction in zip((0.0, 0.5), CROSS, strict=True):  # beneath the axis: a gate may be anywhere in it
        ax.annotate(direction.replace("_", " "), (x, 0), (0, -26), xycoords="axes fraction",
                    textcoords="offset points", fontsize=8, color=GATE_COLOURS[direction])  # fmt: skip
    title(ax, "gates over training", "tanh; dashed: feed-forward")


def costs_panel(ax, costs: dict[str, dict], named: bool) -> None:
    """A row a gate, or gates that are closed together."""
    ax.axvline(0, color=SOFT, linewidth=1)
    for y, found in enumerate(costs.values()):
        if found["delta"] is None:
            continue
        clear = found["low"] is not None and (found["low"] > 0 or found["high"] < 0)
        if found["low"] is not None:
            ax.plot([found["low"], found["high"]], [y, y], color=BLUE if clear else SOFT, linewidth=2)
        ax.plot(found["delta"], y, "D", color=BLUE if clear else SOFT, markersize=5)
    ax.set_yticks(range(len(costs)), [name.replace("_", " ") for name in costs] if named else [""] * len(costs))
    ax.set_ylim(len(costs) - 0.4, -0.6)
    ax.locator_params(axis="x", nbins=4)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)


def places_figure(shown: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """shown: (said, picture (px, px, 3) uint8, (side, side) attention): each picture, darker where it is not looked at;
    beneath it how much of all attention goes to it.
    """
    rows = -(-len(shown) // COLUMNS)
    figure, axes = canvas(rows, COLUMNS, 9.6, 2.6 * rows)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (said, picture, attention) in zip(axes.flat, shown, strict=False):
        side, px = len(attention), len(picture)
        light = attention / max(float(attention.max()), 1e-12)
        ax.imshow(picture, extent=(0, px, px, 0))
        ax.imshow(np.zeros((side, side)), cmap="gray", extent=(0, px, px, 0), alpha=0.75 * (1 - light))
        for row, column in np.ndindex(side, side):
            place = (column + 0.5) * px / side, (row + 0.5) * px / side
            ax.text(*place, f"{100 * attention[row, column]:.1f}", ha="center", va="center", fontsize=6, color="white")
        ax.set_title(said, loc="left", fontsize=10, fontweight="bold", color=INK)
        ax.set_title(f"{100 * attention.sum():.0f} % of its attention", loc="right", fontsize=8, color=SOFT)
    return figure
