"""What the agent did at the frame before, as an input: a hand that feels what it does.

In: indices of the two joint classes. Out: a vector, added to the trunk's output. Not in the released models, which see
one picture at a time and learn motion from very much play; an agent of few hours does not (it lets go of a key that
people hold). Its last layer starts at 0, so that an agent that gets this plays as before at first.

Legend: B lanes, T frames in a chunk, D agent width.
"""

import numpy as np
import torch
from torch import Tensor, nn

from vpt.actions import MINECRAFT

INPUTS = len(MINECRAFT.buttons) + 2  # and two angles


class LastAction(nn.Module):
    """Buttons and camera of the frame before -> (B, T, D); exactly 0 where they are not known."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(INPUTS, width), nn.GELU(), nn.Linear(width, width, bias=False))
        nn.init.zeros_(self.network[2].weight)
        buttons, camera = _tables()
        self.register_buffer("buttons", buttons, persistent=False)
        self.register_buffer("camera", camera, persistent=False)

    def forward(self, last_action: Tensor) -> Tensor:
        """last_action (B, T, 2) int64: buttons and camera index, -1 where not known."""
        known = (last_action >= 0).all(-1, keepdim=True)
        buttons, camera = last_action.clamp(min=0).unbind(-1)
        camera = self.camera[camera] * MINECRAFT.camera_meta(buttons)[..., None]
        return self.network(torch.cat([self.buttons[buttons], camera], -1)) * known


def _tables() -> tuple[Tensor, Tensor]:
    """Of every class: 20 buttons, 0 or 1; pitch and yaw, -1 to 1 by bins, which are finer for small angles."""
    space = MINECRAFT
    buttons, _ = space.decode_bins(np.arange(space.n_buttons_index), np.zeros(space.n_buttons_index, int))
    row, column = np.divmod(np.arange(space.n_camera_index), space.camera.n_bins)
    camera = np.stack([row, column], -1) / space.camera.null_bin - 1
    return torch.from_numpy(buttons).float(), torch.from_numpy(camera).float()
