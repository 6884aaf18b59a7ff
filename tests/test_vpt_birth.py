"""A network before training: the published initialisation, sizes of gradients, and errors for wrong inputs."""

import pytest
import torch

from vpt.idm import IDM, IDMConfig
from vpt.policy import Policy, PolicyConfig

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
    loss = -output.action.log_prob(torch.ones(2, 5).long(), torch.ones(2, 5).long()).mean() + output.value.mean()
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
