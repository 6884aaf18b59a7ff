"""Options: what the command line, the dataclass and JSON say is one and the same; a wrong flag is one line."""

import datetime
import importlib
import json
import re
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal, get_type_hints

import pytest
from support.places import ROOT

from train import OPTIONS
from vlpt.options import (
    Count,
    PlainName,
    Positive,
    Share,
    from_dict,
    parse,
    pick_device,
    run,
    to_dict,
    to_flags,
    without_effect,
)


@dataclass(frozen=True)
class Options:
    """Trains nothing."""

    videos: Path  # folder of recordings
    steps: Count = 10  # updates, 100 % of them
    rate: Positive = 1e-4  # step size
    stage: Literal["idm", "base"] = "base"  # part to train
    held_out: tuple[str, ...] = ()  # channels
    size: tuple[int, int] = (128, 128)  # width and height in pixels
    # longest run in seconds,
    # if there is one
    limit_s: float | None = None
    share: Share = 0.5  # of what there is
    fast: bool = False  # skip the slow part

    def __post_init__(self) -> None:
        if self.fast:
            without_effect(self, "--fast", "limit_s")


@dataclass(frozen=True)
class Other:
    """Does something else."""

    depth: int = 3  # of something


def test_flags_become_typed_values():
    options = parse(Options, "--videos a/b --steps 3 --rate 2 --stage idm --held-out ch0 ch1 --size 64 32 "
                             "--limit_s 1.5 --share 1".split())
    assert options == Options(Path("a/b"), 3, 2.0, "idm", ("ch0", "ch1"), (64, 32), 1.5, 1.0, False)
    assert isinstance(options.rate, float) and isinstance(options.videos, Path)
    assert parse(Options, ["--videos", "a"]) == Options(Path("a"))
    assert parse(Options, "--videos a --no-fast --limit-s None --held-out".split()) == Options(Path("a"))
    assert parse({"one": Options, "two": Other}, ["two", "--depth", "4"]) == Other(4)


@pytest.mark.parametrize("flags, says", [
    ("--videos a --step 3", "did you mean --steps?"),
    ("--videos a --steps three", "--steps takes INT: invalid literal"),
    ("--videos a --steps 0", "--steps should be at least 1, got 0"),
    ("--videos a --rate nan", "--rate should be a finite number"),
    ("--videos a --share 1.5", "--share should be at most 1"),
    ("--videos a --stage bass", "--stage is one of idm, base, got 'bass'"),
    ("--videos a --size 64", "--size takes INT INT"),
    ("--videos", "--videos takes PATH"),
    ("--videos a --fast --limit-s 3", "--limit-s has no effect with --fast"),
    ("--steps 3", "--videos must be given"),
    ("--videos a stray", "stray"),
])
def test_a_wrong_flag_is_one_line(flags, says, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Options, flags.split())
    message = capsys.readouterr().err
    assert stop.value.code == 2 and says in message and message.count("\n") == 1


@pytest.mark.parametrize("flags, says", [
    ("", "one of one, two"), ("three", "got 'three'"), ("two --steps 3", "no such flag '--steps' (one takes it)"),
])
def test_a_wrong_command_is_one_line(flags, says, capsys):
    with pytest.raises(SystemExit) as stop:
        parse({"one": Options, "two": Other}, flags.split())
    message = capsys.readouterr().err
    assert stop.value.code == 2 and says in message and message.count("\n") == 1


def test_flags_and_json_give_the_options_back():
    for options in (Options(Path("x"), 7, held_out=("ch1", "ch2"), limit_s=2.0), Options(Path("x"), fast=True)):
        assert from_dict(Options, json.loads(json.dumps(to_dict(options)))) == options
        assert parse(Options, to_flags(options)) == options


@pytest.mark.parametrize("wrong, says", [
    ({"stepz": 1}, "did you mean --steps"), ({"steps": 2.5}, "--steps"), ({"steps": True}, "--steps"),
    ({"fast": 1}, "--fast"), ({"stage": "x"}, "--stage"), ({"size": [1]}, "--size"), ({"stage": 3}, "--stage"),
    ({"held_out": "ch0"}, "--held-out"), ({"videos": None}, "--videos"), ({"steps": 0}, "at least 1"),
])
def test_json_that_does_not_fit_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        from_dict(Options, {"videos": "a"} | wrong)
    with pytest.raises(ValueError, match="--videos must be given"):
        from_dict(Options, {})


def deep(levels: int) -> list:
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("wrong, says", [
    ({"stage": datetime.date(2026, 1, 1)}, "--stage should be text or numbers, got a date"),  # of YAML
    ({"stage": {1, 2}}, "--stage should be text or numbers, got a set"),
    ({"held_out": deep(10_000)}, "--held-out should be"), ({"held_out": deep(90)}, "--held-out should be"),
    ({"steps": "9" * 10_000}, "--steps should be"), ({"stage": "x" * 10_000}, "--stage should be"),
    ({"x" * 10_000: 1}, "no such flag"), ({True: 1}, "no such flag '--True'"),
    (["videos"], "options are names with values"), (None, "options are names with values"),
])  # fmt: skip
def test_what_yaml_makes_of_a_file_is_refused_in_a_short_line(wrong, says):
    with pytest.raises(ValueError) as refusal:
        from_dict(Options, {"videos": "a"} | wrong if isinstance(wrong, dict) else wrong)
    assert str(refusal.value).startswith(says) and len(str(refusal.value)) < 300


@pytest.mark.parametrize("flags", [["--steps", "9" * 9999], ["--steps", "x" * 9999], ["--" + "x" * 9999],
                                   ["--stage", "x" * 9999], ["--size", "1", *["2"] * 9999]])
def test_a_very_long_mistake_is_a_short_line(flags, capsys):
    with pytest.raises(SystemExit):
        parse(Options, ["--videos", "a", *flags])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and len(said) < 600


def test_help_shows_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit):
        parse(Options, ["--help"])
    page = " ".join(capsys.readouterr().out.split())
    assert "100 % of them (default: 10)" in page and "--held-out" in page and "{idm,base}" in page
    assert "longest run in seconds, if there is one" in page.replace("│ │ ", "")


@pytest.mark.parametrize("error, status, says", [
    (ValueError("clip.mp4 is broken:\n record it again"), 1, "error: clip.mp4 is broken: record it again\n"),
    (FileNotFoundError(2, "No such file or directory", "clip.mp4"), 1, "error: clip.mp4: No such file or directory\n"),
    (OSError(28, "No space left on device", "a.json"), 1, "error: a.json: No space left on device: make room there"),
    (PermissionError(13, "Permission denied", "a"), 1, "error: a: Permission denied: choose another place"),
    (OSError("the site is silent"), 1, "error: the site is silent\n"),
    (KeyboardInterrupt(), 130, "stopped; the same command goes on\n"),
    (KeyboardInterrupt("stopped after step 48"), 130, "stopped after step 48; the same command goes on\n"),
])  # fmt: skip
def test_run_turns_what_stops_a_program_into_one_line(error, status, says, capsys):
    def program(options):
        raise error

    with pytest.raises(SystemExit) as stop:
        run(program, Other, [])
    text = isinstance(stop.value.code, str)  # which Python prints, and makes status 1 of
    said, found = (stop.value.code + "\n", 1) if text else (capsys.readouterr().err, stop.value.code)
    assert found == status and said.startswith(says) and said.count("\n") == 1


@dataclass(frozen=True)
class Shipped:
    """Options whose defaults are parts of this repository."""

    base: str = "pretrained/base"  # weights
    videos: str = "data_gathering/samples"  # recordings
    other: str = "pretrained/none"  # not there
    runs: str = "docs"  # a folder that is written to


def test_defaults_in_the_repository_are_found_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert parse(Shipped, []) == Shipped() and to_flags(parse(Shipped, [])) == []
    monkeypatch.chdir(tmp_path)
    found = parse(Shipped, [])
    assert found == Shipped(f"{ROOT}/pretrained/base", f"{ROOT}/data_gathering/samples")
    assert parse(Shipped, to_flags(found)) == found
    assert parse(Shipped, ["--base", "pretrained/idm"]).base == "pretrained/idm"  # said by a person: as said
    (tmp_path / "pretrained/base").mkdir(parents=True)
    assert parse(Shipped, []).base == "pretrained/base"
    asked = parse(OPTIONS, ["language", "--name", "x", "--start", "a"])
    assert Path(asked.language, "config.json").exists()


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="--device cpu"):
        pick_device("cuda")


# ---- every program of the repository


def programs() -> list[str]:
    """Modules that are run with `python -m`, or files at the root; but for the one that only a program starts, in the
    game's own Python."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True,
                           text=True).stdout.split()  # fmt: skip
    begins = re.compile(r"^if __name__ == \"__main__\":$", re.M)
    found = [path for path in files if not path.startswith("tests/") and (ROOT / path).exists()
             and begins.search((ROOT / path).read_text())]  # fmt: skip
    names = [path.removesuffix(".py").replace("/", ".") for path in found]
    return [name for name in names if name != "vlpt.worlds.minecraft.bridge"]


def test_all_programs_are_found():
    assert {"train", "evaluate", "demo", "vpt.convert", "vlpt.play", "data_gathering.demonstrate"} <= set(programs())
    assert len(programs()) > 20


@pytest.mark.parametrize("program", programs())
def test_every_option_has_help_and_a_wrong_one_is_one_line(program):
    """In a process of its own, as a person sees it."""
    done = subprocess.run([sys.executable, "-m", program, "--outt", "x"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("program", [name for name in programs() if name not in ("train", "demo")])
def test_every_option_of_every_program_is_read(program):
    """Somewhere in the program's own file, or in the package it is the front of, an option is asked for by its name.

    train.py's are watched while its stages run (test_training_stages.py).
    """
    module, file = importlib.import_module(program), ROOT / f"{program.replace('.', '/')}.py"
    package = ROOT / "vlpt" if file.parent == ROOT or file.is_relative_to(ROOT / "vlpt") else file.parent
    source = "\n".join(path.read_text() for path in [file, *package.glob("**/*.py")])
    for options in {getattr(module, name) for name in dir(module) if name.endswith("Options")}:
        for field in fields(options) if hasattr(options, "__dataclass_fields__") else ():
            asked = rf"\b(options|self)\.{field.name}\b"
            assert re.search(asked, source), f"nothing reads --{field.name} of {program}"


def test_one_default_for_a_device_and_for_threads():
    for program in programs():
        module = importlib.import_module(program)
        for options in (getattr(module, name) for name in dir(module) if name.endswith("Options")):
            for field in fields(options) if hasattr(options, "__dataclass_fields__") else ():
                wanted = {"device": "auto", "threads": 0}.get(field.name, field.default)
                assert field.default == wanted, f"{program}: --{field.name}"


# ---- every number is bounded where it is declared

WRONG = {"threads": -2, "lanes": 0, "chunk": 0, "accumulate": 0, "size": "huge", "device": "gpu0", "rate_new": "nan",
         "rate_pretrained": 0, "rate_gates": -1, "heads_rate": 0, "vocabulary": -5, "seed": -1, "steps": 0,
         "warmup": -1, "clip": 0, "weight_decay": -0.1, "validate_every": -1, "save_every": 0, "stop_after": -1,
         "precision": "int8", "lora_rank": -1, "frames_per_tick": 0, "drop_words": 1.5, "max_distance": -1,
         "kl_weight": "inf", "token_weight": -1, "trunk": "thawed", "max_lateness_ms": -1,
         "language_window": 0, "teacher_weight": -1}  # fmt: skip
CASES = [(stage, field.name) for stage, options in OPTIONS.items() for field in fields(options) if field.name in WRONG]


@pytest.mark.parametrize("stage, name", CASES)
def test_what_no_stage_can_do_is_refused_where_it_is_declared(stage, name, capsys):
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SystemExit) as stop:
        parse(OPTIONS, [stage, "--name", "x", flag, str(WRONG[name])])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.startswith(flag) and said.count("\n") == 1, said


def options_of(program: str) -> list[type]:
    module = importlib.import_module(program)
    found = (getattr(module, name) for name in dir(module) if name.endswith("Options"))
    return [options for options in found if is_dataclass(options)]


@pytest.mark.parametrize("program", programs())
def test_wrong_threads_and_lanes_are_refused_by_every_program(program):
    for options in options_of(program):
        given = {field.name: "x" for field in fields(options) if field.default is MISSING}
        for name, value in ("threads", -2), ("lanes", 0), ("seconds", 0), ("top_p", 0), ("swaps", 0):
            if name in {field.name for field in fields(options)}:
                with pytest.raises(ValueError, match="--" + name.replace("_", "-") + " should be"):
                    from_dict(options, given | {name: value})


@pytest.mark.parametrize("program", [name for name in programs() if not name.startswith("data_gathering.")])
def test_no_number_is_without_bounds(program):
    for options in options_of(program):
        free = {name for name, kind in get_type_hints(options, include_extras=True).items() if kind in (int, float)}
        assert not free, f"{options.__module__}.{options.__name__}"


def test_a_plain_name_leads_nowhere():
    @dataclass(frozen=True)
    class Named:
        name: PlainName  # of something

    assert from_dict(Named, {"name": "a-b 2"}).name == "a-b 2"
    with pytest.raises(ValueError, match="--name should be one name without slashes .*, got '../a'"):
        from_dict(Named, {"name": "../a"})
