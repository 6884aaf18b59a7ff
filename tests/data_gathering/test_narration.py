"""What the scripted player says: every sentence is sayable, right and varied; text without a game follows the same
mix."""

import re

import numpy as np
import pytest

from data_gathering.demonstrate import Options, main
from data_gathering.streamer import imagined, phrases
from data_gathering.streamer.chores import DO
from data_gathering.streamer.errands import MAKE
from data_gathering.streamer.ground import PLACES
from data_gathering.streamer.narration import Narrator, expand, sayable, spelled
from vlpt.options import run

KINDS = list(phrases.ANNOUNCE)
WHERE = [place for side in PLACES.values() for place in side]


def narrators(count=200, seed=0):
    """So many people, each with an own taste."""
    rng = np.random.default_rng(seed)
    return [Narrator(rng, taste_seed) for taste_seed in range(count)]


def test_there_are_many_ways_to_say_a_thing():
    vocabulary = set(imagined.corpus(seed=3, words=100_000).split())
    assert 550 <= len(vocabulary) <= 1100
    assert all(re.fullmatch(r"[a-z']+", word) for word in vocabulary)
    for kind in ("chop", "pillar", "sand", "place"):
        narrator = Narrator(np.random.default_rng(0))
        assert len({narrator.announce(kind, "it", 3) for _ in range(2000)}) > 100
    narrator = Narrator(np.random.default_rng(0))
    assert len({narrator.say(phrases.DIGRESS) for _ in range(3000)}) > 300


def test_every_kind_of_errand_has_something_to_say_in_every_table():
    for table in (phrases.DOING, phrases.NAMING, phrases.BEGINNING, phrases.REASON, phrases.ANNOUNCE, phrases.PLAN,
                  phrases.REQUEST, phrases.AFTER):  # fmt: skip
        assert set(table) == set(DO) == set(MAKE)
    assert set(phrases.DURING) == {*DO, "walk"}
    assert set(phrases.WHIM) == {"hop", "left", "right", "back", "up", "down", "stop"}
    assert set(phrases.COUNTED) < set(phrases.SIGHT)


def test_an_alternative_with_an_empty_slot_is_passed_over():
    rng = np.random.default_rng(0)
    said = {expand("a tree {where}|{n} trees [{where}|]|tree {where?}", rng, {"where": "", "n": "two"})
            for _ in range(60)}  # fmt: skip
    assert said == {"two trees", "tree"}
    assert not sayable(("a tree", "{where}"), {"where": ""})
    with pytest.raises(ValueError, match="fill the slots"):
        expand("a tree {where}", rng, {"where": ""})


@pytest.mark.parametrize("kind", KINDS)
def test_what_will_be_done_is_said_with_its_name_and_number(kind):
    number = 4 if kind in ("place", "hop") else 0
    it = "" if kind in ("place", "hop", "tower", "back") else "the name"
    for narrator in narrators():
        for said in (narrator.announce(kind, it, number), narrator.request(kind, it, number)):
            assert it in said
            assert not number or "four" in said.split()
            assert not re.search(r"[^a-z' ]|  |^ | $", said)


def test_announcements_are_short():
    rng = np.random.default_rng(0)
    lengths, all_lengths = [], []
    for narrator in narrators(300):
        errand = imagined.imagine(rng)
        said = narrator.announce(errand.kind, errand.it, errand.number)
        lengths.append(len(said.replace(errand.it, "").split() if errand.it else said.split()))
        all_lengths += [len(sentence.split()) for sentence in imagined.episode(narrator, rng)]
    assert np.mean(np.array(lengths) <= 4) > 0.6  # besides the name
    assert np.mean(np.array(all_lengths) <= 4) > 0.5
    assert all(len(narrator.whim(kind).split()) <= 4 for narrator in narrators(50) for kind in phrases.WHIM)


def test_what_is_seen_is_said_with_colour_and_side_where_there_are_any():
    for thing in phrases.SIGHT:
        bare = {narrator.sight(thing) for narrator in narrators()}
        assert not any(place in said for said in bare for place in WHERE)
        assert not any(re.search(r"\b(is|the|a)$|\ba [aeiou]", said) for said in bare)
    placed = [narrator.sight("pillar", "red", "to my right") for narrator in narrators()]
    assert all("red" in said for said in placed)
    assert np.mean(["to my right" in said for said in placed]) > 0.6
    flowers = [narrator.sight("flower", "yellow dandelion", "on the left") for narrator in narrators()]
    assert np.mean(["yellow" in said for said in flowers]) > 0.7
    assert {"dandelion", "flower"} < set(" ".join(flowers).split())
    assert any("four trees" in narrator.sight("tree", number=4) for narrator in narrators())
    assert not any("one trees" in narrator.sight("tree", number=1) for narrator in narrators())


def test_counts_are_right_in_grammar_and_number():
    for narrator in narrators(100):
        assert "no pillars" in narrator.counted("pillar", 0)
        assert re.search(r"\bone tree\b", narrator.counted("tree", 1, "on the left"))
        assert "three piles of sand" in narrator.counted("sand", 3)
        assert "many flowers" in narrator.counted("flower", 12)
    assert [spelled(number) for number in (0, 1, 10, 11)] == ["", "one", "ten", "many"]


def test_a_request_is_spoken_to_the_player():
    for narrator in narrators():
        assert "the tree to your left" in narrator.request("chop", "the tree to my left")
        assert "behind you" in narrator.request("look", "behind me")


def test_results_name_what_there_is_now():
    said = [narrator.after("flower", colour="dandelion_white") for narrator in narrators()]
    assert any("white dandelion" in text for text in said) and not any("_" in text for text in said)
    assert any("three logs" in narrator.after("chop", 3) for narrator in narrators())
    assert not any("zero" in narrator.after(kind) for kind in KINDS for narrator in narrators(40))
    assert {narrator.report(True) for narrator in narrators()}.isdisjoint(n.report(False) for n in narrators())
    assert len({narrator.answer() for narrator in narrators()}) > 8


def test_text_without_a_game_is_written_whole_and_repeats(tmp_path):
    out = tmp_path / "text.txt"
    assert run(main, Options, ["--text-only", "3000", "--out", str(out), "--seed", "4"]) == 0
    assert len(out.read_text().split()) >= 3000
    assert out.read_text() == imagined.corpus(4, 3000) != imagined.corpus(5, 3000)


def test_persons_differ_in_what_they_like_to_say():
    def first_words(taste_seed):
        narrator = Narrator(np.random.default_rng(0), taste_seed)
        said = [narrator.say("alpha|beta|gamma|delta") for _ in range(400)]
        return [said.count(word) for word in ("alpha", "beta", "gamma", "delta")]

    assert np.argmax(first_words(1)) != np.argmax(first_words(3)) or first_words(1) != first_words(2)
    assert max(first_words(1)) > 1.5 * min(first_words(1))
