"""A loss that is no number or has exploded ends training in one line, which says what was being learned from.

In: each update's loss and gradient norm, and where its batches come from. Out: nothing, or a ValueError. It is raised
before the update is made, so that neither the weights nor the last checkpoint are touched.

    usual = Usual(explodes_at=20.0)
    usual.check(loss, norm, step, lambda: stage.place(batch))
"""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from vlpt.training.processes import gathered

MOST_NAMED = 12  # stretches of frames in a message
SETTLED = 20  # updates before a mean is one


class Usual:
    """The running mean of the loss, and what is far from it."""

    def __init__(self, explodes_at: float, state: Sequence[float] = (0.0, 0)) -> None:
        self.explodes_at = explodes_at
        self.mean, self.updates = state

    def state(self) -> tuple[float, int]:
        """For a checkpoint."""
        return self.mean, self.updates

    def check(self, loss: float, norm: float, step: int, place: Callable[[], str]) -> None:
        """loss, norm: of update number `step`, the same in all processes; place: asked only when something is wrong.

        Raises ValueError naming what each process was learning from.
        """
        if wrong := self._wrong(loss, norm):
            places = "; ".join(gathered(place()))
            raise ValueError(f"{wrong} at step {step}, learning from {places}: the weights are those of the last "
                             "checkpoint; look at these frames, or lower the learning rate, under another --name")
        self.updates += 1
        self.mean += (abs(loss) - self.mean) / min(self.updates, 100)

    def _wrong(self, loss: float, norm: float) -> str:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the gradient's norm is {norm}"
        if self.updates >= SETTLED and abs(loss) > self.explodes_at * self.mean:
            return f"the loss is {loss:.4g}, {abs(loss) / max(self.mean, 1e-12):.0f} times what it was on average"
        return ""


def stretches(episode: Tensor, frame: Tensor, ids: Sequence[str]) -> str:
    """Frames in words: episode (B, T) numbers in `ids` (-1: nothing), frame (B, T) -> "ch0-00 frames 128 to 255, …"."""
    found: dict[int, list[int]] = {}
    for number, at in zip(episode.flatten().tolist(), frame.flatten().tolist(), strict=True):
        if number >= 0:
            found.setdefault(number, []).append(at)
    named = [f"{ids[number]} frames {min(at)} to {max(at)}" for number, at in list(found.items())[:MOST_NAMED]]
    return ", ".join(named) + (f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")
