"""Who watches, and who of them controls: the one who came first; when that one leaves, who came next.

In: from the game's thread, frames and news. Out: to each viewer, as fast as that one takes them: of frames only the
newest (its words and those of the frames left out with it), of news all. A slow viewer slows nobody.

A frame is bytes: the length of its state (4, little-endian), the state as JSON, the picture as JPEG. News are JSON.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress

MOST_NEWS = 200  # that wait for a viewer


class Viewer:
    """One open page; lives in the server's event loop."""

    def __init__(self) -> None:
        self.ready, self.news = asyncio.Event(), deque(maxlen=MOST_NEWS)
        self.shown: tuple[dict, bytes] | None = None
        self.looks = False
        self.listening_since_s: float | None = None

    def show(self, state: dict, jpeg: bytes) -> None:
        """A frame; one that was not sent yet is left out, but for what is said in it."""
        if self.shown:
            state = {**state, "said": self.shown[0]["said"] + state["said"]}
        self.shown = state, jpeg
        self.ready.set()

    def note(self, news: dict) -> None:
        self.news.append(json.dumps(news))
        self.ready.set()

    async def send_all(self, websocket) -> None:
        """Until the page is gone."""
        while True:
            await self.ready.wait()
            self.ready.clear()
            while self.news:
                await websocket.send_text(self.news.popleft())
            if self.shown:
                packed, self.shown = pack(*self.shown), None
                await websocket.send_bytes(packed)


class Viewers:
    """All of them: the audience of a `Session`."""

    def __init__(self) -> None:
        self.all: list[Viewer] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.last: tuple[dict, bytes] | None = None

    # ---- from the game's thread

    def show(self, state: dict, jpeg: bytes) -> None:
        self._soon(self._show, state, jpeg)

    def note(self, news: dict) -> None:
        self._soon(self._note, news)

    def _soon(self, call, *arguments) -> None:
        with suppress(RuntimeError):  # the server has ended meanwhile
            if self.loop:
                self.loop.call_soon_threadsafe(call, *arguments)

    # ---- in the loop

    def controls(self, viewer: Viewer) -> bool:
        return bool(self.all) and self.all[0] is viewer

    def enter(self, viewer: Viewer) -> None:
        """Whoever comes late sees the last picture at once."""
        self.all.append(viewer)
        if self.last:
            viewer.show({**self.last[0], "said": []}, self.last[1])
        self.tell_places()

    def leave(self, viewer: Viewer) -> None:
        self.all.remove(viewer)
        self.tell_places()

    def tell_places(self) -> None:
        """To each, whether it controls, and how many watch."""
        for viewer in self.all:
            viewer.note({"control": self.controls(viewer), "viewers": len(self.all)})

    def _show(self, state: dict, jpeg: bytes) -> None:
        self.last = state, jpeg
        for viewer in self.all:
            viewer.show(state, jpeg)

    def _note(self, news: dict) -> None:
        if "starting" in news:
            self.last = None
        for viewer in self.all:
            viewer.note(news)


def pack(state: dict, jpeg: bytes) -> bytes:
    """As the page reads it."""
    said = json.dumps(state).encode()
    return len(said).to_bytes(4, "little") + said + jpeg
