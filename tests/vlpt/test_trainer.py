"""What the trainer does beside training: means of weights, recomputing, checkpoints kept, ends in one line.

Run: pytest tests/vlpt/test_trainer.py             # stage words on the sample's transcripts, and toy models
"""

import builtins
import copy
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from support.places import ROOT, SAMPLES
from support.toy_agent import toy_model

import train
from vlpt.checkpoint import Run, model_folder
from vlpt.language.transformer_xl import TransformerXL
from vlpt.options import parse, to_flags
from vlpt.training.average import Average
from vlpt.training.diverged import Usual, stretches
from vlpt.training.recompute import recompute
from vlpt.training.words import Words

FLAGS = ("--held-out ch4 ch5 --warmup 1 --save-every 2 --no-progress --device cpu --threads 1 --lanes 2 --chunk 8 "
         "--accumulate 1 --vocabulary 280 --steps 4 --validate-every 1 --rate-new 1e-3")  # fmt: skip


def options(folder, name: str, *flags: str):
    return parse(train.OPTIONS, ["words", "--name", name, "--runs", str(folder), "--videos", str(SAMPLES),
                                 *FLAGS.split(), *flags])  # fmt: skip


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run that keeps two checkpoints, means of its weights, and the best."""
    folder = tmp_path_factory.mktemp("runs")
    train.train(options(folder, "kept", "--keep", "2", "--ema-decay", "0.5", "--save-every", "1",
                        "--export", f"{folder}/out"))  # fmt: skip
    return folder / "kept"


def model(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_last_checkpoints_and_the_best_are_kept(kept):
    steps = [path.name for path in (kept / "earlier").iterdir()]
    assert steps == ["3"] and torch.load(kept / "earlier/3/trainer.pt", weights_only=True)["step"] == 3
    best = json.loads((kept / "best/best.json").read_text())
    lowest = min(log(kept)[1:], key=lambda row: row["valid/token"])
    assert (best["step"], best["score"]) == (lowest["step"], lowest["valid/token"])
    for name in ("best", "earlier/3", "checkpoint/ema"):
        place = kept / name / "model" if name == "earlier/3" else model_folder(kept / name)
        TransformerXL.from_pretrained(place)
    assert model_folder(kept) == kept / "checkpoint/model"


def test_a_broken_last_checkpoint_leaves_the_one_before(kept, capsys):
    place = kept / "checkpoint/trainer.pt"
    whole = place.read_bytes()
    place.write_bytes(whole[:100])
    try:
        state = Run(kept, {}, writes=False).load(lambda folder, state: None)
    finally:
        place.write_bytes(whole)
    assert state["step"] == 3 and "going on from" in capsys.readouterr().out


def test_means_of_the_weights_follow_the_formula_and_are_what_is_exported(kept):
    """mean = (mean + weights) / 2: what was exported, from the two checkpoints that are there."""
    before = model(kept / "earlier/3/ema")
    now, mean = model(kept / "checkpoint/model"), model(kept / "checkpoint/ema")
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (before[name] + now[name]) / 2)
        assert torch.equal(model(kept.parent / "out")[name], tensor.half())
    assert any(not torch.equal(mean[name], now[name]) for name in mean)


def test_a_mean_goes_on_where_it_was():
    layer = torch.nn.Linear(2, 2)
    first = Average(layer, 0.9)
    for step in range(3):
        torch.nn.init.constant_(layer.weight, float(step))
        first.update()
    expected = first.means["weight"].clone()
    again = Average(layer, 0.9)
    again.load(first.state())
    assert torch.equal(again.means["weight"], expected)
    torch.nn.init.constant_(layer.weight, 5.0)
    again.update()
    torch.testing.assert_close(again.means["weight"], 0.9 * expected + 0.5)
    assert not Average(layer, 0.0).state()


# ---- recomputing


def test_what_is_made_again_gives_the_same_gradients():
    """Trunk, blocks and language model: bit for bit, and fewer numbers are kept for backward."""
    one = toy_model().train()
    other = recompute(copy.deepcopy(one))
    found = []
    for fused in (one, other):
        kept = []
        pictures = torch.randint(0, 256, (2, 8, fused.policy.config.px, fused.policy.config.px, 3), dtype=torch.uint8,
                                 generator=torch.Generator().manual_seed(0))  # fmt: skip
        heard = torch.arange(16).view(2, 8) % fused.language.vocabulary
        first = torch.zeros(2, 8, dtype=torch.bool)
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            output, _ = fused(pictures, first, heard, fused.start(2))
            loss = output.action.buttons.square().mean() + output.hidden.square().mean()
        loss.backward()
        found.append((loss, {n: p.grad for n, p in fused.named_parameters() if p.grad is not None}, sum(kept)))
    assert torch.equal(found[0][0], found[1][0]) and found[0][1].keys() == found[1][1].keys()
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in found[0][1])
    assert found[1][2] < 0.5 * found[0][2]


def test_recomputing_nothing_is_refused():
    with pytest.raises(ValueError, match="--recompute has no effect"):
        recompute(torch.nn.Linear(2, 2))


# ---- ends


def test_a_loss_that_is_no_number_names_what_was_learned_from_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    asked = options(tmp_path, "bad", "--validate-every", "0")
    losses = Words.losses

    def broken(stage, batch):
        parts = losses(stage, batch)
        bad = stage.batches.position == 4
        return {name: part._replace(total=part.total * float("nan")) if bad else part for name, part in parts.items()}

    monkeypatch.setattr(Words, "losses", broken)
    with pytest.raises(ValueError) as refusal:
        train.train(asked)
    said = str(refusal.value)
    assert said.startswith("the loss is nan at step 4, learning from tokens of chunk 3") and "\n" not in said
    state = torch.load(tmp_path / "bad/checkpoint/trainer.pt", weights_only=True)
    assert state["step"] == 2 and all(x.isfinite().all() for x in model(tmp_path / "bad/checkpoint/model").values())


def test_an_exploding_loss_and_gradient_are_seen_and_frames_are_named():
    usual = Usual(explodes_at=10)
    for step in range(30):
        usual.check(2.0, 1.0, step, lambda: "")
    episode, frame = torch.tensor([[0, 0], [2, -1]]), torch.tensor([[7, 8], [5, 0]])
    place = stretches(episode, frame, ["a", "b", "c"])
    assert place == "a frames 7 to 8, c frames 5 to 5"
    with pytest.raises(ValueError, match="the loss is 21, .* at step 31, learning from a frames 7 to 8, c frames 5 to"):
        usual.check(21.0, 1.0, 31, lambda: place)
    with pytest.raises(ValueError, match="the gradient's norm is inf at step 32"):
        Usual(10, usual.state()).check(2.0, float("inf"), 32, lambda: place)
    Usual(10).check(1e6, 1.0, 1, lambda: place)  # at first everything is usual


def test_sigterm_saves_and_ends_well(tmp_path):
    asked = replace(options(tmp_path, "long"), steps=10**6, save_every=10**6, validate_every=0)
    process = subprocess.Popen([sys.executable, "train.py", "words", *to_flags(asked)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        while not (tmp_path / "long/log.jsonl").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told, said = process.communicate(timeout=60)
    finally:
        process.kill()
    last = log(tmp_path / "long")[-1]["step"]
    assert process.returncode == 0 and f"stopped after step {last}; the same command goes on" in told, said
    assert torch.load(tmp_path / "long/checkpoint/trainer.pt", weights_only=True)["step"] == last


@pytest.mark.parametrize(("flags", "package", "says"), [
    (("--wandb", "x"), "wandb", "--wandb needs the package wandb: pip install wandb"),
    (("--ray", "2"), "ray", r"--ray needs Ray Train: pip install 'ray\[train\]"),
])  # fmt: skip
def test_what_is_not_installed_is_said_in_one_line(tmp_path, monkeypatch, flags, package, says):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest)

    asked = options(tmp_path, "x", *flags)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=says):
        train.train(asked)


def test_a_run_older_than_an_option_goes_on(kept, tmp_path):
    """What it was made without had its default."""
    old = Run(tmp_path / "old", {"steps": 3})
    old.begin()
    Run(tmp_path / "old", {"steps": 3, "keep": 1}, defaults={"keep": 1})
    with pytest.raises(ValueError, match="keep=1 then, 2 now"):
        Run(tmp_path / "old", {"steps": 3, "keep": 2}, defaults={"keep": 1})


def test_every_row_tells_where_time_and_gradients_went(kept):
    row = log(kept)[-1]
    shares = [row[f"speed/share_{part}"] for part in ("data", "forward", "backward", "optimiser")]
    assert all(share > 0 for share in shares) and sum(shares) < 1.01
    assert row["speed/utilisation"] > 0 and row["speed/memory_gb"] > 0 and row["speed/frames_per_s"] > 0
    assert row["norm/language"] == pytest.approx(row["gradient_norm"], rel=1e-5)
