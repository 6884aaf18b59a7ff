"""Understanding: what is told is read off the words and the states, on other channels; where nothing tells, nothing is.

Run: pytest tests/vlpt/test_understanding.py
"""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from support.toy_errands import HELD_OUT, untrained, write_errands, write_model

import evaluate
from vlpt.data.shards import Shards
from vlpt.data.words import Word
from vlpt.evaluation.moments import Given, Track, find_announcements, training_episodes
from vlpt.evaluation.trial import Trial
from vlpt.evaluation.understanding import Examples, Options, bags, choose, last_words, main, probe, read, states


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("understanding")
    write_errands(folder)
    write_model(folder / "open", untrained())
    return folder


def options(folder, **changes) -> Options:
    made = dict(model=str(folder / "open"), shards=str(folder / "shards"), held_out=HELD_OUT, lanes=4, seconds=1.5,
                device="cpu")  # fmt: skip
    return Options(**made | changes)


def test_what_is_told_is_understood_on_other_channels(folder, capsys):
    """Each kind has its own words: whoever reads them knows, and so do states of even a random language model."""
    found = evaluate.evaluate(options(folder, out=str(folder / "found" / "understanding.json")))
    assert json.loads((folder / "found" / "understanding.json").read_text()) == found
    assert cv2.imread(str(folder / "found" / "understanding.png")).shape[1] > 500
    assert found["readings"]["bag of words"]["all"]["share"] == 1.0
    assert found["readings"]["states"]["all"]["share"] >= 0.9 and found["readings"]["states"]["features"] == 64
    assert found["commonest"]["share"] == 0.25 and found["errands"] == {"train": 24, "test": 12}
    assert found["readings"]["states"]["kinds"]["hop-red"]["count"] == 3 and found["left_out"] == {}
    assert "commonest kind" in capsys.readouterr().out


def test_before_the_words_nothing_is_understood(folder):
    """Of the last 0.15 s alone, in which nothing is said, there is no word to count."""
    found = main(options(folder, seconds=0.15))
    assert found["readings"]["bag of words"]["all"]["share"] == 0.25
    assert found["readings"]["bag of words"]["features"] == 0


def test_states_are_those_that_frames_may_ask_at_the_first_frame(folder):
    trial = Trial(folder / "open", options(folder))
    examples = read(trial, trial.episodes, 1.5)
    assert examples.states.shape == (12, 64) and len(examples.said) == 12
    one = examples.told[5]
    track = Track(trial.episodes[one.track], trial)
    with torch.no_grad():  # in one piece, up to the errand's first frame
        given = Given.stack([track.given(trial.features, 0, one.start_frame + 1)])
        _, memory = given.run(trial, trial.model.start(1))
    seen = memory.words.mask[0] & (memory.words.age_frames[0] < 30)  # counted from the latest tick
    words = memory.words.content[0, seen].numpy()
    expected = np.concatenate([words.mean(0), words[-1]])
    np.testing.assert_allclose(examples.states[5], expected, atol=1e-4)
    assert not states(trial.model.start(1), 1.5).any()  # nothing was said yet


def test_words_of_the_last_seconds_are_counted(folder):
    episode = Shards(folder / "shards").episodes[0]
    words = [Word(text, at, at + 100) for text, at in (("Old", 0), ("Dig", 1000), ("dig", 1900), ("now", 2000))]
    assert last_words(replace(episode, words=words), 40, 1.0) == ["dig", "dig"]
    assert bags([["dig", "dig", "new"], []], ["dig", "hop"]).tolist() == [[2, 0], [0, 0]]


def examples_of(folder, kinds: list[str]) -> Examples:
    """The training channels' examples, their kinds replaced."""
    trial = Trial(folder / "open", options(folder))
    tracks = [Track(episode, trial) for episode in training_episodes(trial)]
    told, _ = find_announcements(tracks)
    told = [replace(one, kind=kind) for one, kind in zip(told, kinds, strict=True)]
    return Examples(tracks, told, 0, np.zeros((len(told), 2), np.float32), [[]] * len(told))


def test_rare_kinds_are_left_out_and_counted(folder):
    train = examples_of(folder, ["dig"] * 12 + ["hop"] * 5 + ["spin"] * 4 + ["look"] * 3)
    test = examples_of(folder, ["dig"] * 10 + ["spin"] * 2 + ["fly"] * 1 + ["hop"] * 11)
    less, held, left_out = choose(train, test, 5)
    assert left_out == {"fly": [0, 1], "look": [3, 0], "spin": [4, 2]}
    assert len(less.told) == 17 == len(less.states) and len(held.told) == 21 == len(held.said)
    with pytest.raises(ValueError, match="1 kinds of errand are told 6 times in the training channels.*lower --least"):
        choose(train, test, 6)


def test_a_probe_finds_what_is_there_and_nothing_else(folder):
    random, kinds = np.random.default_rng(0), ["dig", "hop"] * 12
    train, test = examples_of(folder, kinds), examples_of(folder, kinds)
    x, u = (random.normal(0, 1, (24, 6)).astype(np.float32) for _ in range(2))
    right, _ = probe(train, test, x, u)
    assert 0.2 < right.mean() < 0.8
    x[:, 0] = u[:, 0] = np.array(kinds) == "dig"
    assert probe(train, test, 8 * x, 8 * u)[0].mean() > 0.9


def test_what_cannot_be_is_said(folder, tmp_path):
    write_model(tmp_path / "mute", untrained().policy)
    for changes, said in (
        (dict(model=str(tmp_path / "mute")), "mute hears nothing: take an agent that was joined with words"),
        (dict(held_out=("ch9",)), "no channel ch9: there are ch0, ch1"),
        (dict(least=25), "0 kinds of errand are told 25 times"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            main(options(folder, **changes))
    with pytest.raises(ValueError, match=r"--out found\.png is the name of the picture"):
        options(folder, out="found.png")
