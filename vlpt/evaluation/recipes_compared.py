"""The numbers of `evaluate.py finetuning`: each recipe's loss and play, against the agent before.

In: rows of lives (played_errands.py), losses of the held-out episodes, what training said. Out: a dict for JSON, and a
table of it:

    found = summarise(options, rows, losses, training, held_out); print(table(found))

Lives are paired by arena: 95 % t intervals over those that both have. Losses: over channels (vlpt/metrics.py).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vlpt.data.shards import Episode
from vlpt.evaluation import motion_statistics
from vlpt.evaluation.differences import difference
from vlpt.evaluation.moments import kind_of
from vlpt.evaluation.trial import Losses
from vlpt.metrics import over_channels, t_interval
from vlpt.options import to_dict
from vpt.frames import FRAMES_PER_SECOND

BASE, PUBLISHED = "base", "published"
TABLE = ("errands_a_minute", "errand_steps_a_minute", "nothing_pressed", "camera_moving", "degrees_a_second",
         "reversals_a_second", "flips_a_second", "short_presses")  # fmt: skip
# Kinds of people's errands that are of things.
OF_THINGS = ("chop", "sand", "dirt", "stone", "flower", "pillar", "climb", "place", "tower")


def summarise(options, rows: list[dict], losses: Mapping[str, Losses], training: dict[str, dict],
              held_out: list[Episode]) -> dict:  # fmt: skip
    """The JSON of `evaluate.py finetuning`, whose `options` these are."""
    asked = {(play.agent, play.arena) for play in options.plays()}
    rows = [row for row in rows if (row["agent"], row["arena"]) in asked]
    played = {name: {row["arena"]: row["numbers"] for row in rows if row["agent"] == name and "lost" not in row}
              for name in options.compared}  # fmt: skip
    channels = [episode.channel for episode in held_out]
    variants = {}
    for name in options.compared:
        others = [other for other in (BASE, PUBLISHED) if other in played and other != name]
        against = {other: difference(losses[other], losses[name], "action", channels, options.seed)
                   for other in others}  # fmt: skip
        variants[name] = {"nats": over_people(losses[name].each("action"), channels) | {"against": against},
                          "numbers": numbers(played[name], {other: played[other] for other in others})}
        if name in training:
            variants[name]["training"] = {key: one for key, one in training[name].items() if key != "made_with"}
    speeds = [row["frames_a_second"] for row in rows if "lost" not in row]
    return {"variants": variants, "people": people(held_out, options.seconds),
            "lost": {name: sum(row["agent"] == name for row in rows if "lost" in row) for name in options.compared},
            "play_frames_a_second": float(np.median(speeds)) if speeds else None,
            "options": to_dict(options)}  # fmt: skip


def numbers(own: dict[int, dict], others: dict[str, dict[int, dict]]) -> dict[str, dict]:
    """own: {arena: {name: number or None}}, others: the same of agents to be held against."""
    names = next(iter(own.values()), {})
    return {name: over_arenas(values_of(own, name), "mean") | {
                "against": {other: paired(values_of(own, name), values_of(its, name)) for other, its in others.items()}}
            for name in names}  # fmt: skip


def values_of(lives: dict[int, dict], name: str) -> dict[int, float]:
    """{arena: number}, where there is one."""
    return {arena: its[name] for arena, its in lives.items() if its[name] is not None}


def paired(own: dict[int, float], other: dict[int, float]) -> dict:
    """own - other, of the arenas that both have."""
    return over_arenas({arena: own[arena] - other[arena] for arena in sorted(own.keys() & other.keys())}, "delta")


def over_arenas(values: dict[int, float], title: str) -> dict:
    """Mean and Student's t interval; None where there are too few arenas."""
    each = np.array(list(values.values()))
    found = t_interval(each) if len(each) > 1 else None
    return {title: float(each.mean()) if len(each) else None, "low": found and found.low, "high": found and found.high,
            "arenas": len(each)}  # fmt: skip


def people(episodes: list[Episode], seconds: float) -> dict[str, dict]:
    """As `numbers`, {name: {"mean", "low", "high", "channels"}}."""
    minutes = [episode.n_frames / FRAMES_PER_SECOND / 60 for episode in episodes]
    rates = [sum(bool(errand["done"]) and kind_of(errand) in OF_THINGS for errand in episode.errands) / length
             for episode, length in zip(episodes, minutes, strict=True)]  # fmt: skip
    errands = over_people(rates, [episode.channel for episode in episodes])
    hands = motion_statistics.people(episodes, seconds)
    return {"errands_a_minute": errands} | {name: as_mean(one) for name, one in hands.items()}


def over_people(values: Sequence[float], channels: Sequence[str]) -> dict:
    """values (episodes,) -> mean and interval over channels, as {"mean", "low", "high", "channels"}."""
    return as_mean(over_channels(values, channels, range(len(channels))).to_dict())


def as_mean(found: dict) -> dict:
    """What `over_channels` found, as a mean and not a difference."""
    return {"mean": found["delta"], **{key: found[key] for key in ("low", "high", "channels")}}


def table(result: dict) -> str:
    """A block a number, a line a variant: its value, and what it differs by from base and from published."""
    variants, lines = result["variants"], [f"{sum(result['lost'].values())} lives lost"]
    for name in ("nats", *TABLE):
        of = {variant: one["nats"] if name == "nats" else one["numbers"].get(name) for variant, one in variants.items()}
        unit = " a frame, held-out channels" if name == "nats" else ""
        lines.append(f"{name.replace('_', ' ') + unit:44}{'value':>22}   - base                     - published")
        if name in result["people"]:
            lines.append(f"  {'people':42}{written(result['people'][name]):>22}")
        for variant, one in of.items():
            against = [f"   {written(one['against'].get(other)):24}" for other in (BASE, PUBLISHED)] if one else []
            lines.append(f"  {variant:42}{written(one):>22}{''.join(against)}".rstrip())
    return "\n".join(lines)


def written(found: dict | None) -> str:
    """A mean or a difference, with its interval."""
    value = None if found is None else found.get("mean", found.get("delta"))
    if value is None:
        return "-"
    sign = "+z" if "delta" in found else ""
    ends = "" if found.get("low") is None else f" [{found['low']:{sign}.2f}, {found['high']:{sign}.2f}]"
    return f"{value:{sign}.2f}{ends}"
