"""A page of this machine's own: reached only from here, asked only by itself, running only its own script.

In: a page as text and a port. Out: a socket on 127.0.0.1; a layer around an application that refuses what comes under
another name of this machine (DNS rebinding) or from another page; the headers that say so to browsers. What they all
look like is pages/own_page.css, which is put before each page's own style as it is shown. For data_gathering/review.py
and vlpt/live/server.py:

    app = page_application(Path("page.html"), port)          # and more routes
    with listen(port) as listening: uvicorn.Server(uvicorn.Config(app)).run(sockets=[listening])
"""

import base64
import hashlib
import re
import socket
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders

STYLE = Path(__file__).parent / "pages/own_page.css"  # what all such pages look like; each adds its own
MOST_SAID = 10_000  # bytes that a page sends at once in a request
REFUSED = 1008  # of a WebSocket, "policy violation"; before it is accepted, a browser sees status 403


def listen(port: int) -> socket.socket:
    """A socket that only this machine reaches, open before its address is told. Raises ValueError where it is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ValueError(f"port {port} cannot be used ({error.strerror}): --port 0 takes a free one") from error


def page_application(file: Path, port: int, **how) -> FastAPI:
    """An application that shows a page, to itself only; how: more of FastAPI's options."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, **how)
    page = file.read_text(encoding="utf-8").replace("<style>", f"<style>\n{STYLE.read_text(encoding='utf-8')}", 1)
    app.add_middleware(OwnPageOnly, port=port, policy=policy_for(page))

    @app.get("/")
    def show() -> HTMLResponse:
        return HTMLResponse(page)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)  # browsers ask for one

    return app


class OwnPageOnly:
    """Refuses what does not come from the page itself: other names of this machine (DNS rebinding), other pages."""

    def __init__(self, app, port: int, policy: str) -> None:
        self.app, self.hosts = app, {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.headers = {
            "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY"}  # fmt: skip

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket":
            return await self.websocket(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        wrong = self.wrong_with(scope["method"], scope["path"], Headers(scope=scope))
        app = PlainTextResponse(f"refused: {wrong}", 403) if wrong else self.app
        if (body := await read_body(receive, Headers(scope=scope))) is None:
            app, body = PlainTextResponse(f"refused: more than {MOST_SAID} bytes", 413), b""
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again():
            return waiting.pop() if waiting else await receive()

        await app(scope, receive_again, send_with_headers)

    async def websocket(self, scope, receive, send) -> None:
        """A WebSocket changes things, and browsers let any page open one: it must say that it is the page's own."""
        if self.wrong_with("POST", scope["path"], Headers(scope=scope)):
            await receive()  # its opening
            return await send({"type": "websocket.close", "code": REFUSED})
        await self.app(scope, receive, send)

    def wrong_with(self, method: str, path: str, headers: Headers) -> str:
        """Why a request is refused; empty where it is not."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return "this is asked for under another name"
        changes = method not in ("GET", "HEAD")
        if (changes or origins) and origins != [f"http://{hosts[0]}"]:
            return "this does not come from the page"
        # Browsers say so themselves; a link from elsewhere may open the page, and nothing but the page.
        from_page = headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return "" if from_page or (path == "/" and not changes) else "this comes from another page"


async def read_body(receive, headers: Headers) -> bytes | None:
    """What was sent with a request; None, without reading on, for more than the page ever sends."""
    if not headers.get("content-length", "0").isdecimal() or int(headers.get("content-length", "0")[:20]) > MOST_SAID:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > MOST_SAID:
            return None
    return body


def policy_for(page: str) -> str:
    """Content-Security-Policy: the page's own style and script, by their hashes, and files from here."""
    def hashes(tag: str) -> str:
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inner)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src 'self'; "
            "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
