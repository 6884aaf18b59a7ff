"""Matching: a model that learned what words tell and films show wins its pairs, one with closed gates ties them all.

Run: pytest tests/vlpt/test_matching.py
"""

import gzip
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from support.toy_errands import FRAMES, HELD_OUT, plan, trained, untrained, write_errands, write_model
from support.toy_evaluation import write_play

import evaluate
from vlpt.data.lanes import Lanes
from vlpt.data.shards import Shards
from vlpt.data.words import Word
from vlpt.evaluation.exchanges import CONDITIONS, compare, draw, exchange, moment, other_film, shift
from vlpt.evaluation.matching import Options, main
from vlpt.evaluation.moments import Given, Track, find_announcements, memories, told_words
from vlpt.evaluation.shares import share
from vlpt.evaluation.trial import Trial
from vlpt.parts import unjoined
from vlpt.training.losses import action_nats, language_nats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matching")
    shards = Shards(write_errands(folder))
    model = trained(shards, steps=120)
    write_model(folder / "trained", model)
    write_model(folder / "closed", unjoined(model))
    write_model(folder / "open", untrained())
    return folder


def options(folder, name: str, **changes) -> Options:
    made = dict(model=str(folder / name), shards=str(folder / "shards"), held_out=HELD_OUT, lanes=2, seconds=1.0,
                film_seconds=0.5, others=3, device="cpu")  # fmt: skip
    return Options(**made | changes)


def moments_of(folder, name: str = "open", **changes):
    trial = Trial(folder / name, options(folder, name, **changes))
    tracks = [Track(episode, trial) for episode in trial.episodes]
    told, untold = find_announcements(tracks)
    assert untold == 0
    return trial, tracks, [moment(one, tracks[one.track], 1.0, 0.5) for one in told]


def write_views(folder, shards: Shards):
    """What is in view: a patch of the colour that the player names, and later nothing."""
    folder.mkdir()
    for seed, episode in enumerate(shards.episodes):
        lines = []
        for frame in range(0, FRAMES, 4):
            colour, _ = plan(seed)[frame // 60]
            thing = {"kind": "wall", "colour": colour, "distance_m": 1.0, "share": [0.2, 0.3, 0.2]}
            lines.append(json.dumps({"frame": frame, "hand": "", "things": [thing] * (frame % 60 < 24)}))
        (folder / f"{episode.id}.view.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return str(folder)


# ---- what is found


def test_what_was_learned_wins(folder, capsys):
    """Of three others one does the same, and one has the same colour: 2.5 of 3 pairs at best."""
    views = write_views(folder / "views", Shards(folder / "shards"))
    asked = options(folder, "trained", views=views, out=str(folder / "found" / "matching.json"))
    found = evaluate.evaluate(asked)
    assert json.loads((folder / "found" / "matching.json").read_text()) == found
    assert cv2.imread(str(folder / "found" / "matching.png")).shape[1] > 1000
    for direction, least in (("actions_from_words", 0.75), ("words_from_frames", 0.65)):
        assert found[direction]["all"]["share"] > least and found[direction]["all"]["low"] > 0.5
        assert found[direction]["ceiling"]["all"]["share"] > 0.7 and found[direction]["nats"] > 0.3
        assert found[direction]["pairs"] == 36 and found[direction]["left_out"] == 0
        assert found[direction]["kinds"]["dig-red"]["count"] == 3 == found[direction]["all"]["channels"]
    assert found["announcements"] == 12 and set(found["kinds"].values()) == {3}
    assert "actions from words" in (said := capsys.readouterr().out) and "hop-blue" in said


def test_closed_gates_tie_every_pair(folder):
    found = main(options(folder, "closed"))
    for direction in ("actions_from_words", "words_from_frames"):
        shares = [found[direction]["all"], *found[direction]["kinds"].values()]
        assert {row[end] for row in shares for end in ("share", "low", "high")} == {0.5}
        assert abs(found[direction]["nats"]) < 1e-4


def test_another_seed_draws_other_pairs(folder):
    one, other = (list(compare(*moments_of(folder, others=1, seed=seed))) for seed in (0, 1))
    for condition in CONDITIONS[:2]:
        first, second = ([pairs.numbers[condition].tolist() for _, pairs in some] for some in (one, other))
        assert first != second and {len(numbers) for numbers in first} == {1}


def test_pairs_are_of_other_kinds_and_the_control_of_the_same_kind_in_other_words(folder):
    trial, tracks, moments = moments_of(folder)
    reworded = [replace(one, told=replace(one.told, text=f"{one.told.text} {i}")) for i, one in enumerate(moments)]
    for index, own in enumerate(reworded):
        for condition, numbers in draw(trial, tracks, reworded, index).items():
            kinds = {reworded[i].told.kind for i in numbers}
            assert len({*numbers}) == len(numbers) == (2 if condition.endswith("_same_kind") else 3), condition
            assert index not in numbers and (kinds == {own.told.kind}) == condition.endswith("_same_kind")
    assert not any(len(draw(trial, tracks, moments, i)[condition]) for i in range(12) for condition in CONDITIONS[2:])


# ---- how it is found


def test_losses_are_those_of_the_whole_episode_heard_in_one(folder):
    """From a memory in the middle of an episode: the same nats as when all of it with other words is one chunk."""
    trial, tracks, moments = moments_of(folder)
    found = dict(compare(trial, tracks, moments))
    for index in (0, 2, 7):
        own, pairs = moments[index], found[index]
        track = tracks[own.told.track]
        whole = track.given(trial.features, 0, FRAMES)
        tokens = exchange(track, own, moments[pairs.numbers["actions_from_words"][0]].told)
        lanes = [whole, replace(whole, heard=track.hear(tokens, 0, FRAMES))]
        with torch.no_grad():
            output, _ = Given.stack(lanes).run(trial, trial.model.start(2))
        nats = sum(action_nats(output.action, *(torch.from_numpy(labels).expand(2, -1) for labels in (
            track.episode.buttons_index, track.episode.camera_index))))  # fmt: skip
        did = nats[:, own.told.start_frame : own.told.start_frame + 20].sum(1)
        assert (did[1] - did[0]).item() == pytest.approx(pairs.nats["actions_from_words"][0], abs=1e-3)
        assert abs(pairs.nats["actions_from_words"][0]) > 1e-3


def test_another_film_changes_its_own_frames_alone(folder):
    trial, tracks, moments = moments_of(folder)
    index, pairs = next((index, pairs) for index, pairs in compare(trial, tracks, moments) if moments[index].cut > 60)
    own, other = moments[index], moments[pairs.numbers["words_from_frames"][0]]
    true = tracks[own.told.track].given(trial.features, own.cut, own.stop)
    seen = other_film(true, trial, tracks[other.told.track], own, other)
    length = own.film_end - own.cut
    assert length == 12 + 4 * (own.told.ticks[-1] - own.told.ticks[0]) + 1  # half a second in whole ticks, and words
    begin = own.cut + shift(own, other, 4)
    expected = trial.features(tracks[other.told.track].episode, begin, begin + length)
    np.testing.assert_array_equal(seen.frames[:length], expected)
    np.testing.assert_array_equal(seen.frames[length:], true.frames[length:])
    assert not np.array_equal(seen.frames[:length], true.frames[:length]) and seen.heard is true.heard
    whole = tracks[own.told.track].given(trial.features, 0, FRAMES)
    frames = whole.frames.copy()
    frames[own.cut : own.film_end] = expected
    last = whole.last_action.copy()
    last[own.cut : own.film_end] = tracks[other.told.track].last_action[begin : begin + length]
    swapped = replace(whole, frames=frames, last_action=last)
    with torch.no_grad():
        output, _ = Given.stack([whole, swapped]).run(trial, trial.model.start(2))
    spoken = torch.full((2, FRAMES), tracks[0].silence)
    spoken[:, own.told.ticks * 4] = torch.from_numpy(own.told.tokens)
    token = language_nats(trial.model.language, output, spoken)[1].sum(1)
    assert (token[1] - token[0]).item() == pytest.approx(pairs.nats["words_from_frames"][0], abs=1e-3)


def test_other_words_stand_where_the_true_ones_stood(folder):
    _, tracks, moments = moments_of(folder)
    own, track = moments[5], tracks[moments[5].told.track]
    other = next(one for one in moments if one.told.kind != own.told.kind).told
    tokens = exchange(track, own, other)
    changed = np.flatnonzero(tokens != track.tokens)
    assert {*changed} <= {*own.told.ticks} and tokens[own.told.ticks].tolist() == other.tokens.tolist()
    short = replace(other, tokens=other.tokens[:1], ticks=other.ticks[:1])
    assert exchange(track, own, short)[own.told.ticks].tolist() == [other.tokens[0], track.silence]
    room = own.said_by - own.told.ticks[0] + 1
    for length in (room, room + 1):  # what is not over before the errand begins is not taken
        long = replace(other, tokens=np.resize(other.tokens, length), ticks=np.arange(length) * 3)
        tokens = exchange(track, own, long)
        assert (tokens is None) == (length > room)
        if tokens is not None:
            assert (tokens[own.told.ticks[0] : own.said_by + 1] == long.tokens).all()
            assert (np.delete(tokens, np.arange(own.told.ticks[0], own.said_by + 1)) ==
                    np.delete(track.tokens, np.arange(own.told.ticks[0], own.said_by + 1))).all()  # fmt: skip


def test_memory_at_a_frame_is_that_of_the_episode_alone(folder):
    trial, tracks, _ = moments_of(folder)
    frames = [[0, 100, 131], [7], [FRAMES]]
    found = {(number, frame): memory for number, frame, memory in memories(trial, tracks, trial.features, frames)}
    assert set(found) == {(0, 0), (0, 100), (0, 131), (1, 7), (2, FRAMES)}
    for (number, frame), memory in found.items():
        alone = trial.model.start(1)
        if frame:
            with torch.no_grad():
                _, alone = Given.stack([tracks[number].given(trial.features, 0, frame)]).run(trial, alone)
        torch.testing.assert_close(memory.words.content, alone.words.content, atol=1e-4, rtol=1e-4)
        assert torch.equal(memory.next_frame, alone.next_frame) and torch.equal(memory.words.mask, alone.words.mask)


def test_a_track_gives_what_training_gives(folder):
    trial, tracks, _ = moments_of(folder)
    (chunk,) = Lanes(
        trial.shards, trial.episodes[1:2], lanes=1, frames_per_chunk=FRAMES, epochs=1, read_frames=trial.features,
        tokenizer=trial.tokenizer, frames_per_tick=4, silence=trial.model.language.vocabulary)  # fmt: skip
    parts = [tracks[1].given(trial.features, *part) for part in ((0, 50), (50, FRAMES))]
    for name, expected in (("frames", chunk.frames), ("first", chunk.first), ("heard", chunk.heard),
                           ("last_action", chunk.last_action)):  # fmt: skip
        found = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(found, expected[0].numpy(), err_msg=name)
    assert (chunk.heard != tracks[1].silence).sum() == 11  # the last word is said at the last tick
    assert tracks[1].last_action.std() > 0
    beyond = tracks[1].given(trial.features, FRAMES - 2, FRAMES + 3)
    assert (beyond.frames[1:] == beyond.frames[1]).all() and len(beyond.heard) == 5


# ---- who told what


def test_the_words_that_told_an_errand_are_found(folder):
    _, tracks, moments = moments_of(folder)
    episodes = {one.id: seed for seed, one in enumerate(Shards(folder / "shards").episodes)}
    for own in moments:
        period = own.told.start_frame // 60
        colour, does = plan(episodes[tracks[own.told.track].episode.id])[period]
        assert own.told.text == f"{colour} {does}" and own.told.kind == f"{does}-{colour}"
    words = [Word(text, start, start + 200.0) for text, start in (
        ("you", 0.0), ("dig", 210.0), ("sure", 1000.0), ("next", 3000.0), ("hop", 3210.0))]  # fmt: skip
    asked = {"name": "dig", "start_frame": 30}
    assert told_words(words, asked, 0) == range(2, 3)  # the last words before it
    assert told_words(words, asked | {"announced_ms": 0}, 0) == range(2)
    assert told_words(words, asked | {"announced_ms": 205}, 0) == range(1, 2)
    assert told_words(words, asked | {"announced_ms": 9000}, 0) == range(0)
    assert told_words(words, {"name": "hop", "start_frame": 50}, 30) == range(0)  # "sure" told the one before
    assert told_words(words, {"name": "hop", "start_frame": 80}, 30) == range(3, 5)


# ---- shares


def test_the_channel_is_the_unit_of_a_share():
    right = [1, 1, 1, 1, 0, 0.5]
    found = share(right, ["a", "a", "a", "a", "b", "c"], [0, 0, 0, 1, 2, 3])
    assert found["share"] == pytest.approx(0.5) and found["count"] == 6 and found["channels"] == 3
    assert found["low"] == 0 and found["high"] == 1  # t over three channels is wide, and cut at what a share can be
    pair = share(right[:5], list("aaaab"), [0, 0, 0, 1, 2])
    assert pair["share"] == 0.5 and pair["low"] == 0 and pair["high"] == 1
    alone = share([1, 0, 0, 0], list("aaaa"), [0, 1, 2, 3])
    assert alone["share"] == 0.25 and alone["low"] == 0 and 0.25 < alone["high"] < 1
    assert share([1, 0], ["a", "a"], [0, 0]) == {"share": 0.5, "low": None, "high": None, "count": 2, "channels": 1}
    assert share([], [], [])["share"] is None


def test_intervals_of_shares_cover():
    """Channels that differ: 95 % intervals over eight hold the truth nine times of ten or more, over four alike."""
    random = np.random.default_rng(0)
    for channels in (4, 8):
        hits = 0
        for _ in range(300):
            each = np.clip(random.normal(0.6, 0.1, channels), 0, 1)
            rows = [(random.random() < p, str(c), 4 * c + e) for c, p in enumerate(each) for e in range(4)
                    for _ in range(6)]  # fmt: skip
            found = share(*zip(*rows, strict=True))
            hits += found["low"] <= 0.6 <= found["high"]
        assert hits / 300 > 0.91


# ---- what a person gets wrong


def test_what_cannot_be_is_said(folder, tmp_path):
    write_model(tmp_path / "mute", untrained().policy)
    write_play(tmp_path)
    for changes, said in (
        (dict(model=str(tmp_path / "mute")), "mute hears nothing: take an agent that was joined with words"),
        (dict(held_out=("ch9",)), "no channel ch9: there are ch0, ch1"),
        (dict(held_out=()), "--held-out names no channel"),
        (dict(shards=str(tmp_path / "shards"), held_out=("ch4",)), "no errand is told in the episodes of ch4: take"),
        (dict(views=str(tmp_path)), r"ch0-00\.view\.jsonl\.gz is missing: make it with"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            main(options(folder, "open", **changes))
    with pytest.raises(ValueError, match=r"--out found\.png is the name of the picture"):
        options(folder, "open", out="found.png")
