"""Play: a tiny agent with random weights in the dummy world and in front of a recording.

Run: pytest tests/vlpt/test_play.py
"""

import json

import numpy as np
import pytest
import torch
from support.numbered_recordings import action, indices, record
from support.places import ROOT
from support.toy_agent import FRAMES_PER_TICK, save_toy, toy_model

from vlpt.agent import Agent, load_agent
from vlpt.options import parse
from vlpt.play import Options, play, true_tokens
from vlpt.show.overlay import Moment, Overlay, Subtitle
from vlpt.show.paint import AGENT, OTHER
from vpt.actions import BUTTONS, MINECRAFT, to_world
from vpt.frames import read_video, write_video
from vpt.released import write_released


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_toy(tmp_path_factory.mktemp("model")))


def options(model, out, **changes) -> Options:
    return Options(model=model, out=str(out), progress=False, **{"world": "dummy", "size": (64, 36), **changes})


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


def test_play_in_a_world_is_filmed_frame_by_frame(model, tmp_path):
    out = tmp_path / "films" / "play.mp4"
    rows = play(options(model, out, seconds=1.6, hear="let's chop a tree", hear_at=0.25, seed=3))
    assert rows == lines(out) and [row["frame"] for row in rows] == list(range(32))
    film = list(read_video(out))
    assert len(film) == 32 and film[0].shape == (720, 960, 3)
    assert not any(row["heard"] for row in rows[:5])
    assert "".join(row["heard"] for row in rows).strip() == "let's chop a tree"
    assert any(row["word"] for row in rows) and not any(row["word"] and row["heard"] for row in rows)
    assert all(0 < row["p_silence"] < 1 for row in rows) and all(set(row["buttons"]) <= set(BUTTONS) for row in rows)
    assert not list(out.parent.glob("*.tmp"))


def test_the_same_seed_plays_the_same_and_another_one_otherwise(model, tmp_path):
    first, again, other = (play(options(model, tmp_path / "play.mp4", seconds=0.6, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_watching_a_recording_shows_the_true_keys_and_follows_the_true_words(model, tmp_path):
    frames, folder = 30, tmp_path / "recordings"
    record(folder, "ch0-00", 1, frames, word_frames=(3, 9, 17))
    rows = play(options(model, tmp_path / "watched.mp4", recording=str(folder / "ch0-00.mp4")))
    assert len(rows) == frames
    for t, row in enumerate(rows):
        buttons, camera_deg = action(2048 + t)
        assert row["true"]["buttons"] == [name for name, on in zip(BUTTONS, buttons, strict=True) if on]
        np.testing.assert_allclose(row["true"]["camera_deg"], camera_deg, atol=1e-3)
    heard = "".join(row["heard"] for row in rows).strip()
    assert heard and "w3 w9 w17".startswith(heard)
    agent = Agent.from_pretrained(model)
    tokens = true_tokens(agent, folder / "ch0-00.mp4")
    heard, first = torch.zeros(1, frames, dtype=torch.long), torch.zeros(1, frames, dtype=torch.bool)
    heard[0, ::FRAMES_PER_TICK] = torch.tensor([agent.silence, *tokens[:-1]])
    first[0, 0] = True
    sight = torch.from_numpy(np.stack(list(read_video(folder / "ch0-00.mp4"))))[None]
    nothing = [0, MINECRAFT.null_camera_index]
    done = torch.tensor([nothing, *(indices(2048 + t) for t in range(frames - 1))])[None]
    with torch.no_grad():
        output, _ = agent.model(sight, first, heard, agent.model.start(1), done)
    streamed = [row["p_silence"] for row in rows[::FRAMES_PER_TICK]]
    np.testing.assert_allclose(streamed, output.silence_logit[0].sigmoid(), atol=2e-4)


def test_a_recording_without_words_or_keys_is_watched_all_the_same(model, tmp_path):
    with write_video(tmp_path / "bare.mp4", (64, 64)) as video:
        for _ in range(9):
            video.write(np.full((64, 64, 3), 90, np.uint8))
    rows = play(options(model, tmp_path / "watched.mp4", recording=str(tmp_path / "bare.mp4")))
    assert len(rows) == 9 and not any("true" in row or row["heard"] for row in rows)


def test_keys_that_end_before_the_pictures_are_shown_as_far_as_they_go(model, tmp_path):
    record(tmp_path, "ch0-00", 1, 12)
    keys = tmp_path / "ch0-00.jsonl"
    keys.write_text("".join(keys.read_text().splitlines(keepends=True)[:9]))
    rows = play(options(model, tmp_path / "watched.mp4", recording=str(tmp_path / "ch0-00.mp4")))
    assert ["true" in row for row in rows] == [True] * 9 + [False] * 3


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The toy's agent before it was joined with a language model: as a folder of ours, and as OpenAI's two files."""
    folder = tmp_path_factory.mktemp("bare")
    policy = toy_model(last_action=False).policy
    policy.save_pretrained(folder / "policy")
    write_released(policy, folder / "2x.model", folder / "2x.weights")
    return folder


def test_an_agent_without_words_plays_and_watches(bare, tmp_path):
    how = dict(seconds=1.0, seed=3)
    ours = play(options(f"{bare}/policy", tmp_path / "ours.mp4", **how))
    theirs = play(options(f"{bare}/2x.model", tmp_path / "theirs.mp4", weights=f"{bare}/2x.weights", **how))
    assert ours == theirs and len(ours) == 20 and len({str(row["buttons"]) for row in ours}) > 1
    assert not any(row["word"] or row["heard"] or row["p_silence"] for row in ours)
    assert len(list(read_video(tmp_path / "ours.mp4"))) == 20
    record(tmp_path / "recordings", "ch0-00", 1, 12, word_frames=(3, 9))
    rows = play(options(f"{bare}/policy", tmp_path / "watched.mp4", recording=f"{tmp_path}/recordings/ch0-00.mp4"))
    assert len(rows) == 12 and all("true" in row and not row["heard"] for row in rows)


def test_a_streaming_policy_does_what_its_forward_says(bare):
    calm = load_agent(bare / "policy", action_temperature=0.0)
    policy = toy_model(last_action=False).policy
    seen = np.random.default_rng(0).integers(0, 256, (9, 128, 128, 3)).astype(np.uint8)
    memory, said = calm.start(), []
    for picture in seen:
        (action,), _, memory = calm.act([picture], memory)
        said.append(action)
    first = torch.zeros(1, 9, dtype=torch.bool)
    first[0, 0] = True
    with torch.no_grad():
        output, _ = policy(torch.from_numpy(seen)[None], first, policy.start(1))
    buttons, camera_deg = MINECRAFT.decode(*(index[0].numpy() for index in output.action.sample(temperature=0)))
    for t, action in enumerate(said):
        assert action.keys() == (told := to_world(buttons[t], camera_deg[t])).keys()
        assert all(np.array_equal(action[name], told[name]) for name in told)


@pytest.mark.parametrize("changes, says", [
    (dict(hear="hello", hear_at=0.1), "--hear has no effect with .*policy, which has no words"),
    (dict(word_temperature=0.5), "--word-temperature has no effect"), (dict(top_p=0.5), "--top-p has no effect"),
])
def test_words_for_an_agent_without_words_are_refused(bare, tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        play(options(f"{bare}/policy", tmp_path / "a.mp4", **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder, says", [
    ("pretrained/words", "holds a TransformerXL: vlpt.play takes a VLPT or a Policy"),
    ("pretrained/idm", "holds an IDM: vlpt.play takes a VLPT or a Policy"),
    ("tests", "no model in .*tests"),
])
def test_a_model_of_another_kind_is_refused_by_name(folder, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        play(options(str(ROOT / folder), tmp_path / "a.mp4"))
    assert not list(tmp_path.iterdir())


def test_a_published_decoder_and_a_broken_config_are_named(tmp_path):
    for text, says in (('{"model_type": "llama"}', "holds a llama"), ("{", "config.json cannot be read"),
                       ("[]", "holds a model of an unknown kind")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=says):
            load_agent(tmp_path)


def test_a_broken_recording_leaves_nothing_behind(model, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="broken.mp4"):
        play(options(model, tmp_path / "watched.mp4", recording=str(tmp_path / "broken.mp4")))
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_wrong_flags_are_one_clear_line(model, tmp_path, capsys):
    for flags, told in ((["--recording", "a.mp4", "--hear", "hello"], "need a world"),
                        (["--world", "mars"], "dummy, luanti"), (["--seconds", "0"], "should be greater than 0"),
                        (["--hears", "hello"], "did you mean --hear?"), (["--out", "film.avi"], "ends in .mp4"),
                        (["--hear", "hello", "--hear-at", "70"], "outside the 60.0 seconds"),
                        (["--serve", "--hear", "hello"], "--hear has no effect with --serve"),
                        (["--port", "1"], "--port has no effect with a film"),
                        (["--serve", "--port", "70000"], "--port should be at most 65535"),
                        (["--weights", "2x.weights"], "OpenAI's agents are two files"),
                        (["--size", "0", "5"], "--size should be at least 1"), (["--top-p", "0"], "--top-p should be"),
                        (["--seed", "-1"], "--seed should be at least 0")):
        with pytest.raises(SystemExit):
            parse(Options, ["--model", model, *flags])
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1


def test_keys_and_voices_are_seen_in_the_picture():
    """What is pressed is blue, what the person pressed is rimmed amber, what is heard is written in amber."""
    def count(picture, colour):
        return int((np.abs(picture.astype(int) - colour).max(-1) < 12).sum())

    grey, up, down = np.full((36, 64, 3), 90, np.uint8), np.zeros(20, np.uint8), np.ones(20, np.uint8)
    idle = Overlay("test").draw(Moment(grey, up, np.zeros(2)))
    busy = Overlay("test").draw(Moment(grey, down, np.array([3.0, -4.0])))
    assert count(idle, AGENT) == 0 and count(busy, AGENT) > 10_000 and count(busy, OTHER) == 0
    watched = Overlay("test", watching=True).draw(Moment(grey, up, np.zeros(2), other_buttons=down,
                                                         other_camera_deg=np.ones(2)))
    assert count(watched, OTHER) > 500 and count(watched, AGENT) == 0
    told = Overlay("test").draw(Moment(grey, up, np.zeros(2), other_word=" chop"))
    assert count(told, OTHER) > 100 > count(idle, OTHER)


def test_subtitles_join_pieces_wrap_and_vanish_after_a_pause():
    subtitle = Subtitle(width_px=200, size_px=28, keep_frames=5)
    for piece in (" let", "'s", "", " ", "z", "oo", " tree"):
        subtitle.add(piece, AGENT)
    assert [word for line in subtitle.lines for word, _ in line] == ["let's", "zoo", "tree"]
    for piece in (" and another long sentence",) * 4:
        subtitle.add(piece, OTHER)
    assert len(subtitle.lines) == 2
    for _ in range(6):
        subtitle.add("", AGENT)
    assert subtitle.lines == []
