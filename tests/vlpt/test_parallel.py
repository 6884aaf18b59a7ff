"""Two processes train as one: by DDP and by FSDP2, over gloo; what one saves the other goes on from.

Run: pytest tests/vlpt/test_parallel.py            # two launches of two processes for all tests
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file
from support.numbered_recordings import record
from support.places import ROOT

import train
from data_gathering import shard
from vlpt.checkpoint import Run, model_folder
from vlpt.model import VLPT
from vlpt.options import parse, to_dict
from vlpt.training.stage import StageOptions

# By name, and the wrapper of each. `fsdp` is killed in its second checkpoint, and goes on; so does a copy by DDP.
RUNS = {"ddp": "ddp", "words-ended": "ddp", "words-fsdp": "fsdp", "decoder": "fsdp", "fsdp": "fsdp"}
GO_ON = {"fsdp": "fsdp", "fsdp-ddp": "ddp"}
STEPS = 3


def options(folder, name: str, lanes: int, *flags: str) -> StageOptions:
    """Everything trained from pixels: each lane plays one of two channels, of which one is hardly counted."""
    stage = "words" if name.startswith("words") else "joint"
    common = (f"--name {name} --runs {folder}/runs --held-out ch2 ch3 --steps {STEPS} --warmup 1 --validate-every 2 "
              f"--no-progress --device cpu --threads 1 --lanes {lanes} --chunk 8 --accumulate 2")
    more = f"--videos {folder}/videos --vocabulary 280"
    if stage == "joint":
        more = (f"--shards {folder}/shards --base {ROOT}/pretrained/base --ema-decay 0.5 --rate-gates 0.3 --recompute "
                "--count-frames non-null --language ")  # fmt: skip
        if name.startswith("decoder"):  # of another family, its trunk's outputs cached
            more += f"{folder}/hub --flamingo-every 1"
        else:
            more += f"{ROOT}/pretrained/words --trunk trained --save-every 1 --keep {STEPS}"
    return parse(train.OPTIONS, [stage, *common.split(), *more.split(), *flags])


def log(folder, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / "runs" / name / "log.jsonl").read_text().splitlines()]


def tied_decoder(folder) -> None:
    """As a hub publishes one, with the words' tokenizer; one table is its input and its output."""
    source = ROOT / "pretrained/words"
    size = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2)
    vocabulary = json.loads((source / "config.json").read_text())["vocabulary"]
    config = transformers.LlamaConfig(vocab_size=vocabulary, tie_word_embeddings=True, **size)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    shutil.copy(source / "tokenizer.json", folder)


def train_together(folder, runs: dict[str, str]) -> subprocess.CompletedProcess:
    """All these in two processes with a lane each."""
    asked = []
    for name, wrapper in runs.items():
        made = replace(options(folder, name, 1), wrapper=wrapper, steps=100 if "ended" in name else STEPS,
                       export=f"{folder}/{name}-out" if runs is GO_ON else "")  # fmt: skip
        asked.append(dict(stage=type(made).stage, options=to_dict(made), end_at=2 if "ended" in name else 0,
                          killed_at=2 if name == "fsdp" and runs is RUNS else 0))  # fmt: skip
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               "tests/support/train_together.py", f"{folder}/asked.json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Shards; one process's runs with two lanes; two processes' runs with a lane each, in one launch, whose last run is
    killed."""
    folder = tmp_path_factory.mktemp("parallel")
    for i in range(4):
        frames = 48 if i < 2 else 16  # two to train on, two held out
        record(folder / "videos", f"ch{i}-00", i, frames, word_frames=range(2, frames - 4, 3 + 9 * (i == 1)))
    shard.main(shard.Options(recordings=str(folder / "videos"), labels="truth", out=str(folder / "shards")))
    tied_decoder(folder / "hub")
    done = train_together(folder, RUNS)
    assert (folder / "decoder-1.json").exists() and "Signal 9" in done.stderr, done.stderr[-3000:]
    for name in ("one", "words-one", "decoder-one"):
        train.train(options(folder, name, 2))
    return folder


@pytest.fixture(scope="module")
def resumed(data):
    """What was killed, gone on with by two processes, and copies for others to go on from."""
    for name in ("fsdp-ddp", "fsdp-alone", "fsdp-parts", "ddp-alone"):
        shutil.copytree(data / "runs" / name.split("-")[0], data / "runs" / name)
    place = data / "runs/ddp-alone"  # as if it had stopped after its first update too
    (place / "done.json").unlink()
    shutil.rmtree(place / "checkpoint")
    (place / "earlier/1").rename(place / "checkpoint")
    shutil.rmtree(place / "earlier")
    done = train_together(data, GO_ON)
    assert done.returncode == 0, done.stderr[-3000:]
    return data


def assert_told_alike(ours: list[dict], theirs: list[dict]) -> None:
    for our, their in zip(ours, theirs, strict=True):
        told = {key: value for key, value in their.items() if not key.startswith("speed/") and key != "frames_per_s"}
        assert told.keys() <= our.keys()
        assert {key: our[key] for key in told} == pytest.approx(told, abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("name", ["ddp", "words-fsdp", "decoder"])
def test_two_processes_are_one(data, name):
    """Losses, counted means, gradient norms, gates and validation of every update, though the lanes count unalike."""
    one = f"{name.split('-')[0]}-one" if name.startswith(("words", "decoder")) else "one"
    assert_told_alike(log(data, name), log(data, one))


@pytest.mark.parametrize(("name", "kind"), [("ddp", "DistributedDataParallel"), ("fsdp", "FSDPObjective")])
def test_the_processes_and_the_wrapper_are_those_asked_for(resumed, name, kind):
    for rank in (0, 1):
        noted = json.loads((resumed / f"{name}-{rank}.json").read_text())
        assert (noted["world"], noted["wrapper"]) == (2, kind)
        if name == "ddp":
            assert (noted["sharded"], noted["steps"]) == (0, STEPS)
        else:
            assert 0 < noted["weights"] - noted["sharded"] <= 8  # the gates
            assert noted["steps"] == noted["saved"] == STEPS - 1 and not noted["put_together"]  # each saved its part


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_weights_and_their_means_are_those_of_one_process(resumed, name):
    for folder in ("model", "ema"):
        ours, theirs = (load_file(resumed / "runs" / run / "checkpoint" / folder / "model.safetensors")
                        for run in (name, "one"))
        assert ours.keys() == theirs.keys()
        difference = sum((ours[key] - theirs[key]).square().sum() for key in ours).sqrt()
        assert difference < 1e-3 * sum(theirs[key].square().sum() for key in theirs).sqrt()
    assert (resumed / "runs" / name / "best/model.safetensors").exists()
    assert torch.load(resumed / "runs" / name / f"ranks/{STEPS}/1.pt", weights_only=True)["stage"]["memory"]


def test_a_signal_to_one_process_ends_both_after_the_same_step(data):
    assert [json.loads((data / f"words-ended-{rank}.json").read_text())["steps"] for rank in (0, 1)] == [2, 2]
    assert log(data, "words-ended")[-1]["step"] == 2
    state = torch.load(data / "runs/words-ended/checkpoint/trainer.pt", weights_only=True)
    assert state["step"] == 2 and (data / "runs/words-ended/ranks/2/1.pt").exists()
    assert not (data / "runs/words-ended/done.json").exists()


def test_a_kill_in_mid_save_leaves_the_checkpoint_before_it_and_the_best_whole(resumed):
    """As a copy shows that nobody went on from: no file of the second checkpoint has come into the first one's place.
    """
    place = resumed / "runs/fsdp-alone"
    assert torch.load(place / "checkpoint/trainer.pt", weights_only=True)["step"] == 1
    for folder in (place, place / "checkpoint/ema", place / "best"):  # a part from each process, read as one model
        found = model_folder(folder)
        assert len(list(found.glob("shard-*.safetensors"))) == 2 and not (found / "model.safetensors").exists()
        VLPT.from_pretrained(found)
    assert json.loads((place / "best/best.json").read_text())["step"] == 2


def test_a_broken_or_missing_part_is_named(resumed, tmp_path):
    """Of the weights, and of the optimiser, which is looked at before training begins."""
    place = shutil.copytree(resumed / "runs/fsdp-parts", tmp_path / "run") / "checkpoint"
    part = sorted((place / "optimizer").glob("shard-*"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="optimizer cannot be read as safetensors.*; to begin anew, delete"):
        Run(tmp_path / "run", {}, writes=False).load(lambda folder, state: None)
    part.unlink()
    with pytest.raises(ValueError, match="optimizer is not whole: parts of .* tensors, as .*, are missing"):
        Run(tmp_path / "run", {}, writes=False).load(lambda folder, state: None)
    sorted((place / "model").glob("shard-*"))[-1].unlink()
    with pytest.raises(ValueError, match="model.safetensors does not fit VLPT: "):
        VLPT.from_pretrained(place / "model")


@pytest.mark.parametrize("name", GO_ON)
def test_two_processes_go_on_from_shards_as_if_nothing_had_happened(resumed, name):
    """By FSDP and by DDP; what it ends with is a model like any other, and nothing unfinished is left."""
    assert_told_alike(log(resumed, name), log(resumed, "one"))
    place = resumed / "runs" / name
    assert [path.name for path in (place / "checkpoint/model").glob("*.safetensors")] == ["model.safetensors"]
    out, mean = (load_file(folder / "model.safetensors")
                 for folder in (resumed / f"{name}-out", place / "checkpoint/ema"))  # fmt: skip
    assert out.keys() == mean.keys() and all(torch.equal(out[key], mean[key].to(out[key].dtype)) for key in out)
    assert not list(place.glob("*.tmp")) and not list(place.glob("*.old"))
    assert sorted(path.name for path in (place / "earlier").iterdir()) == ["1", "2"]


def test_one_process_goes_on_from_shards_as_from_a_whole_checkpoint(resumed):
    """Its lanes are others, so each begins anew where they were; weights, optimiser and means are the same."""
    for name in ("fsdp-alone", "ddp-alone"):
        train.train(replace(options(resumed, name, 1), stop_after=2))
    assert_told_alike(log(resumed, "fsdp-alone"), log(resumed, "ddp-alone"))
    ours, theirs = (load_file(resumed / "runs" / name / "checkpoint/ema/model.safetensors")
                    for name in ("fsdp-alone", "ddp-alone"))  # fmt: skip
    difference = sum((ours[key] - theirs[key]).abs().sum() for key in ours)
    assert difference < 1e-4 * sum(x.abs().sum() for x in theirs.values())


def test_sharding_one_process_is_refused(data):
    with pytest.raises(ValueError, match="--wrapper fsdp has no effect in one process"):
        train.train(replace(options(data, "x", 1), wrapper="fsdp"))
