"""The file that labelling writes and sharding reads: what an inverse dynamics model says was pressed, frame by frame.

In and out: `<id>.parquet` with one row a frame: `frame`, one column a button (0/1), `camera_pitch_deg`,
`camera_yaw_deg`, `buttons_index`, `camera_index` (the policy's classes) and `confidence`. The file's metadata names the
weights that made it, so that labels of another model are never taken for this one's.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlpt.files import whole_file
from vpt.actions import BUTTONS, MINECRAFT
from vpt.errors import one_line
from vpt.files import is_there

COLUMNS = ("frame", *BUTTONS, "camera_pitch_deg", "camera_yaw_deg", "confidence")  # the others follow from these
MOST_FRAMES = 24 * 3600 * 20


@dataclass(frozen=True)
class Labels:
    """N labelled frames."""

    buttons: np.ndarray  # (N, 20) uint8
    camera_deg: np.ndarray  # (N, 2) float64 pitch, yaw
    confidence: np.ndarray  # (N,) float32, probability of the whole label

    def __len__(self) -> int:
        return len(self.buttons)


def write_labels(path: Path, labels: Labels, made_by: str) -> None:
    """Write the file, whole or not at all. `made_by`: a name of the weights."""
    buttons_index, camera_index = MINECRAFT.encode(labels.buttons, labels.camera_deg)
    table = pa.table({
        "frame": np.arange(len(labels)),
        **{name: labels.buttons[:, i] for i, name in enumerate(BUTTONS)},
        "camera_pitch_deg": labels.camera_deg[:, 0], "camera_yaw_deg": labels.camera_deg[:, 1],
        "buttons_index": buttons_index, "camera_index": camera_index,
        "confidence": labels.confidence.astype(np.float32),
    })  # fmt: skip
    with whole_file(path) as unfinished:
        pq.write_table(table.replace_schema_metadata({"made_by": made_by}), unfinished)


def labelled_by(path: Path) -> str | None:
    """The weights that made the file; None where it is missing or broken."""
    try:
        return (pq.read_schema(path).metadata or {}).get(b"made_by", b"").decode() if path.is_file() else None
    except (pa.ArrowException, OSError, ValueError):
        return None


def read_labels(path: Path) -> Labels:
    """Raises ValueError naming the file when it is missing, cut short, no label file, or its frames are not 0, 1 ..."""
    if not is_there(path):
        raise ValueError(f"{path} is missing: run data_gathering.label on the recording")
    try:
        _check_columns(pq.read_metadata(path))
        table = pq.read_table(path, columns=list(COLUMNS))
        columns = {name: table[name].to_numpy() for name in COLUMNS}
        if any(table[name].null_count or not np.isfinite(column).all() for name, column in columns.items()):
            raise ValueError("a value is missing")
        if not np.array_equal(columns["frame"], np.arange(len(table))):
            raise ValueError("its frames are not numbered 0, 1, 2 ...")
        if any(columns[name].max(initial=0) > 1 or columns[name].min(initial=0) < 0 for name in BUTTONS):
            raise ValueError("a button is pressed (1) or not (0)")
    except Exception as error:  # what a broken file makes the library stumble over
        raise ValueError(f"{path} cannot be read ({one_line(error, 300)}): delete it and run data_gathering.label again"
                         ) from error  # fmt: skip
    buttons = np.stack([columns[name].astype(np.uint8) for name in BUTTONS], axis=1)
    camera_deg = np.stack([columns["camera_pitch_deg"], columns["camera_yaw_deg"]], axis=1).astype(np.float64)
    return Labels(buttons, camera_deg, columns["confidence"].astype(np.float32))


def _check_columns(metadata: pq.FileMetaData) -> None:
    """Before anything is read: few bytes may stand for more rows than any memory holds."""
    if metadata.num_rows > MOST_FRAMES:
        raise ValueError(f"it has {metadata.num_rows:,} rows, more than {MOST_FRAMES:,} frames (a day)")
    schema = metadata.schema.to_arrow_schema()
    for name in COLUMNS:
        kinds = [field.type for field in schema if field.name == name]
        if len(kinds) != 1 or not (pa.types.is_integer(kinds[0]) or pa.types.is_floating(kinds[0])):
            raise ValueError(f"it has no column {name} of numbers")
