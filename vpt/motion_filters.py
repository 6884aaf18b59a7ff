"""Networks made anew that see motion from the start, as far as weights within the released architecture can.

What was pressed shows in how the picture moves, which random filters drown in what stands still.

    init_motion_filters(idm)     its 3-D convolution has the frames side by side, its first stacks tell how they move
    init_change_heads(policy)    its block 1 reaches the frame before, and begins by taking it off

|gradient + change| - |gradient - change| is positive where brightness moves one way, negative where it moves the other,
and 0 where nothing moves (Lucas & Kanade 1981). Four ReLUs make the halves of the two absolute values, the next layer
their difference. The rest of the weights stays random, and all of them learn. What each is worth: docs/log.md.
"""

import torch
from torch import Tensor, nn

GREY = torch.tensor([0.3, 0.6, 0.1])
HALVES = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # signs of gradient and change in the four ReLUs
DIFFERENCE = torch.tensor([1.0, -1.0, -1.0, 1.0])  # of the two absolute values that they make
NOW, AFTER = 4, 5  # channels of the 3-D convolution that keep the brightness of these frames
LOUD = 3.0  # motion's row norm among random rows of 1
PREVIOUS_LOGIT = 12.0  # score of the frame before over all others


# ---- the inverse dynamics model


@torch.no_grad()
def init_motion_filters(idm) -> None:
    """First stack: the four halves, horizontally and vertically. Second: their difference, both ways. Third: again.

    The dense layer begins with its means over the picture. Raises ValueError when there are too few channels.
    """
    stacks = idm.picture.stacks
    if idm.config.conv_channels < 6 or len(stacks) != 3 or idm.config.channels[0] < 8:
        raise ValueError(f"seeing motion takes 6 temporal and 8 first channels in 3 stacks, not {idm.config}")
    _compare_frames(idm.temporal.conv.weight)
    first, second, third = (stack.convolution.conv.weight for stack in stacks)
    _halves(first)
    for axis in (0, 1):
        both_ways = 2 * axis, 2 * axis + 1
        _difference(second, both_ways, slice(4 * axis, 4 * axis + 4), DIFFERENCE)
        _difference(third, both_ways, slice(2 * axis, 2 * axis + 2), torch.tensor([1.0, -1.0]))
    _calm(idm.picture, 0.2)
    dense = idm.picture.dense.linear.weight
    by_channel = dense.view(len(dense), idm.config.channels[-1], -1)
    for i in range(min(32, len(dense) // 2)):
        by_channel[i] = 0
        by_channel[i, i % 4] = 1.4 / by_channel.shape[-1] ** 0.5


def _compare_frames(weight: Tensor) -> None:
    """weight (C, 3, 5, 1, 1): both signs of (after - now) and (now - before), then now, then after; no others."""
    before, now, after = (torch.zeros(3, 5).index_copy_(1, torch.tensor([t]), GREY[:, None]) for t in (1, 2, 3))
    change = (after - now, now - after, now - before, before - now)
    filters = torch.stack([5 * part for part in change] + [now, after])
    weight[: len(filters)] = filters[:, :, :, None, None]


def _halves(weight: Tensor) -> None:
    """weight (8.., C, 3, 3): the four halves of the horizontal gradient, then of the vertical one."""
    weight[:8] = 0
    for axis, ((y0, x0), (y1, x1)) in enumerate((((1, 0), (1, 2)), ((0, 1), (2, 1)))):
        for i, (side, sign) in enumerate(HALVES, start=4 * axis):
            weight[i, NOW : AFTER + 1, y1, x1] = 0.5 * side
            weight[i, NOW : AFTER + 1, y0, x0] = -0.5 * side
            weight[i, :2, 1, 1] = 0.2 * torch.tensor([sign, -sign])


def _difference(weight: Tensor, channels: tuple[int, int], inputs: slice, signs: Tensor) -> None:
    """Two output channels of a 3x3 convolution: the inputs' signed sum over the neighbourhood, and its opposite."""
    for channel, way in zip(channels, (1, -1), strict=True):
        weight[channel] = 0
        weight[channel, inputs] = way * signs[:, None, None].expand(-1, 3, 3)
        weight[channel] *= LOUD / weight[channel].norm()


def _calm(picture: nn.Module, factor: float) -> None:
    """Residual blocks begin small, so that what a stack's convolution found stays legible."""
    for stack in picture.stacks:
        for residual in stack.residuals:
            residual.second.conv.weight.mul_(factor)


# ---- the agent


@torch.no_grad()
def init_change_heads(policy) -> None:
    """Half of block 1's heads look at the frame before and take it off their half of the stream.

    So that half of the stream is the change of the picture's summary, the other half the summary itself.
    """
    attention = policy.blocks[0].attention
    heads, eye = attention.heads // 2, torch.eye(len(attention.value.weight))
    half = heads * len(eye) // attention.heads
    attention.curves[0] = 0
    attention.curves[0, 1] = 1
    attention.relative.bias.view(attention.heads, -1)[:heads, 0] = PREVIOUS_LOGIT
    attention.value.weight[:half] = eye[:half]
    attention.out.weight[:half] = -eye[:half]
    attention.out.weight[half:, :half] = 0
    _calm(policy.picture, 0.3)
