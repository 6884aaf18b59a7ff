"""How much there is for words to tell: an agent that hears nothing, told by the world's truth which errand it is about.

In: a trial of the run without words, held-out episodes, and its training channels, whose errands are known. Out: the
losses of the same agent with what the truth adds to the log odds of each key and each motion of the mouse, and of one
to whom the same regression told nothing, so that what merely sets an agent right is not taken for truth:

    told, untold = losses_told(trial, epochs=1)         # untold - told: what words could be worth

Its numbers are those of a regression: of each errand that is often done (its name, or as much of its beginning as is),
and of each time since its beginning, how much likelier each button is, likelier yet where it was pressed at the frame
before, and each motion of the mouse. Who only hears can know no more than which errand begins, and when; what lies in
the picture (where is the red pillar?) the agent sees by itself, and what both say together this does not tell.

Legend: B lanes, T frames in a chunk, K errands x times.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from vlpt.data.shards import Episode
from vlpt.evaluation.errand_times import MOMENTS
from vlpt.evaluation.moments import training_episodes
from vlpt.evaluation.trial import ACTIONS, Losses, OfFrames, Trial, add_actions
from vlpt.training.losses import action_nats
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import FRAMES_PER_SECOND
from vpt.heads import ActionLogits

OFTEN = 30  # times that an errand is begun in training, to be told apart from others that begin alike
SINCE_S = (-1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # where a time since an errand's beginning begins
RATE = 0.005  # of Adam, on log odds
DECAY = 1e-3  # of squared log odds, a frame's share of it


class ToldTruth(nn.Module):
    """What truth adds; at its birth nothing."""

    def __init__(self, errands: Sequence[str]) -> None:
        """errands: names, or beginnings of names, that are told apart."""
        super().__init__()
        self.errands = list(errands)
        told = 1 + len(self.errands) * len(SINCE_S)  # 0: no errand
        self.presses, self.keeps = (nn.Embedding(told, len(BUTTONS) + 1) for _ in range(2))
        self.turns = nn.Embedding(told, MINECRAFT.n_camera_index)
        for table in (self.presses, self.keeps, self.turns):
            nn.init.zeros_(table.weight)
        self.register_buffer("pressed", pressed_by_index(), persistent=False)

    def told(self, episode: Episode) -> np.ndarray:
        """(N,) int64: of each frame, the row of the tables."""
        found = np.zeros(episode.n_frames, np.int64)
        seconds = np.arange(episode.n_frames) / FRAMES_PER_SECOND
        for errand in episode.errands:
            known = beginning(errand["name"], self.errands)
            if known is None:
                continue
            since = np.searchsorted(SINCE_S, seconds - errand["start_frame"] / FRAMES_PER_SECOND, "right") - 1
            until = episode.n_frames if errand["end_frame"] is None else errand["end_frame"]
            here = (since >= 0) & (np.arange(episode.n_frames) < until)
            found[here] = 1 + self.errands.index(known) * len(SINCE_S) + since[here]
        return found

    def forward(self, action: ActionLogits, told: Tensor, last_buttons: Tensor) -> ActionLogits:
        """action: (B, T) of an agent; told (B, T) rows; last_buttons (B, T) indices, -1 where unknown."""
        before = self.pressed[last_buttons.clamp(min=0)] * (last_buttons >= 0)[..., None]
        odds = self.presses(told) + self.keeps(told) * before
        return ActionLogits(log_softmax(action.buttons + odds @ self.pressed.T, -1),
                            log_softmax(action.camera + self.turns(told), -1))  # fmt: skip

    def size(self) -> Tensor:
        """Sum of all squared log odds, ()."""
        return sum(table.weight.square().sum() for table in (self.presses, self.keeps, self.turns))


def losses_told(trial: Trial, epochs: int) -> tuple[Losses, Losses]:
    """The action losses of a trial that hears nothing, told the truth and told nothing, both fitted on the channels
    that its model was trained on. Raises ValueError where no errand is often begun in them.
    """
    episodes = training_episodes(trial)
    begun = often_begun([errand["name"] for episode in episodes for errand in episode.errands])
    if not begun:
        raise ValueError(f"no errand is begun {OFTEN} times in {trial.options.shards}: there is no truth to learn "
                         "from; leave --truth-epochs out")  # fmt: skip
    both = nn.ModuleList([ToldTruth(begun), ToldTruth([])]).to(trial.device)
    fit(both, trial, episodes, epochs)
    return measured(both[0], trial), measured(both[1], trial)


def fit(models: Sequence[ToldTruth], trial: Trial, episodes: Sequence[Episode], epochs: int) -> None:
    """All of them beside one another, on what the trial's agent makes of the episodes."""
    optimizer = torch.optim.Adam([weight for model in models for weight in model.parameters()], RATE)
    rows, features = [OfFrames(model.told, episodes, 0, trial.device) for model in models], trial.features_of(episodes)
    for _ in range(epochs):
        for chunk, output in trial.outputs(trial.lanes("silence", episodes=episodes, read_frames=features)):
            optimizer.zero_grad()
            for model, row in zip(models, rows, strict=True):
                action = model(output.action, row(chunk), chunk.last_buttons)
                nats = sum(action_nats(action, chunk.buttons_index, chunk.camera_index))[chunk.action_mask]
                ((nats.sum() + DECAY * model.size()) / max(len(nats), 1)).backward()
            optimizer.step()


@torch.no_grad()
def measured(model: ToldTruth, trial: Trial) -> Losses:
    """As `trial.losses("silence")`, with what a model adds; of actions alone."""
    rows = OfFrames(model.told, trial.episodes, 0, trial.device)
    sums = {name: np.zeros((len(trial.episodes) + 1, len(MOMENTS), 2)) for name in ACTIONS}
    for chunk, output in trial.outputs(trial.lanes("silence")):
        told = replace(output, action=model(output.action, rows(chunk), chunk.last_buttons))
        add_actions(sums, chunk, told, trial.moments_of(chunk))
    return Losses.of_moments({name: total[:-1] for name, total in sums.items()})


def pressed_by_index() -> Tensor:
    """(8641, 21) float32: which buttons each index of the buttons' head presses, and whether the camera moves."""
    index = np.arange(MINECRAFT.n_buttons_index)
    buttons, _ = MINECRAFT.decode_bins(index, np.full(len(index), MINECRAFT.null_camera_index))
    return torch.from_numpy(np.column_stack([buttons, MINECRAFT.camera_meta(index)]).astype(np.float32))


def beginning(name: str, known: Sequence[str]) -> str | None:
    """The longest beginning of an errand's name, in whole words, that is known; None where none is."""
    words = name.split()
    found = (" ".join(words[:n]) for n in range(len(words), 0, -1))
    return next((one for one in found if one in known), None)


def often_begun(names: Sequence[str]) -> list[str]:
    """Beginnings of names that come OFTEN, each counted without those that a longer one takes."""
    left, found = [name.split() for name in names], []
    for n in range(max(map(len, left), default=0), 0, -1):
        counts = Counter(" ".join(words[:n]) for words in left if len(words) >= n)
        often = {name for name, count in counts.items() if count >= OFTEN}
        found += sorted(often)
        left = [words for words in left if " ".join(words[:n]) not in often or len(words) < n]
    return found

