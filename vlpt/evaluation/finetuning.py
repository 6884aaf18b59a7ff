"""What makes a fine-tuned VPT go erratic? The published script's recipe and ours, and each ingredient switched off.

In: an agent of stage base, shards. It is fine-tuned on some channels by each recipe (published_recipe.py says what they
are), on the same frames of the same episodes; then all play in the same arenas, told nothing. Out: a table, a picture,
and JSON:

    variants    of `base` (as it was), `ours`, `published`, and `published-without-…` each ingredient alone:
                training    frames, updates, frames a second
                nats        nats a frame on the held-out channels, camera masked, whatever training counted; `against`
                            the others: variant - other, 95 % interval over channels
                numbers     of play (played_errands.py, motion_statistics.py): mean and 95 % t interval over arenas,
                            and `against` base and published: paired by arena
    people      the same of the held-out channels' labels, 95 % interval over channels; `errands_a_minute` there are
                those of things that they set out to do, and did, whatever number of nodes was wanted
    lost        lives whose game ended: they are left out

    python evaluate.py finetuning --shards data/6_shards --train-on ch0 ch1 --held-out ch4 ch5
    python evaluate.py finetuning --variants ours published --frames 20000 --arenas 4 --seconds 5

Beside the JSON lie `<out>.weights/`, a folder a recipe, and `<out>.lives.jsonl`, a line a life: the same command goes
on where it was stopped, also with more variants and arenas. The trunk stays frozen in all of them, so that no
ingredient can harm it: what is found is the harm to the rest. One training seed a recipe: intervals are over arenas
and channels, not over trainings.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vlpt.checkpoint import agent_key
from vlpt.data.lanes import split
from vlpt.data.shards import Shards
from vlpt.evaluation.games import live_all, threads_of
from vlpt.evaluation.kept_rows import KeptRows
from vlpt.evaluation.played_errands import Play, PlayOptions, Plays, make_world
from vlpt.evaluation.published_recipe import RECIPES, WITHOUT
from vlpt.evaluation.recipe_training import fine_tuned, load_base
from vlpt.evaluation.recipes_compared import BASE, summarise, table
from vlpt.evaluation.trial import Trial, TrialOptions
from vlpt.files import check_writable
from vlpt.options import Count, Positive, Share, run, to_dict
from vlpt.show.finetuning_plot import finetuning_figure
from vlpt.show.plots import check_out, write_result
from vlpt.training.base import Base
from vlpt.training.episodes import EpisodeSplit

VARIANTS = (BASE, *RECIPES)


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions, PlayOptions):
    """Fine-tunes an agent by the published recipe and by ours, and lets them play."""

    base: str = "pretrained/base"  # the agent to fine-tune: a run, or a folder
    train_on: tuple[str, ...] = ()  # channels to train on (none named: all that are not held out)
    frames: Count = 40_000  # seen in training
    rate: Positive = Base.Options.rate_pretrained  # our learning rate, after warm-up
    published_rate: Positive = 0.000181  # the published script's, constant
    drop_last_action: Share = 0.4  # share of chunks in which the agent is not told what it did, under every recipe
    variants: tuple[str, ...] = VARIANTS  # agents that play; base always does
    arenas: Count = 40  # lives of base, ours and published
    ingredient_arenas: Count = 12  # lives of published without an ingredient
    workers: Count = 2  # games side by side, each in a process of its own
    out: str = "runs/evidence/finetuning.json"  # JSON file to write

    def __post_init__(self) -> None:
        super().__post_init__()
        check_out(self.out)
        if not self.out.endswith(".json"):
            raise ValueError(f"--out names a JSON file, beside which weights are kept, got {self.out!r}")
        if unknown := [name for name in self.variants if name not in VARIANTS]:
            raise ValueError(f"--variants: none is called {unknown[0]!r}; choose among {', '.join(VARIANTS)}")
        if min(self.arenas, self.ingredient_arenas) < 2:
            raise ValueError("--arenas and --ingredient-arenas: an interval needs two or more")

    @property
    def compared(self) -> list[str]:
        """Base first, in the order of VARIANTS."""
        return [name for name in VARIANTS if name == BASE or name in self.variants]

    def plays(self) -> list[Play]:
        """All lives, arena by arena."""
        count = {name: self.ingredient_arenas if name.startswith(WITHOUT) else self.arenas for name in self.compared}
        return [Play(name, arena) for arena in range(max(count.values())) for name in self.compared
                if arena < count[name]]  # fmt: skip

    def made_with(self) -> dict:
        """What weights depend on."""
        named = ("shards", "held_out", "train_on", "frames", "rate", "published_rate", "drop_last_action", "seed")
        return {name: to_dict(self)[name] for name in named} | {"base": agent_key(self.base)}


def read_data(options: Options) -> EpisodeSplit:
    """Raises ValueError for a channel that does not exist, and where nothing is left to train, or to measure, on."""
    shards = Shards(options.shards)
    train, held_out = split(shards.episodes, options.held_out)
    if not held_out:
        raise ValueError("--held-out names no channel: there is nothing to measure on")
    if unknown := sorted(set(options.train_on) - {episode.channel for episode in train}):
        raise ValueError(f"--train-on: no channel {', '.join(unknown)} that is not held out in {options.shards}")
    train = [episode for episode in train if not options.train_on or episode.channel in options.train_on]
    return EpisodeSplit(shards, train, held_out)


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    out = Path(options.out)
    check_writable(out.parent)
    load_base(options.base)
    data, made_with = read_data(options), options.made_with()
    make_world(options).close()  # before an hour's work
    of_play = {name: to_dict(options)[name] for name in ("world", "size", "seconds")}
    with KeptRows(out.with_suffix(".lives.jsonl"), made_with | of_play) as kept:
        folders, training = {BASE: options.base}, {}
        for name in options.compared[1:]:
            training[name] = fine_tuned(options, name, data, out.with_suffix(".weights"), made_with)
            folders[name] = str(out.with_suffix(".weights") / name)
        losses = {name: Trial(folder, options, data.shards).losses() for name, folder in folders.items()}
        plays = partial(Plays, options, folders, options.device, threads_of(options.workers))
        live_all(plays, options.plays(), options.workers, kept, "play")
        result = summarise(options, kept.rows, losses, training, data.held_out)
    write_result(options.out, result, finetuning_figure)
    print(table(result))
    return result


if __name__ == "__main__":
    run(main, Options)
