"""How much flows between words and frames, and where from: gates and attention of a fused agent.

In: a run, shards and their held-out channels, and, for the last of these, what is in view. Out: JSON, a table and
pictures (FILE.png, and FILE.places.png of some nouns over their frames):

    gates     over training, stage by stage as the logs have it, and now; after tanh (vlpt/evaluation/gates.py)
    closed    what the losses of words and of actions rise by when a gate is closed: each of every layer by itself, all
              of a direction, all; nats apiece with a 95 % interval over channels (vlpt/metrics.py)
    nouns     where a spoken noun looks, in the words that ask frames, at the tick at which it is heard: shares of its
              attention that go to patches and to the present frame; and whether it looks at what it names
              (noun_attention.py): the share of other nouns, in the same picture, and of other ticks, the same noun
              being heard, whose attention lies less in the columns of the picture where that is (chance 0.5, a tie
              counts half), with a 95 % interval over channels (vlpt/evaluation/shares.py)

    python evaluate.py flow --model runs/demo/joint --held-out ch4 ch5 --views data_gathering/samples \
        --out runs/demo/flow.json
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlpt.data.views import read_view
from vlpt.evaluation import gates
from vlpt.evaluation.moments import Track, fused_trial
from vlpt.evaluation.noun_attention import (
    OTHER_NOUN,
    OTHER_TIME,
    OWN,
    Look,
    Noun,
    attention,
    find_nouns,
    more_on_things,
)
from vlpt.evaluation.shares import shares_by_kind, written
from vlpt.evaluation.trial import Trial, TrialOptions
from vlpt.files import check_writable
from vlpt.metrics import interval
from vlpt.options import Count, run, to_dict
from vlpt.show.flow_plot import flow_figure, places_figure
from vlpt.show.plots import check_out, write_picture, write_result

SHOWN = 12  # nouns over their frames


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions):
    """Measures how much flows between words and frames of a fused agent, and where words look."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    views: str = ""  # folder of <id>.view.jsonl.gz, for what nouns look at (empty: left out)
    others: Count = 8  # nouns, and other ticks, that each noun is held against, at most
    out: str = ""  # JSON file to write, and pictures beside it; none if empty

    def __post_init__(self) -> None:
        check_out(self.out)


def read_views(trial: Trial) -> list[list]:
    """What is in view in each episode. Raises ValueError where that, or a patch to look at, is missing."""
    if not trial.model.config.patch_window:
        raise ValueError(f"words of {trial.options.model} ask no patches of frames: leave out --views")
    return [read_view(trial.options.views, episode) for episode in trial.episodes]


def of_nouns(trial: Trial, tracks: Sequence[Track], nouns: Sequence[Noun], looked: list[dict[str, list[Look]]]) -> dict:
    """{"attention": {what: shares}, "other_noun", "other_time": shares by word, "by_layer", "even"}."""

    def shares(values: Sequence[float | None]) -> dict:
        rows = [(value, noun.word, tracks[noun.track].episode.channel, noun.track)
                for value, noun in zip(values, nouns, strict=True) if value is not None]  # fmt: skip
        return shares_by_kind(*(list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 4,
                              trial.options.seed)  # fmt: skip

    own = [one[OWN][0] for one in looked]
    return {
        "attention": {"patches": shares([float(one.all_patches.mean()) for one in own]),
                      "patches_of_the_present_frame": shares([float(one.patches.sum()) for one in own]),
                      "vector_of_the_present_frame": shares([one.vector for one in own])},
        "even": {"patches": float(np.mean([one.even_all for one in own])),
                 "patches_of_the_present_frame": float(np.mean([one.even for one in own]))},
        "by_layer": np.mean([one.all_patches for one in own], 0).tolist(),
        **{than: shares([more_on_things(noun, one, than) for noun, one in zip(nouns, looked, strict=True)])
           for than in (OTHER_NOUN, OTHER_TIME)},
    }  # fmt: skip


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    trial = fused_trial(options)
    views = read_views(trial) if options.views else None  # before minutes of work
    channels = [episode.channel for episode in trial.episodes]
    as_it_is, found = gates.measure(trial)
    result = {"gates": trial.model.gates(), "history": gates.history(options.model),
              "open": {loss: as_it_is.mean(loss) for loss in gates.LOSSES},
              "closed": gates.costs(as_it_is, found, channels, options.seed), "nouns": None,
              "losses": {"open": as_it_is.to_json(), **{name: one.to_json() for name, one in found.items()}},
              "episodes": [episode.id for episode in trial.episodes], "channels": channels,
              "options": to_dict(options)}  # fmt: skip
    if views:
        tracks = [Track(episode, trial) for episode in trial.episodes]
        nouns, unseen = find_nouns(tracks, views)
        looked = attention(trial, tracks, nouns, options.others)
        result["nouns"] = of_nouns(trial, tracks, nouns, looked) | {"count": len(nouns), "not_in_view": unseen}
        if options.out:
            shown = examples(trial, tracks, nouns, looked)
            write_picture(Path(options.out).with_suffix(".places.png"), places_figure(shown))
    write_result(options.out, result, flow_figure)
    print(table(result))
    return result


def examples(trial: Trial, tracks: Sequence[Track], nouns: Sequence[Noun], looked: list[dict[str, list[Look]]]
             ) -> list[tuple[str, np.ndarray, np.ndarray]]:  # fmt: skip
    """(said, picture (128, 128, 3) uint8, (side, side) attention to its patches) of some nouns, evenly chosen."""
    shown = []
    for index in np.unique(np.linspace(0, len(nouns) - 1, SHOWN).round().astype(int)):
        noun, own = nouns[index], looked[index][OWN][0]
        side = round(len(own.patches) ** 0.5)
        picture = trial.shards.read_frames(tracks[noun.track].episode, noun.frame, noun.frame + 1)[0]
        shown.append((noun.word, picture, own.patches.reshape(side, side)))
    return shown


# ---- as text


def table(result: dict) -> str:
    """Gates and what closing them costs; where nouns look."""
    stages = ", ".join(stage["run"] for stage in result["history"]) or "no log"
    lines = [f"gates after tanh, and what closing costs, 95 % interval over channels (logs: {stages})",
             f"{'':42}{'gate':>7}  {'words, nats/token':26}  {'actions, nats/frame':26}"]  # fmt: skip
    for name, row in result["closed"].items():
        gate = f"{result['gates'][name]:+.3f}" if name in result["gates"] else ""
        lines.append(f"{name:42}{gate:>7}  " + "  ".join(f"{interval(row[loss]):26}" for loss in gates.LOSSES))
    nouns = result["nouns"]
    if nouns:
        lines.append(f"{nouns['count']} spoken nouns that name something in view ({nouns['not_in_view']} more do not)")
        for name, shares in nouns["attention"].items():
            even = f"   (even: {nouns['even'][name]:.3f})" if name in nouns["even"] else ""
            lines.append(f"attention to {name.replace('_', ' '):30} {written(shares['all'])}{even}")
        lines.append(f"looks more at what it names than …  count  {'another noun':22}  the same at another time")
        kinds = (nouns[than]["kinds"] for than in (OTHER_NOUN, OTHER_TIME))
        for word in ("all", *sorted(set().union(*kinds))):
            found = [nouns[than]["all"] if word == "all" else nouns[than]["kinds"].get(word)
                     for than in (OTHER_NOUN, OTHER_TIME)]  # fmt: skip
            count = max(one["count"] for one in found if one)
            shares = "  ".join(f"{written(one) if one else 'none':22}" for one in found)
            lines.append(f"{word:35} {count:5d}  {shares}")
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    run(main, Options)
