"""Evaluation: the losses are those of the models, the parts alone are the parts, and what cannot be compared is not.

Run: pytest tests/vlpt/test_evaluate.py
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toy_evaluation import HELD_OUT, joined, tokenizer, write_all_runs, write_play, write_run

import evaluate
from vlpt.data.lanes import Lanes
from vlpt.data.shards import Shards
from vlpt.data.word_sources import WordStreams
from vlpt.evaluation import worth
from vlpt.evaluation.trial import Trial, TrialOptions, reported_episodes
from vlpt.language.transformer_xl import TransformerXL
from vlpt.parts import unjoined
from vlpt.training.losses import action_nats, language_nats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    write_play(folder)
    write_all_runs(folder / "runs")
    return folder


def options(folder, kind=TrialOptions, **asked):
    where = {"runs": str(folder / "runs")} if kind is not TrialOptions else {}
    return kind(shards=str(folder / "shards"), held_out=HELD_OUT, lanes=3, device="cpu", **where, **asked)


def test_losses_are_those_of_each_episode_seen_by_itself(folder):
    """In one lane and one chunk, with nothing of the evaluation's own."""
    write_run(folder / "runs" / "open", joined(), "joint")
    trial = Trial(folder / "runs" / "open", options(folder))
    found, model = trial.losses(), joined()
    for i, episode in enumerate(trial.episodes):
        (chunk,) = Lanes(trial.shards, [episode], lanes=1, frames_per_chunk=92, tokenizer=tokenizer(), epochs=1,
                         frames_per_tick=4, silence=model.language.vocabulary, max_lateness_ms=2000,
                         read_frames=trial.features)  # fmt: skip
        with torch.no_grad():
            out, _ = model(chunk.frames, chunk.first, chunk.heard, model.start(1), chunk.last_action)
        nats = sum(action_nats(out.action, chunk.buttons_index, chunk.camera_index))
        pressed = chunk.action_mask & ~chunk.null
        assert int(chunk.action_mask.sum()) == 85 == found.sums["action"][i, 1] and 0 < pressed.sum() < 85
        assert found.each("action")[i] == pytest.approx(nats[chunk.action_mask].mean().item(), abs=1e-4)
        assert found.each("action_non_null")[i] == pytest.approx(nats[pressed].mean().item(), abs=1e-4)
        _, token, spoken = language_nats(model.language, out, chunk.spoken)
        assert found.sums["token"][i, 1] == spoken.sum() > 5
        assert found.each("token")[i] == pytest.approx(token[spoken].mean().item(), abs=1e-4)
        assert found.each("token_after_first")[i] == pytest.approx(token[spoken][1:].mean().item(), abs=1e-4)
    each = found.sums["action"]
    assert found.mean("action") == pytest.approx(each[:, 0].sum() / each[:, 1].sum())


def test_swapped_is_the_mean_over_partners(folder):
    trial = Trial(folder / "runs" / "without_words", options(folder))
    both = [trial.losses(word_source="swapped", seed=seed).each("action") for seed in (0, 1)]
    np.testing.assert_allclose(trial.swapped(2, word_source="swapped").each("action"), np.mean(both, 0))
    assert not np.allclose(*both)


def test_the_parts_of_a_model_with_closed_gates_are_the_parts_alone(folder, tmp_path):
    """The law of DESIGN §3: joining loses nothing. So gain is 0, by two ways of computing each loss."""
    found = worth.main(options(folder, worth.Options, out=str(tmp_path / "worth.json")))
    assert json.loads((tmp_path / "worth.json").read_text()) == found
    for loss in ("token", "action"):
        assert {round(found["gain"][loss][key], 4) + 0.0 for key in ("delta", "low", "high")} == {0}
    alone, joint = found["alone"], found["joined"]["joint"]
    assert alone["language_nats_per_token"] == pytest.approx(joint["nats_per_token"], abs=1e-4)
    assert alone["agent_nats_per_frame"] == pytest.approx(joint["nats_per_frame"], abs=1e-4)
    assert found["joined"]["action"] == joint  # the same weights here
    assert found["frames"] == 4 * 85 and found["tokens"] > 20


def test_worth_is_the_loss_without_the_signal_minus_that_with_it(folder, tmp_path):
    found = worth.main(options(folder, worth.Options, out=str(tmp_path / "worth.json")))
    with_words = Trial(folder / "runs" / "action", options(folder)).losses()
    without = Trial(folder / "runs" / "without_words", options(folder)).losses(word_source="silence")
    difference = without.each("action") - with_words.each("action")
    words, frames = found["worth"]["words"], found["worth"]["frames"]
    assert words["delta"] == pytest.approx(difference.mean()) and words["low"] < words["delta"] < words["high"]
    blank = Trial(folder / "runs" / "without_frames", options(folder)).losses(frame_source="blank")
    seen = Trial(folder / "runs" / "language", options(folder)).losses()
    assert frames["delta"] == pytest.approx((blank.each("token") - seen.each("token")).mean())
    assert found["alone"]["without_words_nats_per_frame"] == pytest.approx(without.mean("action"))
    difference = without.each("action_non_null") - with_words.each("action_non_null")
    assert found["worth_non_null"]["words"]["delta"] == pytest.approx(difference.mean())
    assert words["channels"] == 2 and words["episodes"] == 4
    moments = found["by_moment"]["words"]  # nobody is about any errand here
    assert moments["between errands"]["delta"] == pytest.approx(words["delta"])
    assert moments["between errands"]["nats"] == pytest.approx(with_words.mean("action"))
    assert moments["0-1 s"]["delta"] is None and sum(one["count"] for one in moments.values()) == 4 * 85


def test_a_language_model_with_a_start_token_is_asked_for_every_token(folder):
    """And one without for all but the first, which nothing precedes; the mask of lateness is training's."""
    language, trial = joined().language, Trial(folder / "runs" / "joint", options(folder))
    started = TransformerXL(replace(language.config, start_token=3)).eval()
    started.load_state_dict(language.state_dict())
    words = WordStreams(trial.episodes, tokenizer(), 4, language.vocabulary, 2000)
    every = [int((words.tokens(i)[0] != words.silence).sum()) for i in range(4)]
    with_start = worth.text_losses(started, words).sums["token"]
    assert with_start[:, 1].tolist() == every
    assert worth.text_losses(language, words).sums["token"][:, 1].tolist() == [count - 1 for count in every]
    ids = torch.from_numpy(words.tokens(0)[0][words.tokens(0)[0] != words.silence])
    text, first = torch.cat([torch.tensor([3]), ids])[None], torch.zeros(1, len(ids) + 1, dtype=torch.bool)
    with torch.no_grad():
        log_probs, _ = started(text, first, started.start(1))
    expected = -log_probs[0, :-1].gather(1, ids[:, None]).sum()
    assert with_start[0, 0] == pytest.approx(expected.item(), rel=1e-4)
    strict = WordStreams(trial.episodes, tokenizer(), 4, language.vocabulary, 50)
    late = sum(int(strict.tokens(i)[1].sum()) for i in range(4))
    assert late > 0 and worth.text_losses(started, strict).sums["token"][:, 1].sum() == sum(every) - late


def test_dependence_has_its_keys_under_both_masks(folder, tmp_path):
    found = evaluate.dependence(options(folder, evaluate.DependenceOptions, out=str(tmp_path / "found.json"), swaps=2))
    assert set(found["dependence"]) == {"words", "silence", "frames", "oracle", "shuffled"}
    assert set(found["dependence_non_null"]) == {"words", "silence", "oracle", "shuffled"}
    assert {"dependence", "conditions", "episodes", "gates", "options", "peak_gb"} <= set(found)
    for name in ("words", "silence", "frames", "shuffled"):  # closed gates
        assert {round(found["dependence"][name][key], 5) + 0.0 for key in ("delta", "low", "high")} == {0}
    oracle, conditions = found["dependence"]["oracle"], found["conditions"]["oracle"]
    difference = np.subtract(conditions["oracle_swapped"]["action"], conditions["oracle"]["action"])
    assert oracle["delta"] == pytest.approx(difference.mean(), abs=1e-4) and oracle["delta"] != 0
    assert found["dependence_non_null"]["oracle"]["delta"] != oracle["delta"]
    assert set(found["by_moment"]) == set(found["dependence"]) and oracle["channels"] == 2
    assert found["by_moment"]["oracle"]["between errands"]["delta"] == pytest.approx(oracle["delta"])


def test_only_channels_that_are_named_are_measured(folder, tmp_path):
    shards = Shards(folder / "shards")
    assert [e.id for e in reported_episodes(shards, options(folder))] == ["ch4-00", "ch4-01", "ch5-00", "ch5-01"]
    one = dict(held_out=("ch5",))
    assert [e.id for e in reported_episodes(shards, replace(options(folder), **one))] == ["ch5-00", "ch5-01"]
    found = worth.main(replace(options(folder, worth.Options, out=str(tmp_path / "worth.json")), **one))
    assert found["episodes"] == ["ch5-00", "ch5-01"] and found["frames"] == 2 * 85
    with pytest.raises(ValueError, match="--held-out names no channel"):
        reported_episodes(shards, replace(options(folder), held_out=()))
    with pytest.raises(ValueError, match=r"joint was trained on \['ch0'\]"):
        Trial(folder / "runs" / "joint", replace(options(folder), held_out=("ch0", "ch4")))


def test_runs_that_differ_in_more_than_the_signal_are_not_compared(folder, tmp_path):
    runs = write_all_runs(tmp_path / "runs")
    asked = replace(options(folder, worth.Options, out=str(tmp_path / "worth.json")), runs=str(runs))
    write_run(runs / "without_words", joined(), "action", words="silence", steps=7, threads=1)
    with pytest.raises(ValueError, match=r"differ in more than the signal \(--steps None and 7\)"):
        worth.main(asked)
    write_run(runs / "without_words", joined(), "action", words="true")
    with pytest.raises(ValueError, match="without_words was trained with --words true"):
        worth.main(asked)
    write_run(runs / "without_words", joined(), "action", words="silence", drop_words=0.0, progress=False)
    write_run(runs / "base", unjoined(joined()).language, "words")
    with pytest.raises(ValueError, match="base holds a TransformerXL: a VLPT or a Policy"):
        worth.main(asked)
    assert not (tmp_path / "worth.json").exists()
