"""The files of a dataset that lies elsewhere: each is fetched whole when it is first asked for, and kept for a while.

In: an address that fsspec knows. Out: copies on this disk, in a folder that holds at most so much: what was not used
for longest goes. A copy is taken again where size, date or tag of the file have changed. Tables are found by what the
descriptions say, as a web server lists nothing; of a dataset's videos and labels only those that are read are fetched.

    files = open_files("https://host/6_shards")
    files.local("meta/info.json")

VLPT_CACHE names the folder (~/.cache/vlpt), VLPT_CACHE_GB its size (50).
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pyarrow.parquet as pq

from vlpt.data.dataset_files import DatasetFiles
from vlpt.data.lerobot import EPISODES_PATH, INFO_PATH, place_of, reading
from vlpt.files import whole_file, write_text
from vpt.errors import one_line

TRIES = 3
CHANGES = ("size", "ETag", "etag", "LastModified", "last_modified", "mtime", "created")  # tell that a file is another


def cache_folder() -> Path:
    """Where copies of remote files are kept."""
    return Path(os.environ.get("VLPT_CACHE") or Path.home() / ".cache/vlpt")


def cache_bytes() -> float:
    """How much of them."""
    return float(os.environ.get("VLPT_CACHE_GB") or 50) * 2**30


class RemoteFiles(DatasetFiles):
    """A folder elsewhere. Raises ValueError for an address that cannot be asked, with what to install for it."""

    remote = True

    def __init__(self, place: str):
        self.place = place.rstrip("/")
        super().__init__(cache_folder() / hashlib.sha256(self.place.encode()).hexdigest()[:16])
        self.stamps: dict[str, dict] = {}
        self._system()

    def __str__(self) -> str:
        return self.place

    def name(self, name: str) -> str:
        return f"{self.place}/{name}"

    def has(self, name: str) -> bool:
        with _asking(self.name(name)):
            return self._system().exists(self.name(name))

    def local(self, name: str) -> Path:
        """The copy of a file. Raises FileNotFoundError where there is none, ValueError where it cannot be fetched."""
        path = self.path(name)
        if name not in self.seen or not path.is_file():
            for left in reversed(range(TRIES)):
                try:
                    with _asking(self.name(name)):
                        self._fetch(name, path)
                    break
                except ValueError:
                    if not left:
                        raise
                    time.sleep(0.5 * (TRIES - left))
            self.seen[name] = True
        os.utime(path)
        return path

    def stamp(self, name: str) -> dict:
        """As the store tells it, asked once: a file's copy need not be here."""
        if name not in self.stamps:
            with _asking(self.name(name)):
                self.stamps[name] = _changes(self._system().info(self.name(name)))
        return self.stamps[name]

    def parts(self) -> list[str]:
        """The datasets in this folder, where it is none itself and its files can be listed."""
        with _asking(self.place):
            system = self._system()
            try:
                found = system.ls(system._strip_protocol(self.place), detail=False)
            except FileNotFoundError:
                return []
            found = [f"{self.place}/{path.rstrip('/').rsplit('/', 1)[-1]}" for path in sorted(found)]
            return [place for place in found if system.exists(f"{place}/{INFO_PATH}")]

    def episode_tables(self, n_episodes: int | None = None) -> Iterator[str]:
        """As many, from the first on, as hold so many episodes."""
        number, rows = 0, 0
        while rows < max(1, n_episodes or 0):
            name = EPISODES_PATH.format(**place_of(number))
            with reading(self.name(name)):
                rows += pq.read_metadata(self.local(name)).num_rows
            number += 1
            yield name

    def frame_tables(self) -> list[str]:
        """None before they are fetched."""
        return []

    def _system(self) -> fsspec.AbstractFileSystem:
        """Of this process: fsspec keeps it, and makes another one in a child."""
        try:
            return fsspec.core.url_to_fs(self.place)[0]
        except (ImportError, ValueError) as error:
            kind = self.place.split(":", 1)[0]
            package = {"s3": "s3fs", "gs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}.get(kind, f"fsspec[{kind}]")
            raise ValueError(f"{self.place} cannot be opened ({one_line(error)}): pip install '{package}'") from error

    def _fetch(self, name: str, path: Path) -> None:
        system, address, note = self._system(), self.name(name), path.with_name(path.name + ".key")
        found = system.info(address)
        key = json.dumps(_changes(found))
        if path.is_file() and note.is_file() and note.read_text() == key and _whole(path, found.get("size")):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as unfinished:
            system.get_file(address, str(unfinished))
            if not _whole(unfinished, found.get("size")):
                raise ValueError(f"{unfinished.stat().st_size} of {found['size']} bytes came")
        write_text(note, key)
        make_room(path)


def _changes(found: dict) -> dict[str, str]:
    """Of what a store says of a file, that which tells one from another."""
    return {what: str(found[what]) for what in CHANGES if found.get(what) is not None}


def _whole(path: Path, size: int | None) -> bool:
    return size is None or path.stat().st_size == size


def make_room(but: Path) -> None:
    """Removes the copies that were not used for longest, until the others fit; never `but`."""
    copies = []
    for path in cache_folder().rglob("*"):
        if path.suffix in (".mp4", ".parquet"):
            try:
                found = path.stat()
            except FileNotFoundError:  # another process was faster
                continue
            copies.append((found.st_mtime, found.st_size, path))
    over = sum(size for _, size, _ in copies) - cache_bytes()
    for _, size, path in sorted(copies):
        if over > 0 and path != but:
            path.unlink(missing_ok=True)
            over -= size


@contextmanager
def _asking(address: str) -> Iterator[None]:
    """Whatever goes wrong, beside that there is no such file, is one ValueError that names the address."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such file", address) from error
    except Exception as error:  # systems of files raise nearly anything
        raise ValueError(f"{address} cannot be fetched ({one_line(error, of=address)}): look whether it is there and "
                         "may be read, and run again") from error


def open_files(place: Path | str) -> DatasetFiles:
    """Of a folder on this disk, or of an address (`kind://…`)."""
    return RemoteFiles(place) if isinstance(place, str) and "://" in place else DatasetFiles(place)
