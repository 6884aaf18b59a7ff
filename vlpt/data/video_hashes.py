"""What is in a video file, by one name: its SHA-256, read once and kept, so that a start need not read every video.

In: a file. Out: its hash, in `hashes/` of a cache folder, one small JSON file a video, good as long as the file has the
same size and time of change. The videos themselves may lie where nothing can be written.

    video_hash(Path("data/6_shards/videos/…/file-000.mp4"), Path("data/features"))
"""

import hashlib
import os
from pathlib import Path

from vlpt.files import read_json, write_json


def video_hash(video: Path | str, folder: Path | str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises OSError where it cannot be read."""
    if known := known_hash(video, folder):
        return known
    with open(video, "rb") as file:
        now = os.fstat(file.fileno())
        found = hashlib.file_digest(file, "sha256").hexdigest()
    write_json(_record(video, folder), {"file": str(video), "size": now.st_size, "changed_ns": now.st_mtime_ns,
                                        "sha256": found})  # fmt: skip
    return found


def known_hash(video: Path | str, folder: Path | str) -> str | None:
    """The hash as it was found before; None where it was not, or the file is another one since."""
    record = _record(video, folder)
    if not record.exists():
        return None
    try:
        kept = read_json(record)
        now = os.stat(video)
        same = (kept["size"], kept["changed_ns"]) == (now.st_size, now.st_mtime_ns)
        return str(kept["sha256"]) if same else None
    except (ValueError, KeyError, TypeError):  # a record that is broken is made again
        return None


def _record(video: Path | str, folder: Path | str) -> Path:
    """Named after where the video lies from the cache folder, so that both may be moved together."""
    place = os.path.relpath(Path(video).absolute(), Path(folder).absolute())
    return Path(folder) / "hashes" / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.json"
