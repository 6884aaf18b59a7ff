"""What truth could be worth: it takes what there is to tell, another episode's tells nothing, and worth says the share.

Run: pytest tests/vlpt/test_told_truth.py
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toy_errands import BEGINS, HELD_OUT, PERIOD, untrained, write_errands, write_model

from vlpt.evaluation import told_truth, worth
from vlpt.evaluation.told_truth import SINCE_S, ToldTruth, beginning, losses_told, often_begun, pressed_by_index
from vlpt.evaluation.trial import Losses, Trial, TrialOptions
from vlpt.metrics import t_interval
from vpt.actions import BUTTONS, MINECRAFT


@pytest.fixture(scope="module")
def trial(tmp_path_factory) -> Trial:
    folder = tmp_path_factory.mktemp("truth")
    write_errands(folder)
    write_model(folder / "open", untrained())
    where = TrialOptions(shards=str(folder / "shards"), held_out=HELD_OUT, lanes=3, device="cpu")
    return Trial(folder / "open", where)


@pytest.fixture
def eager(monkeypatch):
    """Six errands of each name are often, and few frames teach much."""
    monkeypatch.setattr(told_truth, "OFTEN", 6)
    monkeypatch.setattr(told_truth, "RATE", 0.3)


def test_truth_takes_what_there_is_to_tell(trial, eager):
    """An agent of random weights: set right, it may toss a coin between two keys; told what is done, it need not."""
    told, untold = losses_told(trial, epochs=6)
    assert trial.losses("silence").moment(1).mean("action") > 5
    assert told.moment(1).mean("action") < 0.25 < 0.35 < untold.moment(1).mean("action")
    assert told.count("action") == untold.count("action") == trial.losses("silence").count("action")


def test_another_episodes_truth_tells_nothing(trial, eager):
    """Errands in the order of another episode: which key will be pressed cannot be told by them."""
    plans = [[errand["name"] for errand in episode.errands] for episode in trial.shards.episodes]
    of_others = [replace(episode, errands=[{**errand, "name": name} for errand, name in
                                           zip(episode.errands, plans[(i + 1) % len(plans)], strict=True)])
                 for i, episode in enumerate(trial.shards.episodes)]  # fmt: skip
    before = trial.shards.episodes, trial.episodes
    try:
        trial.shards.episodes, trial.episodes = of_others, [one for one in of_others if one.channel in HELD_OUT]
        told, untold = losses_told(trial, epochs=6)
    finally:
        trial.shards.episodes, trial.episodes = before
    assert told.moment(1).mean("action") > untold.moment(1).mean("action") - 0.1


def test_at_birth_it_changes_nothing_and_rows_follow_the_clock(trial):
    truth, episode = ToldTruth(["dig-red", "hop-red"]), trial.episodes[0]
    action = type("Logits", (), dict(buttons=torch.randn(1, 3, 8641).log_softmax(-1),
                                     camera=torch.randn(1, 3, 121).log_softmax(-1)))  # fmt: skip
    same = truth(action, torch.tensor([[0, 1, 5]]), torch.tensor([[-1, 0, 7]]))
    assert torch.allclose(same.buttons, action.buttons, atol=1e-5)
    assert torch.allclose(same.camera, action.camera, atol=1e-5)
    told = truth.told(episode)
    number = next(i for i, errand in enumerate(episode.errands) if errand["name"].startswith("dig-red"))
    begins = PERIOD * number + BEGINS
    assert told[begins - 20] == 1 and told[begins - 21] == 0 and told[begins] == 1 + SINCE_S.index(0.0)
    assert told[begins + 23] == 1 + SINCE_S.index(1.0) and told[begins + 24] == 0  # the errand is over


def test_names_are_told_apart_as_far_as_they_are_often_begun(monkeypatch):
    monkeypatch.setattr(told_truth, "OFTEN", 2)
    known = often_begun(["turn left", "turn left", "turn right", "turn around", "back"])
    assert known == ["turn left", "turn"]
    assert [beginning(name, known) for name in ("turn left", "turn right", "back")] == ["turn left", "turn", None]


def test_every_index_presses_its_buttons():
    pressed, column = pressed_by_index(), MINECRAFT.column["jump"]
    buttons = np.zeros(len(BUTTONS))
    buttons[column] = 1
    index, _ = MINECRAFT.encode(buttons, np.array([0.0, 5.0]))
    assert pressed[index].nonzero()[:, 0].tolist() == [column, len(BUTTONS)]  # and the camera moves


def test_the_share_is_a_ratio_of_means_over_channels():
    def losses(nats):
        return Losses({"action": np.column_stack([nats, np.ones(4)])})

    found = {"without_words": losses([1.0, 1.2, 0.9, 1.1]), "action": losses([0.9, 1.15, 0.85, 1.0]),
             worth.UNTOLD: losses([0.9, 1.1, 0.8, 1.0]), worth.TRUTH: losses([0.7, 0.9, 0.7, 0.8])}  # fmt: skip
    share = worth.share_of_truth(found, ["a", "b", "c", "d"])
    words, truth = np.array([0.1, 0.05, 0.05, 0.1]), np.array([0.2, 0.2, 0.1, 0.2])
    expected = t_interval(words - words.sum() / truth.sum() * truth)
    assert share["delta"] == pytest.approx(words.sum() / truth.sum())
    assert share["high"] - share["delta"] == pytest.approx(expected.high / truth.mean())


def test_without_errands_there_is_no_truth(trial):
    with pytest.raises(ValueError, match="no errand is begun 30 times in .*leave --truth-epochs out"):
        losses_told(trial, epochs=1)
