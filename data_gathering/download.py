"""Kept videos -> files: picture and sound up to a height, captions with the times of words, and who made them.

In: `2_kept.jsonl`. Out: a folder with `<name>.mp4`, captions `<name>.<language>.json3` or `.vtt`, `<name>.meta.json`;
a ledger `3_downloaded.jsonl` of what came and what failed; `credits.jsonl`, who made what. Files are named by site and
id only, and appear when the video was read to its end: until then it lies in the hidden folder `.coming`. What is there
is not asked for again; what was cut off goes on; what failed is tried again next time. One program downloads into a
folder at a time. Where a site has picture and sound apart, ffmpeg joins them. Run:

    python -m data_gathering.download --kept data/2_kept.jsonl --out data/3_video

Respect the sites' terms: this takes one video a worker at a time, at a limited rate, and follows no links.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yt_dlp
from yt_dlp.utils import DownloadError

from data_gathering.ledger import Ledger, end_with, fetch_all, read_ledger
from data_gathering.recordings import meta_path, video_path
from data_gathering.site import YOUTUBE, check_address, file_name, seconds_of, settings, with_retries
from vlpt.files import locked, write_json
from vlpt.options import Count, NotNegative, run
from vpt.errors import one_line
from vpt.media import open_media, picture_stream

CAPTIONS = (".json3", ".vtt")
COMING = ".coming"  # folder, below that of the videos, for what is not whole yet
NO_CAPTIONS, NOTHING_LEFT = "Unable to download video subtitles", "HTTP Error 416"  # as yt-dlp says it


@dataclass(frozen=True)
class Options:
    """Downloads the kept videos with their captions."""

    kept: str = "data/2_kept.jsonl"  # what data_gathering.filter kept
    out: str = "data/3_video"  # folder for the files
    height: Count = 480  # largest height in pixels: 480, or 360 for the smaller file that every site has
    languages: tuple[str, ...] = ("en.*",)  # captions, as expressions
    workers: Count = 2  # videos at a time
    rate_kb_s: Count = 2000  # kilobytes a second of each worker
    pause_s: NotNegative = 1.0  # seconds between two requests for pages
    wait_s: NotNegative = 5.0  # seconds before something refused is tried again; doubled each time
    attempts: Count = 4  # how often a video is tried
    keep_free_gb: NotNegative = 5.0  # stop when the disk has less space than this
    extractors: tuple[str, ...] = YOUTUBE  # the only sites asked, as yt-dlp names them (expressions)


def main(options: Options) -> dict[str, int]:
    """Returns how many videos came, were there before, and failed (then the status is 1)."""
    out, records = Path(options.out), read_ledger(options.kept, "filter")
    out.mkdir(parents=True, exist_ok=True)
    totals = {"new": 0, "known": 0, "failed": 0}
    with alone(out):
        ledger, credits = Ledger(ledger_path(out)), Ledger(out.with_name("credits.jsonl"))
        todo = [record for record in records if record["key"] not in ledger.keys]
        totals["known"] = len(records) - len(todo)

        def keep(record: dict, row: dict) -> None:
            ledger.add({"key": record["key"], **row})
            credits.add(credit(record))
            totals["new"] += 1

        failed = fetch_all(lambda record: fetch(record, out, options), todo, options.workers, "videos", keep,
                           lambda record, error: f"{record['key']}: {one_line(error, of=record.get('url') or '')}",
                           )  # fmt: skip
        totals["failed"] = len(failed)
        with suppress(OSError):
            (out / COMING).rmdir()  # unless something in it goes on next time
    print(f"{out}: {totals['new']} new, {totals['known']} there before, {totals['failed']} failed")
    end_with(failed)
    return totals


def ledger_path(out: Path) -> Path:
    """What came into a folder of videos, and when it is not to be asked for again."""
    return out.with_name("3_downloaded.jsonl")


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """A context in which no other program downloads into this folder, or writes what came. Raises ValueError."""
    with locked(out), locked(ledger_path(out)):
        yield


def fetch(record: dict, out: Path, options: Options, coming: str = COMING) -> dict:
    """One video; returns its row for the ledger. Raises ValueError saying why it did not come.

    coming: the folder below `out` for what is not whole; a video appears in `out` last, after all that belongs to it.
    """
    name, part = file_name(record["key"]), out / coming
    if video_path(out, name).is_file() and meta_path(out, name).is_file():  # killed before it was noted
        return _row(name, out, record)
    free_gb = shutil.disk_usage(out).free / 1e9
    if free_gb < options.keep_free_gb:
        raise ValueError(f"only {free_gb:.1f} GB are free, --keep-free-gb asks for {options.keep_free_gb}")
    part.mkdir(parents=True, exist_ok=True)
    refused, duration_s = ask_for(name, check_address(str(record.get("url"))), part, options)
    if not video_path(part, name).exists():
        raise ValueError(f"what came is no mp4: {[path.name for path in files_of(name, part)]}")
    row = _row(name, part, {**record, "duration_s": duration_s or record.get("duration_s")})
    title = str(record.get("title") or "")
    write_json(meta_path(part, name), {"id": name, "channel": file_name(record.get("channel") or record["key"]),
               "world": "video", "title": title, "source": record["url"], "captions": row["captions"]})  # fmt: skip
    for path in sorted(files_of(name, part), key=lambda path: path.suffix == ".mp4"):
        os.replace(path, out / path.name)
    return {**row, **({"captions_refused": refused} if refused else {})}


def ask_for(name: str, address: str, folder: Path, options: Options) -> tuple[str, float | None]:
    """Video and captions into a folder; says why captions did not come, if so, and how long the video is said to be."""
    size = f"[height<=?{options.height}]"
    apart = f"bv*{size}[ext=mp4]+ba[ext=m4a]/bv*{size}+ba/bv*{size}[ext=mp4]"
    how = settings(
        options.extractors, outtmpl={"default": str(folder / f"{name}.%(ext)s")}, continuedl=True, overwrites=False,
        format=f"b{size}[ext=mp4]/{apart}/b{size}", merge_output_format="mp4", noplaylist=True, playlistend=1,
        ratelimit=options.rate_kb_s * 1000, sleep_interval_requests=options.pause_s, fragment_retries=5,
        file_access_retries=3, subtitleslangs=list(options.languages), subtitlesformat="json3/vtt",
    )  # fmt: skip

    def ask(captions: bool) -> dict:
        with yt_dlp.YoutubeDL({**how, "writesubtitles": captions, "writeautomaticsub": captions}) as site:
            try:
                return site.sanitize_info(site.extract_info(address, download=True))
            except DownloadError as error:
                if NOTHING_LEFT not in str(error) or not whole_already(name, folder):
                    raise
        return ask(captions)

    refused = ""
    try:
        info = with_retries(lambda: ask(True), address, options.attempts, options.wait_s)
    except ValueError as error:
        if NO_CAPTIONS not in str(error):
            raise
        refused = str(error).removeprefix(f"{address}: ")  # the words can still be heard
        info = with_retries(lambda: ask(False), address, options.attempts, options.wait_s)
    info = info["entries"][0] if info.get("entries") else info
    return refused, seconds_of(info.get("duration"))


def whole_already(name: str, folder: Path) -> bool:
    """Whether there was a part, to which the site has nothing to add: it takes its name (`check` reads it anyway)."""
    parts = [path for path in files_of(name, folder) if path.suffix == ".part"]
    for path in parts:
        path.rename(path.with_suffix(""))
    return bool(parts)


def files_of(name: str, folder: Path) -> list[Path]:
    """A video and what belongs to it, by name."""
    return sorted(folder.glob(f"{glob.escape(name)}.*"))


def _row(name: str, folder: Path, record: dict) -> dict:
    """What the ledger says of a video that is there, read to its end."""
    video, duration_s = video_path(folder, name), seconds_of(record.get("duration_s"))
    n_frames = check(video, duration_s)
    captions = [path.name for path in files_of(name, folder) if path.suffix in CAPTIONS]
    return {"file": video.name, "bytes": video.stat().st_size, "frames": n_frames, "captions": captions,
            "duration_s": duration_s}  # fmt: skip


def check(video: Path, duration_s: float | None) -> int:
    """How many pictures it holds. Raises ValueError, and removes the file, where it is broken or cut short."""
    try:
        n_frames = read_to_the_end(video)
        if duration_s and n_frames < 5 * duration_s:
            raise ValueError(f"{video} holds {n_frames} pictures for {duration_s:.0f} seconds: it is cut short")
        return n_frames
    except ValueError:
        video.unlink(missing_ok=True)
        raise


def read_to_the_end(video: Path) -> int:
    """Decodes every picture, which finds bytes that are another file's, and returns how many there are.

    Raises ValueError naming a file that is broken anywhere, holds no picture, or ends before its header says.
    """
    n_frames, end_s = 0, 0.0
    with open_media(video) as container:
        stream = picture_stream(container)
        start_s, promised_s = (float((time or 0) * stream.time_base) for time in (stream.start_time, stream.duration))
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # an error, not a concealed picture
        for frame in container.decode(stream):
            n_frames, end_s = n_frames + 1, max(end_s, frame.time or 0.0)
    if n_frames == 0 or end_s - start_s < 0.98 * promised_s - 2:  # the last picture may be seen for a while
        raise ValueError(f"{video} is cut short: it promises {promised_s:.0f} seconds and ends at {end_s:.0f}")
    return n_frames


def credit(record: dict) -> dict:
    """Who made a video, and where it is."""
    return {name: record.get(name) for name in ("key", "title", "channel", "channel_url", "url", "license", "from")}


if __name__ == "__main__":
    run(main, Options)
