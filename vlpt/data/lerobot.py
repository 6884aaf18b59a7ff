"""The LeRobotDataset v3.0 folder: where its files lie, what its tables hold, how it appears at once, how it is read.

In: one table a dataset, one row an episode, one statistics record a feature. Out: `data/`, `videos/`, `meta/` so that
the `lerobot` package (0.6 or later) and its viewers open the folder unchanged; and back, also after its tools have
merged, split or changed it. Knows the layout and nothing of what is in it; the `lerobot` package itself cannot be used
here, because it pins another torch.
Source: huggingface/lerobot, `CODEBASE_VERSION = "v3.0"`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter, ValidationError

from vlpt.files import read_text, whole_folder, write_json
from vpt.errors import one_line
from vpt.files import existing_file

VERSION = "v3.0"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH = f"data/{FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{FILE}.mp4"
EPISODES_PATH = f"meta/episodes/{FILE}.parquet"
TASKS_PATH = "meta/tasks.parquet"
STATS_PATH = "meta/stats.json"
INFO_PATH = "meta/info.json"
VIDEO_FILE_MB = 200
# Of pictures in one file. LeRobot compares times as float32 and allows 0.1 ms; up to 1,024 s they are 0.06 ms apart.
VIDEO_FILE_S = 1000

# Every dataset has these columns, whatever else it has.
INDEX_FEATURES = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


def video_feature(height: int, width: int, fps: int) -> dict:
    """The `features` entry of an H.264 video without sound."""
    info = {"video.height": height, "video.width": width, "video.codec": "h264", "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False, "video.fps": fps, "video.channels": 3, "has_audio": False}
    return {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"], "info": info}


def index_columns(lengths: Sequence[int], fps: int, task_index: np.ndarray) -> dict[str, np.ndarray]:
    """The INDEX_FEATURES of all frames, for episodes of these lengths."""
    frame = np.concatenate([np.arange(length) for length in lengths])
    return {"timestamp": (frame / fps).astype(np.float32), "frame_index": frame,
            "episode_index": np.repeat(np.arange(len(lengths)), lengths),
            "index": np.arange(len(frame)), "task_index": np.asarray(task_index, dtype=np.int64)}


def write_data(folder: Path, columns: dict[str, np.ndarray | pa.Array], lengths: Sequence[int]) -> None:
    """columns: name -> (frames,) or (frames, width); one row group an episode, so that an episode reads by itself."""
    table = pa.table({name: _column(values) for name, values in columns.items()})
    path = folder / DATA_PATH.format(chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        start = 0
        for length in lengths:
            writer.write_table(table.slice(start, length), row_group_size=length)
            start += length


def write_episodes(folder: Path, rows: list[dict], schema: dict[str, pa.DataType]) -> None:
    """One row an episode; `schema` gives the types that cannot be seen in the values (empty lists)."""
    rows = [{**row, "data/chunk_index": 0, "data/file_index": 0, "meta/episodes/chunk_index": 0,
             "meta/episodes/file_index": 0} for row in rows]
    columns = {name: pa.array([row[name] for row in rows], schema.get(name)) for name in rows[0]}
    path = folder / EPISODES_PATH.format(chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path, compression="zstd")


def write_tasks(folder: Path, tasks: Sequence[str]) -> None:
    """The tasks in the order of their index; `lerobot` reads them with pandas and wants their names as its index."""
    table = pa.table({"task_index": np.arange(len(tasks)), "task": list(tasks)})
    columns = [{"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}
               for name, kind, numpy_type in (("task_index", "int64", "int64"), ("task", "unicode", "object"))]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), folder / TASKS_PATH)


def write_info(folder: Path, features: dict, fps: int, n_episodes: int, n_frames: int, n_tasks: int) -> None:
    """`meta/info.json`, the manifest: written last, read first."""
    info = {
        "codebase_version": VERSION, "robot_type": None, "total_episodes": n_episodes, "total_frames": n_frames,
        "total_tasks": n_tasks, "chunks_size": 1000, "data_files_size_in_mb": 100,
        "video_files_size_in_mb": VIDEO_FILE_MB, "fps": fps, "splits": {"train": f"0:{n_episodes}"},
        "data_path": DATA_PATH, "video_path": VIDEO_PATH, "features": {**features, **INDEX_FEATURES},
    }  # fmt: skip
    write_json(folder / INFO_PATH, info)


def statistics(values: np.ndarray, axis: tuple[int, ...] = (0,), scale: float = 1.0) -> dict[str, list]:
    """min, max, mean, std, count and quantiles over `axis`, as lists in `lerobot`'s shapes; nan does not count."""
    values = np.asarray(values, dtype=np.float64) / scale
    if values.ndim == 1:
        values = values[:, None]
    values = values[~np.isnan(values).reshape(len(values), -1).any(1)]
    count = len(values)
    values = values if count else np.zeros((1, *values.shape[1:]))
    made = {"min": values.min(axis), "max": values.max(axis), "mean": values.mean(axis), "std": values.std(axis)}
    for percent in (1, 10, 50, 90, 99):
        made[f"q{percent:02d}"] = np.percentile(values, percent, axis=axis)
    if len(axis) > 1:  # pictures: (channels, 1, 1)
        made = {name: value[:, None, None] for name, value in made.items()}
    return {**{name: value.tolist() for name, value in made.items()}, "count": [count]}


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """`whole_folder` for a dataset: an empty folder that takes the place of `folder` when the block ends well.

    Raises ValueError when `folder` holds something that is no dataset: it would be lost.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / INFO_PATH).exists():
        raise ValueError(f"{folder} holds something that is no dataset: choose another folder, or empty it")
    with whole_folder(folder) as unfinished:
        (unfinished / "meta").mkdir()
        yield unfinished


def _column(values: np.ndarray | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


# ---- reading

Number = Annotated[int, Field(ge=0, le=10**12)]


@dataclass(frozen=True)
class Feature:
    """What `meta/info.json` says of a column."""

    dtype: str
    shape: tuple[Number, ...]


@dataclass(frozen=True)
class Info:
    """What a reader needs of `meta/info.json`."""

    codebase_version: str
    fps: float
    total_episodes: Number
    total_frames: Number
    features: dict[str, Feature]


@dataclass(frozen=True)
class Row:
    """What a reader needs of an episode's row: where its pictures lie."""

    episode_index: Number
    length: Annotated[int, Field(ge=1, le=10**9)]
    chunk_index: Annotated[int, Field(ge=0, le=10**6)]
    file_index: Annotated[int, Field(ge=0, le=10**6)]
    from_timestamp: Annotated[float, Field(ge=0, le=10**9)]  # seconds


def read_info(folder: Path) -> Info:
    """Raises ValueError naming `meta/info.json` when it is missing, broken or of another version."""
    path = folder / INFO_PATH
    if not path.exists():
        raise ValueError(f"{path} is missing: {folder} is no dataset; make one with data_gathering.shard")
    with reading(path):
        info = checked(Info, json.loads(read_text(path)))
        if info.codebase_version != VERSION:
            raise ValueError(f"version {info.codebase_version}, expected {VERSION}")
    return info


def read_episodes(folder: Path, video_key: str, more: Sequence[str]) -> list[tuple[Row, dict]]:
    """The episodes in the order of their index, each with those of the columns `more` that are there.

    Raises ValueError naming the file that is missing, broken, or holds an index that cannot be.
    """
    own = {name: name for name in ("episode_index", "length")}
    own |= {name: f"videos/{video_key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")}
    found = []
    for path in _files(folder / "meta/episodes"):
        with reading(path):
            there = pq.read_schema(path).names
            if missing := [name for name in own.values() if name not in there]:
                raise ValueError(f"column {missing[0]} is missing")
            for row in pq.read_table(path, columns=[*own.values(), *(set(more) & set(there))]).to_pylist():
                found.append((checked(Row, {field: row.pop(name) for field, name in own.items()}), row))
    found.sort(key=lambda pair: pair[0].episode_index)
    with reading(folder / "meta/episodes"):
        for (one, _), (other, _) in zip(found, found[1:], strict=False):
            if one.episode_index == other.episode_index:
                raise ValueError(f"episode_index {one.episode_index} stands there twice")
    return found


def read_data(folder: Path, features: dict[str, dict], more: Sequence[str]) -> dict[str, np.ndarray]:
    """The frames of all files in the order of `episode_index` and `frame_index`, wherever they lie.

    features: name -> {"dtype", "shape"} of the columns that must be there, read as (frames,) or (frames, width);
    more: those read as Python objects, (frames,), None on each where a file lacks them. Raises ValueError naming the
    file that is missing or broken, and the column that is missing or of another shape.
    """
    parts = []
    for path in _files(folder / "data"):
        with reading(path):
            there = pq.read_schema(path).names
            if missing := [name for name in features if name not in there]:
                raise ValueError(f"column {missing[0]} is missing")
            table = pq.read_table(path, columns=[*features, *(name for name in more if name in there)])
            part = {name: _numbers(name, table[name], feature) for name, feature in features.items()}
            parts.append(part | {name: _objects(table, name) for name in more})
    whole = {name: np.concatenate([part[name] for part in parts]) for name in (*features, *more)}
    order = np.lexsort((whole["frame_index"], whole["episode_index"]))
    return {name: column[order] for name, column in whole.items()}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever the block finds wrong is one ValueError that names the file and the cure."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError,
            pa.ArrowException) as error:  # fmt: skip
        raise ValueError(f"{path} cannot be read ({one_line(error, 300, of=path)}): make the dataset again with "
                         "data_gathering.shard") from error


def checked(kind: type, values):
    """`values`, plain containers, as an instance of `kind`. Raises ValueError in one line for what cannot be."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from None


def _files(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*/*.parquet"))
    with reading(folder):
        if not paths:
            raise ValueError("no Parquet file")
        return [existing_file(path) for path in paths]


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
