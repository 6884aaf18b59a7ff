"""The page's server: one page, one WebSocket, on 127.0.0.1 only; who may ask, and what.

In: an agent, a game, a port. Out: the page, until Ctrl-C or SIGTERM; then the recording is saved and the game ended.

    python -m vlpt.play --serve --model pretrained/agent --world luanti --open

The first page controls, others watch; when it is closed, the next one controls. Without a page there is no game.
"""

import asyncio
import signal
import time
import webbrowser
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from vlpt.agent import Agent
from vlpt.data.recognition import missing
from vlpt.live.messages import Listen, Look, Spoken, Take, Watched, parse
from vlpt.live.session import Game, Session
from vlpt.live.sound import LONGEST_S, hear_words
from vlpt.live.viewers import Viewer, Viewers
from vlpt.show.own_page import listen, page_application
from vpt.errors import one_line

PAGE = Path(__file__).with_name("page.html")
MOST_SOUND = 4_000_000  # bytes of one utterance


def serve(agent: Agent, game: Game, port: int, open_page: bool) -> None:
    """Until Ctrl-C or SIGTERM. Raises ValueError for a port that is taken."""
    viewers = Viewers()
    session = Session(agent, game, viewers)
    with listen(port) as listening, ended_by_signals():
        port = listening.getsockname()[1]
        print(f"{game.model} in {game.world}: http://127.0.0.1:{port} (Ctrl-C ends)", flush=True)
        if open_page:
            webbrowser.open(f"http://127.0.0.1:{port}")
        config = uvicorn.Config(application(agent, game, session, viewers, port), log_level="warning",
                                timeout_graceful_shutdown=1, ws_max_size=MOST_SOUND)  # fmt: skip
        session.start()
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            session.end()


@contextmanager
def ended_by_signals():
    """A context that Ctrl-C and SIGTERM leave alike, so that what comes after it is done."""
    def interrupt(number, frame) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def application(agent: Agent, game: Game, session: Session, viewers: Viewers, port: int) -> FastAPI:
    """The page and what it asks for."""
    @asynccontextmanager
    async def running(app):
        viewers.loop = asyncio.get_running_loop()
        yield
        viewers.loop = None

    app = page_application(PAGE, port, lifespan=running)

    @app.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        viewer = Viewer()
        viewer.note({"hello": about(agent, game)})
        visit = Visit(viewer, viewers, session)
        visit.enter()
        sending = asyncio.create_task(viewer.send_all(websocket))
        try:
            await visit.hear_all(websocket)
        except (WebSocketDisconnect, RuntimeError):  # gone, or gone while something was sent
            pass
        finally:
            sending.cancel()
            visit.leave()
            await asyncio.gather(sending, return_exceptions=True)

    return app


def about(agent: Agent, game: Game) -> dict:
    """What a page is told at first."""
    config = agent.model.config
    looks = agent.speaks and config.patch_window > 0
    gates = {name: round(value, 4) for name, value in agent.gates().items()}
    return {"world": game.world, "size": game.size, "model": game.model, "seed": game.seed, "speaks": agent.speaks,
            "gates": gates, "drawing": asdict(agent.sampling), "patches": config.policy.patches if looks else 0,
            "microphone": missing(), "longest_s": LONGEST_S}  # fmt: skip


class Visit:
    """One page's stay: what it says, and whether it may."""

    def __init__(self, viewer: Viewer, viewers: Viewers, session: Session) -> None:
        self.viewer, self.viewers, self.session = viewer, viewers, session
        self.recognising: asyncio.Task | None = None

    def enter(self) -> None:
        self.viewers.enter(self.viewer)
        self.session.tell(Watched(len(self.viewers.all)))

    def leave(self) -> None:
        """Whoever had the hands lets them go."""
        if self.viewers.controls(self.viewer):
            self.session.tell(Take(do="take", on=False))
        self.viewers.leave(self.viewer)
        self.look()
        self.session.tell(Watched(len(self.viewers.all)))

    async def hear_all(self, websocket: WebSocket) -> None:
        """Raises WebSocketDisconnect when the page is gone."""
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            try:
                self.hear(message)
            except ValueError as error:
                self.viewer.note({"error": one_line(error)})

    def hear(self, message: dict) -> None:
        """Raises ValueError for what is not understood, or not this page's to ask."""
        asked = parse(message["text"]) if message.get("text") is not None else None
        if isinstance(asked, Look):
            self.viewer.looks = asked.on
            return self.look()
        if not self.viewers.controls(self.viewer):
            raise ValueError("another page controls: this one watches")
        if isinstance(asked, Listen):
            self.viewer.listening_since_s = time.monotonic()
        elif asked is not None:
            self.session.tell(asked)
        elif self.recognising and not self.recognising.done():
            raise ValueError("what was said before is still being recognised")
        else:
            self.recognising = asyncio.create_task(self.recognise(message["bytes"]))

    def look(self) -> None:
        """The game tells where words look while anybody wants to see it."""
        on = any(viewer.looks for viewer in self.viewers.all)
        self.session.tell(Look(do="look", on=on))

    async def recognise(self, blob: bytes) -> None:
        """What the microphone heard, beside the game; the agent hears it then."""
        now_s = time.monotonic()
        began_s, self.viewer.listening_since_s = self.viewer.listening_since_s or now_s, None
        self.viewer.note({"recognising": len(blob)})
        try:
            words = await asyncio.to_thread(hear_words, blob)
        except Exception as error:  # whatever the library came up with
            return self.viewer.note({"error": one_line(error)})
        if not words:
            return self.viewer.note({"error": "no words were heard"})
        if self.viewers.controls(self.viewer):
            self.session.tell(Spoken(tuple(words), began_s))
