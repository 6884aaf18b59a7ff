"""How well words and a picture fit, by late interaction: each token takes the places in the picture that fit it best.

In: what a language model makes of the tokens of utterances; patches and vectors of pictures. Out: a score of every pair
of an utterance and a picture, and the contrastive loss over a batch: which utterance belongs to this picture, which
picture to this utterance?

    score = sharpness * sum over tokens of weight(token) * soft maximum over places of cos(token, place)

Source: FILIP (arXiv 2111.07783), whose best patch is a soft one here, and whose tokens all weigh the same; CLIP (arXiv
2103.00020) for the loss and its learned sharpness, the inverse of a temperature.

Legend: N utterances of L tokens, F pictures of each, M = N F, P patches, R = P + 1 places (the last one is the whole
picture), E width of a token, C of a patch, D of a picture's vector, K of what is compared.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlpt.training.losses import LossPart

WIDTH = 64  # K
SHARPNESS, SHARPEST = 10.0, 100.0  # at first; at most, as in CLIP
PLACE_SIZE = 0.3  # of the places' embeddings at first, beside patches of about 1


class LateInteraction(nn.Module):
    """Scores of utterances and pictures."""

    def __init__(self, token_width: int, patches: int, patch_width: int, vector_width: int) -> None:
        super().__init__()
        self.token = nn.Sequential(nn.LayerNorm(token_width), nn.Linear(token_width, WIDTH))
        self.token_weight = nn.Linear(token_width, 1)
        self.patch = nn.Sequential(Standardised(patch_width), nn.Linear(patch_width, WIDTH))
        self.vector = nn.Sequential(Standardised(vector_width), nn.Linear(vector_width, WIDTH))
        self.place = nn.Parameter(PLACE_SIZE * torch.randn(patches, WIDTH))
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))  # of scores
        self.log_choice = nn.Parameter(torch.tensor(math.log(SHARPNESS)))  # of the soft maximum over places
        nn.init.zeros_(self.token_weight.weight)

    def standardise(self, patches: Tensor, vectors: Tensor) -> None:
        """patches (n, P, C) and vectors (n, D) as they are to come: each number gets mean 0 and variance 1."""
        self.patch[0].fit(patches.flatten(0, 1))
        self.vector[0].fit(vectors)

    def forward(self, tokens: Tensor, real: Tensor, patches: Tensor, vectors: Tensor) -> Tensor:
        """tokens (N, L, E); real (N, L) bool, at least one of each utterance; patches (M, P, C), vectors (M, D) ->
        scores (N, M) fp32."""
        places = torch.cat([self.patch(patches) + self.place, self.vector(vectors)[:, None]], 1)
        words, places = (F.normalize(x.float(), dim=-1) for x in (self.token(tokens), places))
        weight = self.token_weight(tokens).float()[..., 0].masked_fill(~real, -torch.inf).softmax(-1)
        with torch.autocast(words.device.type, enabled=False):
            fit = torch.einsum("nlk,mrk->nmlr", words, places)
            best = (fit * (fit * self.log_choice.exp()).softmax(-1)).sum(-1)
            return torch.einsum("nml,nl->nm", best, weight) * self.log_sharpness.exp().clamp(max=SHARPEST)


class Standardised(nn.Module):
    """(..., width) -> the same, each number with mean 0 and variance 1 over what it was fitted on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, x: Tensor) -> None:
        """x (n, width); a number that hardly changes stays small."""
        spread = x.std(0)
        self.mean.copy_(x.mean(0))
        self.scale.copy_(spread.clamp(min=1e-3 * float(spread.mean().clamp(min=1e-6))))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


def contrastive_loss(scores: Tensor, same: Tensor) -> dict[str, LossPart]:
    """scores (N, N, F) fp32: of utterance i and picture f of utterance j. same (N, N) bool: two utterances are of one
    text, so that neither is wrong for the other's pictures; such pairs do not count.

    contrast: nats a picture, the mean of both directions, an utterance being asked for each of its pictures among the
    f-th of all others. frame_to_words, words_to_frame: share for which the right one has the highest score.
    """
    other = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.float().masked_fill((same & other)[..., None], -torch.inf)
    right = scores.diagonal().T  # (N, F)
    nats = sum(scores.logsumexp(axis) - right for axis in (0, 1)) / 2
    won = [(scores.amax(axis) == right).float() for axis in (0, 1)]
    parts = dict(contrast=nats, frame_to_words=won[0], words_to_frame=won[1])
    return {name: LossPart.of(values, torch.ones_like(values, dtype=torch.bool)) for name, values in parts.items()}
