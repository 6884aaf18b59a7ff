"""Picture augmentation for training on play: the list in VPT's paper, one draw per clip.

In: frames (B, T, H, W, 3) uint8. Out: the same, changed. Colour: hue, saturation, brightness, contrast. Shape:
rotation, scale, shear, translation. All frames of a clip change alike, as motion is read from what differs between
them. Colour is one affine map of RGB and shape one of the plane, so a frame costs 0.1 ms.

    augmented = augment(frames, np.random.default_rng(0))

Source: VPT (arXiv 2206.11795), appendix on training the foundation models; the ranges are the fields' defaults.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
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
    out = np.empty(frames.shape, dtype=np.uint8)
    for clip, changed in zip(frames.cpu().numpy(), out, strict=True):
        height, width = clip.shape[1:3]
        colour = draw_colour(rng, ranges, clip.mean((0, 1, 2)) @ LUMA)
        x_map, y_map = cv2.convertMaps(*_source_px(draw_shape(rng, ranges), height, width), cv2.CV_16SC2)
        for frame, target in zip(clip, changed, strict=True):
            moved = cv2.remap(frame, x_map, y_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            cv2.transform(moved, colour, dst=target)
    return torch.from_numpy(out).to(frames.device)


def draw_colour(rng: np.random.Generator, ranges: Ranges, mean_luma: float) -> np.ndarray:
    """(3, 4): a linear map of RGB in 0..255 and an offset; contrast turns about the clip's mean luma."""
    hue = rng.uniform(-ranges.hue_rad, ranges.hue_rad)
    widths = (ranges.saturation, ranges.brightness, ranges.contrast)
    saturation, brightness, contrast = (1 + rng.uniform(-width, width) for width in widths)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(hue), -np.sin(hue)], [np.sin(hue), np.cos(hue)]]
    grey = np.tile(LUMA, (3, 1))
    linear = (grey + saturation * (np.eye(3) - grey)) @ np.linalg.inv(TO_YIQ) @ turn @ TO_YIQ
    offset = np.full((3, 1), (1 - contrast) * brightness * mean_luma)
    return np.hstack([contrast * brightness * linear, offset])


def draw_shape(rng: np.random.Generator, ranges: Ranges) -> np.ndarray:
    """(2, 3): an affine map of the plane, in pixels about the picture's centre."""
    angle, shear = (np.deg2rad(rng.uniform(-width, width)) for width in (ranges.rotation_deg, ranges.shear_deg))
    scale = 1 + rng.uniform(-ranges.scale, ranges.scale)
    shift_px = rng.uniform(-ranges.translation_px, ranges.translation_px, (2, 1))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([scale * rotation @ np.array([[1, np.tan(shear)], [0, 1]]), shift_px])


def _source_px(shape: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of the result, the (x, y) it is taken from: two (height, width) float32."""
    y, x = np.mgrid[0:height, 0:width]
    centre = np.array([[(width - 1) / 2], [(height - 1) / 2]])
    source = shape[:, :2] @ (np.stack([x.ravel(), y.ravel()]) - centre) + shape[:, 2:] + centre
    return tuple(axis.reshape(height, width).astype(np.float32) for axis in source)
