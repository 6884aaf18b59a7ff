"""Does the agent do what it is told, more often than when it is told something else? Asked in a world that knows.

In: a fused agent. In each arena it is told each instruction (instructions.py) in a life of its own from the same
beginning, and in one it is told nothing; every life is watched for the same time after the last word, and judged for
every instruction in the first so many seconds of it (done.py: 4 for a motion, 10 for what needs a target). Out: a
table, a picture, and JSON (vlpt/evaluation/obedience.py says what its numbers are):

    conditions   of each agent that was asked for: the fused one at each strength of `--guidance` (0 is off, see
                 vlpt/agent.py); `--closed-words`: the same with its word path closed; `--base`: the agent without
                 words. What the last two are told changes nothing they do: they live once an arena, told nothing
    steering     the first of them
    jumps        how many jumps there were after being told so many, and after being told something else
    lost         lives whose game ended: they are left out

    python evaluate.py steering --model runs/demo/joint --seeds 0 1 2 3 --out runs/demo/steering.json
    python evaluate.py steering --seeds 40 --guidance 0 1 2 4 --closed-words --base runs/demo/base --out …

Beside the JSON lies `<out>.lives.jsonl`, a line a life as it ends: the same command goes on where it was stopped, also
with more arenas, strengths and agents. Games run side by side, in `--workers` processes.
"""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from vlpt.checkpoint import agent_key, model_folder, model_kind
from vlpt.evaluation.games import live_all, threads_of
from vlpt.evaluation.instructions import INSTRUCTIONS
from vlpt.evaluation.kept_rows import KeptRows
from vlpt.evaluation.obedience import Lives, compare, jumps
from vlpt.evaluation.told_lives import BASE, CLOSED, GUIDANCE, Life, LifeOptions, Trials, make_world
from vlpt.files import check_writable
from vlpt.metrics import interval
from vlpt.options import Count, Device, NotNegative, Seed, run, to_dict, without_effect
from vlpt.show.plots import check_out, write_result
from vlpt.show.steering_plot import steering_figure


@dataclass(frozen=True, kw_only=True)
class Options(LifeOptions):
    """Measures whether an agent does what it is told."""

    seeds: tuple[Seed, ...] = (12,)  # of the arenas, at least two; a single number: so many, from 0 on
    # how far beyond what words change about its actions (see vlpt/agent.py), one or several strengths
    guidance: tuple[NotNegative, ...] = (0.0,)
    closed_words: bool = False  # also the same agent with its word path closed
    workers: Count = 2  # games side by side, each in a process of its own
    out: str = ""  # JSON file to write; none if empty
    device: Device = "auto"  # where the network runs

    def __post_init__(self) -> None:
        super().__post_init__()
        check_out(self.out)
        if len(self.arenas) < 2:
            raise ValueError(f"--seeds: an interval needs two arenas or more, got {len(self.arenas)}")
        if not self.guidance:
            raise ValueError("--guidance: name one strength or more; 0 is none")

    @property
    def arenas(self) -> list[int]:
        """The seeds of the arenas."""
        return list(range(self.seeds[0])) if len(self.seeds) == 1 else sorted(set(self.seeds))

    @property
    def agents(self) -> list[str]:
        """Those that are compared, as a Life names them; the first is the one that is asked about."""
        guided = [f"{GUIDANCE}{strength:g}" for strength in dict.fromkeys(self.guidance)]
        return guided + [CLOSED] * self.closed_words + [BASE] * bool(self.base)

    def lives(self) -> list[Life]:
        """All that are to be lived, arena by arena."""
        told = ("",) if self.phrasing == "none" else ("", *self.instructions)
        return [Life(agent, arena, one) for arena in self.arenas for agent in self.agents
                for one in (told if agent.startswith(GUIDANCE) else ("",))]  # fmt: skip


def check_agents(options: Options) -> dict[str, str]:
    """A name for the weights of each model. Raises ValueError for one that cannot be asked this."""
    keys = {"model": agent_key(options.model)}
    if model_kind(model_folder(options.model)) != "VLPT":
        without_effect(options, f"{options.model}, which hears nothing,", "guidance", "closed_words", "base")
        if options.phrasing != "none":
            raise ValueError(f"{options.model} hears nothing: take an agent that was joined with words, or ask with "
                             "--phrasing none how often it does each thing anyway")  # fmt: skip
    if options.base:
        if model_kind(model_folder(options.base)) == "VLPT":
            raise ValueError(f"--base {options.base} was joined with words: take an agent of stage base")
        keys["base"] = agent_key(options.base)
    return keys


def summarise(options: Options, rows: list[dict]) -> dict:
    """Everything in the module's docstring, of what was asked for."""
    asked = {(life.agent, life.arena, life.told) for life in options.lives()}
    rows = [row for row in rows if (row["agent"], row["arena"], row["told"]) in asked]
    frames = {name: options.watched_frames(name) for name in options.instructions}
    of = {agent: [row for row in rows if row["agent"] == agent] for agent in options.agents}
    lives = {agent: Lives(its, options.arenas, frames) for agent, its in of.items()}
    deaf = {agent: lives[agent] for agent in (CLOSED, BASE) if agent in lives}
    conditions = {agent: compare(its, deaf) for agent, its in lives.items()}
    return {"steering": conditions[options.agents[0]], "conditions": conditions,
            "jumps": {agent: jumps(its) for agent, its in of.items()}, "arenas": len(options.arenas),
            "lives": len(rows), "lost": {agent: sum("lost" in row for row in its) for agent, its in of.items()},
            "instructions": {name: to_dict(INSTRUCTIONS[name]) for name in options.instructions}}  # fmt: skip


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    of_a_life = {field.name for field in fields(LifeOptions)}
    made_with = {name: value for name, value in to_dict(options).items() if name in of_a_life}
    made_with["weights"] = check_agents(options)
    make_world(options).close()  # before processes are started for it
    path = Path(options.out).with_suffix(".lives.jsonl") if options.out else None
    with KeptRows(path, made_with) as kept:
        trials = partial(Trials, options, options.device, threads_of(options.workers))
        speed = live_all(trials, options.lives(), options.workers, kept, "steering")
        result = {**summarise(options, kept.rows), "lives_a_minute": speed, "options": to_dict(options)}
    write_result(options.out, result, steering_figure)
    print(table(result))
    return result


def table(result: dict) -> str:
    """A line an instruction, of each condition that was told something; beside it what others do untold."""
    lost = sum(result["lost"].values())
    lines = [f"{result['arenas']} arenas, {result['lives']} lives, {lost} of them lost"]
    for agent, found in result["conditions"].items():
        others = {other: one for other, one in result["conditions"].items() if not other.startswith(GUIDANCE)}
        if not agent.startswith(GUIDANCE):
            continue
        names = "".join(f"{name:>8}" for name in ("told", "others", "untold", *others))
        lines.append(f"{agent:12}{names}   told - others, 95 % t interval")
        for name, row in ((name, row) for name, row in found.items() if name != "above_zero"):
            shares = (row["told"], row["otherwise"], row["untold"], *(one[name]["untold"] for one in others.values()))
            lines.append(f"{name:12}{''.join(_share(one) for one in shares)}   {_interval(row)}")
        lines.append(f"{found['above_zero']} of {len(found) - 2} above 0")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.2f}"


def _interval(row: dict) -> str:
    if row["low"] is None:
        return "-"
    return interval(row, 2)


if __name__ == "__main__":
    run(main, Options)
