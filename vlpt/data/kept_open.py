"""Files that are read now and then: few stay open, and a process opens its own.

In: paths. Out: what was opened there; of Parquet files, tables of one row group. Bounded is how many files are open and
how many parts they have in all, each of which takes memory. What is open does not travel to another process, by pickle
or by fork, where both would share a place in the file.

    videos = KeptOpen(most=128); videos.get(path, VideoReader)
    tables = OpenParquet(); tables.read("data/chunk-000/file-000.parquet", 3, ["action", "null"])
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock

import pyarrow as pa
import pyarrow.parquet as pq

from vlpt.data.recently_used import RecentlyUsed
from vpt.files import existing_file

MOST_TABLES, MOST_GROUPS = 32, 8192  # files, and row groups in them: 17 KB each, as frames have 20 columns
GROUPS_MB = 64  # of row groups that hold several episodes, kept decoded


class KeptOpen:
    """The files used last, open: at most so many, and so many parts of them, though always one."""

    def __init__(self, most: int, most_parts: float = float("inf")):
        self.most, self.most_parts = most, most_parts
        self.forget()

    def forget(self) -> None:
        """Opens all anew from here on."""
        self.process, self.files, self.lock = os.getpid(), OrderedDict(), RLock()

    def __getstate__(self) -> dict:
        return {"most": self.most, "most_parts": self.most_parts}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def get(self, path: Path, open_it: Callable):
        """What `open_it(path)` gave, now or before."""
        with self.own_lock():
            if path in self.files:
                self.files.move_to_end(path)
            else:
                self.files[path] = open_it(path)
                while len(self.files) > 1 and (len(self.files) > self.most or self._parts() > self.most_parts):
                    self.close(self.files.popitem(last=False)[1])
            return self.files[path]

    def _parts(self) -> int:
        return sum(map(self.parts_of, self.files.values()))

    def parts_of(self, opened) -> int:
        """How many parts a file has; they are bounded where a child says it."""
        return 0

    def own_lock(self):
        """This process's: a child's parent may have held the other when it was forked."""
        if self.process != os.getpid():
            self.forget()
        return self.lock

    def close(self, opened) -> None:
        """What is no longer kept; whoever still reads it may."""


class OpenParquet(KeptOpen):
    """Parquet files."""

    def __init__(self, most: int = MOST_TABLES, most_parts: float = MOST_GROUPS):
        super().__init__(most, most_parts)
        self.groups = RecentlyUsed(GROUPS_MB)

    def read(self, path: Path, row_group: int, columns: Sequence[str], keep: bool = False) -> pa.Table:
        """Those of the columns that are there, of one row group. keep: it will be asked for again soon."""
        key = path, row_group, *columns
        found = self.groups.get(key) if keep else None
        if found is None:
            with self.own_lock():
                file = self.get(path, lambda path: pq.ParquetFile(existing_file(path)))
                known = set(file.schema_arrow.names)
                there = [name for name in columns if name in known]
                found = file.read_row_group(row_group, columns=there, use_threads=False)
            if keep:
                self.groups.put(key, found, found.nbytes)
        return found

    def parts_of(self, opened: pq.ParquetFile) -> int:
        """Its row groups."""
        return opened.num_row_groups

    def close(self, opened: pq.ParquetFile) -> None:
        opened.close()
