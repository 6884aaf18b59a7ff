"""The demo: one list of programs and their options, which `make demo` runs and main.ipynb shows.

In: the recordings in data_gathering/samples and the weights in pretrained/. Out: runs/demo/, above all report.html.

    python demo.py                # each program is a process of its own; what is done is skipped
    python demo.py --scratch      # records all play and trains every weight anew (hours)
"""

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import evaluate
from data_gathering import demonstrate, label, shard
from vlpt import play
from vlpt.evaluation import hand, matching, probe, worth
from vlpt.files import write_text
from vlpt.options import run, to_flags
from vlpt.show import report
from vlpt.training import STAGES


@dataclass(frozen=True)
class Options:
    """Labels play, trains every stage and two controls, evaluates, plays, and shows it all."""

    scratch: bool = False  # record play and train everything anew, instead of from samples and pretrained weights
    quick: bool = False  # two updates a stage on three channels: does everything run?


@dataclass(frozen=True)
class Step:
    """A program, what it is asked, and, where it does not see by itself that it is done, a file that says so."""

    program: tuple[str, ...]  # for python: a file, or -m and a module
    options: object = None
    makes: str = ""

    @property
    def command(self) -> list[str]:
        """The command line, as a person would type it."""
        return ["python", *self.program, *(to_flags(self.options) if self.options else ())]

    def run(self, keep: bool = False) -> str:
        """Runs it and ends with its own status where it fails; keep: gives what it prints, which is then shown at its
        end and not as it comes."""
        print("$", shlex.join(self.command), flush=True)
        done = subprocess.run([sys.executable, *self.command[1:]], stdout=subprocess.PIPE if keep else None, text=True)
        if keep:
            print(done.stdout, flush=True)
        if done.returncode:
            sys.exit(done.returncode)
        return done.stdout or ""


def steps(options: Options) -> dict[str, Step]:
    """Every program of the demo in order, by the name of what it makes."""
    runs, data = ("runs/quick", "data/quick") if options.quick else ("runs/demo", "data")
    recordings, pretrained = "data_gathering/samples", "pretrained"
    # All channels. By one the recipes below were chosen, two are only reported on; nothing is trained on the three.
    channels, kept = (), dict(held_out=("ch6",), test=("ch4", "ch5"))
    smaller = {}
    if options.quick:
        channels, kept = ("ch0", "ch3", "ch5"), dict(held_out=("ch3",), test=("ch5",))
        smaller = dict(steps=2, lanes=2, chunk=64, accumulate=1, progress=False)
    made: dict[str, Step] = {}
    if options.scratch:
        recordings, pretrained = "data/3_video", "runs/scratch"
        asked = demonstrate.Options(out=recordings, channels=7, episodes=4, seconds=50.0, seed=1)
        made["recordings"] = Step(("-m", "data_gathering.demonstrate"), asked)

    def train(name: str, stage: str, **asked) -> None:
        made[name] = Step(("train.py", stage), STAGES[stage].Options(name=name, runs=runs, **asked | smaller))

    def begun(part: str) -> str:
        """The weights to go on from, where there are any."""
        return f"{pretrained}/{part}" if options.scratch or Path(pretrained, part, "config.json").exists() else ""

    # ---- 1. which keys were pressed? an inverse dynamics model learns it from one channel and labels all others
    known = shard.Options(recordings=recordings, labels="truth", out=f"{data}/truth_shards", channels=channels)
    made["truth_shards"] = Step(("-m", "data_gathering.shard"), known)
    train("idm", "idm", start=begun("idm"), shards=known.out, train_on=("ch0",), **kept, steps=50, lanes=4,
          accumulate=1, rate_new=5e-5, mirror=True, validate_every=0)  # fmt: skip
    labels = label.Options(idm=f"{runs}/idm/checkpoint/model", videos=recordings, out=f"{data}/5_actions", mirror=True,
                           channels=channels)  # fmt: skip
    made["labels"] = Step(("-m", "data_gathering.label"), labels)
    labelled = shard.Options(recordings=recordings, labels=labels.out, out=f"{data}/6_shards", channels=channels)
    made["shards"] = Step(("-m", "data_gathering.shard"), labelled)

    # ---- 2. the two models to be joined, fitted to this play: one that acts, one that speaks
    episodes = dict(shards=labelled.out, **kept)
    how = dict(rate_pretrained=2e-4, trunk="frozen") if begun("base") else dict(rate_new=1e-4)
    train("base", "base", start=begun("base"), **episodes, **how, last_action=True, drop_last_action=0.3, steps=100,
          lanes=16, chunk=64, accumulate=1)  # fmt: skip
    rate = "rate_pretrained" if begun("words") else "rate_new"
    train("words", "words", start=begun("words"), videos=recordings, **kept, **{rate: 2e-4}, steps=15, lanes=4,
          chunk=64, accumulate=1, validate_every=5)  # fmt: skip

    # ---- 3. join them: words ask frames, frames ask words, both
    # Small models on little data: many small updates, at larger rates than the published ones. 13 minutes of play are
    # soon known by heart, so the two models stay as they are.
    parts = dict(base=f"{runs}/base", language=f"{runs}/words")
    joined = episodes | dict(lanes=8, chunk=64, accumulate=1, drop_last_action=0.3)
    speak = parts | joined | dict(joints=begun("joints"), train_language=False, rate_new=3e-4, steps=30,
                                  validate_every=10)  # fmt: skip
    act = joined | dict(train_agent=False, rate_new=3e-4, steps=100, validate_every=25)
    gently = dict(train_language=False, rate_new=1e-4, rate_gates=1e-3, steps=25)
    train("language", "language", **speak)
    train("action", "action", start=f"{runs}/language", **act, drop_words=0.1)
    train("joint", "joint", start=f"{runs}/action", **act | gently, drop_words=0.1)

    # ---- 4. the same recipes without frames, without words; and two controls: words that name the actions must matter,
    # words of other episodes must not
    train("without_frames", "language", **speak, frames="blank")
    train("without_words", "action", start=f"{runs}/language", **act, words="silence")
    taught = dict(train_agent=True, rate_new=1e-3, rate_pretrained=1e-3, steps=200)
    train("oracle", "action", words="oracle", **parts, **act | taught, drop_words=0.1)
    train("shuffled", "action", words="shuffled", **parts, **act, drop_words=0.1)

    # ---- 5. what does each give the other, what does each depend on? then play, and show everything
    measured = dict(shards=labelled.out, held_out=kept["test"])
    asked = evaluate.DependenceOptions(runs=runs, **measured, out=f"{runs}/evaluation.json")
    made["evaluation"] = Step(("evaluate.py", "dependence"), asked, asked.out)
    asked = worth.Options(runs=runs, **measured, out=f"{runs}/worth.json")
    made["worth"] = Step(("evaluate.py", "worth"), asked, asked.out)
    asked = hand.Options(model=f"{runs}/joint", **measured, out=f"{runs}/hand.json")
    made["hand"] = Step(("evaluate.py", "hand"), asked, asked.out)
    asked = probe.Options(model=f"{runs}/joint", **measured, views=recordings, every=8 if options.quick else 2,
                          out=f"{runs}/probe.json")  # fmt: skip
    made["probe"] = Step(("evaluate.py", "probe"), asked, asked.out)
    asked = matching.Options(model=f"{runs}/joint", **measured, views=recordings, out=f"{runs}/matching.json")
    made["matching"] = Step(("evaluate.py", "matching"), asked, asked.out)
    player = dict(model=f"{runs}/joint", seconds=2.0 if options.quick else 40.0, progress=not options.quick)
    asked = play.Options(**player, recording=f"{recordings}/ch5-01.mp4", out=f"{runs}/watched.mp4")
    made["watched"] = Step(("-m", "vlpt.play"), asked, asked.out)
    asked = play.Options(**player, world="dummy" if options.quick else "luanti", seed=3, hear="let's chop a tree",
                         hear_at=player["seconds"] / 8, out=f"{runs}/play.mp4")  # fmt: skip
    made["play"] = Step(("-m", "vlpt.play"), asked, asked.out)
    made["report"] = Step(("-m", "vlpt.show.report"), report.Options(run=runs, out=f"{runs}/report.html"))
    return made


def main(options: Options) -> None:
    """Runs every step that is not done. Ends with a step's own status where one fails."""
    todo, started = steps(options), Path("runs/quick/started" if options.quick else "runs/demo/started")
    if not started.exists():
        write_text(started, str(int(time.time())))
    for name, step in todo.items():
        if step.makes and Path(step.makes).exists():
            continue
        if name == "truth_shards" and options.scratch:
            subprocess.run(["bash", "pretrain.sh", "runs/scratch"], check=True)
        step.run()


if __name__ == "__main__":
    run(main, Options)
