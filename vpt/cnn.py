"""VPT's picture encoder: three IMPALA stacks and two dense layers, from 128x128 RGB to one vector a frame.

In: frames (N, height, width, channels), uint8 RGB for the agent, floats for the IDM (its 3-D convolution's output).
Out: (N, width of the agent). Pictures stay in memory as N, H, W, C throughout ("channels last").

A "normed layer" is norm -> linear or convolution -> ReLU, the norm acting on the layer's input, and only a layer
without norm has a bias. The convolutions' norm is a GroupNorm of one group: one mean and variance a picture.
Source: openai/Video-Pre-Training; IMPALA (arXiv 1802.01561).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DENSE_WIDTH = 256  # between the last stack and the agent's width, in all released models
PATCHES_A_SIDE = 4  # what is left of the last stack's map for those who ask where something is
CALL_BYTES = 32 << 20  # largest activation of one call on a processor: beyond it every buffer is a fresh, slow mapping


def rescale_rows(weight: Tensor, norm: float) -> None:
    """Scale each output row (first axis) of weight to that L2 norm, in place."""
    with torch.no_grad():
        weight.mul_(norm / weight.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (weight.ndim - 1)))


def pool_relu(x: Tensor) -> Tensor:
    """(N, H, W, C) with even H and W -> (N, H/2, W/2, C): max pool 3x3, stride 2, padding 1, then ReLU.

    ReLU after pooling equals the published order at a quarter of the work. Without gradients a maximum along one axis
    after the other beats the library's pooling on a processor; with them the library's stored places win.
    """
    if x.is_cuda or (torch.is_grad_enabled() and x.requires_grad):
        return F.relu_(F.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1)).permute(0, 2, 3, 1)
    return _halve(_halve(x, 1), 2).relu_()


def _halve(x: Tensor, axis: int) -> Tensor:
    """Maximum over entries 2i-1, 2i, 2i+1 of that axis (1 or 2), for each i."""
    even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
    y = torch.maximum(even, odd)
    later = y.narrow(axis, 1, y.shape[axis] - 1)
    torch.maximum(later, odd.narrow(axis, 0, y.shape[axis] - 1), out=later)
    return y


class PictureNorm(nn.Module):
    """Mean 0 and variance 1 over a whole picture, then a scale and shift per channel (GroupNorm of one group)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # Said as a layer norm over the flat picture: faster than a channels-last group norm for few channels, and its
        # two-pass variance is more accurate. Autocast would widen it to fp32; its sums are fp32 anyway.
        shape = x.shape[1:]
        weight, bias = (part.to(x.dtype).expand(shape) for part in (self.weight, self.bias))
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x, shape, weight, bias)


class Convolution(nn.Module):
    """[norm ->] 3x3 convolution [-> ReLU] on (N, H, W, C); `scale` multiplies the input (1/255 for raw pixels)."""

    def __init__(
        self, inputs: int, outputs: int, norm: bool = True, relu: bool = True, row_norm: float = 1.0, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.relu = relu
        self.norm = PictureNorm(inputs) if norm else None
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)
        self.scale = scale
        rescale_rows(self.conv.weight, row_norm)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = self.norm(x)
        weight = self.conv.weight if self.scale == 1 else self.conv.weight * self.scale
        x = x.to(weight.dtype) if not x.is_floating_point() else x
        weight = weight.contiguous(memory_format=torch.channels_last)
        y = F.conv2d(x.permute(0, 3, 1, 2), weight, self.conv.bias, padding=1)
        return (F.relu_(y) if self.relu else y).permute(0, 2, 3, 1)


class Residual(nn.Module):
    """x + second(first(x)), each norm -> convolution -> ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = (3 / 2) ** 0.25
        self.first = Convolution(channels, channels, row_norm=norm)
        self.second = Convolution(channels, channels, row_norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Stack(nn.Module):
    """Convolution, ReLU, pooling to half the size, norm, two residual blocks."""

    def __init__(self, inputs: int, outputs: int, norm: bool, scale: float) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, outputs, norm=norm, relu=False, scale=scale)
        self.norm = PictureNorm(outputs)
        self.residuals = nn.ModuleList([Residual(outputs) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(pool_relu(self.convolution(x)))
        for residual in self.residuals:
            x = residual(x)
        return x


class Dense(nn.Module):
    """LayerNorm -> linear without bias -> ReLU, on the last axis."""

    def __init__(self, inputs: int, outputs: int, row_norm: float = 1.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.linear = nn.Linear(inputs, outputs, bias=False)
        rescale_rows(self.linear.weight, row_norm)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.linear(self.norm(x)))


class PictureEncoder(nn.Module):
    """(N, px, px, inputs) -> (N, width); `raw` pictures are uint8 and meet the first convolution without a norm."""

    def __init__(self, inputs: int, channels: tuple[int, ...], width: int, px: int = 128, raw: bool = True) -> None:
        super().__init__()
        if px % 2 ** len(channels):
            raise ValueError(f"pictures are halved {len(channels)} times: {px} px is not divisible by that")
        widths = (inputs, *channels)
        self.stacks = nn.ModuleList(
            Stack(widths[i], widths[i + 1], norm=i > 0 or not raw, scale=1 / 255 if raw and i == 0 else 1.0)
            for i in range(len(channels))
        )
        self.dense = Dense(channels[-1] * (px // 2 ** len(channels)) ** 2, DENSE_WIDTH, row_norm=1.4)
        self.project = Dense(DENSE_WIDTH, width)
        self.frames_per_call = max(1, CALL_BYTES // (4 * px * px * max(inputs, channels[0])))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([self.encode(part) for part in self._calls(x)]))

    def with_patches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, px, px, inputs) -> (N, width), and the patches (N, P, C), row by row from the top left: mean and maximum
        of every stack's map over that part of the picture. The first maps know colours, the last ones things."""
        encoded, patches = zip(*(self.encode_with_patches(part) for part in self._calls(x)), strict=True)
        return self.project(torch.cat(encoded)), torch.cat(patches)

    def _calls(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split(self.frames_per_call) if x.device.type == "cpu" else (x,)

    def encode(self, x: Tensor) -> Tensor:
        """(n, px, px, inputs) -> (n, 256): the stacks and the first dense layer, in one call."""
        for stack in self.stacks:
            x = stack(x)
        return self._flat(x)

    def encode_with_patches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, and the patches (n, P, C)."""
        patches = []
        for stack in self.stacks:
            x = stack(x)
            patches += patches_of(x)
        return self._flat(x), torch.cat(patches, -1)

    def _flat(self, x: Tensor) -> Tensor:
        return self.dense(x.permute(0, 3, 1, 2).flatten(1))  # channel-major, as the weights expect


def patches_of(x: Tensor) -> list[Tensor]:
    """(n, H, W, C) -> two (n, P, C): means and maxima over the parts of a grid, from the top left row by row."""
    pools = F.adaptive_avg_pool2d, F.adaptive_max_pool2d
    return [pool(x.permute(0, 3, 1, 2), PATCHES_A_SIDE).flatten(2).transpose(1, 2) for pool in pools]
