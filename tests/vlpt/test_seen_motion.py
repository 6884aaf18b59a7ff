"""An agent that sees motion, joined with words, cached and trained: the law of memory, features, stage base, play.

Run: pytest tests/vlpt/test_seen_motion.py
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.numbered_recordings import record
from support.outputs import by_frame
from support.toy_agent import pictures, tokenizer, toy_model

import train
from data_gathering import shard
from vlpt.agent import Agent, PolicyAgent
from vlpt.data.shards import Shards
from vlpt.data.trunk_features import cache_features, trunk_key
from vlpt.model import VLPT
from vlpt.options import parse
from vlpt.training.base import Base, BaseOptions
from vpt.idm import IDM, IDMConfig
from vpt.policy import Policy, PolicyConfig
from vpt.senses import with_motion

IDM_CONFIG = IDMConfig(width=32, heads=2, blocks=1, conv_channels=6, impala_width=0.25)


def an_agent(px: int = 128) -> Policy:
    """One that has learned to use the motion it sees."""
    torch.manual_seed(0)
    plain = Policy(PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25,
                                px=px, last_action=True))  # fmt: skip
    policy = with_motion(plain, IDM(replace(IDM_CONFIG, px=px))).eval()
    torch.nn.init.normal_(policy.motion_input.linear.weight, std=0.3)
    return policy


def joined(px: int = 128) -> VLPT:
    toy = toy_model()
    how = dict(frames_per_tick=4, frame_window=20, patch_window=10, words_window=40, cross_heads=2, cross_head_width=16)
    model = VLPT.from_parts(an_agent(px), toy.language, **how).eval()
    for gate in model.groups()["gates"]:
        torch.nn.init.constant_(gate, 0.7)
    return model


# ---- joined with words


@torch.no_grad()
def test_joined_chunks_are_the_whole_with_resets_anywhere():
    model, lanes, frames = joined(px=16), 3, 44
    draw = torch.Generator().manual_seed(3)
    seen = torch.randint(0, 256, (lanes, frames, 16, 16, 3), generator=draw, dtype=torch.uint8)
    first = torch.rand(lanes, frames, generator=draw) < 0.08
    assert first[:, 1:].any()
    heard = torch.randint(0, model.language.vocabulary + 1, (lanes, frames), generator=draw)
    done = torch.stack([torch.randint(-1, n, (lanes, frames), generator=draw) for n in (8641, 121)], 2)

    def run(frames_shown, sizes):
        memory, found = model.start(lanes), []
        for part in zip(*(x.split(sizes, 1) for x in (frames_shown, first, heard, done)), strict=True):
            sight, begins, words, told = part
            output, memory = model(sight, begins, words, memory, told)
            found.append(by_frame(model, output, begins.shape[1]))
        return {name: torch.cat([piece[name] for piece in found], 1) for name in found[0]}, memory

    whole, last = run(seen, [frames])
    x, patches, _ = model.policy.encode_frames(seen, first, model.start(lanes).blocks[0])
    for shown, sizes in ((seen, [1] * frames), (seen, [7, 1, 20, 16]), (model.policy.pack(x, patches), [5, 39])):
        parts, memory = run(shown, sizes)
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, atol=1e-4, rtol=1e-4)
        if shown is seen:
            assert torch.equal(memory.blocks[0].frames, last.blocks[0].frames) and memory.bytes == last.bytes


def test_the_joined_memory_is_still_a_value():
    model = joined(px=16)
    memory, first = model.start(2), torch.zeros(2, 6, dtype=torch.bool)
    seen = torch.randint(1, 256, (2, 6, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        _, after = model(seen, first, torch.zeros(2, 6, dtype=torch.long), memory)
    assert after.bytes == memory.bytes and torch.equal(after.blocks[0].frames, seen[:, -4:])
    gone = after.reset(torch.tensor([True, False])).detach().to("cpu")
    assert not gone.blocks[0].frames[0].any() and torch.equal(gone.blocks[0].frames[1], seen[1, -4:])
    assert torch.equal(after.index([1]).blocks[0].frames, seen[1:, -4:])


def test_every_parameter_has_one_group_and_the_trunk_stays_frozen():
    model = joined(px=16)
    every = [id(p) for parameters in model.groups().values() for p in parameters]
    assert sorted(every) == sorted(id(p) for p in model.parameters())
    model.freeze("joint")
    assert not any(p.requires_grad for part in model.policy.trunk for p in part.parameters())
    assert all(p.requires_grad for part in model.policy.inputs for p in part.parameters())
    model.freeze("joint", trunk="trained")
    assert all(p.requires_grad for p in model.policy.motion.parameters())


@pytest.mark.parametrize("kind", ["alone", "joined"])
def test_it_plays(kind):
    """Frame by frame, lanes apart, and a life that begins anew has seen nothing."""
    agent = PolicyAgent(an_agent()) if kind == "alone" else Agent(joined(), tokenizer())
    memory = agent.start(lanes=2, seed=1)
    for t in range(6):
        actions, _, memory = agent.act(pictures(2, t), memory)
    assert len(actions) == 2
    again = agent.reset(memory, [True, True])
    fresh = replace(agent.start(lanes=2), generator=memory.generator)
    for t in range(6, 12):
        _, words, again = agent.act(pictures(2, t), again)
        _, others, fresh = agent.act(pictures(2, t), fresh)
        assert torch.equal(again.last_action, fresh.last_action) and words == others


# ---- cached and trained


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three channels of a few seconds, their shards, an inverse dynamics model and an agent as folders."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(3):
        record(folder / "videos", f"ch{i}-00", i, 150 if not i else 40)
    shard.main(shard.Options(recordings=str(folder / "videos"), labels="truth", out=str(folder / "shards")))
    torch.manual_seed(0)
    IDM(replace(IDM_CONFIG, width=128, impala_width=0.5)).save_pretrained(folder / "idm")
    return folder


def options(folder, name: str, *flags: str) -> BaseOptions:
    common = f"--name {name} --runs {folder}/runs --shards {folder}/shards --held-out ch2 --steps 2 --warmup 1 " \
             "--save-every 1 --no-progress --device cpu --lanes 2 --chunk 8 --accumulate 1 --validate-every 1"
    return parse(train.OPTIONS, ["base", *common.split(), *flags])


def test_cached_features_are_what_pixels_give(data):
    """Over chunks of the cache and of the reader, the motion that is seen among them, found again by its weights."""
    policy, shards = an_agent(), Shards(data / "shards")
    read_features = cache_features(policy, shards, folder=data / "cached")
    episode = shards.episodes[0]
    frames = torch.from_numpy(shards.read_frames(episode, 0, episode.n_frames))[None]
    first = torch.arange(episode.n_frames)[None] == 0
    with torch.no_grad():
        x, patches, _ = policy.encode_frames(frames, first, policy.start(1)[0])
        rows = read_features(episode, 0, episode.n_frames)
        np.testing.assert_allclose(rows, policy.pack(x, patches)[0], atol=2e-3, rtol=2e-3)
        seen, _ = policy(frames, first, policy.start(1))
        cached, _ = policy(torch.from_numpy(rows.copy())[None], first, policy.start(1))
    torch.testing.assert_close(cached.latent, seen.latent, atol=2e-2, rtol=2e-2)
    before = trunk_key(policy)
    torch.nn.init.normal_(policy.motion_input.linear.weight)
    assert trunk_key(policy) == before, "what learns is not in the features"
    torch.nn.init.normal_(policy.motion.temporal.conv.bias)
    assert trunk_key(policy) != before


def test_stage_base_adds_it_trains_what_uses_it_and_resumes(data):
    train.train(options(data, "born"))
    flags = ("--start", f"{data}/runs/born", "--motion-from", f"{data}/idm", "--trunk", "frozen", "--rate-pretrained",
             "1e-2")  # fmt: skip
    train.train(options(data, "seeing", *flags))
    before, after = (json.loads((data / f"runs/{name}/log.jsonl").read_text().splitlines()[line])["valid/action"]
                     for name, line in (("born", -1), ("seeing", 0)))
    assert after == pytest.approx(before, abs=2e-3), "as before at first"
    made = load_file(data / "runs/seeing/checkpoint/model/model.safetensors")
    given = load_file(data / "idm/model.safetensors")
    for name, weight in made.items():
        if name.startswith("motion."):
            assert torch.equal(weight, given[name.removeprefix("motion.")])
    assert made["motion_input.linear.weight"].abs().max() > 0
    cut = options(data, "cut", *flags)
    train.train(replace(cut, stop_after=1))
    train.train(cut)
    resumed = load_file(data / "runs/cut/checkpoint/model/model.safetensors")
    assert all(torch.equal(resumed[name], made[name]) for name in made)


def test_an_agent_made_anew_gets_it_as_it_was(data):
    """Standardising the norms of what is new leaves the inverse dynamics model's filters alone."""
    stage = Base(options(data, "x", "--motion-from", f"{data}/idm"), torch.device("cpu"))
    given = load_file(data / "idm/model.safetensors")
    for name, weight in stage.model.motion.state_dict().items():
        assert torch.equal(weight, given[name])
    assert {id(p) for p in stage.model.motion.parameters()} <= {id(p) for p in stage.groups()["picture"]}


def test_an_inverse_dynamics_model_that_does_not_fit_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="--motion-from .*nowhere.*train it first"):
        train.train(options(data, "y", "--motion-from", f"{tmp_path}/nowhere"))
    IDM(IDM_CONFIG).save_pretrained(tmp_path / "narrow")
    with pytest.raises(ValueError, match="--motion-from .*narrow.*does not fit an agent"):
        train.train(options(data, "y", "--motion-from", f"{tmp_path}/narrow"))
    assert not (data / "runs/y").exists()
