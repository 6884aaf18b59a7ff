"""The files of a dataset by their names in it, wherever the dataset lies.

In: a folder (of an address elsewhere: remote_files.py). Out: the names of its tables, and for each name a file on this
disk.

    files = DatasetFiles("data/6_shards")
    files.local("meta/info.json")
"""

from collections.abc import Iterator
from pathlib import Path

from vlpt.data.lerobot import INFO_PATH, reading
from vpt.files import existing_file


class DatasetFiles:
    """A folder on this disk."""

    remote = False

    def __init__(self, place: Path | str):
        self.folder, self.seen = Path(place), {}

    def __str__(self) -> str:
        return str(self.folder)

    def name(self, name: str) -> str:
        """A file as errors name it."""
        return str(self.folder / name)

    def has(self, name: str) -> bool:
        """Whether it is there, as a file or anything else."""
        return (self.folder / name).exists()

    def path(self, name: str) -> Path:
        """Where a file lies on this disk once it is there."""
        return self.folder / name

    def local(self, name: str) -> Path:
        """A file on this disk. Raises FileNotFoundError, and ValueError for what is no file or is another one than the
        first time: a dataset that is made again while somebody reads it would be read half old, half new."""
        path = existing_file(self.path(name))
        found = path.stat()
        if self.seen.setdefault(name, (found.st_size, found.st_mtime_ns)) != (found.st_size, found.st_mtime_ns):
            raise ValueError("it was written again since the dataset was opened: open that anew")
        return path

    def stamp(self, name: str) -> dict:
        """What a file is known by without reading it. Raises FileNotFoundError."""
        found = self.path(name).stat()
        return {"size": found.st_size, "changed_ns": found.st_mtime_ns}

    def parts(self) -> list[Path]:
        """The datasets in this folder, where it is none itself."""
        return [path for path in sorted(self.folder.glob("*/")) if (path / INFO_PATH).exists()]

    def episode_tables(self, n_episodes: int | None = None) -> Iterator[str]:
        """The names of the tables of episodes."""
        yield from self._tables("meta/episodes")

    def frame_tables(self) -> list[str]:
        """The names of all tables of frames."""
        return self._tables("data")

    def _tables(self, folder: str) -> list[str]:
        with reading(self.name(folder)):
            names = sorted(str(path.relative_to(self.folder)) for path in (self.folder / folder).glob("*/*.parquet"))
            if not names:
                raise ValueError("no Parquet file")
            return names
