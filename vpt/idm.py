"""VPT's inverse dynamics model: which keys and mouse motion turn each frame of a clip into the next.

In: frames (B, T, 128, 128, 3) uint8 of any length T. Out: log-probabilities of each button (pressed or not) and of
the two camera bins, for each frame. It sees the past and the future: a 3-D convolution over five frames, then
attention from every frame of the clip to every other, without memory.

    idm = IDM(IDM_SIZES["tiny"])
    output = idm(frames)
    buttons, camera_bins = output.greedy()

`lastlayer`: the released code computes its last dense layer and then discards the result ("discarded", the default,
needed for the same numbers); "used" passes through it as the agent does, for models trained here or to be compared.
`max_distance`: attention in the released model does not know in which order the frames come (0, the default): all it
knows of time is what the five-frame convolution saw. Models trained here learn a bias on the distance between frames,
the agent's bias on age turned both ways; without it keys are taken for pressed a frame too early or late.

Legend: B clips, T frames, C channels of the 3-D convolution, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vpt.attention import Block
from vpt.checkpoint import Pretrained
from vpt.cnn import Dense, PictureEncoder
from vpt.heads import CategoricalHead, log_prob
from vpt.motion import TemporalConvolution, encode_runs
from vpt.policy import check_frames


@dataclass(frozen=True)
class IDMConfig:
    """Sizes of an inverse dynamics model; the defaults are the released 4x."""

    width: int = 4096  # D
    heads: int = 32
    blocks: int = 2
    timesteps: int = 128  # frames of a training clip; others may have any length
    conv_channels: int = 128  # C
    impala_width: float = 16.0
    impala_channels: tuple[int, ...] = (16, 32, 32)
    mlp_ratio: int = 4
    px: int = 128
    temperature: float = 4.0
    n_buttons: int = 20
    n_bins: int = 11
    lastlayer: str = "discarded"
    max_distance: int = 0  # frames between query and key up to which attention tells distances apart, both ways

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(int(self.impala_width * c) for c in self.impala_channels)

    def __post_init__(self) -> None:
        if self.lastlayer not in ("discarded", "used"):
            raise ValueError(f"lastlayer is 'discarded' or 'used', not {self.lastlayer!r}")
        if self.max_distance < 0:
            raise ValueError(f"max_distance is a number of frames, 0 for none, not {self.max_distance}")


IDMSize = Literal["tiny", "small", "1x", "4x"]
IDM_SIZES: dict[IDMSize, IDMConfig] = {
    "tiny": IDMConfig(width=128, heads=4, conv_channels=8, impala_width=0.5),
    "small": IDMConfig(width=512, heads=8, conv_channels=32, impala_width=2.0),
    "1x": IDMConfig(width=1024, heads=8, conv_channels=64, impala_width=4.0),
    "4x": IDMConfig(),
}


@dataclass(frozen=True)
class IDMOutput:
    """Log-probabilities for each frame."""

    buttons: Tensor  # (B, T, 20, 2): not pressed, pressed
    camera: Tensor  # (B, T, 2, 11): pitch and yaw bins
    latent: Tensor  # (B, T, D)

    def greedy(self) -> tuple[Tensor, Tensor]:
        """The most likely buttons (B, T, 20) and camera bins (B, T, 2), int64."""
        return self.buttons.argmax(-1), self.camera.argmax(-1)

    def log_prob(self, buttons: Tensor, camera_bins: Tensor) -> Tensor:
        """(B, T) nats of buttons (B, T, 20) and camera_bins (B, T, 2), all heads added."""
        return log_prob(self.buttons, buttons.long()).sum(-1) + log_prob(self.camera, camera_bins.long()).sum(-1)

    def confidence(self) -> Tensor:
        """(B, T) in 0..1: the probability of the greedy action, all heads together."""
        return self.log_prob(*self.greedy()).exp()


def mirror_camera(camera: Tensor) -> Tensor:
    """(..., 2, 11) of pitch and yaw bins -> the same as in a mirror: the yaw turned round."""
    return torch.stack([camera[..., 0, :], camera[..., 1, :].flip(-1)], dim=-2)


class IDM(nn.Module, Pretrained):
    """VPT's inverse dynamics model; see the top of the file."""

    config_class = IDMConfig

    def __init__(self, config: IDMConfig) -> None:
        super().__init__()
        c = self.config = config
        self.temporal = TemporalConvolution(c.conv_channels)
        self.picture = PictureEncoder(c.conv_channels, c.channels, c.width, c.px, raw=False)
        distances = 2 * c.max_distance + 1 if c.max_distance else 0
        self.blocks = nn.ModuleList(Block(c.width, c.heads, distances, c.blocks, c.mlp_ratio) for _ in range(c.blocks))
        self.last = Dense(c.width, c.width)
        self.final_norm = nn.LayerNorm(c.width)
        self.buttons = CategoricalHead(c.width, 2, (c.n_buttons,), c.temperature)
        self.camera = CategoricalHead(c.width, c.n_bins, (2,), c.temperature)

    def embed(self, frames: Tensor) -> Tensor:
        """frames (B, T, 128, 128, 3) uint8 -> (B, T, D)."""
        check_frames(frames, self.config.px)
        return self.encode([self.temporal.padded(frames)]).unflatten(0, frames.shape[:2])

    def encode(self, runs: Sequence[Tensor]) -> Tensor:
        """See `encode_runs`: runs with two neighbours at either end -> (frames in order, D)."""
        return encode_runs(self.temporal, self.picture, runs)

    def finish(self, x: Tensor) -> Tensor:
        """Output of the last block (B, T, D) -> latent (B, T, D), through the last layer or not: see `lastlayer`."""
        x = F.relu(x)
        return self.final_norm(self.last(x) if self.config.lastlayer == "used" else x)

    def predict(self, x: Tensor) -> IDMOutput:
        """x (B, T, D) as `embed` gives it -> IDMOutput."""
        for block in self.blocks:
            x = block.all_to_all(x)
        latent = self.finish(x)
        return IDMOutput(self.buttons(latent), self.camera(latent), latent)

    def forward(self, frames: Tensor) -> IDMOutput:
        """frames (B, T, 128, 128, 3) uint8 -> IDMOutput."""
        return self.predict(self.embed(frames))


def with_distances(idm: IDM, max_distance: int) -> IDM:
    """The same function, able to learn how far apart frames are (`max_distance`): the bias on distance begins at 0.

    Raises ValueError when the model tells other distances apart already.
    """
    known = idm.config.max_distance
    if known == max_distance:
        return idm
    if known:
        raise ValueError(
            f"this inverse dynamics model tells distances up to {known} frames apart and cannot begin anew "
            f"with {max_distance}: ask for {known}, or train from nothing"
        )
    able = IDM(replace(idm.config, max_distance=max_distance))
    curves = {name: torch.zeros_like(x) for name, x in able.state_dict().items() if name.endswith(".curves")}
    able.load_state_dict(idm.state_dict() | curves)
    return able
