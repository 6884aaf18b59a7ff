"""What the evidence says to the four research questions, a line a number: for main.ipynb and docs/results.md.

In: the numbers of all instruments, docs/evidence.json. Out: a table in Markdown:

    print(answers_table(read_json("docs/evidence.json")))

An instrument that was not run has "not measured" in its line.
"""

from collections.abc import Callable

from vlpt.evaluation.shares import written
from vlpt.metrics import interval

Found = Callable[[dict], str]


def matched(direction: str) -> Found:
    """How often the true one wins, and the control and the ceiling beside it."""

    def found(evidence: dict) -> str:
        one = evidence["matching"][direction]
        ceiling = one["ceiling"] and f", ceiling {written(one['ceiling']['all'], 2)}"
        return f"{written(one['all'], 2)}; same kind {written(one['same_kind']['all'], 2)}{ceiling or ''}"

    return found


def obeyed(name: str) -> Found:
    """Of one run of steering: how often it is done when told, told something else, and in how many it can be told."""

    def found(evidence: dict) -> str:
        one = evidence[name]["steering"]
        every, many = one["all"], len(one) - 2
        shares = f"{every['told']:.2f} told, {every['otherwise']:.2f} told something else"
        return f"{interval(every, 2)} ({shares}; above 0 in {one['above_zero']} of {many})"

    return found


def against_chance(*where: str) -> Found:
    """A share of what is said, and the same at other times."""

    def found(evidence: dict) -> str:
        one = at(evidence["saying"]["agent"], where)
        if one["p"] is None:
            return "none said"
        chance = f"at other times {one['permuted']:.2f}, p {one['p']:.3f}"
        return f"{written(one['true'], 2)} of {one['true']['count']}; {chance}"

    return found


def at(found: dict, where: tuple[str, ...]) -> dict:
    """found[a][b]… for where (a, b, …)."""
    for name in where:
        found = found[name]
    return found


def share_at(*where: str) -> Found:
    """A share that stands there."""
    return lambda evidence: written(at(evidence, where), 2)


def over_seeds(name: str) -> Found:
    """A difference of all seeds."""
    return lambda evidence: interval(evidence["seeds"][name])


def of_truth(*where: str, digits: int = 2) -> Found:
    """What stands there of the world's truth, of each seed that was asked (`evaluate.py worth --truth-epochs`)."""

    def found(evidence: dict) -> str:
        runs = [evidence[name] for name in sorted(evidence) if name.startswith("worth_")]
        return "; ".join(interval(at(run["truth"], where), digits) for run in runs if "truth" in run) or "not measured"

    return found


QUESTIONS: dict[str, dict[str, Found]] = {
    "1. Does joining add?": {
        "gain in tokens, nats": over_seeds("gain in tokens"),
        "gain in actions, nats": over_seeds("gain in actions"),
    },
    "2. Is there anything to learn in such data?": {
        "the kind of errand, read off what frames may ask": share_at("understanding", "readings", "states", "all"),
        "the same, read off the words": share_at("understanding", "readings", "bag of words", "all"),
    },
    "3. Do words steer actions?": {
        "worth of words, nats a frame": over_seeds("worth of words"),
        "what the world's truth would tell, of each seed asked": of_truth(digits=4),
        "words' share of it": of_truth("share"),
        "the true announcement is likelier": matched("actions_from_words"),
        "done when told - told something else": obeyed("steering"),
        "the same in words it never heard": obeyed("steering_paraphrase"),
        "in mid-errand": obeyed("steering_mid_errand"),
        "with other textures": obeyed("steering_other-textures"),
        "at another time of day": obeyed("steering_other-time-of-day"),
        "with things moved": obeyed("steering_moved-things"),
    },
    "4. Do actions and frames shape words?": {
        "worth of frames, nats a token": over_seeds("worth of frames"),
        "what the world's truth would tell": lambda evidence: interval(evidence["sight"]["worth"]["sight"]),
        "the true film is likelier": matched("words_from_frames"),
        "sentences in the grammar": share_at("saying", "agent", "grammar", "sentences"),
        "announcements that are carried out": against_chance("carried_out"),
        "things named that are in view": against_chance("in_view", "thing"),
        "colours named that are in view": against_chance("in_view", "colour"),
    },
}


def answers_table(evidence: dict) -> str:
    """All of QUESTIONS; 95 % intervals over channels (steering: over arenas, saying: over lives)."""
    lines = ["| question | what was measured | found, with 95 % intervals |", "|---|---|---|"]
    for question, rows in QUESTIONS.items():
        for number, (what, found) in enumerate(rows.items()):
            lines.append(f"| {'' if number else question} | {what} | {measured(found, evidence)} |")
    return "\n".join(lines)


def measured(found: Found, evidence: dict) -> str:
    """What is found, or that it was not looked for."""
    try:
        return found(evidence)
    except KeyError:
        return "not measured"
