"""Stage finder on the sample recordings, and what stage action makes of it, from the committed agent.

Run: pytest tests/vlpt/test_finder.py
"""

import json

import numpy as np
import pytest
import torch
from support.places import ROOT, SAMPLES
from support.small_shards import make_shards

import train
from vlpt.data.meant import THINGS
from vlpt.files import write_json
from vlpt.model import VLPT
from vlpt.options import parse
from vlpt.training.finder import read_finder
from vlpt.write_joints import Options as Writing
from vlpt.write_joints import main as write_joints

TRAINED = ("policy.blocks.1", "policy.blocks.2", "policy.blocks.3", "policy.last.", "policy.final_norm.",
           "frames_ask_words.", "intention.", "target.")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards of two recordings, a finder trained on one of them."""
    folder = tmp_path_factory.mktemp("finder")
    make_shards(SAMPLES, folder / "shards", only=["ch0-00", "ch1-00"])
    run(folder, "finder", "finder", "--steps 60 --lanes 32")
    return folder


def run(folder, stage: str, name: str, flags: str) -> list[dict]:
    """Trains; the rows of the log."""
    views = f"--views {SAMPLES}" if stage == "finder" else ""
    common = f"--name {name} --runs {folder}/runs --shards {folder}/shards --held-out ch1 --warmup 2 --no-progress " \
             f"--device cpu --save-every 1000 {views} {flags}"
    train.train(parse(train.OPTIONS, [stage, *common.split()]))
    return [json.loads(line) for line in (folder / "runs" / name / "log.jsonl").read_text().splitlines()]


def weights(folder, name: str) -> dict[str, torch.Tensor]:
    return read_finder(folder / "runs" / name).state_dict()


def test_it_learns_and_goes_on_as_if_it_had_not_been_stopped(folder):
    rows = [json.loads(line) for line in (folder / "runs/finder/log.jsonl").read_text().splitlines()]
    found = [row["in_view"] for row in rows if "in_view" in row]
    assert np.mean(found[-10:]) < 0.9 * np.mean(found[:3]) and rows[0]["unigram/in_view"] > 0
    flags = "--steps 6 --lanes 8 --validate-every 0"
    run(folder, "finder", "whole", flags)
    run(folder, "finder", "pieces", f"{flags} --stop-after 3")
    run(folder, "finder", "pieces", flags)
    for name, weight in weights(folder, "whole").items():
        assert torch.equal(weight, weights(folder, "pieces")[name]), name


def test_an_agent_that_gets_it_learns_to_go_and_only_its_blocks_and_readers_change(folder):
    flags = f"--start pretrained/agent --finder {folder}/runs/finder --steps 2 --lanes 1 --chunk 32 --accumulate 1 " \
            "--tell-destination 0.5 --only-blocks --validate-every 0"
    rows = run(folder, "action", "goes", flags)
    assert rows[-1]["meant"] > 0
    before, after = VLPT.from_pretrained(ROOT / "pretrained/agent"), folder / "runs/goes/checkpoint/model"
    goes = VLPT.from_pretrained(after)
    old, new = before.state_dict(), goes.state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed and all(name.startswith(TRAINED) for name in changed)
    assert any(name.startswith("policy.blocks.1") for name in changed)
    write_joints(Writing(str(after), str(folder / "joints"), body=True))
    parts = dict(policy=str(ROOT / "pretrained/base"), language=str(ROOT / "pretrained/words"), joints="../joints")
    write_json(folder / "agent/config.json", {"model": "VLPT", "parts": parts})
    again = VLPT.from_pretrained(folder / "agent")
    assert again.config == goes.config or again.config.own_body
    for name, weight in again.state_dict().items():
        torch.testing.assert_close(weight, new[name], atol=2e-3, rtol=2e-3)


def test_bad_input_is_named(folder):
    with pytest.raises(ValueError, match="view.jsonl.gz is missing: make it with python -m data_gathering.view"):
        run(folder, "finder", "blind", f"--views {folder}")
    with pytest.raises(ValueError, match="holds an agent without a finder: make one with python train.py finder"):
        read_finder(str(ROOT / "pretrained/base"))
    write_joints(Writing(str(folder / "runs/goes/checkpoint/model"), str(folder / "without")))
    parts = dict(policy=str(ROOT / "pretrained/base"), language=str(ROOT / "pretrained/words"), joints="../without")
    write_json(folder / "bodiless/config.json", {"model": "VLPT", "parts": parts})
    with pytest.raises(ValueError, match="need an agent with a finder"):
        VLPT.from_pretrained(folder / "bodiless")
    assert len(THINGS) == 12
