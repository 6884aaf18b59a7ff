"""Flow: closing a gate costs what it costs and leaves no trace; attention is what the model attends with, and is on the
right side.

Run: pytest tests/vlpt/test_flow.py
"""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toy_evaluation import FRAMES, HELD_OUT, joined, write_play, write_run

from vlpt.clock import Visibility
from vlpt.data.views import Thing, read_view
from vlpt.evaluation import gates
from vlpt.evaluation.flow import Options, main, table
from vlpt.evaluation.moments import Given, Track
from vlpt.evaluation.noun_attention import (
    OTHER_NOUN,
    OTHER_TIME,
    OWN,
    Look,
    Noun,
    attention,
    find_nouns,
    looking,
    more_on_things,
    names,
    on_things,
    singular,
)
from vlpt.evaluation.trial import Trial
from vlpt.files import write_json
from vlpt.fusion import GatedCrossAttention
from vlpt.parts import unjoined

TREE = {"kind": "tree", "colour": "", "distance_m": 3.0, "share": [0.2, 0.0, 0.0]}
WATER = {"kind": "water", "colour": "", "distance_m": 5.0, "share": [0.0, 0.0, 0.3]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow")
    shards = write_play(folder)
    write_run(folder / "open", joined(), "joint")
    write_run(folder / "closed", unjoined(joined()), "joint")
    for channel in HELD_OUT:
        for i in range(2):
            lines = [json.dumps({"frame": frame, "hand": "", "things": [TREE, WATER]}) for frame in range(0, FRAMES, 4)]
            path = shards.parent / "views" / f"{channel}-{i:02}.view.jsonl.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def options(folder, model: str = "open", **changes) -> Options:
    made = dict(model=str(folder / model), shards=str(folder / "shards"), held_out=HELD_OUT, lanes=2, others=3,
                device="cpu")  # fmt: skip
    return Options(**made | changes)


def nouns_of(folder):
    trial = Trial(folder / "open", options(folder))
    tracks = [Track(episode, trial) for episode in trial.episodes]
    views = [read_view(folder / "views", episode) for episode in trial.episodes]
    return trial, tracks, *find_nouns(tracks, views)


# ---- gates


def test_a_closed_gate_is_closed_and_opens_again(folder):
    model = joined()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    every = gates.conditions(model)
    assert len(every) == 4 + 2 + 1 and set(every["all"]) == {name for names in every.values() for name in names}
    with gates.closed(model, every["words_ask_frames, all"]):
        now = model.gates()
        assert now["words_ask_frames"] == 0 < now["frames_ask_words"]
        assert now["words_ask_frames.0.feedforward_gate"] == 0
    with pytest.raises(KeyboardInterrupt), gates.closed(model, every["all"]):
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_closing_costs_is_the_loss_of_the_model_without_it(folder):
    trial, found, name = Trial(folder / "open", options(folder)), {}, "frames_ask_words.1.attention_gate"
    as_it_is = trial.losses()
    for condition in (name, "words_ask_frames, all"):
        with gates.closed(trial.model, gates.conditions(trial.model)[condition]):
            found[condition] = trial.losses()
    direct = joined()
    with torch.no_grad():
        direct.frames_ask_words["1"].attention_gate.zero_()
    write_run(folder / "without", direct, "joint")
    with torch.no_grad():
        direct.frames_ask_words["1"].attention_gate.fill_(0.7)
    without = Trial(folder / "without", options(folder)).losses()
    np.testing.assert_allclose(found[name].each("action"), without.each("action"), atol=1e-6)
    cost = gates.costs(as_it_is, found, ["a", "a", "b", "b"], 0)
    expected = (without.each("action") - as_it_is.each("action")).mean()
    assert cost[name]["action"]["delta"] == pytest.approx(expected, abs=1e-6) and abs(expected) > 1e-4
    assert cost[name]["token"]["delta"] == 0  # words are read before frames ask them
    assert abs(cost["words_ask_frames, all"]["token"]["delta"]) > 1e-4


def test_history_goes_back_to_where_a_run_started(tmp_path):
    for name, stage, start in (("base", "base", ""), ("words", "language", "base"), ("joint", "joint", "words")):
        write_json(tmp_path / name / "options.json", {"options": {"stage": stage, "start": str(tmp_path / start)}})
        rows = [{"step": 0, "valid/token": 1.0}, *({"step": i, "gate/frames_ask_words": i / 10} for i in (1, 2))]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / name / "log.jsonl").write_text(text + '{"step": 3, "gate/fra')  # killed while writing
    found = gates.history(tmp_path / "joint")
    assert [stage["run"] for stage in found] == ["words", "joint"]
    assert found[1] == {"run": "joint", "steps": [1, 2], "gates": {"frames_ask_words": [0.1, 0.2]}}
    assert gates.history(tmp_path / "nothing") == []


# ---- attention


def test_weights_are_those_that_values_are_mixed_with():
    torch.manual_seed(0)
    block = GatedCrossAttention(32, 24, 10, heads=2, head_width=8, patches=(4, 6))
    x, source, places = torch.randn(2, 3, 32), torch.randn(2, 5, 24), torch.randn(2, 1, 4, 6)
    asked = block.key_values(source, torch.arange(5.0).expand(2, 5)).followed_by(
        block.patch_key_values(places, torch.full((2, 1), 4.0)))  # fmt: skip
    visible = torch.rand(2, 3, 9) < 0.6
    visible[0, 1] = False
    age = (torch.arange(4.0, 7)[:, None] - torch.tensor([0.0, 1, 2, 3, 4, 4, 4, 4, 4])).expand(2, 3, 9)
    sees = Visibility(visible, age, torch.arange(4.0, 7).expand(2, 3))
    weights = block.weights(x, asked, sees)
    mixed = (weights @ asked.values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(block.out(mixed), block.attend(x, asked, sees), atol=1e-5, rtol=1e-5)
    total = weights.sum(3)
    assert (total[0, :, 1] == 0).all() and total[1].allclose(torch.ones(2, 3))
    assert (weights.transpose(1, 2)[~visible.any(2)] == 0).all()


def test_a_noun_is_looked_up_where_it_is_heard(folder):
    trial, tracks, nouns, unseen = nouns_of(folder)
    assert {noun.word for noun in nouns} == {"tree", "water"} and unseen == 0
    for noun in nouns:
        track = tracks[noun.track]
        assert track.hear(track.tokens, noun.frame, noun.frame + 1) == noun.token
        assert noun.thirds.tolist() == ([1, 0, 0] if noun.word == "tree" else [0, 0, 1])
    blind = [read_view(folder / "views", one) for one in trial.episodes]
    gone = [[replace(line, things=[thing for thing in line.things if thing.kind == "tree"]) for line in lines]
            for lines in blind]  # fmt: skip
    some, _ = find_nouns(tracks, gone)
    assert {noun.word for noun in some} == {"tree"}
    small = [[replace(line, things=[Thing("tree", "", 9.0, (0.0, 0.0002, 0.0))]) for line in lines] for lines in blind]
    with pytest.raises(ValueError, match="no word of these episodes names anything in view"):
        find_nouns(tracks, small)


def test_what_words_name():
    kinds, colours = {"pillar", "tree", "steps"}, {"red", "blue"}
    assert [singular(word, kinds) for word in ("Trees,", "steps", "pillar.", "grass")] == [
        "tree", "steps", "pillar", "grass"]  # fmt: skip
    said = ["the", "red", "pillar", "is", "blue", "tree"]
    assert names(said, 1, kinds, colours) == names(said, 2, kinds, colours) == {"red", "pillar"}
    assert names(["pillar", "is", "red"], 0, kinds, colours) == {"pillar"}
    assert names(["red", "is", "it"], 0, kinds, colours) == {"red"}


def test_a_look_is_that_of_the_whole_episode_heard_in_one(folder):
    trial, tracks, nouns, _ = nouns_of(folder)
    looked = attention(trial, tracks, nouns, others=3)
    for noun, one in zip(nouns, looked, strict=True):
        track = tracks[noun.track]
        with looking(trial.model) as kept, torch.no_grad():
            Given.stack([track.given(trial.features, 0, FRAMES)]).run(trial, trial.model.start(1))
        tick, ticks, count = noun.frame // 4, -(-FRAMES // 4), trial.model.config.policy.patches
        weights = kept[0][0][0, :, tick].mean(0).numpy()
        patches = weights[-ticks * count :].reshape(ticks, count)
        (own,) = one[OWN]
        np.testing.assert_allclose(own.patches, patches[tick], atol=1e-5)
        assert own.all_patches[0] == pytest.approx(patches.sum(), abs=1e-5) and own.patches.sum() > 0.01
        assert own.places.sum() == pytest.approx(1) and 0 < own.even < own.even_all < 1
        assert len(one[OTHER_NOUN]) == 1 and len(one[OTHER_TIME]) <= 3  # one other word names something else
        assert not np.allclose(one[OTHER_NOUN][0].patches, own.patches, atol=1e-5)
    assert sum(len(one[OTHER_TIME]) for one in looked) > 4  # 3 s apart, in 4.5 s
    assert not trial.model.words_ask_frames["0"]._forward_pre_hooks


def test_looking_at_a_thing_is_looking_at_its_columns():
    def a_look(*columns: float) -> Look:
        return Look(np.tile(columns, 4) * 0.1, np.array([0.5]), 0.1, 0.1, 0.5)

    left, right, between = a_look(1, 0, 0, 0), a_look(0, 0, 0, 1), a_look(0, 1, 0, 0)
    tree = Noun(0, "tree", 3, 8, (Thing("tree", "", 3.0, (0.2, 0.0, 0.0)),))
    wide = replace(tree, things=(Thing("tree", "", 3.0, (0.1, 0.1, 0.0)),))
    assert [on_things(one, tree) for one in (left, right, between)] == pytest.approx([1, 0, 1 / 3])
    assert on_things(between, wide) == pytest.approx(1 / 2)
    assert on_things(a_look(1, 1, 1, 1), wide) == pytest.approx(1 / 3)
    looked = {OWN: [between], OTHER_NOUN: [right, left, between, right], OTHER_TIME: []}
    assert more_on_things(tree, looked, OTHER_NOUN) == (1 + 0 + 0.5 + 1) / 4
    assert more_on_things(tree, looked, OTHER_TIME) is None


# ---- the program


def test_the_program_writes_what_it_prints_and_closing_what_is_closed_costs_exactly_nothing(folder, tmp_path, capsys):
    out = tmp_path / "flow.json"
    found = main(options(folder, "closed", views=str(folder / "views"), out=str(out)))
    assert json.loads(out.read_text()) == found and table(found) in capsys.readouterr().out
    for name in ("flow.png", "flow.places.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    nouns = found["nouns"]
    assert nouns["count"] == nouns["other_noun"]["all"]["count"] > 4
    assert set(nouns["other_noun"]["kinds"]) == {"tree", "water"}
    costs = [cost for row in found["closed"].values() for cost in row.values()]
    assert {cost[end] for cost in costs for end in ("delta", "low", "high")} == {0}
    assert nouns["attention"]["patches"]["all"]["share"] == pytest.approx(nouns["by_layer"][0], abs=0.05)
    assert set(found["closed"]) == set(gates.conditions(joined())) and found["channels"] == ["ch4", "ch4", "ch5", "ch5"]


def test_what_cannot_be_is_said(folder):
    with pytest.raises(ValueError, match=r"ch4-00\.view\.jsonl\.gz is missing: make it with"):
        main(options(folder, views=str(folder)))
    with pytest.raises(ValueError, match=r"--out found\.png is the name of the picture"):
        options(folder, out="found.png")
