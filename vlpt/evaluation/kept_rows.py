"""Rows of a measurement that are on the disk as they come, so that the same command goes on where it was stopped.

In: a file of JSON lines, and what its rows depend on. Out: the rows that are there; new ones are added at its end.

    with KeptRows("runs/demo/steering.lives.jsonl", made_with) as kept:
        kept.add(row); kept.rows

The first line says what the others were made with. One process at a time writes.
"""

import json
from contextlib import ExitStack
from pathlib import Path

from vlpt.files import locked, read_lines, write_lines
from vpt.options import flag, short


class KeptRows:
    """`rows`: those that were there and those that were added. Without a path they are only remembered."""

    def __init__(self, path: Path | None, made_with: dict) -> None:
        """Raises ValueError when the rows there were made with something else, or somebody else writes them."""
        self.path, self.made_with, self.rows = path, json.loads(json.dumps(made_with)), []
        self._open = ExitStack()

    def __enter__(self) -> "KeptRows":
        if self.path is None:
            return self
        with ExitStack() as held:
            held.enter_context(locked(self.path))
            first, *self.rows = read_lines(self.path, appended=True) or [self.made_with]
            self._check(first)
            write_lines(self.path, [first, *self.rows])  # without what a killed program left of a last line
            self._file = held.enter_context(open(self.path, "a", encoding="utf-8"))
            self._open = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, row: dict) -> None:
        """The row is on the disk when this returns."""
        self.rows.append(row)
        if self.path is not None:
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._file.flush()

    def _check(self, found: dict) -> None:
        changed = [f"{flag(name)} {short(found.get(name))} then, {short(value)} now"
                   for name, value in self.made_with.items() if found.get(name) != value]  # fmt: skip
        if changed or set(found) - set(self.made_with):
            raise ValueError(f"{self.path} was made with other options ({'; '.join(changed) or 'more of them'}): give "
                             "--out another name, or delete it")  # fmt: skip
