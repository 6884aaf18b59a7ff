"""Options: what the command line, the dataclass and JSON say is one and the same; a wrong flag is one line."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from vlpt.old_options import from_dict, from_json, option, parse, run, to_dict, to_json


@dataclass(frozen=True)
class Options:
    """Trains nothing."""

    videos: Path = option(help="folder of recordings")
    steps: int = option(10, "updates, 100 % of them")
    rate: float = option(1e-4, "step size")
    stage: str = option("base", "part to train", choices=("idm", "base"))
    held_out: tuple[str, ...] = option((), "channels")
    size: tuple[int, int] = option((128, 128), "width and height in pixels")
    limit_s: float | None = option(None, "longest run in seconds")
    fast: bool = option(False, "skip the slow part")

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"--steps counts up from 0, got {self.steps}")


def test_flags_become_typed_values():
    options = parse(Options, "--videos a/b --steps 3 --rate 2 --stage idm --held-out ch0 ch1 --size 64 32 "
                             "--limit_s 1.5 --fast".split())
    assert options == Options(Path("a/b"), 3, 2.0, "idm", ("ch0", "ch1"), (64, 32), 1.5, True)
    assert isinstance(options.rate, float) and isinstance(options.videos, Path)
    assert parse(Options, ["--videos", "a"]) == Options(Path("a"))
    assert parse(Options, "--videos a --no-fast --limit-s none --held-out".split()) == Options(Path("a"))


@pytest.mark.parametrize("flags, says", [
    ("--videos a --step 3", "did you mean --steps?"),
    ("--videos a --steps three", "--steps takes int, got 'three'"),
    ("--videos a --stage bass", "one of idm, base, got 'bass'"),
    ("--videos a --size 64", "--size"),
    ("--videos a --steps -1", "counts up from 0"),
    ("--steps 3", "--videos"),
    ("--videos a stray", "stray"),
])
def test_a_wrong_flag_is_one_line(flags, says, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Options, flags.split())
    message = capsys.readouterr().err
    assert stop.value.code == 2 and says in message and message.count("\n") == 1


def test_json_and_back(tmp_path):
    options = Options(Path("x"), 7, held_out=("ch1", "ch2"), limit_s=2.0)
    to_json(options, tmp_path / "options.json")
    assert from_json(Options, tmp_path / "options.json") == options
    assert from_dict(Options, to_dict(options)) == options


@pytest.mark.parametrize("wrong", [{"stepz": 1}, {"steps": 2.5}, {"steps": True}, {"fast": 1}, {"stage": "x"},
                                   {"size": [1]}, {"held_out": "ch0"}, {"stage": 3}])
def test_json_that_does_not_fit_is_refused(wrong, tmp_path):
    (tmp_path / "o.json").write_text(json.dumps({"videos": "a"} | wrong))
    with pytest.raises(ValueError, match="o.json"):
        from_json(Options, tmp_path / "o.json")


def test_help_shows_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit):
        parse(Options, ["--help"])
    page = capsys.readouterr().out
    assert "100 % of them" in page and "(default: 10)" in page and "--held-out" in page and "{idm,base}" in page


def test_run_turns_a_users_error_into_one_line():
    def program(options):
        raise ValueError("clip.mp4 is broken: record it again")

    with pytest.raises(SystemExit, match="error: clip.mp4 is broken"):
        run(program, Options, ["--videos", "a"])
