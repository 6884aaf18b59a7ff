"""What one thing is worth: runs of train.py that differ from a reference in one option, compared.

In: the folders of the runs, shards, held-out channels. Out: of each run the losses of every held-out episode and what
it costs; of two, the difference with a 95 % t interval over channels; and a table. The programs that are run, and what
they differ in, are listed in ablations.py at the root.

    found = {"reference-language": measured("runs/ablations/reference-language", options, shards, kept)}
    rows = [row(Asked("reference", "language", "the recipe"), found)]
    print(table(rows))

The differences are of one seed: an interval says how far other channels may differ, not other beginnings.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vlpt.data.shards import Episode, Shards
from vlpt.evaluation.ablation_costs import frame_ms, parameters
from vlpt.evaluation.trial import Trial, TrialOptions
from vlpt.files import read_json, write_json
from vlpt.metrics import interval, paired_difference
from vlpt.show.results import read_run
from vpt.frames import FRAMES_PER_SECOND

LOSS = {"language": "token", "action": "action"}  # what a stage is judged by
BESIDE = {"language": "silence", "action": "intention"}  # and what else it learns
UNIT = {"token": "nats/token", "action": "nats/frame"}
NAMES = {"language": "language: words", "action": "action: actions"}


@dataclass(frozen=True)
class Asked:
    """A row of the table: a run of a stage, or why there is none."""

    name: str  # of the variant
    stage: str
    about: str  # what differs
    against: str = "reference"  # the variant that it is compared with; "" where their losses are of different things
    reason: str = ""  # why it was not trained
    ms: float | None = None  # milliseconds a played frame, where it was not trained

    @property
    def run(self) -> str:
        """The name of its folder."""
        return run_name(self.name, self.stage)


def run_name(variant: str, stage: str) -> str:
    """Of a variant's run of a stage."""
    return f"{variant}-{stage}"


def hours_of(episodes: Sequence[Episode], apart: Sequence[str]) -> dict[str, float]:
    """Of play, of each channel but those that are kept apart."""
    hours: dict[str, float] = {}
    for episode in episodes:
        if episode.channel not in apart:
            hours[episode.channel] = hours.get(episode.channel, 0.0) + episode.n_frames / (FRAMES_PER_SECOND * 3600)
    return hours


def measured(run: Path | str, options: TrialOptions, shards: Shards, kept: Path | str) -> dict:
    """A trained run's losses on each held-out episode, under the words and frames that it was trained with, and what it
    costs; kept in a file of that name, and read from there while the run and what is measured on are the same. Raises
    ValueError for a run that is not done.
    """
    record = read_run(Path(run))
    if not record.done:
        raise ValueError(f"{run} is not trained to its end: give the command that trains it again")
    asked = {"trained": record.options, "done": record.done, "shards": options.shards,
             "held_out": list(options.held_out)}  # fmt: skip
    if Path(kept).exists() and (before := read_json(kept)).get("asked") == asked:
        return before
    trial = Trial(run, options, shards)
    losses = trial.losses(word_source=record.options["words"], frame_source=record.options["frames"])
    loss = LOSS[record.options["stage"]]
    found = {
        "asked": asked, "losses": losses.to_json(), "mean": losses.mean(loss), "count": losses.count(loss),
        "best": float(record.series(f"valid/{loss}")[1].min()), "channels": [one.channel for one in trial.episodes],
        **parameters(trial.model, record.options), "frame_ms": frame_ms(trial.model),
    }  # fmt: skip
    write_json(kept, found)
    return found


def row(asked: Asked, found: dict[str, dict], seed: int = 0) -> dict:
    """A line of the table; found: what `measured` gave, by the runs' names. None where there is no such number."""
    line = asdict(asked) | dict(run=asked.run, loss=None, best=None, alone=None, beside=None, difference=None,
                                same_count=None, seconds=None, frames_per_s=None, updates=None, new=None, trained=None,
                                frame_ms=asked.ms)  # fmt: skip
    if asked.run not in found:
        return line
    own, loss = found[asked.run], LOSS[asked.stage]
    done = own["asked"]["done"]
    line |= dict(loss=own["mean"], best=own["best"], alone=done.get(f"alone/{loss}"),
                 beside=done.get(f"valid/{BESIDE[asked.stage]}"), updates=own["asked"]["trained"]["steps"],
                 seconds=round(60 * done["minutes"], 1), frames_per_s=done["frames_per_s"],
                 **{name: own[name] for name in ("new", "trained", "frame_ms")})  # fmt: skip
    other = found.get(run_name(asked.against, asked.stage))
    if other and asked.name != asked.against:
        line["difference"] = against(other, own, loss, seed)
        line["same_count"] = other["count"] == own["count"]
    return line


def against(reference: dict, own: dict, loss: str, seed: int = 0) -> dict:
    """own - reference, nats apiece, over channels: positive where the reference is better. Raises ValueError for runs
    that were measured on different episodes."""
    if reference["channels"] != own["channels"]:
        raise ValueError("two runs were measured on different episodes: delete what was measured of one of them")
    one, another = (np.array([np.nan if nats is None else nats for nats in run["losses"][loss]])
                    for run in (reference, own))  # fmt: skip
    return paired_difference(one, another, own["channels"], seed).to_dict()


HEAD = f"{'':44}{'loss':>7}{'best':>7}{'alone':>7}  {'minus reference':32}{'beside':>7}{'s':>6}{'updates':>8}" \
       f"{'frames/s':>9}{'ms/frame':>9}{'new':>9}{'trained':>10}"  # fmt: skip
NOTES = """\
minus reference: of the last weights, each held-out episode paired; 95 % t interval over {channels} held-out channels.
  Positive: the reference is better. All are of one seed: the interval is about other channels, not other beginnings.
  ≠: the two count different tokens, as with other ticks other words come too late: the pair is a rough one.
beside: silence (nats a tick, so not to be compared where ticks are of other lengths), or intention (nats a frame).
s: seconds of training, validation included, on a machine that may have been doing other things.
Hours of play: of as many updates each, so that fewer hours are seen more often.
ms/frame: a frame played, one lane, all of the model. new: parameters beside the two models; trained: of all."""


def table(rows: list[dict]) -> str:
    """All that `row` gave, by stage, and what the columns are."""
    lines = []
    for stage, name in NAMES.items():
        shown = [one for one in rows if one["stage"] == stage]
        if shown:
            lines += [f"{name}, {UNIT[LOSS[stage]]}", HEAD, *map(_line, shown), ""]
    channels = [one["difference"]["channels"] for one in rows if one["difference"]]
    return "\n".join([*lines, NOTES.format(channels=max(channels, default="the"))])


def _line(one: dict) -> str:
    name = f"{one['name']}: {one['about']}"
    if one["reason"]:
        ms = "" if one["frame_ms"] is None else f"; {one['frame_ms']:.1f} ms a played frame"
        return f"{name}: not trained: {one['reason']}{ms}"
    difference = interval(one["difference"]) + " ≠" * (not one["same_count"]) if one["difference"] else ""
    cells = [f"{name:44.44}", *(f"{_number(one[key], '.3f'):>7}" for key in ("loss", "best", "alone")),
             f"  {difference:32}", f"{_number(one['beside'], '.3f'):>7}", f"{_number(one['seconds'], '.0f'):>6}",
             f"{_number(one['updates'], 'd'):>8}", f"{_number(one['frames_per_s'], '.0f'):>9}",
             f"{_number(one['frame_ms'], '.1f'):>9}", f"{_number(one['new'], ',d'):>9}",
             f"{_number(one['trained'], ',d'):>10}"]  # fmt: skip
    return "".join(cells).rstrip()


def _number(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)
