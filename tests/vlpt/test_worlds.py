"""The border of a world, the dummy world, and real episodes of Luanti (skipped where its Debian packages are missing).

Run: pytest tests/vlpt/test_worlds.py
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from support.luanti import needs_luanti
from support.places import ROOT

from vlpt.worlds import BUTTONS, make, noop
from vlpt.worlds.contract import DEGREES_PER_COUNT, STEP_S, WORLD_ONLY, CheckSpaces
from vlpt.worlds.dummy import Dummy
from vlpt.worlds.errands import ERRANDS
from vlpt.worlds.luanti.clock import shared_files
from vlpt.worlds.luanti.game import check_installed, degrees_per_sensitivity
from vlpt.worlds.luanti.home import PREFIX
from vlpt.worlds.luanti.relay import _Link
from vpt import actions, frames


def pressing(camera_deg=(0.0, 0.0), **buttons) -> dict:
    """An action with the given buttons down ("hotbar_1" for "hotbar.1")."""
    held = {name.replace("_", "."): down for name, down in buttons.items()}
    return {**noop(), **held, "camera": np.array(camera_deg, float)}


def turn_to(world, truth, target, eye_m: float = 1.47, **buttons):
    """Looks at `target`, (x, y, z), with `buttons` held; returns what the step returned."""
    x, y, z = np.subtract(target, truth["position"])
    pitch_deg = -np.degrees(np.arctan2(y - eye_m, np.hypot(x, z)))
    yaw_deg = (np.degrees(np.arctan2(x, z)) - truth["yaw_deg"] + 180) % 360 - 180
    return world.step(pressing((pitch_deg - truth["pitch_deg"], yaw_deg), **buttons))


def walk_to(world, truth, target, within_m: float, steps: int = 120):
    """Walks straight to `target` with level gaze; returns the truth there."""
    for _ in range(steps):
        if np.hypot(target[0] - truth["position"][0], target[2] - truth["position"][2]) < within_m:
            return truth
        *_, info = turn_to(world, truth, (target[0], truth["position"][1] + 1.47, target[2]), forward=1)
        truth = info["truth"]
    raise AssertionError(f"did not reach {target} from {truth['position']}")


# ── the border ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def dummy():
    world = make("dummy", size=(48, 32))
    world.reset(seed=1)
    return world


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda action: action.pop("camera"), "missing.*camera"),
        (lambda action: action.update(chat="hello"), "chat.*must be empty"),
        (lambda action: action.update(camera=np.zeros((2, 1))), "two numbers"),
        (lambda action: action.update(fly=1), "unknown.*fly"),
        (lambda action: action.update(attack=2), "attack.*0 or 1"),
        (lambda action: action.update(camera=np.zeros(3)), "two numbers"),
        (lambda action: action.update(camera=np.array([0.0, np.nan])), "180"),
        (lambda action: action.update(camera=np.array([0.0, 200.0])), "180"),
    ],
)
def test_wrong_action_is_refused_with_its_key(dummy, change, says):
    action = noop()
    change(action)
    with pytest.raises(ValueError, match=says):
        dummy.step(action)


def played(*actions) -> list:
    """Where the player stands and looks after each of these."""
    world = make("dummy", size=(48, 32))
    world.reset(seed=1)
    truths = [world.step(action)[-1]["truth"] for action in actions]
    return [(truth["position"], truth["yaw_deg"], truth["hotbar"]) for truth in truths]


def test_an_absent_button_is_not_pressed_and_minestudios_actions_pass():
    whole = [pressing((0, 6), forward=1), pressing((3, 0), hotbar_3=1), noop()]
    short = [{"forward": 1, "camera": [0, 6]}, {"hotbar.3": np.array([1]), "camera": np.array([[3.0, 0.0]])},
             {"camera": np.zeros(2)}]  # fmt: skip
    assert played(*short) == played(*whole) != played(*[noop()] * 3)
    minestudio = [{name: np.array(action[name]) for name in (*BUTTONS, "camera")} | {"chat": ""} for action in whole]
    assert played(*minestudio) == played(*whole)


@pytest.mark.parametrize("name", ["vlpt/Dummy-v0", "vlpt/Luanti-v0"])
def test_gymnasium_knows_the_worlds_and_what_of_them_is_repeatable(name):
    spec = gymnasium.spec(name)
    world = import_module(spec.entry_point.split(":")[0]).__dict__[spec.entry_point.split(":")[1]]
    assert world.metadata["nondeterministic"] == spec.nondeterministic == (name == "vlpt/Luanti-v0")
    assert world.metadata["render_modes"] == ["rgb_array"]


def test_gymnasium_makes_a_world_with_the_same_border():
    world = gymnasium.make("vlpt.worlds:vlpt/Dummy-v0", size=(48, 32), render_mode="rgb_array")
    assert world.action_space.contains(noop()) and world.render_mode == "rgb_array"
    observation, _ = world.reset(seed=3, options={"errand": "chop"})
    alone = make("dummy", size=(48, 32))
    assert np.array_equal(observation["pov"], alone.reset(seed=3, options={"errand": "chop"})[0]["pov"])
    observation, *_ = world.step({"camera": [[0, 5]]})
    assert np.array_equal(observation["pov"], alone.step(pressing((0, 5)))[0]["pov"])
    assert np.array_equal(world.render(), observation["pov"])
    with pytest.raises(ValueError, match="unknown.*fly"):
        world.step({"camera": [0, 5], "fly": 1})
    silent = gymnasium.make("vlpt/Dummy-v0", render_mode=None, size=(48, 32))
    silent.reset(seed=3)
    assert silent.unwrapped.render() is None


def test_gymnasiums_own_checker_finds_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*symmetric and normalized space.*")  # the camera is in degrees
        check_env(gymnasium.make("vlpt/Dummy-v0", size=(48, 32)).unwrapped)


@pytest.mark.parametrize("name", ["dummy", "luanti"])
@pytest.mark.parametrize(("options", "says"), [
    (dict(colour=3, sizes=4), "knows no option colour, sizes; it knows size, .*render_mode"),
    (dict(render_mode="human"), "render_mode must be 'rgb_array' or None, got 'human'"),
    (dict(size=128), "size must be .width, height.*got 128"),
    (dict(size=(128, 128, 3)), "size must be .width, height"),
    (dict(size=(128.0, 128)), "size must be .width, height"),
    (dict(size=(8, 128)), "at least .* pixels each, got .8, 128."),
])
def test_wrong_options_are_one_line(name, options, says):
    with pytest.raises(ValueError, match=says) as error:
        make(name, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"pov": np.zeros((32, 48, 3), np.float32)}, "uint8"),
        ({"pov": np.zeros((48, 32, 3), np.uint8)}, r"\(32, 48, 3\)"),
        ({}, "exactly 'pov'"),
    ],
)
def test_wrong_observation_does_not_leave_the_world(broken, says):
    class Broken(Dummy):
        def _observation(self):
            return broken

    with pytest.raises(ValueError, match=says):
        CheckSpaces(Broken(size=(48, 32))).reset(seed=1)


def test_what_the_border_repeats_is_vpts_own():
    assert BUTTONS == actions.BUTTONS and WORLD_ONLY == actions.WORLD_ONLY
    assert STEP_S == frames.FRAME_MS / 1000 and STEP_S * frames.FRAMES_PER_SECOND == 1
    assert DEGREES_PER_COUNT == actions.DEGREES_PER_COUNT


def test_misuse_gives_one_clear_error():
    with pytest.raises(ValueError, match="no world called 'minecaft'"):
        make("minecaft")
    with pytest.raises(ValueError, match="before reset"):
        make("dummy").step(noop())
    with pytest.raises(ValueError, match="errand 'dance'"):
        make("dummy").reset(seed=1, options={"errand": "dance"})
    with pytest.raises(ValueError, match="no option level"):
        make("dummy").reset(seed=1, options={"level": 3})
    with pytest.raises(ValueError, match="seed"):
        make("dummy").reset(seed=-1)


def test_noop_is_fresh_each_time():
    noop()["camera"][0] = 5
    assert noop()["camera"].tolist() == [0, 0] and set(noop()) == {*BUTTONS, "ESC", "pickItem", "swapHands", "camera"}


# ── dummy ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dummy_repeats_and_seeds_differ():
    def play(seed):
        world = make("dummy", size=(48, 32))
        frames = [world.reset(seed=seed)[0]["pov"]]
        for n in range(5):
            frames.append(world.step(pressing((n, 7), forward=1))[0]["pov"])
        return np.array(frames)

    assert np.array_equal(play(3), play(3))
    assert not np.array_equal(play(3), play(4))


def test_dummy_picture_moves_with_camera_and_keys():
    world = make("dummy", size=(64, 48))
    before = world.reset(seed=5)[0]["pov"]
    pixels = 4  # so many columns to the right in the middle of a 72-degree lens 48 pixels high
    yaw_deg = np.degrees(np.arctan(pixels * np.tan(np.radians(36)) / 24))
    after, *_, info = world.step(pressing((0, yaw_deg)))
    middle = slice(28, 36)
    shifted = after["pov"][:, 28 - pixels : 36 - pixels].astype(int) - before[:, middle]
    unshifted = after["pov"][:, middle].astype(int) - before[:, middle]
    assert np.abs(shifted).mean() < 0.6 * np.abs(unshifted).mean()
    assert abs(info["camera_deg"][1] - yaw_deg) <= 0.075 + 1e-9  # whole counts of 0.15
    x0, _, z0 = info["truth"]["position"]
    *_, info = world.step(pressing(forward=1))
    x1, _, z1 = info["truth"]["position"]
    yaw = np.radians(info["truth"]["yaw_deg"])
    assert np.allclose([x1 - x0, z1 - z0], [0.2 * np.sin(yaw), 0.2 * np.cos(yaw)], atol=1e-6)


@pytest.mark.parametrize(("errand", "key"), [("chop", "trees"), ("dig_sand", "sand"), ("dig_stone", "stone")])
def test_dummy_errand_is_done_when_dug(errand, key):
    world = make("dummy", size=(32, 32))
    _, info = world.reset(seed=2, options={"errand": errand})
    assert info["errand"]["name"] == errand and not info["errand"]["done"]
    x, y, z = info["arena"][key][0]
    world.unwrapped._position = np.array([x, 8.5, z - 2.5])
    world.unwrapped._yaw_deg, world.unwrapped._pitch_deg = 0.0, 20.0
    dug = []
    for _ in range(40):
        _, reward, terminated, _, info = world.step(pressing(attack=1))
        dug += info["truth"]["events"]
        if terminated:
            break
    assert terminated and reward == 1.0 and len(dug) == info["errand"]["goal"] == 3


def test_every_errand_can_be_asked_for():
    world = make("dummy", size=(32, 32))
    for errand in ERRANDS:
        _, info = world.reset(seed=4, options={"errand": errand})
        assert info["errand"]["name"] == errand and not info["errand"]["done"]
        *_, terminated, truncated, info = world.step(noop())
        assert not terminated and not truncated and info["errand"]["goal"] > 0


def test_mouse_formula_matches_luanti_at_both_window_shapes():
    assert degrees_per_sensitivity(320, 180) == pytest.approx(1.0, abs=1e-6)
    assert degrees_per_sensitivity(128, 128) == pytest.approx(1.40, abs=0.01)


# ── Luanti ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def traces_of(home: Path) -> list[str]:
    """What is left of one instance: its folder, shared memory, and processes that name it."""
    named = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            named += [str(entry)] if str(home) in entry.read_text(errors="replace") else []
        except OSError:  # it has just ended
            continue
    return named + [str(path) for path in (home, *shared_files(home)) if path.exists()]


def home_of(world) -> Path:
    return world.unwrapped._session._game.home


@pytest.fixture(scope="module")
def luanti():
    world = make("luanti")
    yield world
    world.close()


@needs_luanti
def test_every_commanded_turn_is_in_the_returned_frame(luanti):
    observation, info = luanti.reset(seed=11)
    before, yaw_deg = observation["pov"], info["truth"]["yaw_deg"]
    random = np.random.default_rng(0)
    for _ in range(60):
        wanted_deg = random.choice([-1, 1]) * random.uniform(0.5, 8)
        observation, *_, info = luanti.step(pressing((0, wanted_deg)))
        turned_deg = (info["truth"]["yaw_deg"] - yaw_deg + 180) % 360 - 180
        assert turned_deg == pytest.approx(info["camera_deg"][1], abs=0.01)
        assert not np.array_equal(observation["pov"], before)
        still, *_ = luanti.step(noop())
        late = np.abs(still["pov"].astype(int) - observation["pov"])  # only the sky's glow may still be settling
        moved = np.abs(before.astype(int) - observation["pov"])
        assert late.mean() < 0.2 * moved.mean()
        before, yaw_deg = still["pov"], info["truth"]["yaw_deg"]


@needs_luanti
def test_fractions_of_a_mouse_count_add_up(luanti):
    _, info = luanti.reset(seed=11)
    start_deg, applied_deg = info["truth"]["yaw_deg"], 0.0
    for _ in range(30):
        *_, info = luanti.step(pressing((0, 0.1)))
        applied_deg += info["camera_deg"][1]
    assert applied_deg == pytest.approx(3.0) and info["truth"]["yaw_deg"] - start_deg == pytest.approx(3.0, abs=0.01)


@needs_luanti
def test_gaze_stops_straight_up_and_says_so(luanti):
    _, info = luanti.reset(seed=11)
    pitch_deg = info["truth"]["pitch_deg"]
    for _ in range(8):
        *_, info = luanti.step(pressing((-20, 0)))
        assert info["truth"]["pitch_deg"] - pitch_deg == pytest.approx(info["camera_deg"][0], abs=0.1)
        pitch_deg = info["truth"]["pitch_deg"]
    assert pitch_deg == pytest.approx(-89.5, abs=0.01) and info["camera_deg"][0] == 0


@needs_luanti
def test_a_stone_errand_is_dug_rewarded_and_in_truth(luanti):
    _, info = luanti.reset(seed=10, options={"errand": "dig_stone"})
    target, truth = info["arena"]["target"], info["truth"]
    away_m = np.hypot(*np.subtract(target, truth["position"])[[0, 2]])
    assert 5.5 <= away_m <= 9.5 and target in info["arena"]["stone"]
    *_, info = luanti.step(pressing(hotbar_2=1))
    assert info["truth"]["hotbar"] == 1 and info["truth"]["hand"] == "default:pick_diamond"
    truth = walk_to(luanti, info["truth"], target, within_m=2.4)
    events, reward, terminated = [], 0.0, False
    for step in range(120):
        aim = np.add(target, (0, 1 - 0.4 * len([event for event in events if event["kind"] == "dig"]), 0))
        _, reward, terminated, _, info = turn_to(luanti, truth, aim, attack=1)
        truth = info["truth"]
        events += truth["events"]
        if terminated:
            break
    assert terminated and reward == 1.0 and info["errand"]["done"] and step > 20
    dug = [event for event in events if event["kind"] == "dig"]
    assert len(dug) >= 3 and all(np.abs(np.subtract(event["position"], target)).max() <= 2 for event in dug)
    picked = [event["node"] for event in events if event["kind"] == "pickup"]
    assert picked and truth["inventory"][picked[0]] >= 1


@needs_luanti
def test_a_step_is_one_frame_and_the_game_stands_between_steps(luanti):
    luanti.reset(seed=11)
    session, shown = luanti.unwrapped._session, []
    loop, stat = session._game.loop, Path(f"/proc/{session._game.process.pid}/stat")
    session._game.loop = lambda *given: shown.append(given) or loop(*given)
    try:
        for step in range(40):
            observation, *_ = luanti.step(pressing((0, 3), forward=step % 2, jump=step % 3 == 0))
        assert len(shown) == 40
        luanti.step(pressing(hotbar_2=1))
        assert len(shown) == 42  # what the hand holds is known a loop later
    finally:
        session._game.loop = loop
    assert session.late_keys == 0
    spent = [int(field) for field in stat.read_text().rpartition(") ")[2].split()[11:13]]
    time.sleep(1)
    again = [int(field) for field in stat.read_text().rpartition(") ")[2].split()[11:13]]
    assert sum(again) - sum(spent) <= 10  # hundredths of a second; a game that draws takes them all


def test_a_game_is_stopped_by_its_frame_and_told_afterwards_what_came_meanwhile():
    game, relayed = socket.socketpair()
    display, real = socket.socketpair()
    link = _Link(relayed, display, 130)
    greeting = struct.pack("<2xHHHHxx", 11, 0, 5, 3) + b"MIT-M..." + b"abc."
    frame, sync = bytes([130, 3]) + struct.pack("<H", 10) + bytes(36), bytes([43, 0, 1, 0])
    # a long request whose inside looks like frames
    long = bytes([72, 2]) + struct.pack("<HI", 0, 35) + 3 * (frame + sync)
    for asked in greeting + long + sync + frame + sync[:3]:
        game.send(bytes([asked]))
        assert link.carry_up(holding=True) and not link.stopped
    game.send(sync[3:])
    assert link.carry_up(holding=True) and link.stopped and not link.answered()
    events = bytes([6]) + bytes(31), bytes([35, 0, 0, 0, 2, 0, 0, 0]) + bytes([1]) * 32, bytes([2, 74]) + bytes(30)
    reply = bytes([1]) + bytes(31)
    for said in (events[0], events[1], reply, events[2]):
        assert not link.knows(74, True)
        real.send(said)
        assert link.carry_down()
    assert link.answered() and link.knows(74, True) and not link.knows(74, False)
    with pytest.raises(BlockingIOError):
        game.recv(1, socket.MSG_DONTWAIT)
    link.open()
    assert game.recv(1000) == events[0] + events[1] + reply + events[2] and not link.stopped
    game.close()
    assert not link.carry_up(holding=True)
    for side in (link, display, real):
        side.close()


@needs_luanti
def test_windows_of_the_game_open_and_close(luanti):
    _, info = luanti.reset(seed=12)
    yaw_deg = info["truth"]["yaw_deg"]
    luanti.step(pressing(ESC=1))  # must not open the game's own menu, which would stop the world
    luanti.step(pressing(inventory=1))
    for _ in range(3):
        *_, info = luanti.step(pressing((1, 1)))
    assert info["truth"]["gui_open"] and info["truth"]["yaw_deg"] == pytest.approx(yaw_deg, abs=0.01)
    luanti.step(pressing(ESC=1))
    for _ in range(3):
        *_, info = luanti.step(noop())
    assert not info["truth"]["gui_open"]
    *_, info = luanti.step(pressing((0, 3)))
    assert info["truth"]["yaw_deg"] == pytest.approx(yaw_deg + 3, abs=0.01)


@needs_luanti
def test_one_seed_shows_nearly_the_same_picture_twice(luanti):
    first, other, again = (luanti.reset(seed=seed)[0]["pov"].astype(int) for seed in (5, 6, 5))
    assert np.abs(first - again).mean() < 10 < np.abs(first - other).mean()


@needs_luanti
def test_gymnasium_makes_luanti():
    world = gymnasium.make("vlpt/Luanti-v0", size=(64, 64), render_mode="rgb_array")
    try:
        world.reset(seed=3)
        observation, *_ = world.step({"forward": 1, "camera": [0, 3]})
        assert np.array_equal(world.render(), observation["pov"])
    finally:
        world.close()


@needs_luanti
def test_arena_follows_from_the_seed(luanti):
    arenas = [luanti.reset(seed=seed)[1]["arena"] for seed in (5, 6, 5)]
    for arena in arenas:
        arena.pop("number")
    assert arenas[0] == arenas[2] != arenas[1]
    assert set(arenas[0]["pillars"]) == {"red", "blue", "yellow", "green", "white"}
    assert all(arenas[0][key] for key in ("trees", "flowers", "sand", "dirt", "stone", "water", "steps"))


@needs_luanti
def test_two_side_by_side_do_not_meet_and_leave_nothing():
    worlds = [make("luanti", size=(128, 128)), make("luanti", size=(160, 96))]
    try:
        frames = [world.reset(seed=3)[0]["pov"] for world in worlds]
        assert frames[0].shape == (128, 128, 3) and frames[1].shape == (96, 160, 3)
        for _ in range(5):
            *_, one = worlds[0].step(pressing((0, 6), forward=1))
            *_, other = worlds[1].step(noop())
        assert one["truth"]["position"] != other["truth"]["position"]
        homes = [home_of(world) for world in worlds]
        assert all(traces_of(home) for home in homes)
    finally:
        for world in worlds:
            world.close()
    assert [trace for home in homes for trace in traces_of(home)] == []
    worlds[0].close()  # twice does no harm


@needs_luanti
def test_a_crash_of_the_game_tells_its_last_lines_and_cleans_up():
    world = make("luanti")
    world.reset(seed=1)
    home = home_of(world)
    world.unwrapped._session._game.process.kill()
    with pytest.raises(RuntimeError, match="(?s)ended with code.*joins game"):
        for _ in range(3):
            world.step(noop())
    assert traces_of(home) == []
    _, info = world.reset(seed=1)  # and the same world starts again
    assert info["truth"]["hotbar"] == 0
    world.close()


@needs_luanti
def test_a_game_that_fails_at_an_arena_is_started_anew():
    world = make("luanti")
    try:
        _, before = world.reset(seed=1)
        home = home_of(world)
        world.unwrapped._session._game.process.kill()
        _, after = world.reset(seed=1)
        assert home_of(world) != home and traces_of(home) == []
        assert after["arena"] == before["arena"]
    finally:
        world.close()


END = """
import os, signal, sys
from vlpt.worlds import make, noop
world = make("luanti", size=(64, 64))
world.reset(seed=1)
print(world.unwrapped._session._game.home, flush=True)
if sys.argv[1] == "exception":
    raise ValueError("on purpose")
while True:
    world.step(noop())
"""


@needs_luanti
@pytest.mark.parametrize("how", ["exception", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_however_the_program_ends(how):
    program = subprocess.Popen([sys.executable, "-c", END, how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, cwd=ROOT)  # fmt: skip
    home = Path(program.stdout.readline().strip())
    assert home.name.startswith(PREFIX)
    if how != "exception":
        os.kill(program.pid, getattr(signal, how))
    program.wait(30)
    deadline_s = time.monotonic() + 15  # the watcher works on after us
    while traces_of(home) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert traces_of(home) == []


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="Xvfb.*\n.*apt-get install .*xvfb"):
        check_installed()
