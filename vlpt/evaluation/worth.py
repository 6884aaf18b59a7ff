"""What is joining worth? A model trained with a signal against one of the same recipe without it, and the fused model
against its two parts alone, on the same held-out episodes.

In: the runs words, base, language, action, joint, without_words and without_frames of a folder, shards. Out: JSON and a
table:

    alone   the language model of run `words` on each episode's words as plain text; the agent of run `base`; the agent
            trained without words
    joined  the same losses of the runs language, action and joint, with true words and frames
    unigram how often each label came in the training channels
    worth   words: nats a frame that the run without words (hearing nothing) loses to `action` (hearing the true words)
            frames: nats a token that the run without frames (seeing nothing) loses to `language`
    gain    alone - joint: nats a token, nats a frame
    truth   with --truth-epochs: nats a frame that a regression gains from the world's truth, which errand this is, over
            what `without_words` knows (vlpt/evaluation/told_truth.py), and which share of that words give
    by_moment   worth, split by moment: when errands are told, begin and last (vlpt/evaluation/errand_times.py)

worth and gain with 95 % intervals over channels (vlpt/metrics.py); positive: the signal, or joining, helps. A token
counts in every column or in none: those that came too late for training do not, nor does an episode's first token where
the language model knows no token that texts begin with.

    python evaluate.py worth --runs runs/demo --shards data/6_shards --held-out ch4 ch5 --out runs/demo/worth.json
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vlpt.checkpoint import model_folder, peak_gb
from vlpt.data.shards import Shards
from vlpt.data.word_sources import WordStreams
from vlpt.data.words import load_tokenizer
from vlpt.evaluation.differences import by_moment, difference, moment_table
from vlpt.evaluation.told_truth import losses_told
from vlpt.evaluation.trial import Losses, Trial, TrialOptions, reported_episodes
from vlpt.files import check_writable, write_json
from vlpt.language.families import load_language
from vlpt.language.interface import LanguageModel
from vlpt.metrics import interval, over_channels
from vlpt.options import CountOrNone, flag, run, to_dict
from vlpt.training.stage import TOKENIZER


class Matched(NamedTuple):
    """Two runs of the same recipe, with and without a signal."""

    run: str
    without: str
    loss: str  # in which the signal's worth is told
    differ: tuple[str, ...]  # the options that make the difference
    condition: dict[str, str]  # under which the run without is measured


MATCHED = {
    "words": Matched("action", "without_words", "action", ("words", "drop_words"), {"word_source": "silence"}),
    "frames": Matched("language", "without_frames", "token", ("frames", "drop_last_action"),
                      {"frame_source": "blank"}),
}  # fmt: skip
JOINED = ("language", "action", "joint")
TRUTH, UNTOLD = "told_truth", "told_nothing"  # `without_words` after a regression on the truth, or on nothing
# Options of a run that do not change what is learned.
FREE = {"name", "runs", "threads", "device", "progress", "export", "save_every", "validate_every", "stop_after",
        "workers"}


@dataclass(frozen=True, kw_only=True)
class Options(TrialOptions):
    """Measures what words, frames and joining are worth on held-out channels."""

    runs: str = "runs/demo"  # folder of the runs, see the top of vlpt/evaluation/worth.py
    # passes over training play of a regression on the world's truth, which tells what words could be worth (0: none)
    truth_epochs: CountOrNone = 0
    out: str = "runs/demo/worth.json"  # file to write


def check_matched(with_signal: Trial, without: Trial, names: tuple[str, str], differ: tuple[str, ...]) -> None:
    """Raises ValueError where two runs differ in more of their options than the signal."""
    one, other = with_signal.trained, without.trained
    changed = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    if wrong := [name for name in changed if name not in FREE and name not in differ]:
        said = ", ".join(f"{flag(name)} {one.get(name)} and {other.get(name)}" for name in wrong)
        raise ValueError(f"runs {names[0]} and {names[1]} differ in more than the signal ({said}): train "
                         f"{names[1]} as {names[0]} was")
    if differ[0] in other and one.get(differ[0]) == other[differ[0]]:
        raise ValueError(f"run {names[1]} was trained with {flag(differ[0])} {other[differ[0]]}, as run {names[0]}: it "
                         f"has to be trained without {differ[0]}")


@torch.no_grad()
def read_text(language: LanguageModel, words: WordStreams, number: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """An episode's true words as one text: before each of its last n tokens log_probs (n, V), the tokens (n,), and the
    ticks (n,) at which they are said; n is all of them, or all but the first where the language model has no token that
    texts begin with.
    """
    tokens, _ = words.tokens(number)
    ticks = np.flatnonzero(tokens != words.silence)
    ids, start = torch.from_numpy(tokens[ticks]).to(next(language.parameters()).device), language.config.start_token
    text = ids if start is None else torch.cat([ids.new_tensor([start]), ids])
    if len(text) < 2:
        return torch.zeros(0, language.vocabulary, device=ids.device), ids[:0], ticks[:0]
    first = torch.zeros(1, len(text) - 1, dtype=torch.bool, device=ids.device)
    first[0, 0] = True
    log_probs, _ = language(text[None, :-1], first, language.start(1))
    return log_probs[0], text[1:], ticks[len(ids) - len(text) + 1 :]


def text_losses(language: LanguageModel, words: WordStreams) -> Losses:
    """The language model alone on each episode's true words as one text: {"token"}, nats a token, under the mask of
    training; from the second token on where it has no token that texts begin with.
    """
    sums = np.zeros((len(words.episodes), 2))
    for i in range(len(words.episodes)):
        log_probs, ids, ticks = read_text(language, words, i)
        counted = torch.from_numpy(~words.tokens(i)[1][ticks]).to(ids.device)
        nats = -log_probs.gather(1, ids[:, None])[:, 0]
        sums[i] = float(nats[counted].double().sum()), int(counted.sum())
    return Losses({"token": sums})


def language_alone(folder: Path, trial: Trial) -> tuple[Losses, str]:
    """The losses of the language model in `folder` on the words as a fused model's trial counts them; and which of the
    trial's losses counts the same tokens.
    """
    language, tokenizer = load_language(folder).to(trial.device), load_tokenizer(folder / TOKENIZER)
    if tokenizer.to_str() != trial.tokenizer.to_str():
        raise ValueError(f"{folder} and the fused model have different tokenizers: their losses cannot be compared")
    words = WordStreams(trial.episodes, tokenizer, trial.model.config.frames_per_tick, language.vocabulary,
                        trial.max_lateness_ms)  # fmt: skip
    return text_losses(language, words), "token_after_first" if language.config.start_token is None else "token"


def measure(options: Options) -> tuple[dict[str, Losses], str, dict[str, float]]:
    """The losses of every run under its own condition (without_words: silence, without_frames: blank), which token
    loss counts the tokens that `words` does, and what the training channels' frequencies lose.
    """
    runs, shards, found, token = Path(options.runs), Shards(options.shards), {}, ""
    bar = tqdm(total=7, desc="worth", unit="run")

    def losses(trial: Trial, name: str, **condition) -> None:
        found[name] = trial.losses(**condition)
        bar.update()

    for pair in MATCHED.values():
        with_signal, without = (Trial(runs / name, options, shards) for name in (pair.run, pair.without))
        check_matched(with_signal, without, (pair.run, pair.without), pair.differ)
        losses(with_signal, pair.run)
        losses(without, pair.without, **pair.condition)
    if options.truth_epochs:
        deaf = Trial(runs / MATCHED["words"].without, options, shards)
        found[TRUTH], found[UNTOLD] = losses_told(deaf, options.truth_epochs)
    joint = Trial(runs / "joint", options, shards)
    losses(joint, "joint")
    found["words"], token = language_alone(model_folder(runs / "words"), joint)
    bar.update()
    losses(Trial(runs / "base", options, shards), "base")
    bar.close()
    return found, token, joint.unigram_losses()


def compared(token: str, truth: bool) -> dict[str, tuple[str, str, str, str]]:
    """What worth and gain are differences of: (run that has something, run that lacks it, loss of each); truth: it was
    told to a model, too.
    """
    worth = {f"worth of {name}": (pair.run, pair.without, pair.loss, pair.loss) for name, pair in MATCHED.items()}
    if truth:
        worth["worth of truth"] = TRUTH, UNTOLD, "action", "action"
    return worth | {"gain in tokens": ("joint", "words", token, "token"),
                    "gain in actions": ("joint", "base", "action", "action")}  # fmt: skip


def compare(losses: dict[str, Losses], token: str, channels: Sequence[str], seed: int) -> dict:
    """The numbers in the module's docstring; channels: of each episode."""
    pairs = compared(token, TRUTH in losses)

    def against(with_signal: str, without: str, loss: str, other_loss: str = "") -> dict[str, float]:
        return difference(losses[with_signal], losses[without], loss, channels, seed, other_loss)

    found = {
        "alone": {"language_nats_per_token": losses["words"].mean("token"),
                  "agent_nats_per_frame": losses["base"].mean("action"),
                  "without_words_nats_per_frame": losses["without_words"].mean("action"),
                  "without_frames_nats_per_token": losses["without_frames"].mean(token)},
        "joined": {name: {"nats_per_token": losses[name].mean(token), "nats_per_frame": losses[name].mean("action")}
                   for name in JOINED},
        "worth": {name: against(*pairs[f"worth of {name}"]) for name in MATCHED},
        "worth_non_null": {"words": against("action", "without_words", "action_non_null")},
        "by_moment": {name: by_moment(losses[pair.run], losses[pair.without], pair.loss, channels, seed)
                      for name, pair in MATCHED.items()},
        "gain": {"token": against(*pairs["gain in tokens"]), "action": against(*pairs["gain in actions"])},
    }  # fmt: skip
    if TRUTH in losses:
        found["truth"] = against(*pairs["worth of truth"]) | {"share": share_of_truth(losses, channels)}
        found["by_moment"]["truth"] = by_moment(losses[TRUTH], losses[UNTOLD], "action", channels, seed)
    return found


def share_of_truth(losses: dict[str, Losses], channels: Sequence[str]) -> dict[str, float]:
    """Worth of words / worth of truth: a ratio of means over channels, with the interval of a ratio estimator (Cochran,
    Sampling Techniques, 6.3).
    """
    words, truth = (losses[without].each("action") - losses[having].each("action")
                    for having, without in (("action", "without_words"), (TRUTH, UNTOLD)))  # fmt: skip
    whole = over_channels(truth, channels, range(len(truth))).delta
    ratio = over_channels(words, channels, range(len(words))).delta / whole
    return over_channels(ratio + (words - ratio * truth) / whole, channels, range(len(words))).to_dict()


def by_episode(losses: dict[str, Losses], token: str) -> dict[str, list[float | None]]:
    """The differences of each episode that worth and gain are means of: nats apiece, None where it has none."""
    found = {name: losses[without].each(other) - losses[having].each(loss)
             for name, (having, without, loss, other) in compared(token, TRUTH in losses).items()}  # fmt: skip
    return {name: [None if np.isnan(value) else float(value) for value in each] for name, each in found.items()}


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    check_writable(Path(options.out).parent)  # before minutes of work
    episodes = reported_episodes(Shards(options.shards), options)
    losses, token, unigram = measure(options)
    result = {
        **compare(losses, token, [episode.channel for episode in episodes], options.seed),
        "unigram": {"nats_per_token": unigram["token"], "nats_per_frame": unigram["action"]},
        "losses": {name: found.to_json() for name, found in losses.items()},
        "tokens": losses["words"].count("token"), "frames": losses["base"].count("action"),
        "by_episode": by_episode(losses, token),
        "episodes": [episode.id for episode in episodes], "channels": [episode.channel for episode in episodes],
        "options": to_dict(options), "peak_gb": round(peak_gb(), 2),
    }  # fmt: skip
    write_json(options.out, result)
    print(table(result))
    return result


def table(result: dict) -> str:
    """Alone, joined, without; then the differences, a line each, and worth by moment."""
    alone, joined = result["alone"], result["joined"]
    rows = {"tokens, nats": ("language_nats_per_token", "nats_per_token", "without_frames_nats_per_token"),
            "actions, nats": ("agent_nats_per_frame", "nats_per_frame", "without_words_nats_per_frame")}  # fmt: skip
    lines = [" " * 14 + "".join(f"{name:>9}" for name in ("alone", *JOINED, "without"))]
    for name, (part, loss, without) in rows.items():
        values = alone[part], *(joined[one][loss] for one in JOINED), alone[without]
        lines.append(f"{name:14}" + "".join(f"{value:9.3f}" for value in values))
    found = {"worth of words": (result["worth"]["words"], "nats/frame"),
             "  non-null": (result["worth_non_null"]["words"], "nats/frame"),
             "worth of frames": (result["worth"]["frames"], "nats/token"),
             "gain in tokens": (result["gain"]["token"], "nats/token"),
             "gain in actions": (result["gain"]["action"], "nats/frame")}  # fmt: skip
    if "truth" in result:
        found["worth of truth"] = result["truth"], "nats/frame"
        found["  words' share"] = result["truth"]["share"], "of it"
    lines += [f"{name:16} {interval(d)} {unit}, {d['channels']} channels" for name, (d, unit) in found.items()]
    worth = {f"worth of {name}": rows for name, rows in result["by_moment"].items()}
    return "\n".join([*lines, moment_table(worth)])


if __name__ == "__main__":
    run(main, Options)
