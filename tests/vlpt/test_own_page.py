"""Pages of this machine's own: what they share reaches each of them, and the browser is told to allow just that.

Run: pytest tests/vlpt/test_own_page.py
"""

import base64
import hashlib
import re

import pytest
from fastapi.testclient import TestClient
from support.places import ROOT

from vlpt.show.own_page import page_application


@pytest.mark.parametrize("file", ["vlpt/live/page.html", "data_gathering/review.html"])
def test_a_page_has_the_shared_style_before_its_own_and_both_are_allowed(file):
    answer = TestClient(page_application(ROOT / file, 8765), base_url="http://127.0.0.1:8765").get("/")
    style, = re.findall("<style>(.*?)</style>", answer.text, re.S)
    shared = (ROOT / "vlpt/show/pages/own_page.css").read_text()
    own, = re.findall("<style>(.*?)</style>", (ROOT / file).read_text(), re.S)
    assert style == f"\n{shared}{own}"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("file", ["vlpt/live/page.html", "data_gathering/review.html"])
def test_a_page_uses_only_colours_that_are_there(file):
    """A name that nothing defines would be drawn in no colour at all, without an error."""
    texts = [(ROOT / path).read_text() for path in (file, "vlpt/show/pages/own_page.css")]
    given = set(re.findall(r"(--[a-z]+):", "".join(texts))) | set(re.findall(r'"(--[a-z]+)"', texts[0]))
    assert set(re.findall(r"var\((--[a-z]+)\)", "".join(texts))) <= given


def test_the_shared_style_loads_nothing():
    text = (ROOT / "vlpt/show/pages/own_page.css").read_text()
    assert not re.search(r"url\(|@import|https?://", text)
