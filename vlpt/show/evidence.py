"""The report's evidence: what joining did, worth and dependence, what the agent feels and what words can see.

In: `Results`. Out: HTML.
"""

from html import escape

from vlpt.evaluation import hand, matching, probe
from vlpt.files import read_json
from vlpt.metrics import interval
from vlpt.show import plots
from vlpt.show.html import absent, note, picture
from vlpt.show.results import Results


def measured(results: Results) -> str:
    """The tables of `evaluate.py hand`, `probe` and `matching`, as they print them."""
    found = ""
    for name, kind, says in (
        ("hand", hand, "Keys that people hold for three frames: how often they stay down, and the chance that the "
         "agent gives to that, told what it did at the frame before (felt) and not."),
        ("probe", probe, "Linear probes of the world's truth (what is on the left, in the middle, on the right, in the "
         "hand, how far) on what words ask: AUC on held-out channels."),
        ("matching", matching, "Of an announcement and that of another kind of errand, which makes the next seconds of "
         "actions likelier? Of its own film and another's, which makes the announcement likelier?"),
    ):  # fmt: skip
        path = results.folder / f"{name}.json"
        table = f"<pre>{escape(kind.table(read_json(path)))}</pre>" if path.exists() else ""
        found += note(says) + (table or absent(f"What {name} measures", f"python evaluate.py {name}"))
    return found


def joining(results: Results) -> str:
    """The losses of the models alone, joined, and trained without the other's signal, on the same episodes."""
    if results.worth is None:
        return absent("The comparison with the two models alone", "python evaluate.py worth")
    alone, joined, gain = (results.worth[name] for name in ("alone", "joined", "gain"))
    rows = [("words", "nats/token", alone["language_nats_per_token"], joined["language"]["nats_per_token"],
             joined["joint"]["nats_per_token"], alone["without_frames_nats_per_token"], gain["token"]),
            ("actions", "nats/frame", alone["agent_nats_per_frame"], joined["action"]["nats_per_frame"],
             joined["joint"]["nats_per_frame"], alone["without_words_nats_per_frame"], gain["action"])]  # fmt: skip
    cells = "".join(f"<tr><td>{name}" + "".join(f"<td class=n>{loss:.3f}" for loss in losses)
                    + f"<td class=n>{interval(found)}<td>{unit}" for name, unit, *losses, found in rows)  # fmt: skip
    return (f"<table><tr><th>loss of<th class=n>alone<th class=n>joined, own stage<th class=n>joint<th class=n>matched "
            f"run without<th class=n>gain: alone − joint<th>unit{cells}</table>"
            + note(f"{len(results.worth['episodes'])} held-out episodes, the same tokens and frames in every column; "
                   "lower is better. Alone: the language model on the words as plain text, the agent without words. "
                   "Own stage: language, action. Matched: trained from the same start by the same recipe, without "
                   "frames, without words. Gain with its 95 % interval: above 0, the joint model is better than its "
                   "parts."))  # fmt: skip


def evidence(results: Results) -> str:
    """Worth and dependence side by side, a sentence each on what they mean."""
    if results.evaluation is None:
        return absent("The evaluation", "python evaluate.py dependence") + worth(results)
    return (picture(plots.dependence_figure(results.evaluation, results.worth))
            + note("Diamonds: mean; bars: 95 % interval over channels; dots: episodes; right of 0: the signal helps.")
            + f"<div class=pair><div>{worth(results)}</div><div>{dependence(results.evaluation)}</div></div>"
            )  # fmt: skip


def worth(results: Results) -> str:
    """What the signal gives."""
    if results.worth is None:
        return absent("Worth", "python evaluate.py worth")
    rows = [(f"trained without {label}", unit, results.worth["worth"][name])
            for name, (label, unit) in plots.WORTH.items()]  # fmt: skip
    return note("<b>Worth</b> is what the signal gives: the loss of a model trained without it minus that of a model "
                "trained with it, by the same recipe.") + differences("worth", rows)  # fmt: skip


def dependence(evaluation: dict) -> str:
    """What a wrong signal costs, of all frames and of those where something is pressed."""
    rows = [(*plots.DEPENDENCE[name], found) for name, found in evaluation["dependence"].items()]
    rows += [(f"{plots.DEPENDENCE[name][0]} (frames where something is pressed)", plots.DEPENDENCE[name][1], found)
             for name, found in evaluation.get("dependence_non_null", {}).items()]  # fmt: skip
    return note("<b>Dependence</b> is what a wrong word (or picture) costs a model that relies on words; it is not "
                "usefulness.") + differences("dependence", rows)  # fmt: skip


def differences(heading: str, rows: list[tuple[str, str, dict[str, float]]]) -> str:
    """A table of (label, unit, difference)."""
    cells = "".join(f"<tr><td>{escape(label)}<td class=n>{interval(found)}<td>{unit}" for label, unit, found in rows)
    return f"<table><tr><th>{heading}<th class=n>difference, 95 % interval<th>unit{cells}</table>"
