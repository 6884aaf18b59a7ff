"""What is in a video file, by one name: its SHA-256, read once and kept, so that a start need not read every video.

In: a file, and what it is known by without reading it (its size and time of change, or what the store that it lies in
tells). Out: its hash, in `hashes/` of a cache folder, one small JSON file a video, good as long as that is the same.
The videos themselves may lie where nothing can be written, or elsewhere: one whose hash is known is not fetched.

    video_hash(Path("data/6_shards/videos/…/file-000.mp4"), Path("data/features"))
    video_hash(video, folder, shards.stamp(video), shards.fetch)
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from vlpt.data.dataset_files import DatasetFiles
from vlpt.files import read_json, write_json


def video_hash(video: Path, folder: Path | str, stamp: dict | None = None,
               fetch: Callable[[Path], Path] = lambda video: video) -> str:  # fmt: skip
    """SHA-256 of a file, 64 hexadecimal digits. stamp: what it is known by; fetch: what brings it to this disk. Raises
    OSError where it cannot be read."""
    stamp = stamp_of(video) if stamp is None else stamp
    if known := known_hash(video, folder, stamp):
        return known
    with open(fetch(video), "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    write_json(_record(video, folder), {"file": str(video), **stamp, "sha256": found})
    return found


def known_hash(video: Path, folder: Path | str, stamp: dict | None = None) -> str | None:
    """The hash as it was found before; None where it was not, or the file is another one since."""
    record = _record(video, folder)
    if not record.exists():
        return None
    try:
        kept = read_json(record)
        kept.pop("file", None)
        found = str(kept.pop("sha256"))
        return found if kept == (stamp_of(video) if stamp is None else stamp) else None
    except (ValueError, LookupError, TypeError, AttributeError):  # a record that is broken is made again
        return None


def stamp_of(video: Path) -> dict:
    """Of a file on this disk."""
    return DatasetFiles(video.parent).stamp(video.name)


def _record(video: Path | str, folder: Path | str) -> Path:
    """Named after where the video lies from the cache folder, so that both may be moved together."""
    place = os.path.relpath(Path(video).absolute(), Path(folder).absolute())
    return Path(folder) / "hashes" / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.json"
