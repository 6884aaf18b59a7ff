"""The one door to video sites: yt-dlp as a library, held to http(s) and to the sites that were asked for.

In: an address or a search. Out: yt-dlp's description of it. Temporary refusals (429, 503, time-outs) are waited out.
"""

import hashlib
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.utils import DownloadError

YOUTUBE = ("youtube.*",)
TEMPORARY = re.compile(r"\b(429|500|502|503|504)\b|timed? ?out|temporar|reset by peer|refused|incomplete", re.I)


class Quiet:
    """yt-dlp's logger: what it says reaches people through our own lines only."""

    def debug(self, message: str) -> None:
        """Not told."""

    warning = error = info = debug


def check_address(address: str) -> str:
    """The address, if it is http(s) with a host or a search of yt-dlp's; ValueError otherwise."""
    if re.match(r"^ytsearch(\d+|all|date\d+)?:", address):
        return address
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{address!r} is no http(s) address: only these are followed")
    return address


def settings(extractors: tuple[str, ...], **more) -> dict:
    """What every use of yt-dlp here shares."""
    return {"quiet": True, "no_warnings": True, "noprogress": True, "logger": Quiet(), "socket_timeout": 20,
            "allowed_extractors": list(extractors), "retries": 5, "extractor_retries": 3, "cachedir": False,
            "ignoreerrors": False, "enable_file_urls": False, **more}  # fmt: skip


def describe(address: str, extractors: tuple[str, ...], attempts: int = 4, wait_s: float = 2.0, **more) -> dict:
    """What a site says of an address, lists not followed into their videos. Raises ValueError naming the address."""
    def ask() -> dict:
        with yt_dlp.YoutubeDL(settings(extractors, extract_flat="in_playlist", skip_download=True, **more)) as site:
            return site.sanitize_info(site.extract_info(check_address(address), download=False))

    return with_retries(ask, address, attempts, wait_s)


def with_retries(ask: Callable[[], dict], address: str, attempts: int, wait_s: float):
    """`ask()`, again after wait_s, 2 wait_s, 4 wait_s ... while the refusal is temporary."""
    for attempt in range(attempts):
        try:
            return ask()
        except DownloadError as error:
            reason = str(error).removeprefix("ERROR: ").splitlines()[0]
            if attempt + 1 == attempts or not TEMPORARY.search(reason):
                raise ValueError(f"{address}: {reason}") from error
            time.sleep(wait_s * 2**attempt)


def record_of(entry: dict, origin: str) -> dict:
    """What the later programs need to know of a video."""
    extractor = str(entry.get("extractor_key") or entry.get("ie_key") or entry.get("extractor") or "generic").lower()
    video_id = str(entry.get("id") or entry.get("url"))
    return {
        "key": f"{extractor}:{video_id}", "extractor": extractor, "id": video_id,
        "url": entry.get("webpage_url") or entry.get("url"), "title": str(entry.get("title") or ""),
        "channel": str(entry.get("channel") or entry.get("uploader") or ""),
        "channel_url": entry.get("channel_url") or entry.get("uploader_url"),
        "duration_s": entry.get("duration"), "language": entry.get("language"),
        "live": entry.get("live_status") in ("is_live", "is_upcoming", "post_live") or bool(entry.get("is_live")),
        "license": entry.get("license"), "from": origin,
    }  # fmt: skip


def file_name(key: str) -> str:
    """A name for files that no key can turn into a path: letters, digits, '-' and '_', and where that loses something
    a few digits of the key's hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", key.replace(":", "-", 1))[:80]
    same = plain == key.replace(":", "-", 1)
    return plain if same else f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
