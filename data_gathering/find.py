"""Search words, channels, playlists, lists of videos -> what videos there are.

In: any of --search, --sources (addresses of channels, playlists, videos), --ids (a file with an id or address a line),
--minedojo (the published YouTube index of MineDojo: a JSON list of {"id", "title", "link", "duration", ...}, read as a
stream). Out: `1_found.jsonl`, a line a video, none twice however often this is run; a source that fails is named and
the others go on. Run:

    python -m data_gathering.find --search "minecraft survival let's play" --limit 200 --out data/1_found.jsonl
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ijson
from tqdm import tqdm

from data_gathering.ledger import Ledger, end_with
from data_gathering.site import YOUTUBE, describe, record_of
from vlpt.options import Count, NotNegative, run

YOUTUBE_ID = re.compile(r"^[A-Za-z0-9_-]{11}$")


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
    ledger, totals, failed = Ledger(options.out), {"new": 0, "known": 0, "failed": 0}, []
    for origin, records in tqdm(sources, "sources", unit=""):
        try:
            for record in records:
                totals["new" if ledger.add(record) else "known"] += 1
        except (ValueError, OSError, ijson.JSONError) as error:
            totals["failed"] += 1
            failed.append(f"{origin}: {str(error).removeprefix(origin + ': ')}")
    print(f"{options.out}: {totals['new']} new, {totals['known']} known before, {len(ledger)} in all")
    end_with(failed)
    return totals


def plan(options: Options) -> Iterator[tuple[str, Iterable[dict]]]:
    """What is to be asked: a name and the records it gives, nothing being asked before they are taken."""
    for words in options.search:
        yield words, listed(f"ytsearch{options.limit}:{words}", words, options)
    for address in options.sources:
        yield address, listed(address, address, options)
    if options.ids:
        for line in Path(options.ids).read_text(encoding="utf-8").splitlines():
            if name := line.split("#")[0].strip():
                address = f"https://www.youtube.com/watch?v={name}" if YOUTUBE_ID.match(name) else name
                yield name, listed(address, f"{options.ids}", options)
    if options.minedojo:
        yield options.minedojo, minedojo(Path(options.minedojo))


def listed(address: str, origin: str, options: Options) -> Iterator[dict]:
    """The videos of an address, those of a list up to the limit."""
    info = describe(address, options.extractors, wait_s=options.wait_s, playlistend=options.limit)
    entries = info["entries"] if info.get("_type") in ("playlist", "multi_video") else [info]
    for entry in entries:
        if entry:
            yield record_of({"channel": info.get("channel") or info.get("uploader"), **entry}, origin)


def minedojo(path: Path) -> Iterator[dict]:
    """MineDojo's index, one video after another, however long it is."""
    with open(path, "rb") as file:
        for entry in ijson.items(file, "item", use_float=True):
            if not isinstance(entry, dict) or not YOUTUBE_ID.match(str(entry.get("id"))):
                raise ValueError(f"{path} has an entry that is no YouTube video: {str(entry)[:80]}")
            address = f"https://www.youtube.com/watch?v={entry['id']}"
            yield record_of({**entry, "extractor_key": "Youtube", "webpage_url": address}, str(path))


if __name__ == "__main__":
    run(main, Options)
