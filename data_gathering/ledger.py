"""Ledgers, which a killed program leaves whole: one JSON object a line, only added to, a line a key.

    ledger = Ledger("data/1_found.jsonl")
    ledger.add({"key": "youtube:abc", "title": "..."})     # False where the key is there already

What a person may take back is in a `LatestLedger`: the last row of a key counts.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path


class Ledger:
    """Raises ValueError naming the file and line that is no JSON object with a key; a torn last line is cut off."""

    def __init__(self, path: Path | str) -> None:
        self.path, self.lock = Path(path), threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _mend(self.path)
        self.keys = {record["key"] for record in self}

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[dict]:
        """The records, in the order in which they came."""
        return read_rows(self.path)

    def add(self, record: dict) -> bool:
        """Whether the record was new; it is on the disk when this returns."""
        with self.lock:
            if record["key"] in self.keys:
                return False
            _append(self.path, record)
            self.keys.add(record["key"])
            return True


class LatestLedger:
    """As Ledger, but a later row of a key takes the place of the earlier: `rows` has the last row of each key, in the
    order in which these were written."""

    def __init__(self, path: Path | str) -> None:
        self.path, self.lock, self.rows = Path(path), threading.Lock(), {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _mend(self.path)
        for row in read_rows(self.path):
            self._put(row)

    def add(self, row: dict) -> None:
        """The row is on the disk when this returns."""
        with self.lock:
            _append(self.path, row)
            self._put(row)

    def _put(self, row: dict) -> None:
        self.rows.pop(row["key"], None)  # to the end
        self.rows[row["key"]] = row


def read_rows(path: Path | str) -> Iterator[dict]:
    """The rows of a ledger, in the order in which they came; none where there is no file."""
    if Path(path).exists():
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _checked(line, path, number)


def read_ledger(path: Path | str, made_by: str) -> list[dict]:
    """A ledger that must be there. Raises ValueError saying which program makes it."""
    if not Path(path).exists():
        raise ValueError(f"{path} is missing: run data_gathering.{made_by}")
    return list(Ledger(path))


def end_with(failed: list[str]) -> None:
    """Name what failed, and end with status 1 if anything did."""
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    if failed:
        sys.exit(1)


def _append(path: Path, row: dict) -> None:
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if path.exists():
            os.truncate(path, size)  # a full disk takes half a line, and the next row must not be added to that
        raise


def _mend(path: Path) -> None:
    """A line without an end was being written when the program was killed."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _checked(line: str, path: Path | str, number: int) -> dict:
    try:
        record = json.loads(line)
        record["key"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}, line {number}: no JSON object with a key ({error}): delete the line") from error
    return record
