"""Which sentences the narrators can say: all that they say is recognised, and hardly anything else."""

import json

import numpy as np
import pytest
from support.places import ROOT
from support.toy_arena import ToyArena

from data_gathering.demonstrate import Episode, Options, main, make_player
from data_gathering.streamer import grammar, imagined, phrases
from data_gathering.streamer.grammar import kinds, recognise, sentences
from data_gathering.streamer.ground import HEAPS, name
from data_gathering.streamer.narration import Mouth, Narrator, TimedVoice, expand, parse, sayable
from data_gathering.streamer.session import play
from vlpt.data.sentences import LONGEST, Grammar, on_ticks, shuffled
from vlpt.data.words import Word, read_words

RULES = dict(grammar.rules())
SAMPLES = ROOT / "data_gathering/samples"
TOLD = ("announce", "plan", "request", "whim")  # what is told before it is done must never mean two things
ERRAND_OF = {"tree": "chop", "flower": "flower", "pillar": "pillar", "steps": "climb"} | {noun: noun for noun in HEAPS}


def filled(rule_name, rng):
    """Random contents of a rule's slots, some of them empty."""
    held = {slot: expand(rule, rng, {}) if rule else "" for slot, rule in grammar.slots(rule_name).items()}
    if rule_name.startswith("counted"):
        kept = str(rng.choice(["none", "one", "n"]))
        held |= {slot: "" for slot in ("none", "one", "n") if slot != kept}
    empty = {slot for slot in ("where", "n", "colour") if rng.random() < 0.1}
    emptied = held | dict.fromkeys(empty, "")
    return emptied if any(sayable(pieces, emptied) for pieces in parse(RULES[rule_name])) else held


def test_all_that_a_rule_can_make_is_recognised_as_that_rule():
    rng = np.random.default_rng(0)
    for rule_name, rule in RULES.items():
        for _ in range(120 if rule_name.split(":")[0] in TOLD else 60):
            sentence = expand(rule, rng, filled(rule_name, rng))
            found = kinds(sentence)
            assert rule_name in found, (rule_name, sentence)
            if rule_name.split(":")[0] in TOLD:
                assert found == [rule_name], (found, sentence)


def test_slots_come_back_as_they_were_filled():
    rng = np.random.default_rng(1)
    for rule_name, rule in RULES.items():
        for _ in range(40):
            held = filled(rule_name, rng)
            sentence = expand(rule, rng, held)
            found = dict([recognise(sentence)])
            for slot, value in found.get(rule_name, {}).items():
                assert value == held[slot], (rule_name, sentence)


@pytest.mark.parametrize(
    ("sentence", "rule_name", "held"),
    [
        ("now the red pillar", "announce:pillar", {"it": "the red pillar"}),
        ("three jumps", "announce:hop", {"n": "three"}),
        ("sideways left", "announce:side", {"it": "left"}),
        ("looking up at the sky", "announce:look", {"it": "up at the sky"}),
        ("turning around", "announce:turn", {"it": "around"}),
        ("once around the blue pillar on the left", "announce:orbit", {"it": "the blue pillar on the left"}),
        ("after this three jumps", "plan:hop", {"n": "three"}),
        ("can you look behind you", "request:look", {"it": "behind you"}),
        ("step left", "whim:left", {}),
        ("i see a red pillar on the left", "sight:pillar", {"colour": "red", "where": "on the left"}),
        ("on the left a yellow dandelion", "sight:flower", {"where": "on the left", "flower": "yellow dandelion"}),
        ("two flowers on the left", "counted:flower", {"n": "two", "where": "on the left"}),
        ("we have three logs", "after:chop", {"n": "three"}),
    ],
)
def test_sentences_are_told_apart(sentence, rule_name, held):
    assert recognise(sentence) == (rule_name, held)


@pytest.mark.parametrize(
    "junk",
    ["", "   ", "the", "pillar the now red", "now the pink pillar", "the red", "a b c", "three jumps three jumps",
     "Now the red pillar", "(?:", "now the red pillar."],
)  # fmt: skip
def test_junk_is_not_recognised(junk):
    assert recognise(junk) is None and kinds(junk) == []


def imagined_sentences(count, seed):
    """What is said in so many episodes without a game."""
    rng = np.random.default_rng(seed)
    for taste_seed in range(count):
        yield from imagined.episode(Narrator(rng, taste_seed), rng)


def test_hardly_any_shuffled_sentence_is_recognised():
    """0.3 % of them were, when this was written."""
    rng, tried, found = np.random.default_rng(0), 0, 0
    for sentence in imagined_sentences(60, seed=0):
        words = sentence.split()
        assert recognise(sentence), sentence
        shuffled = [str(word) for word in rng.permutation(words)]
        if len(words) > 2 and shuffled != words:
            tried, found = tried + 1, found + (recognise(" ".join(shuffled)) is not None)
    assert tried > 800 and found / tried < 0.02


def test_all_that_is_said_in_play_is_recognised_and_cut_at_pauses():
    for channel in range(6):
        world, log = ToyArena(), []
        info = world.reset(channel)
        player = make_player(info["arena"], Options(out="nowhere"), Episode(channel, 0, False))
        script = play(player, log)
        for frame in range(600):
            player.see(info["truth"], frame)
            info = world.step(*player.act(next(script)))
        said = [" ".join(word.word for word in words) for words in sentences(player.mouth.words)]
        assert said == [text for _, text in player.mouth.spoken]
        unknown = [text for text in said if recognise(text) is None]
        assert len(said) > 8 and not unknown


def test_names_that_the_ground_gives_are_those_of_the_grammar():
    rng = np.random.default_rng(0)
    player = make_player(ToyArena().reset(3)["arena"], Options(out="nowhere"), Episode(0, 0, False))
    for target in player.ground.targets:
        for _ in range(20 if target.noun in ERRAND_OF else 0):
            rivals = player.ground.of(target.noun)[: rng.integers(1, 9)]
            it = name(target, rivals, rng.uniform(-9, 9, 3), rng.uniform(-180, 180), rng)
            if it is not None:
                kind = ERRAND_OF[target.noun]
                assert recognise(Narrator(rng).announce(kind, it, 3))[0] == f"announce:{kind}"


def test_imagined_targets_are_those_of_the_grammar():
    rng = np.random.default_rng(0)
    for taste_seed in range(500):
        errand = imagined.imagine(rng)
        said = Narrator(rng, taste_seed).announce(errand.kind, errand.it, errand.number)
        assert kinds(said) == [f"announce:{errand.kind}"]


def test_sentences_are_cut_at_pauses_only():
    words = [Word("a", 0, 100), Word("b", 115, 200), Word("c", 350, 400), Word("d", 549, 600)]
    assert [[word.word for word in said] for said in sentences(words)] == [["a", "b"], ["c", "d"]]
    assert sentences([]) == []
    mouth = Mouth(TimedVoice(170, np.random.default_rng(0)), np.random.default_rng(0))
    texts = ["now the red pillar", "step left", "three jumps"] * 20
    for text in texts:
        mouth.say(text, 0)
    assert [" ".join(word.word for word in said) for said in sentences(mouth.words)] == texts


def test_patterns_are_compiled_once():
    recognise("three jumps")
    before = grammar.patterns.cache_info()
    recognise("two jumps")
    assert grammar.patterns.cache_info().misses == before.misses == 1
    assert set(phrases.ANNOUNCE) == {rule_name[9:] for rule_name in RULES if rule_name.startswith("announce:")}


# ---- the grammar as a file


def test_the_committed_file_is_what_the_grammar_is_today():
    path = SAMPLES / "grammar.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(grammar.exported())), "write it again: --grammar-only"
    assert path.stat().st_size < 300_000


def test_the_file_recognises_what_the_grammar_does(tmp_path):
    assert main(Options(out=str(tmp_path / "grammar.json"), grammar_only=True)) == 0
    read, rng = Grammar.read(tmp_path / "grammar.json"), np.random.default_rng(0)
    for path in sorted(SAMPLES.glob("ch[34]-0*.words.jsonl")):
        for words in sentences(read_words(path)):
            said = [word.word for word in words]
            for text in (" ".join(said), " ".join(map(str, rng.permutation(said)))):
                assert read.recognise(text) == recognise(text), text


def test_talk_on_ticks_is_cut_into_the_sentences_that_were_said():
    """An agent's ticks of 200 ms are longer than the shortest pause between two sentences."""
    read, rng = Grammar.read(SAMPLES / "grammar.json"), np.random.default_rng(0)
    same = total = found = tried = 0
    for path in sorted(SAMPLES.glob("ch[45]-0*.words.jsonl")):
        words = read_words(path)
        true = [" ".join(word.word for word in said) for said in sentences(words)]
        cut = [" ".join(word.word for word in said) for said in read.cut(on_ticks(words, 200.0))]
        same, total = same + len({*true} & {*cut}), total + len({*true})
        assert " ".join(cut) == " ".join(word.word for word in words)
        mixed = read.cut(shuffled(on_ticks(words, 200.0), rng))
        tried += len(mixed)
        found += sum(read.recognise(" ".join(word.word for word in said)) is not None for said in mixed)
    assert same / total > 0.95 and found / tried < 0.2
    assert read.cut([]) == []
    assert max(map(len, read.cut([Word("a", 300.0 * i, 300.0 * i + 200) for i in range(100)]))) == LONGEST


def test_a_wrong_grammar_file_is_named(tmp_path):
    path = tmp_path / "grammar.json"
    with pytest.raises(ValueError, match=r"grammar\.json is missing: write it with python -m data_gathering"):
        Grammar.read(path)
    whole = grammar.exported()
    for broken in ({}, [], whole | {"rules": {"count": "(?:"}}, whole | {"rules": {"count": 3}}):
        path.write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=r"grammar\.json is no grammar \(.*\): write it with"):
            Grammar.read(path)
