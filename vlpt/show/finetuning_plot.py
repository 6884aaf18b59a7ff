"""The picture of `evaluate.py finetuning`. In: its JSON. Out: a matplotlib figure.

    write_picture("runs/evidence/finetuning.png", finetuning_figure(read_json("runs/evidence/finetuning.json")))

A panel a number, a row a recipe: mean and 95 % interval over arenas; the grey line is the agent as it was, the green
band is people's (95 % interval over channels).
"""

from matplotlib.figure import Figure

from vlpt.show.plots import AMBER, BLUE, FAINT, GREEN, INK, SOFT, canvas, title

PANELS = {"nats": ("loss, held-out channels", "nats/frame"), "errands_a_minute": ("errands done", "a minute"),
          "nothing_pressed": ("nothing pressed", "share of frames"),
          "degrees_a_second": ("camera turns", "degrees a second"),
          "reversals_a_second": ("camera turns back", "a second"),
          "flips_a_second": ("keys go down or up", "a second")}  # fmt: skip
COLOURS = {"base": SOFT, "ours": BLUE, "published": AMBER}
COLUMNS = 3


def finetuning_figure(result: dict) -> Figure:
    """All panels; names stand on the left only."""
    names = list(result["variants"])
    figure, axes = canvas(2, COLUMNS, 12.4, 2 * (1.0 + 0.26 * len(names)))
    for i, (ax, (number, (text, unit))) in enumerate(zip(axes.flat, PANELS.items(), strict=True)):
        of = {name: one["nats"] if number == "nats" else one["numbers"].get(number)
              for name, one in result["variants"].items()}  # fmt: skip
        panel(ax, of, result["people"].get(number))
        ax.set_yticks(range(len(names)), [shown(name) for name in names] if i % COLUMNS == 0 else [""] * len(names))
        title(ax, text, unit)
    return figure


def shown(name: str) -> str:
    """A recipe's name, an ingredient that is missing as what is taken away."""
    return "  - " + name.removeprefix("published-without-").replace("-", " ") if "without" in name else name


def panel(ax, of: dict[str, dict | None], people: dict | None) -> None:
    """A row a recipe; those without a number stay empty."""
    if people and people["mean"] is not None:
        low, high = people["low"], people["high"]
        if low is not None:
            ax.axvspan(low, high, color=GREEN, alpha=0.12, linewidth=0)
        ax.axvline(people["mean"], color=GREEN, linewidth=1, label="people")
    base = of.get("base")
    if base and base["mean"] is not None:
        ax.axvline(base["mean"], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    for y, (name, one) in enumerate(of.items()):
        if one and one["mean"] is not None:
            colour = COLOURS.get(name, INK)
            ax.plot([one["mean"]], [y], "D", color=colour, markersize=4.5)
            if one.get("low") is not None:
                ax.plot([one["low"], one["high"]], [y, y], color=colour, linewidth=1.8, alpha=0.6)
    ax.set_ylim(len(of) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
