"""The LeRobotDataset v3.0 folder: where its files lie, what its descriptions hold, and how what is wrong is said.

In: one table a dataset, one row an episode, one statistics record a feature. Out: names and shapes that
`lerobot_writer.py` writes by and `lerobot_reader.py` reads by, so that the `lerobot` package (0.6 or later) and its
viewers open the folder unchanged; and back, also after its tools have merged, split or changed it. Knows the layout and
nothing of what is in it; the `lerobot` package itself cannot be used here, because it pins another torch.
Source: huggingface/lerobot, `CODEBASE_VERSION = "v3.0"`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import Field, TypeAdapter, ValidationError

from vpt.errors import one_line

VERSION = "v3.0"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH = f"data/{FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{FILE}.mp4"
EPISODES_PATH = f"meta/episodes/{FILE}.parquet"
TASKS_PATH = "meta/tasks.parquet"
STATS_PATH = "meta/stats.json"
INFO_PATH = "meta/info.json"
VIDEO_FILE_MB, DATA_FILE_MB = 200, 100
CHUNK_FILES = 1000  # files in a folder
TOLERANCE_S = 1e-4  # between the time asked for and that of a picture, at most, unless LeRobot is told otherwise

# Every dataset has these columns, whatever else it has.
INDEX_FEATURES = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


def place_of(number: int) -> dict[str, int]:
    """The number of a file as LeRobot counts: a thousand files a chunk."""
    chunk_index, file_index = divmod(number, CHUNK_FILES)
    return {"chunk_index": chunk_index, "file_index": file_index}


def video_feature(height: int, width: int, fps: int) -> dict:
    """The `features` entry of an H.264 video without sound."""
    info = {"video.height": height, "video.width": width, "video.codec": "h264", "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False, "video.fps": fps, "video.channels": 3, "has_audio": False}
    return {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"], "info": info}


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
    data_chunk_index: Annotated[int, Field(ge=0, le=10**6)]  # of its frames
    data_file_index: Annotated[int, Field(ge=0, le=10**6)]

    @property
    def data_name(self) -> str:
        """The table of its frames."""
        return DATA_PATH.format(chunk_index=self.data_chunk_index, file_index=self.data_file_index)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
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
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from None


@cache
def _adapter(kind: type) -> TypeAdapter:
    return TypeAdapter(kind)
