"""The picture of `evaluate.py interventions`: what each change costs, of all and at each moment of an errand.

In: the program's result. Out: a matplotlib figure.

    write_picture("runs/demo/interventions.png", interventions_figure(read_json("runs/demo/interventions.json")))
"""

from matplotlib.figure import Figure

from vlpt.evaluation.errand_times import MOMENTS
from vlpt.show.plots import BLUE, FAINT, INK, SOFT, canvas, title

TITLES = {"words": ("words are …", "nats/frame"), "frames": ("film is …", "nats/token")}


def interventions_figure(result: dict) -> Figure:
    """Words above, film below; a column for all, and one a moment, with how many frames, or tokens, it has."""
    columns, heights = ("all", *MOMENTS), [len(result[signal]) for signal in TITLES]
    figure, axes = canvas(2, len(columns), 15, 1.6 + 0.28 * sum(heights))
    axes[0, 0].get_gridspec().set_height_ratios(heights)
    for line, (signal, (name, unit)) in zip(axes, TITLES.items(), strict=True):
        rows = result[signal]
        for ax, moment in zip(line, columns, strict=True):
            found = [row["all"] if moment == "all" else row["by_moment"][moment] for row in rows.values()]
            costs_panel(ax, found)
            title(ax, name if moment == "all" else moment, unit if moment == "all" else f"{found[0]['count']}")
        line[0].set_yticks(range(len(rows)), list(rows), color=INK)
        limits = [ax.get_xlim() for ax in line if len(ax.lines) > 1]  # one scale, so that moments can be compared
        for ax in line:
            ax.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure


def costs_panel(ax, found: list[dict]) -> None:
    """A row a difference with its interval; blue where 0 is outside it."""
    ax.axvline(0, color=SOFT, linewidth=1)
    for y, row in enumerate(found):
        if row["delta"] is None:
            continue
        clear = row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
        colour = BLUE if clear else SOFT
        if row["low"] is not None:
            ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2, solid_capstyle="round")
        ax.plot(row["delta"], y, "D", color=colour, markersize=4.5)
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_yticks([])
    ax.grid(False, axis="y")
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="x", labelsize=7)
