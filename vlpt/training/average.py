"""A running mean of the weights, for play: steadier than the weights of any one update. Polyak and Juditsky 1992.

In: the parameters that are trained, after each update. Out: `mean = decay * mean + (1 - decay) * weights`, from the
weights that training began with; no warm-up: what the first updates found counts 1 / (1 - decay) updates long.

    average = Average(model, 0.999)
    average.update()
"""

import torch
from torch import Tensor, nn

from vlpt.training.parallel import local, sharded_as


class Average:
    """The mean of each trained parameter, sharded as it is. decay 0: none is kept."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad} if decay else {}
        self.parameters = trained
        self.means = {name: p.detach().clone() for name, p in trained.items()}

    def update(self) -> None:
        """Takes the weights as they are now into the mean."""
        if self.means:
            means, weights = ([local(x.detach()) for x in each.values()] for each in (self.means, self.parameters))
            torch._foreach_lerp_(means, weights, 1 - self.decay)

    def state(self) -> dict[str, Tensor]:
        """The means, sharded as they are."""
        return dict(self.means)

    def load(self, state: dict[str, Tensor]) -> None:
        """What `state` gave."""
        for name, mean in self.means.items():
            local(mean).copy_(local(sharded_as(state[name], self.parameters[name])))
