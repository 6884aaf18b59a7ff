"""Minecraft behind our interface: its spaces against the real classes' (dumped to tests/fixtures), and the world on a
stand-in for the game that speaks Malmo's protocol, hangs and dies; on MineStudio's own classes where they are
installed (tests/support/minecraft.py says how).
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.minecraft import MINESTUDIO_PYTHON, heard, machine, processes, script
from support.places import ROOT
from support.toy_agent import save_toy

from vlpt import play
from vlpt.worlds import make, noop
from vlpt.worlds.check import main as check
from vlpt.worlds.contract import action_space, observation_space
from vlpt.worlds.minecraft.actions import BASALT, for_game, lost
from vlpt.worlds.minecraft.checks import steps
from vlpt.worlds.minecraft.process import GameFailed
from vlpt.worlds.minecraft.truth import Truth
from vlpt.worlds.minecraft.world import MineRL
from vpt.frames import count_frames

STUDIO, RELEASED = (json.loads((ROOT / f"tests/fixtures/minecraft_{name}_spaces.json").read_text())
                    for name in ("minestudio", "minerl"))  # fmt: skip
GAMES = ["minerl", pytest.param("minestudio", marks=pytest.mark.skipif(
    not MINESTUDIO_PYTHON, reason="VLPT_TEST_MINESTUDIO_PYTHON names no environment with minestudio"))]  # fmt: skip
SIZE = (640, 360)


# ---- spaces, key by key


def described(space) -> dict:
    """Ours as the dumping program describes theirs."""
    if hasattr(space, "n"):
        return {"kind": "Discrete", "n": int(space.n)}
    return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), "low": float(space.low.min()),
            "high": float(space.high.max())}  # fmt: skip


@pytest.mark.parametrize("task", BASALT)
def test_our_actions_are_minerl_s_key_by_key(task):
    theirs = STUDIO["tasks"][task]
    assert {name: described(space) for name, space in action_space().spaces.items()} == theirs["action"]
    assert {name: described(space) for name, space in observation_space(*SIZE).items()} == theirs["observation"]
    assert set(for_game(noop(), "minerl")) == set(theirs["action"])
    assert BASALT[task] * 20 == theirs["max_episode_steps"] and theirs["id"] == f"MineRLBasalt{task}-v0"


def test_minestudio_s_survival_takes_what_we_send_and_leaves_out_what_we_say():
    theirs = STUDIO["tasks"]["HumanSurvival"]
    ours = {name: described(space) for name, space in action_space().spaces.items()}
    sent = for_game(noop(), "minestudio")
    assert set(theirs["action"]) - set(sent) == {"mobs", "voxels"} and sent["chat"] == ""
    shared = set(ours) & set(theirs["action"])
    assert {name: ours[name] for name in shared} == {name: theirs["action"][name] for name in shared}
    assert set(ours) - shared == set(lost("minestudio")) == {"drop", "ESC", "swapHands"} and not lost("minerl")
    assert described(observation_space(*SIZE)["pov"]) == theirs["observation"]["pov"]
    assert set(STUDIO["simulator"]["env"]) <= set(sent)
    assert STUDIO["simulator"]["agent"] == {"buttons": {"n": 8641}, "camera": {"n": 121}}


def test_the_older_minerl_has_the_same_keys_of_walking():
    theirs = RELEASED["tasks"]["Treechop"]["action"]
    ours = {name: described(space) for name, space in action_space().spaces.items()}
    assert {name: ours[name] for name in theirs} == theirs


# ---- what is missing


def test_what_is_missing_is_said_with_its_cure(tmp_path, monkeypatch, capsys):
    said = machine(tmp_path, monkeypatch, "minerl")
    assert check(["minerl"]) == 0 and "can start: --world minerl" in capsys.readouterr().out
    script(tmp_path / "programs/java", 'echo "openjdk version \\"17.0.1\\"" >&2')
    installed = tmp_path / "packages/minerl-1.0.0.dist-info/METADATA"
    installed.write_text(installed.read_text().replace("1.0.0", "0.4.4"))
    wrong = {step.name: step for step in steps("minerl") if not step.right}
    assert set(wrong) == {"Java 8", "minerl"} and "0.4.4" in wrong["minerl"].found and "17.0.1" in wrong["Java 8"].found
    assert "v1.0.0" in wrong["minerl"].cure and "openjdk" in wrong["Java 8"].cure
    with pytest.raises(RuntimeError, match=r"(?s)minerl cannot start.*at least 1.0.*Java 8.*openjdk"):
        make("minerl", size=SIZE)
    monkeypatch.delenv("VLPT_MINERL_PYTHON")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check(["minecraft"]) == 1
    told = capsys.readouterr().out
    for cure in ("VLPT_MINERL_PYTHON", "VLPT_MINESTUDIO_PYTHON", "no java is found", "apt-get install xvfb", "mcprec"):
        assert cure in told
    assert check(["dummy"]) == 0 and check(["mars"]) == 2 and not heard(said)


def test_options_that_cannot_be(tmp_path, monkeypatch):
    machine(tmp_path, monkeypatch, "minerl")
    with pytest.raises(ValueError, match="--size 640 360"):
        make("minerl", size=(320, 180))
    with pytest.raises(ValueError, match="above 0"):
        make("minerl", episodes=0)
    with pytest.raises(ValueError, match="no errand 'chop'; it has FindCave"):
        make("minerl").reset(options={"errand": "chop"})


# ---- a game that plays, hangs and dies


def world_of(tmp_path, monkeypatch, game: str, plan: dict, **options):
    said = machine(tmp_path, monkeypatch, game, **plan)
    return make(game, **options), said


def pressing(**buttons) -> dict:
    return {**noop(), **{name.replace("_", "."): value for name, value in buttons.items()}}


@pytest.mark.parametrize("game", GAMES)
def test_what_is_pressed_arrives_and_what_is_seen_comes_back(tmp_path, monkeypatch, game):
    world, said = world_of(tmp_path, monkeypatch, game, {})
    observation, info = world.reset(seed=12345)
    waited = int(observation["pov"][1, 0, 0])  # steps that the game's own class makes before it shows a picture
    assert observation["pov"][0].min() == 255, "the picture stands on its head"
    assert info["truth"]["position"] == [10.5, 64.0, -3.5] and info["truth"]["inventory"] == {"oak_log": 7}
    assert info["truth"]["hand"] == "stone_axe" and not info["truth"]["gui_open"] and info["truth"]["events"] == []
    action = pressing(forward=1, hotbar_3=1, attack=1, camera=np.array([1.5, -3.0]))
    observation, reward, terminated, truncated, info = world.step(action)
    assert observation["pov"][1, 0].tolist() == [waited + 1, 20, 40]
    assert (reward, terminated, truncated) == (0, False, False)
    assert info["camera_deg"].tolist() == [1.5, -3.0] and info["truth"]["yaw_deg"] == -3.0
    assert info["truth"]["hotbar"] == 2 and info["truth"]["events"] == [
        {"kind": "dig", "node": "oak_log", "position": [10.5, 64.0, -3.5]}]  # fmt: skip
    lines, = heard(said)
    assert "12345" in next(line for line in lines if line.startswith("mission"))
    last = {command.split(" ")[0] for command in lines[-1].removeprefix("step ").split(", ")}
    assert last - {"camera"} == {"forward", "hotbar.3", "attack"}
    world.close()
    assert not processes(said)


@pytest.mark.parametrize("game", GAMES)
def test_a_game_that_hangs_ends_the_episode_and_is_started_again(tmp_path, monkeypatch, capfd, game):
    """Also where it does not end when asked to; and one that dies by itself."""
    waited = 20 if game == "minestudio" else 0
    plan = {"hang": [1, waited + 3], "die": [2, waited + 2], "deaf": [3]}
    world, said = world_of(tmp_path, monkeypatch, game, plan, step_s=1.0, reset_s=20.0)
    world.reset(seed=1)
    frames = [world.step(pressing(forward=1))[0]["pov"] for _ in range(2)]
    observation, reward, terminated, truncated, info = world.step(noop())
    assert truncated and not terminated and reward == 0
    assert (observation["pov"] == frames[-1]).all() and "within 1 seconds" in info["failed"]
    assert "the episode ends after 2 steps" in capfd.readouterr().err and not processes(said)
    with pytest.raises(RuntimeError, match="call reset"):
        world.step(noop())
    world.reset(seed=2)  # the second game, which dies
    world.step(noop())
    *_, truncated, info = world.step(noop())
    assert truncated and "Minecraft" in info["failed"] and not processes(said)
    world.env._reset_s = wait = 8 if game == "minestudio" else 2
    world.reset(seed=3)  # the third is deaf: a fourth is started
    assert f"'reset' within {wait} seconds" in capfd.readouterr().err
    assert len(heard(said)) == 4 and len(processes(said)) == 1
    world.close()
    assert not processes(said)


def test_games_that_never_start_are_given_up_with_their_last_lines(tmp_path, monkeypatch):
    world, said = world_of(tmp_path, monkeypatch, "minerl", {"deaf": [1, 2, 3]}, reset_s=1.5)
    with pytest.raises(GameFailed, match="did not answer 'reset' within 1.5 seconds"):
        world.reset()
    assert len(heard(said)) == 3 and not processes(said)


def test_the_game_is_renewed_every_few_episodes_and_for_another_task(tmp_path, monkeypatch):
    world, said = world_of(tmp_path, monkeypatch, "minerl", {}, episodes=2)
    for seed in range(3):
        world.reset(seed=seed)
        world.step(noop())
    assert [sum(line.startswith("mission") for line in game) for game in heard(said)] == [2, 1]
    assert len(processes(said)) == 1
    _, info = world.reset(options={"errand": "FindCave"})
    assert len(heard(said)) == 3 and info["truth"]["position"] is None and not info["errand"]["done"]
    *_, terminated, truncated, info = world.step(pressing(ESC=1))
    assert terminated and not truncated and info["errand"]["done"]
    world.reset(options={"errand": "FindCave"})  # the clock of the task begins anew
    world.env._steps = 3 * 60 * 20 - 2
    assert [world.step(noop())[2:4] for _ in range(2)] == [(False, False)] * 2
    world.close()


def test_the_film_of_an_episode_whose_game_hangs_is_whole(tmp_path, monkeypatch):
    """Through the program that plays: what was recorded before the game hung is on the disk."""
    said = machine(tmp_path, monkeypatch, "minerl", hang=[1, 5])
    monkeypatch.setattr(MineRL.__init__, "__defaults__", (SIZE, "rgb_array", "", 1.0, 30.0, 20))
    out = tmp_path / "play.mp4"
    rows = play.play(play.Options(model=str(save_toy(tmp_path / "agent")), world="minerl", size=SIZE, seconds=5,
                                  out=str(out), progress=False))  # fmt: skip
    assert len(rows) == 5 and count_frames(out) == 5 and len(out.with_suffix(".jsonl").read_text().splitlines()) == 5
    assert not processes(said)


def test_a_game_ends_with_whoever_plays_it_whatever_that_dies_of(tmp_path, monkeypatch):
    said = machine(tmp_path, monkeypatch, "minerl", hang=[1, 1])
    program = "import sys; sys.path.insert(0, sys.argv[1])\nfrom vlpt.worlds import make, noop\n" \
              "world = make('minerl', size=(640, 360)); world.reset(); print('plays', flush=True); world.step(noop())"
    player = subprocess.Popen([sys.executable, "-c", program, str(ROOT)], stdout=subprocess.PIPE)
    assert player.stdout.readline() == b"plays\n" and len(processes(said)) == 1
    folder = Path(os.readlink(f"/proc/{processes(said)[0]}/cwd"))
    assert folder.name.startswith("vlpt-minecraft-")
    player.kill()
    player.wait()
    until = time.monotonic() + 20
    while (processes(said) or folder.exists()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes(said) and not folder.exists()


def test_truth_tells_what_grew():
    truth = Truth()
    first = truth.of({"counts": {"mine_block": {"dirt": 2}}, "place": None})
    second = truth.of({"counts": {"mine_block": {"dirt": 4, "oak_log": 1}, "pickup": {"dirt": 1}}}, {"hotbar.9": 1})
    assert first["events"] == [] and first["position"] is None and second["hotbar"] == 8
    assert [(event["kind"], event["node"]) for event in second["events"]] == [
        ("dig", "dirt"), ("dig", "dirt"), ("dig", "oak_log"), ("pickup", "dirt")]  # fmt: skip
