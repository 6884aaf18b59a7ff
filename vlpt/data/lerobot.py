"""The LeRobotDataset v3.0 folder: where its files lie, what its tables hold, and how a whole one appears at once.

In: one table a dataset, one row an episode, one statistics record a feature. Out: `data/`, `videos/`, `meta/` so that
the `lerobot` package and its viewers open the folder unchanged. Knows the layout and nothing of what is in it; the
`lerobot` package itself cannot be used here, because it pins another torch.
Source: huggingface/lerobot, `CODEBASE_VERSION = "v3.0"`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlpt.files import whole_folder, write_json

VERSION = "v3.0"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH = f"data/{FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{FILE}.mp4"
EPISODES_PATH = f"meta/episodes/{FILE}.parquet"
TASKS_PATH = "meta/tasks.parquet"
STATS_PATH = "meta/stats.json"
INFO_PATH = "meta/info.json"
VIDEO_FILE_MB = 200

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


def write_data(folder: Path, columns: dict[str, np.ndarray], lengths: Sequence[int]) -> None:
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


def _column(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
