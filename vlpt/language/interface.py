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
    """A language model with memory; its config knows `vocabulary`, `layers`, `window`, `sinks` (first words that it
    keeps) and `start_token` (None where no text ever began with one)."""

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

    def start(self, lanes: int) -> LanguageMemory:
        """A fresh memory for so many lanes."""
        device = next(self.parameters()).device
        slots = memory_slots(self.config.window, self.config.sinks)
        return LanguageMemory.fresh(lanes, slots, self.config.layers, self.row_width, device)

    def plan(self, ticks: Timestamps, last_segment: Tensor, ids: Tensor, memory: LanguageMemory) -> AttentionPlan:
        """Who sees whom in this chunk, and what its ticks read: ids (B, L) int64, V where a tick hears silence. See
        `vlpt.language.visibility.plan_attention`.
        """
        c = self.config
        return plan_attention(ticks, last_segment, ids, memory, c.window, self.vocabulary, c.start_token, c.sinks)

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
        hidden, memory = self.run(self.embed(ids), self.plan(ticks, segment[:, -1], ids, memory), memory)
        return self.log_probs(hidden), memory

    def nats(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """hidden (n, E), ids (n,) -> (n,) fp32: -log-probability of each id, in order."""
        return -self.log_probs(hidden).gather(-1, ids[:, None])[:, 0]

    def trainable(self) -> list[nn.Parameter]:
        """What a stage that trains the language model trains."""
        return list(self.parameters())
