"""Kept videos -> files: picture and sound up to a height, captions with the times of words, and who made them.

In: `2_kept.jsonl`. Out: a folder with `<name>.mp4`, captions `<name>.<language>.json3` or `.vtt`, `<name>.meta.json`;
a ledger `3_downloaded.jsonl` of what came and what failed; `credits.jsonl`, who made what. Files are named by site and
id only. What is there is not asked for again; what was cut off goes on; what failed is tried again next time. Run:

    python -m data_gathering.download --kept data/2_kept.jsonl --out data/3_video

Respect the sites' terms: this takes one video a worker at a time, at a limited rate, and follows no links.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import yt_dlp
from tqdm import tqdm

from data_gathering.ledger import Ledger, end_with, read_ledger
from data_gathering.recordings import meta_path, video_path
from data_gathering.site import YOUTUBE, check_address, file_name, settings, with_retries
from vlpt.files import write_json
from vlpt.options import Count, NotNegative, run
from vpt.frames import count_frames, read_video

CAPTIONS = (".json3", ".vtt")


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
    records = read_ledger(options.kept, "filter")
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    ledger, credits = Ledger(out.with_name("3_downloaded.jsonl")), Ledger(out.with_name("credits.jsonl"))
    todo = [record for record in records if record["key"] not in ledger.keys]
    totals, failed = {"new": 0, "known": len(records) - len(todo), "failed": 0}, []
    with ThreadPoolExecutor(options.workers) as pool, tqdm(total=len(todo), desc="videos", unit="") as bar:
        jobs = {pool.submit(fetch, record, out, options): record for record in todo}
        for job in as_completed(jobs):
            record = jobs[job]
            try:
                ledger.add({"key": record["key"], **job.result()})
                credits.add(credit(record))
                totals["new"] += 1
            except (ValueError, OSError) as error:
                totals["failed"] += 1
                failed.append(f"{record['key']}: {str(error).removeprefix(str(record['url']) + ': ')}")
            bar.update()
    print(f"{out}: {totals['new']} new, {totals['known']} there before, {totals['failed']} failed")
    end_with(failed)
    return totals


def fetch(record: dict, out: Path, options: Options) -> dict:
    """One video; returns its row for the ledger. Raises ValueError saying why it did not come."""
    free_gb = shutil.disk_usage(out).free / 1e9
    if free_gb < options.keep_free_gb:
        raise ValueError(f"only {free_gb:.1f} GB are free, --keep-free-gb asks for {options.keep_free_gb}")
    name, address = file_name(record["key"]), check_address(str(record["url"]))
    size = f"[height<=?{options.height}]"
    how = settings(
        options.extractors, outtmpl={"default": str(out / f"{name}.%(ext)s")}, continuedl=True, overwrites=False,
        format=f"b{size}[ext=mp4]/b{size}", noplaylist=True, playlistend=1, ratelimit=options.rate_kb_s * 1000,
        sleep_interval_requests=options.pause_s, fragment_retries=5, file_access_retries=3, writesubtitles=True,
        writeautomaticsub=True, subtitleslangs=list(options.languages), subtitlesformat="json3/vtt",
    )  # fmt: skip

    def ask() -> dict:
        with yt_dlp.YoutubeDL(how) as site:
            return site.sanitize_info(site.extract_info(address, download=True))

    info = with_retries(ask, address, options.attempts, options.wait_s)
    info = info["entries"][0] if info.get("entries") else info
    video = video_path(out, name)
    if not video.exists():
        raise ValueError(f"what came is no mp4: {sorted(path.name for path in out.glob(name + '.*'))}")
    n_frames = check(video, info.get("duration") or record.get("duration_s"))
    captions = sorted(path.name for path in out.glob(f"{name}.*") if path.suffix in CAPTIONS)
    meta = {"id": name, "channel": file_name(record.get("channel") or record["key"]), "world": "video",
            "title": record["title"], "source": record["url"], "captions": captions}  # fmt: skip
    write_json(meta_path(out, name), meta)
    return {"file": video.name, "bytes": video.stat().st_size, "frames": n_frames, "captions": captions,
            "duration_s": info.get("duration") or record.get("duration_s")}  # fmt: skip


def check(video: Path, duration_s: float | None) -> int:
    """How many pictures it promises. Raises ValueError, and removes the file, where it is broken or cut short."""
    try:
        n_frames = count_frames(video)
        next(read_video(video))
        if duration_s and n_frames and n_frames < 5 * duration_s:
            raise ValueError(f"{video} holds {n_frames} pictures for {duration_s:.0f} seconds: it is cut short")
        return n_frames
    except ValueError:
        video.unlink(missing_ok=True)
        raise


def credit(record: dict) -> dict:
    """Who made a video, and where it is."""
    return {name: record.get(name) for name in ("key", "title", "channel", "channel_url", "url", "license", "from")}


if __name__ == "__main__":
    run(main, Options)
