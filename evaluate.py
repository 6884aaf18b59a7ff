"""What a trained agent is worth, one kind of evaluation a subcommand: `python evaluate.py KIND …` (--help lists
options); each is explained in vlpt/evaluation/.

    dependence  what does a wrong word, or picture, cost?
    worth       what do words, frames and joining give?
    hand        does the agent feel what it does?
    steering    does it do what it is told, more than when told something else?
    health      does its talk stay healthy, minute by minute?
    saying      does what it says unasked match what it does and sees?
    probe       what of the world can be read off what the cross attentions read?
    matching    which words belong to which actions, and which film to which words?
    understanding  which kind of errand begins now, by what frames may ask of words?
    flow        what flows between words and frames: gates, closed one by one, and where nouns look
    trust       may intervals, p-values and sizes of samples be trusted? simulations
    interventions  what of words, and of film, matters: who says it, when, which nouns, …?
    finetuning  what makes a fine-tuned agent go erratic? the published recipe, ours, each ingredient alone
    vpt         do OpenAI's weights, or ours, lose what they should on contractors' recordings?

Dependence. In: the trained runs (joint, and the two controls oracle and shuffled) and the held-out channels of the
shards. Out: JSON with the losses of every episode under every condition, and paired differences with 95 % intervals
over channels (vlpt/metrics.py), of all and, under `by_moment`, split by vlpt/evaluation/errand_times.py:

    words     action loss with another episode's words - with its own       (nats a frame)
    silence   action loss with silence instead of words - with its words    (nats a frame)
    frames    token loss with another episode's frames - with its own       (nats a spoken token)
    oracle    as `words`, for the run whose words name the actions: must be large, or the measurement is broken
    shuffled  as `words`, for the run trained on words of other episodes: must not differ from 0

Positive = a model that was trained with the signal relies on it. That is not what the signal is worth: see `worth`.
Action losses are of all frames and, under `dependence_non_null`, of those where something is pressed. With another
episode's frames the agent is told that episode's last actions, too.
"""

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from vlpt.checkpoint import peak_gb
from vlpt.data.shards import Shards
from vlpt.evaluation import (
    finetuning,
    flow,
    hand,
    health,
    interventions,
    matching,
    probe,
    saying,
    sight,
    steering,
    trust,
    understanding,
    vpt,
    worth,
)
from vlpt.evaluation.differences import by_moment, difference
from vlpt.evaluation.trial import Losses, Trial, TrialOptions
from vlpt.files import check_writable, write_json
from vlpt.metrics import interval
from vlpt.options import Count, run, to_dict
from vpt.allocator import keep_freed_memory


@dataclass(frozen=True, kw_only=True)
class DependenceOptions(TrialOptions):
    """Measure the dependence between words, frames and actions on held-out channels."""

    runs: str = "runs/demo"  # folder of the runs joint, oracle and shuffled
    out: str = "runs/demo/evaluation.json"  # file to write
    swaps: Count = 4  # partners an episode's words or frames are swapped with, averaged


def dependence(options: DependenceOptions) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    runs, shards, conditions = Path(options.runs), Shards(options.shards), {}
    check_writable(Path(options.out).parent)  # before an hour's work
    bar = tqdm(total=8, desc="evaluate", unit="condition")

    def measure(run: str, condition: str, losses: Losses) -> Losses:
        conditions.setdefault(run, {})[condition] = losses.to_json()
        bar.update()
        return losses

    joint = Trial(runs / "joint", options, shards)
    true = measure("joint", "true", joint.losses())
    other_words = measure("joint", "words swapped", joint.swapped(options.swaps, word_source="swapped"))
    no_words = measure("joint", "silence", joint.losses(word_source="silence"))
    other_frames = measure("joint", "frames swapped", joint.swapped(options.swaps, frame_source="swapped"))
    pairs = {"words": (true, other_words, "action"), "silence": (true, no_words, "action"),
             "frames": (true, other_frames, "token")}  # fmt: skip
    for name, own, others in (("oracle", "oracle", "oracle_swapped"), ("shuffled", "true", "swapped")):
        trial = Trial(runs / name, options, shards)
        own_losses = measure(name, own, trial.losses(word_source=own))
        pairs[name] = own_losses, measure(name, others, trial.swapped(options.swaps, word_source=others)), "action"
    bar.close()
    of_actions = {name: (*pair, "action_non_null") for name, (*pair, loss) in pairs.items() if loss == "action"}
    channels, seed = [episode.channel for episode in joint.episodes], options.seed
    found, non_null = ({name: difference(*pair, channels, seed) for name, pair in some.items()}
                       for some in (pairs, of_actions))  # fmt: skip
    moments = {name: by_moment(*pair, channels, seed) for name, pair in pairs.items()}
    result = dict(dependence=found, dependence_non_null=non_null, by_moment=moments, conditions=conditions,
                  episodes=[episode.id for episode in joint.episodes], gates=joint.model.gates(),
                  options=to_dict(options), peak_gb=round(peak_gb(), 2))  # fmt: skip
    write_json(options.out, result)
    print(f"{table(found)}\nof frames where something is pressed:\n{table(non_null)}")
    return result


def table(found: dict[str, dict[str, float]]) -> str:
    """The differences, a line each."""
    unit = dict(frames="nats/token")
    return "\n".join(f"{name:9} {interval(d)} {unit.get(name, 'nats/frame')}, {d['channels']} channels"
                     for name, d in found.items())  # fmt: skip


KINDS = {"dependence": (DependenceOptions, dependence), "worth": (worth.Options, worth.main),
         "hand": (hand.Options, hand.main), "steering": (steering.Options, steering.main),
         "health": (health.Options, health.main), "saying": (saying.Options, saying.main),
         "probe": (probe.Options, probe.main), "sight": (sight.Options, sight.main),
         "matching": (matching.Options, matching.main), "understanding": (understanding.Options, understanding.main),
         "flow": (flow.Options, flow.main), "trust": (trust.Options, trust.main),
         "interventions": (interventions.Options, interventions.main),
         "finetuning": (finetuning.Options, finetuning.main), "vpt": (vpt.Options, vpt.main)}


def evaluate(options) -> dict:
    """The evaluation whose options these are."""
    keep_freed_memory()
    return next(measure for options_class, measure in KINDS.values() if type(options) is options_class)(options)


if __name__ == "__main__":
    run(evaluate, {name: options_class for name, (options_class, _) in KINDS.items()})
