"""Files that are read now and then: few stay open, and a process opens its own.

In: paths. Out: what was opened there; of Parquet files, tables of one row group. What is open does not travel to
another process, by pickle or by fork, where both would share a place in the file.

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

from vpt.files import existing_file

MOST_TABLES = 32


class KeptOpen:
    """The files used last, open."""

    def __init__(self, most: int):
        self.most = most
        self.forget()

    def forget(self) -> None:
        """Opens all anew from here on."""
        self.process, self.files, self.lock = os.getpid(), OrderedDict(), RLock()

    def __getstate__(self) -> dict:
        return {"most": self.most}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def get(self, path: Path, open_it: Callable):
        """What `open_it(path)` gave, now or before."""
        with self.own_lock():
            if path in self.files:
                self.files.move_to_end(path)
            else:
                self.files[path] = open_it(path)
                if len(self.files) > self.most:
                    self.close(self.files.popitem(last=False)[1])
            return self.files[path]

    def own_lock(self):
        """This process's: a child's parent may have held the other when it was forked."""
        if self.process != os.getpid():
            self.forget()
        return self.lock

    def close(self, opened) -> None:
        """What is no longer kept; whoever still reads it may."""


class OpenParquet(KeptOpen):
    """Parquet files."""

    def __init__(self, most: int = MOST_TABLES):
        super().__init__(most)

    def read(self, path: Path, row_group: int, columns: Sequence[str]) -> pa.Table:
        """Those of the columns that are there, of one row group."""
        with self.own_lock():
            file = self.get(path, lambda path: pq.ParquetFile(existing_file(path)))
            there = [name for name in columns if name in file.schema_arrow.names]
            return file.read_row_group(row_group, columns=there, use_threads=False)

    def close(self, opened: pq.ParquetFile) -> None:
        opened.close()
