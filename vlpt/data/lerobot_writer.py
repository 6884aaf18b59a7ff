"""Writes the LeRobotDataset v3.0 folder, an episode at a time: bounded files, to which later ones are added.

In: the columns of an episode's frames, its row. Out: `data/` and `meta/`, laid out as `lerobot.py` says, one row group
an episode, so that an episode reads by itself. A file of frames ends before it has 100 MB, or after 256 episodes;
numbers of files go on where those that are there end.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vlpt.data.lerobot import (
    CHUNK_FILES,
    DATA_FILE_MB,
    DATA_PATH,
    EPISODES_PATH,
    INDEX_FEATURES,
    INFO_PATH,
    TASKS_PATH,
    TOLERANCE_S,
    VERSION,
    VIDEO_FILE_MB,
    VIDEO_PATH,
    place_of,
)
from vlpt.files import whole_folder, write_json

FRAME_BYTES, GROUP_BYTES = 60, 5000  # at most, of a frame and of a row group's entry at the end of the file
# episodes in a file of frames: to read one, the entries of all are read, which costs 20 microseconds and 17 KB each
GROUPS_A_FILE = 256
ROW_BYTES, WORD_BYTES = 4000, 30  # at most, of an episode's row and of a word in it
ROWS_A_GROUP = 100  # episodes: to read the words of one, those of so many are decoded
INDEXED = ["episode_index"]  # columns whose lowest and highest value each row group tells: by it an episode is found


def times_hold(first_frame: int, n_frames: int, fps: int) -> bool:
    """Whether LeRobot finds the pictures of an episode that begins there in its file.

    It adds an episode's float32 times to the time at which it begins, makes that float32, and wants it within 0.1 ms of
    the picture's own, as float32 (decode_video_frames_* of lerobot 0.6.1). From 1,024 s on float32 numbers are 0.12 ms
    apart, from 4,096 s 0.49 ms: an episode then passes at the beginning of a file, where both round alike, and later in
    it where its own times are much finer than the file's.
    """
    frame = np.arange(n_frames)
    asked = first_frame / fps + (frame / fps).astype(np.float32).astype(np.float64)
    shown = ((first_frame + frame) / fps).astype(np.float32)
    return bool((np.abs(asked.astype(np.float32) - shown) < TOLERANCE_S).all())


def next_file(folder: Path, pattern: str, **names: str) -> int:
    """The number of the file after the last one that is there, counted over all chunks."""
    chunk, _, file = pattern.partition("chunk-{chunk_index:03d}/")
    found = (folder / chunk.format(**names)).glob("chunk-*/file-*" + Path(file).suffix)
    numbers = [(int(path.parent.name[6:]), int(path.stem[5:])) for path in found]
    return max((chunk * CHUNK_FILES + file + 1 for chunk, file in numbers), default=0)


class DataWriter:
    """The frames of episodes, one row group each, in files of less than 100 MB. `number`: that of the open file."""

    def __init__(self, folder: Path):
        self.folder, self.number, self.groups = folder, next_file(folder, DATA_PATH) - 1, 0
        self.writer: pq.ParquetWriter | None = None

    def write(self, columns: dict[str, np.ndarray | pa.Array]) -> dict[str, int]:
        """columns: name -> (frames,) or (frames, width), of one episode; returns the place of the file."""
        table = pa.table({name: _column(values) for name, values in columns.items()})
        full = self.writer is None or self.groups == GROUPS_A_FILE
        if full or self._would_be() + FRAME_BYTES * len(table) > DATA_FILE_MB * 2**20:
            self._begin(table.schema)
        self.writer.write_table(table, row_group_size=max(1, len(table)))
        self.groups += 1
        return place_of(self.number)

    def _would_be(self) -> int:
        return self.file.tell() + GROUP_BYTES * (self.groups + 1)

    def _begin(self, schema: pa.Schema) -> None:
        self.close()
        self.number, self.groups = self.number + 1, 0
        path = self.folder / DATA_PATH.format(**place_of(self.number))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = pa.OSFile(str(path), "wb")
        self.writer = pq.ParquetWriter(self.file, schema, compression="zstd", write_statistics=INDEXED)

    def close(self) -> None:
        """Ends the open file."""
        if self.writer is not None:
            self.writer.close()
            self.file.close()
            self.writer = None


def index_columns(n_frames: int, episode_index: int, start: int, fps: int, task_index: np.ndarray) -> dict:
    """The INDEX_FEATURES of an episode's frames; start: frames of the episodes before."""
    frame = np.arange(n_frames)
    return {"timestamp": (frame / fps).astype(np.float32), "frame_index": frame,
            "episode_index": np.full(n_frames, episode_index), "index": start + frame,
            "task_index": np.asarray(task_index, dtype=np.int64)}  # fmt: skip


def write_episodes(folder: Path, rows: list[dict], schema: dict[str, pa.DataType]) -> None:
    """One row an episode, in files of their own beside those that are there; `schema` gives the types that cannot be
    seen in the values (empty lists)."""
    sizes = np.cumsum([ROW_BYTES + WORD_BYTES * len(row["words"]) for row in rows])
    for file in range(int(sizes[-1]) // (DATA_FILE_MB * 2**20) + 1):
        where = np.flatnonzero(sizes // (DATA_FILE_MB * 2**20) == file)
        if len(where):
            _write_rows(folder, rows[where[0]: where[-1] + 1], schema)


def _write_rows(folder: Path, rows: list[dict], schema: dict[str, pa.DataType]) -> None:
    place = place_of(next_file(folder, EPISODES_PATH))
    rows = [{**row, **{f"meta/episodes/{name}": number for name, number in place.items()}} for row in rows]
    columns = {name: pa.array([row[name] for row in rows], schema.get(name)) for name in rows[0]}
    path = folder / EPISODES_PATH.format(**place)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=ROWS_A_GROUP)


def write_tasks(folder: Path, tasks: Sequence[str]) -> None:
    """The tasks in the order of their index; `lerobot` reads them with pandas and wants their names as its index."""
    table = pa.table({"task_index": np.arange(len(tasks)), "task": list(tasks)})
    columns = [{"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}
               for name, kind, numpy_type in (("task_index", "int64", "int64"), ("task", "unicode", "object"))]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), folder / TASKS_PATH)


def read_tasks(folder: Path) -> list[str]:
    """The tasks of a dataset in the order of their index."""
    table = pq.read_table(folder / TASKS_PATH, columns=["task_index", "task"]).sort_by("task_index")
    return table["task"].to_pylist()


def count_rows(folder: Path) -> dict[str, int]:
    """{"episodes", "channels", "words"}: how many a dataset holds, by its tables of episodes."""
    channels, counts = set(), {"episodes": 0, "words": 0}
    for path in (folder / "meta/episodes").glob("*/*.parquet"):
        table = pq.read_table(path, columns=["channel", "words"])
        channels |= set(table["channel"].to_pylist())
        counts["episodes"] += len(table)
        counts["words"] += pc.sum(pc.list_value_length(table["words"])).as_py() or 0
    return counts | {"channels": len(channels)}


def write_info(folder: Path, features: dict, fps: int, n_episodes: int, n_frames: int, n_tasks: int) -> None:
    """`meta/info.json`, the manifest: written last, read first."""
    info = {
        "codebase_version": VERSION, "robot_type": None, "total_episodes": n_episodes, "total_frames": n_frames,
        "total_tasks": n_tasks, "chunks_size": CHUNK_FILES, "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB, "fps": fps, "splits": {"train": f"0:{n_episodes}"},
        "data_path": DATA_PATH, "video_path": VIDEO_PATH, "features": {**features, **INDEX_FEATURES},
    }  # fmt: skip
    write_json(folder / INFO_PATH, info)


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
