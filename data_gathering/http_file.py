"""One file of a web server, whole or gone on with: HTTP Range, retries, a limited rate and a largest size.

In: an address, a path. Out: the file under that path when all of it came; until then `<path>.part` and, where the
server names a version of it, `<path>.version`, so that a changed file is begun anew.

    fetch_file("https://…/NAME.mp4", Path("NAME.mp4"), rate=4e6, largest=4e8, attempts=5, wait_s=2)     # bytes
"""

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from data_gathering.site import check_address

PIECE = 1 << 16
WAIT_S = 30  # for an answer, and between two pieces of it
LATER = {408, 425, 429, 500, 502, 503, 504}


class Gone(ValueError):
    """The server says for good that there is no such file, or it is too large: asking again is of no use."""


class _Later(Exception):
    """The server, or the way to it, may do better next time."""


def fetch_file(address: str, path: Path, rate: float, largest: float, attempts: int, wait_s: float) -> int:
    """The file's size in bytes. rate: bytes a second. Raises Gone, and ValueError after so many attempts in vain; an
    attempt that brought something is not counted."""
    check_address(address)
    part, failed = path.with_name(path.name + ".part"), 0
    if path.is_file():
        return path.stat().st_size
    while True:
        before = size_of(part)
        try:
            _go_on(address, part, path.with_name(path.name + ".version"), rate, largest)
            part.rename(path)
            path.with_name(path.name + ".version").unlink(missing_ok=True)
            return path.stat().st_size
        except (_Later, OSError, http.client.HTTPException) as error:
            failed = 1 if size_of(part) > before else failed + 1
            if failed >= attempts:
                raise ValueError(f"{address}: {error}") from error
            time.sleep(wait_s * 2 ** (failed - 1))


def size_of(path: Path) -> int:
    """Bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _go_on(address: str, part: Path, version: Path, rate: float, largest: float) -> None:
    """One request for what is missing. Raises _Later where the answer ends early."""
    there, known = size_of(part), version.read_text() if version.exists() else ""
    headers = {"User-Agent": "vlpt", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
        if known:
            headers["If-Range"] = known
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=WAIT_S) as answer:
            there = there if answer.status == 206 else 0  # the whole file: no ranges here, or another version
            total = there + int(answer.headers.get("Content-Length") or 0)
            if total > largest:
                part.unlink(missing_ok=True)
                raise Gone(f"{address} has {total / 1e6:.0f} MB, --largest-mb allows {largest / 1e6:.0f}")
            version.write_text(answer.headers.get("ETag") or "")
            _copy(answer, part, there, rate, largest)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{there}":
            return  # all of it had come
        if error.code == 416:
            part.unlink(missing_ok=True)
            raise _Later("the file has changed, it is begun anew") from None
        raise (_Later if error.code in LATER else Gone)(f"{address}: HTTP {error.code} {error.reason}") from None
    if size_of(part) < total:
        raise _Later(f"cut off at {size_of(part)} of {total} bytes")


def _copy(answer, part: Path, there: int, rate: float, largest: float) -> None:
    """What comes, no faster than the rate, to the file's end."""
    begin, came = time.monotonic(), 0
    with open(part, "ab" if there else "wb") as file:
        while piece := answer.read(PIECE):
            file.write(piece)
            came += len(piece)
            if there + came > largest:  # of a server that does not say how much comes
                raise Gone(f"{answer.url} is larger than --largest-mb allows")
            time.sleep(max(0.0, came / rate - (time.monotonic() - begin)))
