"""A run's folder in the real world: torn files, foreign processors, full disks, two at once, a hand on Ctrl-C.

Every run here is stage words on the sample's transcripts: the smallest true training.
"""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.places import ROOT, SAMPLES

import train
from vlpt.checkpoint import Run, model_folder, read_state
from vlpt.options import parse, to_flags
from vlpt.training.words import WordsOptions

FLAGS = ("--held-out ch4 ch5 --warmup 1 --validate-every 0 --save-every 1 --no-progress --device cpu --threads 1 "
         "--lanes 2 --chunk 8 --accumulate 1 --vocabulary 280")  # fmt: skip


def options(runs: Path, name: str, steps: int = 2, **changes) -> WordsOptions:
    asked = parse(train.OPTIONS, ["words", "--name", name, "--videos", str(SAMPLES), *FLAGS.split()])
    return replace(asked, runs=str(runs), steps=steps, **changes)


def weights(runs: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(model_folder(runs / name) / "model.safetensors")


def same(ours: dict, theirs: dict) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def steps_logged(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An uninterrupted run of two steps, `whole`, and the same cut after one, `cut`."""
    folder = tmp_path_factory.mktemp("runs")
    train.train(options(folder, "whole"))
    train.train(options(folder, "cut", stop_after=1))
    return folder


@pytest.fixture
def cut(runs, tmp_path):
    """A copy of `cut`, in a folder of its own."""
    shutil.copytree(runs / "cut", tmp_path / "cut")
    return tmp_path / "cut"


# ---- names


@pytest.mark.parametrize("name", ["../../evil", "a/b", "/evil", "a\\b", "", "..", ".hidden", "-x", "a\nb", "x" * 300])
def test_a_runs_name_cannot_lead_out_of_the_folder_of_runs(name, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(train.OPTIONS, ["words", f"--name={name}"])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.startswith("--name should be ") and said.count("\n") == 1 and len(said) < 250


@pytest.mark.parametrize("name", ["demo", "first-try_2.1", "Überlauf 3"])
def test_plain_names_are_names(name):
    assert parse(train.OPTIONS, ["words", "--name", name]).name == name


# ---- what a killed program leaves


@pytest.mark.parametrize("torn", [b'{"step": 2, "tok', b'{"step": 2, "said": "\xc3', b"\0\0\0"])
def test_a_torn_last_line_of_the_log_is_forgotten(runs, cut, torn):
    with open(cut / "log.jsonl", "ab") as file:
        file.write(torn)
    train.train(options(cut.parent, "cut"))
    assert steps_logged(cut) == [1, 2] and same(weights(cut.parent, "cut"), weights(runs, "whole"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BREAKS = {
    "trainer.pt truncated": lambda place: truncate(place / "trainer.pt"),
    "trainer.pt empty": lambda place: (place / "trainer.pt").write_bytes(b""),
    "trainer.pt garbage": lambda place: (place / "trainer.pt").write_bytes(b"no state at all" * 99),
    "trainer.pt foreign": lambda place: torch.save({"step": 1}, place / "trainer.pt"),
    "trainer.pt gone": lambda place: (place / "trainer.pt").unlink(),
    "model.safetensors truncated": lambda place: truncate(place / "model/model.safetensors"),
    "config.json truncated": lambda place: truncate(place / "model/config.json"),
    "model gone": lambda place: shutil.rmtree(place / "model"),
}


@pytest.mark.parametrize("harm", BREAKS)
def test_a_broken_checkpoint_is_named_or_the_one_before_it_taken(runs, cut, harm, capsys):
    broken = cut / "checkpoint"
    shutil.copytree(broken, cut / "whole")
    BREAKS[harm](broken)
    with pytest.raises(ValueError) as refusal:
        train.train(options(cut.parent, "cut"))
    said = str(refusal.value)
    named = "config.json" if harm == "model gone" else harm.split()[0]
    assert str(broken) in said and named in said and said.endswith(f"delete {cut}") and "\n" not in said
    assert steps_logged(cut) == [1]
    (cut / "whole").rename(cut / "checkpoint.old")  # as a program killed between two renamings leaves it
    train.train(options(cut.parent, "cut"))
    assert f"going on from {cut}/checkpoint.old, step 1" in capsys.readouterr().out
    assert same(weights(cut.parent, "cut"), weights(runs, "whole")) and not (cut / "checkpoint.old").exists()


def test_a_record_that_says_nothing_is_named(cut):
    (cut / "options.json").write_text("[]")
    with pytest.raises(ValueError, match="options.json does not say"):
        train.train(options(cut.parent, "cut"))


def test_a_checkpoint_of_a_gpu_goes_on_on_a_processor(runs, cut, monkeypatch):
    """The file as a GPU writes it: its tensors are tagged with that device."""
    state = read_state(cut / "checkpoint/trainer.pt")
    with monkeypatch.context() as on_gpu:
        on_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(state, cut / "checkpoint/trainer.pt")
    assert b"cuda:0" in (cut / "checkpoint/trainer.pt").read_bytes()
    train.train(options(cut.parent, "cut"))
    assert same(weights(cut.parent, "cut"), weights(runs, "whole"))


# ---- export


def test_an_export_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("precious")
    for export in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ValueError, match="file is a file; choose another place"):
            train.train(options(tmp_path / "runs", "x", export=str(export)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "precious"


def test_export_may_change_between_starts_and_be_asked_for_when_all_is_done(runs, cut, tmp_path):
    train.train(options(cut.parent, "cut", export=str(tmp_path / "first")))
    before = (cut / "checkpoint/trainer.pt").read_bytes()
    train.train(options(cut.parent, "cut", export=str(tmp_path / "later")))
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "later")]
    assert files[0] == files[1] and {"config.json", "model.safetensors", "tokenizer.json"} <= set(files[0])
    assert (cut / "checkpoint/trainer.pt").read_bytes() == before and steps_logged(cut) == [1, 2]


# ---- other processes, full disks, Ctrl-C


def program(asked: WordsOptions, **how) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "train.py", "words", *to_flags(asked)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)  # fmt: skip


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    while not (folder / "log.jsonl").exists() or len((folder / "log.jsonl").read_text().splitlines()) < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_one_process_trains_a_run_and_ctrl_c_saves_it(tmp_path):
    asked = options(tmp_path, "long", steps=10**6, save_every=10**6)
    process = program(asked)
    try:
        wait_for_step(tmp_path / "long", 3, process)
        with pytest.raises(ValueError) as refusal:
            train.train(asked)
        assert f"long is being written by process {process.pid} (python" in str(refusal.value)
        assert "train.py words --name long" in str(refusal.value)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    last = steps_logged(tmp_path / "long")[-1]
    assert process.returncode == 130 and said.endswith(f"stopped after step {last}; the same command goes on\n"), said
    assert "Traceback" not in said and {path.name for path in tmp_path.iterdir()} == {"long"}
    train.train(replace(asked, stop_after=last + 1))  # goes on, and ends as if nothing had happened
    train.train(replace(asked, name="whole", stop_after=last + 1))
    assert same(weights(tmp_path, "long"), weights(tmp_path, "whole"))
    assert steps_logged(tmp_path / "long") == list(range(1, last + 2))


def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(cut):
    """A limit on the size of files stands for the disk: the system refuses to write on in the same way."""
    size = (cut / "checkpoint/trainer.pt").stat().st_size
    for limit in (size // 2, size // 8):
        def smaller(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        process = program(options(cut.parent, "cut"), preexec_fn=smaller)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1 and said.startswith("error: ") and "make room" in said, said
        assert said.count("\n") == 1
    assert read_state(cut / "checkpoint/trainer.pt")["step"] == 1 and not list(cut.glob("*.tmp"))
    train.train(options(cut.parent, "cut"))


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file")
    process = program(options(tmp_path / "runs", "x"))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and said.count("\n") == 1 and said.startswith("error: ") and "runs" in said


def test_a_run_killed_between_two_renamings_goes_on(runs, cut):
    (cut / "checkpoint").rename(cut / "checkpoint.old")
    states = []
    assert Run(cut, {}).load(lambda folder, state: states.append(folder))["step"] == 1
    assert states == [cut / "checkpoint.old/model"]
