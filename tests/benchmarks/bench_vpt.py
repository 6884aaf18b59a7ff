"""How fast VPT's networks run here: frames a second forward and trained, by size, against the published formulation.

In: nothing. Out: a table on standard output; nothing is asserted, as machines differ. Beside the wall clock it gives
processor milliseconds a frame, which hardly move when other programs share the machine.

    python tests/benchmarks/bench_vpt.py                  # about 3 minutes on two cores
    python tests/benchmarks/bench_vpt.py --threads 1 --only 1x
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2]))
from vlpt.checkpoint import peak_gb  # noqa: E402
from vlpt.options import CountOrNone, run, use_threads  # noqa: E402
from vpt.allocator import keep_freed_memory  # noqa: E402
from vpt.cnn import PictureEncoder  # noqa: E402
from vpt.idm import IDM, IDM_SIZES  # noqa: E402
from vpt.policy import SIZES, Policy  # noqa: E402


def best(run, times: int = 4) -> tuple[float, float]:
    """Wall and processor seconds of the quickest of a few runs, after one to warm up."""
    run()
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def report(name: str, frames: int, forward, loss, ceiling: float | None = None) -> None:
    """One line: rates of `forward()` without gradients and of `loss().backward()`; shares of a ceiling in FLOP/s."""
    with torch.no_grad():
        fast = best(forward)
    trained = best(lambda: loss().backward())
    if ceiling:
        with FlopCounterMode(display=False) as once, torch.no_grad():
            forward()
        with FlopCounterMode(display=False) as both:
            loss().backward()
        rates = once.get_total_flops() / fast[0], both.get_total_flops() / trained[0]
        name += " {:4.0%}, {:4.0%}".format(*(rate / ceiling for rate in rates))
    line = f"{name:28s} forward {frames / fast[0]:7.1f} frames/s ({1e3 * fast[1] / frames:7.2f} cpu ms)"
    print(f"{line}   trained {frames / trained[0]:7.1f} frames/s ({1e3 * trained[1] / frames:7.2f} cpu ms)", flush=True)


def video(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (*shape, 128, 128, 3), dtype=torch.uint8)


def published(encoder: PictureEncoder, frames: torch.Tensor) -> torch.Tensor:
    """The encoder as the published code writes it: division first."""
    return published_stacks(encoder, frames.permute(0, 3, 1, 2).float() / 255)


def published_stacks(encoder: PictureEncoder, x: torch.Tensor) -> torch.Tensor:
    """(n, channels, 128, 128) -> (n, 256) as the published code: channels-last group norms, ReLU before pooling."""

    def layer(part, x):
        if part.norm is not None:
            x = F.group_norm(x, 1, part.norm.weight, part.norm.bias)
        return F.relu(F.conv2d(x, part.conv.weight, part.conv.bias, padding=1))

    for stack in encoder.stacks:
        x = F.max_pool2d(layer(stack.convolution, x), 3, 2, 1)
        x = F.group_norm(x, 1, stack.norm.weight, stack.norm.bias)
        for residual in stack.residuals:
            x = x + layer(residual.second, layer(residual.first, x))
    return encoder.dense(x.flatten(1))


def encoders(ceiling: float) -> None:
    """Percentages: of the large convolution's rate, forward and trained (bytes, not FLOPs, bound the narrow ones)."""
    for width, frames in ((0.25, 128), (0.5, 128), (1.0, 64), (4.0, 8)):
        encoder = PictureEncoder(3, tuple(int(width * c) for c in (16, 32, 32)), 128)
        x = video(frames)
        report(f"pictures {width}", frames, lambda: encoder(x), lambda: encoder(x).square().mean(), ceiling)
        report("  as published", frames, lambda: published(encoder, x), lambda: published(encoder, x).square().mean())


def inverse_dynamics() -> None:
    """In float32 and, where the processor has AMX, in bfloat16 (`train.py --precision`)."""
    x, half = video(2, 64), torch.autocast("cpu", torch.bfloat16)
    for size in ("tiny", "small"):
        idm = IDM(IDM_SIZES[size])
        report(f"idm {size}", 128, lambda: idm(x), lambda: _idm_loss(idm(x)))
        if torch.cpu.get_capabilities().get("amx_bf16"):
            report("  bfloat16", 128, lambda: half(idm.forward)(x), lambda: _idm_loss(half(idm.forward)(x)))


def _idm_loss(output) -> torch.Tensor:
    return _mean(output.buttons) + _mean(output.camera)


def _mean(log_p: torch.Tensor) -> torch.Tensor:
    return -log_p[..., 0].mean()


def agent(size: str, lanes: int, frames: int) -> None:
    policy = Policy(SIZES[size])
    x, first = video(lanes, frames), torch.zeros(lanes, frames, dtype=torch.bool)

    def forward():
        return policy(x, first, policy.start(lanes))[0]

    def loss():
        action = forward().action
        return _mean(action.buttons) + _mean(action.camera)

    report(f"agent {size}, chunks of {frames}", lanes * frames, forward, loss)
    embedded = policy.embed(x).detach()

    def after():
        y = embedded
        for block, memory in zip(policy.blocks, policy.start(lanes), strict=True):
            y, _ = block(y, first, memory)
        action = policy.heads(policy.finish(y))
        return _mean(action.buttons) + _mean(action.camera)

    report("  without its pictures", lanes * frames, after, after)
    steps(policy, 40 if size == "1x" else 10_000)


@torch.no_grad()
def steps(policy: Policy, n: int) -> None:
    """Latency of one frame at a time, and what the process grows by over n of them."""
    frame, first, memory = video(1), torch.zeros(1, dtype=torch.bool), policy.start(1)
    for _ in range(5):
        _, memory = policy.act(frame, first, memory)
    before_gb, walls, cpus = peak_gb(), [], []
    for _ in range(n):
        wall, cpu = time.perf_counter(), time.process_time()
        _, memory = policy.act(frame, first, memory)
        walls.append(1e3 * (time.perf_counter() - wall))
        cpus.append(1e3 * (time.process_time() - cpu))
    walls.sort()
    latency = f"median {walls[n // 2]:.1f} ms, 95 % {walls[int(0.95 * n)]:.1f} ms, best {walls[0]:.1f} ms"
    growth = f"grew by {1e3 * (peak_gb() - before_gb):.1f} MB over {n} frames"
    print(f"{'  one frame at a time':28s} {latency} ({min(cpus):.1f} cpu ms); {growth}")


def convolution_rate() -> float:
    """FLOP/s that this machine gives a large plain convolution: the ceiling to compare with."""
    x = torch.randn(8, 128, 64, 64).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        wall, cpu = best(lambda: F.conv2d(x, weight, padding=1))
    work = 2 * 8 * 64**2 * 128**2 * 9 / 1e9
    print(f"large convolution: {work / wall:.0f} GFLOP/s ({work / cpu:.0f} a processor second)")
    return 1e9 * work / wall


@dataclass(frozen=True)
class Options:
    """Measures agent, inverse dynamics model and picture encoder on a processor."""

    threads: CountOrNone = 0  # processor threads (0: torch's choice)
    only: Literal["", "pictures", "idm", "tiny", "1x"] = ""  # run one part (empty: all)
    keep: bool = False  # keep freed memory (vpt.allocator)


def main(options: Options) -> None:
    if options.keep:
        keep_freed_memory()
    use_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    ceiling = convolution_rate()
    parts = {"pictures": lambda: encoders(ceiling), "idm": inverse_dynamics, "tiny": lambda: agent("tiny", 4, 32),
             "1x": lambda: agent("1x", 1, 16)}  # fmt: skip
    for name, part in parts.items():
        if options.only in ("", name):
            part()


if __name__ == "__main__":
    run(main, Options)
