"""Picture augmentation for training on play: the list in VPT's paper, one draw per clip.

In: frames (B, T, H, W, 3) uint8 on any device. Out: the same, changed. Colour: hue, saturation, brightness, contrast.
Shape: rotation, scale, shear, translation. All frames of a clip change alike, as motion is read from what differs
between them. Colour is one affine map of RGB and shape one of the plane, so a clip costs one sampling of the plane.

    augmented = augment(frames, np.random.default_rng(0))

Source: VPT (arXiv 2206.11795), appendix on training the inverse dynamics model, whose ranges these are.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = np.array([0.299, 0.587, 0.114])
# RGB -> luma and two chroma axes, in which a change of hue is a rotation (YIQ).
TO_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Ranges:
    """Half-widths of the uniform draws; 0 switches one off."""

    hue_rad: float = 0.2
    saturation: float = 0.2  # factor 1 +- this
    brightness: float = 0.2
    contrast: float = 0.2
    rotation_deg: float = 2.0
    scale: float = 0.02
    shear_deg: float = 2.0
    translation_px: float = 2.0


def augment(frames: Tensor, rng: np.random.Generator | None = None, ranges: Ranges = Ranges()) -> Tensor:
    """frames (B, T, H, W, 3) uint8 -> new frames of the same shape, each clip changed in its own way.

    Without `rng` the draws follow torch's global seed, so that a resumed training goes on as it would have.
    Raises ValueError when frames are of another kind.
    """
    if frames.ndim != 5 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise ValueError(
            f"frames are uint8 (clips, frames, height, width, 3), got {frames.dtype} {tuple(frames.shape)}"
        )
    rng = rng or np.random.default_rng(int(torch.randint(2**62, ())))
    draws = [(draw_colour(rng, ranges), draw_shape(rng, ranges)) for _ in frames]
    colours, shapes = (np.stack(kind) for kind in zip(*draws, strict=True))
    planes = frames.permute(0, 1, 4, 2, 3).flatten(1, 2).float()  # (B, T * 3, H, W): a clip is sampled as one picture
    grid = F.affine_grid(_in_half_widths(shapes, *frames.shape[2:4]).to(frames.device), planes[:, :1].shape,
                         align_corners=True)  # fmt: skip
    moved = F.grid_sample(planes, grid, padding_mode="border", align_corners=True)
    return recolour(moved.unflatten(1, (-1, 3)), torch.from_numpy(colours).to(frames.device))


def recolour(planes: Tensor, colours: Tensor) -> Tensor:
    """planes (B, T, 3, H, W) 0..255, colours (B, 4, 3) -> (B, T, H, W, 3) uint8.

    A clip's colour is a linear map of RGB and, in the last row, how much of the clip's mean RGB is added to it.
    """
    colours = colours.to(planes)
    mean = planes.mean((1, 3, 4))  # (B, 3)
    offset = (mean * colours[:, 3]).sum(1)
    mixed = torch.einsum("btchw,bcd->bthwd", planes, colours[:, :3]) + offset[:, None, None, None, None]
    return mixed.round_().clamp_(0, 255).byte()


def draw_colour(rng: np.random.Generator, ranges: Ranges) -> np.ndarray:
    """(4, 3) float32: a map of RGB, one column a result, and the share of mean RGB about which contrast turns."""
    hue = rng.uniform(-ranges.hue_rad, ranges.hue_rad)
    widths = (ranges.saturation, ranges.brightness, ranges.contrast)
    saturation, brightness, contrast = (1 + rng.uniform(-width, width) for width in widths)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(hue), -np.sin(hue)], [np.sin(hue), np.cos(hue)]]
    grey = np.tile(LUMA, (3, 1))
    linear = (grey + saturation * (np.eye(3) - grey)) @ np.linalg.inv(TO_YIQ) @ turn @ TO_YIQ
    return np.vstack([contrast * brightness * linear.T, (1 - contrast) * brightness * LUMA]).astype(np.float32)


def draw_shape(rng: np.random.Generator, ranges: Ranges) -> np.ndarray:
    """(2, 3): an affine map of the plane, in pixels about the picture's centre."""
    angle, shear = (np.deg2rad(rng.uniform(-width, width)) for width in (ranges.rotation_deg, ranges.shear_deg))
    scale = 1 + rng.uniform(-ranges.scale, ranges.scale)
    shift_px = rng.uniform(-ranges.translation_px, ranges.translation_px, (2, 1))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([scale * rotation @ np.array([[1, np.tan(shear)], [0, 1]]), shift_px])


def _in_half_widths(shapes: np.ndarray, height: int, width: int) -> Tensor:
    """Maps in pixels (B, 2, 3) -> the same in torch's coordinates, which run from -1 to 1 over the picture."""
    half = np.array([(width - 1) / 2, (height - 1) / 2])
    linear = shapes[:, :, :2] * half[None, None, :] / half[None, :, None]
    return torch.from_numpy(np.concatenate([linear, shapes[:, :, 2:] / half[None, :, None]], axis=2)).float()
