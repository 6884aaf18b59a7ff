"""The motion encoder: the inverse dynamics model's vector of two frames ago, the memory law, and nothing new at birth.

Run: pytest tests/vpt/test_motion.py
"""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chunked_agent import FRAMES, LANES, noise, resets, run

from vpt.idm import IDM, IDMConfig
from vpt.motion import BEFORE, TrunkMemory
from vpt.policy import Policy, PolicyConfig
from vpt.released import settings_of
from vpt.senses import with_last_action, with_motion

SMALL = PolicyConfig(width=16, heads=2, blocks=3, attention_memory_size=9, timesteps=4, impala_width=0.25, px=16)
SMALL_IDM = IDMConfig(width=16, heads=2, blocks=1, conv_channels=6, impala_width=0.25, px=16)


@pytest.fixture(scope="module")
def idm() -> IDM:
    torch.manual_seed(1)
    model = IDM(SMALL_IDM).eval()
    torch.nn.init.normal_(model.temporal.conv.bias, std=0.3)
    return model


@pytest.fixture(scope="module")
def born(idm) -> Policy:
    """An agent that has just got a motion encoder."""
    torch.manual_seed(0)
    return with_motion(Policy(SMALL).eval(), idm)


@pytest.fixture(scope="module")
def policy(born) -> Policy:
    """One that has learned to use it, in double precision."""
    model = Policy(born.config).double().eval()
    model.load_state_dict(born.state_dict())
    torch.nn.init.normal_(model.motion_input.linear.weight)
    return model


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    return noise()


@torch.no_grad()
def test_an_agent_that_gets_it_plays_as_before(born, video):
    torch.manual_seed(0)
    before = Policy(SMALL).eval()
    assert before.motion is None and before.trunk == [before.picture, before.blocks[0]] and before.inputs == []
    assert not any("motion" in name for name in before.state_dict())
    first = resets((1, 7))
    assert torch.equal(run(born, video, first, [6, 11])[0], run(before, video, first, [6, 11])[0])
    old, new = before.state_dict(), born.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert {name.split(".")[0] for name in set(new) - set(old)} == {"motion", "motion_input"}
    told = with_last_action(born)
    assert told.config == replace(SMALL, motion=6, last_action=True) and len(told.inputs) == 2


@torch.no_grad()
def test_it_sees_what_the_inverse_dynamics_model_saw_two_frames_ago(born, idm, video):
    """And before a life, and where one begins within a chunk, frames that are 0."""
    begin = 9
    x, _, memory = born.encode_frames(video, resets((0, begin)), born.start(LANES)[0])
    moved = x[..., SMALL.width:]
    torch.testing.assert_close(moved[1:, BEFORE:], idm.embed(video[1:])[:, 2:-2])
    padded = torch.nn.functional.pad(video[:1, begin:], (0, 0) * 3 + (BEFORE, 0))
    torch.testing.assert_close(moved[:1, begin:], idm.encode([padded])[None])
    assert torch.equal(memory.frames, video[:, -BEFORE:])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_chunks_of_any_size_are_the_whole(policy, video, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, FRAMES - 1))))
    sizes = [b - a for a, b in itertools.pairwise([0, *cuts, FRAMES])]
    places = data.draw(st.lists(st.tuples(st.integers(0, LANES - 1), st.integers(0, FRAMES - 1)), max_size=6))
    whole, after_whole = run(policy, video, resets(*places), [FRAMES])
    for parts in (sizes, [1] * FRAMES):
        chunked, after = run(policy, video, resets(*places), parts)
        torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-9)
        assert torch.equal(after[0].frames, after_whole[0].frames)


@pytest.mark.parametrize("t", [0, 1, 6, FRAMES - 1])
def test_a_reset_lane_is_a_fresh_lane(policy, video, t):
    reset, after = run(policy, video, resets((1, t)), [4, 5, FRAMES - 9])
    plain, _ = run(policy, video, resets(), [4, 5, FRAMES - 9])
    fresh, alone = run(policy, video[1:2, t:], resets()[1:2, t:], [FRAMES - t])
    torch.testing.assert_close(reset[1, t:], fresh[0], rtol=0, atol=1e-9)
    assert torch.equal(after[0].frames[1], alone[0].frames[0]), "nothing of the earlier life is kept"
    torch.testing.assert_close(reset[1, :t], plain[1, :t], rtol=0, atol=1e-9)
    torch.testing.assert_close(reset[[0, 2]], plain[[0, 2]], rtol=0, atol=1e-9)


def test_the_motion_vector_rests_on_five_frames_and_no_later_one(policy, video):
    plain = policy.encode_frames(video, resets((2, 7)), policy.start(LANES)[0])[0][..., SMALL.width:]
    changed = video.clone()
    changed[:, 5] = 255 - changed[:, 5]
    other = policy.encode_frames(changed, resets((2, 7)), policy.start(LANES)[0])[0][..., SMALL.width:]
    touched = ((plain - other).abs().amax(2) > 1e-12).nonzero().tolist()
    assert touched == [[lane, t] for lane, stop in ((0, 10), (1, 10), (2, 7)) for t in range(5, stop)]


def test_memory_is_of_one_size_and_moves_as_a_value(policy, video):
    _, memory = run(policy, video, resets(), [FRAMES])
    trunk, fresh = memory[0], policy.start(LANES)[0]
    assert isinstance(trunk, TrunkMemory) and trunk.frames.shape == fresh.frames.shape == (LANES, BEFORE, 16, 16, 3)
    assert trunk.frames.dtype == torch.uint8 and not fresh.frames.any()
    assert torch.equal(trunk.index([2, 0]).frames, trunk.frames[[2, 0]])
    half = trunk.to(torch.bfloat16)
    assert half.keys.dtype == torch.bfloat16 and half.mask.dtype == torch.bool
    assert torch.equal(half.frames, trunk.frames) and torch.equal(trunk.detach().frames, trunk.frames)


@torch.no_grad()
def test_its_own_outputs_take_the_place_of_pictures(policy, video):
    """What stays frozen with the trunk is in the outputs that are kept; what learns is not."""
    first = resets((1, 7))
    whole, _ = run(policy, video, first, [FRAMES])
    x, patches, _ = policy.encode_frames(video, first, policy.start(LANES)[0])
    packed = policy.pack(x, patches)
    assert packed.shape[2] == policy.packed_width == SMALL.width * 2 + 16 * policy.config.patch_width
    torch.testing.assert_close(run(policy, packed, first, [5, 12])[0], whole, rtol=0, atol=1e-9)
    again = policy.encode_frames(packed, first, policy.start(LANES)[0])
    assert torch.equal(again[0], x) and torch.equal(again[1], patches)


def test_it_learns_through_the_motion_it_sees(born, video):
    output, _ = born(video, resets(), born.start(LANES))
    output.latent.square().sum().backward()
    assert born.motion_input.linear.weight.grad.abs().max() > 0
    born.zero_grad(set_to_none=True)


def test_what_does_not_fit_is_refused(born, idm):
    with pytest.raises(ValueError, match="sees motion already"):
        with_motion(born, idm)
    with pytest.raises(ValueError, match="does not fit an agent"):
        with_motion(Policy(SMALL), IDM(replace(SMALL_IDM, width=32)))
    with pytest.raises(ValueError, match="number of channels"):
        replace(SMALL, motion=-1)
    with pytest.raises(ValueError, match="motion encoder cannot be written as OpenAI's files"):
        settings_of(born)


def test_it_is_kept_on_disk(born, tmp_path):
    born.save_pretrained(tmp_path / "m")
    back = Policy.from_pretrained(tmp_path / "m")
    assert back.config == born.config
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), born.state_dict().values(), strict=True))
