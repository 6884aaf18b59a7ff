"""Parquet files of which a row group is read now and then: few stay open, and a process opens its own.

In: paths. Out: tables of one row group. What is open does not travel to another process, by pickle or by fork.

    files = OpenParquet()
    table = files.read("data/chunk-000/file-000.parquet", 3, ["action", "null"])
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import RLock

import pyarrow as pa
import pyarrow.parquet as pq

from vpt.files import existing_file

MOST_OPEN = 32


class OpenParquet:
    """The files read last, open."""

    def __init__(self, most: int = MOST_OPEN):
        self.most = most
        self._forget()

    def _forget(self) -> None:
        self.process, self.files, self.lock = os.getpid(), OrderedDict(), RLock()

    def __getstate__(self) -> dict:
        return {"most": self.most}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def read(self, path: Path, row_group: int, columns: Sequence[str]) -> pa.Table:
        """Those of the columns that are there, of one row group."""
        if self.process != os.getpid():  # a child would share the place in the file with its parent
            self._forget()
        with self.lock:
            file = self._open(path)
            there = [name for name in columns if name in file.schema_arrow.names]
            return file.read_row_group(row_group, columns=there, use_threads=False)

    def _open(self, path: Path) -> pq.ParquetFile:
        if path in self.files:
            self.files.move_to_end(path)
        else:
            self.files[path] = pq.ParquetFile(existing_file(path))
            if len(self.files) > self.most:
                self.files.popitem(last=False)[1].close()
        return self.files[path]
