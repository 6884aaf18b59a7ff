"""The one door to video sites: yt-dlp as a library, held to http(s) and to the sites that were asked for.

In: an address or a search. Out: yt-dlp's description of it. Temporary refusals (429, 503, time-outs) are waited out.
"""

import hashlib
import math
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.utils import DownloadError, parse_duration

from vpt.errors import one_line

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
    try:
        parts = urlsplit(address)
        followed = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # brackets that hold no IPv6 address
        followed = False
    if not followed:
        raise ValueError(f"{one_line(address)!r} is no http(s) address: only these are followed")
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

    said = with_retries(ask, address, attempts, wait_s)
    if not isinstance(said, dict):
        raise ValueError(f"{address}: the site says nothing of it")
    return said


def with_retries(ask: Callable[[], dict], address: str, attempts: int, wait_s: float):
    """`ask()`, again after wait_s, 2 wait_s, 4 wait_s ... while the refusal is temporary."""
    for attempt in range(attempts):
        try:
            return ask()
        except DownloadError as error:
            reason = one_line(str(error).removeprefix("ERROR: "))
            if attempt + 1 == attempts or not TEMPORARY.search(reason):
                raise ValueError(f"{address}: {reason}") from error
            time.sleep(wait_s * 2**attempt)


def record_of(entry: dict, origin: str) -> dict:
    """What the later programs need to know of a video. Raises ValueError where nothing says which video it is."""
    extractor = _text(entry.get("extractor_key") or entry.get("ie_key") or entry.get("extractor") or "generic").lower()
    video_id = _text(entry.get("id") or entry.get("url"))
    if not video_id:
        raise ValueError(f"an entry without id and address: {one_line(_text(entry.get('title')), 80)!r}")
    return {
        "key": f"{extractor}:{video_id}", "extractor": extractor, "id": video_id,
        "url": _text(entry.get("webpage_url") or entry.get("url")) or None, "title": _text(entry.get("title")),
        "channel": _text(entry.get("channel") or entry.get("uploader")),
        "channel_url": _text(entry.get("channel_url") or entry.get("uploader_url")) or None,
        "duration_s": seconds_of(entry.get("duration")), "language": _text(entry.get("language")) or None,
        "live": entry.get("live_status") in ("is_live", "is_upcoming", "post_live") or bool(entry.get("is_live")),
        "license": _text(entry.get("license")) or None, "from": origin,
    }  # fmt: skip


def seconds_of(duration) -> float | None:
    """A duration as sites and lists write it, 533, "533" or "8:53"; None for what is no length of time."""
    if isinstance(duration, str):
        duration = parse_duration(duration)
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        return None
    return duration if 0 < duration < 1e9 and math.isfinite(duration) else None


def _text(value) -> str:
    """A value as text that UTF-8 can write: half a character (of a title cut off by the site) becomes "?"."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def file_name(key: str) -> str:
    """A name for files that no key can turn into a path: letters, digits, '-' and '_', and where that loses something
    a few digits of the key's hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", key.replace(":", "-", 1))[:80]
    same = plain == key.replace(":", "-", 1)
    return plain if same else f"{plain}-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:8]}"
