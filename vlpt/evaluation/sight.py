"""How much is there for frames to tell words? A language model that sees nothing, told by the world's truth.

In: a language model alone, shards whose episodes hold errands, what is in view in them (data_gathering.view), the
held-out channels. Out: a table, a picture, and JSON with the same: nats a token that a regression gains over the
language model, of what it is told before each token

    pause    how long ago the last word was, which whoever speaks knows without seeing
    errands  which errand this is, how long it has lasted, and which one ended just now, done or not
    doing    the buttons of the last half second and of the last two, and which way the view turned
    view     each thing in view (kind, colour), on the left, in the middle, on the right, near or far, and what is held
    all      all of these
    sight    all over `pause` alone: what frames could be worth, whatever eye looks at them

beside the same regression told nothing, so that what merely sets the language model right is not taken for truth. Each
adds to the log probability of each token that is often said a number for each thing told: it multiplies what the
language model expects by what the moment suggests. The penalty is chosen on the last quarter of the training channels.
What such a regression finds is there; what it does not find may be. 95 % intervals over channels.

    python evaluate.py sight --language pretrained/words --shards data/6_shards --views data_gathering/samples
        --held-out ch4 ch5 --out runs/demo/sight.json

Legend: n tokens, V vocabulary, K tokens that are told apart, F numbers told.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vlpt.checkpoint import model_folder
from vlpt.data.lanes import split
from vlpt.data.shards import Shards
from vlpt.data.views import Line, read_view
from vlpt.data.word_sources import WordStreams
from vlpt.data.words import load_tokenizer
from vlpt.evaluation.told_sight import GROUPS, Truth
from vlpt.evaluation.worth import read_text
from vlpt.files import check_writable
from vlpt.language.families import load_language
from vlpt.language.interface import LanguageModel
from vlpt.metrics import interval, over_channels
from vlpt.options import Count, Device, pick_device, run, to_dict
from vlpt.show.plots import check_out, sight_figure, write_result
from vlpt.training import joined
from vlpt.training.stage import TOKENIZER
from vpt.frames import FRAMES_PER_SECOND

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)  # of squared weights, in nats of all tokens together
LBFGS_STEPS = 30  # from where a larger penalty ended


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measures how much the world's truth tells of words, beyond a language model."""

    language: str = "pretrained/words"  # a run, or a folder with a language model
    shards: str = "data/6_shards"  # LeRobotDataset folder
    views: str = "data_gathering/samples"  # folder of <id>.view.jsonl.gz
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels to measure on, that nothing was trained on
    kept: tuple[str, ...] = ()  # more channels that the regression does not learn from
    frames_per_tick: Count = 4  # as of the fused model
    least: Count = 5  # times that a token must be said in the training channels, to be told apart
    device: Device = "auto"  # where the model runs
    out: str = ""  # JSON file to write, and a picture beside it; none if empty

    def __post_init__(self) -> None:
        check_out(self.out)


@dataclass(frozen=True)
class Said:
    """Tokens, one after another in each episode."""

    log_probs: Tensor  # (n, V) of the language model, before each
    token: Tensor  # (n,) int64
    episode: np.ndarray  # (n,) number in the list of episodes
    told: dict[str, np.ndarray]  # {group: (n, F) float32}

    def numbers(self, groups: Iterable[str]) -> Tensor:
        """(n, 1 + F): those of some groups, after a constant."""
        each = [np.ones((len(self.token), 1), np.float32), *(self.told[group] for group in groups)]
        return torch.from_numpy(np.concatenate(each, 1)).to(self.token.device)


# ---- what is said, and what the language model expects


def listen(language: LanguageModel, words: WordStreams, number: int) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Of an episode, from its second token on: log_probs (n, V), tokens (n,), their frames, and seconds since the one
    before; without those that came too late for training. Raises ValueError where there are none.
    """
    tokens, late = words.tokens(number)
    spoken = np.flatnonzero(tokens != words.silence)
    if len(spoken) < 2:
        raise ValueError(f"{words.episodes[number].id} has fewer than two words: leave it out")
    frames, counted = spoken * words.frames_per_tick, ~late[spoken[1:]]
    log_probs, ids, _ = read_text(language, words, number)
    at = len(ids) - len(counted) + np.flatnonzero(counted)  # a text's first token has none before it
    return log_probs[at].float(), ids[at], frames[1:][counted], np.diff(frames)[counted] / FRAMES_PER_SECOND


def gather(language: LanguageModel, words: WordStreams, lines: Sequence[Sequence[Line]], truth: Truth) -> Said:
    """Of some episodes, together."""
    parts = []
    for number, episode in enumerate(tqdm(words.episodes, "sight", unit="episode")):
        log_probs, tokens, frames, pause_s = listen(language, words, number)
        told = truth.tell(episode, lines[number], frames, pause_s)
        parts.append((log_probs, tokens, np.full(len(frames), number), told))
    log_probs, tokens, episodes, told = zip(*parts, strict=True)
    together = {group: np.concatenate([one[group] for one in told]) for group in GROUPS}
    return Said(torch.cat(log_probs), torch.cat(tokens), np.concatenate(episodes), together)


# ---- the regression


@dataclass(frozen=True)
class Expected:
    """What the language model expects of each of n tokens, and which it was: of K tokens that are told apart, and of
    the others together."""

    known: Tensor  # (n, K) log probabilities
    others: Tensor  # (n,) log probability of any other
    one_of: Tensor  # (n, K): 1 at the token, nowhere where it is another
    alone: Tensor  # (n,) log probability of the token

    @classmethod
    def of(cls, said: Said, tokens: Tensor) -> "Expected":
        is_known = torch.zeros(said.log_probs.shape[1], dtype=torch.bool, device=tokens.device)
        is_known[tokens] = True
        alone = said.log_probs.gather(1, said.token[:, None])[:, 0]
        return cls(said.log_probs[:, tokens], said.log_probs[:, ~is_known].logsumexp(1),
                   (said.token[:, None] == tokens).float(), alone)  # fmt: skip

    def __getitem__(self, at: Tensor) -> "Expected":
        return Expected(self.known[at], self.others[at], self.one_of[at], self.alone[at])

    def nats(self, x: Tensor, weights: Tensor) -> Tensor:
        """(n,): minus the log probability of each token; x (n, F), weights (F, K)."""
        odds = x @ weights
        return torch.logaddexp(self.others, (self.known + odds).logsumexp(1)) - self.alone - (odds * self.one_of).sum(1)


def fits(expected: Expected, x: Tensor) -> Iterator[tuple[float, Tensor]]:
    """Each of PENALTIES, with the weights (F, K) of the least nats and penalty, the constant's free: convex, by L-BFGS.
    """
    weights = torch.zeros(x.shape[1], expected.known.shape[1], device=x.device, requires_grad=True)
    for penalty in PENALTIES:
        optimizer = torch.optim.LBFGS([weights], max_iter=LBFGS_STEPS, line_search_fn="strong_wolfe")

        def loss(penalty: float = penalty) -> Tensor:
            optimizer.zero_grad()
            value = (expected.nats(x, weights).sum() + penalty * weights[1:].square().sum()) / len(x)
            value.backward()
            return value

        optimizer.step(loss)
        yield penalty, weights.detach()


def best_penalty(expected: Expected, x: Tensor, held: Tensor) -> float:
    """The one that does best on the tokens `held` (n,) bool, fitted on the others."""
    part, rest = expected[~held], expected[held]
    lost = {penalty: float(rest.nats(x[held], weights).mean()) for penalty, weights in fits(part, x[~held])}
    return min(lost, key=lost.get)


def measure(train: Said, test: Said, channels: tuple[Sequence[str], Sequence[str]], least: int) -> dict:
    """{what is told: its penalty, nats a token of each episode}; channels: of the episodes of both."""
    counts = np.bincount(train.token.cpu().numpy(), minlength=train.log_probs.shape[1])
    tokens = torch.from_numpy(np.flatnonzero(counts >= least)).to(train.token.device)
    names = sorted(set(channels[0]))
    last = set(names[-max(1, len(names) // 4) :])
    held = torch.tensor([channels[0][number] in last for number in train.episode], device=tokens.device)
    learned, asked = Expected.of(train, tokens), Expected.of(test, tokens)
    found = {"alone": {"each": means(-asked.alone, test.episode)}}
    for name, groups in {"nothing": (), **{group: (group,) for group in GROUPS}, "all": GROUPS}.items():
        x, u = train.numbers(groups), test.numbers(groups)
        penalty = best_penalty(learned, x, held)
        lost = asked.nats(u, next(weights for one, weights in fits(learned, x) if one == penalty))
        found[name] = {"penalty": penalty, "numbers": x.shape[1], "each": means(lost, test.episode)}
    return found


def means(values: Tensor, episode: np.ndarray) -> list[float]:
    """Each episode's."""
    values = values.cpu().numpy()
    return [float(values[episode == number].mean()) for number in range(episode.max() + 1)]


def compared(found: dict, channels: Sequence[str]) -> dict[str, dict]:
    """{what is told: what it is worth, over channels and in each episode}; channels: of each episode that is measured
    on."""
    pairs = {name: (name, "nothing") for name in (*GROUPS, "all")} | {"sight": ("all", "pause")}
    each = {name: np.subtract(found[without]["each"], found[told]["each"]) for name, (told, without) in pairs.items()}
    return {name: over_channels(worth, channels, range(len(channels))).to_dict() | {"each": worth.tolist()}
            for name, worth in each.items()}  # fmt: skip


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`. Raises ValueError where there is nothing to
    learn from, or a file of what is in view is missing."""
    if options.out:
        check_writable(Path(options.out).parent)
    shards, device = Shards(options.shards), pick_device(options.device)
    learned, test = split(shards.episodes, options.held_out)
    learned = [episode for episode in learned if episode.channel not in options.kept]
    if not learned or not test:
        raise ValueError("--held-out and --kept must leave channels to learn from and to measure on")
    folder = model_folder(options.language)
    language, tokenizer = load_language(folder).to(device).eval(), load_tokenizer(folder / TOKENIZER)
    lines = [[read_view(options.views, one) for one in some]
             for some in (learned, test)]  # fmt: skip
    truth = Truth(learned, lines[0])
    said = [gather(language, WordStreams(some, tokenizer, options.frames_per_tick, language.vocabulary,
                                         joined.JoinedOptions.max_lateness_ms), seen, truth)
            for some, seen in zip((learned, test), lines, strict=True)]  # fmt: skip
    channels = [episode.channel for episode in learned], [episode.channel for episode in test]
    found = measure(*said, channels, options.least)
    result = {"worth": compared(found, channels[1]), "told": found, "channels": channels[1],
              "tokens": {"train": len(said[0].token), "test": len(said[1].token)},
              "nats_per_token": {name: float(np.mean(one["each"])) for name, one in found.items()},
              "options": to_dict(options)}  # fmt: skip
    write_result(options.out, result, sight_figure)
    print(table(result))
    return result


def table(result: dict) -> str:
    """A line for each thing told."""
    lines = [f"language model alone {result['nats_per_token']['alone']:.3f} nats a token, told nothing "
             f"{result['nats_per_token']['nothing']:.3f}; {result['tokens']['test']} tokens, learned from "
             f"{result['tokens']['train']}"]
    lines += [f"{name:8} {interval(found)} nats/token, {found['channels']} channels"
              for name, found in result["worth"].items()]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    run(main, Options)
