"""Do words and play belong together, to the fused model? Of two utterances, which makes the next seconds of actions
likelier; of two films, which makes the utterance likelier?

In: a fused agent, the held-out channels of shards whose episodes hold errands. Each errand that somebody told gives an
announcement, and each announcement some pairs. Out: JSON, a table and a picture of the share of pairs in which the true
one wins (chance 0.5, a tie counts half), of all and by kind of errand:

    actions from words  log-likelihood of the seconds from the errand's first frame on, when the true words announced it
                        and when those of an errand of another kind did: said from the same tick on and over before the
                        errand begins, all other words, all frames and the memory the same
    words from frames   log-likelihood of the announcement's tokens, given that something is said, under its own film
                        and under that of an announcement of another kind: the pictures (and last actions) of the
                        seconds before it and of while it is said, all words, other frames and the memory the same
    same kind           a control: the same against announcements of the same kind in other words, and their films. What
                        is above 0.5 there is told besides the kind, or is owed to the exchange itself
    ceiling             the same pairs, judged by logistic regressions on the world's truth that are fitted on the
                        training channels: the kind of errand from the buttons and the mouse of those seconds; kind and
                        colour from what is in view (with --views)

95 % intervals over channels (vlpt/evaluation/shares.py). A model with its gates closed is at 0.5.

    python evaluate.py matching --model runs/demo/joint --held-out ch4 ch5 --out runs/demo/matching.json
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vlpt.evaluation import ceilings
from vlpt.evaluation.exchanges import CONDITIONS, Moment, Pairs, compare, moment
from vlpt.evaluation.moments import Track, find_announcements, fused_trial
from vlpt.evaluation.shares import shares_by_kind, written
from vlpt.evaluation.trial import Trial, TrialOptions
from vlpt.files import check_writable
from vlpt.options import Count, Positive, run, to_dict
from vlpt.show.plots import check_out, matching_figure, write_result

TIE_NATS = 1e-3  # a smaller difference of two sums over seconds is one of rounding
DIRECTIONS = {"actions_from_words": "actions from words", "words_from_frames": "words from frames"}


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions):
    """Measures whether a fused agent knows which words and which play belong together."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    seconds: Positive = 3.0  # of actions, from an errand's first frame on
    film_seconds: Positive = 3.0  # of film before an announcement that are exchanged with it
    others: Count = 4  # that each announcement is held against, at most: of other kinds, and of its own
    views: str = ""  # folder of <id>.view.jsonl.gz, for the ceiling of words (empty: none)
    out: str = ""  # JSON file to write, and a picture beside it; none if empty

    def __post_init__(self) -> None:
        check_out(self.out)


# ---- shares


def right(nats: np.ndarray) -> float:
    """The share of pairs that the true one wins; a tie counts half."""
    return float(np.mean((nats > TIE_NATS) + 0.5 * (np.abs(nats) <= TIE_NATS)))


def summarise(
    judged: Sequence[np.ndarray], moments: Sequence[Moment], tracks: Sequence[Track], seed: int
) -> dict[str, dict]:
    """judged: of each moment, (its pairs,) by how much its own wins -> shares of "all" and of each kind."""
    chosen = [(one.told, right(nats)) for one, nats in zip(moments, judged, strict=True) if len(nats)]
    channels = [tracks[told.track].episode.channel for told, _ in chosen]
    return shares_by_kind([won for _, won in chosen], [told.kind for told, _ in chosen], channels,
                          [told.track for told, _ in chosen], seed)  # fmt: skip


def measure(trial: Trial, tracks: Sequence[Track], moments: Sequence[Moment]) -> dict[str, dict]:
    """{direction: {"all", "kinds", "same_kind", "ceiling", "nats", "pairs", "left_out"}}."""
    pairs: list[Pairs | None] = [None] * len(moments)
    for index, found in tqdm(compare(trial, tracks, moments), "matching", len(moments), unit="announcement"):
        pairs[index] = found
    shares = {condition: summarise([one.nats[condition] for one in pairs], moments, tracks, trial.options.seed)
              for condition in CONDITIONS}  # fmt: skip
    result = {}
    for name, judge in (("actions_from_words", ceilings.of_actions), ("words_from_frames", ceilings.of_views)):
        numbers, nats = ([getattr(one, part)[name] for one in pairs] for part in ("numbers", "nats"))
        won, judged = np.concatenate(nats), judge(trial, tracks, moments, numbers)
        ceiling = judged and summarise(judged, moments, tracks, trial.options.seed)
        result[name] = {**shares[name], "same_kind": shares[f"{name}_same_kind"], "ceiling": ceiling,
                        "nats": float(won.mean()) if len(won) else None, "pairs": len(won),
                        "left_out": sum(not len(one) for one in nats)}  # fmt: skip
    return result


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    trial = fused_trial(options)
    ceilings.check(trial)  # before minutes of work
    tracks = [Track(episode, trial) for episode in trial.episodes]
    told, untold = find_announcements(tracks)
    moments = [moment(one, tracks[one.track], options.seconds, options.film_seconds) for one in told]
    result = {**measure(trial, tracks, moments), "announcements": len(told), "untold_errands": untold,
              "kinds": dict(Counter(one.kind for one in told)), "gates": trial.model.gates(),
              "episodes": [episode.id for episode in trial.episodes], "options": to_dict(options)}  # fmt: skip
    write_result(options.out, result, matching_figure)
    print(table(result))
    return result


def table(result: dict) -> str:
    """A line for all announcements, and one a kind of errand, in both directions."""
    lines = ["share of pairs in which the true one wins (chance 0.500), 95 % interval over channels"]
    for name, title in DIRECTIONS.items():
        found = result[name]
        lines.append(f"{title:20}  count  {'other kind':22}  {'same kind (control)':22}  {'ceiling':22}")
        for kind in ("all", *found["kinds"]):
            parts = (found, found["same_kind"], found["ceiling"])
            row, *others = (part and (part["all"] if kind == "all" else part["kinds"].get(kind)) for part in parts)
            said = "  ".join(f"{written(one) if one else 'none':22}" for one in (row, *others))
            lines.append(f"{kind:20}  {row['count']:5d}  {said}")
    said = f"{result['announcements']} announcements, {result['untold_errands']} errands that nobody told"
    left_out = ", ".join(f"{result[name]['left_out']} ({title})" for name, title in DIRECTIONS.items())
    return "\n".join(line.rstrip() for line in [*lines, f"{said}; without a pair: {left_out}"])


if __name__ == "__main__":
    run(main, Options)
