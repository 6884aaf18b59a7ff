"""Search words, channels, playlists, lists of videos -> what videos there are.

In: any of --search, --sources (addresses of channels, playlists, videos), --ids (a file with an id or address a line),
--minedojo (the published YouTube index of MineDojo: a JSON list of {"id", "title", "link", "duration", ...}, read as a
stream). Out: `1_found.jsonl`, a line a video, none twice however often this is run; a source, or a video
of it, that fails is named and the others go on. Run:

    python -m data_gathering.find --search "minecraft survival let's play" --limit 200 --out data/1_found.jsonl
"""

import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ijson
from tqdm import tqdm

from data_gathering.ledger import Ledger, end_with
from data_gathering.site import YOUTUBE, describe, record_of
from vlpt.files import locked, read_text
from vlpt.options import Count, NotNegative, run
from vpt.errors import one_line
from vpt.files import existing_file

YOUTUBE_ID = re.compile(r"^[A-Za-z0-9_-]{11}\Z")


@dataclass(frozen=True)
class Options:
    """Lists videos; nothing is downloaded."""

    search: tuple[str, ...] = ()  # search words, each in quotes
    sources: tuple[str, ...] = ()  # addresses of channels, playlists or videos
    ids: str = ""  # a file with a YouTube id or an address a line
    minedojo: str = ""  # MineDojo's YouTube index (JSON)
    limit: Count = 100  # most videos of each search or list
    out: str = "data/1_found.jsonl"  # ledger to add to
    extractors: tuple[str, ...] = YOUTUBE  # the only sites asked, as yt-dlp names them (expressions)
    wait_s: NotNegative = 2.0  # seconds before a refused page is asked for again; doubled each time


def main(options: Options) -> dict[str, int]:
    """Returns how many videos were new, known already, and how many sources failed (then the status is 1)."""
    sources = list(plan(options))
    if not sources:
        raise ValueError("nothing to look for: give --search, --sources, --ids or --minedojo")
    totals, failed = Counter(new=0, known=0, failed=0), []
    with locked(options.out):
        ledger = Ledger(options.out)
        for origin, records in tqdm(sources, "sources", unit=""):
            for record in until_it_fails(records):
                try:
                    if isinstance(record, Exception):
                        raise record
                    totals["new" if ledger.add(record) else "known"] += 1
                except Exception as error:  # whatever a site, a library or the disk came up with: the others go on
                    totals["failed"] += 1
                    failed.append(f"{origin}: {one_line(error, of=origin)}")
    print(f"{options.out}: {totals['new']} new, {totals['known']} known before, {len(ledger)} in all")
    end_with(failed)
    return dict(totals)


def until_it_fails(records: Iterable[dict | ValueError]) -> Iterator[dict | Exception]:
    """The records of a source; where the source itself breaks, why, as its last."""
    try:
        yield from records
    except Exception as error:
        yield error


def plan(options: Options) -> Iterator[tuple[str, Iterable[dict | ValueError]]]:
    """What is to be asked: a name and the records it gives, nothing being asked before they are taken."""
    for words in options.search:
        yield words, listed(f"ytsearch{options.limit}:{words}", words, options)
    for address in options.sources:
        yield address, listed(address, address, options)
    if options.ids:
        for name in read_ids(Path(options.ids)):
            address = f"https://www.youtube.com/watch?v={name}" if YOUTUBE_ID.match(name) else name
            yield name, listed(address, f"{options.ids}", options)
    if options.minedojo:
        yield options.minedojo, minedojo(Path(options.minedojo))


def read_ids(path: Path) -> list[str]:
    """Ids and addresses, one a line; what follows a # is left out. Raises ValueError for a file without any."""
    try:
        lines = read_text(path, "utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}): it takes an id or an address a line") from error
    if names := [name for line in lines if (name := line.split("#")[0].strip())]:
        return names
    raise ValueError(f"{path} names no video: it takes an id or an address a line")


def listed(address: str, origin: str, options: Options) -> Iterator[dict | ValueError]:
    """The videos of an address, those of a list up to the limit; an entry that is none is the reason why."""
    info = describe(address, options.extractors, wait_s=options.wait_s, playlistend=options.limit)
    entries = info.get("entries") or [] if info.get("_type") in ("playlist", "multi_video") else [info]
    channel = info.get("channel") or info.get("uploader")
    for entry in entries:
        if entry:
            yield record_or_reason(lambda entry=entry: record_of({"channel": channel, **entry}, origin))


def minedojo(path: Path) -> Iterator[dict | ValueError]:
    """MineDojo's index, one video after another, however long it is. Raises ValueError for what is no list."""
    with open(existing_file(path), "rb") as file:
        if next(ijson.basic_parse(file, use_float=True))[0] != "start_array":
            raise ValueError(f"{path} is no list of videos: a JSON list of {{\"id\", \"title\", ...}} is expected")
        file.seek(0)
        for entry in ijson.items(file, "item", use_float=True):
            yield record_or_reason(lambda entry=entry: _of_index(entry, path))


def record_or_reason(make: Callable[[], dict]) -> dict | ValueError:
    """A record, or why there is none: one entry that is wrong does not cost the others."""
    try:
        return make()
    except Exception as error:
        return ValueError(one_line(error))


def _of_index(entry: dict, path: Path) -> dict:
    if not isinstance(entry, dict) or not YOUTUBE_ID.match(str(entry.get("id"))):
        raise ValueError(f"{path} has an entry that is no YouTube video: {reprlib.repr(entry)}")
    address = f"https://www.youtube.com/watch?v={entry['id']}"
    return record_of({**entry, "extractor_key": "Youtube", "webpage_url": address}, str(path))


if __name__ == "__main__":
    run(main, Options)
