"""Files and folders that a killed program leaves whole: text, JSON, JSON lines, and folders that appear at once.

    write_json("runs/demo/summary.json", numbers)
    rows = read_lines("runs/demo/play.jsonl")
    with locked("data/6_shards"), whole_folder("data/6_shards") as unfinished: ...
"""

import ctypes
import fcntl
import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vpt.files import errors_name, read_text, remove, unfinished_name, whole_file

__all__ = ["check_writable", "errors_name", "locked", "put_back", "read_json", "read_lines", "read_text", "whole_file",
           "whole_folder", "write_json", "write_lines", "write_text"]  # fmt: skip


def write_text(path: Path | str, text: str) -> None:
    """A text file, in UTF-8; its folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content) -> None:
    """One JSON value, readable."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_lines(path: Path | str, rows: Iterable[dict]) -> None:
    """One JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path | str):
    """Raises ValueError naming a file that is missing or broken."""
    try:
        return json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def read_lines(path: Path | str, appended: bool = False) -> list[dict]:
    """One JSON object a line; [] when there is no such file. Raises ValueError naming the file and line.

    appended: the file is written line by line, so that a killed program may have left the last one unfinished (without
    its end of line); it is left out.
    """
    path = Path(path)
    try:
        lines = read_text(path, errors="replace" if appended else "strict").split("\n")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}") from error
    return [_row(line, path, number) for number, line in enumerate(lines[:-1] if appended else lines, start=1) if line]


def _row(line: str, path: Path, number: int) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}, line {number}: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"{path}, line {number}: not an object, as {{\"name\": value}}")
    return row


def check_writable(folder: Path | str) -> None:
    """Raises ValueError where no folder of that name could be written; makes nothing."""
    folder = Path(folder)
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"{folder} cannot be a folder: {there} is a file; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder} cannot be written: nothing may be written in {there}; choose another place")


@contextmanager
def whole_folder(folder: Path | str) -> Iterator[Path]:
    """A context giving an empty folder beside `folder` that takes its name, and place, when the block ends well.

    Where the system can do that, both change places at once: whoever looks finds the old one or the new one. Elsewhere
    it takes two renamings; killed between them it leaves the old folder as `<name>.old` (see `put_back`).
    """
    folder = Path(folder)
    unfinished, old = unfinished_name(folder), folder.with_name(folder.name + ".old")
    remove(unfinished)
    unfinished.mkdir(parents=True)
    try:
        with errors_name(folder):
            yield unfinished
            if not _exchanged(unfinished, folder):
                if folder.exists():
                    shutil.rmtree(old, ignore_errors=True)
                    folder.rename(old)
                unfinished.rename(folder)
    finally:
        remove(unfinished)
    shutil.rmtree(old, ignore_errors=True)


def put_back(folder: Path | str) -> None:
    """Gives a folder its name again that a `whole_folder` killed between two renamings has left as `<name>.old`, and
    removes what else killed processes left beside it."""
    folder = Path(folder)
    unfinished_name(folder)  # which removes it
    old = folder.with_name(folder.name + ".old")
    if old.is_dir() and not folder.exists():
        old.rename(folder)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders have changed places, in one step: `renameat2` of Linux, where the disk knows it."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@contextmanager
def locked(path: Path | str) -> Iterator[None]:
    """A context in which no other process is in the `locked` of the same folder, or file: one writes, at a time.

    The lock is `<name>.lock` beside it, which tells who holds it; it ends with its process, however that ends. The
    folder that both lie in is made, and gone again at the end if nothing came into it. Raises ValueError saying who
    writes there.
    """
    place = Path(path).resolve()
    made = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = place.with_name(place.name + ".lock")
    file = _take(lock)
    if file is None:
        raise ValueError(f"{path} is being written by {_holder(lock)}: wait for it, or end it")
    try:
        os.truncate(file, 0)
        os.write(file, json.dumps(_this_process()).encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        fcntl.flock(file, fcntl.LOCK_UN)  # said, for a forked child may hold the file open
        os.close(file)
        with suppress(OSError):  # not empty
            for folder in made:
                folder.rmdir()


def _take(lock: Path) -> int | None:
    """The locked file, open, or None where somebody else has it."""
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        # Its last holder may have removed it after it was opened here: then it is no lock of anything.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.stat(lock)):
                return file
        os.close(file)


def _this_process() -> dict:
    """Who holds a lock, as its file says."""
    program, *arguments = sys.orig_argv
    command = " ".join(shlex.join([Path(program).name, *arguments]).split())
    return {"process": os.getpid(), "host": socket.gethostname(), "command": command[:200]}


def _holder(lock: Path) -> str:
    """The holder of a lock in words; it may have ended meanwhile, or not have written yet."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(lock.read_text())
        return f"process {found['process']} ({found['command']}) on {found['host']}"
    return "another process"
