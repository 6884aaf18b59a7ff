"""What an agent can be told to do, in sentences that the scripted player makes and in others that it never makes.

In: the name of an instruction, an arena. Out: a sentence, and for how many times or to which thing it asks. What counts
as done: vlpt/evaluation/done.py. A test of data_gathering holds that its grammar makes each sentence of `heard`, as an
announcement or a request, and none of `paraphrases`; and that each word of both is one token of pretrained/words, so
that a paraphrase tests new wording and not unknown words. Used by `python evaluate.py steering`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Sentences = tuple[str, ...]  # {n} a number, {flower} a kind of flower that grows in the arena
FEWEST_JUMPS, MOST_JUMPS = 2, 4  # of which the scripted player makes as many within the seconds of a motion
NUMBERS = ("zero", "one", "two", "three", "four")


@dataclass(frozen=True)
class Instruction:
    """One thing to be told."""

    heard: Sentences
    paraphrases: Sentences
    errand: str = ""  # of the world, which tells how far it is done; "": what is pressed tells


def _go_to(colour: str) -> Instruction:
    heard = ("now the {} pillar", "okay let's go to the {} pillar", "i'm going to walk to the {} pillar",
             "walking to the {} pillar", "can you go to the {} pillar", "please walk over to the {} pillar",
             "let's head over to the {} pillar", "okay so i want to visit the {} pillar")  # fmt: skip
    others = ("get close to the pillar that is {}", "i want to stand next to the {} pillar",
              "go straight ahead to the {} one", "take me to the pillar in {}", "see the {} pillar go there now",
              "you have to be at the {} pillar")  # fmt: skip
    return Instruction(_fill(heard, colour), _fill(others, colour), f"go_pillar:{colour}")


def _dig(heap: str, colour: str, verbs: tuple[str, str], tool: str) -> Instruction:
    dig, digging = verbs
    heard = (f"let's {dig} some of the {heap}", f"okay i'm going to {dig} the closest {heap}", f"{digging} the {heap}",
             f"can you {dig} the {heap}", f"please {dig} some of the closest {heap}", f"now the {heap}",
             f"i need to {dig} some of the {heap}", f"let's go and {dig} the closest {heap}")  # fmt: skip
    others = (f"get me some {heap} please", f"i need a bit of {colour} {heap}",
              f"take the {tool} to the pile of {heap}", f"give me a few blocks of {heap}",
              f"the pile of {heap} has to go", f"let me have some of that {heap}")  # fmt: skip
    return Instruction(heard, others, f"dig_{heap}")


def _aside(side: str) -> Instruction:
    heard = ("okay i'm going to step to the {} for a bit", "let's step to the {}", "sideways {}", "going sideways {}",
             "can you step to the {}", "please go sideways to the {}", "let's strafe to the {} for a bit",
             "sliding {}")  # fmt: skip
    others = ("move a bit to your {} please", "get over to the {} side", "a few steps over to your {}",
              "one side to the {} please", "keep your eyes ahead and go {}", "make some steps to your {}")  # fmt: skip
    return Instruction(_fill(heard, side), _fill(others, side))


def _fill(sentences: Sentences, word: str) -> Sentences:
    return tuple(sentence.format(word) for sentence in sentences)


INSTRUCTIONS: dict[str, Instruction] = {
    **{colour: _go_to(colour) for colour in ("red", "blue", "yellow")},
    "flower": Instruction(
        ("let's pick the closest {flower}", "okay i'm going to pick the closest {flower}", "picking the {flower}",
         "can you pick the closest {flower}", "please grab the nearest {flower}", "now the closest {flower}",
         "let me grab the closest {flower}", "let's walk over and pick the closest {flower}"),
        ("get me one of those flowers", "i need a pretty flower for the table", "give me a flower please",
         "go get a flower now", "find a flower and pick it up", "let me see you pick a flower"), "pick_flower"),
    "tree": Instruction(
        ("let's chop the closest tree", "okay i'm going to chop down the closest tree", "chopping the closest tree",
         "can you chop the nearest tree", "please cut down the closest tree", "now the closest tree",
         "we need wood so the closest tree", "i'll get some wood from the nearest tree"),
        ("get me some wood please", "i need a log from that tree", "take the axe to a tree",
         "that tree has to come down now", "make logs out of a tree", "give me wood from a tree"), "chop"),
    "sand": _dig("sand", "yellow", ("dig", "digging"), "shovel"),
    "dirt": _dig("dirt", "brown", ("dig", "digging"), "shovel"),
    "stone": _dig("stone", "grey", ("mine", "mining"), "pickaxe"),
    "place": Instruction(
        ("let's place three blocks", "okay i'm going to put down three blocks", "placing three blocks",
         "can you place three blocks in a row", "please put down three blocks", "building a wall of three",
         "let's build a little wall three blocks long", "time to build i'll place three blocks"),
        ("make a wall out of your blocks", "put your blocks on the ground", "i need a wall here please",
         "there should be a wall of blocks here", "take your blocks and put three down",
         "you have blocks so build a wall"), "place"),
    "jump": Instruction(
        ("okay let's jump {n} times on the spot", "let's jump {n} times", "i'm going to jump {n} times",
         "jumping {n} times", "can you jump {n} times", "please jump {n} times", "{n} jumps please",
         "let's hop {n} times"),
        ("up in the air {n} times please", "give me {n} jumps now", "let me see you jump {n} times",
         "i need you to hop {n} times", "you have to jump {n} times", "now jump up and down {n} times")),
    "up": Instruction(
        ("okay let's have a look up", "let's look up", "looking up", "i'm going to look up at the sky",
         "can you look up", "please look up at the sky", "a quick look up", "let me have a look up at the sky"),
        ("see what is over your head", "eyes on the sky please", "let me see the sky", "what is up there in the sky",
         "turn your head up to the sky", "is there something over your head")),
    "back": Instruction(
        ("okay i'm going to walk backwards for a bit", "let's go backwards", "walking backwards", "going backwards",
         "can you walk backwards", "please step backwards", "let's back up a bit", "i'll move backwards for a bit"),
        ("go back a few steps please", "a few steps back now", "keep going back from here", "get back from there",
         "back off a bit please", "make some space in front of you")),
    "left": _aside("left"),
    "right": _aside("right"),
    "turn": Instruction(
        ("okay let's turn around", "turning around", "let's turn around on the spot", "can you turn around",
         "please turn around now", "i'm going to spin around to the left", "let's do a spin to the right",
         "can you turn all the way around to the left"),
        ("let me see what is behind you", "see who is behind you", "now the other way around please",
         "make a full circle on the spot", "you are going the wrong way turn back", "what is there behind your back")),
}  # fmt: skip
NAMES = tuple(INSTRUCTIONS)


@dataclass(frozen=True)
class Wording:
    """How things are said in one arena."""

    sentences: dict[str, str]  # of each instruction
    jumps: int  # how many are asked for

    @classmethod
    def draw(cls, phrasing: str, arena: Mapping, arena_seed: int, seed: int, names: Sentences) -> "Wording":
        """phrasing: heard or paraphrase; arena: info["arena"] of the world; the same for the same seeds."""
        jumps = int(_random(seed, arena_seed, len(NAMES)).integers(FEWEST_JUMPS, MOST_JUMPS + 1))
        slots = {"n": NUMBERS[jumps], "flower": nearest_flower(arena)}
        return cls({name: _sentence(name, phrasing, _random(seed, arena_seed, NAMES.index(name))).format(**slots)
                    for name in names}, jumps)  # fmt: skip


def _sentence(name: str, phrasing: str, random: np.random.Generator) -> str:
    told = INSTRUCTIONS[name]
    sentences = told.heard if phrasing == "heard" else told.paraphrases
    return sentences[random.integers(len(sentences))]


def _random(seed: int, arena_seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng((seed, arena_seed, purpose))


def nearest_flower(arena: Mapping) -> str:
    """The kind of flower that grows nearest to where the player starts, as one says it: flowers:dandelion_white is a
    white dandelion."""
    far = [np.hypot(*np.subtract(one["position"], arena["spawn"])[[0, 2]]) for one in arena["flowers"]]
    node = arena["flowers"][int(np.argmin(far))]["node"] if far else "flowers:rose"
    return " ".join(reversed(node.split(":")[-1].split("_")))
