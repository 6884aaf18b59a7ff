"""Silence: what a language model reads and says on the ticks (four of five) where nobody speaks.

In: what each tick stands for (`AttentionPlan`), hidden states. Out: embeddings; the logit of P(silence), which stands
beside the language model's own P(token | speech).

A silent tick reads the latest word again (vlpt/language/visibility.py). How long it has been silent enters through
parameters that start at 0, so that a language model joined to an agent goes on to say of the next word what it said
before. The head is *factored* by default: silence has a logit of its own, and what is said, given that something is
said, stays the language model's own head. *softmax* makes silence one more entry of the language model's softmax, for
comparison; written in the same two numbers.

Legend: B lanes, L ticks in a chunk, E width, V vocabulary.
"""

import torch
from torch import Tensor, nn

from vlpt.language.visibility import AttentionPlan

HEADS = ("factored", "softmax")
LONGEST_TICKS = 64  # longer silences (13 s) are alike


class Silence(nn.Module):
    """Its part in the input and its logit at the output. Raises ValueError for a head that does not exist."""

    def __init__(self, width: int, head: str = "factored") -> None:
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"silence is one of {', '.join(HEADS)}, got {head!r}")
        self.head = head
        self.vector = nn.Parameter(torch.randn(width))  # before the first word, without a start-of-text token
        self.since = nn.Parameter(torch.zeros(LONGEST_TICKS, width))  # added to a word that is read again
        self.since_logit = nn.Parameter(torch.zeros(LONGEST_TICKS))
        # What a state says of silence depends on how long it has lasted: a long word takes two ticks.
        self.since_weight = nn.Parameter(torch.zeros(LONGEST_TICKS, width))
        self.logit = nn.Linear(width, 1)
        nn.init.normal_(self.logit.weight, std=0.02)
        # P(silence) = 0.88 to begin with, about its frequency, so that the first steps are not spent on learning this.
        nn.init.constant_(self.logit.bias, 2.0)

    @torch.no_grad()
    def fit(self, language) -> None:
        """Makes the vector as long as the language model's embeddings are on average."""
        some = language.embed(torch.arange(min(language.vocabulary, 4096), device=self.vector.device))
        self.vector.mul_(some.norm(dim=-1).mean() / self.vector.norm())

    def embed(self, plan: AttentionPlan, language) -> Tensor:
        """What each tick reads (B, L, E)."""
        nothing = plan.token == language.vocabulary
        words = torch.where(nothing[..., None], self.vector, language.embed(plan.token.masked_fill(nothing, 0)))
        return words + self.since[_rows(plan.since)] * (plan.since > 0)[..., None]

    def logit_of(self, hidden: Tensor, plan: AttentionPlan, language) -> Tensor:
        """hidden (B, L, E) -> logit of P(silence) (B, L) fp32."""
        since = _rows(plan.since)
        by_time = (self.since_weight[since] * hidden).sum(-1) + self.since_logit[since]
        logit = (self.logit(hidden)[..., 0] + by_time).float()
        return logit - language.log_normaliser(hidden) if self.head == "softmax" else logit


def _rows(since: Tensor) -> Tensor:
    return since.clamp(max=LONGEST_TICKS - 1)
