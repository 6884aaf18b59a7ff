"""How fast VPT's networks run on a GPU: latency of a step, trained frames a second, and the share of its matmul rate.

In: nothing. Out: a table on standard output; nothing is asserted. bf16 autocast, channels last, fused attention; the
single step eager and recorded as a CUDA graph.

    python tests/benchmarks/bench_gpu.py --sizes 1x 2x 3x          # about a minute; --compile adds torch.compile
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2]))
from vpt.fast import Recorded, compile_parts  # noqa: E402
from vpt.idm import IDM, IDM_SIZES, IDMSize  # noqa: E402
from vpt.options import Count, run  # noqa: E402
from vpt.policy import SIZES, Policy, PolicySize  # noqa: E402
from vpt.trees import map_tensors  # noqa: E402


def seconds(run, times: int) -> list[float]:
    """Of each call, sorted, after three to warm up."""
    walls = []
    for i in range(times + 3):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        walls.append(time.perf_counter() - begin)
    return sorted(walls[3:])


def matmul_rate() -> float:
    """FLOP/s of a large bf16 matrix product: the ceiling to compare with."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / seconds(lambda: a @ b, 10)[5]


def video(lanes: int, frames: int) -> torch.Tensor:
    return torch.randint(0, 256, (lanes, frames, 128, 128, 3), dtype=torch.uint8, device="cuda")


def flops(loss) -> int:
    """Of `loss().backward()`; to be counted before anything is compiled."""
    with FlopCounterMode(display=False) as counter:
        loss().backward()
    return counter.get_total_flops()


def trained(name: str, loss, work: float, frames: int, ceiling: float) -> None:
    """One line: rate of `loss().backward()` and its share of the matmul rate."""
    wall = seconds(lambda: loss().backward(), 5)[0]
    work, peak = work / frames, torch.cuda.max_memory_allocated() / 1e9
    print(f"{name:28s} trained {frames / wall:8.0f} frames/s  {work / 1e9:6.1f} GFLOP a frame  "
          f"{work * frames / wall / ceiling:6.1%} of the matmul rate  peak {peak:.0f} GB", flush=True)  # fmt: skip
    torch.cuda.reset_peak_memory_stats()


def agent(size: str, ceiling: float, lanes: int, chunk: int, compiled: bool) -> None:
    policy = Policy(SIZES[size]).cuda()
    frames, first = video(lanes, chunk), torch.zeros(lanes, chunk, dtype=torch.bool, device="cuda")

    def loss():
        with torch.autocast("cuda", torch.bfloat16):
            action = policy(frames, first, policy.start(lanes))[0].action
        return -action.buttons[..., 0].mean() - action.camera[..., 0].mean()

    work = flops(loss)
    if compiled:
        compile_parts(policy)
    trained(f"agent {size}, {lanes} x {chunk}", loss, work, lanes * chunk, ceiling)
    policy = policy.eval().requires_grad_(False).to(torch.bfloat16)
    one, begin, memory = frames[:1, :1], first[:1, :1], policy.start(1)
    with torch.no_grad():
        step = {"eager": lambda: policy(one, begin, memory)}
        recorded = Recorded(policy, one, begin, memory)
        step["CUDA graph"] = lambda: recorded(one, begin, memory)
        for how, run in step.items():
            walls = seconds(run, 200)
            print(f"  one frame, {how:12s} p50 {1e3 * walls[100]:6.2f} ms  p95 {1e3 * walls[190]:6.2f} ms", flush=True)


def inverse_dynamics(size: str, ceiling: float, clips: int, compiled: bool) -> None:
    idm = IDM(IDM_SIZES[size]).cuda()
    frames = video(clips, 128)

    def loss():
        with torch.autocast("cuda", torch.bfloat16):
            output = idm(frames)
        return -output.buttons[..., 0].mean() - output.camera[..., 0].mean()

    work = flops(loss)
    if compiled:
        compile_parts(idm)
    trained(f"idm {size}, {clips} x 128", loss, work, clips * 128, ceiling)
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        wall = seconds(lambda: map_tensors(torch.Tensor.float, idm(frames)), 5)[0]
    print(f"  labels {clips * 128 / wall:8.0f} frames/s", flush=True)


@dataclass(frozen=True)
class Options:
    """Measures agents and inverse dynamics models on a GPU."""

    sizes: tuple[PolicySize, ...] = ("1x", "2x", "3x")  # of the agent
    idm: tuple[IDMSize, ...] = ("tiny", "small", "1x")  # of the inverse dynamics model
    lanes: Count = 8  # lanes (clips) of 128 frames
    compile: bool = False  # torch.compile picture encoders and blocks


def main(options: Options) -> None:
    if not torch.cuda.is_available():
        sys.exit("error: no GPU here; tests/benchmarks/bench_vpt.py measures processors")
    torch.backends.cudnn.benchmark = True
    ceiling = matmul_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {ceiling / 1e12:.0f} TFLOP/s in a matmul")
    for size in options.idm:
        inverse_dynamics(size, ceiling, options.lanes, options.compile)
    for size in options.sizes:
        agent(size, ceiling, options.lanes, 128, options.compile)


if __name__ == "__main__":
    run(main, Options)
