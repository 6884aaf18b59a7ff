"""What is said to be in view is what the picture shows: geometry by hand, and the game's own pixels."""

import gzip
import json
from contextlib import closing

import numpy as np
import pytest
from support.luanti import needs_luanti
from support.toy_arena import draw_arena

from data_gathering.streamer.player import EYE_M
from data_gathering.view import Options, check_made_here, main, picked, view_lines
from vlpt.data.in_view import GRID, Thing, View, box, read_things
from vlpt.worlds import make, noop

EYE = np.array([0.0, 10.0, 0.0])


def thing(x: float, z: float, half_m: float = 0.5, kind: str = "pillar", colour: str = "red") -> Thing:
    return Thing(kind, colour, np.array([box(x, z, half_m, 8.5, 12.5)]))


def row(yaw: float = 0.0, pitch: float = 0.0, x: float = 0.0, z: float = 0.0, slot: int = 0) -> dict:
    return {"xpos": x, "ypos": 8.5, "zpos": z, "yaw": yaw, "pitch": pitch, "hotbar": slot}


@pytest.mark.parametrize(("x", "z", "yaw", "side"), [(0, 6, 0, 1), (4, 6, 0, 2), (-4, 6, 0, 0), (6, 0, 90, 1),
                                                     (6, -4, 90, 2), (6, 4, 90, 0), (0, -6, 180, 1)])
def test_a_thing_is_on_the_side_where_it_stands(x, z, yaw, side):
    (found,) = View(EYE, yaw, 0)([thing(x, z)])
    assert np.argmax(found["share"]) == side and found["share"][side] > 0.01
    assert found["distance_m"] == pytest.approx(np.hypot(x, z) - 0.5, abs=0.3)


def test_what_is_behind_or_outside_the_picture_is_not_in_view():
    assert View(EYE, 0, 0)([thing(0, -6), thing(20, 1)]) == []
    assert View(EYE, 0, 80)([thing(0, 6)]) == [] and View(EYE, 0, -80)([thing(0, 6)]) == []


def test_the_share_is_that_of_a_wall_across_the_picture():
    """A wall as wide as the picture at 5 m, from 1 m below the eye to 1 m above it: 2 of 2 tan(36 deg) 5 m."""
    wall = Thing("wall", "", np.array([[[-20, 9, 5], [20, 11, 6]]], float))
    (found,) = View(EYE, 0, 0)([wall])
    assert sum(found["share"]) == pytest.approx(2 / (2 * np.tan(np.radians(36)) * 5), abs=1.5 / GRID[1])


def test_a_nearer_thing_hides_a_farther_one_and_flowers_far_away_are_too_small():
    far, near = thing(0, 8, colour="blue"), thing(0, 4, half_m=0.6)
    assert [one["colour"] for one in View(EYE, 0, 0)([far, near])] == ["red"]
    assert {one["colour"] for one in View(EYE, 0, 0)([far, thing(1, 4)])} == {"red", "blue"}
    speck = Thing("flower", "red", np.array([box(0, 40, 0.1, 8.5, 8.7)]))
    assert View(EYE, 0, 0)([speck]) == []


def test_a_box_that_reaches_behind_the_eye_is_seen_whole():
    """Standing beside it: its corners do not project, its rays do."""
    (found,) = View(EYE, 0, 0)([Thing("steps", "", np.array([[[0.5, 8.5, -3], [2, 12, 3]]], float))])
    assert found["share"][0] == 0 and found["share"][2] > 0.2


def test_a_flower_is_gone_once_it_was_picked_and_the_hand_is_that_of_the_row_before():
    arena = draw_arena(3)
    things = read_things(arena)
    index = next(i for i, one in enumerate(things) if one.kind == "flower")
    x, _, z = (things[index].boxes.mean((0, 1))).tolist()
    rows = [row(pitch=40, x=x, z=z - 1.5, slot=slot) for slot in (0, 0, 1, 1, 7, 7, 7, 7, 7)]
    meta = {"errands": [{"name": "flower the rose", "done": True, "end_frame": 4},
                        {"name": "flower the viola", "done": False, "end_frame": 8}]}  # fmt: skip
    assert picked(meta, rows, things) == {index: 4}
    lines = list(view_lines(meta, rows, arena, 2))
    flowers = [{"flower"} <= {one["kind"] for one in line["things"]} for line in lines]
    assert flowers == [True, True, False, False, False]
    assert [line["hand"] for line in lines] == ["axe", "axe", "pick", "other", "other"]
    assert [line["frame"] for line in lines] == [0, 2, 4, 6, 8]


def test_a_recording_from_elsewhere_is_refused_by_name(tmp_path):
    (tmp_path / "a-00.meta.json").write_text(json.dumps({"world": "dummy", "arena_seed": 1, "errands": []}))
    with pytest.raises(ValueError, match=r"a-00\.meta\.json names no arena of luanti"):
        check_made_here(tmp_path, "a-00")


def are(pixels: np.ndarray, colour: str) -> np.ndarray:
    """(n, 3) -> (n,) bool: of that colour, in light or shade."""
    red, green, blue = pixels.astype(int).T
    if colour == "yellow":
        return (red > 2 * blue) & (green > 2 * blue)
    return (red > 1.5 * np.maximum(green, blue)) if colour == "red" else blue > 1.5 * red


@needs_luanti
def test_the_games_pixels_have_the_colour_that_is_said_to_be_there():
    """Wool pillars, above the hotbar: most of the pixels said to be red are red."""
    rows, columns = np.arange(GRID[1] * 4 // 5) * 180 // GRID[1], np.arange(GRID[0]) * 320 // GRID[0]
    right = []
    with closing(make("luanti", size=(320, 180))) as world:
        for seed in (11, 12):
            _, info = world.reset(seed=seed)
            things = read_things(info["arena"])
            for step in range(36):
                observation, *_, info = world.step({**noop(), "camera": np.array([0.0, 10.0])})
                truth = info["truth"]
                eye = np.array(truth["position"]) + [0, EYE_M, 0]
                first = View(eye, truth["yaw_deg"], truth["pitch_deg"]).cast(things)[: len(rows)]
                pixels = observation["pov"][np.ix_(rows, columns)]
                for i, one in enumerate(things):
                    if one.kind == "pillar" and one.colour in ("red", "blue", "yellow") and step % 3 == 0:
                        right += are(pixels[first == i], one.colour).tolist()
    assert len(right) > 300 and np.mean(right) > 0.8


@needs_luanti
def test_the_program_writes_one_line_a_tick(tmp_path):
    (tmp_path / "ch0-00.mp4").touch()
    meta = {"channel": "ch0", "world": "luanti", "arena_seed": 11, "errands": []}
    (tmp_path / "ch0-00.meta.json").write_text(json.dumps(meta))
    (tmp_path / "ch0-00.jsonl").write_text("".join(json.dumps(row(yaw=40.0 * i)) + "\n" for i in range(9)))
    main(Options(str(tmp_path)))
    written = (tmp_path / "ch0-00.view.jsonl.gz").read_bytes()
    lines = [json.loads(line) for line in gzip.decompress(written).decode().splitlines()]
    assert [line["frame"] for line in lines] == [0, 4, 8] and all(line["things"] for line in lines)
    main(Options(str(tmp_path)))
    assert (tmp_path / "ch0-00.view.jsonl.gz").read_bytes() == written
    (tmp_path / "ch0-00.jsonl").write_text('{"yaw": 3}\n')
    with pytest.raises(ValueError, match="ch0-00.jsonl, line 1: no pose"):
        main(Options(str(tmp_path)))
