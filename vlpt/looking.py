"""Where words look: the weights of words ask frames, taken while a fused model runs.

    with looking(model) as kept:
        agent.act(frames, memory)
    place_weights(kept[0][0], model.config.policy.patches)

Legend: n lanes; H heads; Q ticks; K rows asked, of which the last P are the patches of the present frame, row by row
from the top left.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def looking(model) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """A context giving a list that grows by (weights (n, H, Q, K), visible (n, Q, K)) with every layer of words that
    asks frames.
    """
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(block, given) -> None:
        kept.append((block.weights(*given), given[2].visible))

    hooks = [block.register_forward_pre_hook(keep) for block in model.words_ask_frames.values()]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def place_weights(kept: list[tuple[Tensor, Tensor]], patches: int) -> Tensor:
    """What `looking` kept of a chunk of one tick -> (n, P) the share of all attention that each patch of the present
    frame has, mean over heads and layers.
    """
    return torch.stack([weights[:, :, 0, -patches:].mean(1) for weights, _ in kept]).mean(0)
