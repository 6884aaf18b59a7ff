"""Scenes in which an agent was never trained: other textures, another time of day, things moved.

Run: pytest tests/vlpt/test_scenes.py
"""

import cv2
import numpy as np
import pytest
from support.luanti import needs_luanti

from vlpt.worlds import make
from vlpt.worlds.contract import AS_IS, MOVED_THINGS, OTHER_TEXTURES, OTHER_TIME, SCENES
from vlpt.worlds.dummy_picture import RGB, Look
from vlpt.worlds.luanti.textures import GAME, THINGS, repaint, write_textures


def first(scene: str, seed: int = 3, **options):
    world = make("dummy", size=(64, 48), scene=scene, **options)
    observation, info = world.reset(seed=seed)
    return observation["pov"].astype(int), info["arena"]


def test_a_dummy_scene_differs_in_what_it_says_and_in_nothing_else():
    picture, arena = first(AS_IS)
    plain, _ = make("dummy", size=(64, 48)).reset(seed=3)
    assert np.array_equal(picture, plain["pov"])
    for scene in (OTHER_TEXTURES, OTHER_TIME):
        other, same = first(scene)
        assert same == arena and np.abs(other - picture).mean() > 20
    assert np.allclose(first(OTHER_TIME)[0], 0.45 * picture, atol=1)
    painted = first(OTHER_TEXTURES)[0]
    assert np.array_equal(painted, first(OTHER_TEXTURES)[0])
    assert not np.array_equal(painted, first(OTHER_TEXTURES, scene_seed=1)[0])
    moved = first(MOVED_THINGS)[1]
    assert arena["spawn"][::2] == [0, 0] and all(abs(metres) == 7 for metres in moved["spawn"][::2])
    assert moved["pillars"] != arena["pillars"] and set(moved["pillars"]) == set(arena["pillars"])


def test_what_is_called_by_its_colour_keeps_it():
    look = Look.of(OTHER_TEXTURES, 0)
    for node, colour in RGB.items():
        assert (look.rgb[node] == colour) == node.startswith(("wool:", "flowers:"))


@pytest.mark.parametrize("name", ["dummy", "luanti"])
@pytest.mark.parametrize("options, says", [
    (dict(scene="night"), "there is no scene 'night'; choose one of as-is, other-textures, other-time-of-day, moved"),
    (dict(scene=OTHER_TEXTURES, scene_seed=-1), "scene_seed must be a whole number from 0, got -1"),
])
def test_a_wrong_scene_is_one_line(name, options, says):
    with pytest.raises(ValueError, match=says):
        make(name, **options)


def test_a_repainted_picture_has_another_hue_its_holes_and_about_its_light():
    grey = np.full((16, 16, 4), 120, np.uint8)
    grey[..., 3] = np.arange(16) * 17
    painted = repaint(grey, 120.0, np.zeros((16, 16), bool))
    assert np.array_equal(painted[..., 3], grey[..., 3]) and painted[..., :3].max(-1).tolist() == grey[..., 0].tolist()
    assert np.ptp(painted[0, 0, :3]) > 20  # it is grey no more
    striped = repaint(grey, 120.0, np.arange(16)[:, None] % 2 == np.zeros(16))
    assert np.array_equal(striped[1::2], painted[1::2]) and (striped[::2, :, :3] < painted[::2, :, :3]).any()
    assert repaint(np.full((8, 8), 9, np.uint8), 90.0, np.zeros((16, 16), bool)).shape == (8, 8, 3)


@needs_luanti
def test_a_texture_pack_follows_from_its_seed_and_leaves_wool_alone(tmp_path):
    for name, seed in (("a", 0), ("again", 0), ("b", 1)):
        write_textures(tmp_path / name, seed)
    pictures = {path.name: [cv2.imread(str(tmp_path / name / path.name)) for name in ("a", "again", "b")]
                for path in (tmp_path / "a").iterdir()}  # fmt: skip
    assert len(pictures) == sum(map(len, THINGS.values())) and not any("wool" in name for name in pictures)
    for name, (one, again, other) in pictures.items():
        assert np.array_equal(one, again) and not np.array_equal(one, cv2.imread(str(GAME / name)))
    assert sum(not np.array_equal(one, other) for one, _, other in pictures.values()) > len(pictures) - 8


@needs_luanti
def test_the_game_shows_each_scene():
    """One game, in which the texture pack is; the other scenes are asked for with each arena."""
    world = make("luanti", size=(64, 64), scene=OTHER_TEXTURES)
    try:
        found = {}
        for scene in (OTHER_TEXTURES, OTHER_TIME, MOVED_THINGS):
            if world.unwrapped._session is not None:
                world.unwrapped._session._scene = scene
            observation, info = world.reset(seed=5)
            found[scene] = observation["pov"].astype(float).mean((0, 1)), info["arena"]
        assert (world.unwrapped._session._game.home / "textures/default_sand.png").exists()
    finally:
        world.close()
    painted, dusk, moved = found.values()
    assert painted[1]["pillars"] == dusk[1]["pillars"] and dusk[0].sum() < 0.9 * painted[0].sum()
    assert painted[1]["spawn"][::2] == [0, 0] and 7 < np.hypot(*moved[1]["spawn"][::2]) < 12
    assert moved[1]["pillars"] != painted[1]["pillars"]


def test_there_are_four_scenes():
    assert SCENES == (AS_IS, OTHER_TEXTURES, OTHER_TIME, MOVED_THINGS)
