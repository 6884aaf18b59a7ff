"""A page for the human eye: is a video clean play, does it have artefacts (overlays, borders, a face), or is it other?

In: a folder of `<id>.mp4` with `<id>.meta.json`; where they are there, `transcripts.jsonl` for words a minute and an
order file (rows {"key": id}, first things first; the rest follows by name). Out: `3_reviewed.jsonl`, only added to:
{"key": id, "label": "clean" | "artefacts" | "other" | null, "at": ISO time}; the last row of a key counts, null takes
the label back. A label is on the disk before the page hears of it; started again, it goes on where it stopped. Run:

    python -m data_gathering.review --videos data/3_video --open

Keys: 1, 2, 3 label; u takes the last label back; s skips; space plays. Only this machine can reach the page, only the
page itself can ask for anything, and only the folder's own videos are given out.
"""

import os
import stat
import webbrowser
from asyncio import shield, wrap_future
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel

from data_gathering.frame_quality.contact_sheet import Sheets
from data_gathering.frame_quality.verdicts import CLASSES
from data_gathering.ledger import LatestLedger, read_rows
from data_gathering.recordings import meta_path, video_path
from vlpt.files import locked, read_json
from vlpt.options import Port, run
from vlpt.show.own_page import listen, page_application
from vpt.errors import one_line

PAGE = Path(__file__).with_name("review.html")
AHEAD = 8  # sheets made before they are asked for
MOST_META = 1_000_000  # bytes of a meta.json


@dataclass(frozen=True)
class Options:
    """Shows videos as contact sheets in the browser and writes down what a person says of them."""

    videos: str = "data/3_video"  # folder of <id>.mp4 with <id>.meta.json
    words: str = "data/4_words"  # folder with transcripts.jsonl, where there is one
    order: str = "data/3_next.jsonl"  # rows {"key": id}: these first, where there is such a file
    out: str = "data/3_reviewed.jsonl"  # JSON lines of labels, only added to
    port: Port = 8765  # on 127.0.0.1; 0 takes a free one
    open: bool = False  # open the page in the browser


def main(options: Options) -> None:
    """Serves until Ctrl-C. Raises ValueError for a folder without videos, a broken file or a port that is taken."""
    with locked(options.out):
        review(options)


def review(options: Options) -> None:
    """What `main` does, while nobody else adds to the labels."""
    queue = ReviewQueue(options)
    with listen(options.port) as listening, closing(queue.sheets), suppress(KeyboardInterrupt):
        port = listening.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        print(f"{len(queue.ids)} videos, {queue.progress()['labelled']} labelled; {address} (Ctrl-C ends)", flush=True)
        if options.open:
            webbrowser.open(address)
        # A video that is being played holds its connection: it is not waited for.
        config = uvicorn.Config(application(queue, port), log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])
    print(f"{options.out}: {queue.progress()['counts']}")


class ReviewQueue:
    """The videos in their order, and what was said of them. No video is opened before its turn comes near."""

    def __init__(self, options: Options) -> None:
        self.folder = Path(options.videos).resolve()
        self.ids = in_order(find_videos(self.folder), Path(options.order))
        self.position = {id_: i for i, id_ in enumerate(self.ids)}
        self.rates = {row["key"]: row.get("words_a_minute")
                      for row in read_rows(Path(options.words) / "transcripts.jsonl")}  # fmt: skip
        self.reviewed, self.sheets = LatestLedger(options.out), Sheets()

    def labels(self) -> dict[str, str]:
        """Of the videos that are here, the one labelled last at the end."""
        rows = list(self.reviewed.rows.values())
        return {row["key"]: row["label"] for row in rows if row.get("label") in CLASSES and row["key"] in self.position}

    def progress(self) -> dict:
        """How far it is."""
        counts = Counter(self.labels().values())
        return {"total": len(self.ids), "labelled": counts.total(), "counts": {name: counts[name] for name in CLASSES}}

    def following(self, position: int, count: int) -> list[dict]:
        """The next videos without a label after a position; -1 is before the first."""
        labels, found = self.labels(), []
        for i in range(position + 1, len(self.ids)):
            if len(found) == count:
                break
            if self.ids[i] not in labels:
                found.append(self.describe(self.ids[i]))
        return found

    def describe(self, id_: str) -> dict:
        """What the page tells of a video; a meta.json that is broken, or no file of the folder, tells nothing."""
        path = meta_path(self.folder, id_)
        try:
            meta = read_json(path) if is_small_file(path) else {}
            told = {name: str(meta.get(name) or "")[:500].encode("utf-8", "replace").decode()
                    for name in ("title", "channel", "source")}  # fmt: skip
        except Exception:  # whatever stands in it
            told = {"title": "", "channel": "", "source": ""}
        if not told["source"].startswith(("https://", "http://")):
            told["source"] = ""  # the page makes a link of it
        return {"key": id_, "position": self.position[id_], "words_a_minute": self.rates.get(id_), **told}

    def label(self, id_: str, label: str | None) -> None:
        """On the disk when this returns. Raises Unknown."""
        if id_ not in self.position:
            raise Unknown(id_)
        self.reviewed.add({"key": id_, "label": label, "at": datetime.now(UTC).isoformat(timespec="seconds")})

    def undo(self) -> dict | None:
        """Takes the last label back and returns its video, or None where there is no label."""
        last = next(reversed(self.labels()), None)
        if last is None:
            return None
        self.label(last, None)
        return self.describe(last)

    def path(self, id_: str) -> Path:
        """A video's file. Raises Unknown, or ValueError for what is no file of the folder."""
        if id_ not in self.position:
            raise Unknown(id_)
        path = Path(os.path.realpath(video_path(self.folder, id_)))
        if path.parent != self.folder or not path.is_file():
            raise ValueError(f"{id_}.mp4 is no file of the folder: a link out of it, or gone")
        return path

    def prepare(self, items: list[dict]) -> None:
        """Have sheets made in the background; what is wrong with a video is said when its sheet is asked for."""
        for item in items:
            with suppress(ValueError, OSError):
                self.sheets.ask(self.path(item["key"]))


def is_small_file(path: Path) -> bool:
    """Not a pipe, which would be waited for, nor a link out of the folder, nor what no meta file is as long as."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= MOST_META


class Unknown(ValueError):
    """An id that the folder did not hold at the start."""


def find_videos(folder: Path) -> list[str]:
    """The ids of a folder's videos, by name. Raises ValueError where there is none."""
    names = sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
    videos = [name for name in names if name.endswith(".mp4") and not name.startswith(".")]
    for name in videos:
        if not name.isprintable():
            print(f"left out: {name!a} is no name to print")
    ids = [name.removesuffix(".mp4") for name in videos if name.isprintable()]
    if not ids:
        raise ValueError(f"{folder} holds no video (<id>.mp4): run data_gathering.download, or name another folder")
    return ids


def in_order(ids: list[str], order: Path) -> list[str]:
    """The ids that the order file names, in its order, then the others."""
    known = dict.fromkeys(ids)
    first = dict.fromkeys(row["key"] for row in read_rows(order) if row["key"] in known)
    return list(first | known)


class Label(BaseModel):
    """What a person said."""

    key: str
    label: Literal[CLASSES]


def application(queue: ReviewQueue, port: int) -> FastAPI:
    """The page and what it asks for."""
    app = page_application(PAGE, port)

    @app.exception_handler(Unknown)
    def unknown(request, error):
        return PlainTextResponse("there is no such video", 404)

    @app.exception_handler(ValueError)
    def unreadable(request, error):
        return PlainTextResponse(one_line(str(error).replace(f"{queue.folder}{os.sep}", "")), 422)

    @app.exception_handler(OSError)
    def not_written(request, error):
        return PlainTextResponse(f"{queue.reviewed.path.name}: {error.strerror}", 500)

    @app.get("/next")
    def following(after: int = -1) -> dict:
        items = queue.following(after, AHEAD)
        queue.prepare(items)
        return {"items": items, **queue.progress()}

    @app.get("/sheet")
    async def sheet(key: str) -> Response:
        made = queue.sheets.ask(queue.path(key))  # shared: one page going away must not cancel it for another
        return Response(await shield(wrap_future(made)), media_type="image/jpeg")

    @app.get("/video")
    def video(key: str) -> FileResponse:
        return FileResponse(queue.path(key), media_type="video/mp4")  # answers ranges

    @app.post("/label")
    def label(said: Label) -> dict:
        queue.label(said.key, said.label)
        return queue.progress()

    @app.post("/undo")
    def undo() -> dict:
        return {"item": queue.undo(), **queue.progress()}

    return app


if __name__ == "__main__":
    run(main, Options)
