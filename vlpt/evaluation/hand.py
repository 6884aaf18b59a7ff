"""Does the agent feel what it does? Nats a frame with and without its last action, keys that people hold, presses.

In: an agent (a run or a folder of weights, alone or joined with words), the held-out channels of shards. Out: a table,
and JSON with the same:

    nats      action loss, nats a frame, of an agent that is told what was done at the frame before (`felt`) and of the
              same agent when it is not (`unfelt`: from pictures alone)
    held      of each key: where it was down for three frames, how often it stays down at the next one, and the mean
              probability that the agent gives to that
    presses   of each key: length of its presses in frames, median and 90 % quantile, in the recordings and, with
              --play-seconds, when the agent plays

Labels say what was done before, so the agent is judged on people's motion; whether it copies itself shows in the
presses. A press that the beginning or the end of an episode cuts counts as long as it is seen. An agent that hears is
told the true words on recordings, and in play hears itself.

    python evaluate.py hand --model runs/demo/joint --play-seconds 30 --seeds 0 1 2 3 --out runs/demo/hand.json
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vlpt import play
from vlpt.agent import load_agent
from vlpt.evaluation.trial import ACTIONS, Losses, Trial, TrialOptions, add_actions
from vlpt.files import check_writable, write_json
from vlpt.model import Output
from vlpt.options import Count, NotNegative, Seed, run, to_dict, without_effect
from vpt.actions import MINECRAFT
from vpt.policy import PolicyOutput

KEYS = ("back", "left", "right", "forward", "jump", "attack")
COLUMNS = [MINECRAFT.column[key] for key in KEYS]
HELD_FRAMES = 3  # a key is held that was down at so many frames


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions):
    """Measures whether an agent feels what it does."""

    model: str = "runs/demo/joint"  # a run, or a folder with a model: an agent, alone or joined with words
    play_seconds: NotNegative = 0.0  # how long it plays in each arena, to see how long its presses are (0: not at all)
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    seeds: tuple[Seed, ...] = (0, 1, 2, 3)  # of the arenas
    out: str = ""  # JSON file to write; none if empty

    def __post_init__(self) -> None:
        if not self.play_seconds:
            without_effect(self, "--play-seconds 0", "world", "size", "seeds")
        else:
            self.player(0)  # before minutes of work

    def player(self, seed: int) -> play.Options:
        """How it plays in one arena."""
        return play.Options(model=self.model, world=self.world, size=self.size, seed=seed,
                            seconds=self.play_seconds)  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """What the agent says of each episode's frames; N frames in an episode, K keys."""

    losses: Losses
    chances: list[np.ndarray]  # (N, K) float64 an episode: P(key is down)


def chance_of_keys(action_log_probs: torch.Tensor) -> torch.Tensor:
    """(..., 8641) log-probabilities of the joint buttons -> (..., K): the sum over the classes with that key."""
    return action_log_probs.exp() @ pressed_by_class().to(action_log_probs)


def pressed_by_class() -> torch.Tensor:
    """(8641, K) float32, 0 or 1: which of KEYS each class presses."""
    classes = np.arange(MINECRAFT.n_buttons_index)
    buttons, _ = MINECRAFT.decode(classes, np.full_like(classes, MINECRAFT.null_camera_index))
    return torch.from_numpy(buttons[:, COLUMNS]).float()


def predict(trial: Trial, feels: bool) -> Predictions:
    """The agent through every episode once, its last action known or not."""
    sums = {name: np.zeros((len(trial.episodes) + 1, 2)) for name in ACTIONS}
    chances = [np.zeros((episode.n_frames, len(KEYS))) for episode in trial.episodes]
    for chunk, output in trial.outputs(trial.lanes(), feels):
        add_actions(sums, chunk, output)
        keep_chances(chances, chunk.episode[chunk.real], chunk.frame[chunk.real], output, chunk.real)
    return Predictions(Losses({name: total[:-1] for name, total in sums.items()}), chances)


def keep_chances(chances: list[np.ndarray], episode: torch.Tensor, frame: torch.Tensor, output: Output | PolicyOutput,
                 real: torch.Tensor) -> None:  # fmt: skip
    """Puts a chunk's P(key), at its real frames (B, T), to their episodes (n,) and frames (n,)."""
    chance = chance_of_keys(output.action.buttons[real]).double().cpu().numpy()
    episode, frame = episode.cpu().numpy(), frame.cpu().numpy()
    for i in np.unique(episode):
        chances[i][frame[episode == i]] = chance[episode == i]


def held_frames(down: np.ndarray, known: np.ndarray) -> np.ndarray:
    """down (N, K) bool, known (N,) bool: labels that are known -> (N, K) bool: the key was down at the three frames
    before, and what is done at this one is known.
    """
    held = np.repeat(known[:, None], down.shape[1], 1)
    for back in range(1, HELD_FRAMES + 1):
        held[back:] &= (down & known[:, None])[:-back]
        held[:back] = False
    return held


def held_keys(trial: Trial, predictions: dict[str, Predictions]) -> dict[str, dict[str, float | int | None]]:
    """{key: {"count", "people": how often it stays down, name of a prediction: its mean probability}}."""
    downs = [labels(episode) for episode in trial.episodes]
    held = [held_frames(down, episode.confidence > 0) for down, episode in zip(downs, trial.episodes, strict=True)]
    values = {"people": downs} | {name: each.chances for name, each in predictions.items()}
    return {key: {"count": int(sum(one[:, k].sum() for one in held)),
                  **{name: mean_where([one[:, k] for one in of], [one[:, k] for one in held])
                     for name, of in values.items()}}
            for k, key in enumerate(KEYS)}  # fmt: skip


def labels(episode) -> np.ndarray:
    """(N, K) bool: which keys are down, as labelled."""
    buttons, _ = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
    return buttons[:, COLUMNS].astype(bool)


def mean_where(values: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float | None:
    """Mean of values (N,) where masks (N,) are True, over all episodes; None where they never are."""
    chosen = np.concatenate([one[mask] for one, mask in zip(values, masks, strict=True)])
    return float(chosen.mean()) if len(chosen) else None


# ---- presses


def press_lengths(down: np.ndarray) -> np.ndarray:
    """down (N,) bool -> lengths in frames of its runs of True, in order."""
    edges = np.diff(np.concatenate([[0], down.astype(np.int8), [0]]))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def presses(downs: Sequence[np.ndarray]) -> dict[str, dict[str, float | int | None]]:
    """downs (N, K) bool of each episode -> {key: {"count", "median", "q90"} in frames}."""
    found = {}
    for k, key in enumerate(KEYS):
        lengths = np.concatenate([press_lengths(down[:, k]) for down in downs])
        median, q90 = np.quantile(lengths, [0.5, 0.9]).tolist() if len(lengths) else (None, None)
        found[key] = {"count": len(lengths), "median": median, "q90": q90}
    return found


def played(options: Options) -> list[np.ndarray]:
    """(N, K) bool of each arena: the keys that the agent held down when it played there."""
    agent, downs = load_agent(options.model, device=options.device), []
    for seed in tqdm(options.seeds, "play", unit="arena"):
        moments = play.live(agent, options.player(seed))
        downs.append(np.stack([moment.buttons for moment in moments])[:, COLUMNS].astype(bool))
    return downs


# ---- the program


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    trial = Trial(options.model, options)
    predictions = {name: predict(trial, feels) for name, feels in (("felt", True), ("unfelt", False))}
    found = {"recordings": presses([labels(episode) for episode in trial.episodes])}
    if options.play_seconds:
        found["play"] = presses(played(options))
    policy = trial.model.config.policy if trial.speaks else trial.model.config
    result = {
        "last_action": policy.last_action,
        "nats": {name: {loss: each.losses.mean(loss) for loss in ACTIONS} for name, each in predictions.items()},
        "held": held_keys(trial, predictions), "presses": found,
        "episodes": [episode.id for episode in trial.episodes], "options": to_dict(options),
    }  # fmt: skip
    if options.out:
        write_json(options.out, result)
    print(table(result))
    return result


def table(result: dict) -> str:
    """Losses, then a line a key."""
    knows = "is told what it did" if result["last_action"] else "is never told what it did"
    lines = [f"the agent {knows}; nats/frame:"]
    lines += [f"  {name:7} {losses['action']:.3f} (non-null {losses['action_non_null']:.3f})"
              for name, losses in result["nats"].items()]
    lines += ["held for three frames, stays down:", "  key      frames  people    felt  unfelt"]
    lines += [f"  {key:8} {row['count']:6d}{shown(row['people']):>8}{shown(row['felt']):>8}{shown(row['unfelt']):>8}"
              for key, row in result["held"].items()]
    lines += ["presses, frames: median, 90 %", "  key     " + "".join(f"{name:>24}" for name in result["presses"])]
    for key in KEYS:
        each = (of[key] for of in result["presses"].values())
        lines.append(f"  {key:8}" + "".join(f"{shown(one['median']):>10}{shown(one['q90']):>7} of{one['count']:>4}"
                                            for one in each))
    return "\n".join(lines)


def shown(value: float | None) -> str:
    """A number for the table."""
    return "none" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    run(main, Options)
