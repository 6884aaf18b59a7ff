"""Losses in fp32: actions, words, silence, distance to a reference agent, and the unigram baselines beside them.

In: log-probabilities and labels. Out: a dict of parts, each a `LossPart` (total, count) of tensors, so that means
compose over chunks and lanes; or the unreduced nats of every frame or tick. A frame's action costs buttons + camera,
where the camera counts only if the label's camera meta-button is on: with it off the camera head is never asked (VPT
appendix E.3), its label is meaningless, and training on it teaches the head to do nothing.

Legend: B lanes, T frames in a chunk, L ticks in a chunk, V vocabulary; V as a target is silence.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from vlpt.data.meant import NOTHING, UNKNOWN
from vlpt.training.processes import gathered
from vpt.actions import MINECRAFT
from vpt.heads import kl

AT_NOTHING = 0.2  # of a frame, in the loss of which thing is meant


class LossPart(NamedTuple):
    """A sum and how many it sums: both fp32, ()."""

    total: Tensor
    count: Tensor

    @classmethod
    def of(cls, nats: Tensor, mask: Tensor) -> "LossPart":
        """nats and mask of one shape; where the mask is False nothing counts, whatever nats hold there."""
        return cls(nats.float().masked_fill(~mask, 0).sum(), mask.sum().float())

    @property
    def mean(self) -> Tensor:
        """Nats apiece; 0 when there is none."""
        return self.total / self.count.clamp(min=1)


class LossTotals:
    """Adds the parts of many chunks up, as plain numbers."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, float]] = {}

    def add(self, losses: dict[str, LossPart]) -> None:
        """One chunk's parts."""
        numbers = torch.stack([x.detach() for part in losses.values() for x in part]).tolist()  # one wait for the GPU
        for name, total, count in zip(losses, numbers[::2], numbers[1::2], strict=True):
            before = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = (before[0] + total, before[1] + count)

    def over_all_processes(self) -> "LossTotals":
        """What all that train together have added up. One of them may have nothing: it counted no chunk."""
        together = LossTotals()
        for sums in gathered(self.sums):
            for name, (total, count) in sums.items():
                before = together.sums.get(name, (0.0, 0.0))
                together.sums[name] = (before[0] + total, before[1] + count)
        return together

    def counts(self) -> dict[str, float]:
        """How many each part summed."""
        return {name: count for name, (_, count) in self.sums.items()}

    def means(self) -> dict[str, float]:
        """Nats apiece of every part that counted anything."""
        return {name: total / count for name, (total, count) in self.sums.items() if count}


def objective(losses: dict[str, LossPart], weights: dict[str, float], counts: dict[str, float]) -> Tensor:
    """What one batch of an update adds to what is minimised: of each loss with a weight, its sum over the batch divided
    by how many count in the *whole* update (counts). So the update's gradient is that of the weighted means over all it
    counts, however it is cut into batches. A loss without a weight is only logged.
    """
    return sum(weight * losses[name].total / max(counts[name], 1) for name, weight in weights.items() if weight)


# ---- actions


def action_nats(action, buttons_index: Tensor, camera_index: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of every frame.

    action: `.buttons` (B, T, 8641), `.camera` (B, T, 121) log-probabilities; buttons_index, camera_index (B, T) int64.
    Returns buttons (B, T) and camera (B, T) fp32, camera exactly 0 where the meta-button is off.
    """
    buttons = _nats(action.buttons, buttons_index)
    camera = _nats(action.camera, camera_index)
    return buttons, camera.masked_fill(~MINECRAFT.camera_meta(buttons_index), 0)


def action_loss(
    action, buttons_index: Tensor, camera_index: Tensor, mask: Tensor, null: Tensor
) -> dict[str, LossPart]:
    """Nats a frame over the frames of mask (B, T): buttons, camera, and their sum, action; the same sum over those of
    them that are not null (B, T), action_non_null.
    """
    buttons, camera = action_nats(action, buttons_index, camera_index)
    parts = dict(buttons=LossPart.of(buttons, mask), camera=LossPart.of(camera, mask))
    both = LossPart(parts["buttons"].total + parts["camera"].total, parts["buttons"].count)
    return dict(action=both, action_non_null=LossPart.of(buttons + camera, mask & ~null), **parts)


def intention_loss(logits: Tensor, soon: Tensor, mask: Tensor, weight: Tensor) -> dict[str, LossPart]:
    """Nats a frame of what words say will be done soon: logits (B, T, SOON), soon (B, T, SOON) bool, mask (B, T); and
    the squared length of the weights that read it, which is to stay small as in ridge regression.
    """
    nats = binary_cross_entropy_with_logits(logits.float(), soon.float(), reduction="none").sum(2)
    found = LossPart.of(nats, mask)
    return dict(intention=found, intention_size=LossPart(found.count * weight.float().square().sum(), found.count))


def meant_loss(log_probs: Tensor, meant: Tensor, mask: Tensor, weight: Tensor) -> dict[str, LossPart]:
    """Nats a frame of which thing an errand is to: log_probs (B, T, K + 1), meant (B, T) int64, UNKNOWN where nobody
    says, mask (B, T); and the squared length of the weights that read words, which is to stay small as in ridge
    regression. Nothing is meant half of the time: those frames count less, or seldom things would never be meant.
    """
    nats = -log_probs.float().gather(2, meant.clamp(min=0)[..., None])[..., 0]
    nats = torch.where(meant == NOTHING, AT_NOTHING * nats, nats)
    found = LossPart.of(nats, mask & (meant != UNKNOWN))
    return dict(meant=found, meant_size=LossPart(found.count * weight.float().square().sum(), found.count))


def kl_to_reference(action, reference, mask: Tensor) -> dict[str, LossPart]:
    """KL(reference || action), nats a frame over mask (B, T); both hold log-probabilities as in `action_nats`.

    Of the joint action: what the camera head says matters as often as the reference has the camera meta-button on.
    """
    buttons = kl(reference.buttons.float(), action.buttons.float())
    camera = kl(reference.camera.float(), action.camera.float())
    camera_on = reference.buttons[..., 1::2].float().exp().sum(-1)
    return dict(kl=LossPart.of(buttons + camera_on * camera, mask))


# ---- words


def language_nats(language, output, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nats of every tick.

    language: the model that made output.hidden, `.vocabulary` V and `.nats(hidden, ids)`; output: `.silence_logit`
    (B, L), `.hidden` (B, L, E), `.tick_index`, `.tick_valid` (B, L); target (B, T) int64, read at tick frames. Returns
    silence (B, L): of whether anything is said; token (B, L): of which token, 0 where the target is silence, where it
    is not computed; and spoken (B, L) bool: the target is a token. Padded ticks give numbers without meaning: mask with
    tick_valid.
    """
    target = target.gather(1, output.tick_index)
    spoken = target != language.vocabulary
    nats = language.nats(output.hidden[spoken], target[spoken])
    token = torch.zeros_like(target, dtype=nats.dtype).masked_scatter(spoken, nats)
    logit = output.silence_logit.float()
    return -logsigmoid(torch.where(spoken, -logit, logit)), token, spoken


def language_loss(language, output, target: Tensor, mask: Tensor) -> dict[str, LossPart]:
    """Over the ticks whose frame is in mask (B, T): silence, nats a tick; token, nats a spoken token."""
    silence, token, spoken = language_nats(language, output, target)
    counted = output.tick_valid & mask.gather(1, output.tick_index)
    return dict(silence=LossPart.of(silence, counted), token=LossPart.of(token, counted & spoken))


# ---- baselines: the training data's frequencies, whatever is seen


@dataclass(frozen=True)
class Counts:
    """How often each kind was a counted label: buttons (8641,), camera (121,), token (V,), silence (2,): no, yes."""

    buttons: Tensor
    camera: Tensor
    token: Tensor
    silence: Tensor

    @classmethod
    def zero(cls, vocabulary: int, buttons: int = 8641, camera: int = 121) -> "Counts":
        """Nothing counted yet."""
        return cls(*(torch.zeros(size, dtype=torch.long) for size in (buttons, camera, vocabulary, 2)))

    def plus_actions(self, buttons_index: Tensor, camera_index: Tensor, mask: Tensor) -> "Counts":
        """Labels (any shape) under a mask; the camera is counted where it counts in the loss."""
        buttons, camera = buttons_index[mask], camera_index[mask & MINECRAFT.camera_meta(buttons_index)]
        return Counts(_plus(self.buttons, buttons), _plus(self.camera, camera), self.token, self.silence)

    def plus_words(self, target: Tensor, mask: Tensor) -> "Counts":
        """Targets of ticks (any shape; V = silence) under a mask."""
        target = target[mask]
        silent = target == len(self.token)
        return Counts(self.buttons, self.camera, _plus(self.token, target[~silent]), _plus(self.silence, silent.long()))


@dataclass(frozen=True)
class Unigram:
    """Constant predictions: log-probabilities fp32 of everything in `Counts`.

    Its losses are taken by the same functions, and so under the same masks, as the model's.
    """

    buttons: Tensor
    camera: Tensor
    token: Tensor
    silence: Tensor

    @classmethod
    def of(cls, counts: Counts) -> "Unigram":
        """From the training data."""
        return cls(*(unigram_log_probs(c) for c in (counts.buttons, counts.camera, counts.token, counts.silence)))

    def action_loss(
        self, buttons_index: Tensor, camera_index: Tensor, mask: Tensor, null: Tensor
    ) -> dict[str, LossPart]:
        """As the function of that name."""
        return action_loss(self, buttons_index, camera_index, mask, null)

    def language_loss(self, target: Tensor, mask: Tensor) -> dict[str, LossPart]:
        """target (...), mask (...) of ticks: silence, nats a tick; token, nats a spoken token."""
        spoken = target < len(self.token)
        token = -self.token[target.clamp(max=len(self.token) - 1)]
        return dict(silence=LossPart.of(-self.silence[(~spoken).long()], mask), token=LossPart.of(token, mask & spoken))


def unigram_log_probs(counts: Tensor) -> Tensor:
    """counts (N,) -> log-probabilities (N,) fp32: one is added to each seen kind, and one shared by all unseen ones."""
    seen = counts > 0
    unseen = int((~seen).sum())
    weight = torch.where(seen, counts.double() + 1, 1 / max(1, unseen))
    return (weight / weight.sum()).log().float()


def _nats(log_probs: Tensor, index: Tensor) -> Tensor:
    """log_probs (..., N) or, as a constant prediction, (N,); index (...) int64 -> (...) fp32."""
    if log_probs.ndim == 1:
        return -log_probs.float()[index]
    return -log_probs.gather(-1, index[..., None])[..., 0].float()


def _plus(counts: Tensor, index: Tensor) -> Tensor:
    return counts + torch.bincount(index.flatten().cpu(), minlength=len(counts))
