"""VPT's attention block with its memory, as a value passed in and returned.

In: x (B, T, D) and `first` (B, T), true where a new episode begins, anywhere in the chunk. Out: (B, T, D) and the
memory after the chunk. A query sees itself and up to M - 1 earlier frames of its own episode, however the stream is
cut into chunks.

Legend: B lanes, T frames in a chunk, M remembered frames, D agent width, H heads.
Source: openai/Video-Pre-Training; the relative bias is a sum of ten learned curves over the age of a frame.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vpt.cnn import Dense, rescale_rows
from vpt.trees import map_tensors

CURVES = 10  # basis curves of the relative bias

# The attention score of what may not be seen. Finite in fp32 and bf16, so that a row that sees nothing does not become
# NaN; beside any visible row its weight is exactly 0.
FORBIDDEN = -1e9


@dataclass(frozen=True)
class BlockMemory:
    """What one block remembers of the last M frames, oldest first; all zero is a fresh memory."""

    keys: Tensor  # (B, M, D), before the split into heads
    values: Tensor  # (B, M, D)
    mask: Tensor  # (B, M) bool, true where the slot holds a frame of the lane's present episode

    @classmethod
    def fresh(cls, lanes: int, n_frames: int, width: int, device=None, dtype=None) -> "BlockMemory":
        keys = torch.zeros(lanes, n_frames, width, device=device, dtype=dtype)
        return cls(keys, keys.clone(), torch.zeros(lanes, n_frames, dtype=torch.bool, device=device))

    def detach(self) -> "BlockMemory":
        """The same memory cut from the graph."""
        return map_tensors(Tensor.detach, self)

    def index(self, lanes) -> "BlockMemory":
        """The memory of those lanes (an index or mask over B)."""
        return map_tensors(lambda x: x[lanes], self)

    def to(self, *args) -> "BlockMemory":
        """Moved to a device; a dtype concerns keys and values only."""
        moved = map_tensors(lambda x: x.to(*args), self)
        return replace(moved, mask=moved.mask.bool())


def window_mask(first: Tensor, memory_mask: Tensor, window: int) -> Tensor:
    """Who sees whom: first (B, T), memory_mask (B, M) -> visible (B, T, M + T) bool.

    Frame r sees column c iff its age M + r - c lies in [0, window) and both belong to the same episode.
    """
    slots = memory_mask.shape[1]
    episode = first.long().cumsum(1)  # 0 goes on from the memory, where an empty slot is of episode -1
    column = torch.cat([memory_mask.long() - 1, episode], dim=1)
    return (episode[:, :, None] == column[:, None, :]).tril(slots).triu(slots - window + 1)


def ages_to_columns(by_age: Tensor, n_frames: int) -> Tensor:
    """(..., T, M) indexed by query and age 0..M-1 -> (..., T, M + T) indexed by query and column, 0 elsewhere.

    Column c of row r has age M + r - c: the rows, turned round, are shifted one step each by reading them with a
    stride that is one shorter than they are.
    """
    slots = by_age.shape[-1]
    rows = F.pad(by_age.flip(-1), (1, n_frames)).flatten(-2)
    return rows[..., : n_frames * (slots + n_frames)].unflatten(-1, (n_frames, slots + n_frames))


class Attention(nn.Module):
    """Multi-head attention scaled by 1/e (e = D / H, not its root) with a learned bias on age.

    `slots` = M remembered frames, also the window. Where every frame attends to every frame of the clip, both ways
    (`all_to_all`), they are the distances -(M // 2)..M // 2 that the bias can tell apart, farther ones getting none; 0
    tells none apart (the released IDM, where the bias's parameters exist).
    """

    def __init__(self, width: int, heads: int, slots: int, value_norm: float = 1.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be divisible by the number of heads {heads}")
        self.heads, self.slots = heads, slots
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.relative = nn.Linear(width, CURVES * heads)
        self.curves = nn.Parameter(0.2 * torch.randn(CURVES, slots))
        norms = {self.query: 0.1, self.key: 0.2, self.value: value_norm, self.out: value_norm, self.relative: 0.1}
        for layer, norm in norms.items():
            rescale_rows(layer.weight, norm)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def bias(self, x: Tensor) -> Tensor:
        """x (B, T, D) -> (B, H, T, M + T): what the age of each column adds to its score."""
        weights = self.relative(x).unflatten(-1, (self.heads, CURVES)).transpose(1, 2)
        return ages_to_columns(weights @ self.curves, x.shape[1])

    def forward(self, x: Tensor, memory: BlockMemory, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, D), visible (B, T, M + T) -> attended (B, T, D), keys and values (B, M + T, D)."""
        keys = torch.cat([memory.keys.to(x.dtype), self.key(x)], dim=1)
        values = torch.cat([memory.values.to(x.dtype), self.value(x)], dim=1)
        bias = self.bias(x).masked_fill(~visible[:, None], FORBIDDEN)
        return self._attend(x, keys, values, bias), keys, values

    def all_to_all(self, x: Tensor) -> Tensor:
        """x (B, T, D): every frame sees every frame."""
        middle = self.slots // 2 + 1  # an age of M // 2 is a distance of 0
        bias = self.bias(x)[..., middle : middle + x.shape[1]] if self.slots else None
        return self._attend(x, self.key(x), self.value(x), bias)

    def _attend(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query(x), keys, values))
        bias = bias if bias is None else bias.to(q.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1 / q.shape[-1])
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """u = LN(x); y = u + attention(u); y + mlp(y). The residual stream carries u, not x."""

    def __init__(self, width: int, heads: int, slots: int, layers: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        depth_norm = (2 * layers) ** -0.5
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, slots, value_norm=depth_norm**0.5)
        self.widen = Dense(width, mlp_ratio * width)
        self.narrow = nn.Linear(mlp_ratio * width, width)
        rescale_rows(self.narrow.weight, depth_norm)
        nn.init.zeros_(self.narrow.bias)

    def forward(
        self, x: Tensor, first: Tensor, memory: BlockMemory, visible: Tensor | None = None
    ) -> tuple[Tensor, BlockMemory]:
        """x (B, T, D), first (B, T) bool -> y (B, T, D) and the memory after the chunk.

        `visible` is `window_mask(first, memory.mask, M)` when the caller has it already: it is the same in every block.
        """
        if visible is None:
            visible = window_mask(first, memory.mask, self.attention.slots)
        u = self.norm(x)
        attended, keys, values = self.attention(u, memory, visible)
        y = u + attended
        slots = self.attention.slots
        # The newest M frames, of which the last frame sees just those of its own episode.
        memory = BlockMemory(keys[:, -slots:], values[:, -slots:], visible[:, -1, -slots:])
        return y + self.narrow(self.widen(y)), memory

    def all_to_all(self, x: Tensor) -> Tensor:
        """x (B, T, D): the IDM's way, without memory, every frame of the clip seeing every other."""
        u = self.norm(x)
        y = u + self.attention.all_to_all(u)
        return y + self.narrow(self.widen(y))
