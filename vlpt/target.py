"""Where the thing is that words name, beside the view or in which column of it: a reader of words and of the picture.

In: the last seconds' words as sums (vlpt/intention.py), which of a few names were said, the patches of a frame. Out:
the odds of each place of vlpt/data/destination.py, and the frame's vector changed by what words add to them: before
VPT's blocks 2..n, and after them, where what is told moves the odds of each key by itself.

    logit of a column <- look(patches of the column), and names said . look(the same) as far as words announce a walk
    logit of a place  <- say(the words of the last 1, 2, 4 and 8 seconds, each added up)

The names are the words that the picture tells where walks end (vlpt/training/naming.py), a dozen: a product of all
words and all patches learns the episodes by heart before it has learned what is red (docs/log.md). It is trained by
destinations alone, never by the action loss, which sees no more than these few odds.

Legend: B lanes, Q frames, G names, P patches of a frame, C their width, D the agent's width.
"""

import torch
from torch import Tensor, nn

from vlpt.clock import Visibility
from vlpt.data.destination import COLUMNS, PLACES, UNKNOWN
from vlpt.intention import SPANS

SAID_FRAMES = SPANS[-1]  # how far back a name counts
CERTAIN, DOUBT = 0.9, 0.1 / (PLACES - 1)  # chances of the place that is told, and of each other
MOST = 6.0  # log odds that words can add or take


def by_column(patches: Tensor) -> Tensor:
    """(B, Q, P, C), row by row -> (B, Q, COLUMNS, rows C), each from top to bottom."""
    return patches.unflatten(2, (-1, COLUMNS)).transpose(2, 3).flatten(3)


class Target(nn.Module):
    """Begins by knowing nothing and telling nothing, so that a new one is not there."""

    def __init__(self, names: int, words_width: int, patches: tuple[int, int], width: int) -> None:
        """names G, words_width E, patches: P and C, width D."""
        super().__init__()
        if patches[0] != COLUMNS**2:
            raise ValueError(f"a reader of targets looks at {COLUMNS} x {COLUMNS} patches, this agent has {patches[0]}")
        wide = COLUMNS * patches[1]
        self.look = nn.Linear(wide, 1 + names, bias=False)  # whatever is said, and for each name
        self.announce = nn.Linear(len(SPANS) * words_width, 1)
        self.say = nn.Linear(len(SPANS) * words_width, PLACES)
        self.tell, self.urge = (nn.Linear(PLACES, width, bias=False) for _ in range(2))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("names", torch.full((names,), -1))  # token ids; -1: none
        self.register_buffer("mean", torch.zeros(patches[1]))
        self.register_buffer("scale", torch.ones(patches[1]))

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """What reads; to be kept small."""
        return self.look.weight, self.announce.weight, self.say.weight

    @property
    def is_fresh(self) -> bool:
        """Nothing has been learned yet."""
        return not self.look.weight.any()

    @torch.no_grad()
    def begin_with(self, names: Tensor, mean: Tensor, scale: Tensor) -> None:
        """names: at most G token ids; mean and scale (C,) of patches."""
        self.names.fill_(-1)
        self.names[: len(names)] = names
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def named(self, ids: Tensor) -> Tensor:
        """Tokens (B, L) -> (B, L, G) bool: which name each is."""
        return ids[..., None] == self.names

    def said(self, words: Tensor, sees: Visibility) -> Tensor:
        """words (B, K, E + G), sees: Q frames on K words -> (B, Q, G): 1 for a name said in the last SAID_FRAMES."""
        lately = sees.visible & (sees.age < SAID_FRAMES)  # (B, Q, K)
        return (lately.to(words.dtype) @ words[..., -len(self.names) :]).clamp(max=1)

    def told(self, logits: Tensor, silent: Tensor, destination: Tensor | None = None) -> Tensor:
        """Both as of `logits` -> (B, Q, PLACES): what words add to the log odds, exactly 0 where no word is seen; where
        a destination (B, Q) int64 is known, what words would add that leave little doubt of it.
        """
        found = logits.log_softmax(2)
        if destination is not None:
            surely = nn.functional.one_hot(destination.clamp(min=0), PLACES) * (CERTAIN - DOUBT) + DOUBT
            found = torch.where((destination != UNKNOWN)[..., None], surely.log(), found)
        return (found - silent.log_softmax(2)).detach().clamp(-MOST, MOST)

    def logits(self, sums: Tensor, said: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """sums (B, Q, spans E); said (B, Q, G), 1 for a name that was said; patches (B, Q, P, C) -> (B, Q, PLACES)
        twice: with words, and without them.
        """
        patches = (patches - self.mean) * self.scale
        columns = by_column(patches)
        found = self.look(columns)  # (B, Q, columns, 1 + G)
        named = (found[..., 1:] * said[:, :, None]).sum(3) * 2 * self.announce(sums).sigmoid()
        beside = (1, 1)
        silent = nn.functional.pad(found[..., 0], beside) + self.say.bias
        return silent + nn.functional.pad(named, beside) + nn.functional.linear(sums, self.say.weight), silent
