"""What a trained agent is worth, one kind of evaluation a subcommand: `python evaluate.py KIND …` (--help lists
options).

    dependence  do words steer actions, do frames shape words?
    health      does its talk stay healthy, minute by minute? (vlpt/health.py)

Dependence. In: the trained runs (joint, and the two controls oracle and shuffled) and the held-out channels of the
shards. Out: JSON with the losses of every episode under every condition, and paired differences with 95 % bootstrap
intervals:

    words     action loss with another episode's words - with its own       (nats a frame)
    silence   action loss with silence instead of words - with its words    (nats a frame)
    frames    token loss with another episode's frames - with its own       (nats a spoken token)
    oracle    as `words`, for the run whose words name the actions: must be large, or the measurement is broken
    shuffled  as `words`, for the run trained on words of other episodes: must not differ from 0

Positive = the true signal helps. The same options as training's say how words and frames are read.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vlpt import health
from vlpt.checkpoint import model_folder, peak_gb
from vlpt.data.lanes import Lanes, split
from vlpt.data.shards import Shards
from vlpt.data.trunk_features import cache_features
from vlpt.data.words import load_tokenizer
from vlpt.files import check_writable, read_json, write_json
from vlpt.metrics import paired_difference
from vlpt.model import VLPT
from vlpt.options import Count, Device, Seed, pick_device, run, to_dict
from vlpt.training.losses import action_nats, language_nats


@dataclass(frozen=True)
class DependenceOptions:
    """Measure the dependence between words, frames and actions on held-out channels."""

    runs: str = "runs/demo"  # folder of the runs joint, oracle and shuffled
    shards: str = "data/6_shards"  # LeRobotDataset folder
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels that nothing was trained on
    out: str = "runs/demo/evaluation.json"  # file to write
    swaps: Count = 4  # partners an episode's words or frames are swapped with, averaged
    lanes: Count = 8  # episodes side by side
    seed: Seed = 0  # of the swaps and the bootstrap
    device: Device = "auto"  # where the model runs


class Trial:
    """One trained model and how its data was read: losses of each held-out episode under any condition."""

    def __init__(self, run: Path, options: DependenceOptions) -> None:
        self.options, folder = options, model_folder(run)
        self.trained = read_json(run / "options.json")["options"]
        self.device = pick_device(options.device)
        self.model = VLPT.from_pretrained(folder).to(self.device)
        self.tokenizer = load_tokenizer(folder / "tokenizer.json")
        self.shards = Shards(options.shards)
        _, self.episodes = split(self.shards.episodes, options.held_out)
        if seen := set(options.held_out) - set(self.trained["held_out"]):
            raise ValueError(f"{run} was trained on {sorted(seen)}: these channels cannot be held out now")
        self.features = cache_features(self.model.policy, self.shards, device=self.device)

    @torch.no_grad()
    def losses(self, word_source: str = "true", frame_source: str = "true", seed: int = 0) -> dict[str, np.ndarray]:
        """{"action", "token", "silence": (episodes,) nats apiece}; nan where an episode has none.

        word_source, frame_source: see vlpt.data.lanes.Lanes; seed: of the partners.
        """
        batches = Lanes(self.shards, self.episodes, lanes=min(self.options.lanes, len(self.episodes)), epochs=1,
                        frames_per_chunk=self.trained["chunk"], frames_per_tick=self.model.config.frames_per_tick,
                        tokenizer=self.tokenizer, silence=self.model.language.vocabulary,
                        max_lateness_ms=self.trained["max_lateness_ms"], word_source=word_source,
                        frame_source=frame_source, shuffle=False, seed=seed, read_frames=self.features)  # fmt: skip
        sums = {name: np.zeros((len(self.episodes) + 1, 2)) for name in ("action", "token", "silence")}
        memory = self.model.start(len(batches.lanes))
        for chunk in batches:
            chunk = chunk.to(self.device)
            out, memory = self.model(chunk.frames, chunk.first, chunk.heard, memory)
            buttons, camera = action_nats(out.action, chunk.buttons_index, chunk.camera_index)
            tally(sums["action"], buttons + camera, chunk.action_mask, chunk.episode)
            silence, token, spoken = language_nats(self.model.language, out, chunk.spoken)
            counted = out.tick_valid & chunk.language_mask.gather(1, out.tick_index)
            episode = chunk.episode.gather(1, out.tick_index)
            tally(sums["silence"], silence, counted, episode)
            tally(sums["token"], token, counted & spoken, episode)
        with np.errstate(invalid="ignore"):
            return {name: (total[:-1, 0] / total[:-1, 1]) for name, total in sums.items()}

    def swapped(self, **condition) -> dict[str, np.ndarray]:
        """As `losses`, averaged over several partners."""
        every = [self.losses(**condition, seed=self.options.seed + i) for i in range(self.options.swaps)]
        return {name: np.mean([one[name] for one in every], 0) for name in every[0]}


def tally(sums: np.ndarray, nats: torch.Tensor, mask: torch.Tensor, episode: torch.Tensor) -> None:
    """Adds nats and counts to sums (episodes + 1, 2) where the mask is True; episode -1 goes to the last row."""
    for column, value in ((0, nats), (1, torch.ones_like(nats))):
        np.add.at(sums[:, column], episode[mask].cpu().numpy(), value[mask].double().cpu().numpy())


def dependence(options: DependenceOptions) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    runs, found, conditions = Path(options.runs), {}, {}
    check_writable(Path(options.out).parent)  # before an hour's work
    bar = tqdm(total=8, desc="evaluate", unit="condition")

    def measure(run: str, condition: str, losses: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        conditions.setdefault(run, {})[condition] = {name: numbers(values) for name, values in losses.items()}
        bar.update()
        return losses

    def difference(true: dict, other: dict, loss: str) -> dict[str, float]:
        return paired_difference(true[loss], other[loss], seed=options.seed).to_dict()

    joint = Trial(runs / "joint", options)
    true = measure("joint", "true", joint.losses())
    other_words = measure("joint", "words swapped", joint.swapped(word_source="swapped"))
    no_words = measure("joint", "silence", joint.losses(word_source="silence"))
    other_frames = measure("joint", "frames swapped", joint.swapped(frame_source="swapped"))
    found["words"], found["silence"] = (difference(true, other, "action") for other in (other_words, no_words))
    found["frames"] = difference(true, other_frames, "token")
    for name, own, others in (("oracle", "oracle", "oracle_swapped"), ("shuffled", "true", "swapped")):
        trial = Trial(runs / name, options)
        own_losses = measure(name, own, trial.losses(word_source=own))
        found[name] = difference(own_losses, measure(name, others, trial.swapped(word_source=others)), "action")
    bar.close()
    result = dict(dependence=found, conditions=conditions, episodes=[episode.id for episode in joint.episodes],
                  gates=joint.model.gates(), options=to_dict(options), peak_gb=round(peak_gb(), 2))
    write_json(options.out, result)
    print(table(found))
    return result


def numbers(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN."""
    return [None if np.isnan(value) else round(float(value), 5) for value in values]


def table(found: dict[str, dict[str, float]]) -> str:
    """The differences, a line each."""
    unit = dict(frames="nats/token")
    return "\n".join(f"{name:9} {d['delta']:+z.4f} [{d['low']:+z.4f}, {d['high']:+z.4f}] {unit.get(name, 'nats/frame')}"
                     for name, d in found.items())


KINDS = {"dependence": (DependenceOptions, dependence), "health": (health.Options, health.main)}


def evaluate(options) -> dict:
    """The evaluation whose options these are."""
    return next(measure for options_class, measure in KINDS.values() if type(options) is options_class)(options)


if __name__ == "__main__":
    run(evaluate, {name: options_class for name, (options_class, _) in KINDS.items()})
