"""The picture of `evaluate.py saying`: what is said against what is done and seen, the agent's and people's.

In: the result that evaluate.py saying writes. Out: a figure; `python evaluate.py saying` writes it beside its JSON.
"""

from matplotlib.figure import Figure

from vlpt.show.plots import AMBER, BLUE, GREEN, SOFT, canvas, share_panel, title

NAMES = {"carried_out": "announced: carried out", "thing": "things in view", "colour": "colours in view",
         "side": "sides in view", "announced": "targets in view"}  # fmt: skip
TALK = {"words_a_minute": "words a minute", "silence_s": "silences", "utterance_words": "utterances"}


def saying_figure(result: dict) -> Figure:
    """Left: shares that are true, and at other times. Right: the grammar, pairs of films, and the rhythm of talk."""
    figure, axes = canvas(1, 2, 9.6, 4.2)
    left, right = axes[0]
    parts = {"agent": (result["agent"], BLUE), "people": (result["people"], GREEN)}
    shown = {who: ({"all": None, "kinds": {NAMES[name]: one["true"] for name, one in claims(found)}}, colour)
             for who, (found, colour) in parts.items()}  # fmt: skip
    chance = {NAMES[name]: band(one) for name, one in claims(result["agent"]) if one["p"] is not None}
    share_panel(left, list(NAMES.values()), shown | {"agent, at other times": ({"kinds": chance}, AMBER)}, 0)
    title(left, "what is said is so", "share; 95 % interval")
    rows = {"sentences in the grammar": lambda found: grammar_of(found)["sentences"],
            "the same, words shuffled": lambda found: grammar_of(found)["shuffled"],
            "own film likelier": lambda found: found["pairs"]}  # fmt: skip
    of = {who: {name: take(found) for name, take in rows.items()} for who, (found, _) in parts.items()}
    of["agent"] |= {f"{TALK[name]} like people's": one["within"] for name, one in result["talk"].items()}
    beside = {who: ({"kinds": of[who]}, colour) for who, (_, colour) in parts.items()}
    share_panel(right, list(of["agent"]), beside, 0.5)
    title(right, "how it is said", "share; 95 % interval")
    for ax in (left, right):
        ax.tick_params(axis="y", labelcolor=SOFT)
    return figure


def claims(found: dict) -> list[tuple[str, dict]]:
    """What is held against other times."""
    return [("carried_out", found["carried_out"]), *found["in_view"].items()]


def grammar_of(found: dict) -> dict:
    """People's talk is cut as an agent's is."""
    return found.get("on_ticks", found["grammar"])


def band(one: dict) -> dict:
    """The mean of the permutations, and what 95 % of them lie between."""
    return {"share": one["permuted"], "low": one["low"], "high": one["high"], "count": one["true"]["count"]}
