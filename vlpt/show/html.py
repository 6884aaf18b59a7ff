"""Pieces of a self-contained page: pictures, films, notes, and what is not there yet.

In: figures, paths, texts. Out: HTML.
"""

import base64
import io
from html import escape
from pathlib import Path


def picture(figure) -> str:
    """A matplotlib figure inside the page."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return png(data.getvalue())


def png(data: bytes) -> str:
    """A PNG inside the page."""
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(data).decode()}'>"


def film(path: Path, maker: str) -> str:
    """A video inside the page."""
    if not path.exists():
        return absent(path.name, maker)
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<video controls loop muted autoplay playsinline src='data:video/mp4;base64,{data}'></video>"


def note(text: str) -> str:
    """A paragraph in small letters; text is HTML."""
    return f"<p class=note>{text}</p>"


def absent(what: str, maker: str) -> str:
    """What stands in the place of something that no program has made yet."""
    return f"<p class=absent>{escape(what)}: not there yet; made by <code>{escape(maker)}</code>.</p>"
