"""Train one part of the agent: `python train.py --stage idm|base|words|language|action|joint --name RUN`.

In: shards (idm: with true keys; words: transcripts instead) and the weights of earlier stages. Out: `runs/<name>/` with
options, `log.jsonl` (one line a step), TensorBoard curves and checkpoints. Run again, it goes on where it stopped; once
done, it does nothing.

    idm       inverse dynamics: which keys and mouse motion lie between two frames?
    base      VPT alone by behavioural cloning, from pixels
    words     the language model alone, on text
    language  language model + cross attention 1 (words ask frames); starts from base and words
    action    cross attention 2 (frames ask words) + VPT blocks 2..n; starts from the last stage
    joint     both
"""

import random
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from vlpt import old_options as opt
from vlpt.checkpoint import Run
from vlpt.training import STAGES
from vlpt.training.losses import LossPart, LossTotals
from vlpt.training.optimizer import clip, make_optimizer, schedule, set_rates
from vpt.allocator import keep_freed_memory


@dataclass(frozen=True)
class Options:
    """Train one part of the agent."""

    stage: str = opt.option(help="which part to train", choices=("idm", "base", "words", "language", "action", "joint"))
    name: str = opt.option(help="the run's name: it lies in runs/<name>")
    # data
    shards: str = opt.option("data/6_shards", "LeRobotDataset folder (all stages but words)")
    train_on: tuple[str, ...] = opt.option((), "channels to train on (none named: all that are not held out)")
    videos: str = opt.option("data_gathering/samples", "recordings whose transcripts are the text (words); empty: none")
    text: str = opt.option("", "a text file to add to the transcripts (words)")
    held_out: tuple[str, ...] = opt.option(("ch4", "ch5"), "channels kept for validation")
    words: str = opt.option("true", "what the agent hears in training; oracle and shuffled are controls",
                            choices=("true", "shuffled", "oracle", "silence"))
    drop_words: float = opt.option(0.0, "share of episodes that are trained on without words, for guidance in play")
    # where to start
    start: str = opt.option("", "weights of this very model to go on from: a run or a model folder")
    base: str = opt.option("pretrained/base", "the agent to embody, if start is empty (language, action, joint)")
    language: str = opt.option("pretrained/words", "the language model to embody, if start is empty: a run, a folder, "
                               "or a published decoder's folder (Llama, SmolLM2, Qwen)")
    language_window: int = opt.option(512, "tokens that a published decoder looks back on")
    lora_rank: int = opt.option(0, "train adapters of this rank on a published decoder's attention (0: all weights)")
    train_language: bool = opt.option(True, "train the language model too, not only what joins it (language, joint)")
    # model
    size: str = opt.option("tiny", "size of a model made anew")
    max_distance: int = opt.option(16, "frames up to which attention tells how far one is from another (idm); 0: as in "
                                   "OpenAI's model, not at all")
    vocabulary: int = opt.option(1500, "tokens, for a tokenizer made anew (words)")
    frames_per_tick: int = opt.option(4, "frames a tick of the language model")
    flamingo_every: int = opt.option(0, "words ask frames at the input (0) or before every so many layers")
    silence: str = opt.option("factored", "silence has a logit of its own, or is one more token",
                              choices=("factored", "softmax"))
    remember_silence: str = opt.option("last", "which silent ticks the language model's memory keeps",
                                       choices=("none", "last", "all"))
    max_lateness_ms: int = opt.option(2000, "a token later than this after its word's onset is not trained on")
    trunk: str = opt.option("frozen", "frozen: train from cached features; trained: from pixels",
                            choices=("frozen", "trained"))
    # batches
    lanes: int = opt.option(8, "episodes side by side")
    chunk: int = opt.option(128, "frames (words: tokens) a lane between two updates of memory")
    accumulate: int = opt.option(3, "chunks an update of the weights: lanes x chunk x accumulate frames")
    # optimisation
    steps: int = opt.option(1000, "updates of the weights")
    warmup: int = opt.option(20, "updates until the full learning rate")
    rate_pretrained: float = opt.option(4e-5, "learning rate of pre-trained weights")
    rate_new: float = opt.option(1e-4, "learning rate of new modules")
    heads_rate: float = opt.option(1.0, "times the rate of the rest, for the action heads (idm, base)")
    picture_rate: float = opt.option(1.0, "times the rate of the rest, for the picture encoder (base)")
    rate_gates: float = opt.option(1e-2, "learning rate of the gates")
    weight_decay: float = opt.option(0.01, "AdamW's, on matrices only")
    clip: float = opt.option(1.0, "largest joint norm of the gradients")
    token_weight: float = opt.option(1.0, "weight of the token loss (nats/token)")
    silence_weight: float = opt.option(1.0, "weight of the silence loss (nats/tick)")
    kl_weight: float = opt.option(0.0, "weight of the KL to the agent before this stage (nats/frame)")
    augment: bool = opt.option(True, "colour and geometry augmentation (idm)")
    mirror: bool = opt.option(False, "half of the clips as in a mirror; validation sees both sides (idm)")
    # running
    validate_every: int = opt.option(100, "updates between validations (0: only at the end)")
    validate_chunks: int = opt.option(0, "chunks a validation (0: all held-out data)")
    save_every: int = opt.option(100, "updates between checkpoints")
    stop_after: int = opt.option(0, "interrupt after this many updates, to be resumed by the same command (0: never)")
    runs: str = opt.option("runs", "folder of the runs")
    export: str = opt.option("", "a folder to write the final weights to, in half precision")
    seed: int = opt.option(0, "of everything random")
    threads: int = opt.option(0, "CPU threads (0: torch's choice)")
    device: str = opt.option("auto", "auto, cpu or cuda")
    precision: str = opt.option("auto", "of products; auto: bfloat16 on a GPU, float32 on a processor, where bfloat16 "
                                "wants AMX and pays when training from pixels", choices=("auto", "float32", "bfloat16"))
    resident: bool = opt.option(False, "keep all pictures decoded on the device, 3.5 GB an hour (idm)")
    compile: bool = opt.option(False, "torch.compile the picture encoder and the blocks (idm, base)")
    progress: bool = opt.option(True, "show a progress bar")


def train(options: Options) -> dict:
    """Runs one stage to its end; returns the last validation's numbers (also in `runs/<name>/done.json`)."""
    # ---- reproducible from the seed
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    seed_everything(options.seed)
    device = pick_device(options.device)
    run = Run(f"{options.runs}/{options.name}", options, free=("stop_after", "progress", "threads", "device"))
    if run.done:
        print(f"{run.folder}: done before")
        return run.summary()

    # ---- data, model, optimiser
    stage = STAGES[options.stage](options, device)
    optimizer = make_optimizer(stage.groups(), stage.rates(), options.weight_decay)
    autocast = pick_precision(options.precision, device)
    torch.backends.cudnn.benchmark = True  # shapes hardly change, so looking for the best kernels pays
    print(stage.describe())
    baselines = stage.baselines()
    run.begin()

    # ---- go on where it stopped
    first_step = 0
    if found := run.load():
        model_folder, state = found
        stage.load(model_folder, state["stage"])
        optimizer.load_state_dict(state["optimizer"])
        restore_random(state["random"])
        first_step = state["step"]
    curves = SummaryWriter(run.folder / "tensorboard", purge_step=first_step)
    summary, begin = {}, time.time()
    bar = tqdm(range(first_step, options.steps), options.name, unit="step", disable=not options.progress,
               initial=first_step, total=options.steps, dynamic_ncols=True)

    # ---- the loop
    for step in bar:
        parts = LossTotals()
        set_rates(optimizer, schedule(step, options.steps, options.warmup))
        for _ in range(options.accumulate):
            with autocast:
                losses = stage.losses()
            (objective(losses, stage.weights()) / options.accumulate).backward()
            parts.add(losses)
        norm = clip(optimizer, options.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        # ---- tell
        done = step + 1
        rate = optimizer.param_groups[0]["lr"]
        row = dict(step=done, **parts.means(), gradient_norm=norm, rate=rate, **stage.gates())
        speed = (done - first_step) * options.accumulate * options.lanes * options.chunk / (time.time() - begin)
        last = done == options.steps
        if last or (options.validate_every and done % options.validate_every == 0):
            with autocast:
                summary = stage.validate() | baselines
            row |= summary
        run.log(row | dict(frames_per_s=round(speed, 1)))
        for key, value in row.items():
            curves.add_scalar(key, value, done)
        bar.set_postfix({k: f"{v:.3f}" for k, v in parts.means().items()}, refresh=False)

        # ---- keep
        if last or done % options.save_every == 0 or done == options.stop_after:
            state = dict(step=done, stage=stage.state(), optimizer=optimizer.state_dict(), random=random_state())
            run.save(stage.save, state)
        if done == options.stop_after and not last:
            return summary
    curves.close()
    if options.export:
        stage.save(Path(options.export), half=True)
    return run.finish(summary | dict(minutes=round((time.time() - begin) / 60, 2), frames_per_s=round(speed, 1)))


def objective(losses: dict[str, LossPart], weights: dict[str, float]) -> torch.Tensor:
    """What is minimised: the weighted sum of the parts' means; a part without a weight is only logged."""
    return sum(weights[name] * part.mean for name, part in losses.items() if weights.get(name))


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU if there is one. Raises ValueError for a device that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no GPU here; use --device cpu")
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)


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


def random_state() -> dict:
    """torch's generator; the loaders' generators are part of the stage's state."""
    return dict(torch=torch.get_rng_state())


def restore_random(state: dict) -> None:
    """Inverse of `random_state`."""
    torch.set_rng_state(state["torch"])


if __name__ == "__main__":
    opt.run(train, Options)
