"""Files and folders that a killed program leaves whole: text, JSON, JSON lines, and folders that appear at once.

    write_json("runs/demo/summary.json", numbers)
    rows = read_lines("runs/demo/play.jsonl")
    with whole_folder("data/6_shards") as unfinished: ...
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vpt.files import whole_file

__all__ = ["read_json", "read_lines", "whole_file", "whole_folder", "write_json", "write_lines", "write_text"]


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
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def read_lines(path: Path | str) -> list[dict]:
    """One JSON object a line; [] when there is no such file. Raises ValueError naming the file and line."""
    path, rows = Path(path), []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n") if path.exists() else [], start=1):
        try:
            rows += [json.loads(line)] if line else []
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return rows


@contextmanager
def whole_folder(folder: Path | str) -> Iterator[Path]:
    """A context giving an empty folder beside `folder` that takes its name, and place, when the block ends well.

    Killed between the two renamings it leaves the old folder as `<name>.old`.
    """
    folder = Path(folder)
    unfinished, old = (folder.with_name(folder.name + ending) for ending in (".tmp", ".old"))
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
