"""The hand: chances of keys are sums over classes, what is held is held, presses have their lengths.

Run: pytest tests/vlpt/test_hand.py
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toy_evaluation import HELD_OUT, joined, write_play, write_run

from vlpt.evaluation.hand import KEYS, Options, chance_of_keys, held_frames, labels, main, press_lengths, presses
from vlpt.evaluation.trial import Trial
from vpt.actions import BUTTONS, MINECRAFT
from vpt.policy import Policy, PolicyConfig


def constant_policy(down: dict[str, float]) -> Policy:
    """A policy that says the same of every frame: each class in which exactly these keys are down, and nothing else,
    with the given probability."""
    policy = Policy(PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25))
    logits = torch.full((policy.config.n_buttons,), -60.0)
    for key, chance in down.items():
        buttons = np.array([name == key for name in BUTTONS], np.uint8)
        index, _ = MINECRAFT.encode(buttons, np.array([0.0, 5.0]))
        logits[int(index)] = np.log(chance)
    torch.nn.init.zeros_(policy.heads.buttons.linear.weight)
    policy.heads.buttons.linear.bias.data = logits * policy.config.temperature
    return policy.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand")
    write_play(folder)
    write_run(folder / "feels", joined(), "joint")
    write_run(folder / "constant", constant_policy({"forward": 0.75, "back": 0.2, "use": 0.05}), "base")
    return folder


def options(folder, name: str, **asked) -> Options:
    return Options(model=str(folder / name), shards=str(folder / "shards"), held_out=HELD_OUT, device="cpu", **asked)


def test_the_chance_of_a_key_is_that_of_all_classes_with_it():
    log_probs = torch.randn(2, 3, MINECRAFT.n_buttons_index).log_softmax(-1)
    expected = np.zeros((2, 3, len(KEYS)))
    for index in range(MINECRAFT.n_buttons_index):
        buttons, _ = MINECRAFT.decode(np.array(index), np.array(MINECRAFT.null_camera_index))
        down = [k for k, key in enumerate(KEYS) if buttons[BUTTONS.index(key)]]
        expected[..., down] += log_probs[..., index, None].exp().numpy()
    np.testing.assert_allclose(chance_of_keys(log_probs), expected, atol=1e-5)


def test_a_key_is_held_that_was_down_at_the_three_frames_before():
    down = np.array([1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1], bool)[:, None]
    known = np.ones(13, bool)
    assert np.flatnonzero(held_frames(down, known)).tolist() == [3, 4, 8, 12]
    known[[4, 10]] = False  # of what is done there nothing is known: it ends no hold, and begins none
    assert np.flatnonzero(held_frames(down, known)).tolist() == [3, 8]


def test_presses_have_their_lengths():
    down = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1], bool)
    assert press_lengths(down).tolist() == [2, 1, 3] and press_lengths(np.zeros(4, bool)).tolist() == []
    rows = np.zeros((9, len(KEYS)), bool)
    rows[:, KEYS.index("left")] = down
    found = presses([rows, rows])
    assert found["left"] == {"count": 6, "median": 2.0, "q90": 3.0} and found["jump"]["median"] is None


def test_an_agent_that_always_says_the_same_has_its_numbers(folder, tmp_path, capsys):
    found = main(options(folder, "constant", out=str(tmp_path / "hand.json")))
    assert json.loads((tmp_path / "hand.json").read_text()) == found
    assert not found["last_action"] and found["nats"]["felt"] == found["nats"]["unfelt"]
    for key, chance in (("forward", 0.75), ("back", 0.2), ("left", 0.0)):
        assert found["held"][key]["felt"] == pytest.approx(chance, abs=1e-4)
    assert "never told" in capsys.readouterr().out


def test_people_are_counted_as_labelled(folder):
    trial = Trial(folder / "constant", options(folder, "constant"))
    found = main(options(folder, "constant"))
    for k, key in enumerate(KEYS):
        held = stays = 0
        for episode in trial.episodes:
            down = labels(episode)[:, k]
            for t in range(3, episode.n_frames):
                if down[t - 3 : t].all() and (episode.confidence[t - 3 : t + 1] > 0).all():
                    held, stays = held + 1, stays + down[t]
        assert found["held"][key]["count"] == held
        assert found["held"][key]["people"] == (pytest.approx(stays / held) if held else None)
        assert key == "right" or held > 0 or key == "jump"
    runs = [press_lengths(labels(episode)[:, KEYS.index("back")]) for episode in trial.episodes]
    assert found["presses"]["recordings"]["back"]["median"] == np.median(np.concatenate(runs))


def test_an_agent_that_feels_says_otherwise_when_it_does_not(folder):
    found = main(replace(options(folder, "feels", lanes=3), held_out=("ch5",)))
    assert found["last_action"] and found["episodes"] == ["ch5-00", "ch5-01"]
    assert abs(found["nats"]["felt"]["action"] - found["nats"]["unfelt"]["action"]) > 1e-4
    forward = found["held"]["forward"]
    assert forward["felt"] != forward["unfelt"] and 0 < forward["felt"] < 1


def test_presses_in_play_stand_beside_the_recordings(folder, capsys):
    found = main(options(folder, "constant", play_seconds=1.5, world="dummy", size=(64, 36), seeds=(0, 1)))
    played = found["presses"]["play"]
    assert played["forward"]["count"] > 3 and 1 <= played["forward"]["median"] <= played["forward"]["q90"] <= 30
    assert played["left"]["count"] == 0 and "play" in capsys.readouterr().out
    assert main(options(folder, "feels", play_seconds=0.5, world="dummy", size=(64, 36), seeds=(0,)))["presses"]["play"]


def test_what_cannot_be_is_said_at_once(folder):
    with pytest.raises(ValueError, match="--seeds has no effect with --play-seconds 0"):
        options(folder, "constant", seeds=(7,))
    with pytest.raises(ValueError, match="no world called 'mars'"):
        options(folder, "constant", play_seconds=1.0, world="mars")
