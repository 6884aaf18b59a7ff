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
        return (pq.read_schema(path).metadata or {}).get(b"made_by", b"").decode()
    except (pa.ArrowException, OSError):
        return None


def read_labels(path: Path) -> Labels:
    """Raises ValueError naming the file when it is missing, cut short or its frames are not 0, 1, 2 ..."""
    if not path.exists():
        raise ValueError(f"{path} is missing: run data_gathering.label on the recording")
    try:
        table = pq.read_table(path)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        buttons = np.stack([columns[name] for name in BUTTONS], axis=1).astype(np.uint8)
        camera_deg = np.stack([columns["camera_pitch_deg"], columns["camera_yaw_deg"]], axis=1)
        labels = Labels(buttons, camera_deg, columns["confidence"])
        if not np.array_equal(columns["frame"], np.arange(len(labels))):
            raise ValueError("its frames are not numbered 0, 1, 2 ...")
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({str(error).splitlines()[0]}): delete it and run "
                         "data_gathering.label again") from error
    return labels
