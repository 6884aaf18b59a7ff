"""Train one part of the agent: `python train.py STAGE --name RUN …` (`python train.py STAGE --help` lists its options).

In: shards (idm: with true keys; words: transcripts instead) and the weights of earlier stages. Out: `runs/<name>/` with
options, `log.jsonl` (one line a step), TensorBoard curves and checkpoints. Run again, it goes on where it stopped; once
done, it does nothing. Ctrl-C and SIGTERM save before they stop it (status 130; 0); one program at a time trains a run.
Several processes train as one: `torchrun --nproc-per-node 8 train.py STAGE …`, each with so many lanes (docs/scale.md).

    idm       inverse dynamics: which keys and mouse motion lie between two frames?
    contrast  the agent's picture encoder, by which words belong to which pictures; starts from base and words
    finder    where in the picture each kind of thing is; given to an agent
    base      VPT alone by behavioural cloning, from pixels
    words     the language model alone, on text
    language  language model + cross attention 1 (words ask frames); starts from base and words
    action    cross attention 2 (frames ask words) + VPT blocks 2..n; starts from the last stage
    joint     both
"""

import random
import time
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vlpt.checkpoint import Run
from vlpt.files import check_writable, errors_name
from vlpt.options import pick_device, run, to_dict, use_threads
from vlpt.training import STAGES
from vlpt.training.average import Average
from vlpt.training.diverged import Usual
from vlpt.training.interrupt import SIGINT, anywhere, interrupts
from vlpt.training.losses import LossTotals, objective
from vlpt.training.on_ray import train_on_ray
from vlpt.training.optimizer import clip_and_tell, make_optimizer, schedule, set_rates
from vlpt.training.parallel import Parallel, language_layers
from vlpt.training.processes import joined, one_writer, rank, summed, world_size
from vlpt.training.recompute import recompute
from vlpt.training.sharded import restore_all
from vlpt.training.snapshots import Snapshots, own_state
from vlpt.training.stage import Stage, StageOptions, defaults, prefixed
from vlpt.training.stopwatch import Stopwatch
from vlpt.training.telling import telling
from vpt.allocator import keep_freed_memory
from vpt.fast import compile_parts

OPTIONS = {name: stage.Options for name, stage in STAGES.items()}
# From one start of a run to the next; its folder may have been moved or renamed.
MAY_CHANGE = ("name", "runs", "stop_after", "progress", "threads", "device", "export", "wrapper", "ray", "compile",
              "recompute", "keep", "wandb", "explodes_at", "workers")


def train(options: StageOptions) -> dict:
    """Runs one stage to its end; returns the last validation's numbers (also in `runs/<name>/done.json`).

    Raises ValueError where another program trains this run, KeyboardInterrupt once it has saved after Ctrl-C.
    """
    if options.ray:
        return train_on_ray(train, options)
    with joined(pick_device(options.device)) as device, one_writer(Path(options.runs, options.name)):
        return train_here(options, device)


def train_here(options: StageOptions, device: torch.device) -> dict:
    """`train` in this process, which may be one of several, where no other program writes this run."""
    # ---- reproducible from the seed
    use_threads(options.threads)
    keep_freed_memory()
    seed_everything(options.seed)
    run = open_run(options)
    if run.done and (not options.export or Path(options.export, "config.json").exists()):
        print(f"{run.folder}: done before{f', and {options.export} is there' if options.export else ''}")
        return run.summary()

    # ---- data and model; go on where it stopped
    stage = STAGES[options.stage](options, device)
    weights = {name: weight for name, weight in stage.weights().items() if weight}
    if not weights:
        raise ValueError("nothing to learn: the weight of every loss is 0")
    autocast = pick_precision(options.precision, device)
    torch.backends.cudnn.benchmark = True  # shapes hardly change, so looking for the best kernels pays
    state, baselines = take_up(run, stage)

    # ---- what is trained, by all processes together
    snapshots = Snapshots(run, stage, options.keep, sharded=options.wrapper == "fsdp")
    if options.compile:
        compile_parts(stage.model, also=language_layers(stage.model))
    if options.recompute:
        recompute(stage.model)
    parallel = Parallel(stage, options.wrapper)
    optimizer = make_optimizer(stage.model, stage.groups(), stage.rates(), options.weight_decay)
    average = Average(stage.model, options.ema_decay)
    if rank():
        torch.manual_seed(options.seed + rank())  # what is drawn from here on is each process's own
    if state:
        restore_all(run, state, stage.model, optimizer, average)
        if known := own_state(run, state)["random"]:
            torch.set_rng_state(known["torch"])
    first_step, summary, best = state.get("step", 0), state.get("summary", {}), state.get("best", float("inf"))
    usual = Usual(options.explodes_at, state.get("usual", (0.0, 0)))
    if rank() == 0:
        print(stage.describe())
    run.begin()
    begin = time.monotonic() - state.get("seconds", 0.0)
    watch = Stopwatch(device, frames_an_update(options))
    bar = progress_bar(options, first_step)

    # ---- the loop
    with (errors_name(run.folder), closing(bar), interrupts() as noted, snapshots,
          telling(run, options, first_step) as tell):
        if not first_step and options.validate_every:  # what training adds is seen from here on
            with autocast:
                tell(dict(step=0) | parallel.validate() | baselines)
        for step in bar:
            set_rates(optimizer, schedule(step, options.steps, options.warmup))
            with watch.part("data"):
                batches = [stage.next_batch() for _ in range(options.accumulate)]
            with watch.counting(torch.bfloat16 if isinstance(autocast, torch.autocast) else torch.float32):
                totals = accumulate(parallel, batches, weights, autocast, watch)
            with watch.part("optimiser"):
                norm, norms = clip_and_tell(optimizer, options.clip)
                means = totals.means()
                loss = sum(weights[name] * mean for name, mean in means.items() if name in weights)
                usual.check(loss, norm, step + 1, lambda: "; ".join(map(stage.place, batches)))
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                average.update()

            # ---- tell
            done, signal = step + 1, anywhere(noted)
            last = done == options.steps
            row = dict(step=done, **means, gradient_norm=norm, **prefixed("norm", norms),
                       rate=optimizer.param_groups[0]["lr"], **stage.gates())
            if last or (options.validate_every and done % options.validate_every == 0):
                with autocast:
                    summary = parallel.validate() | baselines
                row |= summary
                found = stage.score(summary)
                if options.validate_every and found is not None and found < best:
                    best = found
                    snapshots.save_best(average, dict(step=done, score=found, **summary))
            rate = frames_an_update(options) * done / max(time.monotonic() - begin, 1e-9)
            tell(row | dict(frames_per_s=round(rate, 1)) | watch.row())
            bar.set_postfix({k: f"{v:.3f}" for k, v in means.items()}, refresh=False)

            # ---- keep
            stop = bool(signal) or done == options.stop_after
            if last or done % options.save_every == 0 or stop:
                snapshots.save(dict(step=done, summary=summary, best=best, usual=usual.state(), baselines=baselines,
                                    seconds=time.monotonic() - begin), optimizer, average)  # fmt: skip
            if stop and not last:
                if signal == SIGINT:
                    raise KeyboardInterrupt(f"stopped after step {done}")
                print(f"{run.folder}: stopped after step {done}; the same command goes on")
                return summary
    seconds = time.monotonic() - begin
    if options.export:
        snapshots.export(Path(options.export), average)
    snapshots.put_together()
    rate = frames_an_update(options) * options.steps / max(seconds, 1e-9)
    return run.finish(summary | dict(minutes=round(seconds / 60, 2), frames_per_s=round(rate, 1)))


def open_run(options: StageOptions) -> Run:
    """The run's folder. Raises ValueError for options that are not its own, have no effect or cannot be followed."""
    if options.wrapper != "ddp" and world_size() == 1:
        raise ValueError(f"--wrapper {options.wrapper} has no effect in one process: start several, by torchrun, --ray")
    asked = {"stage": options.stage, **to_dict(options)}
    run = Run(Path(options.runs, options.name), asked, MAY_CHANGE, defaults(options), writes=rank() == 0)
    if options.export:
        check_writable(options.export)
    return run


def take_up(run: Run, stage: Stage) -> tuple[dict, dict[str, float]]:
    """The stage goes on from the run's last whole checkpoint. Returns the trainer's state, {} where there is none, and
    the baselines, which are of weights as they were when training began.
    """
    baselines: dict[str, float] = {}

    def load(folder: Path, state: dict) -> None:
        baselines.update(state["baselines"] if "baselines" in state else stage.baselines())
        stage.load(folder, own_state(run, state)["stage"])

    state = run.load(load) or {}
    return state, baselines or stage.baselines()


def progress_bar(options: StageOptions, first_step: int) -> tqdm:
    """Over the updates that are left, shown by the first process."""
    return tqdm(range(first_step, options.steps), options.name, unit="step", initial=first_step, total=options.steps,
                disable=not options.progress or rank() > 0, dynamic_ncols=True)  # fmt: skip


def accumulate(parallel: Parallel, batches: list, weights: dict[str, float], autocast: AbstractContextManager,
               watch: Stopwatch) -> LossTotals:
    """Adds one update's gradient to the parameters: that of the weighted means over all that the batches of all
    processes count. Returns what they found, together.

    weights: of each loss that is minimised. All batches are drawn before, as a batch's share of a mean is known only by
    what the others count.
    """
    stage, totals = parallel.stage, LossTotals()
    each = [stage.counts(batch) for batch in batches]
    counts = summed({name: sum(one[name] for one in each) for name in weights})
    for batch in batches:
        with parallel.batch(last=batch is batches[-1]):
            with watch.part("forward"), autocast:
                losses = parallel(stage.losses, batch)
            with watch.part("backward"):
                parallel.backward(objective(losses, weights, counts))
            totals.add(losses)
    totals = totals.over_all_processes()
    assert counts.items() <= totals.counts().items(), f"{counts} were to count, {totals.counts()} did"
    return totals


def frames_an_update(options: StageOptions) -> int:
    """Of all processes: frames (words: tokens)."""
    return options.accumulate * options.lanes * options.chunk * world_size()


def pick_precision(name: str, device: torch.device) -> AbstractContextManager:
    """The context that losses are computed in. Raises ValueError for bfloat16 on a processor without units for it."""
    if name == "float32" or name == "auto" and device.type == "cpu":
        return nullcontext()
    if device.type == "cpu" and not torch.cpu.get_capabilities().get("amx_bf16"):
        raise ValueError("--precision bfloat16: this processor has no AMX, so that it would be slower many times over; "
                         "use --precision float32")
    return torch.autocast(device.type, torch.bfloat16)


def seed_everything(seed: int) -> None:
    """One seed for Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


if __name__ == "__main__":
    run(train, OPTIONS)
