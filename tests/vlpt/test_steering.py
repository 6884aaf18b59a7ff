"""Steering: what counts as done, the comparison with being told something else, and a dry run with a toy agent.

Run: pytest tests/vlpt/test_steering.py
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from support.toy_evaluation import joined, write_run

from vlpt.metrics import t_interval
from vlpt.model import VLPT
from vlpt.steering import INSTRUCTIONS, Options, compare, done, main
from vpt.actions import BUTTONS, MINECRAFT

NAMES = list(INSTRUCTIONS)


def pressed(*keys: str, frames: int = 40, share: float = 1.0) -> np.ndarray:
    buttons = np.zeros((frames, len(BUTTONS)), np.uint8)
    for key in keys:
        buttons[: round(share * frames), MINECRAFT.column[key]] = 1
    return buttons


def test_done_is_what_was_pressed():
    still = np.zeros((40, 2))
    for key in ("back", "left", "right"):
        assert done(pressed(key, share=0.2), still) == [name == key for name in NAMES]  # 8 frames
        assert not any(done(pressed(key, share=0.175), still))
    assert not any(done(pressed("jump"), still))  # held: one jump, as the key goes
    twice = pressed()
    twice[[3, 4, 20], MINECRAFT.column["jump"]] = 1
    assert done(twice, still) == [name == "jump" for name in NAMES]
    up = still - [0.5, 0.0]
    assert done(pressed(), up) == [name == "up" for name in NAMES] and not any(done(pressed(), -up))
    and_back = np.concatenate([up, -up])
    assert done(np.tile(pressed(), (2, 1)), and_back) == [name == "up" for name in NAMES]  # a look up ends
    assert not any(done(np.zeros((0, 20)), np.zeros((0, 2))))


def test_an_obedient_agent_differs_and_a_stubborn_one_does_not():
    obedient = np.repeat(np.eye(len(NAMES), dtype=bool)[None], 3, 0)
    assert compare(obedient)["jump"] == {"told": 1, "otherwise": 0, "delta": 1, "low": 1, "high": 1}
    stubborn = np.zeros((3, len(NAMES), len(NAMES)), bool)
    stubborn[:, :, 1] = True  # walks backwards whatever it is told
    assert all(row["delta"] == 0 for row in compare(stubborn).values()) and compare(stubborn)["back"]["otherwise"] == 1
    obedient[0, 0] = np.arange(len(NAMES)) == 2  # told to jump it goes left, in one arena
    found = compare(obedient)
    assert found["jump"]["delta"] == pytest.approx(2 / 3) and found["left"]["otherwise"] == pytest.approx(1 / 12)
    assert found["all"]["delta"] == pytest.approx(np.mean([found[name]["delta"] for name in NAMES]))


def test_the_interval_is_student_s():
    values = np.array([0.2, 0.5, -0.1, 0.4])
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    found = t_interval(values)
    assert (found.delta, found.low, found.high) == pytest.approx((0.25, low, high))
    with pytest.raises(ValueError, match="at least 2 units, got 1"):
        t_interval(values[:1])


def test_a_dry_run_in_the_dummy_world(tmp_path, capsys):
    quick = VLPT(replace(joined().config, frames_per_tick=1))
    quick.load_state_dict(joined().state_dict())
    write_run(tmp_path / "joint", quick, "joint")
    asked = Options(model=str(tmp_path / "joint"), world="dummy", size=(64, 36), seeds=(0, 1), tell_at=0.2,
                    seconds=0.3, device="cpu", out=str(tmp_path / "steering.json"))  # fmt: skip
    found = main(asked)
    assert json.loads((tmp_path / "steering.json").read_text()) == found
    assert np.shape(found["done"]) == (2, 5, 5) and set(found["steering"]) == {*NAMES, "all"}
    assert "2 arenas" in capsys.readouterr().out


def test_what_cannot_be_is_said_at_once(tmp_path):
    with pytest.raises(ValueError, match="--seeds: an interval needs two arenas or more, got 1"):
        Options(seeds=(3, 3))
    with pytest.raises(ValueError, match="no world called 'mars'"):
        Options(world="mars")
    write_run(tmp_path / "base", joined().policy, "base")
    with pytest.raises(ValueError, match="base hears nothing"):
        main(Options(model=str(tmp_path / "base"), world="dummy"))
