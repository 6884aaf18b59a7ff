"""What do words tell a fused agent, and film its talk? One thing about them is changed: what does that cost?

In: a fused agent, held-out episodes. Out: JSON, a table and a picture: of each intervention the loss under it minus the
loss with the true words, or film, of all frames (tokens) and of each moment of an errand (errand_times.py):

    words   nats a frame of actions, when words are another episode's; silence; moved by some seconds, all of them,
            those that fall outside being lost; the same but for the nouns, the colours, the directions, each replaced
            by another one of its list (word_edits.py); or drawn from all that is said in the training channels,
            with only their times, and how many tokens they are, kept
    frames  nats a token of the true words, when film (and what was done last) is another episode's; blank; moved by
            some seconds, the first or the last picture standing still where there is none

Positive: the change costs something. Which frames and tokens count, and into which moment they fall, is told by the
true words and never depends on the intervention. What is drawn (partners, names, words) is drawn --draws times and
averaged. 95 % intervals over channels (vlpt/metrics.py), each by itself: of twenty rows without any effect one is apart
from 0.

    python evaluate.py interventions --model runs/demo/joint --held-out ch4 ch5 --out runs/demo/interventions.json
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vlpt.data.shards import Episode
from vlpt.data.words import Word
from vlpt.evaluation.differences import by_moment, difference
from vlpt.evaluation.errand_times import MOMENTS
from vlpt.evaluation.moments import fused_trial, training_episodes
from vlpt.evaluation.trial import Losses, Trial, TrialOptions
from vlpt.evaluation.word_edits import COLOURS, DIRECTIONS, THINGS, Strangers, moved, other_names, renamed
from vlpt.files import check_writable
from vlpt.metrics import interval
from vlpt.options import Count, Positive, run, to_dict
from vlpt.show.interventions_plot import interventions_figure
from vlpt.show.plots import check_out, write_result
from vpt.frames import FRAMES_PER_SECOND

LOSSES = {"words": "action", "frames": "token"}  # in which an intervention on them is told
UNITS = {"words": "nats/frame", "frames": "nats/token"}
Edit = Callable[[Episode, np.random.Generator], list[Word]]


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions):
    """Measures what changing one thing about words, or film, costs a fused agent."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    draws: Count = 2  # of what is drawn, averaged
    word_seconds: tuple[Positive, ...] = (0.5, 1.0, 2.0, 5.0)  # that words are moved by, both ways
    film_seconds: tuple[Positive, ...] = (1.0, 5.0)  # that film is moved by, both ways
    out: str = ""  # JSON file to write, and a picture beside it; none if empty

    def __post_init__(self) -> None:
        check_out(self.out)


@dataclass(frozen=True)
class Intervention:
    """losses: of a number of a draw; edit: of words, where it is one; drawn: whether one draw differs from another."""

    losses: Callable[[int], Losses]
    edit: Edit | None = None
    drawn: bool = True

    def mean(self, draws: int) -> Losses:
        """Over so many draws, where they differ."""
        first, *others = (self.losses(seed) for seed in range(draws if self.drawn else 1))
        return sum(others, start=first)


# ---- other words


def with_words(trial: Trial, edit: Edit, seed: int) -> list[Episode]:
    """The trial's episodes with edited words; nothing else of them is changed."""
    draws = (np.random.default_rng((trial.options.seed, seed, i)) for i in range(len(trial.episodes)))
    return [replace(one, words=edit(one, random)) for one, random in zip(trial.episodes, draws, strict=True)]


def edits(trial: Trial) -> dict[str, tuple[Edit, bool]]:
    """{name: (edit, whether it draws)}."""
    found: dict[str, tuple[Edit, bool]] = {}
    for seconds in both_ways(trial.options.word_seconds):
        found[f"{seconds:+g} s"] = (lambda one, _, by=seconds: moved(one.words, 1000 * by, one.n_frames)), False
    for name, lists in (("nouns", THINGS), ("colours", COLOURS), ("directions", DIRECTIONS)):
        found[f"other {name}"] = (lambda one, random, of=lists: renamed(one.words, other_names(of, random))), True
    strangers = Strangers([word.word for one in training_episodes(trial) for word in one.words], trial.tokenizer)
    found["only timing"] = (lambda one, random: strangers.replace(one.words, random)), True
    return found


def changes(trial: Trial, edit: Edit) -> dict[str, int]:
    """{"words", "lost", "changed"}: how many there are, how many are gone, how many of the others are another word."""
    found = {"words": 0, "lost": 0, "changed": 0}
    for one, other in zip(trial.episodes, with_words(trial, edit, 0), strict=True):
        found["words"] += len(one.words)
        found["lost"] += len(one.words) - len(other.words)
        if len(one.words) == len(other.words):
            found["changed"] += sum(a.word != b.word for a, b in zip(one.words, other.words, strict=True))
    return found


def on_words(trial: Trial) -> dict[str, Intervention]:
    """Every intervention on words, by name."""
    seed = trial.options.seed
    found = {"another episode's": Intervention(lambda i: trial.losses(word_source="swapped", seed=seed + i)),
             "silence": Intervention(lambda _: trial.losses(word_source="silence"), drawn=False)}  # fmt: skip
    for name, (edit, drawn) in edits(trial).items():
        found[name] = Intervention(lambda i, edit=edit: trial.losses(episodes=with_words(trial, edit, i)), edit, drawn)
    return found


# ---- other film


def moved_film(episodes: Sequence[Episode], read_frames: Callable, seconds: float) -> dict:
    """What `Trial.losses` takes where film, and what was done last, come so much later (or, below 0, earlier)."""
    by = round(seconds * FRAMES_PER_SECOND)

    def shown(episode: Episode, start: int, stop: int) -> np.ndarray:
        return np.clip(np.arange(start, stop) - by, 0, episode.n_frames - 1)

    def read(episode: Episode, start: int, stop: int) -> np.ndarray:
        frames = shown(episode, start, stop)
        return read_frames(episode, frames[0], frames[-1] + 1)[frames - frames[0]]

    moved_episodes = []
    for one in episodes:
        frames = shown(one, 0, one.n_frames)
        moved_episodes.append(replace(one, buttons_index=one.buttons_index[frames], confidence=one.confidence[frames],
                                      camera_index=one.camera_index[frames], null=one.null[frames]))  # fmt: skip
    return {"episodes": moved_episodes, "read_frames": read}


def on_frames(trial: Trial) -> dict[str, Intervention]:
    """Every intervention on film, by name. The actions of moved film are not those to be told: only tokens count."""
    seed = trial.options.seed
    found = {"another episode's": Intervention(lambda i: trial.losses(frame_source="swapped", seed=seed + i)),
             "blank": Intervention(lambda _: trial.losses(frame_source="blank"), drawn=False)}  # fmt: skip
    for seconds in both_ways(trial.options.film_seconds):
        found[f"{seconds:+g} s"] = Intervention(
            lambda _, by=seconds: trial.losses(**moved_film(trial.episodes, trial.features, by)), drawn=False)
    return found


def both_ways(seconds: Sequence[float]) -> list[float]:
    """So much earlier, and later, in order."""
    return sorted({sign * one for one in seconds for sign in (-1, 1)})


# ---- the program


def measure(trial: Trial) -> dict:
    """{"words", "frames": {name: {"all", "by_moment", "changes"}}, "true": {"action", "token": nats apiece}}."""
    every = {"words": on_words(trial), "frames": on_frames(trial)}
    channels, seed, true = [one.channel for one in trial.episodes], trial.options.seed, trial.losses()
    found, bar = {}, tqdm(total=sum(map(len, every.values())), desc="interventions", unit="intervention")
    for signal, interventions in every.items():
        loss, found[signal] = LOSSES[signal], {}
        for name, one in interventions.items():
            under = one.mean(trial.options.draws)
            found[signal][name] = {"all": difference(true, under, loss, channels, seed),
                                   "by_moment": by_moment(true, under, loss, channels, seed),
                                   "changes": one.edit and changes(trial, one.edit)}  # fmt: skip
            counted, before = (losses.by_moment[loss][..., 1] for losses in (under, true))
            assert np.array_equal(counted, before * (under.count(loss) / true.count(loss))), name
            bar.update()
    bar.close()
    return found | {"true": {loss: true.mean(loss) for loss in LOSSES.values()}}


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    trial = fused_trial(options)
    result = {**measure(trial), "gates": trial.model.gates(), "episodes": [one.id for one in trial.episodes],
              "options": to_dict(options)}  # fmt: skip
    write_result(options.out, result, interventions_figure)
    print(table(result))
    return result


def table(result: dict) -> str:
    """A line an intervention: of all with its interval, and of each moment, with a star where 0 is outside it."""
    lines = []
    for signal, loss in LOSSES.items():
        rows, what = result[signal], "frames" if signal == "words" else "tokens"
        first = next(iter(rows.values()))
        lines.append(f"{signal + ' are …':18}  {'all, ' + UNITS[signal]:26}" + "".join(f"{m:>16}" for m in MOMENTS))
        for name, row in rows.items():
            each = "".join(f"{_starred(row['by_moment'][moment]):>16}" for moment in MOMENTS)
            lines.append(f"{name:18}  {interval(row['all']):26}{each}")
        counts = "".join(f"{first['by_moment'][moment]['count']:16d}" for moment in MOMENTS)
        lines.append(f"{what:18}  {result['true'][loss]:.3f} with the true ones     {counts}")
    said = "loss under an intervention - loss with the true one, 95 % interval over channels; *: 0 lies outside"
    return "\n".join([*lines, f"{said}; {first['all']['channels']} channels"])


def _starred(found: dict) -> str:
    if found["delta"] is None:
        return "none"
    clear = found["low"] is not None and (found["low"] > 0 or found["high"] < 0)
    return f"{found['delta']:+z.4f}{'*' if clear else ' '}"


if __name__ == "__main__":
    run(main, Options)
