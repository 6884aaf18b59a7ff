"""What every language model here is: embeds tokens, runs on them with memory, gives log-probabilities of the next.

In: token ids and memory. Out: log-probabilities and memory. Its layers can be run in portions, so that something else
may stand between them. Families: vlpt/language/transformer_xl.py, and vlpt/language/decoder.py for decoders with
rotary positions.

Legend: B lanes, L ticks (or tokens of text) in a chunk, M remembered, N = M + L rows, E width, V vocabulary.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from vlpt.clock import Timestamps
from vlpt.language.visibility import AttentionPlan, memory_slots, plan_attention
from vlpt.memory import LanguageMemory
from vpt.checkpoint import Pretrained


class LanguageModel(nn.Module, Pretrained, ABC):
    """A language model with memory; its config knows `vocabulary`, `layers` and `window`."""

    # ---- what a family says of itself

    width: int  # E, of embeddings and hidden states
    row_width: int  # of what a layer keeps of a word

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, L) int64 -> (B, L, E)."""

    @abstractmethod
    def prepare(self, plan: AttentionPlan, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """The plan as the family's attention wants it, once a chunk."""

    @abstractmethod
    def run_layers(
        self, x: Tensor, prepared: tuple[Tensor, ...], memory: LanguageMemory, layers: range
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (B, L, E) -> what the last of these layers makes of it (B, L, E); rows (B, N, row_width) of each of
        them."""

    @abstractmethod
    def finish(self, x: Tensor) -> Tensor:
        """Output of the last layer (B, L, E) -> hidden states (B, L, E)."""

    @abstractmethod
    def log_probs(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (..., V) fp32."""

    @abstractmethod
    def log_normaliser(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (...) fp32: log of what the softmax divides by."""

    @abstractmethod
    def reinit_embeddings(self, ids: list[int]) -> None:
        """Fresh rows for tokens that training never showed, as long as the others."""

    # ---- what follows from it

    @property
    def vocabulary(self) -> int:
        """V; ids are 0..V-1."""
        return self.config.vocabulary

    def start(self, lanes: int, rule: str = "none") -> LanguageMemory:
        """A fresh memory for so many lanes; `rule` is `remember_silence` ("none" for plain text)."""
        device = next(self.parameters()).device
        slots = memory_slots(self.config.window, rule)
        return LanguageMemory.fresh(lanes, slots, self.config.layers, self.row_width, device)

    def plan(
        self, ticks: Timestamps, last_segment: Tensor, spoken: Tensor, memory: LanguageMemory, rule: str = "none"
    ) -> AttentionPlan:
        """Who sees whom in this chunk, see `vlpt.language.visibility.plan_attention`."""
        return plan_attention(ticks, last_segment, spoken, memory, self.config.window, rule)

    def run(self, x: Tensor, plan: AttentionPlan, memory: LanguageMemory) -> tuple[Tensor, LanguageMemory]:
        """x (B, L, E) embeddings -> hidden states (B, L, E), memory."""
        x, rows = self.run_layers(x, self.prepare(plan, x.dtype), memory, range(self.config.layers))
        return self.finish(x), plan.keep(rows)

    def forward(self, ids: Tensor, first: Tensor, memory: LanguageMemory) -> tuple[Tensor, LanguageMemory]:
        """Plain text: ids (B, L), first (B, L) bool, true where a new text begins -> log-probabilities of the token
        that follows each (B, L, V), memory.
        """
        segment = first.long().cumsum(1)
        time = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        ticks = Timestamps(time, segment, torch.ones_like(first))
        hidden, memory = self.run(self.embed(ids), self.plan(ticks, segment[:, -1], ticks.real, memory), memory)
        return self.log_probs(hidden), memory

    def nats(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """hidden (n, E), ids (n,) -> (n,) fp32: -log-probability of each id, in order."""
        return -self.log_probs(hidden).gather(-1, ids[:, None])[:, 0]

    def trainable(self) -> list[nn.Parameter]:
        """What a stage that trains the language model trains."""
        return list(self.parameters())
