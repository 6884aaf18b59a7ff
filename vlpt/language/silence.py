"""Silence: what a language model hears and says on the ticks (four of five) where nobody speaks.

In: token ids in which V, the first id the tokenizer cannot make, is silence; hidden states. Out: embeddings; the logit
of P(silence), which stands beside the language model's own P(token | speech).

The head is *factored* by default: silence has a logit of its own, and what is said, given that something is said, stays
the language model's own head, so that pre-training on text is not bent by a stream that is mostly silence. *softmax*
makes silence one more entry of the language model's softmax, for comparison; written in the same two numbers.

Legend: B lanes, L ticks in a chunk, E width, V vocabulary.
"""

import torch
from torch import Tensor, nn

HEADS = ("factored", "softmax")


class Silence(nn.Module):
    """Its vector at the input and its logit at the output. Raises ValueError for a head that does not exist."""

    def __init__(self, width: int, head: str = "factored") -> None:
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"silence is one of {', '.join(HEADS)}, got {head!r}")
        self.head = head
        self.vector = nn.Parameter(torch.randn(width))
        self.logit = nn.Linear(width, 1)
        nn.init.normal_(self.logit.weight, std=0.02)
        # P(silence) = 0.88 to begin with, about its frequency, so that the first steps are not spent on learning this.
        nn.init.constant_(self.logit.bias, 2.0)

    @torch.no_grad()
    def fit(self, language) -> None:
        """Makes the vector as long as the language model's embeddings are on average."""
        some = language.embed(torch.arange(min(language.vocabulary, 4096), device=self.vector.device))
        self.vector.mul_(some.norm(dim=-1).mean() / self.vector.norm())

    def embed(self, ids: Tensor, language) -> Tensor:
        """ids (B, L) int64 in 0..V -> (B, L, E)."""
        silent = ids == language.vocabulary
        return torch.where(silent[..., None], self.vector, language.embed(ids.masked_fill(silent, 0)))

    def logit_of(self, hidden: Tensor, language) -> Tensor:
        """hidden (B, L, E) -> logit of P(silence) (B, L) fp32."""
        logit = self.logit(hidden)[..., 0].float()
        return logit - language.log_normaliser(hidden) if self.head == "softmax" else logit
