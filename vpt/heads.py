"""Heads: categorical action heads, what one does with their log-probabilities, and the value head.

In: latent (B, T, D). Out: normalised log-probabilities in fp32 (or the latent's own precision, if higher).

    action = heads(latent)                      # ActionLogits
    buttons_index, camera_index = action.sample(generator)
    action.log_prob(buttons_index, camera_index)   # (B, T) nats

Source: openai/Video-Pre-Training. There the camera head comes first; here names, not positions, tell them apart.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED_LOGIT = -100.0  # what a forbidden choice gets, after the temperature


def log_probs(logits: Tensor, temperature: float = 1.0, allowed: Tensor | None = None) -> Tensor:
    """logits (..., n) -> log-probabilities of logits / temperature; `allowed` (..., n) bool forbids the rest."""
    logits = (logits if logits.dtype == torch.float64 else logits.float()) / temperature
    if allowed is not None:
        logits = logits.masked_fill(~allowed, MASKED_LOGIT)
    return F.log_softmax(logits, dim=-1)


def log_prob(log_p: Tensor, index: Tensor) -> Tensor:
    """log_p (..., n), index (...) -> (...): the log-probability of the chosen class."""
    return log_p.gather(-1, index[..., None]).squeeze(-1)


def kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q || p) over the last axis, nats."""
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def gumbel_argmax(log_p: Tensor, u: Tensor) -> Tensor:
    """log_p, u (..., n), u uniform in [0, 1) -> a sample (...) from p (u = 1 is taken as 0.999)."""
    return (log_p - torch.log(-torch.log(torch.where(u == 1, 0.999, u)))).argmax(-1)


def sample(log_p: Tensor, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
    """log_p (..., n) -> (...) int64, drawn from p^(1/temperature); temperature 0 takes the most likely."""
    if temperature == 0:
        return log_p.argmax(-1)
    u = torch.rand(log_p.shape, generator=generator, device=log_p.device, dtype=log_p.dtype)
    return gumbel_argmax(log_p / temperature, u)


@dataclass(frozen=True)
class ActionLogits:
    """Normalised log-probabilities of the two joint classes of `vpt.actions`."""

    buttons: Tensor  # (B, T, 8641)
    camera: Tensor  # (B, T, 121)

    def sample(self, generator: torch.Generator | None = None, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """buttons_index, camera_index (B, T) int64; temperature 0 takes the most likely."""
        camera = sample(self.camera, generator, temperature)
        return sample(self.buttons, generator, temperature), camera


class CategoricalHead(nn.Module):
    """latent (..., D) -> log-probabilities (..., *shape, n)."""

    def __init__(self, width: int, n: int, shape: tuple[int, ...] = (), temperature: float = 1.0) -> None:
        super().__init__()
        self.shape, self.temperature = (*shape, n), temperature
        self.linear = nn.Linear(width, math.prod(self.shape))

    def forward(self, latent: Tensor, allowed: Tensor | None = None) -> Tensor:
        logits = self.linear(latent)
        logits = logits.unflatten(-1, self.shape) if len(self.shape) > 1 else logits
        return log_probs(logits, self.temperature, allowed)


class ActionHeads(nn.Module):
    """latent (B, T, D) -> ActionLogits."""

    def __init__(self, width: int, n_buttons: int, n_camera: int, temperature: float) -> None:
        super().__init__()
        self.buttons = CategoricalHead(width, n_buttons, temperature=temperature)
        self.camera = CategoricalHead(width, n_camera, temperature=temperature)

    def forward(self, latent: Tensor) -> ActionLogits:
        return ActionLogits(self.buttons(latent), self.camera(latent))


class RunningNormaliser(nn.Module):
    """Scales values by their running mean and variance, debiased exponential averages (all zero to begin with)."""

    decay = 0.99999

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("mean_square", torch.zeros(1))
        self.register_buffer("weight", torch.zeros(()))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (1,), with the bias of the zero start removed."""
        weight = self.weight.clamp_min(1e-5)
        mean = self.mean / weight
        return mean, (self.mean_square / weight - mean**2).clamp_min(1e-2)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Move the averages towards those of x (any shape ending in 1)."""
        axes = tuple(range(x.ndim - 1))
        batch = (x.mean(axes), x.square().mean(axes), torch.ones_like(self.weight))
        for average, value in zip((self.mean, self.mean_square, self.weight), batch, strict=True):
            average.mul_(self.decay).add_(value, alpha=1 - self.decay)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x; in training mode x counts first."""
        if self.training:
            self.update(x)
        mean, variance = self.moments()
        return (x - mean) / variance.sqrt()

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse."""
        mean, variance = self.moments()
        return x * variance.sqrt() + mean


class ValueHead(nn.Module):
    """latent (B, T, D) -> value (B, T, 1) in normalised space; `.normaliser.denormalise` brings it back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.normaliser = RunningNormaliser()

    def forward(self, latent: Tensor) -> Tensor:
        return self.linear(latent)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error against the normalised target, both (B, T, 1)."""
        return F.mse_loss(prediction, self.normaliser(target))
