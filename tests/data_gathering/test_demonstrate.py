"""The scripted, narrating player: its words, its hand, its errands, and the recordings it leaves.

Most of it plays in tests/support/toy_arena.py, which has the real arena's truth and no picture.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.toy_arena import ToyArena

from data_gathering import demonstrate
from data_gathering.demonstrate import Episode, Options, main, make_player
from data_gathering.streamer import narration, phrases
from data_gathering.streamer.ground import Ground, name
from data_gathering.streamer.motion import LIMIT_DEG, Hand, HandHabits, turn_deg
from data_gathering.streamer.session import play
from data_gathering.streamer.sight import Sight
from data_gathering.streamer.talk import in_view, sight
from vlpt.data.recording import PARTS, Recorder, finished
from vlpt.options import run
from vlpt.worlds import make
from vpt.actions import BUTTONS, DEGREES_PER_COUNT, read_contractor
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND, read_video, resize_to_agent

FRAMES = 1000
USED = {"forward", "back", "left", "right", "jump", "attack", "use", "hotbar.1", "hotbar.2", "hotbar.3", "hotbar.4"}


def play_toy(channel, number, frames=FRAMES, seed=1, **how):
    """(player, log, list of pressed sets, camera (frames, 2)) of one episode in the toy arena."""
    world, log, pressed, camera = ToyArena(), [], [], []
    info = world.reset(100 * channel + number)
    player = make_player(info["arena"], Options(out="nowhere", seed=seed, **how), Episode(channel, number, False))
    script = play(player, log)
    for frame in range(frames):
        player.see(info["truth"], frame)
        buttons, camera_deg = player.act(next(script))
        info = world.step(buttons, camera_deg)
        pressed.append(buttons)
        camera.append(camera_deg)
    return player, log, pressed, np.array(camera)


@pytest.fixture(scope="module")
def episodes():
    return [play_toy(channel, number) for channel in range(6) for number in range(2)]


# -- words -----------------------------------------------------------------------------------------------------------


def test_words_follow_one_another_at_a_speaking_rate(episodes):
    for player, *_ in episodes:
        words = player.mouth.heard(FRAMES * FRAME_MS)
        assert len(words) > 40
        assert all(word.start_ms < word.end_ms for word in words)
        assert all(a.end_ms <= b.start_ms for a, b in zip(words, words[1:], strict=False))
        starts = np.array([word.start_ms for word in words])
        for (onset_ms, text), nxt in zip(player.mouth.spoken, player.mouth.spoken[1:] + [(np.inf, "")], strict=True):
            mine = [w for w in words if onset_ms <= w.start_ms < nxt[0]]
            if len(mine) == len(text.split()) >= 4:
                rate = len(mine) / (mine[-1].end_ms - mine[0].start_ms) * 60_000
                assert 150 <= rate <= 201, text
        assert np.diff(starts).max() > 2000  # nobody talks without a pause


def test_nothing_is_heard_after_the_end():
    mouth = narration.Mouth(narration.TimedVoice(170, np.random.default_rng(0)), np.random.default_rng(0))
    mouth.say("one two three four five six", 1000)
    assert 0 < len(mouth.heard(2500)) < 6
    assert all(word.end_ms <= 2500 for word in mouth.heard(2500))


def test_what_is_done_was_said_before_it_could_be_seen(episodes):
    """By an announcement, a plan or somebody's request; its last word has ended when the first motion comes."""
    for player, log, *_ in episodes:
        said = dict(player.mouth.spoken)
        for entry in log:
            text = said[entry["announced_ms"]]
            if entry["announced_ms"] in player.mouth.foreign:  # "behind you" is behind me
                text = " ".join({"your": "my", "you": "me"}.get(word, word) for word in text.split())
            last = entry["announced_ms"] + len(text.split()) * 60_000 / 200  # nobody speaks faster
            assert entry["start_frame"] * FRAME_MS >= last - 100
            kind, *it = entry["name"].split()
            it, number = (it[:-1], it[-1]) if it and it[-1].isdigit() else (it, "")
            assert " ".join(it) in text
            if kind in ("place", "hop"):
                assert phrases.NUMBERS[int(number)] in text


def test_most_errands_begin_as_soon_as_they_are_told(episodes):
    """A plan may lie some seconds ahead, and somebody may wait for an answer; the others begin within a second."""
    waits_ms = []
    for player, log, *_ in episodes:
        ends = {words[0].start_ms: words[-1].end_ms for words in sentences_of(player)}
        waits_ms += [entry["start_frame"] * FRAME_MS - ends[entry["announced_ms"]] for entry in log]
    assert min(waits_ms) >= 0 and np.median(waits_ms) < 600


THINGS = ("pillar", "chop", "sand", "dirt", "stone")


def seen_when_it_sets_out(**how):
    """Of each errand to a thing, whether one of what is named is in view when its first step forwards is made."""
    found = []
    for channel in range(6):
        log, world = [], ToyArena()
        info = world.reset(channel)
        options = Options(out="nowhere", errands=THINGS, **how)
        player = make_player(info["arena"], options, Episode(channel, 0, False))
        script, sight, begun = play(player, log), Sight(info["arena"]), 0
        for frame in range(FRAMES):
            player.see(info["truth"], frame)
            keys = next(script)
            if len(log) > begun and "forward" in keys and player.doing == "walk":
                begun, (kind, *it) = len(log), log[-1]["name"].split()
                noun = "tree" if kind == "chop" else kind
                named = [one for one in player.ground.of(noun) if kind != "pillar" or one.colour in it]
                found.append(any(sight.sees(info["truth"], one) for one in named))
            info = world.step(*player.act(keys))
    return found


def test_who_has_to_search_sets_out_for_what_it_sees():
    """Things stand behind others: after a look all around it sets out for what it knows of."""
    searching, knowing = seen_when_it_sets_out(search=True), seen_when_it_sets_out()
    assert len(searching) > 15 and np.mean(searching) >= 0.85
    assert np.mean(knowing) < 0.7


def test_it_jumps_as_often_as_it_said():
    jumps = 0
    for channel in range(4):
        _, log, pressed, _ = play_toy(channel, 0, errands=("hop", "back"))
        down = np.array(["jump" in buttons for buttons in pressed])
        anew = down & ~np.concatenate([[False], down[:-1]])
        for entry in (entry for entry in log if entry["name"].startswith("hop") and entry["done"]):
            jumps += 1
            assert anew[entry["start_frame"] : entry["end_frame"]].sum() == int(entry["name"].split()[-1])
    assert jumps > 10


def test_it_runs_the_errands_that_are_asked_for():
    _, log, *_ = play_toy(0, 0, errands=("hop", "back"))
    assert {entry["name"].split()[0] for entry in log} == {"hop", "back"}
    _, log, *_ = play_toy(0, 0, frames=3 * FRAMES, errands=("flower",))  # five of them grow there
    assert {entry["name"].split()[0] for entry in log} == {"flower", "look"}
    with pytest.raises(ValueError, match="no kind is called 'jump'; choose among chop"):
        Options(out="nowhere", errands=("jump",))


def sentences_of(player):
    """The words of each sentence that was said."""
    left = list(player.mouth.words)
    for _, text in player.mouth.spoken:
        count = len(text.split())
        yield left[:count]
        left = left[count:]


def test_decisions_come_often(episodes):
    minutes = len(episodes) * FRAMES / FRAMES_PER_SECOND / 60
    errands = sum(len(log) for _, log, *_ in episodes)
    whims = sum(len(player.whims) for player, *_ in episodes)
    assert errands / minutes > 7 and whims / minutes > 1


KEYS = {"hop": "jump", "left": "left", "right": "right", "back": "back"}


def test_a_whim_is_done_right_after_it_was_said(episodes):
    done = 0
    for player, _, pressed, _ in episodes:
        ends = {words[0].start_ms: words[-1].end_ms for words in sentences_of(player)}
        for whim in player.whims:
            assert 0 <= whim["start_frame"] * FRAME_MS - ends[whim["said_ms"]] <= 400
            if (key := KEYS.get(whim["name"])) and whim["start_frame"] < FRAMES - 5:
                assert any(key in buttons for buttons in pressed[whim["start_frame"] : whim["start_frame"] + 5])
                done += 1
    assert done >= 5


def test_somebody_who_watches_is_answered_and_obeyed():
    """In a tenth of the episodes; nobody speaks while another does."""
    players = [(play_toy(channel, 0), channel) for channel in range(40)]
    watched = [(player, log) for (player, log, *_), _ in players if player.other is not None]
    assert 1 <= len(watched) <= 12
    asked = 0
    for player, log in watched:
        told = {entry["announced_ms"] for entry in log}
        assert player.mouth.foreign and len(player.mouth.foreign - told) <= 1  # the last may come too late
        asked += len(player.mouth.foreign)
        words = player.mouth.words
        assert all(a.end_ms <= b.start_ms for a, b in zip(words, words[1:], strict=False))
    assert asked >= 3 * len(watched)


def test_what_is_said_to_be_in_view_is_in_view(episodes):
    for seed in range(30):
        player, *_ = play_toy(seed, 5, 60)
        nouns = {target.noun for target, _ in in_view(player)}
        text = sight(player)
        for colour in ("red", "blue", "yellow", "green", "white"):
            if colour in text.split() and "pillar" in text.split():
                assert any(target.colour == colour for target, _ in in_view(player)), (text, nouns)


# -- the hand --------------------------------------------------------------------------------------------------------


TURNS = [((0, 0), (20, 170)), ((10, -170), (-30, 170)), ((5, 3), (6, 9)), ((1, 0), (1, 0))]  # (pitch, yaw) degrees


@pytest.mark.parametrize("start, goal", TURNS)
def test_the_hand_arrives_in_whole_counts_within_its_limit(start, goal):
    overshot = 0
    for seed in range(30):
        hand, now = Hand(HandHabits(), np.random.default_rng(seed)), np.array(start, float)
        way, path = turn_deg(start[1], goal[1]), []
        for _ in range(90):
            motion = hand.move(now, goal, 1.5)
            assert np.abs(motion).max() <= LIMIT_DEG
            np.testing.assert_allclose(motion / DEGREES_PER_COUNT, np.round(motion / DEGREES_PER_COUNT), atol=1e-6)
            now = now + motion
            path.append(abs(turn_deg(start[1], now[1])) - abs(way))
        assert np.hypot(now[0] - goal[0], turn_deg(now[1], goal[1])) <= 1.6
        overshot += max(path) > 1.5
    assert overshot >= 3 or abs(way) < 20  # a person does not stop on the spot every time


def test_a_stroke_is_smooth():
    hand, speeds = Hand(HandHabits(tremor=0.0), np.random.default_rng(0)), []
    now = np.zeros(2)
    for _ in range(40):
        motion = hand.move(now, (0, 100), 2.0)
        now, speeds = now + motion, [*speeds, motion[1]]
        if not hand.stroke:
            break
    speeds = np.array(speeds)
    peak = speeds.argmax()
    assert 0.3 < peak / len(speeds) < 0.7
    assert (np.diff(speeds[: peak + 1]) >= -0.16).all() and (np.diff(speeds[peak:]) <= 0.16).all()


# -- the play --------------------------------------------------------------------------------------------------------


def test_errands_are_done(episodes):
    ended = [entry for _, log, *_ in episodes for entry in log if entry["end_frame"] is not None]
    assert len(ended) >= 24
    assert len({entry["name"].split()[0] for entry in ended}) >= 10
    assert np.mean([entry["done"] for entry in ended]) > 0.85


def test_keys_are_pressed_as_an_inverse_dynamics_model_can_see(episodes):
    slot_of = {f"hotbar.{slot + 1}": slot for slot in range(4)}
    for _, _, pressed, camera in episodes:
        assert set().union(*pressed) <= USED
        assert np.abs(camera).max() <= LIMIT_DEG
        slot, slots = 0, [sorted(buttons & slot_of.keys()) for buttons in pressed]
        for taken in slots:
            assert len(taken) <= 1
            if taken:
                assert slot_of[taken[0]] != slot  # a press without an effect could not be seen
                slot = slot_of[taken[0]]
        assert not any({"left", "right"} <= buttons or {"forward", "back"} <= buttons for buttons in pressed)
        assert set(runs(pressed, "jump")) <= {2} and set(runs(pressed, "use")) <= {2}


def runs(pressed, button):
    """Lengths of the stretches in which a button is held, the one at the very end left out."""
    line = "".join("1" if button in buttons else "0" for buttons in pressed)
    return [len(run) for run in re.findall("1+(?=0)", line)]


def test_every_button_occurs_often_enough(episodes):
    rows = [buttons for _, _, pressed, _ in episodes for buttons in pressed]
    share = {button: np.mean([button in buttons for buttons in rows]) for button in USED}
    assert share["forward"] > 0.1 and share["attack"] > 0.015
    assert min(share[button] for button in ("left", "right", "back", "jump")) > 0.005
    assert share["use"] > 0.003 and min(share[f"hotbar.{slot}"] for slot in (1, 2, 3, 4)) > 0.0005


def test_the_same_seed_plays_the_same():
    one, same, other = play_toy(2, 1, 300), play_toy(2, 1, 300), play_toy(2, 1, 300, seed=2)
    assert one[0].mouth.words == same[0].mouth.words and one[2] == same[2] and (one[3] == same[3]).all()
    assert one[0].mouth.words != other[0].mouth.words


def test_a_name_means_one_thing():
    rng = np.random.default_rng(0)
    for seed in range(20):
        ground = Ground(ToyArena().reset(seed)["arena"])
        position, yaw = [*rng.uniform(-8, 8, 1), 8.5, *rng.uniform(-8, 8, 1)], rng.uniform(-180, 180)
        for noun in ("tree", "flower", "pillar", "sand"):
            targets = ground.of(noun)
            names = [{name(target, targets, position, yaw, rng) for _ in range(40)} - {None} for target in targets]
            assert sum(map(len, names)) == len(set().union(*names))


# -- recordings ------------------------------------------------------------------------------------------------------


FLAGS = ["--world", "dummy", "--channels", "2", "--episodes", "1", "--seconds", "1", "--workers", "1", "--seed", "3"]


def test_a_run_records_and_a_second_run_does_no_work(tmp_path):
    flags = [*FLAGS, "--out", str(tmp_path), "--large-per-run", "1"]
    assert run(main, Options, flags) == 0
    files = {path.relative_to(tmp_path).as_posix(): path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert set(files) == {f"ch{c}-00{part}" for c in (0, 1) for part in PARTS} | {"large/ch0-00.mp4"}
    (tmp_path / "ch1-00.meta.json").unlink()
    assert run(main, Options, flags) == 0
    again = {path.relative_to(tmp_path).as_posix(): path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert set(again) == set(files)
    assert {file for file in files if files[file] != again[file]} == {f"ch1-00{part}" for part in PARTS}


def test_a_channel_may_have_textures_of_its_own(tmp_path):
    assert run(main, Options, [*FLAGS, "--out", str(tmp_path), "--textures"]) == 0
    metas = [json.loads((tmp_path / f"ch{channel}-00.meta.json").read_text()) for channel in (0, 1)]
    assert [(meta["scene"], meta["scene_seed"]) for meta in metas] == [("other-textures", 0), ("other-textures", 1)]
    painted = next(read_video(tmp_path / "ch0-00.mp4"))
    world = make("dummy", size=(320, 180), scene="other-textures", scene_seed=1)
    other = resize_to_agent(world.reset(seed=metas[0]["arena_seed"])[0]["pov"])
    assert np.abs(painted.astype(int) - other).mean() > 5  # the same arena, otherwise painted


def test_a_recording_reads_back_as_it_was_played(tmp_path):
    world, options = make("dummy", size=(64, 64)), Options(out=str(tmp_path), seconds=6)
    demonstrate.record(world, options, Episode(0, 0, False), lambda count: None)
    meta = json.loads((tmp_path / "ch0-00.meta.json").read_text())
    frames, recording = list(read_video(tmp_path / "ch0-00.mp4")), read_contractor(tmp_path / "ch0-00.jsonl")
    assert len(frames) == len(recording) == meta["frames"] == 120
    assert frames[0].shape == (128, 128, 3) and (meta["width"], meta["height"]) == (128, 128)
    yaw = np.array([json.loads(line)["yaw"] for line in (tmp_path / "ch0-00.jsonl").read_text().splitlines()])
    turned = np.array([turn_deg(a, b) for a, b in zip(yaw, yaw[1:], strict=False)])
    np.testing.assert_allclose(turned, recording.camera_deg[:-1, 1], atol=0.11)  # row t is what leads to frame t+1
    words = [json.loads(line) for line in (tmp_path / "ch0-00.words.jsonl").read_text().splitlines()]
    assert all(set(word) == {"word", "start_ms", "end_ms"} and word["end_ms"] <= 6000 for word in words)
    assert set(np.array(BUTTONS)[recording.buttons.any(axis=0)]) <= USED


def test_a_recording_that_fails_leaves_nothing(tmp_path):
    truth = {"position": [0, 8.5, 0], "yaw_deg": 0.0, "pitch_deg": 0.0, "gui_open": False}
    with pytest.raises(RuntimeError, match="crash"):
        with Recorder(tmp_path, "ch0-00", (320, 180), large=True) as recorder:
            recorder.add(np.zeros((180, 320, 3), np.uint8), {"forward"}, (0, 0), truth, 0)
            raise RuntimeError("crash")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [] and not finished(tmp_path, "ch0-00")


def test_a_failing_episode_is_tried_again_and_stops_nobody(tmp_path, capsys, monkeypatch):
    tried = []

    def record(world, options, episode, progress):
        tried.append(episode.name)
        if episode.channel == 0 or tried.count(episode.name) == 1:
            raise OSError("disk on fire")

    class Inbox(list):
        def get(self):
            return self.pop(0)

        put = list.append

    monkeypatch.setattr(demonstrate, "record", record)
    monkeypatch.setattr(demonstrate, "listen", lambda handler: None)
    results = Inbox()
    options = Options(out=str(tmp_path), world="dummy", episodes=1, channels=2)
    demonstrate.work(options, Inbox([*demonstrate.plan(options), None]), results)
    assert tried == ["ch0-00", "ch0-00", "ch1-00", "ch1-00"]
    assert [(kind, name) for kind, name, _ in results] == [("failed", "ch0-00"), ("done", "ch1-00")]
    assert "disk on fire" in results[0][2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_run(number, tmp_path):
    flags = ["--world", "dummy", "--out", str(tmp_path), "--seconds", "600", "--workers", "2"]
    main = subprocess.Popen([sys.executable, "-m", "data_gathering.demonstrate", *flags], start_new_session=True,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    wait_for(lambda: len(list(tmp_path.glob("*.mp4.*.tmp"))) == 2, 120)
    main.send_signal(number)
    assert main.wait(60) != 0
    wait_for(lambda: not alive(main.pid), 60)
    assert list(tmp_path.iterdir()) == []


def wait_for(condition, limit_s):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def alive(group):
    """Is any process of a process group left?"""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("flag", [["--workers", "0"], ["--size", "64"], ["--speech", "loud"], ["--seconds", "-1"],
                                  ["--world", "mars"]])
def test_a_wrong_flag_is_one_clear_line(flag, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run(main, Options, ["--out", str(tmp_path), *flag])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and flag[0].removeprefix("--") in line and "--help lists every flag" in line
