"""Saying: a scripted player does and sees what it says, another's play does not fit, talk at random shows nothing.

Run: pytest tests/vlpt/test_saying.py
"""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.numbered_recordings import record
from support.places import SAMPLES
from support.toy_arena import ToyArena
from support.toy_evaluation import joined, tokenizer, write_run

import evaluate
from data_gathering.demonstrate import Episode, make_player
from data_gathering.demonstrate import Options as PlayerOptions
from data_gathering.streamer.session import play
from vlpt.agent import Agent
from vlpt.data import shards
from vlpt.data.sentences import Grammar
from vlpt.data.views import Line, Thing
from vlpt.data.words import Word, split_at_pauses
from vlpt.evaluation.carried_out import Deeds, Told, announced, turned
from vlpt.evaluation.claims import Look, Truths, all_said, looks_of
from vlpt.evaluation.film_scorer import Scorer
from vlpt.evaluation.lives import Life, World, lives, seen
from vlpt.evaluation.permuted import Claim, against_others
from vlpt.evaluation.saying import Options, main
from vlpt.evaluation.talk import talk_beside
from vlpt.model import VLPT
from vpt.actions import BUTTONS, MINECRAFT

NODES = {"tree": "default:tree", "sand": "default:sand", "dirt": "default:dirt", "ground": "default:dirt_with_grass"}


@pytest.fixture(scope="module")
def grammar():
    return Grammar.read(SAMPLES / "grammar.json")


def scripted(channel: int, frames: int = 700) -> Life:
    """What the scripted player says and does in a toy arena, as a life with the world's truth."""
    world, buttons, camera = ToyArena(), np.zeros((frames, len(BUTTONS)), np.uint8), np.zeros((frames, 2))
    info = world.reset(channel)
    arena, rows = info["arena"], []
    player = make_player(arena, PlayerOptions(out="nowhere"), Episode(channel, 0, False))
    script = play(player, [])
    flowers = {tuple(one["position"]): one["node"] for one in arena["flowers"]}
    for frame in range(frames):
        player.see(info["truth"], frame)
        pressed, camera[frame] = player.act(next(script))
        buttons[frame, [MINECRAFT.column[name] for name in pressed]] = 1
        truth, info = info["truth"], world.step(pressed, camera[frame])
        events = [one | {"node": NODES.get(one["node"], flowers.get(tuple(one["position"]), one["node"]))}
                  for one in info["truth"]["events"]]  # fmt: skip
        rows.append((truth["position"], (truth["yaw_deg"], truth["pitch_deg"]), events))
    position, gaze, events = zip(*rows, strict=True)
    said = player.mouth.heard(50 * frames)
    return Life(str(channel), str(channel), split_at_pauses(said, most=len(said)), buttons, camera,
                world=World(arena, np.array(position), np.array(gaze), list(events)))  # fmt: skip


@pytest.fixture(scope="module")
def players():
    return [scripted(channel) for channel in range(3)]


def pressed(*keys: str, frames: int = 60) -> np.ndarray:
    buttons = np.zeros((frames, len(BUTTONS)), np.uint8)
    buttons[:, [MINECRAFT.column[key] for key in keys]] = 1
    return buttons


def still(buttons: np.ndarray, camera_deg: np.ndarray | None = None, **known) -> Life:
    return Life("0", "0", [], buttons, np.zeros((len(buttons), 2)) if camera_deg is None else camera_deg, **known)


# ---- what counts


def test_the_scripted_player_carries_out_what_it_announces_and_others_do_not(players, grammar):
    truths = Truths(players, grammar, soon=4.0, within=14.0)
    claims = list(truths.deeds_claimed(all_said(players, grammar), grammar).values())
    found = against_others(claims, truths.done, ["0", "1", "2"], 300, 0)
    assert len(claims) > 12 and {claim.topic.short for claim in claims} == {True, False}
    assert found["true"]["share"] > 0.7 and found["permuted"] < 0.5 and found["p"] < 0.05
    assert found["low"] < found["permuted"] < found["high"] < found["true"]["share"]


def test_what_the_scripted_player_names_is_in_view(players, grammar):
    begun = [beginning(life, 160) for life in players[:2]]
    truths = Truths(begun, grammar, soon=4.0, within=14.0)
    views = truths.views_claimed(all_said(begun, grammar), grammar)
    things = [truths.in_view(claim.topic, claim.life)[claim.tick] for claim in views["thing"].values()]
    assert len(things) > 1 and np.mean(things) > 0.8
    assert not truths.in_view(Look("unicorn"), 0).any()


def beginning(life: Life, frames: int) -> Life:
    """Its first frames, and what is said in them."""
    world, said = life.world, [one for one in life.sentences if one[-1].end_ms < 50 * frames]
    world = World(world.arena, world.position[:frames], world.gaze_deg[:frames], world.events[:frames])
    return Life(life.name, life.channel, said, life.buttons[:frames], life.camera_deg[:frames], world=world)


def test_done_is_what_keys_mouse_and_the_world_tell(grammar):
    def done(life: Life, told: Told) -> bool | None:
        return Deeds(life, grammar).done(told, 0, life.frames)

    assert done(still(pressed("back")), Told("back")) and not done(still(pressed("back")), Told("side", "left"))
    assert done(still(pressed("left")), Told("side", "left")) and not done(still(pressed("left", frames=7)),
                                                                            Told("side", "left"))  # fmt: skip
    assert done(still(pressed("jump")), Told("whim:hop")) and not done(still(pressed("jump")), Told("hop"))
    pauses = np.concatenate([pressed("forward"), pressed(frames=9)])
    assert done(still(pauses), Told("whim:stop")) and not done(still(pressed()), Told("whim:stop"))
    left = np.tile([0.0, -2.0], (60, 1))
    for told, expected in ((Told("turn", "left"), True), (Told("turn", "right"), False), (Told("turn", "around"), True),
                           (Told("spin", "left"), False), (Told("look", "around"), True), (Told("whim:up"), False)):
        assert done(still(pressed(), left), told) == expected, told
    assert turned(np.tile([-1.0, 0.0], (30, 1)), (-35, 0)) and not turned(np.zeros((0, 2)), (-35, 0))
    assert done(still(pressed()), Told("chop")) is None  # nobody knows what was dug
    arena = ToyArena().reset(0)["arena"]
    position = np.tile([0.0, 8.5, 0.0], (60, 1))
    position[30:] = arena["pillars"]["red"]
    events = [[] for _ in range(60)]
    events[5] = [{"kind": "dig", "node": "default:tree", "position": [0, 9, 2]}]
    events[9] = [{"kind": "place", "node": "default:cobble", "position": [0, y, 2]} for y in (9, 10)]
    life = still(pressed(), world=World(arena, position, np.zeros((60, 2)), events))
    for told, expected in (
        (Told("pillar", "the red pillar", "red"), True), (Told("pillar", "the blue pillar", "blue"), False),
        (Told("chop"), True), (Told("sand"), False), (Told("place"), True), (Told("tower"), True),
        (Told("flower", "the rose", "red"), False), (Told("climb"), False), (Told("pillar", "the pink one", ""), False),
    ):  # fmt: skip
        assert done(life, told) == expected, told
    assert not Deeds(life, grammar).done(Told("pillar", "the red pillar", "red"), 40, 60)  # it stands there already


def test_sentences_say_what_will_be_done_and_what_is_there(grammar):
    def of(text: str):
        rule, held = grammar.recognise(text)
        told = announced(rule, held, grammar)
        life = still(pressed())
        (said,) = all_said([replace(life, sentences=[[Word(word, 0.0, 10.0) for word in text.split()]])], grammar)
        return told, looks_of(said, grammar)

    assert of("now the yellow dandelion on the left")[0].colour == "yellow"
    assert of("step left") == (Told("whim:left"), {})
    assert of("now the red pillar behind me") == (Told("pillar", "the red pillar behind me", "red"), {})
    assert of("the closest tree")[1] == {"announced": Look("tree")}
    assert of("a viola on the right")[1] == {"thing": Look("flower"), "colour": Look("flower", "purple"),
                                             "side": Look("flower", "purple", 2)}  # fmt: skip
    assert of("there are no trees here") == (None, {}) and of("what a blue sky") == (None, {})


def test_a_picked_flower_is_no_longer_in_view():
    arena = ToyArena().reset(0)["arena"]
    x, y, z = arena["flowers"][0]["position"]
    position, gaze = np.tile([x, 8.5, z - 3.0], (12, 1)), np.tile([0.0, 20.0], (12, 1))
    events = [[] for _ in range(12)]
    events[5] = [{"kind": "dig", "node": "flowers:rose", "position": [x, y, z]}]
    flowers = [sum(thing.kind == "flower" and thing.distance_m < 4 for thing in line.things)
               for line in seen(World(arena, position, gaze, events))]  # fmt: skip
    assert flowers == [1, 1, 0]


# ---- statistics


def test_talk_that_has_nothing_to_do_with_play_has_uniform_p_values():
    """Both go on for seconds; claims come in bouts."""
    low = 0
    for seed in range(80):
        random = np.random.default_rng(seed)
        rows = [np.repeat(random.random(12) < 0.4, 10).astype(float) for _ in range(6)]
        claims = [Claim(life, int(start) + i, "it") for life in range(6) for start in random.integers(0, 100, 2)
                  for i in range(random.integers(1, 9))]  # fmt: skip
        low += against_others(claims, lambda topic, life, rows=rows: rows[life], list("abcdef"), 99, seed)["p"] <= 0.1
    assert low / 80 < 0.2
    assert against_others([], None, ["a"], 9, 0)["p"] is None


def test_a_channel_counts_once_and_a_life_that_is_too_short_is_nobody_s_play():
    rows = [np.ones(5), np.zeros(5), np.zeros(0)]
    claims = [Claim(0, 1, "it"), Claim(0, 2, "it"), Claim(0, 3, "it"), Claim(1, 4, "it")]
    found = against_others(claims, lambda topic, life: rows[life], ["a", "b", "b"], 400, 0)
    assert found["true"]["share"] == found["permuted"] == 0.5 and found["ratio"] == 1 and found["p"] > 0.4
    apart = [Claim(0, 1, 0), Claim(1, 1, 1)]  # no life is long enough for both topics
    none = against_others(apart, lambda topic, life: rows[0 if topic == life else 2], ["a", "b"], 9, 0)
    assert none["true"]["share"] == 1 and none["p"] is None


# ---- the scorer


def film(number: int, channel: str, colours: str) -> Life:
    """A pillar is seen, and its colour said, three seconds at a time."""
    lines, sentences = [], []
    for i, colour in enumerate(colours):
        name = {"r": "red", "b": "blue"}[colour]
        lines += [Line(60 * i + 4 * k, "", [Thing("pillar", name, 3.0, (0.0, 0.1, 0.0))]) for k in range(15)]
        start = 3000.0 * i + 2200
        sentences.append([Word(word, start + 200 * k, start + 190 + 200 * k)
                          for k, word in enumerate(("a", name, "pillar"))])  # fmt: skip
    life = still(pressed(frames=60 * len(colours) + 40), known=lines)
    return replace(life, name=str(number), channel=channel, sentences=sentences)


def test_a_scorer_of_people_tells_the_own_film_from_another_s(grammar):
    scorer = Scorer([film(i, "a", "rbrb"[i % 2 :]) for i in range(6)], grammar, seconds=1.0, least=3)
    assert scorer.judge.known == ["sight:pillar blue", "sight:pillar red"]
    right = scorer.pairs([film(0, "x", "rrrr"), film(1, "y", "bbbb")], 8, np.random.default_rng(0))
    assert len(right) == 8 and np.mean([won for _, _, won in right]) > 0.95
    same = scorer.pairs([film(0, "x", "rrrr"), film(1, "y", "rrrr")], 8, np.random.default_rng(0))
    assert 0.3 < np.mean([won for _, _, won in same]) < 0.7
    assert scorer.pairs([film(0, "x", "rrrr")], 8, np.random.default_rng(0)) == []  # no other life
    with pytest.raises(ValueError, match="1 topics of sentences come 3 times"):
        Scorer([film(i, "a", "rrr") for i in range(2)], grammar, seconds=1.0, least=3)


def test_a_silent_agent_has_no_rhythm(grammar):
    people = [film(0, "x", "rbrb"), film(1, "y", "rrrr")]
    found = talk_beside([replace(one, sentences=[]) for one in people], people)
    assert found["silence_s"]["agent"] is None and found["words_a_minute"]["agent"] == 0
    assert found["words_a_minute"]["within"]["share"] == 0 and found["silence_s"]["within"]["share"] is None
    assert talk_beside(people, people)["utterance_words"]["within"]["share"] == 1


# ---- the program


def write_people(folder) -> str:
    """Shards of four episodes in which the scripted player's sentences are said."""
    episodes = []
    for number, channel in enumerate(("ch0", "ch1", "ch4", "ch5")):
        record(folder / "videos", f"{channel}-00", number, 240)
        buttons, camera = MINECRAFT.encode(pressed("forward", frames=240), np.zeros((240, 2)))
        said = [(text, 2000.0 * k) for k, text in enumerate(("step left", "a red pillar", "step left", "a tree",
                                                             "a red pillar"))]  # fmt: skip
        words = [Word(word, start + 300 * i, start + 290 + 300 * i) for text, start in said
                 for i, word in enumerate(text.split())]  # fmt: skip
        video = folder / "videos" / f"{channel}-00.mp4"
        episodes.append(shards.Episode(f"{channel}-00", channel, video, words, buttons, camera, np.zeros(240, bool),
                                       np.ones(240, np.float32)))  # fmt: skip
    shards.write_shards(folder / "shards", episodes, {"labels": "toy"})
    return str(folder / "shards")


def test_a_dry_run_in_the_dummy_world(tmp_path, capsys):
    quick = VLPT(replace(joined().config, frames_per_tick=1))
    quick.load_state_dict(joined().state_dict())
    write_run(tmp_path / "joint", quick, "joint")
    asked = Options(model=str(tmp_path / "joint"), world="dummy", size=(64, 36), seeds=(0, 1), seconds=1.5, soon=0.5,
                    within=1.0, film_seconds=0.5, shards=write_people(tmp_path), least=2, others=2, permutations=20,
                    device="cpu", out=str(tmp_path / "found" / "saying.json"))  # fmt: skip
    found = evaluate.evaluate(asked)
    assert json.loads((tmp_path / "found" / "saying.json").read_text()) == found
    assert cv2.imread(str(tmp_path / "found" / "saying.png")).shape[1] > 1000
    assert found["people"]["on_ticks"]["sentences"]["share"] == 1 and found["people"]["carried_out"]["true"]["count"]
    assert found["agent"]["grammar"]["sentences"]["count"] == len(found["agent"]["sentences"]) > 0
    assert "agent: " in (said := capsys.readouterr().out) and "words a minute" in said
    files = sorted((tmp_path / "found" / "saying.lives").iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    folder, read = tmp_path / "found" / "saying.lives", Grammar.read(asked.grammar)
    again, lost = lives(agent := Agent(quick, tokenizer()), asked, folder, read)
    assert [path.stat().st_mtime_ns for path in files] == before and lost == [] and len(again) == 2  # played once
    assert [" ".join(word.word for word in said) for life in again for said in life.sentences] == [
        row["text"] for row in found["agent"]["sentences"]]  # fmt: skip
    with pytest.raises(ValueError, match=r"0\.jsonl is a life of another seconds: name another --out, or remove"):
        lives(agent, replace(asked, seconds=4.0), folder, read)


def test_what_cannot_be_is_said_at_once(tmp_path):
    for changes, said in (
        (dict(seeds=(3,)), "two arenas or more, none twice"), (dict(out="a.png"), "must end in .json"),
        (dict(seconds=10.0), "leaves no time"), (dict(world="mars"), "no world called 'mars'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            Options(**changes)
    with pytest.raises(ValueError, match=r"no\.json is missing: write it with"):
        main(Options(grammar=str(tmp_path / "no.json"), out=str(tmp_path / "saying.json")))
