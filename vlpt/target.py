"""Where the thing is that words mean, beside the view or in which column of it: a reader of words and of what is found.

In: the last seconds' words as sums (vlpt/intention.py), and where in the picture each kind of thing is (vpt/finder.py).
Out: which thing is meant, and the frame's vector changed by how likely that makes each place: before VPT's blocks 2..n,
and after them, where what is told moves the odds of each key by itself.

    told(place) = sum over things of (P(thing | words) - P(thing)) log P(place | where it is found) / P(any place)

What words mean is learned from what the data say an errand is to (vlpt/data/meant.py), never by the action loss,
which sees no more than the odds of a few places. What is not found is looked for to the right, until it is.

Legend: B lanes, Q frames, K kinds of things, C columns, E width of words, D the agent's width.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from vlpt.data.destination import PLACES
from vlpt.data.meant import UNKNOWN
from vlpt.intention import SPANS

CERTAIN, DOUBT = 0.9, 0.1 / (PLACES - 1)  # chances of the place that is told, and of each other
NEVER = -9.0  # log odds of turning to the left for what is not found
MOST = 6.0  # nats by which a place can be likelier, or less likely


class Target(nn.Module):
    """Begins by knowing no words and telling nothing, so that a new one is not there."""

    def __init__(self, things: int, words_width: int, width: int) -> None:
        """things K, words_width E, width D."""
        super().__init__()
        self.name = nn.Linear(len(SPANS) * words_width, things + 1)  # which is meant; the last: none of them
        self.tell, self.urge = (nn.Linear(PLACES, width, bias=False) for _ in range(2))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def meant(self, sums: Tensor) -> Tensor:
        """sums (B, Q, spans E) -> (B, Q, K + 1) log-probabilities of which thing is meant, the last: none."""
        return self.name(sums).log_softmax(2)

    def told(self, log_meant: Tensor, found: Tensor, destination: Tensor | None = None) -> Tensor:
        """log_meant (B, Q, K + 1), found (B, Q, K, C) -> (B, Q, PLACES): how much likelier than any other each place is
        for the thing that is meant, as far as words say so, in nats: exactly 0 where no word is seen; where a
        destination (B, Q) int64 is known, as if words had left little doubt of it.
        """
        likelier = (places_of(found) + math.log(PLACES)).clamp(-MOST, MOST)
        silent = self.name.bias.log_softmax(0)
        by_words = ((log_meant - silent).expm1() * silent.exp())[..., :-1]  # by how much more likely they make each
        told = (by_words[..., None, :] @ likelier)[..., 0, :]
        if destination is not None:
            surely = one_hot(destination.clamp(min=0), PLACES) * (CERTAIN - DOUBT) + DOUBT
            told = torch.where((destination != UNKNOWN)[..., None], surely.log() + math.log(PLACES), told)
        return told.detach()


def places_of(found: Tensor) -> Tensor:
    """found (B, Q, K, C) log odds -> (B, Q, K, PLACES) log-probabilities of where one goes to each thing."""
    return pad(pad(found, (1, 0), value=NEVER), (0, 1)).log_softmax(3)
