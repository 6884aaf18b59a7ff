"""What people said of videos by their pictures.

In: `3_reviewed.jsonl` of a data folder (data_gathering.review). Out: id -> clean, artefacts or other.
"""

from pathlib import Path

from data_gathering.ledger import LatestLedger

CLASSES = ("clean", "artefacts", "other")


def reviewed(path: Path | str) -> dict[str, str]:
    """What people said; a label that was taken back counts as none. Raises ValueError naming one that is no class."""
    if not Path(path).exists():
        return {}
    said = {key: row.get("label") for key, row in LatestLedger(path).rows.items()}
    for key, label in said.items():
        if label not in (*CLASSES, None):
            raise ValueError(f"{path}: {key} is labelled {label!r}: it takes {', '.join(CLASSES)} or null")
    return {key: label for key, label in said.items() if label is not None}
