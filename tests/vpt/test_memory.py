"""The memory law of the agent: whole video = chunks of any sizes = single frames, resets anywhere; and causality.

Everything runs in double precision on 16x16 pictures, so that "equal" means 1e-9 and "no effect" means exactly none.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chunked_agent import FRAMES, LANES, noise, resets, run

from vpt.attention import Attention, Block, BlockMemory, ages_to_columns, window_mask
from vpt.cnn import pool_relu
from vpt.idm import IDM, IDMConfig, with_distances
from vpt.policy import Policy, PolicyConfig

WINDOW = 5
CONFIG = PolicyConfig(
    width=16, heads=2, blocks=3, attention_memory_size=WINDOW + 4, timesteps=4, impala_width=0.25, px=16
)


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.manual_seed(0)
    model = Policy(CONFIG).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # so that no term hides behind its initial zero
            if name.endswith("bias") or "curves" in name:
                parameter.normal_(std=0.3)
    return model


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    return noise()


def same_memory(one, two) -> None:
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.mask, b.mask)
        torch.testing.assert_close(a.keys, b.keys, rtol=0, atol=1e-9)
        torch.testing.assert_close(a.values, b.values, rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_chunks_of_any_size_are_the_whole(policy, video, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, FRAMES - 1))))
    sizes = [b - a for a, b in itertools.pairwise([0, *cuts, FRAMES])]
    places = data.draw(st.lists(st.tuples(st.integers(0, LANES - 1), st.integers(0, FRAMES - 1)), max_size=6))
    whole, after_whole = run(policy, video, resets(*places), [FRAMES])
    chunked, after_chunks = run(policy, video, resets(*places), sizes)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-9)
    same_memory(after_chunks, after_whole)


def test_single_frames_are_the_whole(policy, video):
    first = resets((0, 0), (1, 7), (2, 3), (2, 4))
    whole, after_whole = run(policy, video, first, [FRAMES])
    steps, after_steps = run(policy, video, first, [1] * FRAMES)
    torch.testing.assert_close(steps, whole, rtol=0, atol=1e-9)
    same_memory(after_steps, after_whole)


@pytest.mark.parametrize("t", [0, 1, 6, FRAMES - 1])
def test_a_reset_lane_is_a_fresh_lane(policy, video, t):
    reset, _ = run(policy, video, resets((1, t)), [4, 5, FRAMES - 9])
    plain, _ = run(policy, video, resets(), [4, 5, FRAMES - 9])
    fresh, _ = run(policy, video[1:2, t:], resets()[1:2, t:], [FRAMES - t])
    torch.testing.assert_close(reset[1, t:], fresh[0], rtol=0, atol=1e-9)
    assert torch.equal(reset[1, :t], plain[1, :t]) and torch.equal(reset[[0, 2]], plain[[0, 2]])


def test_a_reset_lane_is_a_fresh_lane_bit_for_bit_in_its_chunk(policy, video):
    _, memory = run(policy, video, resets(), [FRAMES])
    first = torch.ones(LANES, 1, dtype=torch.bool)
    old, _ = run(policy, video[:, :1], first, [1], memory)
    new, _ = run(policy, video[:, :1], first, [1])
    assert torch.equal(old, new)


def reach(first: torch.Tensor, blocks: int) -> torch.Tensor:
    """(B, T, T) bool: which frames may touch which, by counting windows and resets, not by the code under test."""
    allowed = torch.zeros(LANES, FRAMES, FRAMES, dtype=torch.bool)
    for lane, t, s in itertools.product(range(LANES), range(FRAMES), range(FRAMES)):
        same_episode = not first[lane, s + 1 : t + 1].any()
        allowed[lane, t, s] = 0 <= t - s <= blocks * (WINDOW - 1) and same_episode
    return allowed


@pytest.mark.parametrize("sizes", [[FRAMES], [6, 3, 8]])
def test_causality_and_window_by_gradient(policy, video, sizes):
    """The latent of frame t depends on exactly the pictures that the window, through all blocks, lets it see."""
    first = resets((0, 9), (2, 2), (2, 14))
    x = policy.embed(video).detach().requires_grad_()
    memory, latents = policy.start(LANES), []
    for part, begins in zip(x.split(sizes, 1), first.split(sizes, 1), strict=True):
        after = []
        for block, past in zip(policy.blocks, memory, strict=True):
            part, present = block(part, begins, past)
            after.append(present)
        memory = tuple(after)
        latents.append(policy.finish(part))
    latent = torch.cat(latents, 1)
    touched = torch.zeros(LANES, FRAMES, FRAMES, dtype=torch.bool)
    for t in range(FRAMES):
        (grad,) = torch.autograd.grad(latent[:, t].square().sum(), x, retain_graph=True)
        touched[:, t] = grad.abs().amax(-1) > 0
    assert torch.equal(touched, reach(first, CONFIG.blocks))


@pytest.mark.parametrize("s", [0, 5, 12])
def test_causality_and_window_by_value(policy, video, s):
    first = resets((1, 7))
    plain, _ = run(policy, video, first, [6, 3, 8])
    changed = video.clone()
    changed[:, s] = 255 - changed[:, s]
    other, _ = run(policy, changed, first, [6, 3, 8])
    assert torch.equal((other != plain).any(-1), reach(first, CONFIG.blocks)[:, :, s])


def test_memory_detaches_picks_and_moves(policy, video):
    output, memory = policy(video, resets(), policy.start(LANES))
    assert memory[0].keys.requires_grad and not memory[0].detach().keys.requires_grad
    _, memory = run(policy, video, resets((2, 15)), [FRAMES])
    picked = tuple(block.index(torch.tensor([2, 0])) for block in memory)
    swapped, _ = run(policy, video[[2, 0]], resets()[[2, 0]], [FRAMES], picked)
    both, _ = run(policy, video, resets(), [FRAMES], memory)
    torch.testing.assert_close(swapped, both[[2, 0]], rtol=0, atol=1e-9)
    half = memory[0].to(torch.float16)
    assert half.keys.dtype == torch.float16 and half.mask.dtype == torch.bool


def test_memory_does_not_grow(policy, video):
    _, one = run(policy, video[:, :1], resets()[:, :1], [1])
    _, many = run(policy, video, resets(), [4, 13])
    assert [b.keys.shape for b in one] == [b.keys.shape for b in many] == [(LANES, WINDOW, 16)] * 3


@given(st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None)
def test_ages_land_in_their_columns(frames, slots):
    by_age = torch.randn(2, frames, slots)
    columns = ages_to_columns(by_age, frames)
    for r, c in itertools.product(range(frames), range(slots + frames)):
        age = slots + r - c
        expected = by_age[:, r, age] if 0 <= age < slots else torch.zeros(2)
        assert torch.equal(columns[:, r, c], expected)


def test_window_mask_by_hand():
    first = torch.tensor([[False, True, False]])
    visible = window_mask(first, torch.tensor([[False, True]]), window=2)
    expected = [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]]
    assert visible[0].int().tolist() == expected


def test_a_block_can_be_called_by_itself():
    block = Block(16, 2, WINDOW, layers=1)
    x, first = torch.randn(2, 3, 16), torch.zeros(2, 3, dtype=torch.bool)
    memory = BlockMemory.fresh(2, WINDOW, 16)
    y, after = block(x, first, memory)
    again, _ = block(x, first, memory, window_mask(first, memory.mask, WINDOW))
    assert torch.equal(y, again) and after.mask.sum(1).tolist() == [3, 3]


# ---- the inverse dynamics model: clips instead of streams


def tiny_idm(max_distance: int = 0) -> IDM:
    torch.manual_seed(0)
    config = IDMConfig(width=16, heads=2, conv_channels=4, impala_width=0.25, px=16, max_distance=max_distance)
    return IDM(config).double().eval()


@torch.no_grad()
def test_idm_clips_are_independent_and_of_any_length(video):
    idm = tiny_idm()
    batched = idm(video)
    for lane in range(LANES):
        alone = idm(video[lane : lane + 1])
        torch.testing.assert_close(alone.buttons[0], batched.buttons[lane], rtol=0, atol=1e-9)
    assert idm(video[:, :1]).camera.shape == (LANES, 1, 2, 11)


@torch.no_grad()
def test_idm_sees_the_future(video):
    changed = video.clone()
    changed[:, -1] = 255 - changed[:, -1]
    idm = tiny_idm()
    assert ((idm(changed).buttons - idm(video).buttons).abs().amax((0, 2, 3)) > 0).all()


@torch.no_grad()
def test_only_an_idm_with_distances_knows_the_order_of_frames():
    codes, order = torch.randn(1, FRAMES, 16, dtype=torch.float64), torch.randperm(FRAMES)

    def moved(idm):
        return (idm.predict(codes[:, order]).buttons - idm.predict(codes).buttons[:, order]).abs().max()

    assert moved(tiny_idm()) < 1e-9 and moved(tiny_idm(max_distance=2)) > 1e-3


def test_an_idm_that_can_learn_distances_begins_as_it_was(video):
    idm = tiny_idm()
    able = with_distances(idm, 3).double()
    output, before = able(video), idm(video)
    torch.testing.assert_close(output.buttons, before.buttons, rtol=0, atol=1e-9)
    output.buttons[..., 1].sum().backward()
    assert all(block.attention.curves.grad.abs().max() > 0 for block in able.blocks)
    assert with_distances(able, 3) is able
    with pytest.raises(ValueError, match="up to 3 frames apart"):
        with_distances(able, 4)


@given(st.integers(1, 9), st.integers(1, 5))
@settings(deadline=None)
def test_every_frame_attends_to_every_frame_with_a_bias_on_distance(frames, most):
    attention = Attention(8, 2, 2 * most + 1).double()
    x, distances = torch.randn(2, frames, 8, dtype=torch.float64), torch.arange(frames)
    ages = distances[:, None] - distances + most
    by_age = attention.relative(x).unflatten(-1, (2, -1)).transpose(1, 2) @ attention.curves
    known = (0 <= ages) & (ages <= 2 * most)
    bias = by_age.gather(-1, ages.clamp(0, 2 * most).expand(2, 2, -1, -1)) * known
    parts = (attention.query(x), attention.key(x), attention.value(x))
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in parts)
    expected = attention.out(((q @ k.mT / 4 + bias).softmax(-1) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention.all_to_all(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("most", [1, 4, FRAMES, 2 * FRAMES + 3])
@torch.no_grad()
def test_idm_splits_its_frames_without_a_trace(video, most):
    idm = tiny_idm()
    whole = idm(video).latent
    idm.picture.frames_per_call = most
    torch.testing.assert_close(idm(video).latent, whole, rtol=0, atol=1e-9)


# ---- the pieces of the picture encoder that are not the library's


def test_pooling_is_the_same_with_and_without_gradients():
    x = torch.randn(3, 8, 12, 5, dtype=torch.float64, requires_grad=True)
    reference = torch.nn.functional.max_pool2d(x.relu().permute(0, 3, 1, 2), 3, 2, 1).permute(0, 2, 3, 1)
    assert torch.equal(pool_relu(x), reference)
    with torch.no_grad():
        assert torch.equal(pool_relu(x), reference)


@torch.no_grad()
def test_log_probabilities_stay_in_single_precision_under_autocast():
    torch.manual_seed(0)
    policy = Policy(CONFIG).eval()
    frames = torch.randint(0, 256, (2, 6, 16, 16, 3), dtype=torch.uint8)
    first = torch.zeros(2, 6, dtype=torch.bool)
    plain, _ = policy(frames, first, policy.start(2))
    with torch.autocast("cpu", torch.bfloat16):
        output, memory = policy(frames, first, policy.start(2))
        policy(frames, first, memory)
    assert output.action.buttons.dtype == output.action.camera.dtype == torch.float32
    torch.testing.assert_close(output.action.buttons.exp().sum(-1), torch.ones(2, 6), rtol=0, atol=1e-5)
    torch.testing.assert_close(output.action.buttons, plain.action.buttons, rtol=0, atol=0.1)
