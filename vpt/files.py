"""Files that are whole or not there: written beside their place, then renamed into it.

    with whole_file("weights.safetensors") as unfinished:
        save_file(weights, unfinished)
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A context giving a name beside `path` to write to; what is written there takes the place of `path` at its end.

    After an exception nothing new is left, and a file that was there before stays as it was.
    """
    path = Path(path)
    unfinished = path.with_name(path.name + ".tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
