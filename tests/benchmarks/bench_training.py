"""What training costs beside arithmetic: checkpoints, going on, telling; from cached features, pixels, frame by frame.

In: shards (data/6_shards). Out: one line a measurement on standard output, ratios side by side; nothing is asserted.

    python tests/benchmarks/bench_training.py --what checkpoints telling resume gradients   # a minute
    python tests/benchmarks/bench_training.py --what sources       # cached, pixels, one frame at a time: minutes
    python tests/benchmarks/bench_training.py --what processes     # two against one: wants two idle cores
    python tests/benchmarks/bench_training.py --what compiled joined   # torch.compile: the agent; the joined model
    python tests/benchmarks/bench_training.py --what sharded       # checkpoints of two processes, by ddp and by fsdp
"""

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
import train  # noqa: E402
from vlpt.checkpoint import Run, peak_gb  # noqa: E402
from vlpt.files import read_lines  # noqa: E402
from vlpt.language.families import build, load_language  # noqa: E402
from vlpt.language.transformer_xl import TransformerXLConfig  # noqa: E402
from vlpt.model import VLPT  # noqa: E402
from vlpt.options import Count, parse, run, to_flags  # noqa: E402
from vlpt.training.average import Average  # noqa: E402
from vlpt.training.optimizer import clip_and_tell, make_optimizer  # noqa: E402
from vlpt.training.parallel import Parallel, language_layers  # noqa: E402
from vlpt.training.snapshots import Snapshots  # noqa: E402
from vlpt.training.stopwatch import Stopwatch  # noqa: E402
from vlpt.training.telling import telling  # noqa: E402
from vpt.fast import compile_parts  # noqa: E402
from vpt.policy import SIZES, Policy, PolicySize  # noqa: E402

Measured = Literal["checkpoints", "telling", "resume", "gradients", "sources", "processes", "compiled",
                   "joined", "sharded"]  # fmt: skip
LANES, CHUNK = 4, 64


@dataclass(frozen=True)
class Options:
    """Measures training."""

    what: tuple[Measured, ...] = ("checkpoints", "telling", "resume", "gradients")
    shards: str = "data/6_shards"  # LeRobotDataset folder with channels ch4, ch5
    size: PolicySize = "1x"  # of the agent in `sources` and `compiled`
    frames: Count = 16  # a chunk in `sources` and `compiled`
    save_every: Count = 100  # updates between two checkpoints, to spread one over


def asked(options: Options, runs: str, name: str, *flags: str):
    """A tiny joint training from cached features."""
    given = (f"joint --name {name} --runs {runs} --shards {options.shards} --device cpu --no-progress --lanes {LANES} "
             f"--chunk {CHUNK} --accumulate 1 --warmup 1 --validate-every 0 --save-every 100000 --steps 6")
    return parse(train.OPTIONS, [*given.split(), *flags])


def seconds(act) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


class Update:
    """Single updates of a stage, as the loop in train.py makes them, and what they tell."""

    def __init__(self, given) -> None:
        train.seed_everything(0)
        self.given, self.stage = given, train.STAGES[given.stage](given, torch.device("cpu"))
        if given.compile:
            compile_parts(self.stage.model, also=language_layers(self.stage.model))
        self.run = Run(Path(given.runs, given.name), {})
        self.run.begin()
        self.snapshots = Snapshots(self.run, self.stage)
        self.parallel = Parallel(self.stage, "ddp")
        self.optimizer = make_optimizer(self.stage.model, self.stage.groups(), self.stage.rates(), 0.01)
        self.average, self.watch = Average(self.stage.model, 0.0), Stopwatch(torch.device("cpu"), LANES * CHUNK)
        self.weights = {name: weight for name, weight in self.stage.weights().items() if weight}
        self.autocast = train.pick_precision("float32", torch.device("cpu"))

    def __call__(self) -> dict:
        batches = [self.stage.next_batch()]
        totals = train.accumulate(self.parallel, batches, self.weights, self.autocast, self.watch)
        norm, norms = clip_and_tell(self.optimizer, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        named = {f"norm/{name}": value for name, value in norms.items()}
        return totals.means() | dict(gradient_norm=norm) | named | self.stage.gates()


def checkpoints(options: Options, folder: str) -> None:
    """How long the loop waits for one, and how much slower updates are while it is written."""
    update = Update(asked(options, folder, "saved"))
    step = median([seconds(update) for _ in range(6)])
    with update.snapshots as snapshots:
        waits, meanwhile = [], []
        for number in range(4):
            state = dict(step=number, summary={}, best=0.0, usual=(0.0, 0), seconds=0.0)
            waits.append(seconds(lambda state=state: snapshots.save(state, update.optimizer, update.average)))
            meanwhile.append(seconds(update))
            written = seconds(snapshots.wait)
    stall = median(waits) + max(0.0, median(meanwhile) - step)
    print(f"checkpoint: an update {1e3 * step:.0f} ms, copying {1e3 * median(waits):.0f} ms, an update while it is "
          f"written {1e3 * median(meanwhile):.0f} ms (then {1e3 * written:.0f} ms more to write): "
          f"{stall / (options.save_every * step):.2%} of {options.save_every} updates", flush=True)  # fmt: skip


def telling_cost(options: Options, folder: str) -> None:
    """Of a row's telling: log.jsonl, TensorBoard, timing."""
    update = Update(asked(options, folder, "told"))
    step = median([seconds(update) for _ in range(6)])
    row = update()
    with telling(update.run, update.given, 0) as tell:
        costs = [seconds(lambda i=i: tell(row | dict(step=i) | update.watch.row())) for i in range(200)]
    print(f"telling: {1e6 * median(costs):.0f} µs for {len(row)} numbers, {median(costs) / step:.3%} of an update of "
          f"{1e3 * step:.0f} ms", flush=True)  # fmt: skip


def resume(options: Options, folder: str) -> None:
    """From the command to the first update after the checkpoint, imports included."""
    given = asked(options, folder, "resumed")
    train.train(replace(given, stop_after=3))
    command = [sys.executable, "train.py", given.stage, *to_flags(replace(given, stop_after=4))]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = seconds(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"resume: {wall:.1f} s, {busy:.1f} s of a processor, from the command to the end of one more update, its "
          "checkpoint written", flush=True)  # fmt: skip


def gradients(options: Options, folder: str) -> None:
    """Bytes that each process sends and receives an update under DDP: a gradient in fp32, reduced in a ring."""
    language = {"tiny": build(TransformerXLConfig(1500))}
    if (ROOT / "data/smollm2").exists():
        language["1x"] = load_language("data/smollm2")
    else:
        print("gradients: data/smollm2 is missing (vlpt/language/smollm2.py), so that 1x is without a language model")
    for size in ("tiny", "1x"):
        model = VLPT.from_parts(Policy(SIZES[size]), language[size], intention=True) if size in language else Policy(
            SIZES[size])  # fmt: skip
        for stage, trunk in (("action", "frozen"), ("joint", "frozen"), ("joint", "trained")):
            if isinstance(model, VLPT):
                model.freeze(stage, trunk)
            numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
            print(f"gradients: {size} {stage}, trunk {trunk}: {numbers / 1e6:.1f} M numbers, {4e-9 * numbers:.3f} GB",
                  flush=True)  # fmt: skip
    print(f"  ({peak_gb():.1f} GB of memory)")


def policy_step(policy: Policy, lanes: int, frames: int, cached: bool, one_by_one: bool = False):
    """A function that makes one update's gradient of so many frames."""
    generator = torch.Generator().manual_seed(0)
    if cached:
        seen = torch.randn(lanes, frames, policy.packed_width, generator=generator)
    else:
        seen = torch.randint(0, 256, (lanes, frames, 128, 128, 3), dtype=torch.uint8, generator=generator)
    first = torch.zeros(lanes, frames, dtype=torch.bool)

    def learn(pictures, begins, memory):
        output, memory = policy(pictures, begins, memory)
        (-output.action.buttons[..., 0].mean() - output.action.camera[..., 0].mean()).backward()
        return tuple(block.detach() for block in memory)

    def update() -> None:
        memory = policy.start(lanes)
        if not one_by_one:
            learn(seen, first, memory)
            return
        for t in range(frames):
            memory = learn(seen[:, t : t + 1], first[:, t : t + 1], memory)

    return update


def sources(options: Options, folder: str) -> None:
    """Frames a second of the same agent: trunk's outputs cached, from pixels, one frame a sample as was published."""
    policy, frames = Policy(SIZES[options.size]), options.frames
    rates = {}
    for name, trained, how in (("from cached features", False, dict(cached=True)), ("from pixels", True,
                               dict(cached=False)), ("one frame at a time", True, dict(cached=False, one_by_one=True))):
        for part in policy.trunk:
            part.requires_grad_(trained)
        lanes = 4 if name == "from cached features" else 1
        update = policy_step(policy, lanes, 4 * frames if lanes == 4 else frames, **how)
        times = sorted(seconds(update) for _ in range(3))
        rates[name] = (4 * 4 if lanes == 4 else 1) * frames / times[0]
    cached = rates["from cached features"]
    for name, rate in rates.items():
        print(f"sources: {options.size} {name}: {rate:.1f} frames/s, cached {cached / rate:.0f} times", flush=True)


def compiled(options: Options, folder: str) -> None:
    """torch.compile against none, from pixels."""
    policy = Policy(SIZES[options.size])
    update = policy_step(policy, 1, options.frames, cached=False)
    eager = min(seconds(update) for _ in range(4))
    compile_parts(policy)
    first = seconds(update)
    fast = min(seconds(update) for _ in range(4))
    print(f"compiled: {options.size}, {options.frames / fast:.1f} frames/s, {eager / fast:.2f} times uncompiled; "
          f"the first update took {first:.0f} s", flush=True)  # fmt: skip


def joined_compiled(options: Options, folder: str) -> None:
    """torch.compile against none for a tiny joint training from cached features, taking turns."""
    plain, fast = (Update(asked(options, folder, name, *flags)) for name, flags in (("plain", ()), ("fast", (
                   "--compile",))))  # fmt: skip
    first = seconds(fast)
    times = [(seconds(plain), seconds(fast)) for _ in range(12)][2:]
    eager, compiled = (median(list(each)) for each in zip(*times, strict=True))
    print(f"joined: tiny joint, {LANES * CHUNK / compiled:.0f} frames/s, {eager / compiled:.2f} times uncompiled; the "
          f"first update took {first:.0f} s", flush=True)  # fmt: skip


def rows_of(given, count: int) -> list[dict]:
    """What so many processes with a thread each told of a training."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count),
               "train.py", given.stage, *to_flags(given)]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return read_lines(Path(given.runs, given.name, "log.jsonl"))


def sharded(options: Options, folder: str) -> None:
    """How much longer an update of two processes takes while a checkpoint is written, whole or by parts."""
    for wrapper in ("ddp", "fsdp"):
        given = replace(asked(options, folder, wrapper, "--threads", "1"), steps=23, save_every=3, wrapper=wrapper)
        times = {row["step"]: 1 / row["speed/frames_per_s"] for row in rows_of(given, 2)}
        meanwhile, others = (median([times[step] for step in times if step > 5 and (step % 3 == 1) == saved])
                             for saved in (True, False))  # fmt: skip
        print(f"sharded: {wrapper}, an update while a checkpoint is written {meanwhile / others:.2f} times another, "
              f"{(meanwhile / others - 1) / options.save_every:.2%} of {options.save_every} updates", flush=True)


def processes(options: Options, folder: str) -> None:
    """Frames a second of two processes with a thread each against twice those of one; 3,072 frames an update of two."""
    found, many = {}, ("--threads", "1", "--accumulate", "6")
    for count in (1, 2):
        rows = rows_of(replace(asked(options, folder, f"of{count}", *many), steps=10), count)
        found[count] = median([row["speed/frames_per_s"] for row in rows[3:]])
    print(f"processes: one {found[1]:.0f} frames/s, two {found[2]:.0f}: {found[2] / found[1] / 2:.2f} of twice one",
          flush=True)  # fmt: skip


MEASURES = dict(checkpoints=checkpoints, telling=telling_cost, resume=resume, gradients=gradients, sources=sources,
                processes=processes, compiled=compiled, joined=joined_compiled, sharded=sharded)  # fmt: skip


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in options.what:
            MEASURES[name](options, folder)


if __name__ == "__main__":
    run(main, Options)
