"""Faster ways give the same numbers: compiled parts everywhere, recorded steps where there is a GPU."""

import shutil

import pytest
import torch

from vpt.fast import Recorded, compile_parts
from vpt.idm import IDM, IDMConfig
from vpt.policy import Policy, PolicyConfig
from vpt.trees import tensors

SMALL = dict(width=32, heads=2, blocks=1, impala_width=0.25, impala_channels=(16,), px=16)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or torch.cuda.is_available()), reason="no C++ compiler")


def agent(device="cpu") -> Policy:
    torch.manual_seed(0)
    return Policy(PolicyConfig(**SMALL, attention_memory_size=24, timesteps=16)).to(device).eval()


def play(lanes=2, frames=12, device="cpu"):
    torch.manual_seed(1)
    pictures = torch.randint(0, 256, (lanes, frames, 16, 16, 3), dtype=torch.uint8)
    return pictures.to(device), (torch.rand(lanes, frames) < 0.2).to(device)


def gradients(model, loss) -> list[torch.Tensor]:
    loss.backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return found


@needs_compiler
def test_compiled_parts_give_the_same_numbers_and_gradients():
    plain, frames_first = agent(), play()
    compiled = compile_parts(agent())
    assert list(compiled.state_dict()) == list(plain.state_dict())
    results = []
    for model in (plain, compiled):
        output, memory = model(*frames_first, model.start(2))
        loss = output.action.buttons[..., 0].sum() + output.action.camera[..., 1].sum()
        results.append([output.latent.detach(), *tensors(memory), *gradients(model, loss)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3)


@needs_compiler
def test_a_compiled_inverse_dynamics_model_gives_the_same_numbers():
    torch.manual_seed(0)
    plain = IDM(IDMConfig(**SMALL | dict(impala_width=0.5, impala_channels=(16, 32)), conv_channels=8)).eval()
    clips = [play(frames=frames)[0] for frames in (12, 17)]  # of any length, without the compiler's error
    before = [plain(frames) for frames in clips]
    compile_parts(plain)
    for frames, expected in zip(clips, before, strict=True):
        after = plain(frames)
        torch.testing.assert_close(after.camera, expected.camera, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(after.buttons, expected.buttons, atol=1e-4, rtol=1e-4)


def test_recording_needs_a_gpu():
    with pytest.raises(ValueError, match="on a GPU"):
        Recorded(lambda x: x + 1, torch.zeros(2))


@needs_gpu
def test_a_recorded_step_is_the_step():
    policy = agent("cuda")
    frames, first = play(device="cuda")
    memory = policy.start(2)
    step = Recorded(policy, frames[:, :1], first[:, :1], memory)
    for t in range(frames.shape[1]):
        with torch.no_grad():
            expected, memory_after = policy(frames[:, t : t + 1], first[:, t : t + 1], memory)
        found, found_memory = step(frames[:, t : t + 1], first[:, t : t + 1], memory)
        torch.testing.assert_close(found.latent, expected.latent, atol=1e-4, rtol=1e-4)
        for ours, theirs in zip(tensors(found_memory), tensors(memory_after), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
        memory = memory_after


@needs_gpu
def test_a_gpu_gives_the_processor_s_numbers():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    outputs = []
    for device in ("cpu", "cuda"):
        policy = agent(device)
        with torch.no_grad():
            outputs.append(policy(*play(device=device), policy.start(2))[0].latent.cpu())
    torch.testing.assert_close(*outputs, atol=1e-3, rtol=1e-3)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        policy = agent("cuda")
        half = policy(*play(device="cuda"), policy.start(2))[0].latent.float().cpu()
    assert (half - outputs[0]).abs().mean() < 0.05 * outputs[0].abs().mean()
