"""What every language model here is: embeds tokens, runs on them with memory, gives log-probabilities of the next.

In: token ids and memory. Out: log-probabilities and memory. Children (vlpt/language/transformer_xl.py: Transformer-XL;
vlpt/language/decoder.py: decoders with rotary positions) have `embed`, `run`, `log_probs`, `log_normaliser`,
`reinit_embeddings`, and say how wide they are and what a layer keeps of a word.

Legend: B lanes, L ticks (or tokens of text) in a chunk, E width, V vocabulary.
"""

import torch
from torch import Tensor, nn

from vlpt.clock import Timestamps
from vlpt.language.visibility import Plan, plan, slots
from vlpt.memory import LanguageMemory
from vpt.checkpoint import Pretrained


class LanguageModel(nn.Module, Pretrained):
    """A language model with memory; its config knows `vocabulary`, `layers` and `window`."""

    @property
    def vocabulary(self) -> int:
        """V; ids are 0..V-1."""
        return self.config.vocabulary

    def start(self, lanes: int, rule: str = "none") -> LanguageMemory:
        """A fresh memory for so many lanes; `rule` is `remember_silence` ("none" for plain text)."""
        device = next(self.parameters()).device
        return LanguageMemory.fresh(lanes, slots(self.config.window, rule), self.config.layers, self.row_width, device)

    def plan(
        self, ticks: Timestamps, last_segment: Tensor, spoken: Tensor, memory: LanguageMemory, rule: str = "none"
    ) -> Plan:
        """Who sees whom in this chunk, see `vlpt.language.visibility.plan`."""
        return plan(ticks, last_segment, spoken, memory, self.config.window, rule)

    def forward(self, ids: Tensor, first: Tensor, memory: LanguageMemory) -> tuple[Tensor, LanguageMemory]:
        """Plain text: ids (B, L), first (B, L) bool, true where a new text begins -> log-probabilities of the token
        that follows each (B, L, V), memory.
        """
        segment = first.long().cumsum(1)
        ticks = Timestamps(torch.arange(ids.shape[1], device=ids.device).expand_as(ids), segment, torch.ones_like(first))
        chunk = self.plan(ticks, segment[:, -1], ticks.real, memory)
        hidden, memory = self.run(self.embed(ids), chunk, memory)
        return self.log_probs(hidden), memory

    def nats(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """hidden (n, E), ids (n,) -> (n,) fp32: -log-probability of each id, in order."""
        return -self.log_probs(hidden).gather(-1, ids[:, None])[:, 0]

    def trainable(self) -> list[nn.Parameter]:
        """What a stage that trains the language model trains."""
        return list(self.parameters())
