"""The ablations: runs that differ from one recipe in one thing each, and a table of what that gives and costs.

In: shards of many channels, an agent and a language model. Out: runs/ablations/<variant>-<stage>/ and, of all,
ablations.json, .txt and .png. The recipe is that of the last block of pretrain.sh, with fewer updates, from closed
gates.

    python ablations.py                                   # what is done is skipped; what was killed goes on
    python ablations.py --only flamingo 1-hour            # some of them, and what they are compared with
    python ablations.py --dear --only trunk-trained       # what takes long: from pixels, a published language model
    python ablations.py --quick --only without-patches    # two updates: does it run?
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from demo import Step
from vlpt.checkpoint import Run
from vlpt.data.shards import Shards
from vlpt.evaluation.ablation_costs import smollm2_frame_ms
from vlpt.evaluation.ablations import Asked, hours_of, measured, row, run_name, table
from vlpt.evaluation.trial import TrialOptions
from vlpt.files import check_writable, write_text
from vlpt.options import Count, run, to_dict
from vlpt.show.ablations_plot import ablations_figure
from vlpt.show.plots import check_out, write_result
from vlpt.training import STAGES
from vlpt.training.stage import defaults

HOURS = {"third-of-an-hour": 1 / 3, "1-hour": 1.0, "3-hours": 3.0, "12-hours": 12.0}
FREE = ("name", "runs", "threads")  # of a run's options: may be others than when it was begun
# The last block of pretrain.sh, a stage at a time, each from closed gates.
RECIPE = {
    "language": dict(train_language=False, frames_ask="words", lanes=16, chunk=128, rate_new=1e-3),
    "action": dict(train_agent=False, frames_ask="words", lanes=48, chunk=32, rate_new=2e-3, rate_gates=2e-2,
                   weight_decay=0.1, intention_decay=0.03, drop_last_action=0.4, drop_words=0.1),
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Trains variants of one recipe and compares them on held-out channels."""

    shards: str = "data/corpus/8_shards/many"  # LeRobotDataset folder, as pretrain.sh makes it
    held_out: tuple[str, ...] = ("ch152", "ch153", "ch154", "ch155")  # channels to compare on
    test: tuple[str, ...] = ("ch156", "ch157", "ch158", "ch159")  # channels that are not looked at
    base: str = "pretrained/base"  # the agent, a run or a folder
    language: str = "pretrained/words"  # the language model, a run or a folder
    decoder: str = "data/smollm2"  # with --dear: a published language model (python -m vlpt.language.smollm2)
    language_updates: Count = 120  # of the runs that learn words
    action_updates: Count = 200  # of the runs that learn actions
    dear_updates: Count = 12  # of the runs that --dear adds, and of the recipe that they are compared with
    contrast_updates: Count = 320  # with --dear: of the picture encoder, by words
    dear: bool = False  # also the trunk, trained from pixels or by words, and the published language model
    only: tuple[str, ...] = ()  # names of variants (none named: all)
    workers: Count = 1  # runs side by side; with two or more, a processor thread each
    runs: str = "runs/ablations"  # folder of the runs
    out: str = "runs/ablations/ablations.json"  # file to write; .txt and .png beside it
    quick: bool = False  # two updates a run: does everything run?


@dataclass(frozen=True)
class Variant:
    """What is changed in the recipe of a stage; None: the stage is not run, as the change does nothing there."""

    about: str  # for the table
    language: dict | None = None
    action: dict | None = None
    against: str = "reference"  # the variant that it is compared with; "" where the losses are of different tokens
    dear: bool = False
    reason: str = ""  # why it cannot be trained here


def variants(options: Options, hours: dict[str, float]) -> dict[str, Variant]:
    """All of them by name; hours: of play of each channel to train on."""
    total = sum(hours.values())
    ticks = {f"{n}-frames-a-tick": Variant(f"{n} frames a tick, not 4", *[dict(frames_per_tick=n)] * 2) for n in (2, 8)}
    few = dict(steps=options.dear_updates, validate_every=0)  # from pixels validation is dear, too
    contrast, decoder = f"{options.runs}/contrast", options.decoder
    published = few | dict(language=decoder)
    absent = "" if Path(decoder, "config.json").exists() else f"{decoder} is not there (vlpt/language/smollm2.py)"
    return {
        "reference": Variant(f"the recipe, {total:.1f} hours of play", {}, {}),
        "silence-softmax": Variant("silence as one more token", dict(silence="softmax")),
        "without-patches": Variant("words ask vectors only, no patches", dict(patch_window=0)),
        "blank-frames": Variant("sees nothing (control)", dict(frames="blank")),
        "silent-words": Variant("hears nothing (control)", None, dict(words="silence")),
        "language-trained": Variant("the language model trained, too", dict(train_language=True)),
        "flamingo": Variant("words ask before every second layer", dict(flamingo_every=2)),
        **ticks,
        "frames-ask-ticks": Variant("frames ask all ticks, not words", None, dict(frames_ask="ticks")),
        "without-intention": Variant("no reader of intentions", None, dict(intention=False)),
        **{name: _of_hours(wanted, hours) for name, wanted in HOURS.items()},
        # ---- what takes long, of few updates each
        "few-updates": Variant("the recipe, few updates", few, dear=True),
        "trunk-trained": Variant("the trunk trained, from pixels", few | dict(trunk="trained"), None, "few-updates",
                                 True),
        "trunk-contrastive": Variant("the trunk trained by words before", dict(base=contrast), dear=True),
        "smollm2": Variant("SmolLM2-135M, few updates", published, None, "", True, absent),
        "smollm2-adapters": Variant("SmolLM2-135M with adapters", published | dict(train_language=True, lora_rank=8),
                                    None, "smollm2", True, absent),
    }  # fmt: skip


def _of_hours(wanted: float, hours: dict[str, float]) -> Variant:
    """The first channels that hold so many hours of play, to the nearest channel."""
    total, chosen = 0.0, []
    for channel, length in sorted(hours.items()):
        if total + length / 2 <= wanted:
            total, chosen = total + length, [*chosen, channel]
    less = f"{total:.1f} hours of play" if total >= 0.95 else f"{60 * total:.0f} minutes of play"
    reason = f"there are {sum(hours.values()):.1f} hours" if len(chosen) == len(hours) else ""
    changed = dict(train_on=tuple(chosen))
    return Variant(less if not reason else f"{wanted:.0f} hours of play", changed, changed, reason=reason)


def chosen(options: Options, every: dict[str, Variant]) -> dict[str, Variant]:
    """Those that are asked for, each with what it is compared with. Raises ValueError for an unknown name."""
    if unknown := sorted(set(options.only) - every.keys()):
        raise ValueError(f"--only: no variant {', '.join(unknown)}: there are {', '.join(every)}")
    allowed = {name for name, variant in every.items() if options.dear or not variant.dear}
    if dear := sorted(set(options.only) - allowed):
        raise ValueError(f"--only {' '.join(dear)} takes long: give --dear, too")
    names = set(options.only) or allowed
    compared = {run_name(every[name].against, stage) for name in names for stage in RECIPE
                if getattr(every[name], stage) is not None and not every[name].reason}  # fmt: skip
    found = {}
    for name, variant in every.items():
        idle = () if name in names else [stage for stage in RECIPE if run_name(name, stage) not in compared]
        if len(idle) < len(RECIPE):
            found[name] = replace(variant, **dict.fromkeys(idle))
    return found


def steps(options: Options, todo: dict[str, Variant]) -> dict[str, Step]:
    """Every run in order, by its name."""
    made: dict[str, Step] = {}
    updates = dict(language=options.language_updates, action=options.action_updates)
    common = dict(runs=options.runs, shards=options.shards, held_out=options.held_out, test=options.test,
                  accumulate=1, progress=False, threads=1 if options.workers > 1 else 0)  # fmt: skip
    smaller = dict(steps=2, warmup=0, validate_every=0) if options.quick else {}

    def train(name: str, stage: str, **asked) -> None:
        made[name] = Step(("train.py", stage), STAGES[stage].Options(name=name, **common | asked | smaller))

    parts = dict(base=options.base, language=options.language)
    if "trunk-contrastive" in todo:
        train("contrast", "contrast", **parts, lanes=128, chunk=1, teacher_weight=4.0, validate_every=0,
              steps=options.contrast_updates)  # fmt: skip
    for name, variant in todo.items():
        for stage, recipe in RECIPE.items():
            changed = getattr(variant, stage)
            if changed is None or variant.reason:
                continue
            asked = dict(steps=updates[stage]) | parts | recipe | changed
            if not asked.get("intention", True):
                del asked["intention_decay"]  # there is nothing to decay
            times = dict(warmup=min(20, asked["steps"] // 5), validate_every=max(1, asked["steps"] // 3), save_every=50)
            train(run_name(name, stage), stage, **times | asked)
    return made


def is_done(step: Step) -> bool:
    """Whether a run has reached its end. Raises ValueError where it was made with other options."""
    asked = step.options
    options = {"stage": asked.stage, **to_dict(asked)}
    return Run(Path(asked.runs, asked.name), options, FREE, defaults(asked)).done


def train_all(made: dict[str, Step], workers: int) -> None:
    """Runs what is not done, so many side by side. Ends with a run's own status where one fails; nothing more is then
    begun."""
    todo = [step for step in made.values() if not is_done(step)]
    if todo and made.get("contrast") is todo[0]:
        todo.pop(0).run()  # others begin with it
    ended = Event()

    def train(step: Step) -> None:
        if ended.is_set():
            return
        try:
            step.run()
        except BaseException:
            ended.set()
            raise

    with ThreadPoolExecutor(workers) as pool:  # of threads that wait for processes
        try:
            for done in [pool.submit(train, step) for step in todo]:
                done.result()
        finally:
            ended.set()


def rows(options: Options, todo: dict[str, Variant], shards: Shards) -> list[dict]:
    """Measures every run, and compares."""
    asked, found = [], {}
    where = TrialOptions(shards=options.shards, held_out=options.held_out, lanes=16)
    for name, variant in todo.items():
        for stage in RECIPE:
            if getattr(variant, stage) is None:
                continue
            asked.append(Asked(name, stage, variant.about, variant.against, variant.reason))
            if not variant.reason:
                folder = Path(options.runs, run_name(name, stage))
                found[folder.name] = measured(folder, where, shards, f"{folder}.measured.json")
    if not options.only and not options.dear:
        reason = "its loss is measured with --dear (random weights here)"
        asked.append(Asked("smollm2", "language", "SmolLM2-135M", "", reason, smollm2_frame_ms(options.base)))
    return [row(one, found) for one in asked]


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    check_out(options.out)
    check_writable(Path(options.out).parent)
    if options.quick:
        quick = Path(options.out).with_stem(f"{Path(options.out).stem}-quick")
        options = replace(options, runs=f"{options.runs}/quick", out=str(quick), held_out=options.held_out[:2],
                          test=options.test + options.held_out[2:])  # fmt: skip
    shards = Shards(options.shards)
    todo = chosen(options, variants(options, hours_of(shards.episodes, (*options.held_out, *options.test))))
    made = steps(options, todo)
    train_all(made, options.workers)
    result = {"rows": rows(options, todo, shards), "seeds": 1, "options": to_dict(options)}
    write_result(options.out, result, ablations_figure)
    write_text(Path(options.out).with_suffix(".txt"), table(result["rows"]) + "\n")
    print(table(result["rows"]))
    return result


if __name__ == "__main__":
    run(main, Options)
