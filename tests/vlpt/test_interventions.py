"""Words and film changed in one way: what is changed is that alone, and what is counted never depends on it.

Run: pytest tests/vlpt/test_interventions.py
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.toy_errands import BEGINS, DOES, FRAMES, PERIOD, play, tokenizer, untrained, write_model

from data_gathering.streamer.phrases import FLOWERS
from vlpt.data.lanes import Lanes
from vlpt.data.shards import write_shards
from vlpt.data.word_sources import WordStreams
from vlpt.data.words import Word, read_words
from vlpt.evaluation.differences import by_moment
from vlpt.evaluation.errand_times import BETWEEN, MOMENTS, moment_of_frames
from vlpt.evaluation.interventions import Options, main, moved_film, on_frames, on_words
from vlpt.evaluation.moments import fused_trial
from vlpt.evaluation.word_edits import COLOURS, DIRECTIONS, THINGS, Strangers, moved, other_names, renamed
from vlpt.parts import unjoined
from vlpt.training.losses import action_nats
from vlpt.worlds import errands

SAMPLES = Path(__file__).parents[2] / "data_gathering" / "samples"
HELD_OUT = ("ch4", "ch5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One episode to learn from, one of each channel that is held out."""
    folder = tmp_path_factory.mktemp("interventions")
    episodes = [play(folder / "videos", f"{channel}-00", seed) for seed, channel in enumerate(("ch0", *HELD_OUT))]
    write_shards(folder / "shards", episodes, {"labels": "toy"})
    write_model(folder / "open", untrained())
    write_model(folder / "closed", unjoined(untrained()))
    return folder


def options(folder, model="open", **asked):
    few = dict(draws=1, word_seconds=(1.0,), film_seconds=(1.0,))
    return Options(shards=str(folder / "shards"), held_out=HELD_OUT, model=str(folder / model), device="cpu",
                   **few | asked)  # fmt: skip


@pytest.fixture(scope="module")
def trial(folder):
    return fused_trial(options(folder))


@pytest.fixture(scope="module")
def true(trial):
    return trial.losses()


# ---- moments


def test_every_frame_has_its_moment(trial):
    """The toy's errands take 24 frames: colour and deed are told from 0.5 s on, one period after the other."""
    names = np.array(MOMENTS)[moment_of_frames(trial.episodes[0])].reshape(-1, PERIOD)
    period = (["between errands"] * 10 + ["announcement"] * (BEGINS - 10) + ["0-1 s"] * 20
              + ["1-2 s"] * (DOES - 20) + ["between errands"] * (PERIOD - BEGINS - DOES))  # fmt: skip
    assert names.shape[0] == FRAMES // PERIOD and all(row.tolist() == period for row in names)


def test_first_seconds_go_before_an_announcement_and_that_before_the_rest(trial):
    long = [{"name": "dig", "start_frame": 20, "end_frame": 150},
            {"name": "hop", "start_frame": 150, "end_frame": None}]  # fmt: skip
    words = [Word("hop", 4000.0, 4200.0)]  # said at frame 80, in the fourth second of what is done before
    one = replace(trial.episodes[0], errands=long, words=words)
    names = [MOMENTS[i] for i in moment_of_frames(one)]
    assert names[:20] == ["between errands"] * 20 and names[20:100] == [
        "0-1 s"] * 20 + ["1-2 s"] * 20 + ["2-4 s"] * 40  # fmt: skip
    assert names[100:150] == ["announcement"] * 50  # of what follows; the errand's fourth second is over by then
    assert names[150:] == ["0-1 s"] * 20 + ["1-2 s"] * 20 + ["2-4 s"] * 40 + ["rest of errand"] * (FRAMES - 230)
    assert (moment_of_frames(replace(one, errands=[])) == BETWEEN).all()


def test_moments_add_up_and_each_is_the_loss_of_its_frames(trial, true):
    for loss, total in true.sums.items():
        np.testing.assert_allclose(sum(true.moment(i).sums[loss] for i in range(len(MOMENTS))), total)
    assert true.sums["action"][:, 1].tolist() == [FRAMES] * 2 and (true.sums["token"][:, 1] == 12).all()
    spoken = [true.moment(i).count("token") for i in range(len(MOMENTS))]
    assert spoken == [2 * 8, 0, 0, 0, 0, 2 * 4]  # colour and deed; "well" when all is done
    for i, episode in enumerate(trial.episodes):
        (chunk,) = Lanes(trial.shards, [episode], lanes=1, frames_per_chunk=FRAMES, tokenizer=tokenizer(), epochs=1,
                         frames_per_tick=4, silence=trial.model.language.vocabulary, max_lateness_ms=2000,
                         read_frames=trial.features)  # fmt: skip
        with torch.no_grad():
            out, _ = trial.model(chunk.frames, chunk.first, chunk.heard, trial.model.start(1), chunk.last_action)
        nats = sum(action_nats(out.action, chunk.buttons_index, chunk.camera_index))[0].numpy()
        first = np.arange(FRAMES) % PERIOD - BEGINS
        chosen = nats[(0 <= first) & (first < 20)]
        assert true.moment(MOMENTS.index("0-1 s")).each("action")[i] == pytest.approx(chosen.mean(), abs=1e-4)


# ---- other words


def test_moved_words_keep_their_order_and_lose_what_falls_outside():
    words = [Word("a", 100.0, 200.0), Word("b", 1100.0, 1200.0), Word("c", 2900.0, 2990.0)]
    assert moved(words, 500, 60) == [Word("a", 600.0, 700.0), Word("b", 1600.0, 1700.0)]
    assert moved(words, -1000, 60) == [Word("b", 100.0, 200.0), Word("c", 1900.0, 1990.0)]


def test_names_change_and_nothing_else():
    random = np.random.default_rng(0)
    names = other_names(THINGS, random)
    for line in THINGS:
        assert sorted(names[name] for name in line) == sorted(line) and all(names[name] != name for name in line)
    texts = ("The", "Tree,", '"left"', "treetop", "left-hand", "-")
    said = [Word(text, 50.0 * i, 50.0 * i) for i, text in enumerate(texts)]
    found = [word.word for word in renamed(said, names | other_names(DIRECTIONS, random))]
    assert found == ["The", f"{names['tree'].capitalize()},", '"right"', "treetop", "left-hand", "-"]
    assert [word.start_ms for word in renamed(said, names)] == [word.start_ms for word in said]


def test_the_lists_name_what_is_said_in_the_samples():
    said = {word.word for path in SAMPLES.glob("*.words.jsonl") for word in read_words(path)}
    listed = [name for lists in (THINGS, COLOURS, DIRECTIONS) for names in lists for name in names]
    assert len(set(listed)) == len(listed) and set(listed) <= said
    assert {flower.split()[-1] for flower in FLOWERS} <= set(listed) and set(COLOURS[0]) == set(errands.COLOURS)


def test_strangers_words_leave_the_ticks_as_they_are(trial):
    episode, model = trial.episodes[0], trial.model
    strangers = Strangers(["red", "blue", "red", "red", "dig", "Unheard-of"], tokenizer())
    other = replace(episode, words=strangers.replace(episode.words, np.random.default_rng(0)))
    assert {word.word for word in other.words} <= {"red", "blue", "dig"} and other.words != episode.words
    streams = WordStreams([episode, other], tokenizer(), 4, model.language.vocabulary, 2000)
    spoken = [streams.tokens(i)[0] != model.language.vocabulary for i in (0, 1)]
    assert (spoken[0] == spoken[1]).all() and spoken[0].sum() == 12
    assert Strangers([], tokenizer()).replace(episode.words, np.random.default_rng(0)) == episode.words


# ---- other film


def test_moved_film_takes_its_last_action_along(trial):
    for seconds, by in ((1.0, 20), (-1.0, -20)):
        film = moved_film(trial.episodes, trial.features, seconds)
        chunk = next(trial.lanes(**film))
        plain = next(trial.lanes())
        at = slice(22, 40) if by > 0 else slice(1, 20)
        source = slice(at.start - by, at.stop - by)
        assert torch.equal(chunk.frames[:, at], plain.frames[:, source])
        assert torch.equal(chunk.last_action[:, at], plain.last_action[:, source])
        assert torch.equal(chunk.heard, plain.heard) and torch.equal(chunk.spoken, plain.spoken)
        assert torch.equal(chunk.language_mask, plain.language_mask)
        for one in trial.episodes:  # where the film has none, its first or last picture
            edge = 0 if by > 0 else FRAMES - 1
            still = film["read_frames"](one, *((0, 5) if by > 0 else (FRAMES - 5, FRAMES)))
            np.testing.assert_array_equal(still, np.repeat(trial.features(one, edge, edge + 1), 5, 0))


# ---- all together


def test_what_counts_never_depends_on_the_intervention(folder, trial, true, tmp_path, capsys):
    """And every row is the loss under the intervention minus the loss with the truth."""
    found = main(options(folder, out=str(tmp_path / "found.json")))
    assert json.loads((tmp_path / "found.json").read_text()) == found and (tmp_path / "found.png").stat().st_size
    assert list(found["words"]) == ["another episode's", "silence", "-1 s", "+1 s", "other nouns", "other colours",
                                    "other directions", "only timing"]  # fmt: skip
    assert list(found["frames"]) == ["another episode's", "blank", "-1 s", "+1 s"]
    for name, loss, every in (("words", "action", on_words), ("frames", "token", on_frames)):
        for row in found[name].values():
            assert [one["count"] for one in row["by_moment"].values()] == [true.moment(i).count(loss) for i in range(6)]
            assert row["all"]["channels"] == 2
        under = every(trial)["+1 s"].losses(0)
        np.testing.assert_array_equal(under.by_moment[loss][..., 1], true.by_moment[loss][..., 1])
        expected = (under.each(loss) - true.each(loss)).mean()
        assert found[name]["+1 s"]["all"]["delta"] == pytest.approx(expected, abs=1e-6) and abs(expected) > 1e-5
    changes = {name: row["changes"] for name, row in found["words"].items()}
    assert changes["silence"] is None and changes["other nouns"] == {"words": 24, "lost": 0, "changed": 0}
    assert changes["other colours"]["changed"] == 8 and changes["+1 s"] == {"words": 24, "lost": 2, "changed": 0}
    said = capsys.readouterr().out
    assert "other colours" in said and "2 channels" in said


def test_a_model_with_closed_gates_pays_for_nothing(folder):
    trial = fused_trial(options(folder, "closed"))
    true, channels = trial.losses(), list(HELD_OUT)
    for chosen, loss in ((on_words(trial)["only timing"], "action"), (on_frames(trial)["+1 s"], "token")):
        found = by_moment(true, chosen.losses(0), loss, channels)
        assert {round(row["delta"], 6) + 0.0 for row in found.values() if row["count"]} == {0}


def test_a_picture_is_not_the_file_to_write(folder):
    with pytest.raises(ValueError, match=r"--out found\.png is the name of the picture"):
        options(folder, out="found.png")
