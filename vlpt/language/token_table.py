"""Token table and output of Transformer-XL, shared: one table of full width, or adaptive input and softmax.

In: token ids, or hidden states. Out: embeddings, or log-probabilities in token order. With `cutoffs` the vocabulary is
cut into clusters, the i-th of width `width / div_val^i`, rare words being narrower (Baevski & Auli 2019 for the input,
Grave et al. 2017 for the output); without, there is one cluster and no projection. Tables of input and output are tied.

Legend: E model width, V vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class TokenTable(nn.Module):
    """tables.i (tokens of cluster i, its width); projections.i (E, its width), input; biases.i, output."""

    def __init__(self, vocabulary: int, width: int, cutoffs: tuple[int, ...] = (), div_val: int = 1) -> None:
        """Raises ValueError when the cutoffs do not rise from above 0 to below the vocabulary."""
        super().__init__()
        self.bounds = (0, *cutoffs, vocabulary)
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"cutoffs must rise and lie between 0 and the vocabulary, {vocabulary}; got {cutoffs}")
        self.width, self.vocabulary = width, vocabulary
        sizes = [(high - low, width // div_val**i) for i, (low, high) in enumerate(zip(self.bounds, self.bounds[1:]))]
        # After the scaling by sqrt(E) embeddings have unit size, and tied logits of normed states too.
        self.tables = nn.ParameterList(torch.randn(tokens, narrow) * width**-0.5 for tokens, narrow in sizes)
        self.biases = nn.ParameterList(torch.zeros(tokens) for tokens, _ in sizes)
        clusters = len(cutoffs)
        projected = sizes if clusters else []
        self.projections = nn.ParameterList(torch.randn(width, narrow) * narrow**-0.5 for _, narrow in projected)
        if clusters:
            # The frequent words' output projection is their own; the others share that of the input.
            self.first_out = nn.Parameter(torch.randn(width, width) * width**-0.5)
            self.cluster_weight = nn.Parameter(torch.randn(clusters, width) * width**-0.5)
            self.cluster_bias = nn.Parameter(torch.zeros(clusters))

    def embed(self, ids: Tensor) -> Tensor:
        """ids (...) int64 in 0..V-1 -> (..., E), times sqrt(E)."""
        scale = math.sqrt(self.width)
        if not self.projections:
            return self.tables[0][ids] * scale
        out = torch.zeros(*ids.shape, self.width, dtype=self.tables[0].dtype, device=ids.device)
        for low, high, table, projection in zip(self.bounds, self.bounds[1:], self.tables, self.projections):
            inside = (ids >= low) & (ids < high)
            rows = linear(table[(ids - low).clamp(0, high - low - 1)], projection)
            out = torch.where(inside[..., None], rows, out)
        return out * scale

    @torch.no_grad()
    def reinit_embeddings(self, ids: list[int]) -> None:
        """Fresh rows for tokens that training never showed: its softmax pushed them one way, until all look alike."""
        for token in ids:
            cluster = sum(token >= bound for bound in self.bounds[1:-1])
            row = self.tables[cluster][token - self.bounds[cluster]]
            row.copy_(torch.randn_like(row) * self.width**-0.5)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (..., V) fp32, normalised, in token order."""
        head = self._head(hidden).log_softmax(-1)
        if not self.projections:
            return head
        frequent = self.bounds[1]
        tails = [head[..., frequent + i : frequent + i + 1] + self._tail(hidden, i + 1).log_softmax(-1)
                 for i in range(len(self.tables) - 1)]
        return torch.cat([head[..., :frequent], *tails], -1)

    def nats(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """hidden (n, E), ids (n,) -> (n,) fp32: -log-probability of each id, in order.

        A rare word's cluster is computed for the rows that ask for it only: the whole vocabulary is never spelt out.
        """
        head = self._head(hidden).log_softmax(-1)
        frequent = self.bounds[1] if self.projections else self.vocabulary
        cluster = sum(((ids >= bound).long() for bound in self.bounds[1:-1]), start=torch.zeros_like(ids))
        column = torch.where(ids < frequent, ids, frequent - 1 + cluster)
        nats = -head.gather(-1, column[:, None])[:, 0]
        for i in range(1, len(self.tables)):
            rows = (cluster == i).nonzero()[:, 0]
            tail = self._tail(hidden[rows], i).log_softmax(-1)
            nats = nats.index_add(0, rows, -tail.gather(-1, (ids[rows] - self.bounds[i])[:, None])[:, 0])
        return nats

    def log_normaliser(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (...) fp32: log of what the first softmax divides by, so that silence can join it."""
        return self._head(hidden).logsumexp(-1)

    def _head(self, hidden: Tensor) -> Tensor:
        if not self.projections:
            return linear(hidden, self.tables[0], self.biases[0]).float()
        hidden = hidden @ self.first_out
        weight = torch.cat([self.tables[0], self.cluster_weight])
        return linear(hidden, weight, torch.cat([self.biases[0], self.cluster_bias])).float()

    def _tail(self, hidden: Tensor, cluster: int) -> Tensor:
        return linear(hidden @ self.projections[cluster], self.tables[cluster], self.biases[cluster]).float()
