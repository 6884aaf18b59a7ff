"""What words say will be done soon: a reader of the last seconds' words, of few numbers, beside cross attention 2.

In: the words that frames may ask (Memory.words) and who sees which. Out: the chance of each thing in vlpt/data/soon.py,
and the frame's vector changed by it: before VPT's blocks 2..n, and after them, where what is told moves the odds of
each key by itself.

    logits = read(the words of the last 1, 2, 4 and 8 seconds, each added up)
    x <- x + tell(logits - what they are without words);    after the blocks: latent <- latent + urge(the same)

Cross attention 2, trained by the next action alone, knows its words by heart before it has learned what they announce:
an announcement is told of in one frame of a hundred. What will be pressed within two seconds is known at every frame,
and a linear reader of sums with small weights learns it from hours of play (docs/log.md). `read` is trained by that
alone, never by the action loss, which sees no more than these few odds and so cannot learn episodes by heart through
them.

Legend: B lanes, Q frames that ask, K words asked, E their width, D the agent's width.
"""

import numpy as np
import torch
from torch import Tensor, nn

from vlpt.clock import Visibility
from vlpt.data.soon import SOON

SPANS = (20, 40, 80, 160)  # frames back
A_SENTENCE = 5.0  # words, whose sum is to be of about unit size
MOST = 6.0  # log odds that words can add or take


def sums(words: Tensor, sees: Visibility) -> Tensor:
    """words (B, K, E), sees: Q frames on K words -> (B, Q, spans E): of each of SPANS, without gradient."""
    within = torch.stack([sees.visible & (sees.age < span) for span in SPANS], 2)  # (B, Q, spans, K)
    found = within.flatten(1, 2).to(words.dtype) @ words.detach() / A_SENTENCE  # (B, Q spans, E)
    return found.unflatten(1, (-1, len(SPANS))).flatten(2)


class Intention(nn.Module):
    """Begins by knowing nothing and telling nothing, so that a new one is not there: a gate before random weights would
    hold both back, as each learns by what the other lets through.
    """

    def __init__(self, words_width: int, width: int) -> None:
        """words_width E, width D."""
        super().__init__()
        self.read = nn.Linear(len(SPANS) * words_width, SOON)
        self.tell, self.urge = (nn.Linear(SOON, width, bias=False) for _ in range(2))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    @property
    def is_fresh(self) -> bool:
        """Nothing has been learned yet."""
        return not self.read.weight.any()

    @torch.no_grad()
    def begin_with(self, share: np.ndarray) -> None:
        """share (SOON,): of frames at which each thing is done soon, whatever is said."""
        self.read.bias.copy_(torch.logit(torch.from_numpy(share).float(), eps=1e-4))

    def logits(self, words: Tensor) -> Tensor:
        """words (B, Q, spans E), as `sums` adds them up -> (B, Q, SOON)."""
        return self.read(words)

    def told(self, logits: Tensor) -> Tensor:
        """logits (B, Q, SOON) -> (B, Q, SOON): what words add to the log odds, exactly 0 where no word is seen. Of the
        size of a frame's vector, as chances would not be.
        """
        return (logits - self.read.bias).detach().clamp(-MOST, MOST)
