"""Ledgers, which a killed program leaves whole: one JSON object a line, only added to, a line a key.

    ledger = Ledger("data/1_found.jsonl")
    ledger.add({"key": "youtube:abc", "title": "..."})     # False where the key is there already

What a person may take back is in a `LatestLedger`: the last row of a key counts. Reading changes nothing on the disk: a
last line that does not parse is one that is being written, or was when its program was killed, and is left out; the
next row that is added takes its place. Two programs never write to one ledger: hold `vlpt.files.locked` around it.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from vpt.errors import one_line
from vpt.files import is_there

T = TypeVar("T")
NAMED = 50  # failures that are named one by one


class Ledger:
    """Raises ValueError naming the file and line that is no JSON object with a key, or what is no file."""

    def __init__(self, path: Path | str) -> None:
        self.path, self.lock = Path(path), threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
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
    """The rows of a ledger, in the order in which they came; none where there is no file.

    Raises ValueError naming the file and line that is no JSON object with a key, or a path that is no file.
    """
    if not is_there(path):
        return
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n") or _is_whole(line):
                yield _checked(line, path, number)


def read_ledger(path: Path | str, made_by: str) -> list[dict]:
    """A ledger that must be there, the first row of each key. Raises ValueError saying which program makes it."""
    if not is_there(path):
        raise ValueError(f"{path} is missing: run data_gathering.{made_by}")
    first: dict[str, dict] = {}
    for row in read_rows(path):
        first.setdefault(row["key"], row)
    return list(first.values())


def fetch_all(fetch: Callable[[T], dict], todo: Sequence[T], workers: int, title: str, keep: Callable[[T, dict], None],
              tell: Callable[[T, Exception], str]) -> list[str]:  # fmt: skip
    """`fetch` of each, so many at a time, with a bar; what came is kept as it comes, in this thread. Returns what is
    told of those that failed, whatever a site, a library or the disk came up with: the others go on.
    """
    failed = []
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(todo), desc=title, unit="") as bar:
        jobs = {pool.submit(fetch, one): one for one in todo}
        for job in as_completed(jobs):
            try:
                keep(jobs[job], job.result())
            except Exception as error:
                failed.append(tell(jobs[job], error))
            bar.update()
    return failed


def end_with(failed: list[str]) -> None:
    """Name what failed, a line each, and end with status 1 if anything did."""
    for line in failed[:NAMED]:
        print(f"failed: {one_line(line)}", file=sys.stderr)
    if len(failed) > NAMED:
        print(f"failed: {len(failed) - NAMED} more", file=sys.stderr)
    if failed:
        sys.exit(1)


def _append(path: Path, row: dict) -> None:
    is_there(path)  # or raises
    _mend(path)
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if path.exists():
            os.truncate(path, size)  # a full disk takes half a line, and the next row must not be added to that
        raise


def _line(row: dict) -> str:
    """A row as one line by anybody's count: what Unicode calls a line end, and half a character, are escaped."""
    line = json.dumps(row, ensure_ascii=False)
    halves = any("\ud800" <= c <= "\udfff" for c in line) if not line.isascii() else False
    return (json.dumps(row) if halves or len(line.splitlines()) > 1 else line) + "\n"


def _mend(path: Path) -> None:
    """A last line without an end: ended if it is whole, else cut off, as its program was killed while writing it."""
    if not path.exists() or not path.stat().st_size:
        return
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        last = file.read().rpartition(b"\n")[2]
        if _is_whole(last):
            file.write(b"\n")
        else:
            file.truncate(file.tell() - len(last))


def _is_whole(line: bytes) -> bool:
    """Whether a line is JSON to its end; half of an object never is."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _checked(line: bytes, path: Path | str, number: int) -> dict:
    try:
        record = json.loads(line)
        if not isinstance(record["key"], str):
            raise ValueError("its key is no text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}, line {number}: no JSON object with a key ({one_line(error, 100)}): "
                         "delete the line") from error  # fmt: skip
    return record
