"""OpenAI's contractor recordings and BASALT demonstrations -> recordings as ours.

In: an index file, or its address: {"basedir": "https://…/", "relpaths": ["data/6.9/NAME.mp4", …]}. Out: a folder with
`<id>.mp4` (640x360, as it came), `<id>.jsonl` (what was pressed), `<id>.meta.json`, and an empty
`<id>.words.jsonl`, as nobody speaks; beside the folder a manifest `<folder>.manifest.jsonl`, a line a recording: bytes,
hash, frames, what was mended or why it was refused. Run:

    python -m data_gathering.openai --index all_6xx_Jun_29.json --out data/3_openai --most 20

A recording that the manifest names is not asked for again; what was cut off goes on where it ended (HTTP Range); what
failed for a while is tried again, now and at the next run. One file a worker at a time, at a limited rate. A channel is
a contractor. Where the recorder's version needs it, mouse motion in open windows is scaled (openai_files.py). Then:
shrink --cursor, shard --labels truth, as docs/minecraft.md has it.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data_gathering.http_file import Gone, fetch_file
from data_gathering.ledger import Ledger, end_with, fetch_all
from data_gathering.openai_files import Listed, Misfit, read_index, write_recording
from vlpt.files import locked
from vlpt.options import Count, CountOrNone, NotNegative, Positive, run
from vpt.errors import one_line

COMING = ".coming"  # folder, below that of the recordings, for what is not whole yet


@dataclass(frozen=True)
class Options:
    """Downloads recordings that an index file lists, and writes them as ours."""

    index: str  # an index file of OpenAI's, or its http(s) address
    out: str = "data/3_openai"  # folder for the recordings
    errand: str = ""  # what all of them are about, as find_cave: the name of one errand a recording (empty: none)
    most: CountOrNone = 0  # recordings at most, in the index's order (0: all)
    most_gb: NotNegative = 0.0  # stop before the folder holds more than this (0: no limit)
    largest_mb: Positive = 400.0  # a file that is larger is refused; five minutes at 640x360 are 40 to 100
    workers: Count = 2  # recordings at a time
    rate_kb_s: Count = 4000  # kilobytes a second of each worker
    wait_s: NotNegative = 2.0  # seconds before something refused is tried again; doubled each time
    attempts: Count = 5  # how often a file is tried
    keep_free_gb: NotNegative = 5.0  # stop when the disk has less space than this


def main(options: Options) -> dict[str, int]:
    """Returns how many recordings came, were there before, are unusable, and failed (then the status is 1)."""
    out = Path(options.out)
    listed = read_index(options.index, options.attempts, options.wait_s)
    listed = listed[: options.most] if options.most else listed
    out.mkdir(parents=True, exist_ok=True)
    totals = {"new": 0, "known": 0, "refused": 0, "failed": 0}
    with locked(out):
        manifest = Ledger(manifest_path(out))
        todo = [one for one in listed if one.id not in manifest.keys]
        totals["known"] = len(listed) - len(todo)

        def keep(one: Listed, row: dict) -> None:
            manifest.add({"key": one.id, **row})
            totals["refused" if "refused" in row else "new"] += 1

        failed = fetch_all(lambda one: fetch(one, out, options), todo, options.workers, "recordings", keep,
                           lambda one, error: f"{one.id}: {one_line(error)}")  # fmt: skip
        totals["failed"] = len(failed)
        with suppress(OSError):
            (out / COMING).rmdir()  # unless something in it goes on next time
    print(f"{out}: {totals['new']} new, {totals['known']} there before, {totals['refused']} of no use "
          f"(see {manifest_path(out)}), {totals['failed']} failed")  # fmt: skip
    end_with(failed)
    return totals


def manifest_path(out: Path) -> Path:
    """What came into a folder, and what is not to be asked for again."""
    return out.with_name(out.name + ".manifest.jsonl")


def fetch(one: Listed, out: Path, options: Options) -> dict:
    """One recording; returns its row for the manifest. Raises ValueError saying why it did not come."""
    check_room(out, options)
    part, rate = out / COMING, options.rate_kb_s * 1000
    part.mkdir(parents=True, exist_ok=True)
    came = {}
    for suffix in (".jsonl", ".mp4"):  # the small one first: without it the other is of no use
        path = part / f"{one.id}{suffix}"
        try:
            came[suffix] = fetch_file(one.address + suffix, path, rate, options.largest_mb * 1e6, options.attempts,
                                      options.wait_s)  # fmt: skip
        except Gone as gone:
            return _refused(one, part, str(gone))
    try:
        row = write_recording(one, part, out, options.errand)
    except Misfit as misfit:
        return _refused(one, part, str(misfit))
    row["bytes"] = sum(came.values())
    return row


def _refused(one: Listed, part: Path, why: str) -> dict:
    for suffix in (".jsonl", ".mp4"):
        (part / f"{one.id}{suffix}").unlink(missing_ok=True)
    return {"refused": one_line(why), "source": one.address}


def check_room(out: Path, options: Options) -> None:
    """Raises ValueError where the disk, or the limit, has no room for another recording."""
    if (free_gb := shutil.disk_usage(out).free / 1e9) < options.keep_free_gb:
        raise ValueError(f"only {free_gb:.1f} GB are free, --keep-free-gb asks for {options.keep_free_gb}")
    held_gb = sum(path.stat().st_size for path in out.glob("*.mp4")) / 1e9 if options.most_gb else 0
    if options.most_gb and held_gb >= options.most_gb:
        raise ValueError(f"{out} holds {held_gb:.2f} GB, --most-gb allows {options.most_gb}")


if __name__ == "__main__":
    run(main, Options)
