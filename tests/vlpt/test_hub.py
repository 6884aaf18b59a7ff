"""Models to the Hugging Face Hub and back, over an imitation of its HTTP interface on this machine (support/hub.py)."""

import json
import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants
from support.hub import TOKEN, serving
from support.toy_agent import pictures, save_toy, tokenizer, toy_model

from vlpt.agent import Agent, PolicyAgent, Sampling, load_agent
from vlpt.checkpoint import model_folder
from vlpt.files import read_json, write_json
from vlpt.joints import Joints
from vlpt.model import VLPT
from vlpt.publish import Options, publish
from vpt.hub import is_hub_name
from vpt.idm import IDM, IDMConfig
from vpt.policy import Policy

NAME = "user/name"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub, the client that asks it, and an empty cache. Its client has read its environment when it was imported."""
    with serving() as hub:
        for name, value in (("ENDPOINT", hub.address), ("HF_HUB_CACHE", str(tmp_path / "cache")),
                            ("HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"),
                            ("HF_HUB_OFFLINE", False), ("HF_HUB_DISABLE_XET", True)):
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        monkeypatch.chdir(tmp_path)
        yield hub


def same(one, other) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def toy_idm() -> IDM:
    torch.manual_seed(0)
    return IDM(IDMConfig(width=32, heads=2, blocks=1, timesteps=8, impala_width=0.25, conv_channels=8))


@pytest.mark.parametrize("make", [lambda: toy_model().policy, toy_idm, toy_model], ids=["Policy", "IDM", "VLPT"])
def test_what_is_pushed_comes_back(hub, make):
    """In one commit; large files went through Git LFS, and nothing was asked that is not imitated."""
    model = make()
    address = model.push_to_hub(NAME)
    first, commit = hub.repositories[NAME]
    assert not first.files and address == f"{hub.address}/{NAME}/commit/{commit.sha}"
    assert set(commit.files) == {"README.md", "config.json", "model.safetensors"}
    assert commit.large >= {"model.safetensors"} and "config.json" not in commit.large
    assert same(type(model).from_pretrained(NAME), model)
    assert any(line.startswith("PUT /lfs/") for line in hub.requests)
    card = ModelCard(commit.files["README.md"].decode())
    assert card.data.license == "mit" and "Nothing is known here" in card.text
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card.text


def test_a_push_replaces_what_it_holds_and_a_revision_is_the_old_one(hub):
    model, other = toy_model().policy, toy_model().policy
    next(other.parameters()).data.zero_()
    model.push_to_hub(NAME)
    other.push_to_hub(NAME, message="the second")
    _, first, second = hub.repositories[NAME]
    assert second.summary == "the second"
    assert same(Policy.from_pretrained(NAME), other)
    assert same(Policy.from_pretrained(NAME, revision=first.sha), model)


def test_an_agent_takes_its_tokenizer_and_its_manner_along_and_acts_the_same(hub):
    agent = Agent(toy_model(), tokenizer(), Sampling(word_temperature=0.6, top_p=0.9, guidance=2.0))
    agent.push_to_hub(NAME)
    for fetched in (Agent.from_pretrained(NAME), load_agent(NAME)):
        assert fetched.sampling == agent.sampling
        for one, other in zip(acts(fetched), acts(agent), strict=True):
            assert one[0].keys() == other[0].keys() and all(np.array_equal(one[0][k], other[0][k]) for k in one[0])
            assert one[1] == other[1]
    alone = PolicyAgent(toy_model().policy, Sampling(action_temperature=0.5))
    alone.push_to_hub("user/alone")
    fetched = load_agent("user/alone")
    assert not fetched.speaks and fetched.sampling == alone.sampling and same(fetched.model, alone.model)


def acts(agent: Agent, frames: int = 6) -> list:
    memory, found = agent.hear("chop a tree", agent.start(seed=1)), []
    for t in range(frames):
        (action,), (word,), memory = agent.act(list(pictures(1, t)), memory)
        found.append((dict(action), word))
    return found


@pytest.fixture
def in_parts(tmp_path):
    """An agent as pretrained/agent is: its folder names its parts."""
    model, folder = toy_model(), tmp_path / "agent"
    model.policy.save_pretrained(tmp_path / "base")
    model.language.save_pretrained(tmp_path / "words")
    Joints.of(model).save_pretrained(tmp_path / "joints")
    save_toy(folder)
    (folder / "model.safetensors").unlink()
    parts = {"policy": "../base", "language": "../words", "joints": "../joints"}
    write_json(folder / "config.json", {"model": "VLPT", "parts": parts})
    write_json(folder / "sampling.json", {"top_p": 0.5})
    write_json(tmp_path / "joints/options.json", {"options": {
        "stage": "action", "shards": "data/toy", "held_out": ["ch7"], "steps": 5, "seed": 3}, "commit": "abc1234"})
    write_json(tmp_path / "joints/done.json", {"valid/action": 0.8765, "alone/action": 0.9, "unigram/action": 3.25})
    return folder


def test_an_agent_in_parts_is_pushed_whole_with_what_was_measured(hub, in_parts, tmp_path):
    evidence = {"understanding": {"readings": {"states": {"all": {"share": 0.9342, "low": 0.91, "high": 0.95}}}},
                "steering": {"steering": {"jump": {"delta": 0.9, "low": 0.6, "high": 1.2, "arenas": 8},
                                          "tree": {"delta": 0.1, "low": -0.1, "high": 0.3, "arenas": 8}}}}
    write_json(tmp_path / "evidence.json", evidence)
    (tmp_path / "about.md").write_text("## Data\n\nToys.\n")
    publish(Options(str(in_parts), to=NAME, evidence="evidence.json", about="about.md"))
    files = hub.repositories[NAME][-1].files
    assert set(files) == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "sampling.json"}
    assert "parts" not in json.loads(files["config.json"])
    fetched = load_agent(NAME)
    assert same(fetched.model, toy_model()) and fetched.sampling.top_p == 0.5
    card = files["README.md"].decode()
    assert "Toys." in card and "`data/toy`" in card and "ch7" in card and "abc1234" in card
    assert "| actions, nats a frame | 0.876 | 0.900 | 3.250 |" in card
    assert "0.93 [0.91, 0.95]" in card and "not measured" in card
    assert "- tree: +0.10" in card and "- jump" not in card


def test_a_run_is_published_from_its_checkpoint_and_can_be_looked_at_first(tmp_path):
    save_toy(tmp_path / "run/checkpoint/model")
    write_json(tmp_path / "run/options.json", {"options": {"stage": "joint", "shards": "data/toy", "steps": 7}})
    publish(Options(str(tmp_path / "run"), out=str(tmp_path / "out"), half=True))
    kept = VLPT.from_pretrained(tmp_path / "out")
    halved = {key: value.half().float() for key, value in toy_model().state_dict().items() if value.is_floating_point()}
    assert all(torch.equal(kept.state_dict()[key], value) for key, value in halved.items())
    assert (tmp_path / "out/tokenizer.json").is_file() and "Stage `joint`" in (tmp_path / "out/README.md").read_text()
    write_json(tmp_path / "empty.json", {"other": 1})
    write_json(tmp_path / "anothers.json", {"weights": "0123456789abcdef"})
    for options, says in ((dict(evidence=str(tmp_path / "empty.json")), "no number"), (dict(model="x"), "no model"),
                          (dict(evidence=str(tmp_path / "anothers.json")), "is of other weights than")):
        with pytest.raises(ValueError, match=says):
            publish(replace(Options(str(tmp_path / "run"), out=str(tmp_path / "other")), **options))
        assert not (tmp_path / "other").exists()
    for wrong in (dict(), dict(to=NAME, out="x"), dict(to="name"), dict(out="x", private=True)):
        with pytest.raises(ValueError, match="--"):
            Options("run", **wrong)


def test_wrong_names_are_one_line(hub, tmp_path):
    Policy(toy_model().config.policy).push_to_hub("user/policy")
    hub.repositories["user/gated"] = hub.repositories["user/policy"]
    hub.gated.add("user/gated")
    hub.repositories["user/readme"] = [replace(hub.repositories["user/policy"][-1], files={"README.md": b"hello"})]
    hub.repositories["user/parts"] = [replace(hub.repositories["user/policy"][-1], files={"config.json": json.dumps(
        {"model": "VLPT", "parts": {"policy": "/a", "language": "/b", "joints": "/c"}}).encode()})]
    (tmp_path / "here").mkdir()
    for load, name, says in (
        (load_agent, "user/nothing", "there is no such repository"), (IDM.from_pretrained, "user/nothing", "no such"),
        (load_agent, "user/gated", "ask on its page"), (load_agent, "user/readme", "has no config.json"),
        (load_agent, "user/parts", "push it whole"), (VLPT.from_pretrained, "user/parts", "does not know"),
        (IDM.from_pretrained, "user/policy", r"^user/policy \(Hugging Face Hub\):/config.json describes a Policy, not"),
        (Agent.from_pretrained, "user/policy", "describes a Policy, not a VLPT"),
        (load_agent, "no/such/folder", "no model in no/such/folder.*user/name"), (load_agent, "name", "no model in"),
        (Policy.from_pretrained, "no/such/folder", "neither a folder here nor"), (load_agent, "here/x", "no model in"),
        (load_agent, "runs/typo", "no model in runs/typo"), (Policy.from_pretrained, "data/typo", "neither a folder"),
    ):
        with pytest.raises(ValueError, match=says) as error:
            load(name)
        assert "\n" not in str(error.value), error.value
    assert not any("runs" in line or "here" in line for line in hub.requests), "a name of this machine was sent"
    with pytest.raises(ValueError, match="no such revision"):
        Policy.from_pretrained("user/policy", revision="0" * 39 + "f0")
    with pytest.raises(ValueError, match="no name on the Hugging Face Hub"):
        toy_model().push_to_hub("a name")


def test_an_idm_is_not_played(hub):
    toy_idm().push_to_hub(NAME)
    with pytest.raises(ValueError, match="^user/name holds an IDM: vlpt.play takes"):
        load_agent(NAME)


def test_a_push_that_fails_leaves_nothing_half(hub, monkeypatch):
    for part in ("/lfs/", "/commit/", "/preupload/", "repos/create"):
        hub.fail[part] = 400
        with pytest.raises(ValueError, match=f"{NAME} cannot be pushed to the .* Hub: it answers 400") as error:
            toy_idm().push_to_hub(NAME)
        assert "\n" not in str(error.value)
        assert not any(commit.files for commit in hub.repositories.get(NAME, []))
        hub.fail.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(ValueError, match="hf auth login"):
        toy_idm().push_to_hub(NAME)


def test_without_a_network_what_was_fetched_serves(hub, monkeypatch):
    model = toy_idm()
    model.push_to_hub(NAME)
    IDM.from_pretrained(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(IDM.from_pretrained(NAME), model)
    for load in (load_agent, IDM.from_pretrained):
        with pytest.raises(ValueError, match="^user/other cannot be fetched .*HF_HUB_OFFLINE is set") as error:
            load("user/other")
        assert "\n" not in str(error.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody answers
    assert same(IDM.from_pretrained(NAME), model)
    for name, act in (("fetched", lambda: load_agent("user/other")), ("pushed", lambda: model.push_to_hub(NAME))):
        with pytest.raises(ValueError, match=f"cannot be {name}.*http://127.0.0.1:9 does not answer"):
            act()


def test_names_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert is_hub_name("user/name") and is_hub_name("openai/vpt-2x.v1")
    assert not any(map(is_hub_name, ("mine/x", "runs/x", "data/x", "pretrained/x", "a/b/c", "/a/b", "a", "../b")))


def test_play_takes_a_name(hub, tmp_path, monkeypatch):
    """The program itself, from its command line on."""
    Agent(toy_model(), tokenizer()).push_to_hub(NAME)
    command = ["vlpt.play", "--model", NAME, "--world", "dummy", "--seconds", "0.5"]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.delitem(sys.modules, "vlpt.play", raising=False)
    runpy.run_module("vlpt.play", run_name="__main__")
    assert (tmp_path / "play.mp4").stat().st_size > 1000
    assert len((tmp_path / "play.jsonl").read_text().splitlines()) == 10
    assert model_folder(NAME).is_dir() and read_json(model_folder(NAME) / "config.json")["model"] == "VLPT"
