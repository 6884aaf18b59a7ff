"""Equality with the published VPT: agent, inverse dynamics model, heads and losses, against stored golden numbers.

Reads tests/fixtures or the folder that VLPT_FIXTURES names (see fixture_data.py); every expectation comes from there.
The one deliberate difference: a reset in the middle of a chunk, which the published code ignores, is obeyed here.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from support.fixture_data import arrays, record, tensors

from vpt import heads
from vpt.actions import BUTTONS, MINECRAFT
from vpt.attention import window_mask
from vpt.idm import IDM
from vpt.policy import Policy
from vpt.released import from_released, idm_config, policy_config

POLICY, IDM_RECORD = record("vpt_policy_tiny.config.json"), record("idm_tiny.config.json")
IO, IDM_IO, LOSSES = arrays("vpt_policy_tiny.io.npz"), arrays("idm_tiny.io.npz"), arrays("vpt_losses.npz")
CHUNKS = range(len(POLICY["chunks"]))
CLIPS = sorted({key.split(".")[1] for key in IDM_IO if key.startswith("in.")})
STATE, LATENT, LOG_PROB, STACK_ALONE = 3e-4, 3e-4, 1e-4, 5e-5  # tolerances of the fixtures' own table
DTYPES = [torch.float32, torch.float64]


def close(ours: torch.Tensor, golden: np.ndarray, atol: float) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), golden.reshape(ours.shape), rtol=0, atol=atol)


@cache
def policy(dtype=torch.float32) -> Policy:
    model = Policy(policy_config(POLICY))
    from_released(model, tensors("vpt_policy_tiny.weights.safetensors"))
    return model.to(dtype).eval()


@cache
def idm(lastlayer="discarded") -> IDM:
    model = IDM(replace(idm_config(IDM_RECORD), lastlayer=lastlayer))
    from_released(model, tensors("idm_tiny.weights.safetensors"))
    return model.eval()


def inputs(chunk: int):
    return torch.tensor(IO[f"in.chunk{chunk}.img"]), torch.tensor(IO[f"in.chunk{chunk}.first"])


def as_reference(first: torch.Tensor) -> torch.Tensor:
    """The published code reads the first column only."""
    return first & (torch.arange(first.shape[1]) == 0)


@cache
@torch.no_grad()
def stream(dtype=torch.float32):
    """Our outputs and memories over all chunks, resets as the published code sees them; memories[c] is before c."""
    memory, outputs = policy(dtype).start(2), []
    memories = [memory]
    for chunk in CHUNKS:
        frames, first = inputs(chunk)
        output, memory = policy(dtype)(frames, as_reference(first), memory)
        outputs.append(output)
        memories.append(memory)
    return outputs, memories


def check_state(memory, golden: dict, prefix: str, atol: float) -> None:
    for i, block in enumerate(memory):
        np.testing.assert_array_equal(block.mask.numpy(), golden[f"{prefix}.block{i}.mask"][:, 0])
        close(block.keys, golden[f"{prefix}.block{i}.K"], atol)
        close(block.values, golden[f"{prefix}.block{i}.V"], atol)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_agent_outputs_and_memory(chunk):
    outputs, memories = stream()
    output, prefix = outputs[chunk], f"out.chunk{chunk}"
    close(output.latent, IO[f"{prefix}.pi_latent"], LATENT)
    close(output.value, IO[f"{prefix}.vpred"], LOG_PROB)
    close(policy().value.normaliser.denormalise(output.value), IO[f"{prefix}.vpred_denorm"], LATENT)
    close(output.action.camera, IO[f"{prefix}.pd.camera"], LOG_PROB)
    if f"{prefix}.pd.buttons" in IO:
        close(output.action.buttons, IO[f"{prefix}.pd.buttons"], LOG_PROB)
    else:
        ends = output.action.buttons[:, [0, -1]]
        close(ends, IO[f"{prefix}.pd.buttons.first_and_last_t"], LOG_PROB)
    check_state(memories[chunk + 1], IO, f"{prefix}.state_out", STATE)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_agent_in_double_precision(chunk):
    output, prefix = stream(torch.float64)[0][chunk], f"out64.chunk{chunk}"
    close(output.latent, IO[f"{prefix}.pi_latent"], 1e-8)
    close(output.value, IO[f"{prefix}.vpred"], 1e-8)
    close(output.action.camera, IO[f"{prefix}.pd.camera"], 1e-8)


@torch.no_grad()
def test_a_reset_in_mid_chunk_is_obeyed():
    split = [c for c in CHUNKS if f"out.chunk{c}_split_at_reset.pi_latent" in IO]
    assert split
    for chunk in split:
        frames, first = inputs(chunk)
        before = stream()[1][chunk]
        output, memory = policy()(frames, first, before)
        close(output.latent, IO[f"out.chunk{chunk}_split_at_reset.pi_latent"], LATENT)
        check_state(memory, IO, f"out.chunk{chunk}_split_at_reset.state_out", STATE)
        difference = np.abs(output.latent.numpy() - IO[f"out.chunk{chunk}.pi_latent"]).max()
        assert difference > 10 * LATENT  # the published code goes on as if nothing had happened


@pytest.mark.parametrize("chunk", CHUNKS)
@torch.no_grad()
def test_blocks_alone_from_the_stored_pictures(chunk):
    """The transformer apart from the noise of convolutions, with every intermediate."""
    model, prefix = policy(), f"out.chunk{chunk}"
    first = as_reference(inputs(chunk)[1])
    memory = stream()[1][chunk]
    x = torch.tensor(IO[f"{prefix}.img_process"])
    visible = window_mask(first, memory[0].mask, model.config.memory_frames)
    np.testing.assert_array_equal(visible.numpy(), IO[f"{prefix}.attn_mask"])
    for i, block in enumerate(model.blocks):
        if i == 0:
            u = block.norm(x)
            close(u, IO[f"{prefix}.block0.pre_r_ln"], STACK_ALONE)
            attended, keys, _ = block.attention(u, memory[0], visible)
            close(u + attended, IO[f"{prefix}.block0.attn"], STATE)
            bias = block.attention.bias(u)
            if f"{prefix}.block0.rel_bias" in IO:
                close(bias, IO[f"{prefix}.block0.rel_bias"], STACK_ALONE)
            split = [y.unflatten(-1, (block.attention.heads, -1)) for y in (block.attention.query(u), keys)]
            scores = torch.einsum("brhe,bche->bhrc", *split) / split[0].shape[-1] + bias
            probabilities = scores.masked_fill(~visible[:, None], -torch.inf).softmax(-1)
            close(probabilities, IO[f"{prefix}.block0.attn_probs"], STACK_ALONE)
        x, _ = block(x, first, memory[i], visible)
        close(
            x, IO[f"{prefix}.block{i}"], STATE if chunk else STACK_ALONE
        )  # later chunks carry the CNN's noise in K, V
    close(model.last(x.relu()), IO[f"{prefix}.lastlayer"], STATE)
    close(model.finish(x), IO[f"{prefix}.pi_latent"], STATE)


@torch.no_grad()
def test_picture_encoder_intermediates():
    model = policy()
    for chunk in CHUNKS:
        frames, _ = inputs(chunk)
        close(model.embed(frames), IO[f"out.chunk{chunk}.img_process"], STATE)
        flat = frames.flatten(0, 1)
        if f"out.chunk{chunk}.cnn_dense" in IO:
            close(model.picture.encode(flat), IO[f"out.chunk{chunk}.cnn_dense"], STATE)
            x = flat[[0, 13]]
            for i, stack in enumerate(model.picture.stacks):
                x = stack(x)
                close(x.permute(0, 3, 1, 2), IO[f"out.chunk{chunk}.cnn_stack{i}.frames_0_13"], STATE)


def test_fresh_memory_is_the_published_one():
    for i, block in enumerate(policy().start(2)):
        close(block.keys, IO[f"out.initial_state.block{i}.K"], 0)
        close(block.values, IO[f"out.initial_state.block{i}.V"], 0)
        assert not block.mask.any()


@torch.no_grad()
def test_single_steps():
    model, memory = policy(), policy().start(2)
    frames, first = inputs(0)
    for t in range(frames.shape[1]):
        (buttons, camera), _ = model.act(frames[:, t], first[:, t], memory, temperature=0)
        output, memory = model(frames[:, t : t + 1], first[:, t : t + 1], memory)
        np.testing.assert_array_equal(buttons, IO["out.act.buttons"][:, t, 0])
        np.testing.assert_array_equal(camera, IO["out.act.camera"][:, t, 0])
        both = heads.log_prob(output.action.buttons[:, 0], buttons) + heads.log_prob(output.action.camera[:, 0], camera)
        close(both, IO["out.act.log_prob"][:, t], LOG_PROB)
        close(model.value.normaliser.denormalise(output.value)[:, 0], IO["out.act.vpred"][:, t], LATENT)
    check_state(memory, IO, "out.act.state_out", STATE)


@pytest.mark.parametrize("clip", CLIPS)
@torch.no_grad()
def test_inverse_dynamics_model(clip):
    model, prefix = idm(), f"out.{clip}"
    frames = torch.tensor(IDM_IO[f"in.{clip}.img"])
    conv = torch.cat([model.temporal(piece) for piece in model.temporal.pieces(model.temporal.padded(frames), 3)])
    conv = conv.unflatten(0, frames.shape[:2]).movedim(-1, 2)
    close(conv[0, 0], IDM_IO[f"{prefix}.conv3d.frame0_cthw"], 1e-5)
    if f"{prefix}.conv3d.mean_over_hw" in IDM_IO:
        close(conv.mean((3, 4)), IDM_IO[f"{prefix}.conv3d.mean_over_hw"], 1e-5)
    x = model.embed(frames)
    close(x, IDM_IO[f"{prefix}.img_process"], 2e-4)
    for i, block in enumerate(model.blocks):
        x = block.all_to_all(x)
        close(x, IDM_IO[f"{prefix}.block{i}"], 2e-4)
    close(model.last(x.relu()), IDM_IO[f"{prefix}.lastlayer"], 2e-4)
    output = model(frames)
    close(output.latent, IDM_IO[f"{prefix}.pi_latent"], 2e-4)
    close(output.buttons, IDM_IO[f"{prefix}.pd.buttons"], 5e-5)
    close(output.camera, IDM_IO[f"{prefix}.pd.camera"], 5e-5)
    buttons, bins = output.greedy()
    np.testing.assert_array_equal(buttons, IDM_IO[f"{prefix}.action.buttons"])
    np.testing.assert_array_equal(bins, IDM_IO[f"{prefix}.action.camera"])
    close(output.log_prob(buttons, bins), IDM_IO[f"{prefix}.log_prob"], 20 * 5e-5)
    close(output.confidence().log(), IDM_IO[f"{prefix}.log_prob"], 20 * 5e-5)
    if f"{prefix}.env.camera" in IDM_IO:
        np.testing.assert_allclose(MINECRAFT.camera_deg_of_bins(bins), IDM_IO[f"{prefix}.env.camera"], atol=1e-9)
        for i, name in enumerate(BUTTONS):
            np.testing.assert_array_equal(buttons[:, :, i], IDM_IO[f"{prefix}.env.{name}"])


@pytest.mark.parametrize("clip", CLIPS)
@torch.no_grad()
def test_inverse_dynamics_attention_looks_both_ways(clip):
    block = idm().blocks[0]
    u = block.norm(torch.tensor(IDM_IO[f"out.{clip}.img_process"]))
    split = [
        layer(u).unflatten(-1, (block.attention.heads, -1)) for layer in (block.attention.query, block.attention.key)
    ]
    scores = torch.einsum("brhe,bche->bhrc", *split) / split[0].shape[-1]
    close(scores.softmax(-1), IDM_IO[f"out.{clip}.block0.attn_probs"], 5e-5)


@pytest.mark.parametrize("clip", CLIPS)
@torch.no_grad()
def test_inverse_dynamics_model_with_its_last_layer_used(clip):
    output, prefix = idm("used")(torch.tensor(IDM_IO[f"in.{clip}.img"])), f"out.{clip}.alt_lastlayer_used"
    close(output.latent, IDM_IO[f"{prefix}.pi_latent"], 2e-4)
    close(output.buttons, IDM_IO[f"{prefix}.pd.buttons"], 5e-5)
    close(output.camera, IDM_IO[f"{prefix}.pd.camera"], 5e-5)


# ---- heads and losses


def loss(name: str) -> torch.Tensor:
    value = torch.tensor(LOSSES[name])
    return value.squeeze(-2) if value.ndim == 4 and value.shape[-2] == 1 else value


def near(ours: torch.Tensor, name: str) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), LOSSES[name].reshape(ours.shape), rtol=1e-5, atol=1e-5)


def test_log_prob_and_kl():
    one, two = (heads.ActionLogits(loss(f"in.pd{i}.buttons"), loss(f"in.pd{i}.camera")) for i in (1, 2))
    buttons, camera = (torch.tensor(LOSSES[f"in.action.{name}"])[..., 0] for name in ("buttons", "camera"))
    both = heads.log_prob(one.buttons, buttons) + heads.log_prob(one.camera, camera)
    near(both, "out.logprob")
    near(both[:, 0], "out.get_logprob_of_action.t0")
    near(heads.log_prob(one.camera, camera), "out.logprob.camera_only")
    near(heads.log_prob(one.buttons, buttons), "out.logprob.buttons_only")
    for a, b, name in ((one, two, "out.kl_1_2"), (two, one, "out.kl_2_1")):
        near(heads.kl(a.buttons, b.buttons) + heads.kl(a.camera, b.camera), name)


def test_log_prob_and_kl_of_the_inverse_dynamics_heads():
    p, q = ([torch.tensor(LOSSES[f"in.idm.{pd}.{head}"]) for head in ("buttons", "camera")] for pd in ("pd", "pd2"))
    actions = [torch.tensor(LOSSES[f"in.idm.action.{head}"]) for head in ("buttons", "camera")]
    near(sum(heads.log_prob(log_p, a).sum(-1) for log_p, a in zip(p, actions, strict=True)), "out.idm.logprob")
    near(sum(heads.kl(a, b).sum(-1) for a, b in zip(p, q, strict=True)), "out.idm.kl_1_2")


@torch.no_grad()
def test_heads_temperature_mask_and_sampling():
    latent, head = torch.tensor(LOSSES["in.head.latent"]), policy().heads
    near(head.camera.linear(latent), "out.head.raw_linear.camera")
    near(head(latent).camera, "out.head.pd.camera")
    near(head(latent).buttons[:1, 0], "out.head.pd.buttons.b0_t0")
    near(head.camera(latent, allowed=loss("in.head.mask.camera")), "out.head.masked_pd.camera")
    sampled = heads.gumbel_argmax(loss("in.pd1.camera"), loss("in.gumbel.u.camera"))
    np.testing.assert_array_equal(sampled, LOSSES["out.gumbel.sample.camera"][..., 0])
    greedy = heads.sample(loss("in.pd1.camera"), temperature=0)
    np.testing.assert_array_equal(greedy, LOSSES["out.argmax.camera"][..., 0])


def test_value_normaliser():
    prediction, target = torch.tensor(LOSSES["in.value.prediction"]), torch.tensor(LOSSES["in.value.target"])
    head = policy().value
    start = {key: value.clone() for key, value in head.normaliser.state_dict().items()}
    near(head.normaliser(target), "out.value.eval.normalized_target")
    near(head.loss(prediction, target), "out.value.eval.loss")
    near(head.normaliser.denormalise(prediction), "out.value.eval.denormalized_prediction")
    for ours, name in zip(head.normaliser.moments(), ("mean", "var"), strict=True):
        near(ours, f"out.value.eval.{name}")
    trained = heads.ValueHead(policy().config.width).train()
    trained.normaliser.load_state_dict(start)
    for i in range(3):
        near(trained.loss(prediction, (i + 1) * target), f"out.value.train{i}.loss")
        for ours, name in NORMALISER.items():
            value = getattr(trained.normaliser, ours)
            np.testing.assert_allclose(value, LOSSES[f"out.value.train{i}.{name}"], atol=1e-6)


NORMALISER = {"mean": "running_mean", "mean_square": "running_mean_sq", "weight": "debiasing_term"}


def test_value_normaliser_when_new():
    prediction, target = torch.tensor(LOSSES["in.value.prediction"]), torch.tensor(LOSSES["in.value.target"])
    fresh = heads.RunningNormaliser().eval()
    near(fresh(target), "out.value.fresh.normalized_target")
    near(fresh.denormalise(prediction), "out.value.fresh.denormalized")
    near(fresh.train()(target), "out.value.fresh_train.normalized_target")
    np.testing.assert_allclose(fresh.weight, LOSSES["out.value.fresh_train.debiasing_term"], atol=1e-6)
    np.testing.assert_allclose(fresh.mean, LOSSES["out.value.fresh_train.running_mean"], atol=1e-6)


def test_memory_mask_after_each_chunk():
    for chunk in CHUNKS:
        after = stream()[1][chunk + 1][0].mask
        np.testing.assert_array_equal(after, IO[f"out.chunk{chunk}.state_out.block0.mask"][:, 0])
