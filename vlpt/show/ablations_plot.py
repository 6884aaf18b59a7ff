"""The picture of ablations.py: what each change costs, by stage, with its interval.

In: the program's result. Out: a matplotlib figure.

    write_picture("runs/ablations/ablations.png", ablations_figure(read_json("runs/ablations/ablations.json")))
"""

from matplotlib.figure import Figure

from vlpt.evaluation.ablations import LOSS, NAMES, UNIT
from vlpt.show.plots import BLUE, FAINT, INK, SOFT, canvas, title


def ablations_figure(result: dict) -> Figure:
    """A panel a stage, a row a variant; right of 0 the reference is better, left of it the variant."""
    panels = {stage: [row for row in result["rows"] if row["stage"] == stage and row["difference"]] for stage in NAMES}
    figure, axes = canvas(1, len(panels), 13, 1.4 + 0.3 * max(1, *map(len, panels.values())))
    for ax, (stage, found) in zip(axes[0], panels.items(), strict=True):
        differences_panel(ax, found)
        title(ax, f"{NAMES[stage]}, minus reference", f"{UNIT[LOSS[stage]]}; 95 %, channels; one seed")
    return figure


def differences_panel(ax, found: list[dict]) -> None:
    """Blue where 0 is outside the interval; beside each its seconds of training and milliseconds a played frame."""
    ax.axvline(0, color=SOFT, linewidth=1)
    for y, row in enumerate(found):
        one = row["difference"]
        clear = one["low"] is not None and (one["low"] > 0 or one["high"] < 0)
        colour = BLUE if clear else SOFT
        if one["low"] is not None:
            ax.plot([one["low"], one["high"]], [y, y], color=colour, linewidth=2, solid_capstyle="round")
        ax.plot(one["delta"], y, "D", color=colour, markersize=4.5)
        ax.annotate(f"{row['seconds']:.0f} s, {row['frame_ms']:.0f} ms", (1, y), (4, 0), va="center", fontsize=7,
                    xycoords=("axes fraction", "data"), textcoords="offset points", color=SOFT)  # fmt: skip
    ax.set_yticks(range(len(found)), [row["name"] for row in found], color=INK)
    ax.set_ylim(max(len(found), 1) - 0.5, -0.5)
    ax.grid(False, axis="y")
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
