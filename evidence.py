"""The evidence: every instrument of evaluate.py on one agent, and a page that shows what they found (make evidence).

In: the agent in pretrained/agent, shards with channels that it never saw, a game. Out: runs/evidence/<name>.{json,txt}
and pictures, runs/evidence/report.html, and docs/evidence.json with the numbers of all.

    python evidence.py                # what is done is skipped; steering and saying go on in mid-way
    python evidence.py --quick        # two arenas, short lives: does everything run?
"""

import json
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

from demo import Step
from vlpt import play
from vlpt.evaluation import flow, health, interventions, matching, probe, saying, steering, trust, understanding
from vlpt.files import read_json, write_json, write_text
from vlpt.options import Count, run
from vlpt.show.html import note, png

GRAMMAR = "data_gathering/samples/grammar.json"
# Of docs/evidence.json, which is to have the numbers alone.
LEFT_OUT = ("options", "lives", "losses", "conditions", "examples", "episodes", "history", "sentences")


@dataclass(frozen=True)
class Options:
    """Measures one agent with every instrument."""

    model: str = "pretrained/agent"  # a run, or a folder with a fused model
    base: str = "pretrained/base"  # the agent without words that stands beside it
    shards: str = "data/6_shards"  # LeRobotDataset folder, as the demo makes it
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels that nothing was trained on
    views: str = "data_gathering/samples"  # folder of <id>.view.jsonl.gz, what is in view in the episodes
    arenas: Count = 12  # of steering, and half as many lives of talk
    out: str = "runs/evidence"  # folder to write
    summary: str = "docs/evidence.json"  # file to write, the numbers of all
    quick: bool = False  # two arenas and short lives: does everything run?


def steps(options: Options) -> dict[str, Step]:
    """Every instrument in order, by the name of what it makes."""
    out, made = options.out, {}
    arenas = 2 if options.quick else options.arenas
    measured = dict(model=options.model, shards=options.shards, held_out=options.held_out)
    seen = dict(views=options.views)

    def evaluate(name: str, kind: str, asked) -> None:
        made[name] = Step(("evaluate.py", kind), asked, f"{out}/{name}.txt")

    def steer(name: str, **how) -> None:
        times = dict(seconds=1.0, target_seconds=1.5, instructions=("jump", "back")) if options.quick else {}
        asked = steering.Options(model=options.model, seeds=(arenas,), **how, **times, out=f"{out}/{name}.json")
        evaluate(name, "steering", asked)

    evaluate("matching", "matching", matching.Options(**measured, **seen, out=f"{out}/matching.json"))
    evaluate("understanding", "understanding", understanding.Options(**measured, out=f"{out}/understanding.json"))
    evaluate("interventions", "interventions", interventions.Options(**measured, out=f"{out}/interventions.json"))
    evaluate("flow", "flow", flow.Options(**measured, **seen, out=f"{out}/flow.json"))
    evaluate("probe", "probe", probe.Options(**measured, **seen, every=8 if options.quick else 2,
                                             out=f"{out}/probe.json"))  # fmt: skip
    steer("steering", guidance=(0.0, 2.0), closed_words=True, base=options.base)
    steer("steering_paraphrase", phrasing="paraphrase")
    steer("steering_mid_errand", mid_errand=True)
    for scene in ("other-textures", "other-time-of-day", "moved-things"):
        steer(f"steering_{scene}", scene=scene)
    lives = dict(seconds=14.0, within=12.0, permutations=100) if options.quick else {}
    evaluate("saying", "saying", saying.Options(**measured, **seen, **lives, seeds=tuple(range(max(2, arenas // 2))),
                                                grammar=GRAMMAR, out=f"{out}/saying.json"))  # fmt: skip
    long = play.Options(model=options.model, seconds=5.0 if options.quick else 600.0, seed=5, progress=False,
                        out=f"{out}/long.mp4")  # fmt: skip
    made["long"] = Step(("-m", "vlpt.play"), long, f"{out}/long.txt")
    talk = health.Options(play=f"{out}/long.jsonl", held_out=options.held_out, grammar=GRAMMAR,
                          out=f"{out}/health.json")  # fmt: skip
    evaluate("health", "health", talk)
    evaluate("trust", "trust", trust.Options(draws=20 if options.quick else 1000, out=f"{out}/trust.json"))
    return made


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
    write_json(options.summary, {name: kept(read_json(path)) for name, path in results.items() if path.exists()})
    write_text(Path(options.out, "report.html"), page(options, list(todo)))
    print(f"{options.out}/report.html, {options.summary}")


if __name__ == "__main__":
    run(main, Options)
