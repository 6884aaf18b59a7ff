"""Gated temporal cross attention: how words ask frames and places in them, and frames ask words.

In: rows that ask, rows that are asked, and a `Visibility` of who sees whom and when each happened. Out: the asking
rows, changed as far as the gates are open. Gates start at 0, so that a new block is not there, bit for bit.

    x <- x + tanh(attention_gate) * attention(LN(x), LN(source), time)
    x <- x + tanh(feedforward_gate) * feedforward(LN(x))

The block is Flamingo's (Alayrac et al. 2022, 2204.14198) but for three things: what is asked is normalised as well;
time is in the scores; and a row that can see nothing gets exactly 0 from attention, never a mean over what it may not
see. With `source_norm` an identity and all times equal it is Flamingo's again, and the tests hold it to its numbers.

Legend: B lanes, Q rows that ask, K rows asked, E asking width, C asked width, H heads, e head width, P patches.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from vlpt.clock import Visibility
from vlpt.memory import MemoryPart
from vpt.attention import FORBIDDEN

SHORTEST_FRAMES = 4  # the shortest wave of the rotation: a fifth of a second


class GatedCrossAttention(nn.Module):
    """One block. Fresh weights keep the size of what they read, so that the gates feel a signal from the first step."""

    def __init__(
        self, width: int, source_width: int, window: int, heads: int = 4, head_width: int = 32,
        inner: int | None = None, patches: tuple[int, int] | None = None,
    ) -> None:
        """width E; source_width C; window in frames (sets the scale of time; who is seen is the Visibility's matter);
        inner: width of the feed-forward layer, 4 E by default; patches: P and their width, where they are asked too.
        """
        super().__init__()
        self.heads, self.head_width = heads, head_width
        together, inner = heads * head_width, inner or 4 * width
        self.query_norm, self.source_norm = nn.LayerNorm(width), nn.LayerNorm(source_width)
        self.query = _dense(width, together)
        self.key, self.value = _dense(source_width, together), _dense(source_width, together)
        self.out = _dense(together, width)
        self.feedforward = nn.Sequential(nn.LayerNorm(width), _dense(width, inner), Gelu(), _dense(inner, width))
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.feedforward_gate = nn.Parameter(torch.zeros(1))
        # Heads forget at different rates: the first looks at now, the last at the whole window; all are learned.
        self.log_decay = nn.Parameter(torch.linspace(math.log(0.5), math.log(0.5 / window), heads))
        self.register_buffer("turns", wave_turns(head_width // 2, window), persistent=False)
        self.patches = Patches(*patches, together) if patches else None

    def key_values(self, source: Tensor, time: Tensor) -> "KeyValues":
        """source (B, K, C) that happened at time (B, K), frames -> what is asked."""
        source = self.source_norm(source)
        return self._asked(self.key(source), self.value(source), time)

    def patch_key_values(self, source: Tensor, time: Tensor) -> "KeyValues":
        """Patches source (B, K, P, width) of frames at time (B, K) -> what is asked, K P rows, frame by frame."""
        keys, values = self.patches(source)
        return self._asked(keys, values, time.repeat_interleave(source.shape[2], 1))

    def _asked(self, keys: Tensor, values: Tensor, time: Tensor) -> "KeyValues":
        return KeyValues(rotate(self._split(keys), time.float(), self.turns), self._split(values))

    def no_key_values(self, lanes: int, rows: int) -> "KeyValues":
        """Those of nothing yet."""
        keys = self.log_decay.new_zeros(lanes, self.heads, rows, self.head_width)
        return KeyValues(keys, keys.clone())

    def forward(self, x: Tensor, asked: "KeyValues", sees: Visibility) -> Tensor:
        """x (B, Q, E), asked: of K rows, sees: Q rows on K with times from the same beginning -> (B, Q, E)."""
        x = torch.addcmul(x, self.attention_gate.tanh(), self.attend(x, asked, sees))
        return torch.addcmul(x, self.feedforward_gate.tanh(), self.feedforward(x))

    def attend(self, x: Tensor, asked: "KeyValues", sees: Visibility) -> Tensor:
        """The attention branch before its gate: (B, Q, E), exactly 0 in rows that see nothing."""
        q = self._queries(x, sees)
        k, v, bias = (part.to(q.dtype) for part in (asked.keys, asked.values, self._forgetting(sees)))
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (B, H, Q, e)
        return self.out(mixed.transpose(1, 2).flatten(2) * sees.sees_any)

    def weights(self, x: Tensor, asked: "KeyValues", sees: Visibility) -> Tensor:
        """How much each row asked counts in `attend`: (B, H, Q, K) fp32, each row adding up to 1, or 0 where it sees
        nothing. Made for those who look at them, see vlpt/evaluation/noun_attention.py: `forward` never has them.
        """
        scores = self._queries(x, sees).float() @ asked.keys.float().transpose(2, 3) * self.head_width**-0.5
        return (scores + self._forgetting(sees)).softmax(3) * sees.sees_any[:, None]

    def _queries(self, x: Tensor, sees: Visibility) -> Tensor:
        """(B, H, Q, e), turned by their time."""
        return rotate(self._split(self.query(self.query_norm(x))), sees.query_time, self.turns)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, H e) -> (B, H, N, e)."""
        return x.unflatten(2, (self.heads, self.head_width)).transpose(1, 2)

    def _forgetting(self, sees: Visibility) -> Tensor:
        """(B, H, Q, K) fp32, added to the scores: -decay_h * age in frames, and FORBIDDEN where not visible."""
        growth = -self.log_decay.exp().view(-1, 1, 1)
        return (growth * sees.age[:, None]).masked_fill_(~sees.visible[:, None], FORBIDDEN)


@dataclass(frozen=True)
class KeyValues(MemoryPart):
    """What a block makes of the rows asked, whoever asks: keys, turned by their time, and values, both (B, H, K, e)."""

    keys: Tensor
    values: Tensor

    def followed_by(self, others: "KeyValues") -> "KeyValues":
        """These rows and then others."""
        return KeyValues(torch.cat([self.keys, others.keys], 2), torch.cat([self.values, others.values], 2))


class Patches(nn.Module):
    """Keys and values of the patches of frames: (B, K, P, width) -> two of (B, K P, H e). Each place in the picture has
    a vector of its own, so that a word can ask what is on the left.
    """

    def __init__(self, count: int, width: int, together: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.place = nn.Parameter(torch.randn(count, width))  # as large as what it is added to
        self.key, self.value = _dense(width, together), _dense(width, together)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        placed = (self.norm(source) + self.place).flatten(1, 2)
        return self.key(placed), self.value(placed)


class Gelu(nn.Module):
    """x times the chance that a normal number is below x. A processor's GELU takes longer to set up than a frame needs
    for all else in a block; without gradients, which would keep the parts, it is put together here.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_grad_enabled():
            return gelu(x)
        half = 0.5 * x
        return torch.addcmul(half, half, torch.erf(x * 0.5**0.5))


def unit_size(x: Tensor) -> Tensor:
    """Rows (..., E) scaled to a mean square of 1; a row of zeros stays."""
    return x * x.float().square().mean(-1, keepdim=True).clamp(min=1e-12).rsqrt().to(x.dtype)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    """No bias; unit-size inputs give unit-size outputs."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    return layer


def wave_turns(count: int, window: int) -> Tensor:
    """(2 count,) fp32 radians a frame, the first half negative: waves from SHORTEST_FRAMES to four windows long,
    geometrically spaced."""
    longest = max(4 * window, 2 * SHORTEST_FRAMES)
    waves = torch.logspace(math.log10(SHORTEST_FRAMES), math.log10(longest), count, dtype=torch.float64)
    frequency = (2 * math.pi / waves).float()
    return torch.cat([-frequency, frequency])


def rotate(x: Tensor, time: Tensor, turns: Tensor) -> Tensor:
    """Rotary position (Su et al. 2021, 2104.09864) on frame times: products of rotated rows depend on differences only.

    x (B, H, N, e), time (B, N) fp32 frames, turns (e,) as of `wave_turns` -> (B, H, N, e). Number i of a row turns with
    number i + e / 2, whose angle is its own with the other sign.
    """
    angle = (time[:, :, None] * turns)[:, None]  # (B, 1, N, e)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
