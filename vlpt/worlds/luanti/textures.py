"""Other textures for what an arena is made of: the game's own, in another hue and under a pattern, from a seed.

In: a folder, a seed. Out: a texture pack there, for the game's setting `texture_path`: pictures of the ground, heaps,
trees, walls and steps. How light or dark a thing is stays about as it was; what is called by its colour (wool, flowers)
and what the hand holds stays as it is.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

__all__ = ["THINGS", "write_textures"]

GAME = Path("/usr/share/games/minetest/games/minetest_game/mods/default/textures")
THINGS: dict[str, tuple[str, ...]] = {  # what has a hue and a pattern of its own: its pictures
    "grass": ("grass", "grass_side", "grass_1", "grass_2", "grass_3", "grass_4", "grass_5"),
    "dry grass": ("dry_grass", "dry_grass_side"), "litter": ("coniferous_litter", "coniferous_litter_side"),
    "rainforest": ("rainforest_litter", "rainforest_litter_side"), "snow": ("snow", "snow_side"),
    "dirt": ("dirt", "dry_dirt"), "sand": ("sand", "desert_sand", "silver_sand"),
    "stone": ("stone", "desert_stone"), "cobble": ("cobble", "mossycobble"),
    "trunks": ("tree", "tree_top", "jungletree", "jungletree_top", "pine_tree", "pine_tree_top", "acacia_tree",
               "acacia_tree_top", "aspen_tree", "aspen_tree_top"),
    "leaves": ("leaves", "leaves_simple", "jungleleaves", "jungleleaves_simple", "pine_needles", "acacia_leaves",
               "acacia_leaves_simple", "aspen_leaves"),
    "bricks": ("stone_brick", "desert_stone_brick", "sandstone_brick", "brick"), "boards": ("wood", "pine_wood"),
}  # fmt: skip
LEAST_SATURATION = 70  # of 255: a grey stone is seen to be of another colour, too
DARKER = 0.72  # the lines of a pattern


def write_textures(folder: Path, seed: int) -> None:
    """Makes the folder and fills it; the same for the same seed."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for names in THINGS.values():
        turn, pattern = float(random.uniform(80, 280)), draw_pattern(random)
        for name in names:
            picture = cv2.imread(str(GAME / f"default_{name}.png"), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(folder / f"default_{name}.png"), repaint(picture, turn, pattern))


def repaint(picture: np.ndarray, turn_deg: float, pattern: np.ndarray) -> np.ndarray:
    """picture (H, W), (H, W, 3) or (H, W, 4) uint8, BGR with or without how opaque it is; pattern (16, 16) bool."""
    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture
    bgr, rest = picture[..., :3], picture[..., 3:]
    hue, saturation, value = np.moveaxis(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV).astype(float), -1, 0)
    dark = np.resize(pattern, bgr.shape[:2])
    hsv = np.stack([(hue + turn_deg / 2) % 180, np.maximum(saturation, LEAST_SATURATION),
                    value * np.where(dark, DARKER, 1.0)], -1)  # fmt: skip
    turned = cv2.cvtColor(np.rint(hsv).astype(np.uint8), cv2.COLOR_HSV2BGR)
    return np.concatenate([turned, rest], -1)


def draw_pattern(random: np.random.Generator) -> np.ndarray:
    """(16, 16) bool: stripes along, across or aslant, checks, or dots, of a width of 2 or 4."""
    y, x = np.mgrid[:16, :16] // int(random.choice([2, 4]))
    return [x % 2 == 0, y % 2 == 0, (x + y) % 4 == 0, (x + y) % 2 == 0, (x % 2 == 0) & (y % 2 == 0)][random.integers(5)]
