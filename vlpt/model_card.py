"""What a run's own records and the evidence say of a model, as sections of its card: data, training, results, limits.

In: a model folder or a run, with options.json and done.json as train.py leaves them; and the numbers of evidence.py.
Out: sections in Markdown for `vpt.model_card.model_card`. Nothing is in them that was not read from these files.

    sections = [*training_sections("pretrained/agent"), *evidence_sections(read_json("docs/evidence.json"))]
"""

from collections.abc import Iterator
from pathlib import Path

from vlpt.checkpoint import FUSED, model_folder, named_parts
from vlpt.files import read_json
from vlpt.metrics import interval
from vlpt.show.answers import answers_table

OPTIONS = ("steps", "lanes", "chunk", "accumulate", "rate_pretrained", "rate_new", "rate_gates", "weight_decay", "seed")
UNITS = {  # of what done.json holds, after its "valid/"
    "action": "actions, nats a frame", "action_non_null": "actions of frames on which something is done, nats a frame",
    "buttons": "keys, nats a frame", "camera": "camera, nats a frame", "token": "words, nats a token",
    "silence": "whether something is said, nats a tick", "balanced_accuracy": "which keys are down, balanced accuracy",
    "keypress_accuracy": "key presses, accuracy", "mouse_r2": "mouse, R²",
    "intention": "what will be done soon, nats a frame",
}  # fmt: skip


def training_sections(model: Path | str) -> list[str]:
    """How it was trained and what its own validation found, of each part of a model that is put together; [] where no
    record of a run lies beside it.
    """
    folder = model_folder(model)
    parts = named_parts(folder)
    places = {"": folder} if parts is None else dict(zip(FUSED, parts, strict=True))
    return [section for name, place in places.items() for section in _of_one(name, place)]


def _of_one(part: str, folder: Path) -> Iterator[str]:
    """folder: a model's, or its run's."""
    run = next((place for place in (folder, *folder.parents[:2]) if (place / "options.json").is_file()), None)
    if run is None:
        return
    record, of = read_json(run / "options.json"), f", {part}" if part else ""
    yield f"## Training{of}\n\n{training(record)}"
    if (run / "done.json").is_file():
        yield f"## Its own validation{of}\n\n{validation(record['options'], read_json(run / 'done.json'))}"


def training(record: dict) -> str:
    """options.json as prose: stage, data, what was left out of it, numbers of the recipe, versions."""
    options = record["options"]
    data = options.get("shards") or options.get("videos") or options.get("text")
    lines = [f"Stage `{options['stage']}` of train.py on `{data}`"
             + (f", from `{options['start']}`" if options.get("start") else "") + "."]  # fmt: skip
    for name, why in (("held_out", "for its validation"), ("test", "for reporting")):
        if options.get(name):
            lines.append(f"Left out {why}: {', '.join(options[name])}.")
    lines.append("Recipe: " + ", ".join(f"{name} {options[name]}" for name in OPTIONS if name in options) + ".")
    versions = ", ".join(f"{name} {record[name]}" for name in ("commit", "python", "torch") if name in record)
    return "\n".join([*lines, f"Made with {versions}."])


def validation(options: dict, done: dict) -> str:
    """done.json as a table: each loss beside that of a unigram and of the part alone, where these were measured."""
    rows = [f"| {UNITS[name]} | {_number(done, f'valid/{name}')} | {_number(done, f'alone/{name}')} "
            f"| {_number(done, f'unigram/{name}')} |"
            for name in UNITS if f"valid/{name}" in done]  # fmt: skip
    where = f" on {', '.join(options['held_out'])}" if options.get("held_out") else ""
    took = f" Training took {done['minutes']} minutes." if "minutes" in done else ""
    return (f"Means at the end of training{where}, which it watched meanwhile; without intervals.{took}\n\n"
            "| | found | its part alone | a unigram |\n|---|---|---|---|\n" + "\n".join(rows))  # fmt: skip


def _number(done: dict, name: str) -> str:
    return f"{done[name]:.3f}" if name in done else ""


def evidence_sections(evidence: dict) -> list[str]:
    """What `evidence.py` found on channels that nothing was trained or chosen on, and what it did not find.

    Raises ValueError where that holds nothing of what is asked.
    """
    table = answers_table(evidence)
    if table.count("not measured") == table.count("\n") - 1:
        raise ValueError("the evidence holds no number that the card could tell: make it with evidence.py")
    found = ["## Results\n\nBy the instruments of `evidence.py`, on the channels that it reports on; intervals are "
             f"over channels (done when told: over arenas; what it says: over lives).\n\n{table}"]  # fmt: skip
    if limits := not_steered(evidence):
        found.append(f"## Limits\n\n{limits}")
    return found


def not_steered(evidence: dict) -> str:
    """The instructions that it was not seen to follow more often than when told something else."""
    steering = evidence.get("steering", {}).get("steering", {})
    rows = [f"- {name}: {interval(one, 2)}, {one['arenas']} arenas" for name, one in steering.items()
            if isinstance(one, dict) and "low" in one and "arenas" in one and one["low"] <= 0]  # fmt: skip
    if not rows:
        return ""
    return ("Told to do these in the game it does them no more often than when told something else, or too seldom to "
            "be told from chance (difference of the shares of arenas in which it was done):\n\n" + "\n".join(rows))
