"""What was done at the frame before, as an input: what it says, when it says nothing, and that it changes nothing old.

Run: pytest tests/vpt/test_last_action.py
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vpt.actions import BUTTONS, MINECRAFT
from vpt.last_action import INPUTS, LastAction
from vpt.policy import Policy, PolicyConfig
from vpt.senses import with_last_action

SMALL = PolicyConfig(width=16, heads=2, blocks=3, attention_memory_size=9, timesteps=4, impala_width=0.25, px=16)
LANES, FRAMES = 2, 17


def a_policy(last_action: bool = False) -> Policy:
    torch.manual_seed(0)
    policy = Policy(replace(SMALL, last_action=last_action)).eval()
    if last_action:
        torch.nn.init.normal_(policy.last_action.network[2].weight)
    return policy


@pytest.fixture(scope="module")
def play() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures, flags, and what was done, in part not known."""
    draw = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (LANES, FRAMES, 16, 16, 3), generator=draw, dtype=torch.uint8)
    done = torch.stack([torch.randint(0, n, (LANES, FRAMES), generator=draw) for n in (8641, 121)], 2)
    done[torch.rand(LANES, FRAMES, generator=draw) < 0.3] = -1
    first = torch.zeros(LANES, FRAMES, dtype=torch.bool)
    first[1, 7] = True
    return frames, first, done


def outputs(policy: Policy, frames, first, done=None, sizes=(FRAMES,)) -> torch.Tensor:
    memory, found = policy.start(len(frames)), []
    parts = [None] * len(sizes) if done is None else done.split(sizes, 1)
    for seen, begins, told in zip(frames.split(sizes, 1), first.split(sizes, 1), parts, strict=True):
        output, memory = policy(seen, begins, memory, told)
        found.append(torch.cat([output.latent, output.action.buttons, output.action.camera, output.value], 2))
    return torch.cat(found, 1)


@torch.no_grad()
def test_an_agent_that_is_told_from_now_on_plays_bit_for_bit_as_before(play):
    frames, first, done = play
    policy = a_policy()
    before = outputs(policy, frames, first)
    assert not any("last_action" in name for name in policy.state_dict())
    assert torch.equal(outputs(policy, frames, first, done), before), "one that is not told reads nothing"
    told = with_last_action(policy)
    assert told.config == replace(policy.config, last_action=True) and not told.training
    assert torch.equal(outputs(told, frames, first, done), before)
    old, new = policy.state_dict(), told.state_dict()
    assert set(new) - set(old) == {f"last_action.network.{name}" for name in ("0.weight", "0.bias", "2.weight")}
    assert all(torch.equal(old[name], new[name]) for name in old)
    knows = a_policy(last_action=True)
    assert with_last_action(knows) is knows, "what it has learned stays"


@torch.no_grad()
def test_not_known_adds_exactly_nothing_and_known_something(play):
    frames, first, done = play
    policy = a_policy(last_action=True)
    assert torch.equal(policy.last_action(torch.full((1, 3, 2), -1)), torch.zeros(1, 3, 16))
    assert torch.equal(policy.last_action(torch.tensor([[[3, -1], [-1, 60]]])), torch.zeros(1, 2, 16))
    nothing = outputs(policy, frames, first)
    assert torch.equal(outputs(policy, frames, first, torch.full_like(done, -1)), nothing)
    assert (outputs(policy, frames, first, done) - nothing).abs().max() > 1e-2
    assert policy.last_action(done)[done[..., 0] < 0].abs().max() == 0


@torch.no_grad()
def test_chunks_are_the_whole_and_nothing_acts_before_it_was_done(play):
    frames, first, done = play
    policy = a_policy(last_action=True).double()
    whole = outputs(policy, frames, first, done)
    for sizes in ([1] * FRAMES, [5, 9, 3]):
        torch.testing.assert_close(outputs(policy, frames, first, done, sizes), whole, rtol=0, atol=1e-6)
    changed = done.clone()
    changed[:, 5] = torch.tensor([40, 3])
    different = (outputs(policy, frames, first, changed) - whole).abs().amax(2) > 0
    assert not different[:, :5].any() and different[:, 5].all()
    assert different[0, 6:].any() and not different[1, 7:].any(), "another life"
    one_step, _ = policy.act(frames[:, 0], first[:, 0], policy.start(LANES), temperature=0, last_action=done[:, 0])
    start, _ = policy(frames[:, :1], first[:, :1], policy.start(LANES), done[:, :1])
    assert torch.equal(one_step[0], start.action.buttons[:, 0].argmax(-1))


def test_what_is_read_are_buttons_and_angles():
    """Of a class the buttons that are down, and the camera's bins from -1 to 1, 0 where it stands still."""
    seen = []
    table = LastAction(4)
    table.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    buttons = np.zeros((2, len(BUTTONS)), np.uint8)
    buttons[0, [BUTTONS.index("forward"), BUTTONS.index("jump")]] = 1
    camera_deg = np.array([[-10.0, 10.0], [0.0, 0.0]])
    table(torch.from_numpy(np.stack(MINECRAFT.encode(buttons, camera_deg), -1))[None])
    read = seen[0][0]
    assert read.shape == (2, INPUTS) and torch.equal(read[:, :-2], torch.from_numpy(buttons).float())
    assert read[0, -2:].tolist() == [-1, 1] and read[1, -2:].tolist() == [0, 0]
