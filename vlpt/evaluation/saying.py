"""Does what an agent says match what it does and sees? It plays and talks, told nothing, and the world knows.

In: a fused agent, a world, the narrators' grammar as a file (vlpt/data/sentences.py), and people's talk and play:
shards, and what is in view in them (--views). Out: JSON, a table and a picture; beside --out the lives themselves, one
a seed (`<out>.lives/<seed>.jsonl`), which are not played again by the same command.

    grammar     share of its sentences that the grammar can make, of its words in such ones, and of sentences of the
                same words in random order
    carried out share of announcements and whims that are carried out within so many seconds (carried_out.py)
    in view     share of the things, colours and sides that it names, and of the targets that it announces, that are in
                view at that time (vlpt/evaluation/claims.py)
                each of these against other lives' actions and views, at other times (vlpt/evaluation/permuted.py)
    pairs       is a sentence likelier under its own film than under another life's, at a random time, to a scorer that
                was fitted on people (vlpt/evaluation/film_scorer.py)? Share right, chance 0.5
    talk        words a minute, lengths of silences and of utterances: share between what 90 % of people's lie between

Beside each stands the same of people, on the held-out channels, where it can be known. Intervals are over lives, one an
arena; of people over channels.

    python evaluate.py saying --model runs/demo/joint --grammar data_gathering/samples/grammar.json \
        --views data_gathering/samples --seeds 0 1 2 3 --seconds 120 --out runs/demo/saying.json
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlpt.agent import load_agent
from vlpt.data.lanes import split
from vlpt.data.sentences import Grammar
from vlpt.data.shards import Shards
from vlpt.evaluation.claims import VIEW, Said, Truths, all_said
from vlpt.evaluation.film_scorer import Scorer
from vlpt.evaluation.lives import Life, as_an_agent, lives, of_people
from vlpt.evaluation.permuted import Claim, against_others
from vlpt.evaluation.shares import written
from vlpt.evaluation.talk import TALK, grammatical, over_lives, talk_beside
from vlpt.files import check_writable, write_json
from vlpt.options import Count, Device, Positive, Seed, run, to_dict
from vlpt.play import Options as PlayOptions
from vlpt.show.plots import write_picture
from vlpt.show.saying_plot import saying_figure

SAMPLES = Path(__file__).parents[2] / "data_gathering/samples"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measures whether what an agent says unasked matches what it does and sees."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    grammar: str = str(SAMPLES / "grammar.json")  # what narrators can say
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    seeds: tuple[Seed, ...] = (0, 1, 2, 3)  # of the arenas, one life each, at least two
    seconds: Positive = 120.0  # of a life
    soon: Positive = 4.0  # seconds after an announcement in which what needs keys and mouse alone must be done
    within: Positive = 12.0  # the same for what must be gone to
    shards: str = "data/6_shards"  # LeRobotDataset folder of people's talk and play
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels that stand beside the agent; the scorer learns on the others
    views: str = ""  # folder of <id>.view.jsonl.gz, what is in view in people's episodes (empty: not known)
    film_seconds: Positive = 3.0  # of film before and of actions after a sentence's last word, for the scorer
    least: Count = 5  # times that the scorer must have seen a topic
    others: Count = 16  # moments of other lives that a sentence is held against
    permutations: Count = 2000  # of talk against play
    seed: Seed = 0  # of all that is drawn in measuring
    out: str = "runs/demo/saying.json"  # JSON file to write; lives and picture go beside it
    device: Device = "auto"  # where the network runs

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < 2 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds: an interval needs two arenas or more, none twice, got {list(self.seeds)}")
        if not self.out.endswith(".json"):
            raise ValueError(f"--out {self.out} must end in .json: the picture and the lives have its name, too")
        if self.seconds <= max(self.within, self.soon, self.film_seconds):
            raise ValueError(f"--seconds {self.seconds:g} leaves no time for what is said: more than --within, --soon "
                             "and --film-seconds are needed")  # fmt: skip
        PlayOptions(model=self.model, world=self.world, size=self.size)  # before minutes of work


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    out = Path(options.out)
    check_writable(out.parent)
    grammar, (learned, people) = Grammar.read(options.grammar), read_people(options)
    agent = load_agent(options.model, device=options.device)
    if not agent.speaks:
        raise ValueError(f"{options.model} says nothing: take an agent that was joined with words")
    scorer = Scorer(learned, grammar, options.film_seconds, options.least)
    played, lost = lives(agent, options, out.with_suffix(".lives"), grammar)
    on_ticks = [as_an_agent(one, grammar) for one in people]
    found = measure(played, scorer, options)
    beside = measure(people, scorer, options) | {"on_ticks": grammatical(on_ticks, grammar)}
    result = {"agent": found, "people": beside, "talk": talk_beside(played, on_ticks), "lost": lost,
              "learned": {"sentences": scorer.learned, "topics": len(scorer.judge.known)}, "gates": agent.gates(),
              "options": to_dict(options)}  # fmt: skip
    write_json(out, result)
    write_picture(out.with_suffix(".png"), saying_figure(result))
    print(table(result))
    return result


def read_people(options: Options) -> tuple[list[Life], list[Life]]:
    """Lives of the channels to learn from, and of the held-out ones. Raises ValueError where either is missing, or
    nobody speaks.
    """
    parts = split(Shards(options.shards).episodes, options.held_out)
    found = tuple(of_people(part, options.views) for part in parts)
    for part, which in zip(found, ("to learn from", "that is held out"), strict=True):
        if not any(life.sentences for life in part):
            raise ValueError(f"{options.shards} has no channel {which} in which somebody speaks: name other --held-out")
    return found


# ---- measures


def measure(lives_of: Sequence[Life], scorer: Scorer, options: Options) -> dict:
    """Of an agent's lives or of people's: all but the rhythm of talk."""
    grammar, said = scorer.grammar, all_said(lives_of, scorer.grammar)
    truths = Truths(lives_of, grammar, options.soon, options.within)

    def against(claims: Sequence[Claim], truth) -> dict:
        return against_others(claims, truth, [life.channel for life in lives_of], options.permutations, options.seed)

    deeds, views = truths.deeds_claimed(said, grammar), truths.views_claimed(said, grammar)
    pairs = scorer.pairs(lives_of, options.others, np.random.default_rng(options.seed))
    won = {(life, index): share_won for life, index, share_won in pairs}
    return {"grammar": grammatical(lives_of, grammar), "rules": dict(Counter(one.rule for one in said).most_common()),
            "carried_out": against(list(deeds.values()), truths.done) | {"kinds": by_kind(deeds, truths)},
            "in_view": {name: against(list(views[name].values()), truths.in_view) for name in VIEW},
            "pairs": over_lives([one for _, _, one in pairs], [life for life, _, _ in pairs], lives_of),
            "sentences": [row(one, lives_of, number, deeds, views, truths) | {"pair": won.get((one.life, one.index))}
                          for number, one in enumerate(said)]}  # fmt: skip


def by_kind(deeds: dict[int, Claim], truths: Truths) -> dict[str, list[int]]:
    """{kind of what was announced: [how often it was carried out, how often announced]}."""
    found: dict[str, list[int]] = {}
    for claim in deeds.values():
        done, count = found.get(claim.topic.kind, [0, 0])
        found[claim.topic.kind] = [done + carried_out(claim, truths), count + 1]
    return dict(sorted(found.items()))


def carried_out(claim: Claim, truths: Truths) -> int:
    """1 where what is announced is done soon after it is said, else 0."""
    return int(truths.done(claim.topic, claim.life)[claim.tick])


def row(one: Said, lives_of: Sequence[Life], number: int, deeds: dict, views: dict, truths: Truths) -> dict:
    """A sentence, and what is known of it."""
    seen = {name: bool(truths.in_view(claims[number].topic, one.life)[claims[number].tick])
            for name, claims in views.items() if number in claims}  # fmt: skip
    done = bool(carried_out(deeds[number], truths)) if number in deeds else None
    return {"life": lives_of[one.life].name, "ms": one.start_ms, "text": one.text, "rule": one.rule,
            "carried_out": done, "in_view": seen}  # fmt: skip


# ---- as text


def against_text(found: dict) -> str:
    """A share against permuted ones as text."""
    if found["p"] is None:
        return "none said, or not known"
    ratio = "" if found["ratio"] is None else f", {found['ratio']:.2f} times"
    return f"{written(found['true']):22} {found['true']['count']:4d} of other times {found['permuted']:.3f}{ratio}, " \
           f"p = {found['p']:.4f}"  # fmt: skip


def table(result: dict) -> str:
    """A line a measure, the agent's and people's."""
    lines = []
    for who in ("agent", "people"):
        found = result[who]
        grammar = found["grammar"] if who == "agent" else found["on_ticks"]
        lines += [f"{who}: {grammar['sentences']['count']} sentences, 95 % intervals over "
                  f"{'lives' if who == 'agent' else 'channels'}",
                  f"  in the grammar        {written(grammar['sentences']):22} of words "
                  f"{written(grammar['words'])}, of shuffled words {written(grammar['shuffled'])}",
                  f"  carried out           {against_text(found['carried_out'])}"]  # fmt: skip
        lines += [f"  in view: {name:12} {against_text(one)}" for name, one in found["in_view"].items()]
        lines.append(f"  own film likelier     {written(found['pairs']):22} {found['pairs']['count']:4d} (chance 0.5)")
    for name, title in TALK.items():
        one = result["talk"][name]
        mean = "none" if one["agent"] is None else f"{one['agent']:.1f}"
        lines.append(f"{title:18}  {mean:>6}, people {one['people']:.1f} ({one['low']:.1f} to {one['high']:.1f}); "
                     f"share in between {written(one['within'])}")  # fmt: skip
    kinds = ", ".join(f"{kind} {done}/{n}" for kind, (done, n) in result["agent"]["carried_out"]["kinds"].items())
    lost = f"; games that died: {result['lost']}" if result["lost"] else ""
    return "\n".join([*lines, f"carried out, of announced: {kinds or 'none'}{lost}"])


if __name__ == "__main__":
    run(main, Options)
