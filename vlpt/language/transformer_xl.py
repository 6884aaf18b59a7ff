"""Transformer-XL with memory: the language model that gets a body.

In: token ids, and who may see whom (`AttentionPlan`, made once a chunk). Out: hidden states, log-probabilities, the
next memory. Architecture: Dai et al. 2019 (1901.02860) as published for wt103: relative positions, post-norm, tables
tied, per-layer position biases. The memory is a mask, empty at first: zeros are never attended to.

    model = TransformerXL(TransformerXLConfig(vocabulary=1500))
    log_probs, memory = model(ids, first, model.start(lanes))       # plain text

Legend: B lanes, L ticks (or tokens of text) in a chunk, M remembered, N = M + L rows, E width, H heads, V vocabulary.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vlpt.language.interface import LanguageModel
from vlpt.language.token_table import TokenTable
from vlpt.language.visibility import AttentionPlan
from vlpt.memory import LanguageMemory


@dataclass(frozen=True)
class TransformerXLConfig:
    """Size of a Transformer-XL.

    window: how many tokens before its own a layer sees (the published `mem_len` - 1). clamp_distance: positions further
    apart look alike (None: all differ). dropout acts on embeddings, attention outputs and feed-forward; 0 when frozen.
    start_token: what texts began with in training, if they began with anything.
    """

    sinks: ClassVar[int] = 0  # relative positions know nothing of a text's first words

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    head_width: int = 32
    inner: int = 512
    window: int = 256
    clamp_distance: int | None = None
    cutoffs: tuple[int, ...] = ()
    div_val: int = 1
    dropout: float = 0.0
    start_token: int | None = None


class TransformerXL(LanguageModel):
    """Embeds tokens, runs on them with memory, and gives log-probabilities of the next."""

    config_class = TransformerXLConfig

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        self.config = config
        self.table = TokenTable(config.vocabulary, config.width, config.cutoffs, config.div_val)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("waves", sinusoids(config), persistent=False)

    @property
    def width(self) -> int:
        """E, of embeddings and hidden states."""
        return self.config.width

    @property
    def row_width(self) -> int:
        """What a layer keeps of a word: its input."""
        return self.config.width

    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, L) int64 -> (B, L, E)."""
        return self.dropout(self.table.embed(ids))

    def reinit_embeddings(self, ids: list[int]) -> None:
        """Fresh rows for tokens that training never showed, see `TokenTable.reinit_embeddings`."""
        self.table.reinit_embeddings(ids)

    def prepare(self, plan: AttentionPlan, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """distance (B, 1, L, N) int64; mask (B, 1, L, N), 0 where visible, else FORBIDDEN."""
        return plan.distance[:, None], plan.additive_mask(dtype)

    def run_layers(
        self, x: Tensor, prepared: tuple[Tensor, Tensor], memory: LanguageMemory, layers: range
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `LanguageModel.run_layers`."""
        rows = []
        for i in layers:
            rows.append(torch.cat([memory.layers[i], x], 1))
            x = self.layers[i](x, rows[-1], *prepared, self.waves)
        return x, tuple(rows)

    def finish(self, x: Tensor) -> Tensor:
        """Dropout, as published."""
        return self.dropout(x)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (..., V) fp32."""
        return self.table.log_probs(hidden)

    def nats(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """hidden (n, E), ids (n,) -> (n,) fp32, see `TokenTable.nats`."""
        return self.table.nats(hidden, ids)

    def log_normaliser(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (...) fp32, see `TokenTable.log_normaliser`."""
        return self.table.log_normaliser(hidden)


class Layer(nn.Module):
    """h = LN(x + attention(x)); out = LN(h + W2 ReLU(W1 h))."""

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        self.attention = RelativeAttention(config)
        self.attention_norm = nn.LayerNorm(config.width)
        self.inner = nn.Linear(config.width, config.inner)
        self.outer = nn.Linear(config.inner, config.width)
        self.outer_norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, rows: Tensor, distance: Tensor, mask: Tensor, waves: Tensor) -> Tensor:
        """x (B, L, E), rows (B, N, E) the remembered inputs of this layer and x -> (B, L, E)."""
        h = self.attention_norm(x + self.dropout(self.attention(x, rows, distance, mask, waves)))
        return self.outer_norm(h + self.dropout(self.outer(self.dropout(self.inner(h).relu()))))


class RelativeAttention(nn.Module):
    """score = ((q + content_bias) . k_j + (q + place_bias) . (W_place R_d)) / sqrt(head width), d the distance to j.

    Rows are remembered as they came in, before keys and values, so that training reaches the weights of both. When few
    queries meet many rows (streaming), the products are taken in the other order, `(q W_k) . row`, so that a tick does
    not project the whole memory again: the same sums from some thirty times fewer products.
    """

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        together = config.heads * config.head_width
        self.query, self.key, self.value, self.place = (nn.Linear(config.width, together, bias=False) for _ in range(4))
        self.out = nn.Linear(together, config.width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(config.heads, config.head_width))
        self.place_bias = nn.Parameter(torch.zeros(config.heads, config.head_width))

    def forward(self, x: Tensor, rows: Tensor, distance: Tensor, mask: Tensor, waves: Tensor) -> Tensor:
        """x (B, L, E), rows (B, N, E), distance and mask (B, 1, L, N), waves (distances, E) -> (B, L, E)."""
        q = self.query(x).unflatten(2, (self.heads, self.head_width))
        few = 4 * x.shape[1] <= self.head_width
        by_distance = self._by_distance((q + self.place_bias).transpose(1, 2), waves, few)
        index = distance.expand(-1, self.heads, -1, -1)
        bias = by_distance.gather(3, index) * self.head_width**-0.5 + mask  # (B, H, L, N)
        attend = self._attend_few if few else self._attend
        return self.out(attend((q + self.content_bias).transpose(1, 2), rows, bias))

    def _by_distance(self, q: Tensor, waves: Tensor, few: bool) -> Tensor:
        """q (B, H, L, e) -> its score with every distance (B, H, L, distances)."""
        weight = self.place.weight.unflatten(0, (self.heads, self.head_width))  # (H, e, E)
        if few:
            return (q @ weight) @ waves.T
        return q @ (weight @ waves.T)

    def _attend(self, q: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
        k, v = (project(rows).unflatten(2, (self.heads, self.head_width)).transpose(1, 2)
                for project in (self.key, self.value))
        return scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)).transpose(1, 2).flatten(2)

    def _attend_few(self, q: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
        key, value = (w.weight.unflatten(0, (self.heads, self.head_width)) for w in (self.key, self.value))
        rows = rows[:, None].expand(-1, self.heads, -1, -1)
        mixed = scaled_dot_product_attention(  # (B, H, L, E)
            q @ key, rows, rows, attn_mask=bias.to(q.dtype), scale=self.head_width**-0.5)
        return (mixed @ value.transpose(1, 2)).transpose(1, 2).flatten(2)


def sinusoids(config: TransformerXLConfig) -> Tensor:
    """R_d for d = 0..window: [sin(d f_k)..., cos(d f_k)...], f_k = 10000^(-2k/E); (window + 1, E) fp32."""
    distance = torch.arange(config.window + 1).float()
    if config.clamp_distance is not None:
        distance = distance.clamp(max=config.clamp_distance)
    frequency = 10_000.0 ** (-torch.arange(0, config.width, 2).float() / config.width)
    angle = distance[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)
