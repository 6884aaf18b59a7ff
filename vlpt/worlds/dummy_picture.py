"""How the dummy world is drawn: a checkered ground, sky and coloured boxes, seen through a 72-degree lens.

In: boxes, where the eye is and looks, a `Look` of one of the scenes (contract.py). Out: pictures. Used by dummy.py.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np

from vlpt.worlds.contract import OTHER_TEXTURES, OTHER_TIME

__all__ = ["GROUND_Y", "Box", "Look", "distance", "draw"]

GROUND_Y, FOV_DEG = 8.5, 72.0
RGB = {"wool:red": (200, 30, 30), "wool:blue": (40, 60, 210), "wool:yellow": (235, 210, 40),
       "wool:green": (60, 190, 50), "wool:white": (235, 235, 235), "default:tree": (95, 65, 35),
       "default:sand": (215, 200, 140),
       "default:dirt": (120, 80, 50), "default:stone": (125, 125, 125), "flowers:rose": (230, 60, 120),
       "default:cobble": (105, 105, 110), "default:stonebrick": (80, 90, 100)}  # fmt: skip
NAMED_BY_COLOUR = ("wool:", "flowers:")


@dataclass(frozen=True)
class Look:
    """How things are drawn."""

    rgb: dict[str, tuple[float, ...]] = field(default_factory=lambda: RGB)  # of each node
    ground: tuple[float, ...] = (0.7, 1.0, 0.5)
    light: float = 1.0

    @classmethod
    def of(cls, scene: str, seed: int) -> Look:
        """Of one of SCENES."""
        if scene == OTHER_TIME:
            return cls(light=0.45)
        if scene != OTHER_TEXTURES:
            return cls()
        random = np.random.default_rng(seed)
        rgb = {node: colour if node.startswith(NAMED_BY_COLOUR) else _other_hue(colour, random)
               for node, colour in RGB.items()}  # fmt: skip
        return cls(rgb, _other_hue((0.7, 1.0, 0.5), random))


def _other_hue(rgb: tuple[float, ...], random: np.random.Generator) -> tuple[float, ...]:
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    return colorsys.hsv_to_rgb((hue + random.uniform(0.25, 0.75)) % 1.0, max(saturation, 0.35), value)


@dataclass(frozen=True)
class Box:
    """A column of one node: 1 m square around (x, z), `height` m high."""

    node: str
    x: float
    z: float
    height: int


def distance(eye: np.ndarray, rays: np.ndarray, box: Box) -> np.ndarray:
    """(N,) metres along each unit ray (N, 3) to the box, infinite where it is missed (slab method)."""
    low = (np.array([box.x - 0.5, GROUND_Y, box.z - 0.5]) - eye).astype(rays.dtype)
    high = low + np.array([1.0, box.height, 1.0], rays.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = low / rays, high / rays
    enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    return np.where((enter <= leave) & (leave > 0), np.maximum(enter, 0.0), np.inf)


def draw(eye: np.ndarray, yaw_deg: float, pitch_deg: float, size: tuple[int, int], boxes: list[Box],
         tiles: np.ndarray, look: Look) -> np.ndarray:  # fmt: skip
    """(H, W, 3) uint8 RGB seen from `eye`."""
    width, height = size
    scale = np.tan(np.radians(FOV_DEG / 2)) / (height / 2)
    right = (np.arange(width) + 0.5 - width / 2) * scale
    down = (np.arange(height) + 0.5 - height / 2) * scale
    x, y = np.meshgrid(right, down)
    pitch, yaw = np.radians(pitch_deg), np.radians(yaw_deg)
    rise, ahead = -(y * np.cos(pitch) + np.sin(pitch)), np.cos(pitch) - y * np.sin(pitch)
    rays = np.stack([x * np.cos(yaw) + ahead * np.sin(yaw), rise, ahead * np.cos(yaw) - x * np.sin(yaw)], -1)
    rays = rays.reshape(-1, 3)
    rays = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)  # half the bytes, twice the speed
    below = rays[:, 1] < -1e-3
    depth = np.where(below, (GROUND_Y - eye[1]) / np.where(below, rays[:, 1], -1.0), np.inf)
    colour = np.where(below[:, None], 0.0, np.array([130.0, 180.0, 235.0]))
    hit = eye[[0, 2]] + rays[below][:, [0, 2]] * depth[below, None]
    tile = tiles[tuple((np.floor(hit).astype(int) % 64).T)]
    colour[below] = tile[:, None] * np.array(look.ground)
    for box in boxes:
        aside = np.arctan2(box.x - eye[0], box.z - eye[2]) - yaw
        if np.cos(aside) * np.cos(pitch) < -0.2 and np.hypot(box.x - eye[0], box.z - eye[2]) > 2:
            continue  # behind us
        far = distance(eye, rays, box)
        nearer = far < depth
        depth = np.where(nearer, far, depth)
        # stripes, so that a near face is not one flat colour
        edge = (eye + rays[nearer] * far[nearer, None]).sum(-1) % 1.0 < 0.15
        colour[nearer] = np.array(look.rgb[box.node]) * np.where(edge, 0.7, 1.0)[:, None]
    return np.clip(colour * look.light, 0, 255).astype(np.uint8).reshape(height, width, 3)
