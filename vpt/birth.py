"""Networks made anew that see motion from the start, as far as an initialisation within the released architecture can.

In: a model with the published random weights. Out: the same model, changed in place. Nothing here concerns released or
trained weights. What was pressed shows in how the picture moves, which random filters drown in what stands still:

    see_motion(idm)         the inverse dynamics model's filters tell left from right and up from down
    see_change(policy)      half of block 1 holds what changed since the frame before
    standardise(model, run) every norm's output has mean 0 and variance 1 over data, so that small signals count
    expect(head, frequency) a head begins with the frequencies of its classes

Data-dependent scaling: Mishkin & Matas 2015 (1511.06422). Motion from the sign of gradient x change: Lucas & Kanade
1981. What each is worth: docs/log.md.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vpt.cnn import PictureNorm

GREY = torch.tensor([0.3, 0.6, 0.1])
NOW, AFTER = 4, 5  # channels of the 3-D convolution that keep the brightness of these frames
LEAST_DEVIATION = 0.1  # of a norm's output: what hardly ever moves is not blown up
PREVIOUS_LOGIT = 12.0  # score of the frame before over all others


@torch.no_grad()
def standardise(model: nn.Module, run: Callable[[], object]) -> None:
    """Sets scale and shift of every norm so that its output is standard, per channel, over what `run()` shows.

    run: calls the model once; a norm that is used several times is set at its first use.
    """

    def hook(norm: nn.Module, _, output: Tensor) -> Tensor:
        axes = tuple(range(output.ndim - 1))
        mean, deviation = output.mean(axes), output.std(axes).clamp_min(LEAST_DEVIATION)
        norm.weight.div_(deviation)
        norm.bias.sub_(mean).div_(deviation)
        hooks.pop(norm).remove()
        return (output - mean) / deviation

    norms = [module for module in model.modules() if isinstance(module, (nn.LayerNorm, PictureNorm))]
    hooks = {norm: norm.register_forward_hook(hook) for norm in norms}
    run()
    for unused in hooks.values():
        unused.remove()


@torch.no_grad()
def expect(head, frequency: Tensor) -> None:
    """A categorical head begins with these frequencies (as many as it has classes), hardly swayed by its input."""
    head.linear.bias.copy_(frequency.flatten().log() * head.temperature)
    head.linear.weight.mul_(0.1)


@torch.no_grad()
def see_motion(idm) -> None:
    """The inverse dynamics model's first filters compare frames, the next ones brightness gradient and change.

    |gradient + change| - |gradient - change| is positive where the picture moves one way, negative where it moves the
    other, and 0 where it stands still. The first stack makes the four halves of each absolute value, the second their
    difference, both ways; the third hands them on, and the dense layer begins with their mean over the picture.
    Raises ValueError when there are too few channels.
    """
    stacks = idm.picture.stacks
    if idm.config.conv_channels < 6 or len(stacks) != 3 or idm.config.channels[0] < 8:
        raise ValueError(f"seeing motion takes 6 temporal and 8 first channels in 3 stacks, not {idm.config}")
    _see_change(idm.temporal.conv.weight)
    first, second, third = (stack.convolution.conv.weight for stack in stacks)
    first[:8] = 0
    for axis, ((y0, x0), (y1, x1)) in enumerate((((1, 0), (1, 2)), ((0, 1), (2, 1)))):
        plus, minus = 2 * axis, 2 * axis + 1  # channels of the second stack: motion this way, that way
        for i, (side, sign) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1)), start=4 * axis):
            first[i, NOW : AFTER + 1, y1, x1] = 0.5 * side
            first[i, NOW : AFTER + 1, y0, x0] = -0.5 * side
            first[i, :2, 1, 1] = 0.2 * torch.tensor([sign, -sign])
        halves = torch.tensor([1.0, -1.0, -1.0, 1.0])[:, None, None]
        for weight, inputs, pattern in ((second, slice(4 * axis, 4 * axis + 4), halves),
                                        (third, slice(plus, minus + 1), torch.tensor([1.0, -1.0])[:, None, None])):
            for channel, way in ((plus, 1), (minus, -1)):
                weight[channel] = 0
                weight[channel, inputs] = way * pattern.expand(-1, 3, 3)
                weight[channel] *= 3 / weight[channel].norm()  # three times as loud as the random ones
    for stack in stacks:
        for residual in stack.residuals:
            residual.second.conv.weight.mul_(0.2)
    dense = idm.picture.dense.linear.weight
    by_channel = dense.view(len(dense), idm.config.channels[-1], -1)
    for i in range(min(32, len(dense) // 2)):
        by_channel[i] = 0
        by_channel[i, i % 4] = 1.4 / by_channel.shape[-1] ** 0.5


def _see_change(weight: Tensor) -> None:
    """weight (C, 3, 5, 1, 1): both signs of (after - now) and (now - before), then now, then after; no others."""
    before, now, after = (torch.zeros(3, 5).index_copy_(1, torch.tensor([t]), GREY[:, None]) for t in (1, 2, 3))
    change = (after - now, now - after, now - before, before - now)
    filters = torch.stack([5 * part for part in change] + [now, after])
    weight[: len(filters)] = filters[:, :, :, None, None]


@torch.no_grad()
def see_change(policy) -> None:
    """Half of the heads of block 1 look at the frame before and take it off their half of the stream.

    So that half of the stream is the change of the picture's summary, the other half the summary itself.
    """
    attention = policy.blocks[0].attention
    heads = attention.heads // 2
    half = heads * attention.value.weight.shape[0] // attention.heads
    attention.curves[0] = 0
    attention.curves[0, 1] = 1
    attention.relative.bias.view(attention.heads, -1)[:heads, 0] = PREVIOUS_LOGIT
    attention.value.weight[:half] = torch.eye(*attention.value.weight.shape)[:half]
    attention.out.weight[:half] = -torch.eye(*attention.out.weight.shape)[:half]
    attention.out.weight[half:, :half] = 0
    for stack in policy.picture.stacks:
        for residual in stack.residuals:
            residual.second.conv.weight.mul_(0.3)
