"""The game behind the page: hands, words, memory, recordings, and that there is no game when nobody watches.

Run: pytest tests/vlpt/test_live.py
"""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.luanti import needs_luanti
from support.mortal_world import Mortal
from support.toy_agent import FRAMES_PER_TICK, pictures, tokenizer, toy_model

from data_gathering import shard
from vlpt import worlds
from vlpt.agent import Agent, PolicyAgent
from vlpt.data.shards import Shards
from vlpt.data.words import Word, read_words
from vlpt.live import life as live_life
from vlpt.live import pace, session
from vlpt.live.drawing import draw_otherwise
from vlpt.live.hands import Hands
from vlpt.live.life import Life
from vlpt.live.messages import Draw, Hold, Look, Pause, Record, Reset, Say, Spoken, Step, Take, Watched, parse
from vlpt.live.recorder import LiveRecorder, kept_size, runs
from vlpt.live.session import Game, Session
from vlpt.live.typed import typed_words
from vlpt.worlds import make
from vpt.actions import BUTTONS, MINECRAFT, read_contractor
from vpt.frames import count_frames
from vpt.trees import tensors

SIZE = (128, 72)


@pytest.fixture
def agent() -> Agent:
    return Agent(toy_model(), tokenizer())


class Listener:
    """An audience that keeps all it is told."""

    def __init__(self) -> None:
        self.frames: list[dict] = []
        self.news: list[dict] = []

    def show(self, state: dict, jpeg: bytes) -> None:
        assert jpeg[:2] == b"\xff\xd8"
        self.frames.append(state)

    def note(self, news: dict) -> None:
        self.news.append(news)

    def told(self, name: str) -> list:
        return [news[name] for news in self.news if name in news]


def until(condition, seconds: float = 30.0) -> None:
    """Waits for the game's thread."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.005)


@pytest.fixture
def played(agent, tmp_path, monkeypatch):
    """A running session in the dummy world that somebody watches, as fast as it goes; and what is told."""
    monkeypatch.setattr(pace, "FRAMES_PER_SECOND", 500)
    monkeypatch.setattr(session, "GRACE_S", 0.05)
    listener = Listener()
    running = Session(agent, Game("dummy", SIZE, 3, str(tmp_path / "played")), listener)
    running.start()
    running.tell(Watched(1))
    until(lambda: listener.frames)
    yield running, listener
    running.end()
    assert not running.thread.is_alive()


# ---- hands


def test_a_press_shorter_than_a_frame_counts_and_motion_is_whole_counts():
    hands = Hands()
    hands.move({"jump", "forward"}, (10.4, -3))
    hands.move({"forward"}, (0.2, 0))
    action = hands.action()
    assert [name for name in BUTTONS if action[name]] == ["forward", "jump"]
    np.testing.assert_allclose(action["camera"], [-0.45, 1.65])  # 5 px are 0.75 degrees
    assert not hands.action()["jump"] and hands.action()["forward"]
    hands.move(set(), (1e6, 0))
    assert hands.action()["camera"][1] == 180
    hands.let_go()
    assert not any(map(np.any, hands.action().values()))


# ---- drawing otherwise


def test_guidance_may_come_and_go_while_it_plays(agent):
    memory = agent.hear("let's chop a tree", agent.start(seed=1))
    for t in range(9):
        _, _, memory = agent.act(pictures(1, t), memory)
    *_, never = agent.act(pictures(1, 9), memory)
    guided = draw_otherwise(agent, memory, guidance=2.0)
    assert len(guided.model.next_frame) == 2 and agent.sampling.guidance == 2
    *_, guided = agent.act(pictures(1, 9), guided)
    sides = [tensors(guided.model.index(slice(i, i + 1))) for i in (0, 1)]
    assert any(not torch.equal(*pair) for pair in zip(*sides, strict=True))
    back = draw_otherwise(agent, guided, guidance=0.0)
    for ours, theirs in zip(tensors(back.model), tensors(never.model), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    agent.act(pictures(1, 10), back)
    with pytest.raises(ValueError, match="at least 0"):
        draw_otherwise(agent, back, word_temperature=-1.0)


def test_an_agent_without_words_plays_and_is_told_nothing(tmp_path):
    deaf = PolicyAgent(toy_model(last_action=False).policy)
    life, shown = Life(deaf, make("dummy", size=SIZE), 3), []
    life.go_on(None, True, lambda told, jpeg: shown.append(told))
    assert shown[0]["p_silence"] is None and shown[0]["look"] is None
    with pytest.raises(ValueError, match="hears nothing"):
        life.hear("jump")
    with pytest.raises(ValueError, match="hears no words"):
        life.draw(guidance=1.0)


# ---- words


def test_typed_words_are_placed_where_the_agent_hears_them(agent):
    life, heard = Life(agent, make("dummy", size=SIZE), 3), {}
    for _ in range(6):
        life.go_on(None, False, lambda *_: None)
    placed = typed_words("let's chop a tree".split(), agent, life.memory, life.frame)
    life.hear("let's chop a tree")
    placed += typed_words("and look".split(), agent, life.memory, life.frame)  # while it is still hearing
    life.hear("and look")
    for _ in range(44):
        life.go_on(None, False, lambda told, _: heard.update({told["frame"]: piece for who, piece in told["said"]
                                                              if who == "person"}))  # fmt: skip
    assert "".join(heard.values()).split() == "let's chop a tree and look".split()
    begins = [50 * frame for frame, piece in heard.items() if piece.startswith(" ")]
    assert [word.start_ms for word in placed] == begins and begins[0] == 50 * 2 * FRAMES_PER_TICK
    assert all(a.end_ms == b.start_ms for a, b in zip(placed, placed[1:], strict=False))


def test_spoken_words_are_placed_by_the_clock(tmp_path):
    recorder = LiveRecorder(tmp_path, "me", (64, 36), 100)
    assert kept_size((64, 36)) is None and kept_size((64, 64)) == 128
    recorder.times_s = [10.0, 10.1, 10.2, 13.0]  # slower than real time, then a pause
    words = [Word("too", 0, 100), Word("early", 900, 1050), Word("chop", 1130, 1290), Word("tree", 3500, 3900)]
    recorder.spoken(words, began_s=9.0)
    found = [(word.word, word.start_ms, word.end_ms) for word in recorder.words]
    np.testing.assert_allclose([times for _, *times in found], [(0, 49), (80, 149), (149, 149)], atol=1)
    assert [word for word, *_ in found] == ["early", "chop", "tree"]
    recorder.times_s = []
    assert recorder.close() == "" and not list(tmp_path.iterdir())
    assert runs([False, True, True, False, True]) == [[1, 3], [4, 5]]


@pytest.mark.parametrize("text", [
    "{", "[]", '{"do": "harm"}', '{"do": "say", "text": ""}', '{"do": "say", "text": "%s"}' % ("a" * 301),
    '{"do": "hold", "held": ["ESC"]}', '{"do": "hold", "held": [], "motion_px": [1e9, 0]}',
    '{"do": "draw", "name": "top_p", "value": 1}', '{"do": "draw", "name": "guidance", "value": -1}',
    '{"do": "reset", "seed": -1}', '{"do": "reset", "seed": 99999999999}',
])  # fmt: skip
def test_what_is_no_message_is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


# ---- recordings


def record(agent: Agent, folder: Path) -> list[dict]:
    """12 frames of the agent, 10 of a person who walks and turns, 8 of the agent; the recording begins at frame 4. What
    is shown of each."""
    life, hands, shown = Life(agent, make("dummy", size=SIZE), 3), Hands(), []
    for t in range(30):
        if t == 4:
            life.recorder = LiveRecorder(folder, "me", SIZE, life.frame, seed=3, world="dummy")
            life.hear("walk forward")
        if person := 12 <= t < 22:
            hands.move({"forward"}, (7, -2))
        life.go_on(hands if person else None, False, lambda told, _: shown.append(told))
        if person:
            done = life.memory.last_action[0].tolist()
            assert done == [int(part[0]) for part in MINECRAFT.encode(
                np.array([[name == "forward" for name in BUTTONS]], np.uint8), np.array([[-0.3, 1.05]]))]  # fmt: skip
    assert life.recorder.close() == "me-000"
    return shown


def test_what_is_recorded_is_sharded_and_loaded_as_it_is(agent, tmp_path):
    folder = tmp_path / "played"
    shown = record(agent, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "me-000.jsonl", "me-000.meta.json", "me-000.mp4", "me-000.words.jsonl"]  # fmt: skip
    meta, rows = json.loads((folder / "me-000.meta.json").read_text()), read_contractor(folder / "me-000.jsonl")
    assert meta["person"] == [[8, 18]] and meta["seed"] == 3 and (meta["width"], meta["height"]) == SIZE
    assert count_frames(folder / "me-000.mp4") == len(rows) == 26
    np.testing.assert_allclose(rows.camera_deg[8:18], np.tile([-0.3, 1.05], (10, 1)))
    assert [word.word for word in read_words(folder / "me-000.words.jsonl")] == ["walk", "forward"]
    for row, told in zip(rows.buttons, shown[4:], strict=True):
        assert [name for name, on in zip(BUTTONS, row, strict=True) if on] == told["buttons"]
    own = "".join(piece for told in shown[4:] for who, piece in told["said"] if who == "agent").split()
    assert [word["word"] for word in meta["agent_said"]] == own

    out = tmp_path / "shards"
    shard.main(shard.Options(recordings=str(folder), labels="truth", out=str(out)))
    (episode,) = Shards(out).episodes
    assert (episode.id, episode.channel, episode.n_frames, episode.world) == ("me-000", "me", 26, "dummy")
    buttons, camera = MINECRAFT.encode(rows.buttons, rows.camera_deg)
    np.testing.assert_array_equal(episode.buttons_index, buttons)
    np.testing.assert_array_equal(episode.camera_index, camera)
    assert [word.word for word in episode.words] == ["walk", "forward"] and (episode.confidence == 1).all()

    shard.main(shard.Options(recordings=str(folder), labels="truth", out=str(out), only_person=True))
    (episode,) = Shards(out).episodes  # made again: what the agent did is seen and not learnt
    assert np.flatnonzero(episode.confidence).tolist() == list(range(8, 18))
    (folder / "me-000.meta.json").write_text(json.dumps(meta | {"person": [[8, 99]]}))
    with pytest.raises(ValueError, match="me-000.meta.json.*of 26 frames, 8 to 99"):
        shard.main(shard.Options(recordings=str(folder), labels="truth", out=str(out), only_person=True))


# ---- the session


def test_a_taken_over_stretch_is_recorded_and_a_new_life_saves_it(played, tmp_path):
    running, listener = played
    running.tell(Record(do="record", on=True))
    running.tell(Take(do="take", on=True))
    running.tell(Hold(do="hold", held={"left", "attack"}, motion_px=(20.0, 0.0)))
    until(lambda: sum(state["person"] for state in listener.frames) > 30)
    running.tell(Take(do="take", on=False))
    running.tell(Say(do="say", text="jump\n now"))
    running.tell(Spoken((Word("well", 0.0, 200.0),), time.monotonic()))
    running.tell(Reset(do="reset", seed=8))
    until(lambda: listener.frames[-1]["seed"] == 8)
    meta = json.loads((tmp_path / "played/live-000.meta.json").read_text())
    rows = read_contractor(tmp_path / "played/live-000.jsonl")
    ((begin, end),) = meta["person"]
    pressed = rows.buttons[begin:end, [BUTTONS.index("left"), BUTTONS.index("attack")]]
    assert end - begin >= 30 and pressed[1:].all() and rows.camera_deg[begin:end, 1].sum() == pytest.approx(3.0)
    assert listener.told("told") == ["jump now", "well"] and listener.told("how") == ["typed", "spoken"]
    assert listener.told("saved") == [f"{tmp_path}/played/live-000.mp4"] and listener.told("life") == [3, 8]
    assert not listener.told("error") and listener.frames[-1]["recording"] is None


def test_time_stands_still_and_goes_on_by_a_step(played):
    running, listener = played
    running.tell(Pause(do="pause", on=True))
    until(lambda: listener.frames[-1]["paused"])
    frame = listener.frames[-1]["frame"]
    running.tell(Step(do="step"))
    running.tell(Step(do="step"))
    until(lambda: listener.frames[-1]["frame"] == frame + 2)
    time.sleep(0.3)
    assert listener.frames[-1]["frame"] == frame + 2
    running.tell(Pause(do="pause", on=False))
    until(lambda: listener.frames[-1]["frame"] > frame + 4 and listener.frames[-1]["rate"])


def test_where_words_look_and_how_it_draws(played, agent):
    running, listener = played
    assert not any(state["look"] for state in listener.frames)
    running.tell(Look(do="look", on=True))
    running.tell(Draw(do="draw", name="guidance", value=1.5))
    running.tell(Draw(do="draw", name="action_temperature", value=0))
    until(lambda: [state for state in listener.frames if state["look"]][3:])
    shares = next(state["look"] for state in listener.frames if state["look"])
    assert len(shares) == agent.model.config.policy.patches and 0 < sum(shares) <= 1.001 and min(shares) >= 0
    drawing = listener.told("drawing")[-1]
    assert drawing["guidance"] == 1.5 and drawing["action_temperature"] == 0 and drawing["top_p"] == 1


def test_nobody_watches_and_there_is_no_game_and_what_was_recorded_is_saved(played, tmp_path, monkeypatch):
    running, listener = played
    world = running.life.world
    closed = []
    monkeypatch.setattr(world.env, "close", lambda: closed.append(1))
    running.tell(Record(do="record", on=True))
    until(lambda: (listener.frames[-1]["recording"] or {"frames": 0})["frames"] > 3)
    running.tell(Watched(0))
    until(lambda: closed)
    assert (tmp_path / "played/live-000.meta.json").exists()
    count = len(listener.frames)
    time.sleep(0.1)
    assert len(listener.frames) == count
    running.tell(Watched(1))  # a page is opened again
    until(lambda: len(listener.frames) > count and listener.told("life") == [3, 3])


def test_a_game_that_dies_is_told_and_a_reset_begins_another(agent, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "FRAMES_PER_SECOND", 500)
    monkeypatch.setattr(Mortal, "lives", 3)
    monkeypatch.setitem(worlds.WORLDS, "mortal", ("support.mortal_world", "Mortal"))
    listener = Listener()
    running = Session(agent, Game("mortal", SIZE, 3, str(tmp_path / "played")), listener)
    running.start()
    running.tell(Watched(1))
    until(lambda: len(listener.frames) > 2)
    running.tell(Reset(do="reset", seed=5))  # its fifth life
    running.tell(Record(do="record", on=True))
    until(lambda: listener.told("error"))
    assert "the game ended with code -9" in listener.told("error")[0] and listener.told("life") == [3, 5]
    assert listener.told("saved") and listener.told("frames") == [3]
    running.tell(Reset(do="reset", seed=6))
    until(lambda: listener.frames[-1]["seed"] == 6)
    running.end()
    assert listener.told("starting") == ["mortal", "mortal"] and not running.thread.is_alive()


def test_a_folder_that_cannot_be_written_is_told(played, tmp_path):
    running, listener = played
    (tmp_path / "played").write_text("a file")
    running.tell(Record(do="record", on=True))
    until(lambda: listener.told("error"))
    assert "played" in listener.told("error")[0] and running.thread.is_alive()


@needs_luanti
def test_a_real_game_is_gone_when_nobody_watches(agent, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "GRACE_S", 0.05)
    listener = Listener()
    running = Session(agent, Game("luanti", (320, 180), 3, str(tmp_path / "played")), listener)
    running.start()
    running.tell(Watched(1))
    until(lambda: len(listener.frames) > 3 or listener.told("error"), 120)
    assert not listener.told("error")
    game = running.life.world.unwrapped._session._game.process
    assert game.poll() is None
    running.tell(Watched(0))
    until(lambda: game.poll() is not None)
    running.end()
    assert live_life.jpeg_of(np.zeros((2, 2, 3), np.uint8))[:2] == b"\xff\xd8" and not running.thread.is_alive()
