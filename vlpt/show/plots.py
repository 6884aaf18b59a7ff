"""The pictures of the report and of main.ipynb. In: what vlpt/show/results.py reads. Out: matplotlib figures.

    losses_figure(results.runs); gates_figure(results.runs); dependence_figure(results.evaluation, results.worth)
    buttons_figure(results.idm); camera_figure(results.idm)
    write_picture("runs/demo/matching.png", matching_figure(read_json("runs/demo/matching.json")))
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vlpt.files import whole_file, write_json
from vlpt.show.results import RunRecord, episode_differences, worth_differences
from vpt.actions import MINECRAFT
from vpt.scores import Scores

INK, SOFT, FAINT, BLUE, AMBER = "#1d2430", "#69717f", "#dfe3e8", "#2a6fdb", "#d9820a"
GREEN = "#17794a"
GATE_COLOURS = {"words_ask_frames": BLUE, "frames_ask_words": AMBER}

# (run, loss, title, unit)
LOSSES = (
    ("base", "action", "base, alone: actions", "nats/frame"),
    ("words", "token", "words, alone: tokens", "nats/token"),
    ("language", "token", "language: tokens", "nats/token"),
    ("language", "silence", "language: silence", "nats/tick"),
    ("action", "action", "action: actions", "nats/frame"),
    ("joint", "action", "joint: actions", "nats/frame"),
    ("joint", "token", "joint: tokens", "nats/token"),
    ("without_words", "action", "without words: actions", "nats/frame"),
    ("without_frames", "token", "without frames: tokens", "nats/token"),
    ("oracle", "action", "oracle control: actions", "nats/frame"),
    ("shuffled", "action", "shuffled control: actions", "nats/frame"),
)
DEPENDENCE = {
    "words": ("another episode's words", "nats/frame"), "silence": ("silence instead of words", "nats/frame"),
    "frames": ("another episode's frames", "nats/token"),
    "oracle": ("oracle: words that name actions", "nats/frame"),
    "shuffled": ("shuffled: trained on strangers' words", "nats/frame"),
}
WORTH = {"words": ("words", "nats/frame"), "frames": ("frames", "nats/token")}
# Constant predictions, and the two models without each other: colour, and where the name stands (x, offset, side).
BASELINES = {"unigram": (AMBER, (1, 3, "right")), "alone": (GREEN, (0, -10, "left"))}


def canvas(rows: int, columns: int, width: float, height: float):
    """A light figure and its axes (rows, columns), spines off; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.1, wspace=0.03)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.tick_params(colors=SOFT, labelsize=8, length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines["bottom"].set_color(FAINT)
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def title(ax, text: str, unit: str = "") -> None:
    """Left-aligned, with the unit in grey."""
    ax.set_title(text, loc="left", fontsize=10, fontweight="bold", color=INK)
    if unit:
        ax.set_title(unit, loc="right", fontsize=8, color=SOFT)


def smooth(values: np.ndarray, most: int = 40) -> np.ndarray:
    """A running mean over a tenth of the run, shorter at its ends."""
    width = max(1, min(most, len(values) // 10))
    total = np.cumsum(np.insert(values, 0, 0.0))
    low, high = np.maximum(np.arange(len(values)) - width // 2, 0), np.minimum(np.arange(len(values)) + width // 2 + 1,
                                                                               len(values))
    return (total[high] - total[low]) / (high - low)


def losses_figure(runs: dict[str, RunRecord]) -> Figure:
    """Each stage's losses over its steps: training, held-out channels, and the baselines that they must beat."""
    shown = [row for row in LOSSES if row[0] in runs and len(runs[row[0]].series(row[1])[0])]
    columns = min(3, max(1, len(shown)))
    figure, axes = canvas(-(-len(shown) // columns) or 1, columns, 9.6, 2.3 * (-(-len(shown) // columns) or 1))
    for ax in axes.flat[len(shown):]:
        ax.set_axis_off()
    for ax, (run, loss, name, unit) in zip(axes.flat, shown, strict=False):
        loss_panel(ax, runs[run], loss)
        title(ax, name, unit)
    return figure


def loss_panel(ax, run: RunRecord, loss: str) -> None:
    """One loss of one run."""
    steps, values = run.series(loss)
    ax.plot(steps, values, color=BLUE, alpha=0.18, linewidth=0.8)
    ax.plot(steps, smooth(values), color=BLUE, alpha=0.55, linewidth=1.4, label="training")
    known = {name: value for name in BASELINES if (value := run.last(f"{name}/{loss}")) is not None}
    for name, value in known.items():
        colour, (x, y, side) = BASELINES[name]
        ax.axhline(value, color=colour, linewidth=1.2, linestyle=(0, (4, 3)))
        ax.annotate(f"{name} {value:.2f}", (x, value), (0, y), xycoords=("axes fraction", "data"),
                    textcoords="offset points", ha=side, fontsize=8, color=colour)
    at, valid = run.series(f"valid/{loss}")
    if len(at):
        ax.plot(at, valid, "o-", color=INK, markersize=4, linewidth=1.4, label="held out")
        below = valid[-1] < known.get("alone", 0)
        ax.annotate(f"{valid[-1]:.2f}", (at[-1], valid[-1]), (-2, -13 if below else 5), textcoords="offset points",
                    ha="right", fontsize=9, fontweight="bold", color=INK)
    shown = np.concatenate([smooth(values), valid, list(known.values())])
    ax.set_ylim(0, 1.25 * float(shown.max()) or 1)


def gates_figure(runs: dict[str, RunRecord], threshold: float = 0.05) -> Figure:
    """How the gates open over the three stages, and in the two controls (after tanh, mean over a direction's gates)."""
    figure, axes = canvas(1, 2, 9.6, 2.9)
    offset = 0
    for stage in [name for name in ("language", "action", "joint") if name in runs]:
        last = _gate_lines(axes[0, 0], runs[stage], offset, dict.fromkeys(GATE_COLOURS, "-"))
        axes[0, 0].annotate(stage, (offset, 1), (3, -10), xycoords=("data", "axes fraction"),
                            textcoords="offset points", fontsize=8, color=SOFT)
        offset += last
        axes[0, 0].axvline(offset, color=FAINT, linewidth=0.8)
    for control, style in (("oracle", "-"), ("shuffled", (0, (4, 3)))):
        if control in runs:
            _gate_lines(axes[0, 1], runs[control], 0, {"frames_ask_words": style}, control)
    title(axes[0, 0], "language → action → joint", "mean |tanh gate|")
    title(axes[0, 1], "controls: frames ask words", "mean |tanh gate|")
    for ax in axes.flat:
        ax.axhline(threshold, color=SOFT, linewidth=0.8, linestyle=":")
        ax.set_ylim(0, max(1.3 * threshold, ax.get_ylim()[1] * 1.1))
        ax.set_xlim(0, max(1, ax.dataLim.x1) * 1.6)  # room for the names
    return figure


def _gate_lines(ax, run: RunRecord, offset: int, styles: dict, label: str = "") -> int:
    """Draws a run's gates from step `offset` on; returns its number of steps."""
    highest = max(styles, key=lambda direction: run.last(f"gate/{direction}") or 0.0)
    for direction, style in styles.items():
        steps, values = run.series(f"gate/{direction}")
        if not len(steps):
            continue
        ax.plot(steps + offset, values, color=GATE_COLOURS[direction], linestyle=style, linewidth=1.6)
        if label or run.name == "joint":
            name = label or direction.replace("_", " ")
            above = label != "shuffled" and direction == highest  # so that names of close lines stay apart
            ax.annotate(f"{name} {values[-1]:.3f}", (steps[-1] + offset, values[-1]), (5, 0), fontsize=8.5,
                        va="bottom" if above else "top", textcoords="offset points",
                        color=GATE_COLOURS[direction], fontweight="bold")
    return run.rows[-1]["step"] if run.rows else 0


def dependence_figure(evaluation: dict, worth: dict | None = None) -> Figure:
    """What the signal gives (worth, where it was measured) and what a wrong one costs: mean and 95 % interval over
    episodes, with each episode as a dot.
    """
    panels = {"worth: trained without …": worth_rows(worth)} if worth else {}
    panels |= {"dependence: given …": dependence_rows(evaluation, "words", "silence", "frames"),
               "controls": dependence_rows(evaluation, "oracle", "shuffled")}  # fmt: skip
    if "dependence_non_null" in evaluation:
        panels["dependence where something is pressed"] = dependence_rows(evaluation, "words", "silence", masked=True)
    lines = -(-len(panels) // 2)
    figure, axes = canvas(lines, 2, 9.6, 2.8 * lines)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (heading, rows) in zip(axes.flat, panels.items(), strict=False):
        forest(ax, rows)
        title(ax, heading, "nats; 95 % interval")
    return figure


Row = tuple[str, str, dict[str, float], np.ndarray]  # label, unit, interval, each episode's difference


def worth_rows(worth: dict) -> list[Row]:
    """What words and frames are worth."""
    return [(*WORTH[name], worth["worth"][name], worth_differences(worth, name)) for name in WORTH]


def dependence_rows(evaluation: dict, *names: str, masked: bool = False) -> list[Row]:
    """Those of the names that were measured; masked: over the frames where something is pressed."""
    found = evaluation["dependence_non_null" if masked else "dependence"]
    return [(*DEPENDENCE[name], found[name], episode_differences(evaluation, name, masked))
            for name in names if name in found]  # fmt: skip


def forest(ax, rows: list[Row]) -> None:
    """A row a difference; 0 is none."""
    ax.axvline(0, color=SOFT, linewidth=1)
    for y, (label, unit, found, each) in enumerate(rows):
        ax.plot(each, np.full(len(each), y + 0.17), "o", color=BLUE, alpha=0.25, markersize=3.5, markeredgewidth=0)
        clear = found["low"] > 0 or found["high"] < 0
        ax.plot([found["low"], found["high"]], [y, y], color=BLUE if clear else SOFT, linewidth=2.4,
                solid_capstyle="round")
        ax.plot(found["delta"], y, "D", color=BLUE if clear else SOFT, markersize=6)
        ax.annotate(f"{label}   {found['delta']:+z.3f} {unit}", (0, y), (0, 11), xycoords=("axes fraction", "data"),
                    textcoords="offset points", fontsize=8.5, color=INK, zorder=1,
                    bbox=dict(facecolor="white", edgecolor="none", pad=1))
    ax.set_ylim(len(rows) - 0.5, -0.85)
    ax.set_yticks([])
    ax.grid(axis="x", color=FAINT, linewidth=0.6)


def buttons_figure(scores: Scores) -> Figure:
    """Of each button that occurs: how often a press, and how often no press, is recognised."""
    rows = sorted(scores.table(), key=lambda row: -row["pressed"])
    figure, axes = canvas(1, 1, 4.8, 0.6 + 0.27 * max(1, len(rows)))
    ax, y = axes[0, 0], np.arange(len(rows))
    ax.barh(y, [row["balanced_accuracy"] for row in rows], color=BLUE, alpha=0.85, height=0.62)
    for at, row in enumerate(rows):
        ax.text(row["balanced_accuracy"] - 0.01, at, f"{row['balanced_accuracy']:.2f}", va="center", ha="right",
                fontsize=8, color="white", fontweight="bold")
        ax.text(1.02, at, f"{row['found']} of {row['pressed']}", va="center", fontsize=7.5, color=SOFT)
    ax.axvline(0.5, color=AMBER, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.set_yticks(y, [row["button"] for row in rows])
    ax.set_xlim(0, 1.0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(False)
    title(ax, "balanced accuracy", "presses found")
    return figure


def camera_figure(scores: Scores) -> Figure:
    """Confusion of the mouse's bins, both axes: rows true, columns labelled, each row adding up to 1."""
    figure, axes = canvas(1, 2, 6.6, 3.5)
    camera = MINECRAFT.camera
    degrees = [f"{angle:+.1f}" if angle else "0" for angle in camera.degrees(np.arange(camera.n_bins))]
    for ax, counts, name in zip(axes[0], scores.camera, ("pitch", "yaw"), strict=True):
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.argwhere(share >= 0.05):
            ax.text(j, i, f"{share[i, j]:.2f}".lstrip("0"), ha="center", va="center", fontsize=6,
                    color="white" if share[i, j] > 0.5 else INK)
        ax.set_xticks(range(len(degrees)), degrees, rotation=90, fontsize=6.5)
        ax.set_yticks(range(len(degrees)), degrees, fontsize=6.5)
        ax.set_xlabel("labelled, degrees a frame", fontsize=8, color=SOFT)
        ax.grid(False)
        title(ax, f"mouse {name}")
    axes[0, 0].set_ylabel("true, degrees a frame", fontsize=8, color=SOFT)
    return figure


def write_picture(path: Path | str, figure: Figure) -> None:
    """A figure as PNG, whole or not at all; its folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)


def check_out(out: str) -> None:
    """Raises ValueError where the JSON file that is asked for has its picture's name."""
    if out.endswith(".png"):
        raise ValueError(f"--out {out} is the name of the picture: name the JSON file")


def write_result(out: str, result: dict, figure: Callable[[dict], Figure]) -> None:
    """A measurement as JSON, and its figure beside it; nothing where no file is asked for."""
    if out:
        write_json(out, result)
        write_picture(Path(out).with_suffix(".png"), figure(result))


def matching_figure(result: dict) -> Figure:
    """Of `evaluate.py matching`: shares of pairs in which the true one wins, of all and by kind of errand."""
    panels = {name.replace("_", " "): result[name] for name in ("actions_from_words", "words_from_frames")}
    kinds = sorted({kind for found in panels.values() for kind in found["kinds"]})
    figure, axes = canvas(1, 2, 9.6, 1.2 + 0.36 * (1 + len(kinds)))
    for ax, (name, found) in zip(axes[0], panels.items(), strict=True):
        shown = {"model": (found, BLUE), "same kind": (found["same_kind"], SOFT), "ceiling": (found["ceiling"], GREEN)}
        share_panel(ax, ["all", *kinds], shown, 0.5)
        title(ax, name, "share of pairs; 95 % interval")
    return figure


def understanding_figure(result: dict) -> Figure:
    """Of `evaluate.py understanding`: shares of errands whose kind is told, of all and by kind."""
    first, second = result["readings"].values()
    names = dict(zip(result["readings"], ((first, BLUE), (second, AMBER)), strict=True))
    figure, axes = canvas(1, 1, 6.4, 1.2 + 0.3 * (1 + len(first["kinds"])))
    share_panel(axes[0, 0], ["all", *first["kinds"]], names, result["commonest"]["share"])
    title(axes[0, 0], "which kind of errand begins", "share right; 95 % interval")
    return figure


def sight_figure(result: dict) -> Figure:
    """Of `evaluate.py sight`: what each thing told is worth to a language model, with each episode as a dot."""
    rows = [(name, "nats/token", found, found["each"]) for name, found in result["worth"].items()]
    figure, axes = canvas(1, 1, 6.4, 0.8 + 0.5 * len(rows))
    forest(axes[0, 0], rows)
    title(axes[0, 0], "what truth tells a language model", "nats a token; 95 % interval")
    return figure


def share_panel(ax, kinds: list[str], found: dict[str, tuple[dict | None, str]], chance: float) -> None:
    """A row a kind; found: {label: ({"all", "kinds"} or None, colour)}; chance: what knowing nothing gives."""
    ax.axvline(chance, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    shown = {label: one for label, one in found.items() if one[0] is not None}
    for i, (label, (shares, colour)) in enumerate(shown.items()):
        rows = [shares["all"] if kind == "all" else shares["kinds"].get(kind) for kind in kinds]
        known = [(y + 0.26 * (i - (len(shown) - 1) / 2), row) for y, row in enumerate(rows) if row and row["count"]]
        ax.plot([row["share"] for _, row in known], [y for y, _ in known], "D", color=colour, markersize=4.5,
                label=label)  # fmt: skip
        for y, row in known:
            if row["low"] is not None:
                ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8, alpha=0.6)
    ax.set_yticks(range(len(kinds)), kinds)
    ax.set_ylim(len(kinds) - 0.4, -0.6)
    ax.set_xlim(-0.02, 1.02)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, labelcolor=INK)
