"""Train one part of the agent: `python train.py STAGE --name RUN …` (`python train.py STAGE --help` lists its options).

In: shards (idm: with true keys; words: transcripts instead) and the weights of earlier stages. Out: `runs/<name>/` with
options, `log.jsonl` (one line a step), TensorBoard curves and checkpoints. Run again, it goes on where it stopped; once
done, it does nothing. Ctrl-C saves before it stops; one process at a time trains a run.

    idm       inverse dynamics: which keys and mouse motion lie between two frames?
    contrast  the agent's picture encoder, by which words belong to which pictures; starts from base and words
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
from vlpt.files import check_writable, errors_name, locked
from vlpt.options import pick_device, run, to_dict, use_threads
from vlpt.training import STAGES
from vlpt.training.curves import curves
from vlpt.training.interrupt import interrupts
from vlpt.training.losses import LossTotals, objective
from vlpt.training.optimizer import clip, make_optimizer, restore, schedule, set_rates
from vlpt.training.stage import Stage, StageOptions
from vpt.allocator import keep_freed_memory

OPTIONS = {name: stage.Options for name, stage in STAGES.items()}
# From one start of a run to the next; its folder may have been moved or renamed.
MAY_CHANGE = ("name", "runs", "stop_after", "progress", "threads", "device", "export")


def train(options: StageOptions) -> dict:
    """Runs one stage to its end; returns the last validation's numbers (also in `runs/<name>/done.json`).

    Raises ValueError where another process trains this run, KeyboardInterrupt once it has saved after Ctrl-C.
    """
    with locked(Path(options.runs, options.name)):
        return train_alone(options)


def train_alone(options: StageOptions) -> dict:
    """`train`, where no other process writes this run."""
    # ---- reproducible from the seed
    use_threads(options.threads)
    keep_freed_memory()
    seed_everything(options.seed)
    device = pick_device(options.device)
    run = Run(Path(options.runs, options.name), {"stage": options.stage, **to_dict(options)}, MAY_CHANGE)
    if options.export:
        check_writable(options.export)
    if run.done and (not options.export or Path(options.export, "config.json").exists()):
        print(f"{run.folder}: done before{f', and {options.export} is there' if options.export else ''}")
        return run.summary()

    # ---- data, model, optimiser
    stage = STAGES[options.stage](options, device)
    if not any(stage.weights().values()):
        raise ValueError("nothing to learn: the weight of every loss is 0")
    optimizer = make_optimizer(stage.model, stage.groups(), stage.rates(), options.weight_decay)
    autocast = pick_precision(options.precision, device)
    torch.backends.cudnn.benchmark = True  # shapes hardly change, so looking for the best kernels pays
    print(stage.describe())
    baselines = stage.baselines()
    run.begin()

    # ---- go on where it stopped
    first_step, summary, seconds = 0, {}, 0.0
    if state := run.load(lambda folder, state: stage.load(folder, state["stage"])):
        restore(optimizer, state["optimizer"], run.folder)
        torch.set_rng_state(state["random"]["torch"])
        first_step, summary, seconds = state["step"], state.get("summary", {}), state.get("seconds", 0.0)
    begin = time.monotonic() - seconds
    bar = tqdm(range(first_step, options.steps), options.name, unit="step", disable=not options.progress,
               initial=first_step, total=options.steps, dynamic_ncols=True)

    # ---- the loop
    with (errors_name(run.folder), closing(bar), interrupts() as interrupted,
          curves(run.folder / "tensorboard", first_step) as writer):
        if not first_step and options.validate_every:  # what training adds is seen from here on
            with autocast:
                tell(run, writer, dict(step=0) | stage.validate() | baselines)
        for step in bar:
            set_rates(optimizer, schedule(step, options.steps, options.warmup))
            totals = accumulate(stage, options.accumulate, autocast)
            norm = clip(optimizer, options.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            # ---- tell
            done = step + 1
            last = done == options.steps
            row = dict(step=done, **totals.means(), gradient_norm=norm, rate=optimizer.param_groups[0]["lr"],
                       **stage.gates())
            if last or (options.validate_every and done % options.validate_every == 0):
                with autocast:
                    summary = stage.validate() | baselines
                row |= summary
            rate = frames_per_second(options, done, time.monotonic() - begin)
            tell(run, writer, row | dict(frames_per_s=round(rate, 1)))
            bar.set_postfix({k: f"{v:.3f}" for k, v in totals.means().items()}, refresh=False)

            # ---- keep
            stop = bool(interrupted) or done == options.stop_after
            if last or done % options.save_every == 0 or stop:
                # The loaders' generators are part of the stage's state.
                run.save(stage.save, dict(step=done, stage=stage.state(), optimizer=optimizer.state_dict(),
                                          random=dict(torch=torch.get_rng_state()), summary=summary,
                                          seconds=time.monotonic() - begin))
            if interrupted and not last:
                raise KeyboardInterrupt(f"stopped after step {done}")
            if stop and not last:
                return summary
    seconds = time.monotonic() - begin
    if options.export:
        stage.save(Path(options.export), half=True)
    rate = frames_per_second(options, options.steps, seconds)
    return run.finish(summary | dict(minutes=round(seconds / 60, 2), frames_per_s=round(rate, 1)))


def tell(run: Run, writer, row: dict) -> None:
    """One step's numbers, into log.jsonl and TensorBoard."""
    run.log(row)
    for key, value in row.items():
        writer.add_scalar(key, value, row["step"])


def accumulate(stage: Stage, n_batches: int, autocast: AbstractContextManager) -> LossTotals:
    """Adds one update's gradient to the parameters: that of the weighted means over all that so many batches count.

    All batches are drawn first, as a batch's share of a mean is known only by what the others count.
    """
    batches, totals = [stage.next_batch() for _ in range(n_batches)], LossTotals()
    weights = {name: weight for name, weight in stage.weights().items() if weight}
    each = [stage.counts(batch) for batch in batches]
    counts = {name: sum(one[name] for one in each) for name in weights}
    for batch in batches:
        with autocast:
            losses = stage.losses(batch)
        objective(losses, weights, counts).backward()
        totals.add(losses)
    assert counts.items() <= totals.counts().items(), f"{counts} were to count, {totals.counts()} did"
    return totals


def frames_per_second(options: StageOptions, updates: int, seconds: float) -> float:
    """How fast so many updates were: frames (words: tokens) a second, validation and checkpoints included."""
    return updates * options.accumulate * options.lanes * options.chunk / max(seconds, 1e-9)


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
