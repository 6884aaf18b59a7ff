"""Fine-tuning by two recipes: each ingredient changes what it names and nothing else; a dry run with a toy agent.

Run: pytest tests/vlpt/test_finetuning.py
"""

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.mortal_world import Mortal
from support.toy_evaluation import HELD_OUT, joined, write_play

from vlpt import worlds
from vlpt.data.lanes import Lanes
from vlpt.data.shards import Shards
from vlpt.evaluation import finetuning
from vlpt.evaluation.finetuning import Options, main
from vlpt.evaluation.motion_statistics import people, statistics
from vlpt.evaluation.played_errands import ErrandCount
from vlpt.evaluation.published_recipe import (
    CHUNK,
    INGREDIENTS,
    LANES,
    PUBLISHED,
    RECIPES,
    UPDATE,
    Cut,
    Recipe,
    counted,
    idle_frames,
    is_idle,
    labelled,
    nats,
    optimizer_of,
)
from vlpt.evaluation.recipe_training import Pace, Training, cuts, part_of
from vlpt.evaluation.recipes_compared import over_arenas, paired
from vlpt.model import VLPT
from vlpt.training.losses import action_nats
from vpt.actions import BUTTONS, MINECRAFT

OURS, PACE = Recipe(), Pace(frames=UPDATE, rate=1e-3, published_rate=2e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Toy shards, and the toy agent."""
    folder = tmp_path_factory.mktemp("finetuning")
    write_play(folder)
    joined().policy.save_pretrained(folder / "base")
    return folder


@pytest.fixture(scope="module")
def episodes(folder):
    return Shards(folder / "shards").episodes


@pytest.fixture(scope="module")
def chunk(folder, episodes):
    """Pictures of nothing: what is learned is of the last actions."""
    blank = lambda episode, start, stop: np.zeros((stop - start, 128, 128, 3), np.uint8)  # noqa: E731
    return next(Lanes(Shards(folder / "shards"), episodes, lanes=LANES, frames_per_chunk=CHUNK, read_frames=blank))


def only(name: str) -> Recipe:
    return replace(OURS, **{name: True})


def agent():
    """A toy agent of one's own, without its trunk's cost: vectors that the trunk would give pass through."""
    model = VLPT(joined().config).policy
    model.load_state_dict(joined().policy.state_dict())
    return model


def features(chunk):
    """The chunk with random numbers as the trunk's outputs."""
    width = agent().packed_width
    numbers = torch.randn(*chunk.frame.shape, width, generator=torch.Generator().manual_seed(0))
    return replace(chunk, frames=numbers)


# ---- ingredients


def test_the_variants_are_all_none_and_all_but_one():
    assert RECIPES["ours"] == OURS and all(getattr(RECIPES["published"], name) for name in INGREDIENTS)
    for name in INGREDIENTS:
        recipe = RECIPES["published-without-" + name.replace("_", "-")]
        assert not getattr(recipe, name) and replace(recipe, **{name: True}) == PUBLISHED
    assert len(RECIPES) == 2 + len(INGREDIENTS)


def test_the_camera_costs_where_nobody_asks_for_it_only_if_unmasked(chunk):
    log_probs = SimpleNamespace(buttons=torch.zeros(LANES, CHUNK, 8641), camera=torch.full((LANES, CHUNK, 121), -4.0))
    asked = MINECRAFT.camera_meta(chunk.buttons_index)
    assert 0 < asked.float().mean() < 1
    for name in INGREDIENTS:
        found = nats(log_probs, chunk, only(name))
        assert torch.equal(found, torch.full_like(found, 4.0) if name == "camera_unmasked" else 4.0 * asked)
    assert torch.equal(nats(log_probs, chunk, OURS), sum(action_nats(log_probs, chunk.buttons_index,
                                                                     chunk.camera_index)))  # fmt: skip


def test_whole_degrees_turn_three_quarters_into_nothing_and_keep_keys(episodes):
    camera_deg = np.zeros((episodes[0].n_frames, 2))
    camera_deg[:4] = (0.75, 0), (-0.75, 0.9), (0, 3.3), (0, -5.0)
    buttons, _ = MINECRAFT.decode(episodes[0].buttons_index, episodes[0].camera_index)
    index, camera = MINECRAFT.encode(buttons, camera_deg)
    fine = replace(episodes[0], buttons_index=index, camera_index=camera, true_camera_deg=camera_deg)
    for name in INGREDIENTS:
        assert (labelled(fine, only(name)) is fine) == (name != "whole_degrees")
    coarse = labelled(fine, PUBLISHED)
    assert (MINECRAFT.decode(coarse.buttons_index, coarse.camera_index)[0] == buttons).all()
    null = MINECRAFT.null_camera_index
    assert (camera[:2] != null).all() and (coarse.camera_index[:2] == null).all()
    assert (coarse.camera_index[2:4] == MINECRAFT.encode(buttons, np.trunc(camera_deg))[1][2:4]).all()
    assert (coarse.camera_index[2:4] != null).all()
    assert not MINECRAFT.camera_meta(torch.tensor(coarse.buttons_index[:2])).any()


def test_only_what_was_recorded_as_nothing_is_dropped(chunk, episodes):
    idle = idle_frames(episodes)
    for name in INGREDIENTS:
        dropped = chunk.action_mask & ~counted(chunk, idle, only(name))
        assert dropped.any() == (name == "idle_dropped") and not (dropped & ~chunk.null).any()
    moved = np.zeros((episodes[0].n_frames, 2))
    moved[0, 0] = 0.15  # less than a bin: null for the policy, and no idle frame
    nothing = replace(episodes[0], true_buttons=np.zeros((episodes[0].n_frames, 20)), true_camera_deg=moved)
    assert not is_idle(nothing)[0] and is_idle(nothing)[1:].all()


def test_coupled_decay_shrinks_what_has_no_gradient_and_biases_too():
    for recipe in (OURS, only("coupled_decay")):
        model = torch.nn.Linear(3, 3)
        torch.nn.init.ones_(model.weight), torch.nn.init.ones_(model.bias)
        optimizer = optimizer_of(model, recipe, rate=1e-3)
        for _ in range(200):
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
        if recipe.coupled_decay:
            assert model.weight.max() < 0.85 and model.bias.max() < 0.85
        else:
            assert 0.99 < model.weight.min() < 1 and (model.bias == 1).all()
    kinds = {name: type(optimizer_of(torch.nn.Linear(1, 1), only(name), 1e-3)) for name in INGREDIENTS}
    assert [name for name, kind in kinds.items() if kind is torch.optim.Adam] == ["coupled_decay"]


def test_both_see_the_same_frames_in_samples_that_fill_updates(chunk):
    for recipe in (OURS, *RECIPES.values()):
        cut = Cut.of(recipe)
        seen = Counter()
        for _, rows, columns in cuts(cut):
            part = part_of(chunk, rows, columns)
            assert part.frame.shape == (cut.lanes, cut.frames)
            seen.update((b, t) for b in range(LANES)[rows] for t in range(CHUNK)[columns])
        assert len(seen) == LANES * CHUNK and set(seen.values()) == {1}
        assert cut.update % (cut.lanes * cut.frames) == 0
        assert (cut.frames == 1) == recipe.single_frames and (cut.update == 8) == recipe.small_updates


def test_memory_is_carried_and_cut_from_the_graph(chunk):
    shown = features(chunk)
    mask = shown.action_mask & (torch.arange(CHUNK) < 8)
    for recipe in Recipe(small_updates=True), Recipe(small_updates=True, single_frames=True):
        training = Training(agent(), recipe, PACE)
        for group, rows, columns in list(cuts(training.cut))[: 8 * LANES // training.cut.update]:
            training._learn(group, part_of(shown, rows, columns), mask[rows, columns])
        for memory in training.memories[:1]:
            assert bool(memory[-1].mask.any()) and not memory[-1].keys.requires_grad


def test_the_rate_is_constant_or_warms_up_and_falls():
    long = Pace(frames=100 * UPDATE, rate=1e-3, published_rate=2e-3)
    factors = [long.factor(OURS, step) for step in range(100)]
    assert factors[0] < 0.2 and max(factors) == 1 and factors[-1] < 0.11
    assert {long.factor(only("constant_rate"), step) for step in range(100)} == {1.0}
    assert [long.base_rate(recipe) for recipe in (OURS, PUBLISHED)] == [1e-3, 2e-3]


def test_a_large_gradient_is_clipped_unless_unclipped(chunk):
    part, norms = part_of(features(chunk), slice(0, 1), slice(0, 8)), []
    for recipe in (Recipe(small_updates=True), Recipe(small_updates=True, unclipped=True)):
        training, seen = Training(agent(), recipe, PACE), []
        training.optimizer.register_step_pre_hook(lambda optimizer, *_, seen=seen: seen.append(torch.cat(
            [p.grad.flatten() for g in optimizer.param_groups for p in g["params"] if p.grad is not None]).norm()))
        training._learn(0, part, torch.ones(1, 8, dtype=torch.bool))
        training._frames = 8
        training.update()
        norms.append(float(seen[0]))
        assert training.updates == 1
    assert norms[0] == pytest.approx(1, rel=1e-3) and norms[1] > 1.05


# ---- what is measured


def test_a_calm_hand_and_an_erratic_one():
    calm, wild = np.zeros((2, 40, len(BUTTONS)), np.uint8)
    calm[10:30, MINECRAFT.column["forward"]] = 1
    wild[::2, MINECRAFT.column["forward"]] = 1
    still, shaking = np.zeros((40, 2)), np.zeros((40, 2))
    shaking[:, 1] = np.tile([3.0, -3.0], 20)
    found, other = statistics(calm, still), statistics(wild, shaking)
    assert found["nothing_pressed"] == 0.5 and found["press_frames:forward"] == 20 and found["flips_a_second"] == 1
    assert found["reversals_a_second"] == found["degrees_a_second"] == found["short_presses"] == 0
    assert found["presses_a_minute:forward"] == 30 and found["press_frames:back"] is None
    assert (other["degrees_a_second"], other["camera_moving"], other["short_presses"]) == (60, 1, 1)
    assert other["reversals_a_second"] == other["flips_a_second"] == 39 / 2


def test_people_are_measured_as_labelled_by_channel(episodes):
    found = people(episodes, seconds=1)
    assert found["camera_moving"]["channels"] == 3 and found["camera_moving"]["low"] < found["camera_moving"]["delta"]
    assert found["press_frames:sneak"]["delta"] is None


def test_errands_are_counted_as_often_as_they_are_done_above_ground():
    pillars = dict.fromkeys(("blue", "yellow", "green", "white"), [50, 9, 50]) | {"red": [0, 9, 5]}
    arena = {"ground": 8, "steps": [[20, 9, 20]], "pillars": pillars}
    truth = lambda z, *nodes, y=9.0: {"position": [0, 9, z], "events": [  # noqa: E731
        {"kind": "dig", "node": node, "position": [0, y, 0]} for node in nodes]}
    count = ErrandCount(arena, truth(0))
    for z, nodes in ((1, ["flowers:rose"]), (4, []), (5, []), (0, []), (4, ["default:tree"] * 2)):
        count.update(truth(z, *nodes), np.zeros(2))
    assert count.done["go_pillar:red"] == 2 and count.done["pick_flower"] == 1 and count.steps == 5
    assert not count.done["chop"]
    count.update(truth(4, "default:tree"), np.array([0, 301.0]))
    count.update(truth(4, *["default:dirt"] * 3, y=8.0), np.zeros(2))
    assert count.done["chop"] == count.done["look"] == 1 and not count.done["dig_dirt"]


def test_lives_are_paired_by_arena_and_missing_ones_left_out():
    found = paired({0: 1.0, 1: 2.0, 2: 9.0}, {0: 0.0, 1: 0.0, 7: 1.0})
    assert (found["delta"], found["arenas"]) == (1.5, 2) and found["low"] < 0 < found["high"]
    assert over_arenas({3: 1.0}, "mean") == {"mean": 1.0, "low": None, "high": None, "arenas": 1}
    assert over_arenas({}, "mean")["mean"] is None


# ---- dry runs


def quick(folder, **changes) -> Options:
    how = dict(base=str(folder / "base"), shards=str(folder / "shards"), held_out=HELD_OUT, frames=32, arenas=2,
               ingredient_arenas=2, variants=("ours", "published-without-single-frames"), world="dummy", size=(64, 36),
               seconds=0.2, workers=1, device="cpu", out=str(folder / "finetuning.json"))  # fmt: skip
    return Options(**how | changes)


def test_a_killed_run_goes_on_and_table_and_json_hold_intervals(folder, monkeypatch, capsys):
    out = folder / "finetuning.json"
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(finetuning, "Trial", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))  # all are trained
        main(quick(folder))
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("finetuning.weights/*/model.safetensors")}
    assert len(kept) == 2 and not out.exists()
    found = main(quick(folder))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept and json.loads(out.read_text()) == found
    assert out.with_suffix(".png").stat().st_size > 1000 and found["lost"] == {name: 0 for name in found["variants"]}
    lives = out.with_suffix(".lives.jsonl").read_text()  # a line of what they were made with, and one each
    assert list(found["variants"]) == ["base", "ours", "published-without-single-frames"] and lives.count("\n") == 7
    moved = found["variants"]["ours"]["numbers"]["degrees_a_second"]
    assert moved["low"] < moved["mean"] < moved["high"] and moved["against"]["base"]["arenas"] == 2
    assert {"delta", "low", "high"} <= found["variants"]["ours"]["nats"]["against"]["base"].keys()
    assert found["variants"]["ours"]["training"]["frames"] == 512 and found["people"]["camera_moving"]["channels"] == 2
    shown = capsys.readouterr().out
    assert "nats a frame" in shown and "published-without-single-frames" in shown and "people" in shown and "[" in shown


def test_a_game_that_ends_costs_one_life(folder, monkeypatch):
    monkeypatch.setitem(worlds.WORLDS, "mortal", ("support.mortal_world", "Mortal"))
    monkeypatch.setattr(Mortal, "lives", 0)
    found = main(quick(folder, world="mortal", variants=("base",), arenas=6, out=str(folder / "mortal.json")))
    assert found["lost"] == {"base": 1}
    assert found["variants"]["base"]["numbers"]["nothing_pressed"]["arenas"] == 5


def test_what_cannot_be_is_one_line(folder, tmp_path):
    for wrong, says in ((dict(variants=("theirs",)), "--variants: none is called 'theirs'; choose among base, ours"),
                        (dict(arenas=1), "an interval needs two or more"), (dict(world="mars"), "no world called"),
                        (dict(out="a.png"), "is the name of the picture"),
                        (dict(out=""), "--out names a JSON file")):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            quick(folder, **wrong)
    joined().save_pretrained(tmp_path / "fused")
    for wrong, says in ((dict(base=str(tmp_path / "fused")), "holds a VLPT: take an agent of stage base"),
                        (dict(base=str(tmp_path)), "no model in"), (dict(held_out=()), "--held-out names no channel"),
                        (dict(train_on=("ch4",)), "--train-on: no channel ch4 that is not held out"),
                        (dict(frames=64), "finetuning.lives.jsonl was made with other options .--frames 32 then"),
                        ):  # fmt: skip
        with pytest.raises(ValueError, match=says) as error:
            main(quick(folder, **wrong))
        assert "\n" not in str(error.value)
