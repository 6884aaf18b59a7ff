"""Gates of the cross attentions: how they opened over training, and what closing one costs a trained model.

In: a run of train.py; a trial of a fused model. Out: series of gates, stage by stage; losses of each episode with some
gates closed.

    for stage in history("runs/demo/joint"): stage["run"], stage["steps"], stage["gates"]
    for condition, names in conditions(trial.model).items():
        with closed(trial.model, names):
            trial.losses()
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

from vlpt.evaluation.trial import Losses, Trial
from vlpt.files import read_json, read_lines
from vlpt.metrics import paired_difference
from vlpt.parts import CROSS, STAGES, passages

PREFIX = "gate/"  # of a gate in a log
LOSSES = ("token", "action")  # whose rise is told: nats a token, nats a frame


# ---- over training


def history(run: Path | str) -> list[dict]:
    """[{"run", "steps": [...], "gates": {name: [...]}}]: of every stage that led to a run, the first one first; [] for
    a folder of weights without a log. A gate's name is that of `vlpt.parts.gates`.
    """
    found, folder, seen = [], Path(run), set()
    while folder not in seen and (folder / "log.jsonl").exists() and (folder / "options.json").exists():
        seen.add(folder)
        options = read_json(folder / "options.json")["options"]
        if options.get("stage") not in STAGES:
            break
        found.insert(0, _series(folder))
        if not options.get("start"):
            break
        folder = Path(options["start"])
    return found


def _series(folder: Path) -> dict:
    rows = read_lines(folder / "log.jsonl", appended=True)
    rows = [row for row in rows if any(key.startswith(PREFIX) for key in row)]  # step 0 has none
    names = [key for key in (rows[0] if rows else ()) if key.startswith(PREFIX)]
    return {"run": folder.name, "steps": [row["step"] for row in rows],
            "gates": {name.removeprefix(PREFIX): [row[name] for row in rows] for name in names}}  # fmt: skip


# ---- closed at test time


def conditions(model) -> dict[str, tuple[str, ...]]:
    """{what is closed: names of gates}: each by itself, all of a direction, all."""
    every = tuple(name for direction in CROSS for name in passages(model, direction))
    together = {f"{direction}, all": passages(model, direction) for direction in CROSS}
    return {name: (name,) for name in every} | together | {"all": every}


@contextmanager
def closed(model, names: Sequence[str]) -> Iterator[None]:
    """A context in which the gates of these names are 0; afterwards they are what they were, bit for bit."""
    gates = [model.get_parameter(name) for name in names]
    before = [gate.detach().clone() for gate in gates]
    try:
        with torch.no_grad():
            for gate in gates:
                gate.zero_()
        yield
    finally:
        with torch.no_grad():
            for gate, value in zip(gates, before, strict=True):
                gate.copy_(value)


def measure(trial: Trial) -> tuple[Losses, dict[str, Losses]]:
    """The losses as the model is, and {what is closed: losses}."""
    as_it_is, found = trial.losses(), {}
    for condition, names in tqdm(conditions(trial.model).items(), "closed", unit="condition"):
        with closed(trial.model, names):
            found[condition] = trial.losses()
    return as_it_is, found


def costs(as_it_is: Losses, found: dict[str, Losses], channels: Sequence[str], seed: int) -> dict[str, dict]:
    """{what is closed: {loss: as `vlpt.metrics.OverChannels`}}: what closing costs, in nats apiece; channels: of each
    episode.
    """
    return {condition: {loss: paired_difference(as_it_is.each(loss), one.each(loss), channels, seed).to_dict()
                        for loss in LOSSES} for condition, one in found.items()}  # fmt: skip
