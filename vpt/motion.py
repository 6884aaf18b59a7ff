"""Five frames at a time: the picture encoder that sees motion, of the inverse dynamics model and of agents made anew.

In: runs of frames. Out: a vector a frame. The inverse dynamics model looks two frames to either side; an agent, which
cannot see the future, has the vector of two frames ago: `MotionEncoder` reads frames t - 4 to t at frame t, those
before a life began being zero, as the inverse dynamics model has it beyond a clip's ends. Not in the released agents,
which see one picture at a time. What the agent makes of the vector (`MotionInput`) starts at 0, so that one that gets
this plays as before at first.

    agent = with_motion(policy, IDM.from_pretrained("pretrained/idm"))      # vpt/senses.py

Legend: B lanes, T frames in a chunk, C channels of the 3-D convolution, D width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vpt.attention import BlockMemory
from vpt.cnn import PictureEncoder, rescale_rows

REACH = 2  # frames that the 3-D convolution sees to either side
BEFORE = 2 * REACH  # frames before its own that an agent sees


class TemporalConvolution(nn.Module):
    """3-D convolution 5x1x1 with zero frames at both ends, then ReLU: (B, T, H, W, 3) uint8 -> (B, T, H, W, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, channels, (2 * REACH + 1, 1, 1), padding=(REACH, 0, 0))
        rescale_rows(self.conv.weight, 1.0)
        nn.init.zeros_(self.conv.bias)

    @staticmethod
    def padded(frames: Tensor) -> Tensor:
        """(B, T, H, W, 3) -> (B, T + 4, H, W, 3): nothing is seen beyond a clip's ends."""
        return F.pad(frames, (0, 0, 0, 0, 0, 0, REACH, REACH))

    @staticmethod
    def pieces(run: Tensor, most: int) -> Iterator[Tensor]:
        """(B, T + 4, H, W, 3) -> pieces (b, t + 4, H, W, 3) that overlap by four frames, with b * t <= most.

        In order: the pieces' convolutions, each flattened to (b * t, ...), follow one another as the frames do.
        """
        length = run.shape[1] - 2 * REACH
        for lanes in run.split(max(1, most // length)):
            for start in range(0, length, most):
                yield lanes[:, start : min(start + most, length) + 2 * REACH]

    def forward(self, piece: Tensor) -> Tensor:
        """piece (b, t + 4, H, W, 3) uint8 -> (b * t, H, W, C).

        Done as a 2-D convolution over time and flattened space: three to seven times faster on a processor.
        """
        weight = (self.conv.weight.squeeze(-1) / 255).contiguous(memory_format=torch.channels_last)  # (C, 3, 5, 1)
        x = piece.flatten(2, 3).to(weight.dtype).permute(0, 3, 1, 2)  # (b, 3, t + 4, H * W)
        y = F.relu_(F.conv2d(x, weight, self.conv.bias))
        return y.permute(0, 2, 3, 1).unflatten(2, piece.shape[2:4]).flatten(0, 1)


def encode_runs(temporal: TemporalConvolution, picture: PictureEncoder, runs: Sequence[Tensor]) -> Tensor:
    """runs: (b, t + 4, 128, 128, 3) uint8 each, two neighbours at either end -> (sum of b * t, D), in order.

    On a processor a bounded number of frames goes through the encoder at a time, on a GPU all at once.
    """
    if runs[0].device.type == "cpu":
        calls = (temporal(piece) for run in runs for piece in temporal.pieces(run, picture.frames_per_call))
    else:
        calls = [torch.cat([temporal(run) for run in runs])]
    return picture.project(torch.cat([picture.encode(x) for x in calls]))


# ---- the agent


@dataclass(frozen=True)
class TrunkMemory(BlockMemory):
    """What the trunk of an agent that sees motion remembers: block 1's memory, and its last four pictures."""

    frames: Tensor  # (B, 4, px, px, 3) uint8, 0 where the lane's present episode had not begun

    @classmethod
    def after(cls, block: BlockMemory, frames: Tensor) -> "TrunkMemory":
        """Block 1's memory and the pictures."""
        return cls(block.keys, block.values, block.mask, frames)

    def to(self, *args) -> "TrunkMemory":
        """Moved to a device; a dtype concerns keys and values only."""
        moved = super().to(*args)
        return TrunkMemory.after(moved, self.frames.to(moved.keys.device))


class MotionEncoder(nn.Module):
    """What moves: the inverse dynamics model's encoder, looking back only."""

    def __init__(self, conv_channels: int, channels: tuple[int, ...], width: int, px: int) -> None:
        super().__init__()
        self.px = px
        self.temporal = TemporalConvolution(conv_channels)
        self.picture = PictureEncoder(conv_channels, channels, width, px, raw=False)

    def start(self, lanes: int) -> Tensor:
        """The frames before a life: zero (B, 4, px, px, 3) uint8."""
        device = self.temporal.conv.weight.device
        return torch.zeros(lanes, BEFORE, self.px, self.px, 3, dtype=torch.uint8, device=device)

    def forward(self, frames: Tensor, first: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """frames (B, T, px, px, 3) uint8, first (B, T) bool, before (B, 4, px, px, 3): the four frames before them ->
        (B, T, D), and the last four frames, those of an earlier life being 0."""
        run = torch.cat([before.masked_fill(first[:, :1, None, None, None], 0), frames], 1)
        vectors = encode_runs(self.temporal, self.picture, lives(run, first)).unflatten(0, first.shape)
        life = F.pad(first.long().cumsum(1), (BEFORE, 0))
        earlier = life[:, -BEFORE:] != life[:, -1:]
        return vectors, run[:, -BEFORE:].masked_fill(earlier[..., None, None, None], 0)


def lives(run: Tensor, first: Tensor) -> list[Tensor]:
    """run (B, 4 + T, H, W, 3): four frames and a chunk; first (B, T) bool -> runs (b, 4 + t, H, W, 3), in order: every
    lane cut where a life begins within the chunk, which has zero frames before it. All lanes at once where none does.
    """
    if first.shape[1] == 1 or not first[:, 1:].any():  # a single frame is not looked at: it may be a CUDA graph's
        return [run]
    found = []
    for lane, begins in zip(run, first.tolist(), strict=True):
        cuts = [0, *(t for t, begin in enumerate(begins) if begin and t), len(begins)]
        for start, stop in zip(cuts, cuts[1:], strict=False):
            life = lane[start : BEFORE + stop]
            if start:
                life = torch.cat([torch.zeros_like(lane[:BEFORE]), life[BEFORE:]])
            found.append(life[None])
    return found


class MotionInput(nn.Module):
    """What an agent makes of its motion encoder's vector: (B, T, D) -> (B, T, D), 0 at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x))
