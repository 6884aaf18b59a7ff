"""A video site on this machine, with everything that goes wrong on real ones: pages, feeds, files with ranges, stalls,
cut files, refusals for a while (429, 503), redirects, and names that mean harm.

    with rehearsal_site() as site:
        site.video("ch0-00", content, "Let's play", track=rolled_up(words))
        site.feed("/channel/ch0", ["ch0-00"])        # at site.address
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vlpt.data.words import Word

KINDS = {"mp4": "video/mp4", "m4a": "audio/mp4", "mpd": "application/dash+xml"}


class Site:
    """`files`: name -> content; `refuse`: path -> (status, times); `stall`: path -> seconds; `cut`: path -> bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.pages: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.refuse: dict[str, list[int]] = {}
        self.stall: dict[str, float] = {}
        self.cut: dict[str, int] = {}
        self.redirect: dict[str, str] = {}
        self.asked: Counter = Counter()
        self.bytes_sent: Counter = Counter()

    def video(self, name: str, content: bytes, title: str | None = None, track: str | None = None) -> None:
        """A page with a video, and perhaps a caption track."""
        self.files[f"/files/{name}.mp4"] = content
        self.titles[name] = title or name
        captions = ""
        if track is not None:
            self.files[f"/files/{name}.vtt"] = track.encode()
            captions = f'<track kind="subtitles" src="/files/{name}.vtt" srclang="en">'
        self.pages[f"/watch/{name}"] = (
            f"<html><head><title>{title or name}</title></head><body><video><source src='/files/{name}.mp4' "
            f"type='video/mp4'>{captions}</video></body></html>"
        )

    def apart(self, name: str, pictures: dict[int, bytes], sound: bytes) -> None:
        """A DASH manifest of files without sound, by their height, and of the sound: nowhere is there both."""
        sets = ""
        for height, content in pictures.items():
            self.files[f"/files/{name}-{height}.mp4"] = content
            sets += (f'<Representation id="v{height}" bandwidth="{1000 * height}" width="{2 * height}" '
                     f'height="{height}" codecs="avc1.4d401e"><BaseURL>/files/{name}-{height}.mp4</BaseURL>'
                     "</Representation>")  # fmt: skip
        self.files[f"/files/{name}.m4a"] = sound
        self.files[f"/dash/{name}.mpd"] = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT50S"><Period>'
            f'<AdaptationSet mimeType="video/mp4" contentType="video">{sets}</AdaptationSet>'
            '<AdaptationSet mimeType="audio/mp4" contentType="audio"><Representation id="a" bandwidth="64000" '
            f'codecs="mp4a.40.2"><BaseURL>/files/{name}.m4a</BaseURL></Representation></AdaptationSet>'
            "</Period></MPD>").encode()  # fmt: skip

    def feed(self, path: str, names: list[str]) -> None:
        """An RSS feed of pages."""
        item = "<item><title>{}</title><link>{}/watch/{}</link></item>"
        items = "".join(item.format(self.titles.get(name, name), self.address, name) for name in names)
        channel = f"<channel><title>a feed</title>{items}</channel>"
        self.pages[path] = f'<?xml version="1.0"?><rss version="2.0">{channel}</rss>'


@contextmanager
def rehearsal_site() -> Iterator[Site]:
    """A running Site; its `address` is http://127.0.0.1:PORT."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args) -> None:
            """Not told."""

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, body: bool = True) -> None:
            path = self.path.split("?")[0]
            site.asked[path] += body
            if site.refuse.get(path):
                return self._answer(site.refuse[path].pop(0), b"later", "text/plain", body)
            if path in site.redirect:
                self.send_response(302)
                self.send_header("Location", site.redirect[path])
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if path in site.pages:
                time.sleep(site.stall.get(path, 0))
                kind = "application/rss+xml" if site.pages[path].startswith("<?xml") else "text/html"
                return self._answer(200, site.pages[path].encode(), kind, body)
            if path in site.files:
                return self._file(path, KINDS.get(path.rsplit(".", 1)[-1], "text/vtt"), body)
            self._answer(404, b"nothing here", "text/plain", body)

        def _answer(self, status: int, content: bytes, kind: str, body: bool) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def _file(self, path: str, kind: str, body: bool) -> None:
            content, start = site.files[path], 0
            if match := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
                start = int(match.group(1))
            if start >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if not body:
                return
            time.sleep(site.stall.get(path, 0))
            sent = content[start:]
            if path in site.cut:
                sent = sent[: site.cut.pop(path)]
                self.close_connection = True
            site.bytes_sent[path] += len(sent)
            self.wfile.write(sent)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


def rolled_up(words: Sequence[Word]) -> str:
    """Words as a platform's WebVTT: five a cue, each with its time."""
    lines = ["WEBVTT", "Kind: captions", "Language: en", ""]
    for i in range(0, len(words), 5):
        line = words[i : i + 5]
        times = [_clock(word.start_ms) for word in line[1:]] or [_clock(line[0].end_ms)]
        rest = [word.word for word in line[1:]] or [""]
        lines.append(f"{_clock(line[0].start_ms)} --> {_clock(line[-1].end_ms)} align:start position:0%")
        lines += [line[0].word + "".join(f"<{t}><c> {w}</c>" for t, w in zip(times, rest, strict=True)), ""]
    return "\n".join(lines) + "\n"


def _clock(ms: float) -> str:
    return f"{int(ms // 3_600_000):02d}:{int(ms // 60_000 % 60):02d}:{ms % 60_000 / 1000:06.3f}"
