"""The features of one video file on disk: one array, a row a frame, filled in episode by episode.

In: rows, as an agent's trunk gives them. Out: `<name>.npy`, fp16, read without being loaded (memory-mapped), and
`<name>.json`, which says which episodes are in it: a program that is killed has lost the episode it was at. One process
at a time writes a file; others wait for it.

    file = FeatureFile(Path("data/features/e5ed…/chunk-000_file-000-1a2b3c4d.npy"), rows=20_000, width=976)
    with file.writing():
        file.write(first=1000, blocks=[rows])           # (n, 976)
    file.read()[1000:1128]

A plain array, for it can be written in part, and read by number, by any program that has numpy.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlpt.files import errors_name, locked, read_json, write_json

LARGEST = 65504  # of fp16
LOOK_EVERY_S = 0.5  # whether another process is through
TELL_EVERY_S = 60.0


@dataclass(frozen=True)
class FeatureFile:
    """rows: frames of the video; width: numbers of each. Raises ValueError for what does not fit fp16."""

    path: Path
    rows: int
    width: int

    @property
    def record(self) -> Path:
        """Which episodes are in it."""
        return self.path.with_suffix(".json")

    def done(self) -> set[tuple[int, int]]:
        """(first row, rows) of the episodes that are there; none where the file is not whole."""
        try:
            self.read()
            return {(first, rows) for first, rows in read_json(self.record)["episodes"]}
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def read(self) -> np.ndarray:
        """(rows, width) fp16, as it lies on disk. Raises OSError or ValueError where it is missing or cut short."""
        found = np.load(self.path, mmap_mode="r")
        if found.dtype != np.float16 or found.ndim != 2 or len(found) < self.rows or found.shape[1] != self.width:
            raise ValueError(f"{self.path} holds {found.dtype} {found.shape}, not {self.rows} rows of {self.width}")
        return found

    def write(self, first: int, blocks: Iterable[np.ndarray]) -> None:
        """An episode's rows from row `first` on, in blocks (n, width); to be called in `writing`."""
        done, row = self.done(), first
        try:
            for block in blocks:
                values = self._as_half(block)
                if row == first and not done:
                    self._begin()
                self._put(row, values)
                row += len(block)
        except BaseException:
            if not done:
                self.path.unlink(missing_ok=True)
            raise
        write_json(self.record, {"episodes": sorted(done | {(first, row - first)})})

    def _as_half(self, block: np.ndarray) -> np.ndarray:
        largest = float(np.abs(block).max())
        if not largest < LARGEST:
            raise ValueError(f"{self.path.stem}: a feature of size {largest:.3g} does not fit fp16; train from pixels "
                             "instead")
        return block.astype(np.float16)

    def _begin(self) -> None:
        """An array of holes, which cost no room as long as nothing is in them."""
        self.record.unlink(missing_ok=True)
        np.lib.format.open_memmap(self.path, "w+", np.float16, (self.rows, self.width))

    def _put(self, row: int, values: np.ndarray) -> None:
        """Written, not mapped: a full disk is then an error and not the end of the process."""
        begin = self.read().offset + row * values[0].nbytes
        with errors_name(self.path), open(self.path, "r+b") as file:
            file.seek(begin)
            file.write(values.tobytes())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A context in which no other process writes this file; waits for the one that does."""
        with ExitStack() as stack:
            for _ in waiting(f"for {self.path.name}, which another process makes"):
                try:
                    stack.enter_context(locked(self.path))
                    break
                except ValueError:  # somebody has it
                    continue
            yield


def waiting(what: str) -> Iterator[None]:
    """Endless; it sleeps between one step and the next, and says now and then what is waited for."""
    told = time.monotonic()
    while True:
        yield
        time.sleep(LOOK_EVERY_S)
        if time.monotonic() - told > TELL_EVERY_S:
            print(f"waiting {what}", flush=True)
            told = time.monotonic()
