"""A LeRobotDataset v3.0 folder read by episode: its descriptions and counts when it is opened, its frames when asked.

In: the files of a dataset (`DatasetFiles`). Out: `Info`, the rows of its episodes, and the columns of one episode's
frames. Opening reads Parquet footers and a few narrow columns; a row group is decoded when its episode is asked for.

    files = DatasetFiles("data/6_shards")
    info, table = read_info(files), EpisodeTable(files, PICTURES, ["id", "channel"])
    frames = FrameTable(files, {"action": {"dtype": "int64", "shape": [2]}}, [])
    frames.read(0)                                            # {"action": (N, 2) int64}
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vlpt.data.dataset_files import DatasetFiles
from vlpt.data.kept_open import OpenParquet
from vlpt.data.lerobot import INFO_PATH, VERSION, Info, Row, checked, reading
from vlpt.files import read_text

ORDER = {name: {"dtype": "int64", "shape": [1]} for name in ("episode_index", "frame_index")}


def read_info(files: DatasetFiles) -> Info:
    """Raises ValueError naming `meta/info.json` when it is missing, broken or of another version."""
    path = files.name(INFO_PATH)
    if not files.has(INFO_PATH):
        raise ValueError(f"{path} is missing: {files} is no dataset; make one with data_gathering.shard")
    with reading(path):
        info = checked(Info, json.loads(read_text(files.local(INFO_PATH))))
        if info.codebase_version != VERSION:
            raise ValueError(f"version {info.codebase_version}, expected {VERSION}")
    return info


@dataclass(frozen=True)
class Place:
    """Where the row of an episode lies."""

    file: str
    row_group: int
    row: int


class EpisodeTable:
    """The rows of the episodes in the order of their index; wide columns are read when asked for.

    rows: what a reader needs of each; own: those of the columns `narrow` that are there, of each; there: the names of
    all columns. tables: what is open, of all datasets. Raises ValueError naming the file that is missing, broken, or
    holds an index that cannot be.
    """

    def __init__(self, files: DatasetFiles, video_key: str, narrow: Sequence[str], n_episodes: int | None = None,
                 tables: OpenParquet | None = None):
        self.files, self.open = files, tables or OpenParquet()
        self.there: set[str] = set()
        found = [each for name in files.episode_tables(n_episodes) for each in self._read(name, video_key, narrow)]
        found.sort(key=lambda each: each[0].episode_index)
        with reading(files.name("meta/episodes")):
            for (one, *_), (other, *_) in zip(found, found[1:], strict=False):
                if one.episode_index == other.episode_index:
                    raise ValueError(f"episode_index {one.episode_index} stands there twice")
        self.rows, self.own, self.places = ([each[i] for each in found] for i in range(3))

    def read(self, number: int, columns: Sequence[str]) -> dict:
        """Those of the columns that are there, of one episode, as Python objects."""
        place = self.places[number]
        with reading(self.files.name(place.file)):
            group = self.open.read(self.files.local(place.file), place.row_group, columns, keep=True)
            return group.slice(place.row, 1).to_pylist()[0]

    def _read(self, name: str, video_key: str, narrow: Sequence[str]) -> Iterator[tuple[Row, dict, Place]]:
        own = {field: field for field in ("episode_index", "length")}
        own |= {field: f"videos/{video_key}/{field}" for field in ("chunk_index", "file_index", "from_timestamp")}
        own |= {"data_chunk_index": "data/chunk_index", "data_file_index": "data/file_index"}
        with reading(self.files.name(name)), pq.ParquetFile(self.files.local(name)) as file:
            there = file.schema_arrow.names
            self.there |= set(there)
            if missing := [column for column in own.values() if column not in there]:
                raise ValueError(f"column {missing[0]} is missing")
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, [*own.values(), *(set(narrow) & set(there))])
                for number, row in enumerate(table.to_pylist()):
                    mine = checked(Row, {field: row.pop(column) for field, column in own.items()})
                    yield mine, row, Place(name, group, number)


@dataclass(frozen=True)
class RowGroups:
    """The row groups of a dataset's frames, G of them."""

    file: np.ndarray  # (G,) str
    number: np.ndarray  # (G,) int64, in their file
    first: np.ndarray  # (G,) int64, the lowest episode index in it
    last: np.ndarray  # (G,) int64, the highest one
    rows: np.ndarray  # (G,) int64

    def of(self, episode_index: int) -> np.ndarray:
        """The numbers (n,) of those that may hold frames of an episode."""
        return np.flatnonzero((self.first <= episode_index) & (episode_index <= self.last))

    def count(self, episode_indices: np.ndarray) -> np.ndarray:
        """(N,) int64: how many frames each episode has; -1 where it shares a row group, which only reading tells."""
        alone = self.first == self.last
        where = np.searchsorted(episode_indices, self.first[alone])
        where = np.minimum(where, len(episode_indices) - 1)
        known = episode_indices[where] == self.first[alone]
        counts = np.zeros(len(episode_indices), np.int64)
        np.add.at(counts, where[known], self.rows[alone][known])
        for first, last in zip(self.first[~alone], self.last[~alone], strict=True):
            counts[slice(*np.searchsorted(episode_indices, [first, last + 1]))] = -1
        return counts


class FrameTable:
    """The frames of a dataset, by episode. features: name -> {"dtype", "shape"} of the columns that must be there, read
    as (frames,) or (frames, width); more: those read as Python objects, (frames,), None where a file lacks them; there:
    the names of all columns, of the files whose footers were read.

    Raises ValueError naming the file that is missing or broken, and the column that is missing or of another shape.
    """

    def __init__(self, files: DatasetFiles, features: dict[str, dict], more: Sequence[str],
                 tables: OpenParquet | None = None):
        self.files, self.features, self.more = files, features | ORDER, list(more)
        self.open = tables or OpenParquet()
        self.there: set[str] = set()

    def groups(self, names: Sequence[str]) -> RowGroups:
        """The row groups of these files, by their footers."""
        found = [group for name in names for group in self._footer(name)]
        columns = zip(*found, strict=True) if found else ([],) * 5
        return RowGroups(*(np.array(column, dtype) for column, dtype in
                           zip(columns, (object, np.int64, np.int64, np.int64, np.int64), strict=True)))  # fmt: skip

    def read(self, episode_index: int, groups: RowGroups) -> dict[str, np.ndarray]:
        """The columns of one episode's frames in the order of `frame_index`, wherever they lie."""
        parts = [self._part(groups.file[i], int(groups.number[i]), episode_index,
                            groups.first[i] == groups.last[i]) for i in groups.of(episode_index)]  # fmt: skip
        if not parts:
            return self._empty()
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        frame = whole["frame_index"]
        if (np.diff(frame) > 0).all():
            return whole
        order = np.argsort(frame, kind="stable")
        return {name: column[order] for name, column in whole.items()}

    def first_frames(self, groups: RowGroups, name: str) -> dict[int, object]:
        """{episode index: what the column `name` says on its first frame}, of all episodes."""
        found = {}
        for file, number in zip(groups.file, groups.number, strict=True):
            with reading(self.files.name(file)):
                table = self.open.read(self.files.local(file), int(number), [*ORDER, name])
                table = table.filter(pc.equal(table["frame_index"], 0))
                values = table[name].to_pylist() if name in table.column_names else [None] * len(table)
                found |= dict(zip(table["episode_index"].to_pylist(), values, strict=True))
        return found

    def _footer(self, name: str) -> Iterator[tuple]:
        with reading(self.files.name(name)), pq.ParquetFile(self.files.local(name)) as file:
            there = file.schema_arrow.names
            self.there |= set(there)
            if missing := [column for column in self.features if column not in there]:
                raise ValueError(f"column {missing[0]} is missing")
            footer = file.metadata
            column = next(i for i in range(footer.num_columns) if footer.schema.column(i).path == "episode_index")
            for number in range(footer.num_row_groups):
                group = footer.row_group(number)
                said = group.column(column).statistics
                if said is not None and said.has_min_max:
                    first, last = said.min, said.max
                else:
                    first, last = pc.min_max(file.read_row_group(number, ["episode_index"])[0]).as_py().values()
                if group.num_rows:
                    yield name, number, first, last, group.num_rows

    def _part(self, name: str, number: int, episode_index: int, alone: bool) -> dict[str, np.ndarray]:
        """The rows of an episode in one row group; `alone`: it holds nothing else."""
        with reading(self.files.name(name)):
            table = self.open.read(self.files.local(name), number, [*self.features, *self.more], keep=not alone)
            if not alone:
                table = table.filter(pc.equal(table["episode_index"], episode_index))
            part = {column: _numbers(column, table[column], feature) for column, feature in self.features.items()}
            return part | {column: _objects(table, column) for column in self.more}

    def _empty(self) -> dict[str, np.ndarray]:
        return {name: np.zeros((0, *feature["shape"]), feature["dtype"]) for name, feature in self.features.items()}


def _numbers(name: str, column: pa.ChunkedArray, feature: dict) -> np.ndarray:
    """By the declared shape, whether the file has lists of fixed size, plain lists, or single numbers for (1,)."""
    array, width = column.combine_chunks(), prod(feature["shape"])
    while pa.types.is_nested(array.type):
        lengths = pc.unique(pc.list_value_length(array)).to_pylist()
        if len(feature["shape"]) == 1 and lengths not in ([], [width]):
            raise ValueError(f"column {name} has lists of {lengths[:3]} values, expected {width}")
        array = array.flatten()
    if array.null_count or len(array) != len(column) * width:
        raise ValueError(f"column {name} has {len(array) - array.null_count} values in {len(column)} rows, "
                         f"expected {width} a row")
    values, dtype = array.to_numpy(zero_copy_only=False), np.dtype(feature["dtype"])
    if values.dtype.kind not in {"b": "b", "i": "biu", "f": "biuf"}[dtype.kind]:
        raise ValueError(f"column {name} holds {array.type}, expected {dtype}")
    if dtype.kind == "i" and len(values) and not (values.min() >= np.iinfo(dtype).min
                                                  and values.max() <= np.iinfo(dtype).max):
        raise ValueError(f"column {name} holds {values.min()}..{values.max()}: more than {dtype}")
    values = values.astype(dtype, copy=False)
    return values if feature["shape"] == [1] else values.reshape(len(column), -1)


def _objects(table: pa.Table, name: str) -> np.ndarray:
    """A column as Python objects; most of a dataset's lists are empty, so only the others are looked at."""
    out = np.full(table.num_rows, None, dtype=object)
    if name not in table.column_names:
        return out
    column = table[name].combine_chunks()
    filled = pc.is_valid(column)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        filled = pc.and_(filled, pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0))
    where = np.flatnonzero(filled.to_numpy(zero_copy_only=False))
    for row, value in zip(where, column.take(pa.array(where, pa.int64())).to_pylist(), strict=True):
        out[row] = value
    return out
