"""Files that are whole or not there: written beside their place, then renamed into it.

    with whole_file("weights.safetensors") as unfinished:
        save_file(weights, unfinished)

An unfinished name holds host and process, `weights.safetensors.<host>-<process>.tmp`, so that no two processes write
to the same one; what a process left that was killed is removed when the next one writes in that folder. Whoever reads
asks first whether a file `is_there`: a pipe in its place would be waited for.
"""

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import rmtree

_HOST = re.sub(r"[^\w.]", "_", socket.gethostname())[:40]
_OURS = re.compile(rf"\.{re.escape(_HOST)}-(\d+)\.tmp$")


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A context giving a name beside `path` to write to; what is written there takes the place of `path` at its end.

    After an exception nothing new is left, and a file that was there before stays as it was.
    """
    path = Path(path)
    unfinished = unfinished_name(path)
    try:
        with errors_name(path):
            yield unfinished
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def errors_name(path: Path | str) -> Iterator[None]:
    """A context in which an error of the system that names no file, as that of a full disk, names this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def unfinished_name(path: Path) -> Path:
    """The name beside `path` that this process alone writes to. Removes what dead processes left there."""
    _remove_leftovers(path.parent)
    return path.with_name(f"{path.name}.{_HOST}-{os.getpid()}.tmp")


@cache  # once a folder: a folder may hold a file for each of 100,000 videos
def _remove_leftovers(folder: Path) -> None:
    """Only of this host: another's processes cannot be seen from here."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if (found := _OURS.search(path.name)) and not is_running(int(found[1])):
            remove(path)


def is_running(process: int) -> bool:
    """Whether a process of this id runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another person's
        return True
    return True


def remove(path: Path) -> None:
    """A file or a whole folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_there(path: Path | str) -> bool:
    """Whether there is a file to be read; every reader asks before it opens one.

    Raises ValueError for what is there and is no file: a folder, a link to nothing, and a pipe or a device, which would
    be waited for without an end.
    """
    path = Path(path)
    if path.is_file():
        return True
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path}: it is no file but a folder, a pipe, a device or a link to nothing: move it away")
    return False


def existing_file(path: Path | str) -> Path:
    """The path. Raises FileNotFoundError where there is nothing, and ValueError as `is_there`."""
    if not is_there(path):
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
    return Path(path)


def read_text(path: Path | str, encoding: str = "utf-8", errors: str = "strict") -> str:
    """A text file. Raises OSError and UnicodeDecodeError as `Path.read_text`, and ValueError as `is_there`."""
    return existing_file(path).read_text(encoding=encoding, errors=errors)
