"""What a streamed frame of the fused agent costs, where the time goes, and whether it stays so.

In: nothing (SmolLM2 from data/smollm2 if it is there, see vlpt/smollm2.py; else and for the rest random weights of the
same size). Out: a table on standard output; nothing is asserted. A frame is a whole step: trunk, a language tick every
fourth frame, both cross attentions, heads. `alone` is what agent and language model cost apart, each in its own loop.

    python tests/benchmarks/bench_fused.py --pairs tiny 1x+smollm2      # a minute
    python tests/benchmarks/bench_fused.py --pairs tiny --frames 100000 # ten: does a frame cost more after 80 minutes?
"""

import argparse
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from vlpt.families import build, load_language  # noqa: E402
from vlpt.language import LanguageConfig  # noqa: E402
from vlpt.model import VLPT  # noqa: E402
from vpt.policy import SIZES, Policy  # noqa: E402

WT103 = LanguageConfig(267735, width=1024, layers=18, heads=16, head_width=64, inner=4096, window=1599,
                       clamp_distance=1000, cutoffs=(20000, 40000, 200000), div_val=4)  # fmt: skip
PAIRS = ("tiny", "1x+smollm2", "2x+smollm2", "1x+wt103")
TICK = 4


def pair(name: str) -> tuple[Policy, torch.nn.Module]:
    """An agent and a language model."""
    size, _, talker = name.partition("+")
    if talker == "smollm2":
        language = load_language("data/smollm2")
    else:
        language = build(WT103 if talker == "wt103" else LanguageConfig(1500))
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


@torch.inference_mode()
def fused(policy: Policy, language, frames: int) -> tuple[list[float], dict[str, float]]:
    """Milliseconds a frame, and by part a frame on average."""
    model, watch = VLPT.from_parts(policy, language, frames_per_tick=TICK).eval(), Stopwatch()
    for parameter in model.groups()["gates"]:
        parameter.fill_(0.5)
    parts = {"look": "trunk", "think": "language", "respond": "agent blocks, heads"}
    for method, name in parts.items():
        watch.watch(model, method, name)
    for block in (*model.words_ask_frames.values(), *model.frames_ask_words.values()):
        watch.watch(block, "forward", "cross attention")
    generator = torch.Generator().manual_seed(0)
    state = {"memory": model.start(1)}
    sight = torch.randint(0, 256, (1, 1, 128, 128, 3), dtype=torch.uint8, generator=generator)
    heard = torch.randint(0, 1000, (512, 1, 1), generator=generator)
    first = torch.zeros(1, 1, dtype=torch.bool)

    def step(t: int) -> None:
        with watch.part("the rest"):
            output, state["memory"] = model(sight, first, heard[t % 512], state["memory"])
            if output.tick_valid.any():
                output.token_log_probs

    walls(step, 8)
    watch.seconds.clear()
    found = walls(step, frames)
    return found, {name: 1e3 * seconds / frames for name, seconds in watch.seconds.items()}


@torch.inference_mode()
def alone(policy: Policy, language, frames: int) -> tuple[float, float]:
    """Milliseconds a frame: the agent, and a quarter of a token of the language model with its memory full."""
    sight, first = torch.randint(0, 256, (1, 1, 128, 128, 3), dtype=torch.uint8), torch.zeros(1, 1, dtype=torch.bool)
    state = {"agent": policy.start(1), "talker": language.start(1)}

    def act(t: int) -> None:
        _, state["agent"] = policy(sight, first, state["agent"])

    def talk(t: int) -> None:
        _, state["talker"] = language(torch.tensor([[t % 1000]]), first, state["talker"])

    walls(act, 4), walls(talk, 4)
    return percentile(walls(act, frames), 0.5), percentile(walls(talk, max(8, frames // TICK)), 0.5) / TICK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", nargs="*", default=["tiny", "1x+smollm2"], choices=PAIRS)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.pairs:
        policy, language = pair(name)
        apart = alone(policy, language, min(options.frames, 200))
        found, parts = fused(policy, language, options.frames)
        mean, together = sum(found) / len(found), sum(apart)
        p50, p95, p99 = (percentile(found, share) for share in (0.5, 0.95, 0.99))
        print(f"{name}, {options.threads} threads: p50 {p50:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f}, mean {mean:.1f}; "
              f"alone {apart[0]:.1f} + {apart[1]:.1f} = {together:.1f} ms; overhead {mean / together - 1:+.0%}")
        print("   " + ", ".join(f"{part} {ms:.1f} ms" for part, ms in parts.items()), flush=True)
        if options.frames >= 2000:
            early, late = found[1000:2000], found[-1000:]
            drift = percentile(late, 0.5) / percentile(early, 0.5) - 1
            print(f"   median of frames 1,000 to 2,000 {percentile(early, 0.5):.2f} ms, of the last 1,000 "
                  f"{percentile(late, 0.5):.2f} ms: drift {drift:+.1%}", flush=True)


if __name__ == "__main__":
    main()
