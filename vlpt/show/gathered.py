"""Pictures of data on its way from a site to shards. In: plain rows and arrays. Out: matplotlib figures.

    videos_figure({"found": 9, "kept": 8}, {"short": 1}); frames_figure([("a video", pictures)])
    words_figure(found, true, 0, 12); keys_figure(labelled, true, BUTTONS)
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vlpt.data.words import Word
from vlpt.show.plots import AMBER, BLUE, INK, SOFT, canvas, title
from vpt.frames import FRAMES_PER_SECOND


def videos_figure(after: Mapping[str, int], dropped_by: Mapping[str, int]) -> Figure:
    """How many videos there are after each program, and which rules dropped the others."""
    figure, ((left, right),) = canvas(1, 2, 10, 2.4)
    for ax, counts, text, colour in ((left, after, "Videos after each program", BLUE),
                                     (right, dropped_by, "Dropped, by rule", AMBER)):  # fmt: skip
        counts = {name: count for name, count in counts.items() if count}
        ax.barh(list(counts), list(counts.values()), color=colour, height=0.6)
        ax.invert_yaxis()
        ax.grid(visible=False)
        ax.set_xticks([])
        if not counts:
            ax.set_yticks([])
        title(ax, text, "" if counts else "none")
        for row, count in enumerate(counts.values()):
            ax.text(count, row, f" {count}", va="center", fontsize=8, color=SOFT)
    return figure


def frames_figure(rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> Figure:
    """A row of pictures (H, W, 3) for each title."""
    figure, axes = canvas(len(rows), max(len(pictures) for _, pictures in rows), 12, 1.7 * len(rows))
    for line, (text, pictures) in zip(axes, rows, strict=True):
        for ax in line:
            ax.set_axis_off()
        for ax, rgb in zip(line, pictures, strict=False):
            ax.imshow(rgb)
        title(line[0], text)
    return figure


def words_figure(found: Sequence[Word], true: Sequence[Word], start_s: float, stop_s: float) -> Figure:
    """Words as they were found (above) and truly said (below), on a line of time."""
    figure, ((ax,),) = canvas(1, 1, 12, 1.8)
    for height, words, colour in ((1, found, BLUE), (0, true, SOFT)):
        inside = [word for word in words if start_s * 1000 <= word.start_ms < stop_s * 1000]
        spans = [(word.start_ms / 1000, (word.end_ms - word.start_ms) / 1000) for word in inside]
        ax.broken_barh(spans, (height, 0.4), color=colour, alpha=0.35)
        for word, (begin, _) in zip(inside, spans, strict=True):
            ax.text(begin, height + 0.45, word.word, fontsize=8, color=INK, rotation=25)
    ax.set(xlim=(start_s, stop_s), ylim=(-0.1, 2.1), yticks=[0.2, 1.2], yticklabels=["said", "found"])
    ax.grid(visible=False)
    title(ax, "Words", "seconds")
    return figure


def keys_figure(labelled: np.ndarray, true: np.ndarray, names: Sequence[str]) -> Figure:
    """Buttons (N, K) 0/1 of a video as labelled and as truly pressed: only in truth, only in the labels, in both."""
    used = np.flatnonzero((labelled | true).any(0))
    state = np.where(labelled[:, used] & true[:, used], 3, labelled[:, used] * 2 + true[:, used]).T
    colours = np.array([(255, 255, 255), (217, 130, 10), (196, 60, 60), (42, 111, 219)], np.uint8)
    figure, ((ax,),) = canvas(1, 1, 12, 0.28 * len(used) + 0.9)
    seconds = len(true) / FRAMES_PER_SECOND
    ax.imshow(colours[state], aspect="auto", interpolation="nearest", extent=(0, seconds, len(used) - 0.5, -0.5))
    ax.set(yticks=range(len(used)), yticklabels=[names[i] for i in used])
    ax.grid(visible=False)
    title(ax, "Keys: blue right, amber missed, red in vain", "seconds")
    return figure
