"""The sentences that an agent is told: those that the scripted player makes, and those that it never makes.

Run: pytest tests/data_gathering/test_instructions.py
"""

import pytest
from support.places import ROOT

from data_gathering.streamer.grammar import kinds
from data_gathering.streamer.ground import flower_name
from data_gathering.streamer.phrases import FLOWERS
from vlpt.data.words import encode_text, load_tokenizer
from vlpt.evaluation.instructions import FEWEST_JUMPS, INSTRUCTIONS, MOST_JUMPS, NUMBERS, nearest_flower

KINDS = {  # what the grammar calls them
    **dict.fromkeys(("red", "blue", "yellow"), {"pillar"}), "flower": {"flower"}, "tree": {"chop"}, "sand": {"sand"},
    "dirt": {"dirt"}, "stone": {"stone"}, "place": {"place"}, "jump": {"hop"}, "up": {"look"}, "back": {"back"},
    "left": {"side"}, "right": {"side"}, "turn": {"turn", "spin"},
}  # fmt: skip
SLOTS = [{"n": NUMBERS[n], "flower": flower}
         for n, flower in zip([*range(FEWEST_JUMPS, MOST_JUMPS + 1)] * 2, FLOWERS, strict=True)]  # fmt: skip


def said(sentences):
    """Every sentence, with every filling of its slots."""
    return {sentence.format(**slots) for sentence in sentences for slots in SLOTS}


def test_there_are_twelve_instructions_and_more_in_several_sentences_each():
    assert set(INSTRUCTIONS) == set(KINDS) and len(INSTRUCTIONS) >= 12
    for instruction in INSTRUCTIONS.values():
        assert len(set(instruction.heard)) >= 6 and len(set(instruction.paraphrases)) >= 6


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_heard_sentences_announce_or_ask_for_that_and_nothing_else(name):
    expected = {f"{table}:{kind}" for table in ("announce", "request") for kind in KINDS[name]}
    for sentence in said(INSTRUCTIONS[name].heard):
        found = kinds(sentence)
        assert len(found) == 1 and found[0] in expected, (sentence, found)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_paraphrases_are_never_made_of_words_that_are_known(name):
    tokenizer = load_tokenizer(ROOT / "pretrained/words/tokenizer.json")
    for sentence in said(INSTRUCTIONS[name].paraphrases):
        assert kinds(sentence) == [], sentence
    for sentence in said((*INSTRUCTIONS[name].paraphrases, *INSTRUCTIONS[name].heard)):
        assert all(len(encode_text(f" {word}", tokenizer)) == 1 for word in sentence.split()), sentence


def test_a_sentence_says_one_thing():
    """Else being told the one would be being told the other."""
    for phrasing in ("heard", "paraphrases"):
        every = [sentence for one in INSTRUCTIONS.values() for sentence in said(getattr(one, phrasing))]
        assert len(every) == len(set(every))


def test_the_nearest_flower_is_named_as_the_player_names_it():
    nodes = [("dandelion_white", 5.0), ("dandelion_yellow", 2.0), ("rose", 3.0)]
    arena = {"spawn": [0, 8.5, 0], "flowers": [{"position": [0, 9, far], "node": f"flowers:{node}"}
                                               for node, far in nodes]}  # fmt: skip
    assert nearest_flower(arena) == flower_name("dandelion_yellow") == "yellow dandelion" in FLOWERS
