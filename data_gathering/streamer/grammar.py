"""Which sentences can the scripted player say? The rules of phrases.py, read backwards.

In:  a sentence, or the words of a recording. Out: the rule that makes the sentence and what filled its slots, so that
what a model says can be judged: is it a sentence, of which kind, and does it name what is there?

    recognise("now the red pillar on the left")  ->  ("announce:pillar", {"it": "the red pillar on the left"})
    recognise("pillar the now red")              ->  None
    [recognise(" ".join(word.word for word in said)) for said in sentences(read_words("ch0-03.words.jsonl"))]

The grammar is finite and not recursive, so that every rule is one regular expression, compiled once a process. Who may
not import this room has it as a file (`exported`), which vlpt/data/sentences.py reads:

    python -m data_gathering.demonstrate --grammar-only --out data_gathering/samples/grammar.json
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache

from data_gathering.streamer import phrases
from data_gathering.streamer.chores import LOOKS, TURNS_DEG
from data_gathering.streamer.errands import WAYS
from data_gathering.streamer.ground import PLACES, flower_name
from data_gathering.streamer.imagined import WITHOUT_TARGET
from data_gathering.streamer.narration import Alternatives, addressed, parse
from vlpt.data import in_view
from vlpt.data.sentences import Recogniser, Rules
from vlpt.data.words import PAUSE_MS, Word, split_at_pauses
from vlpt.worlds.errands import COLOURS

# The tables of phrases.py, by the name that their rules have here; the first that fits is what `recognise` gives.
TABLES: dict[str, Mapping] = {
    "announce": phrases.ANNOUNCE, "plan": phrases.PLAN, "request": phrases.REQUEST, "whim": phrases.WHIM,
    "counted": phrases.COUNTED, "sight": phrases.SIGHT, "after": phrases.AFTER, "report": phrases.REPORT,
    "during": phrases.DURING, "tool": phrases.TOOL,
}  # fmt: skip
SINGLE = {
    "answer": phrases.ANSWER, "count": phrases.COUNT, "failed": phrases.FAILED, "overshot": phrases.OVERSHOT,
    "wrong": phrases.WRONG, "stuck": phrases.STUCK, "wrong_tool": phrases.WRONG_TOOL, "misplaced": phrases.MISPLACED,
    "oops": phrases.PARTS["oops"], "greeting": phrases.GREETING, "digress": phrases.DIGRESS,
}  # fmt: skip
NOUNS = {
    "chop": "tree", "sand": "sand", "dirt": "dirt", "stone": "stone", "climb": "steps",
    "flower": f"[{'|'.join(phrases.FLOWERS)}]", "pillar": f"[{'|'.join(COLOURS)}] pillar",
    "orbit": f"[{'|'.join(COLOURS)}] pillar",
}  # fmt: skip


def recognise(sentence: str) -> tuple[str, dict[str, str]] | None:
    """The first rule that makes a sentence, as "announce:chop", and what its slots hold; None if there is none."""
    return Recogniser(patterns()).recognise(sentence)


def kinds(sentence: str) -> list[str]:
    """The names of all rules that make a sentence."""
    return [name for name, _ in Recogniser(patterns()).fits(sentence)]


def sentences(words: Sequence[Word]) -> list[list[Word]]:
    """Words in spoken order, cut where PAUSE_MS or more lie between: Mouth.say leaves 180 or more between sentences,
    `timing` 15 between words."""
    return split_at_pauses(words, PAUSE_MS, len(words))  # however long somebody talks


def rules() -> Iterator[tuple[str, str]]:
    """(name, rule) of everything that can be said."""
    for table, entries in TABLES.items():
        yield from ((f"{table}:{key}", rule) for key, rule in entries.items())
    yield from SINGLE.items()


def slots(name: str) -> dict[str, str]:
    """What may fill the slots of a rule of this name: each a rule of its own."""
    table, _, kind = name.partition(":")
    numbers = phrases.NUMBERS if table == "count" else (*phrases.NUMBERS[1:], "many")
    colours = sorted({*COLOURS, *phrases.FLOWERS.values()} - {""})
    places = [place for side in PLACES.values() for place in side]
    return {
        "n": "|".join(numbers[1:] if table in ("sight", "counted") else numbers), "none": "no", "one": "one",
        "where": "|".join(places),
        "it": addressed_rule(target(kind)) if table == "request" else target(kind),
        "colour": "|".join(COLOURS), "flower": "|".join([*phrases.FLOWERS, f"[|{'|'.join(colours)}] flower"]),
    }  # fmt: skip


def target(kind: str) -> str:
    """The names that targets of an errand can have, as ground.py and errands.py give them: a rule."""
    if kind in NOUNS:
        places = "|".join(place for side in PLACES.values() for place in side)
        return f"the [|closest|nearest|far] {NOUNS[kind]} [|{places}]"
    return "|".join(WITHOUT_TARGET.get(kind, ()))


def addressed_rule(rule: str) -> str:
    """A rule whose sentences are spoken to the player: "behind me" becomes "behind you"."""
    return re.sub(r"[a-z' ]+", lambda text: f" {addressed(text.group())} ", rule)


@cache
def patterns() -> dict[str, re.Pattern[str]]:
    """{name of a rule: what all its sentences match, with a blank before every word}."""
    return {name: re.compile(_pattern(parse(rule), slots(name), itertools.count())) for name, rule in rules()}


def _pattern(alternatives: Alternatives, fillings: Mapping[str, str], number: Iterator[int]) -> str:
    """A regular expression of sentences in which a blank stands before every word. A slot that occurs several times
    is a group each time: `{it}` becomes (?P<it_0>...), (?P<it_1>...)."""
    branches = ("".join(_piece(piece, fillings, number) for piece in pieces) for pieces in alternatives)
    return f"(?:{'|'.join(branches)})"


def _piece(piece: str | Alternatives, fillings: Mapping[str, str], number: Iterator[int]) -> str:
    if isinstance(piece, tuple):
        return _pattern(piece, fillings, number)
    if piece.startswith("<"):
        return _pattern(parse(phrases.PARTS[piece[1:-1]]), fillings, number)
    if piece.startswith("{"):
        slot = piece[1:-1].rstrip("?")
        inner = _pattern(parse(fillings[slot]), fillings, number)
        return f"(?P<{slot}_{next(number)}>{inner}){'?' if piece.endswith('?}') else ''}"
    return _spaced(piece)


def _spaced(text: str) -> str:
    return "".join(f" {word}" for word in text.split())


def exported() -> dict:
    """All of it as one JSON value, the same each time: see vlpt.data.sentences.Rules."""
    colours = {flower_name(node): colour for node, colour in in_view.FLOWERS.items()}
    by_colour = {f"{plain} flower": colours[name] for name, plain in phrases.FLOWERS.items() if plain}
    turns: dict[str, dict] = {"look": {it: way for it, way in LOOKS.items() if way}}
    for kind, ways in (("spin", {"left": -360, "right": 360}), ("turn", TURNS_DEG), ("wander", WAYS)):
        turns[kind] = {it: (0, yaw) for it, yaw in ways.items()}
    things = tuple(sorted({*phrases.SIGHT} - {"sky", "ground"}))
    return asdict(Rules({name: pattern.pattern for name, pattern in patterns().items()}, tuple(phrases.ANNOUNCE),
                        tuple(phrases.WHIM), COLOURS, things, colours | by_colour, turns))  # fmt: skip
