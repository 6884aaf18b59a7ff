"""Two processes train as one: by DDP and by FSDP2, over gloo; what one saves the other goes on from.

Run: pytest tests/vlpt/test_parallel.py            # one launch of two processes for all tests
"""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from support.numbered_recordings import record
from support.places import ROOT

import train
from data_gathering import shard
from vlpt.options import parse, to_dict
from vlpt.training.stage import StageOptions

RUNS = {"ddp": "ddp", "fsdp": "fsdp", "words-ended": "ddp", "words-fsdp": "fsdp"}  # by name, and the wrapper of each
STEPS = 3


def options(folder, name: str, lanes: int, *flags: str) -> StageOptions:
    """Everything trained from pixels: each lane plays one of two channels, of which one is hardly counted."""
    stage = "words" if name.startswith("words") else "joint"
    common = (f"--name {name} --runs {folder}/runs --held-out ch2 ch3 --steps {STEPS} --warmup 1 --validate-every 2 "
              f"--save-every 100 --no-progress --device cpu --threads 1 --lanes {lanes} --chunk 8 --accumulate 2")
    more = f"--videos {folder}/videos --vocabulary 280"
    if stage == "joint":
        parts = f"--base {ROOT}/pretrained/base --language {ROOT}/pretrained/words"
        more = (f"--shards {folder}/shards {parts} --ema-decay 0.5 --trunk trained --rate-gates 0.3 --recompute "
                "--count-frames non-null")  # fmt: skip
    return parse(train.OPTIONS, [stage, *common.split(), *more.split(), *flags])


def log(folder, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / "runs" / name / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Shards; one process's runs with two lanes; two processes' runs with a lane each, in one launch."""
    folder = tmp_path_factory.mktemp("parallel")
    for i in range(4):
        record(folder / "videos", f"ch{i}-00", i, 48, word_frames=range(2, 44, 3 + 9 * (i == 1)))
    shard.main(shard.Options(recordings=str(folder / "videos"), labels="truth", out=str(folder / "shards")))
    asked = []
    for name, wrapper in RUNS.items():
        made = replace(options(folder, name, 1), wrapper=wrapper, steps=100 if "ended" in name else STEPS)
        stage = type(made).stage
        asked.append(dict(stage=stage, options=to_dict(made), end_at=2 if "ended" in name else 0))
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               "tests/support/train_together.py", f"{folder}/asked.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    train.train(options(folder, "one", 2))
    train.train(options(folder, "words-one", 2))
    return folder


@pytest.mark.parametrize("name", ["ddp", "fsdp", "words-fsdp"])
def test_two_processes_are_one(data, name):
    """Losses, counted means, gradient norms, gates and validation of every update, though the lanes count unalike."""
    one = "words-one" if name.startswith("words") else "one"
    for ours, theirs in zip(log(data, name), log(data, one), strict=True):
        told = {key: value for key, value in theirs.items() if not key.startswith("speed/") and key != "frames_per_s"}
        assert told.keys() <= ours.keys()
        assert {key: ours[key] for key in told} == pytest.approx(told, abs=1e-4, rel=1e-4)


@pytest.mark.parametrize(("name", "kind"), [("ddp", "DistributedDataParallel"), ("fsdp", "FSDPObjective")])
def test_the_processes_and_the_wrapper_are_those_asked_for(data, name, kind):
    for rank in (0, 1):
        noted = json.loads((data / f"{name}-{rank}.json").read_text())
        assert (noted["world"], noted["wrapper"], noted["steps"]) == (2, kind, STEPS)
        if name == "ddp":
            assert noted["sharded"] == 0
        else:
            assert 0 < noted["weights"] - noted["sharded"] <= 8  # the gates


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_weights_and_their_means_are_saved_whole(data, name):
    for folder in ("model", "ema"):
        ours, theirs = (load_file(data / "runs" / run / "checkpoint" / folder / "model.safetensors")
                        for run in (name, "one"))
        assert ours.keys() == theirs.keys()
        difference = sum((ours[key] - theirs[key]).square().sum() for key in ours).sqrt()
        assert difference < 1e-3 * sum(theirs[key].square().sum() for key in theirs).sqrt()
    assert (data / "runs" / name / "best/config.json").exists()
    assert torch.load(data / "runs" / name / f"ranks/{STEPS}/1.pt", weights_only=True)["stage"]["memory"]


def test_a_signal_to_one_process_ends_both_after_the_same_step(data):
    assert [json.loads((data / f"words-ended-{rank}.json").read_text())["steps"] for rank in (0, 1)] == [2, 2]
    assert log(data, "words-ended")[-1]["step"] == 2
    state = torch.load(data / "runs/words-ended/checkpoint/trainer.pt", weights_only=True)
    assert state["step"] == 2 and (data / "runs/words-ended/ranks/2/1.pt").exists()
    assert not (data / "runs/words-ended/done.json").exists()


def test_what_two_processes_sharded_one_goes_on_from(data):
    """Its lanes are others, so each begins anew where they were; weights and optimiser are whole."""
    place = data / "runs/fsdp"
    (place / "done.json").unlink()
    asked = replace(options(data, "fsdp", 1), steps=STEPS)
    state = torch.load(place / "checkpoint/trainer.pt", weights_only=True)
    torch.save(state | dict(step=STEPS - 1), place / "checkpoint/trainer.pt")  # one more update
    train.train(asked)
    assert log(data, "fsdp")[-1]["step"] == STEPS and (place / "done.json").exists()


def test_sharding_one_process_is_refused(data):
    with pytest.raises(ValueError, match="--wrapper fsdp has no effect in one process"):
        train.train(replace(options(data, "x", 1), wrapper="fsdp"))
