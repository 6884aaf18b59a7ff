"""What is to become of a video, by its pictures: a person's word before the classifier's.

In: a data folder with `3_reviewed.jsonl` (data_gathering.review) and `3_clean.jsonl` (data_gathering.clean), either of
which may be missing. Out: id -> clean, artefacts or other.
"""

from pathlib import Path

from data_gathering.ledger import LatestLedger, read_rows

CLASSES = ("clean", "artefacts", "other")


def verdicts(folder: Path | str) -> dict[str, str]:
    """Of every video of which anybody has said anything."""
    folder = Path(folder)
    said = {row["key"]: row["label"] for row in read_rows(folder / "3_clean.jsonl")}
    return {**said, **reviewed(folder / "3_reviewed.jsonl")}


def reviewed(path: Path | str) -> dict[str, str]:
    """What people said; a label that was taken back counts as none. Raises ValueError naming one that is no class."""
    if not Path(path).exists():
        return {}
    said = {key: row.get("label") for key, row in LatestLedger(path).rows.items()}
    for key, label in said.items():
        if label not in (*CLASSES, None):
            raise ValueError(f"{path}: {key} is labelled {label!r}: it takes {', '.join(CLASSES)} or null")
    return {key: label for key, label in said.items() if label is not None}
