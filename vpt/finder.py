"""Where in the picture each kind of thing is: a small network beside the agent's own picture encoder, whose patches
hardly tell things apart that are far away (docs/log.md).

In: pictures (N, px, px, 3) uint8. Out: (N, K, COLUMNS), of each kind of thing and each column of the picture from left
to right how surely it is there, log odds. It is part of what is made of a picture once (Policy.encode_frames) and is
trained on its own (train.py finder).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COLUMNS = 16
RARE = -6.0  # log odds of a thing in one place, before anything is learned
WIDTH = 16  # channels of the first convolution
FRAMES_PER_CALL = 256


class Finder(nn.Module):
    """Four convolutions, of which three halve the picture; what is found in a column is found in one of its places."""

    def __init__(self, things: int, px: int = 128) -> None:
        """things: K. Raises ValueError for a picture whose width does not divide 8 COLUMNS pixels."""
        super().__init__()
        if 8 * COLUMNS % px:
            raise ValueError(f"a finder looks at pictures whose width divides {8 * COLUMNS} pixels, not at {px}")
        self.convolutions = nn.ModuleList([
            nn.Conv2d(3, WIDTH, 5, 2, 2), nn.Conv2d(WIDTH, 2 * WIDTH, 3, 2, 1),
            nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, 2, 1), nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, 1, 1),
        ])  # fmt: skip
        self.maps = nn.Conv2d(2 * WIDTH, things, 1)
        nn.init.constant_(self.maps.bias, RARE)

    def forward(self, frames: Tensor) -> Tensor:
        calls = frames.split(FRAMES_PER_CALL) if frames.device.type == "cpu" else (frames,)
        return torch.cat([self._find(part) for part in calls])

    def _find(self, frames: Tensor) -> Tensor:
        x = frames.permute(0, 3, 1, 2) / 255 - 0.5
        for convolution in self.convolutions:
            x = F.gelu(convolution(x))
        found = self.maps(x).logsumexp(2)  # (N, K, px / 8)
        return found.repeat_interleave(COLUMNS // found.shape[2], 2)
