"""What truth tells a language model is found where it is there, and not where it is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.places import ROOT

from data_gathering import shard
from vlpt.data.episode import Episode
from vlpt.data.views import Line, Thing
from vlpt.data.words import Word
from vlpt.evaluation import sight
from vlpt.evaluation.sight import Said, compared, measure
from vlpt.evaluation.told_sight import GROUPS, among, of_doing, of_errands, of_view
from vpt.actions import BUTTONS, MINECRAFT

CHANNELS = [f"ch{i // 2}" for i in range(8)]


def said(seed: int, of_what: str, tokens: int = 1200) -> Said:
    """Eight episodes of tokens 3 and 5, which a language model that knows no better holds for equally likely; what is
    told in `of_what` says which it is, nine times in ten."""
    random = np.random.default_rng(seed)
    told = {group: random.integers(0, 2, (tokens, 3)).astype(np.float32) for group in GROUPS}
    right = random.random(tokens) < 0.9
    bit = told[of_what][:, 1].astype(bool) if of_what else random.random(tokens) < 0.5
    token = torch.from_numpy(np.where(bit == right, 5, 3))
    return Said(torch.log_softmax(torch.tensor([-9.0, -9, -9, 0, -9, 0]), 0).repeat(tokens, 1), token,
                np.arange(tokens) * 8 // tokens, told)  # fmt: skip


@pytest.mark.parametrize("of_what", ["view", "pause", ""])
def test_what_is_told_is_worth_what_it_says(of_what):
    found = measure(said(0, of_what), said(1, of_what), (CHANNELS, CHANNELS), least=5)
    worth = compared(found, CHANNELS)
    there = np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    for group in GROUPS:
        assert worth[group]["delta"] == pytest.approx(there if group == of_what else 0, abs=0.04)
    assert worth["all"]["delta"] == pytest.approx(there if of_what else 0, abs=0.04)
    assert worth["sight"]["delta"] == pytest.approx(there if of_what == "view" else 0, abs=0.04)
    assert np.mean(found["alone"]["each"]) == pytest.approx(np.log(2), abs=0.01)
    assert found["all"]["numbers"] == 1 + 3 * len(GROUPS) and worth["all"]["channels"] == 4


def test_a_token_that_is_seldom_said_keeps_its_probability():
    train, test = said(0, "view"), said(1, "view")
    rare = test.token.clone()
    rare[::2] = 1
    found = measure(train, replace(test, token=rare), (CHANNELS, CHANNELS), least=5)
    assert np.mean(found["nothing"]["each"]) == pytest.approx(np.log(2) / 2 + (9 + np.log(2)) / 2, abs=0.05)


def test_what_is_told_of_an_episode():
    buttons, camera = np.zeros((200, len(BUTTONS))), np.zeros((200, 2))
    buttons[100:104, MINECRAFT.column["attack"]], camera[100:110, 1] = 1, -3
    index = MINECRAFT.encode(buttons, camera)
    errands = [{"name": "hop 3", "start_frame": 40, "end_frame": 80, "done": True},
               {"name": "chop the tree 2", "start_frame": 120, "end_frame": None, "done": False}]  # fmt: skip
    words, known = [Word("now", 0, 100)], np.ones(200)
    episode = Episode("a", "ch0", ROOT, words, *index, np.zeros(200, bool), known, errands=errands)
    frames = np.array([39, 45, 90, 130])
    rows = of_errands(episode, frames, ["hop", "chop the tree"], ["chop", "hop"])
    lasts, ended = rows[:, :20].reshape(4, 2, 10), rows[:, 20:].reshape(4, 4, 4)
    assert lasts.sum((1, 2)).tolist() == [0, 1, 0, 1] and lasts[1, 0, 4] == 1 and lasts[3, 1, 5] == 1
    assert ended.sum((1, 2)).tolist() == [0, 0, 2, 2] and ended[2, 1, 1] == ended[2, 3, 1] == 1
    half, two = of_doing(episode, np.array([100, 104, 120])).reshape(3, 2, -1).transpose(1, 0, 2)
    attack, left = MINECRAFT.column["attack"], len(BUTTONS) + 3
    assert half[:, attack].tolist() == [0, 1, 0] and two[:, attack].tolist() == [0, 1, 1]
    assert half[:, left].tolist() == [0, 0, 0] and two[:, left].tolist() == [0, 0, 1]
    lines = [Line(0, "axe", []), Line(8, "", [Thing("pillar", "red", 3.0, (0.1, 0.0, 0.0))])]
    seen = of_view(lines, np.array([4, 8, 60]), [("pillar", "red"), ("tree", "")], ["axe"])
    assert seen.tolist() == [[0] * 8 + [1], [1, 0, 0, 1] + [0] * 5, [1, 0, 0, 1] + [0] * 5]
    assert among(np.array([-1.0, 0.0, 9.0]), (0.0, 1.0)).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_of_the_sample(tmp_path, capsys):
    shard.main(shard.Options(str(ROOT / "data_gathering/samples"), labels="truth", out=str(tmp_path / "shards"),
                             channels=("ch0", "ch1", "ch4", "ch5")))
    options = sight.Options(language=str(ROOT / "pretrained/words"), shards=str(tmp_path / "shards"),
                            views=str(ROOT / "data_gathering/samples"), out=str(tmp_path / "sight.json"))
    sight.main(options)
    found, printed = json.loads((tmp_path / "sight.json").read_text()), capsys.readouterr().out
    assert list(found["worth"]) == [*GROUPS, "all", "sight"] and "2 channels" in printed
    assert 1.5 < found["nats_per_token"]["alone"] < 2.5 and (tmp_path / "sight.png").exists()
    with pytest.raises(ValueError, match="must leave channels to learn from"):
        sight.main(replace(options, kept=("ch0", "ch1")))
    with pytest.raises(ValueError, match=r"ch0-00.view.jsonl.gz is missing"):
        sight.main(replace(options, views=str(tmp_path)))
