"""What a streamed frame of the fused agent costs, where the time goes, and whether it stays so.

In: nothing (SmolLM2 from data/smollm2 if it is there, see vlpt/language/smollm2.py; else and for the rest random
weights of the same size). Out: a table on standard output; nothing is asserted. A frame is a whole step: trunk, a
language tick every fourth frame, both cross attentions, heads. `overhead` is what it costs more than agent and language
model side by side in one loop, not joined: the cross attentions, and all that binds the two.

    python tests/benchmarks/bench_fused.py --pairs tiny 1x+smollm2      # a minute
    python tests/benchmarks/bench_fused.py --pairs tiny --age 100000    # eight: does a frame cost more after 80?
"""

import copy
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from vlpt.checkpoint import peak_gb  # noqa: E402
from vlpt.language.families import build, load_language  # noqa: E402
from vlpt.language.transformer_xl import TransformerXLConfig  # noqa: E402
from vlpt.model import VLPT  # noqa: E402
from vlpt.options import Count, CountOrNone, run, use_threads  # noqa: E402
from vpt.policy import SIZES, Policy  # noqa: E402

WT103 = TransformerXLConfig(267735, width=1024, layers=18, heads=16, head_width=64, inner=4096, window=1599,
                            clamp_distance=1000, cutoffs=(20000, 40000, 200000), div_val=4)  # fmt: skip
Pair = Literal["tiny", "1x+smollm2", "2x+smollm2", "1x+wt103"]
TICK, ROUND = 4, 40


def pair(name: str) -> tuple[Policy, torch.nn.Module]:
    """An agent and a language model."""
    size, _, words = name.partition("+")
    if words == "smollm2":
        language = load_language("data/smollm2")
    else:
        language = build(WT103 if words == "wt103" else TransformerXLConfig(1500))
    return Policy(SIZES[size]).eval(), language.eval()


class Stopwatch:
    """Seconds spent inside named methods, those inside them not counted twice."""

    def __init__(self) -> None:
        self.seconds, self.inner = defaultdict(float), [0.0]

    def watch(self, owner, method: str, name: str) -> None:
        original = getattr(owner, method)

        def timed(*args, **kwargs):
            with self.part(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)

    @contextmanager
    def part(self, name: str):
        self.inner.append(0.0)
        begin = time.perf_counter()
        yield
        whole = time.perf_counter() - begin
        self.seconds[name] += whole - self.inner.pop()
        self.inner[-1] += whole


def walls(step, frames: int) -> list[float]:
    """Milliseconds of each call step(t)."""
    found = []
    for t in range(frames):
        begin = time.perf_counter()
        step(t)
        found.append(1e3 * (time.perf_counter() - begin))
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Fused:
    """The fused agent, one frame a call, and where its time goes."""

    def __init__(self, policy: Policy, language, lanes: int = 1) -> None:
        self.model = VLPT.from_parts(policy, language, frames_per_tick=TICK, intention=True).eval()
        with torch.no_grad():
            for parameter in self.model.groups()["gates"]:
                parameter.fill_(0.5)
        generator = torch.Generator().manual_seed(0)
        self.memory = self.model.start(lanes)
        self.frames = torch.randint(0, 256, (lanes, 1, 128, 128, 3), dtype=torch.uint8, generator=generator)
        self.heard = torch.randint(0, 1000, (512, lanes, 1), generator=generator)
        self.first = torch.zeros(lanes, 1, dtype=torch.bool)

    def __call__(self, t: int) -> None:
        output, self.memory = self.model(self.frames, self.first, self.heard[t % 512], self.memory)
        if output.tick_valid.shape[1]:
            self.model.language.log_probs(output.hidden)

    def parts(self, frames: int) -> dict[str, float]:
        """Milliseconds a frame spent in each part; from now on frames cost a little more, for the stopwatch."""
        watch = Stopwatch()
        policy, language = self.model.policy, self.model.language
        for part, method, name in ((policy, "encode_frames", "trunk"), (language, "run_layers", "language"),
                                   (language, "log_probs", "language"), (policy, "run_blocks", "agent blocks, heads"),
                                   (policy.heads, "forward", "agent blocks, heads")):  # fmt: skip
            watch.watch(part, method, name)
        for block in (*self.model.words_ask_frames.values(), *self.model.frames_ask_words.values()):
            watch.watch(block, "key_values", "cross attention")
            watch.watch(block, "patch_key_values", "cross attention")
            watch.watch(block, "forward", "cross attention")
        for t in range(frames):
            with watch.part("the rest"):
                self(t)
        return {name: 1e3 * spent / frames for name, spent in watch.seconds.items()}


class Alone:
    """Agent and language model side by side, not joined: a frame a call, and every fourth call a token."""

    def __init__(self, policy: Policy, language, lanes: int = 1) -> None:
        self.policy, self.language = policy, language
        self.frames = torch.randint(0, 256, (lanes, 1, 128, 128, 3), dtype=torch.uint8)
        self.first = torch.zeros(lanes, 1, dtype=torch.bool)
        self.agent, self.said = policy.start(lanes), language.start(lanes)

    def __call__(self, t: int) -> None:
        _, self.agent = self.policy(self.frames, self.first, self.agent)
        if t % TICK == 0:
            _, self.said = self.language(torch.full(self.first.shape, t % 1000), self.first, self.said)


@torch.inference_mode()
def compare(fused: Fused, alone: Alone, frames: int) -> tuple[list[float], list[tuple[float, float]]]:
    """Milliseconds of each fused frame; and of each block of ROUND frames the means of alone and fused.

    The blocks take turns, so that whatever else the machine does slows both alike.
    """
    walls(fused, 2 * TICK), walls(alone, 2 * TICK)
    every, blocks = [], []
    for _ in range(max(1, frames // ROUND)):
        apart, together = walls(alone, ROUND), walls(fused, ROUND)
        every += together
        blocks.append((sum(apart) / ROUND, sum(together) / ROUND))
    return every, blocks


@torch.inference_mode()
def print_drift(young: Fused, age: int) -> None:
    """What a frame costs after `age` frames and after 1,000, taking turns, so that the machine slows both alike."""
    walls(young, 1000)
    begin_gb, old = peak_gb(), copy.copy(young)  # a memory is a value: both go on from it, each by itself
    walls(old, age - 1000)
    grown_mb = 1e3 * (peak_gb() - begin_gb)
    _, blocks = compare(old, young, 4000)
    drift = percentile([aged / fresh for fresh, aged in blocks], 0.5) - 1
    print(f"   a frame after {age:,} frames against one after 1,000: {drift:+.1%}; memory grew by {grown_mb:.1f} MB",
          flush=True)


@dataclass(frozen=True)
class Options:
    """Measures a streamed frame of the fused agent against its two parts side by side."""

    pairs: tuple[Pair, ...] = ("tiny", "1x+smollm2")  # agent, and language model
    frames: Count = 120  # of each measurement
    lanes: Count = 1  # how many play side by side
    age: CountOrNone = 0  # frames to stream before the last question (0: not asked)
    threads: CountOrNone = 0  # processor threads (0: torch's choice)


def main(options: Options) -> None:
    use_threads(options.threads)
    for name in options.pairs:
        policy, language = pair(name)
        fused = Fused(policy, language, options.lanes)
        found, blocks = compare(fused, Alone(policy, language, options.lanes), options.frames)
        apart = percentile([apart for apart, _ in blocks], 0.5)
        overhead = percentile([together / apart for apart, together in blocks], 0.5) - 1
        p50, p95, p99 = (percentile(found, share) for share in (0.5, 0.95, 0.99))
        print(f"{name}, {options.lanes} lanes, {torch.get_num_threads()} threads: p50 {p50:.1f} ms, p95 {p95:.1f}, p99 "
              f"{p99:.1f}, mean {sum(found) / len(found):.1f}; not joined {apart:.1f} ms; overhead {overhead:+.0%}")
        with torch.inference_mode():
            parts = fused.parts(min(options.frames, 200))
        print("   " + ", ".join(f"{part} {ms:.1f} ms" for part, ms in parts.items()), flush=True)
        if options.age:
            print_drift(Fused(policy, language), options.age)


if __name__ == "__main__":
    run(main, Options)
