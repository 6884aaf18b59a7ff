"""A run on disk: `runs/<name>/{options.json, log.jsonl, tensorboard/, checkpoint/{model/, trainer.pt}, done.json}`.

In: options, one dict of numbers a step, a model with `save_pretrained`, and the trainer's state. Out: a folder that
says how it was made and from which an interrupted run goes on as if nothing had happened. Everything is written beside
its place and renamed, so that a killed program leaves the last whole checkpoint.
"""

import json
import platform
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch

from vlpt.files import read_json, read_lines, whole_folder, write_json, write_lines


def versions() -> dict[str, str]:
    """What made a run: commit of this repository (or "unknown"), Python, torch."""
    commit = ""
    if shutil.which("git"):
        asked = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    return dict(commit=commit or "unknown", python=platform.python_version(), torch=torch.__version__)


def peak_gb() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class Run:
    """One run's folder. Raises ValueError when it exists with other options than asked for, those in `free` apart."""

    def __init__(self, folder: Path | str, options: dict, free: tuple[str, ...] = ()) -> None:
        self.folder, self.options, self.record = Path(folder), options, Path(folder) / "options.json"
        if self.record.exists():
            self._check_options({name: value for name, value in options.items() if name not in free})

    def begin(self) -> None:
        """Makes the folder; to be called when everything that a person can get wrong has been checked."""
        if not self.record.exists():
            write_json(self.record, {"options": self.options, **versions()})

    def _check_options(self, wanted: dict) -> None:
        found = read_json(self.record)["options"]
        changed = [f"{k}={found.get(k)!r} then, {v!r} now" for k, v in wanted.items() if found.get(k) != v]
        if changed:
            raise ValueError(
                f"{self.folder} was made with other options ({'; '.join(changed)}): give --name another name, "
                "or delete the folder"
            )

    @property
    def done(self) -> bool:
        """True once the run has reached its last step."""
        return (self.folder / "done.json").exists()

    def log(self, row: dict) -> None:
        """Appends one JSON line to log.jsonl."""
        with open(self.folder / "log.jsonl", "a") as f:
            f.write(json.dumps(row) + "\n")

    def save(self, save_model: Callable[[Path], None], state: dict) -> None:
        """Writes model and trainer state together: `model/` and `trainer.pt` of one step, or the last ones."""
        with whole_folder(self.folder / "checkpoint") as unfinished:
            save_model(unfinished / "model")
            torch.save(state, unfinished / "trainer.pt")

    def load(self) -> tuple[Path, dict] | None:
        """(model folder, trainer state) of the last whole checkpoint, or None; the log is rewound to it."""
        place = next((p for p in (self.folder / "checkpoint", self.folder / "checkpoint.old") if p.exists()), None)
        if place is None:
            (self.folder / "log.jsonl").unlink(missing_ok=True)
            return None
        state = torch.load(place / "trainer.pt", weights_only=True)
        self._rewind_log(state["step"])
        return place / "model", state

    def _rewind_log(self, step: int) -> None:
        log = self.folder / "log.jsonl"
        write_lines(log, [row for row in read_lines(log) if row["step"] <= step])

    def finish(self, summary: dict) -> dict:
        """Marks the run as done; `summary` holds its last validation numbers."""
        write_json(self.folder / "done.json", {**summary, "peak_gb": round(peak_gb(), 2)})
        return self.summary()

    def summary(self) -> dict:
        """What `finish` wrote."""
        return read_json(self.folder / "done.json")


def model_folder(path: Path | str) -> Path:
    """Where a model lies: `path` itself (committed weights) or the last checkpoint of the run `path`.

    Raises ValueError when neither holds a config.json.
    """
    path = Path(path)
    for place in (path, path / "checkpoint" / "model", path / "checkpoint.old" / "model"):
        if (place / "config.json").exists():
            return place
    raise ValueError(f"no model in {path}: neither config.json nor checkpoint/model/config.json; train it first")
