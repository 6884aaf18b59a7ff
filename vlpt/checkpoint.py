"""A run on disk: `runs/<name>/{options.json, log.jsonl, tensorboard/, checkpoint/{model/, trainer.pt}, done.json}`.

Beside these, where they are asked for: `checkpoint/ema/`, running means of the weights, and `best/`, what did best in
validation, which are model folders like any other; `earlier/<step>/`, checkpoints before the last.

In: options, one dict of numbers a step, a model with `save_pretrained`, and the trainer's state. Out: a folder that
says how it was made and from which an interrupted run goes on as if nothing had happened. Everything is written beside
its place and renamed, so that a killed program leaves the last whole checkpoint. One process at a time writes a run:
see `vlpt.files.locked`.
"""

import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError

from vlpt.files import read_json, read_lines, whole_folder, write_json, write_lines
from vpt.hub import fetch, is_hub_name
from vpt.options import short
from vpt.sharded import outlines

STATE = {"step", "stage", "optimizer", "random"}  # what train.py keeps in trainer.pt, and needs
SAMPLING = "sampling.json"  # beside a model: how its choices are drawn, where nothing else is asked (vlpt/agent.py)
FUSED = ("policy", "language", "joints")  # of what a fused model may be put together


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
    """One run's folder. Raises ValueError when it exists with other options than asked for, those in `free` apart.

    defaults: of options that a run may be older than; writes: False in a process that only reads along, as all but the
    first of those that train together.
    """

    def __init__(self, folder: Path | str, options: dict, free: tuple[str, ...] = (), defaults: dict | None = None,
                 writes: bool = True) -> None:
        self.folder, self.options, self.record = Path(folder), options, Path(folder) / "options.json"
        self.defaults, self.writes = defaults or {}, writes
        self.place = self.folder / "checkpoint"  # the one that `load` took
        if self.record.exists():
            self._check_options({name: value for name, value in options.items() if name not in free})

    def begin(self) -> None:
        """Makes the folder; to be called when everything that a person can get wrong has been checked."""
        if self.writes and not self.record.exists():
            write_json(self.record, {"options": self.options, **versions()})

    def _check_options(self, wanted: dict) -> None:
        found = read_json(self.record)
        if not isinstance(found, dict) or not isinstance(found.get("options"), dict):
            raise ValueError(f"{self.record} does not say with which options the run was made: delete {self.folder}")
        then = self.defaults | found["options"]
        changed = [f"{k}={short(then.get(k))} then, {short(v)} now" for k, v in wanted.items() if then.get(k) != v]
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
        if not self.writes:
            return
        with open(self.folder / "log.jsonl", "a") as f:
            f.write(json.dumps(row) + "\n")

    def save(self, save_models: Callable[[Path], None], state: dict, keep: int = 1) -> None:
        """Writes models and trainer state together: `model/` and `trainer.pt` of one step, or the last ones.

        save_models: writes `model/`, and what else belongs to it, into a folder; keep: so many of the last checkpoints.
        Raises ValueError where they cannot be written, as on a full disk; the last checkpoint then stays.
        """
        def write(unfinished: Path) -> None:
            save_models(unfinished)
            torch.save(state, unfinished / "trainer.pt")
            self._keep_last(keep - 1)

        self._write(self.folder / "checkpoint", write)

    def save_best(self, save_model: Callable[[Path], None], told: dict) -> None:
        """Writes `best/`: a model, and what best.json says of it. Raises ValueError as `save`."""
        def write(unfinished: Path) -> None:
            save_model(unfinished)
            write_json(unfinished / "best.json", told)

        self._write(self.folder / "best", write)

    def _keep_last(self, count: int) -> None:
        """The checkpoint that is about to be replaced, and of those before it so many that there are `count`."""
        last, earlier = self.folder / "checkpoint", self.folder / "earlier"
        if count and (last / "trainer.pt").exists():
            place = earlier / str(read_state(last / "trainer.pt")["step"])
            shutil.rmtree(place, ignore_errors=True)
            with whole_folder(place) as unfinished:  # links: the files take no more room
                shutil.copytree(last, unfinished, copy_function=os.link, dirs_exist_ok=True)
        for step in self._earlier_steps()[count:]:
            shutil.rmtree(earlier / str(step))
        if not count and earlier.exists():
            earlier.rmdir()

    def _earlier_steps(self) -> list[int]:
        """Of `earlier/`, the last first."""
        names = [path.name for path in (self.folder / "earlier").glob("*") if path.name.isdigit()]
        return sorted(map(int, names), reverse=True)

    def _write(self, place: Path, write: Callable[[Path], None]) -> None:
        try:
            with whole_folder(place) as unfinished:
                write(unfinished)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch, safetensors: no OSError
            raise ValueError(f"{place} cannot be written ({error}): make room there; what it held before is kept, and "
                             "the same command goes on from it") from error

    def load(self, load_model: Callable[[Path, dict], None]) -> dict | None:
        """Gives the last whole checkpoint to `load_model(model folder, trainer state)`; the log is rewound to it.

        Returns the trainer's state, None where nothing has been saved. Raises ValueError where nothing saved is whole.
        """
        broken = []
        earlier = [self.folder / "earlier" / str(step) for step in self._earlier_steps()]
        for place in (self.folder / "checkpoint", self.folder / "checkpoint.old", *earlier):
            if not place.exists():
                continue
            try:
                state = read_state(place / "trainer.pt")
                if not (place / "model/config.json").exists():
                    raise ValueError(f"{place}/model/config.json is missing")
                if (place / "optimizer").exists():  # of several processes a part each
                    outlines(place / "optimizer")
                load_model(place / "model", state)
            except ValueError as error:
                broken.append(str(error))
                continue
            if broken:
                print(f"{broken[0]}: going on from {place}, step {state['step']}")
            self._rewind_log(state["step"])
            self.place = place
            return state
        if broken:
            raise ValueError(f"{'; '.join(broken)}; to begin anew, delete {self.folder}")
        if self.writes:
            (self.folder / "log.jsonl").unlink(missing_ok=True)
        return None

    def _rewind_log(self, step: int) -> None:
        log = self.folder / "log.jsonl"
        if not self.writes:
            return
        write_lines(log, [row for row in read_lines(log, appended=True) if row["step"] <= step])

    def finish(self, summary: dict) -> dict:
        """Marks the run as done; `summary` holds its last validation numbers."""
        told = {**summary, "peak_gb": round(peak_gb(), 2)}
        if self.writes:
            write_json(self.folder / "done.json", told)
        return told

    def summary(self) -> dict:
        """What `finish` wrote."""
        return read_json(self.folder / "done.json")


def read_state(path: Path) -> dict:
    """A `trainer.pt`, wherever it was written, on the processor. Raises ValueError naming a file that is not whole."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} cannot be read ({type(error).__name__}: {said})") from error
    if not isinstance(state, dict) or not state.keys() >= STATE:
        raise ValueError(f"{path} is not the state of a trainer")
    return state


def model_folder(path: Path | str) -> Path:
    """Where a model lies: `path` itself (committed weights), the last checkpoint of the run `path`, or what is fetched
    from the Hugging Face Hub for a name there, `user/name` (see `vpt.hub.is_hub_name`).

    Raises ValueError when none holds a config.json.
    """
    path = Path(path)
    for place in (path, path / "checkpoint" / "model", path / "checkpoint.old" / "model"):
        if (place / "config.json").exists():
            return place
    if not is_hub_name(path):
        raise ValueError(f"no model in {path}: neither config.json nor checkpoint/model/config.json; train it first, "
                         "or give a name on the Hugging Face Hub, user/name")  # fmt: skip
    folder = fetch(str(path))
    if named_parts(folder) is not None:
        raise ValueError(f"{path} on the Hugging Face Hub names parts that lie elsewhere: its owner must push it "
                         "whole, as vlpt.publish does")  # fmt: skip
    return folder


def named_parts(folder: Path) -> tuple[Path, ...] | None:
    """The folders of policy, language model and joints that a config.json names, seen from its own, as `parts`: a fused
    model may be put together of what lies elsewhere. None where it names none. Raises ValueError for other names.
    """
    config = read_json(folder / "config.json")
    parts = config.get("parts") if isinstance(config, dict) else None
    if parts is None:
        return None
    if not isinstance(parts, dict) or {*parts} != {*FUSED} or not all(isinstance(path, str) for path in parts.values()):
        raise ValueError(f"{folder / 'config.json'}: parts are the folders of {', '.join(FUSED)}, each by its name")
    return tuple(folder / parts[name] for name in FUSED)


def agent_key(model: Path | str) -> str:
    """A name for the weights that lie there and how choices are drawn from them: a run that was trained on is another
    agent.
    """
    folder, digest = model_folder(model), hashlib.sha256()
    for part in named_parts(folder) or (folder,):
        for path in sorted(model_folder(part).glob("*.safetensors")):
            digest.update(path.read_bytes())
    if (drawn := folder / SAMPLING).exists():
        digest.update(drawn.read_bytes())
    return digest.hexdigest()[:16]


def model_kind(folder: Path) -> str:
    """The name of the model that a folder holds, as `Policy` or `VLPT`. Raises ValueError for a broken config.json."""
    config = read_json(folder / "config.json")
    found = config if isinstance(config, dict) else {}
    return str(found.get("model") or found.get("model_type") or "model of an unknown kind")
