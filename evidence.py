"""The evidence: every instrument of evaluate.py on one agent, and a page that shows what they found (make evidence).

In: the agent in pretrained/agent, shards with channels that it never saw, a game; and, where they were trained
(pretrain.sh), folders of the same runs with other seeds. Out: runs/evidence/<name>.{json,txt} and pictures,
runs/evidence/report.html, and docs/evidence.json with the numbers of all, under `seeds` what several seeds say, and
under `weights` the agent's key.

    python evidence.py                # what is done is skipped; steering and saying go on in mid-way
    python evidence.py --quick        # two arenas, short lives: does everything run?
"""

import json
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from demo import Step
from vlpt import play
from vlpt.checkpoint import agent_key
from vlpt.evaluation import (
    flow,
    health,
    interventions,
    matching,
    probe,
    saying,
    sight,
    steering,
    trust,
    understanding,
    worth,
)
from vlpt.evaluation.done import MOTIONS
from vlpt.files import read_json, write_json, write_text
from vlpt.metrics import over_channels
from vlpt.options import Count, NotNegative, run
from vlpt.show.html import note, png

FIRST_ARENA = 200  # those before it are for choosing
GRAMMAR = "data_gathering/samples/grammar.json"
# Of what each of several trainings gives, and of the corpus and the instruments themselves.
OF_NO_AGENT = ("worth_", "seeds", "sight", "trust")
# Of docs/evidence.json, which is to have the numbers alone.
LEFT_OUT = ("options", "lives", "losses", "instructions", "examples", "episodes", "channels", "by_episode", "history")


@dataclass(frozen=True)
class Options:
    """Measures one agent with every instrument."""

    model: str = "pretrained/agent"  # a run, or a folder with a fused model
    base: str = "pretrained/base"  # the agent without words that stands beside it
    language: str = "pretrained/words"  # its language model, alone
    shards: str = "data/6_shards"  # LeRobotDataset folder, as the demo makes it
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels that nothing was trained on
    # the same of episodes of which is known what is in view, and a folder of <id>.view.jsonl.gz that says so
    seen_shards: str = "data/6_shards"
    seen_held_out: tuple[str, ...] = ("ch4", "ch5")
    views: str = "data_gathering/samples"
    # each with runs language, without_frames, action, without_words, joint, base and words, of a seed of its own
    seeds: tuple[str, ...] = ()
    # of steering; half as many of its variants, which ask for motions alone and so are over sooner, and lives of talk
    arenas: Count = 8
    guidance: tuple[NotNegative, ...] = (3.0, 0.0)  # of steering; the variants have the first
    out: str = "runs/evidence"  # folder to write
    summary: str = "docs/evidence.json"  # file to write, the numbers of all
    quick: bool = False  # two arenas and short lives: does everything run?

    @property
    def views_of_all(self) -> str:
        """The folder that says what is in view in every episode of `shards`; empty where none does."""
        return self.views if self.shards == self.seen_shards else ""


def steps(options: Options) -> dict[str, Step]:
    """Every instrument in order, by the name of what it makes."""
    asked = {**on_recordings(options), **in_games(options)}
    asked["trust"] = "trust", trust.Options(draws=20 if options.quick else 200, out=f"{options.out}/trust.json")
    made = {name: Step(("evaluate.py", kind), one, f"{options.out}/{name}.txt") for name, (kind, one) in asked.items()}
    return made | long_play(options)


def on_recordings(options: Options) -> dict[str, tuple[str, object]]:
    """{name: (subcommand, what it is asked)} of instruments that need no game."""
    out, views = options.out, options.views_of_all
    measured = dict(model=options.model, shards=options.shards, held_out=options.held_out)
    seen = dict(model=options.model, shards=options.seen_shards, held_out=options.seen_held_out, views=options.views)
    asked = {"matching": ("matching", matching.Options(**measured, views=views, out=f"{out}/matching.json"))}
    for folder in options.seeds:
        name, where = f"worth_{Path(folder).name}", dict(shards=options.shards, held_out=options.held_out)
        asked[name] = "worth", worth.Options(runs=folder, **where, truth_epochs=1, out=f"{out}/{name}.json")
    asked["understanding"] = "understanding", understanding.Options(**measured, out=f"{out}/understanding.json")
    once = interventions.Options(**measured, draws=1, out=f"{out}/interventions.json")
    asked["interventions"] = "interventions", once
    asked["flow"] = "flow", flow.Options(**seen, out=f"{out}/flow.json")
    where = {name: seen[name] for name in ("shards", "held_out", "views")}
    asked["sight"] = "sight", sight.Options(language=options.language, **where, out=f"{out}/sight.json")
    asked["probe"] = "probe", probe.Options(**seen, every=8 if options.quick else 2, out=f"{out}/probe.json")
    return asked


def in_games(options: Options) -> dict[str, tuple[str, object]]:
    """The same of those that let the agent play."""
    out, asked = options.out, {}
    times = dict(seconds=1.0, target_seconds=1.5, instructions=("jump", "back")) if options.quick else {}
    many = 2 if options.quick else options.arenas
    few = max(2, many // 2)

    def steer(name: str, arenas: int, **how) -> None:
        how = dict(model=options.model, guidance=options.guidance[:1]) | how | times
        seeds = tuple(range(FIRST_ARENA, FIRST_ARENA + arenas))
        asked[name] = "steering", steering.Options(**how, seeds=seeds, out=f"{out}/{name}.json")

    steer("steering", many, closed_words=True, base=options.base)
    variants = dict(strengths=dict(guidance=options.guidance[1:]), paraphrase=dict(phrasing="paraphrase"),
                    mid_errand=dict(mid_errand=True))  # fmt: skip
    variants |= {scene: dict(scene=scene) for scene in ("other-textures", "other-time-of-day", "moved-things")}
    for name, how in variants.items():
        steer(f"steering_{name}", few, instructions=tuple(MOTIONS), **how)
    lives = dict(seconds=14.0, within=12.0, permutations=100) if options.quick else {}
    asked["saying"] = "saying", saying.Options(
        model=options.model, shards=options.shards, held_out=options.held_out, views=options.views_of_all,
        grammar=GRAMMAR, seeds=tuple(range(FIRST_ARENA, FIRST_ARENA + few)), out=f"{out}/saying.json", **lives,
    )  # fmt: skip
    return asked


def long_play(options: Options) -> dict[str, Step]:
    """Ten minutes of play, and whether the agent's talk stays healthy."""
    film = play.Options(model=options.model, seconds=5.0 if options.quick else 600.0, seed=5, progress=False,
                        out=f"{options.out}/long.mp4")  # fmt: skip
    talk = health.Options(play=f"{options.out}/long.jsonl", grammar=GRAMMAR, out=f"{options.out}/health.json")
    return {"long": Step(("-m", "vlpt.play"), film, f"{options.out}/long.txt"),
            "health": Step(("evaluate.py", "health"), talk, f"{options.out}/health.txt")}  # fmt: skip


def measure(step: Step) -> None:
    """Runs a step that is not done and keeps what it prints. Ends with the step's own status where it fails."""
    if not Path(step.makes).exists():
        write_text(step.makes, f"$ {shlex.join(step.command)}\n{step.run(keep=True)}")


def kept(found: object) -> object:
    """The numbers of a result, without what is long."""
    if isinstance(found, dict):
        return {name: kept(value) for name, value in found.items() if name not in LEFT_OUT}
    if isinstance(found, float):
        return float(f"{found:.4g}")
    return found if not isinstance(found, list) or len(json.dumps(found)) < 400 else len(found)


def known_before(summary: str, weights: str) -> dict:
    """What a summary says that holds on: all of it where it is of the same weights, else what is of no agent."""
    there = read_json(summary) if Path(summary).exists() else {}
    same = there.get("weights") == weights
    return {name: found for name, found in there.items() if same or name.startswith(OF_NO_AGENT)}


def over_seeds(folders: list[str], out: str) -> dict[str, dict]:
    """Worth and gain, each episode's mean over the seeds: {name: {"delta", "low", "high", …, "of_seeds": each one's}}.
    Intervals over channels, as of one seed's.
    """
    found = [read_json(f"{out}/worth_{Path(one).name}.json") for one in folders]
    result = {}
    names = found[0]["by_episode"] if found else ()
    of_all = [name for name in names if all(name in one["by_episode"] for one in found)]
    for name in of_all:
        of_seeds = np.array([one["by_episode"][name] for one in found], float)  # (seeds, episodes)
        mean = over_channels(of_seeds.mean(0), found[0]["channels"], range(of_seeds.shape[1]))
        result[name] = mean.to_dict() | {"of_seeds": np.nanmean(of_seeds, 1).tolist()}
    return result


def page(options: Options, names: list[str]) -> str:
    """All tables and pictures, one after another."""
    about = escape(f"{options.model} on {', '.join(options.held_out)}")
    parts = [f"<h1>Evidence</h1>{note(about)}"]
    for name in names:
        printed = Path(options.out, f"{name}.txt").read_text()
        pictures = sorted(Path(options.out).glob(f"{name}.*png"))
        parts += [f"<h2>{escape(name)}</h2><pre>{escape(printed)}</pre>"]
        parts += [png(path.read_bytes()) for path in pictures]
    style = "body {font: 15px sans-serif; max-width: 70em; margin: 2em auto} img {max-width: 100%}"
    return f"<!doctype html><meta charset=utf-8><title>Evidence</title><style>{style}</style>{''.join(parts)}"


def main(options: Options) -> None:
    """Everything in the module's docstring."""
    todo = steps(options)
    for step in todo.values():
        measure(step)
    results = {name: Path(options.out, f"{name}.json") for name in todo}
    numbers = {name: kept(read_json(path)) for name, path in results.items() if path.exists()}
    if options.seeds:
        numbers["seeds"] = kept(over_seeds(list(options.seeds), options.out))
    numbers["weights"] = agent_key(options.model)
    write_json(options.summary, known_before(options.summary, numbers["weights"]) | numbers)
    write_text(Path(options.out, "report.html"), page(options, list(todo)))
    print(f"{options.out}/report.html, {options.summary}")


if __name__ == "__main__":
    run(main, Options)
