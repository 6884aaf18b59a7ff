"""Steering: what counts as done, when things are told, statistics, side by side, and dry runs with a toy agent.

Run: pytest tests/vlpt/test_steering.py
"""

import json
import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp
from support.adder import Adder
from support.mortal_world import Mortal
from support.toy_evaluation import joined, write_run

from vlpt import worlds
from vlpt.evaluation.done import Watched, wanted_errands, when_done
from vlpt.evaluation.instructions import INSTRUCTIONS, NAMES, Wording
from vlpt.evaluation.kept_rows import KeptRows
from vlpt.evaluation.obedience import Lives, compare, jumps, wilson
from vlpt.evaluation.side_by_side import outcomes
from vlpt.evaluation.steering import Options, main
from vlpt.evaluation.telling import first_told, schedules
from vlpt.evaluation.told_lives import Life, Trials
from vlpt.metrics import t_interval
from vlpt.model import VLPT
from vlpt.options import parse
from vlpt.worlds.contract import SCENES
from vpt.actions import BUTTONS, MINECRAFT

# ---- what counts as done


def watched(*keys: str, frames: int = 60, pressed: int = 0, camera_deg=(0.0, 0.0), **progress) -> Watched:
    buttons = np.zeros((frames, len(BUTTONS)), np.uint8)
    for key in keys:
        buttons[10 : 10 + pressed, MINECRAFT.column[key]] = 1
    known = {errand: np.zeros(frames) for errand in wanted_errands()}
    return Watched(buttons, np.tile(camera_deg, (frames, 1)), known | progress)


def done(seen: Watched, count: int = 2) -> dict[str, int]:
    return {name: when for name in NAMES if (when := when_done(name, seen, count)) is not None}


def test_a_motion_is_done_when_it_was_pressed_long_or_often_enough():
    for key in ("back", "left", "right"):
        assert done(watched(key, pressed=8)) == {key: 17} and not done(watched(key, pressed=7))
    assert not done(watched("jump", pressed=30))  # held: one jump, as the key goes
    twice = watched()
    twice.buttons[[3, 4, 20], MINECRAFT.column["jump"]] = 1
    assert done(twice) == {"jump": 20} and not done(twice, count=3)
    assert done(watched(camera_deg=(-0.5, 0.0))) == {"up": 39} and not done(watched(camera_deg=(0.5, 0.0)))
    for yaw_deg in (-3.0, 3.0):
        assert done(watched(camera_deg=(0.0, yaw_deg))) == {"turn": 39}
    back_again = watched(camera_deg=(0.0, 3.0))
    back_again.camera_deg[1::2, 1] *= -1
    assert not done(back_again)


def test_an_errand_is_done_when_the_world_says_that_it_has_begun():
    for name, instruction in INSTRUCTIONS.items():
        if instruction.errand:
            assert done(watched(**{instruction.errand: np.arange(60) // 25})) == {name: 25}


# ---- when what is told


def test_every_sentence_ends_at_the_same_frame_and_none_begins_too_early():
    lines = {"": [], "up": ["look up"], "red": ["now the red pillar"], "left": ["look up", "now the red pillar"]}
    found = schedules(lines, lambda sentence: len(sentence.split()), frames_per_tick=4, tell_at_s=0.5)
    end = 12 + (1 * 4 + 40 + 3 * 4)  # 0.5 s, up to a tick; two words, two seconds, four words
    assert {told: schedule.watch_from for told, schedule in found.items()} == dict.fromkeys(lines, end)
    assert found[""].said == () and found["up"].said == ((end - 4, "look up"),)
    assert found["left"].said == ((12, "look up"), (end - 12, "now the red pillar"))


def test_before_in_mid_errand_everything_is_told_once_and_never_itself():
    for arena in range(20):
        before = [first_told(name, NAMES, arena, seed=0) for name in NAMES]
        assert sorted(before) == sorted(NAMES) and all(a != b for a, b in zip(before, NAMES, strict=True))


def test_wordings_follow_from_arena_and_seed_and_differ():
    arena = {"spawn": [0, 8, 0], "flowers": [{"position": [0, 8, 3], "node": "flowers:viola"}]}
    drawn = [Wording.draw("heard", arena, number, 0, NAMES) for number in range(12)]
    assert drawn == [Wording.draw("heard", arena, number, 0, NAMES) for number in range(12)]
    assert all(len({one.sentences[name] for one in drawn}) > 3 for name in NAMES)
    assert {one.jumps for one in drawn} == {2, 3, 4}
    assert all("viola" in one.sentences["flower"] for one in drawn)
    assert not any("{" in sentence for one in drawn for sentence in one.sentences.values())


# ---- statistics

FRAMES = {"up": 10, "left": 10, "turn": 20}


def rows(does, arenas: int = 4, before: str = "") -> list[dict]:
    """does: (arena, told) -> {name: frame}."""
    return [{"arena": arena, "told": told, "before": before, "jumps_asked": 2, "jumps": 0,
             "when": dict.fromkeys(FRAMES) | does(arena, told)} for arena in range(arenas)
            for told in ("", *FRAMES)]  # fmt: skip


def compared(found, arenas: int = 4, **others) -> dict:
    return compare(Lives(found, range(arenas), FRAMES), others)


def test_an_obedient_agent_differs_and_a_stubborn_one_does_not():
    obedient = compared(rows(lambda arena, told: {told: 3} if told else {}))
    assert obedient["above_zero"] == 3 and obedient["all"] == {
        "told": 1, "otherwise": 0, "untold": 0, "delta": 1, "low": 1, "high": 1}  # fmt: skip
    stubborn = compared(rows(lambda arena, told: {"left": 3}))
    assert stubborn["above_zero"] == 0 and stubborn["left"]["otherwise"] == stubborn["left"]["untold"] == 1
    assert all(stubborn[name]["delta"] == 0 for name in (*FRAMES, "all"))
    late = compared(rows(lambda arena, told: {told: 15} if told else {}))  # each is waited for as long, always
    assert late["up"]["told"] == late["left"]["told"] == 0 and late["turn"]["told"] == 1


def test_the_numbers_are_those_of_student_and_wilson():
    found = rows(lambda arena, told: {"up": 3} if told == "up" and arena != 2 or told == "turn" and arena == 1 else {})
    up = compared(found)["up"]
    low, high = ttest_1samp([1, 0.5, 0, 1], 0).confidence_interval(0.95)
    assert (up["told"], up["otherwise"], up["delta"]) == (0.75, 0.125, 0.625) and up["arenas"] == 4
    assert (up["low"], up["high"]) == pytest.approx((low, high))
    share, count, z = 0.75, 4, norm.ppf(0.975)
    centre, half = share + z**2 / (2 * count), z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    ends = np.array([centre - half, centre + half]) / (1 + z**2 / count)
    assert (up["told_low"], up["told_high"]) == pytest.approx(tuple(ends))
    nobody = Lives(rows(lambda arena, told: {"up": 1} if arena < 2 else {}), range(4), FRAMES)
    against = compared(found, base=nobody)["up"]["against"]
    assert against["base"]["delta"] == pytest.approx(0.25) and against["untold"]["delta"] == 0.75
    with pytest.raises(ValueError, match="at least 2 units, got 1"):
        t_interval(np.ones(1))


def test_a_lost_life_and_what_was_told_before_are_left_out():
    found = rows(lambda arena, told: {told: 3} if told else {})
    lost = [row | {"lost": "ended"} if (row["arena"], row["told"]) == (1, "up") else row for row in found]
    assert compared(lost)["up"]["arenas"] == 3 and compared(lost)["left"]["arenas"] == 4
    assert wilson("told", np.array([np.nan])) == {"told": None, "told_low": None, "told_high": None}
    lasting = rows(lambda arena, told: {"up": 3, told: 3} if told else {}, before="up")
    assert compared(lasting)["up"]["otherwise"] is None and compared(lasting)["left"]["otherwise"] == 0


def test_jumps_are_counted_by_how_many_were_asked_for():
    found = [{"arena": arena, "told": told, "jumps_asked": asked, "jumps": asked * (told == "jump")}
             for arena, asked in ((0, 2), (1, 4)) for told in ("", "jump", "up")]  # fmt: skip
    assert jumps([*found, {"arena": 2, "told": "up", "lost": "ended"}]) == {
        str(asked): {"told": asked, "otherwise": 0, "lives": 1} for asked in (2, 4)}  # fmt: skip


# ---- side by side, and going on


def test_workers_have_processes_of_their_own_and_one_works_in_this():
    assert list(outcomes(partial(Adder, 10), [1, 2, 3], workers=1)) == [(os.getpid(), total) for total in (11, 13, 16)]
    found = list(outcomes(partial(Adder, 10), [1] * 8, workers=2))
    assert len(found) == 8 and os.getpid() not in dict(found)
    with pytest.raises(ValueError, match="ended before its work was done.*fewer --workers"):
        list(outcomes(partial(Adder, 10), [1, 0, 1], workers=2))


def test_rows_are_kept_as_they_come_and_other_options_are_refused(tmp_path):
    path = tmp_path / "a.lives.jsonl"
    with KeptRows(path, {"seed": 1, "size": (2, 3)}) as kept:
        kept.add({"arena": 0})
        with pytest.raises(ValueError, match="is being written by"), KeptRows(path, {"seed": 1, "size": (2, 3)}):
            pass
        path.write_text(path.read_text() + '{"arena": 1, "wh')  # killed
    with KeptRows(path, {"seed": 1, "size": (2, 3)}) as kept:
        assert kept.rows == [{"arena": 0}]
        kept.add({"arena": 1})
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == [{"arena": 0}, {"arena": 1}]
    before = path.read_bytes()
    with pytest.raises(ValueError, match="a.lives.jsonl was made with other options .--seed 1 then, 2 now.: give"):
        KeptRows(path, {"seed": 2, "size": (2, 3)}).__enter__()
    assert path.read_bytes() == before and not list(tmp_path.glob("*.lock"))


# ---- dry runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A toy that hears a word a frame, and its agent alone."""
    folder = tmp_path_factory.mktemp("runs")
    quick = VLPT(replace(joined().config, frames_per_tick=1))
    quick.load_state_dict(joined().state_dict())
    write_run(folder / "joint", quick, "joint")
    write_run(folder / "base", quick.policy, "base")
    return folder


def quick(runs, **changes) -> Options:
    how = dict(model=str(runs / "joint"), world="dummy", size=(64, 36), seeds=(2,), instructions=("up", "left"),
               tell_at=0.05, seconds=0.2, device="cpu", workers=1)  # fmt: skip
    return Options(**how | changes)


def test_a_dry_run_in_the_dummy_world_goes_on_where_it_was_stopped(runs, tmp_path, capsys):
    out = tmp_path / "steering.json"
    asked = quick(runs, out=str(out), closed_words=True, base=str(runs / "base"))
    found = main(asked)
    assert json.loads(out.read_text()) == found and out.with_suffix(".png").stat().st_size > 1000
    assert list(found["conditions"]) == ["guidance 0", "closed", "base"] and found["lives"] == 10
    assert found["steering"] == found["conditions"]["guidance 0"] and found["steering"]["up"]["arenas"] == 2
    assert found["conditions"]["base"]["left"]["told"] is None and found["conditions"]["base"]["left"]["untold"] >= 0
    assert "2 arenas, 10 lives, 0 of them lost" in capsys.readouterr().out
    lines = out.with_suffix(".lives.jsonl")
    kept = lines.read_text().splitlines(keepends=True)
    lines.write_text("".join(kept[:9]))
    again = main(asked)
    assert again["conditions"] == found["conditions"] and lines.read_text().splitlines(keepends=True) == kept
    with pytest.raises(ValueError, match="--seconds 0.2 then, 0.25 now"):
        main(replace(asked, seconds=0.25))


def test_words_change_what_is_done_and_closed_words_do_not(runs):
    open_words, closed = [], []
    trials = Trials(quick(runs, mid_errand=True), "cpu")
    for agent, into in (("guidance 2", open_words), ("closed", closed)):
        for told in ("", "left"):
            memory = trials.agent(agent).start(seed=0)
            if told:
                memory = trials.agent(agent).hear("step to the left", memory)
            for picture in np.random.default_rng(0).integers(0, 256, (12, 36, 64, 3)).astype(np.uint8):
                (action,), _, memory = trials.agent(agent).act([picture], memory)
                into.append((action.buttons.tolist(), action.camera_deg.tolist()))
    assert open_words[:12] != open_words[12:] and closed[:12] == closed[12:]
    row = trials.run(Life("guidance 0", 0, "left"))
    assert row["before"] == "up" and len(row["said"]) == 2 and "up" in row["said"][0] and "left" in row["said"][1]


def test_a_game_that_ends_costs_one_life(runs, monkeypatch):
    monkeypatch.setitem(worlds.WORLDS, "mortal", ("support.mortal_world", "Mortal"))
    monkeypatch.setattr(Mortal, "lives", 0)
    found = main(quick(runs, world="mortal"))
    assert found["lives"] == 6 and found["lost"] == {"guidance 0": 1}  # in which "up" was told
    assert [found["steering"][name]["arenas"] for name in ("left", "up")] == [1, 1]
    assert found["steering"]["left"]["told"] is not None and found["steering"]["left"]["low"] is None


def test_told_nothing_it_is_asked_how_often_it_does_things_anyway(runs, capsys):
    alone = main(quick(runs, model=str(runs / "base"), phrasing="none"))
    assert alone["lives"] == 2 and alone["steering"]["all"]["told"] is None
    assert 0 <= alone["steering"]["left"]["untold"] <= 1 and "guidance 0" in capsys.readouterr().out


def test_seeds_are_arenas_or_how_many():
    assert Options(seeds=(40,)).arenas == list(range(40)) and Options(seeds=(5, 3, 3)).arenas == [3, 5]
    assert parse(Options, "--seeds 0 1 2 3 4 5".split()).arenas == [0, 1, 2, 3, 4, 5]
    assert Options.__dataclass_fields__["scene"].default == SCENES[0]
    assert all(Options(scene=scene).scene == scene for scene in SCENES)


def test_what_cannot_be_is_said_at_once(runs):
    for wrong, says in (
        (dict(seeds=(3, 3)), "--seeds: an interval needs two arenas or more, got 1"),
        (dict(seeds=(1,)), "two arenas or more, got 1"), (dict(world="mars"), "no world called 'mars'"),
        (dict(guidance=()), "--guidance: name one strength"), (dict(instructions=("left", "fly")), "called 'fly'"),
        (dict(instructions=("left", "left")), "two different ones"),
        (dict(phrasing="none", mid_errand=True), "--mid-errand has no effect with --phrasing none"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            Options(**wrong)
    base = str(runs / "base")
    for changes, says in ((dict(model=base), "base hears nothing: take an agent"),
                          (dict(model=base, closed_words=True), "--closed-words has no effect with"),
                          (dict(base=str(runs / "joint")), "joint was joined with words")):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            main(quick(runs, **changes))
