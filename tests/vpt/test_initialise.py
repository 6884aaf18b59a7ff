"""A network before training: the published initialisation, sizes of gradients, errors for wrong inputs, and what a
network made anew sees before it has learnt anything."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from vpt.attention import window_mask
from vpt.cnn import pool_relu
from vpt.heads import CategoricalHead
from vpt.idm import IDM, IDM_SIZES, IDMConfig
from vpt.initialise import set_class_frequencies, standardise_norms
from vpt.motion_filters import init_change_heads, init_motion_filters
from vpt.policy import SIZES, Policy, PolicyConfig

SMALL = PolicyConfig(width=32, heads=2, blocks=3, impala_width=0.25, px=32, n_buttons=50, n_camera=9)
DEPTH = (2 * SMALL.blocks) ** -0.5
ROW_NORMS = {
    "convolution.conv": 1, "first.conv": 1.5**0.25, "second.conv": 1.5**0.25, "picture.dense.linear": 1.4,
    "picture.project.linear": 1, "attention.query": 0.1, "attention.key": 0.2, "attention.value": DEPTH**0.5,
    "attention.out": DEPTH**0.5, "attention.relative": 0.1, "widen.linear": 1, "narrow": DEPTH, "last.linear": 1,
    "temporal.conv": 1,
}  # fmt: skip


def models() -> dict:
    torch.manual_seed(0)
    idm = IDMConfig(width=32, heads=2, blocks=3, conv_channels=4, impala_width=0.25, px=32)
    return {"policy": Policy(SMALL), "idm": IDM(idm)}


@pytest.mark.parametrize("name", ["policy", "idm"])
def test_rows_have_the_published_norms_and_biases_are_zero(name):
    checked = set()
    for key, parameter in models()[name].named_parameters():
        stem, leaf = key.rsplit(".", 1)
        norm = next((value for part, value in ROW_NORMS.items() if stem.endswith(part)), None)
        if norm is None:
            continue
        checked.add(stem)
        if leaf == "weight":
            rows = parameter.flatten(1).norm(dim=1)
            torch.testing.assert_close(rows, torch.full_like(rows, norm))
        else:
            assert not parameter.any()
    assert len(checked) == 15 + 2 + 3 * 7 + 1 + (name == "idm")


def test_curves_of_the_relative_bias_are_small_noise():
    curves = torch.cat([block.attention.curves.flatten() for block in models()["policy"].blocks])
    assert abs(curves.std() - 0.2) < 0.02 and abs(curves.mean()) < 0.02


def test_every_parameter_of_the_agent_learns():
    policy = models()["policy"]
    frames = torch.randint(0, 256, (2, 5, 32, 32, 3), dtype=torch.uint8)
    output, _ = policy(frames, torch.zeros(2, 5, dtype=torch.bool), policy.start(2))
    loss = -(output.action.buttons[..., 1] + output.action.camera[..., 1]).mean() + output.value.mean()
    loss.backward()
    still = [key for key, p in policy.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_every_parameter_of_the_idm_learns_but_what_the_release_leaves_out():
    idm = models()["idm"]
    output = idm(torch.randint(0, 256, (2, 5, 32, 32, 3), dtype=torch.uint8))
    (output.buttons[..., 0].mean() + output.camera[..., 0].mean()).backward()
    still = {key.split(".")[-2] for key, p in idm.named_parameters() if p.grad is None}
    assert still == {"attention", "relative", "norm", "linear"}  # curves and relative bias; the discarded last layer
    assert all(p.grad.any() for p in idm.parameters() if p.grad is not None)


@torch.no_grad()
def test_latents_start_at_a_healthy_scale():
    policy = models()["policy"]
    frames = torch.randint(0, 256, (2, 9, 32, 32, 3), dtype=torch.uint8)
    output, _ = policy(frames, torch.zeros(2, 9, dtype=torch.bool), policy.start(2))
    assert 0.5 < output.latent.std() < 2
    log_n = torch.log(torch.tensor(float(SMALL.n_buttons)))
    assert (output.action.buttons + log_n).abs().max() < 1.5  # near uniform


@pytest.mark.parametrize("frames, first, message", [
    (torch.zeros(1, 2, 64, 64, 3, dtype=torch.uint8), torch.zeros(1, 2).bool(), "resize_to_agent"),
    (torch.zeros(1, 2, 32, 32, 3), torch.zeros(1, 2).bool(), "uint8"),
    (torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, 3).bool(), "one flag a frame"),
    (torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, 2), "first is bool"),
])  # fmt: skip
def test_wrong_inputs_are_one_clear_error(frames, first, message):
    policy = models()["policy"]
    with pytest.raises(ValueError, match=message):
        policy(frames, first, policy.start(1))


@pytest.mark.parametrize("change, message", [
    (dict(attention_memory_size=128), "memory"), (dict(heads=3), "divisible"), (dict(px=20), "divisible"),
])  # fmt: skip
def test_impossible_sizes_are_one_clear_error(change, message):
    with pytest.raises(ValueError, match=message):
        Policy(PolicyConfig(**{**SMALL.__dict__, **change}))


# ---- made anew


def moving(dx_px: int, dy_px: int, clips: int = 4, frames: int = 6) -> torch.Tensor:
    """(clips, frames, 128, 128, 3) uint8: blurred noise that moves so far a frame."""
    random, size, out = np.random.default_rng(1), 128 + 2 * 40, []
    for _ in range(clips):
        noise = cv2.GaussianBlur(random.random((size, size, 3)).astype(np.float32), (0, 0), 6)
        world = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
        at = [(40 - dy_px * t, 40 - dx_px * t) for t in range(frames)]
        out.append([world[y : y + 128, x : x + 128] for y, x in at])
    return torch.from_numpy(np.array(out))


def test_norms_are_standard_over_what_is_shown():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 4), nn.LayerNorm(4))
    x = torch.randn(500, 5) * torch.tensor([1.0, 9, 0.1, 3, 1])
    standardise_norms(net, lambda: net(x))
    for output in (net[:2](x), net(x)):
        torch.testing.assert_close(output.mean(0), torch.zeros(output.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(output.std(0), torch.ones(output.shape[1]), atol=1e-3, rtol=0)


def test_a_head_begins_with_the_frequencies():
    head = CategoricalHead(8, 3, (2,), temperature=4.0)
    frequency = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    set_class_frequencies(head, frequency)
    torch.testing.assert_close(head(torch.zeros(1, 1, 8)).exp()[0, 0], frequency)


WAYS = {"right": (2, 0), "left": (-2, 0), "down": (0, 2), "up": (0, -2), "still": (0, 0)}


@torch.no_grad()
def test_a_newborn_inverse_dynamics_model_tells_the_four_ways_apart():
    torch.manual_seed(0)
    idm = IDM(IDM_SIZES["tiny"])
    init_motion_filters(idm)
    found = {}
    for way, (dx_px, dy_px) in WAYS.items():
        piece = next(idm.temporal.pieces(idm.temporal.padded(moving(dx_px, dy_px)), 64))
        x = idm.temporal(piece)
        for stack in idm.picture.stacks[:2]:
            x = stack.norm(pooled(stack, x))
        channels = x.unflatten(0, (4, 6))[:, 1:-1].mean((0, 1, 2, 3))  # not the ends: they see black
        found[way] = channels[0] - channels[1], channels[2] - channels[3]
    assert found["right"][0] * found["left"][0] < 0 and found["down"][1] * found["up"][1] < 0
    for way, (x, y) in found.items():
        clear = max(abs(x), abs(y))
        assert clear < 0.05 if way == "still" else clear > 0.3, (way, x, y)
        if way != "still":
            assert (abs(x) > 3 * abs(y)) == (way in ("right", "left"))


def pooled(stack: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A stack's convolution and pooling, without its residual blocks."""
    return pool_relu(stack.convolution(x))


@torch.no_grad()
def test_a_newborn_agent_sees_change():
    """Half of what leaves block 1's attention is this frame minus the one before: nothing where nothing moves."""
    torch.manual_seed(0)
    policy = Policy(SIZES["tiny"])
    init_change_heads(policy)
    block, half = policy.blocks[0], policy.config.width // 2
    for way, moves in (("still", False), ("right", True)):
        frames = moving(*WAYS[way])
        first = torch.zeros(frames.shape[:2], dtype=torch.bool)
        memory = policy.start(len(frames))[0]
        u = block.norm(policy.embed(frames))
        attended, _, _ = block.attention(u, memory, window_mask(first, memory.mask, policy.config.memory_frames))
        change = (u + attended)[:, 1:, :half]
        torch.testing.assert_close(change, u[:, 1:, :half] - u[:, :-1, :half], atol=2e-3, rtol=0)
        assert (change.abs().max() > 0.05) == moves


def test_models_too_small_to_see_motion_are_one_clear_error():
    with pytest.raises(ValueError, match="seeing motion takes"):
        init_motion_filters(models()["idm"])
