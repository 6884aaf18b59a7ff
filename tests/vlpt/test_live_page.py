"""The page to play with the agent: who may ask, keys and mouse in headless Chromium, a second viewer, the end.

Run: pytest tests/vlpt/test_live_page.py
"""

import asyncio
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from support.places import ROOT
from support.toy_agent import save_toy, tokenizer, toy_model
from websockets.sync.client import connect

from vlpt.agent import Agent
from vlpt.data.recognition import missing
from vlpt.data.words import read_words
from vlpt.live import server, session
from vlpt.live.session import Game, Session
from vlpt.live.sound import read_sound
from vlpt.live.viewers import Viewer, Viewers
from vlpt.show.own_page import listen
from vpt.actions import BUTTONS, read_contractor

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OWN = {"host": "127.0.0.1:8766", "origin": "http://127.0.0.1:8766"}


@contextmanager
def serving(recordings: Path):
    """The server in a thread: its address, its session, and the texts that reached the agent's ears."""
    agent, viewers, heard = Agent(toy_model(), tokenizer()), Viewers(), []
    hear = agent.hear
    agent.hear = lambda text, memory, lane=0: heard.append(text) or hear(text, memory, lane)
    game = Game("dummy", (128, 72), 3, str(recordings), "live", "toy")
    running = Session(agent, game, viewers)
    with listen(0) as listening:
        port = listening.getsockname()[1]
        app = server.application(agent, game, running, viewers, port)
        program = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=program.run, kwargs={"sockets": [listening]})
        running.start()
        thread.start()
        try:
            yield SimpleNamespace(address=f"http://127.0.0.1:{port}", session=running, viewers=viewers, heard=heard)
        finally:
            program.should_exit = True
            thread.join()
            running.end()


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "GRACE_S", 0.1)
    with serving(tmp_path / "played") as live:
        yield live


def until(condition, seconds: float = 30.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.01)


# ---- who may ask


@pytest.fixture(scope="module")
def client():
    agent, game, viewers = Agent(toy_model(), tokenizer()), Game("dummy"), Viewers()
    return TestClient(server.application(agent, game, Session(agent, game, viewers), viewers, 8766))


@pytest.mark.parametrize("change", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {"origin": None},
    {"host": "evil.example:8766"}, {"host": "evil.example", "origin": "http://evil.example"},
    {"sec-fetch-site": "cross-site"},
])  # fmt: skip
def test_only_the_page_itself_opens_the_socket(client, change):
    headers = {name: value for name, value in {**OWN, **change}.items() if value is not None}
    with pytest.raises(WebSocketDisconnect):
        with client.websocket_connect("/live", headers=headers):
            pass


def test_the_page_itself_may_and_is_told_what_it_needs(client):
    with client.websocket_connect("/live", headers={**OWN, "sec-fetch-site": "same-origin"}) as socket:
        hello = socket.receive_json()["hello"]
        assert hello["world"] == "dummy" and hello["speaks"] and hello["patches"] == 16 and len(hello["gates"]) == 6
        assert socket.receive_json() == {"control": True, "viewers": 1}


def test_another_name_is_refused_and_the_page_runs_its_own_script_only(client):
    assert client.get("/", headers={"host": "evil.example:8766"}).status_code == 403
    answer = client.get("/", headers={"host": OWN["host"]})
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"(src|href)=|@import|\son\w+=\"|style=|https?://", server.PAGE.read_text())


def test_what_is_not_understood_is_told_and_harms_nothing(live):
    with connect(live.address.replace("http", "ws") + "/live", origin=live.address) as socket:
        for nonsense in ('{"do": "harm"}', "{", b"no sound"):
            socket.send(nonsense)
            while "error" not in (news := next_news(socket)):
                pass
        assert "sound cannot be read" in news["error"] or news["error"].endswith(missing())
        assert live.session.thread.is_alive()


@pytest.mark.skipif(bool(missing()) or not shutil.which("espeak-ng"), reason=missing() or "apt-get install espeak-ng")
@pytest.mark.parametrize("codec, name", [("pcm_s16le", "say.wav"), ("libopus", "say.webm")])
def test_what_is_spoken_reaches_the_ears(live, tmp_path, codec, name):
    """A voice, as a WAV file and as browsers' recorders write it, through the socket and a real recogniser."""
    subprocess.run(["espeak-ng", "-s", "130", "-w", tmp_path / "voice.wav", "Walk to the tree and jump."], check=True)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "voice.wav", "-ar", "48000", "-c:a", codec,
                    tmp_path / name], check=True)  # fmt: skip
    with connect(live.address.replace("http", "ws") + "/live", origin=live.address) as socket:
        while not isinstance(socket.recv(60), bytes):
            pass
        socket.send('{"do": "listen"}')
        socket.send((tmp_path / name).read_bytes())
        while not (news := next_news(socket)).keys() & {"told", "error"}:
            pass
    assert news.get("how") == "spoken" and "tree" in live.heard[0].lower() and "jump" in live.heard[0].lower()


def next_news(socket) -> dict:
    while isinstance(message := socket.recv(20), bytes):
        pass
    return json.loads(message)


# ---- a slow viewer


def test_a_slow_viewer_gets_the_newest_frame_all_words_and_holds_nobody():
    async def watch():
        sent, free, viewer = [], asyncio.Event(), Viewer()

        async def send(message):
            sent.append(message)
            await free.wait()

        sending = asyncio.create_task(viewer.send_all(SimpleNamespace(send_text=send, send_bytes=send)))
        for n in range(100):
            viewer.show({"frame": n, "said": [["agent", f" {n}"]] if n % 10 == 0 else []}, b"jpeg")
            await asyncio.sleep(0)
        viewer.note({"saved": "a"})
        free.set()
        await asyncio.sleep(0.01)
        sending.cancel()
        return sent

    first, news, last = asyncio.run(watch())
    states = [json.loads(message[4:4 + int.from_bytes(message[:4], "little")]) for message in (first, last)]
    assert [state["frame"] for state in states] == [0, 99] and json.loads(news) == {"saved": "a"}
    assert [piece for state in states for _, piece in state["said"]] == [f" {n}" for n in range(0, 100, 10)]


# ---- in a browser


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM,
                                             args=["--no-sandbox", "--disable-gpu", *microphone])  # fmt: skip
        yield browser
        browser.close()


def open_page(browser, live):
    """A page that shows the game, and what went wrong in it."""
    page, errors = browser.new_page(), []
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.goto(live.address)
    page.wait_for_function("() => state && at('waiting').hidden && at('picture').width === 128")
    return page, errors


def test_it_is_talked_to_taken_over_and_recorded(browser, live, tmp_path):
    page, errors = open_page(browser, live)
    page.keyboard.press("r")
    page.wait_for_function("() => state.recording && state.recording.frames > 1")
    page.keyboard.press("t")
    page.keyboard.type("let's chop a tree")
    page.keyboard.press("Enter")
    page.wait_for_function("() => at('log').textContent.includes(\"let's chop a tree\")")
    page.wait_for_function("() => at('subtitle').querySelector('.person')")
    assert live.heard == ["let's chop a tree"]

    page.keyboard.down("Tab")  # it is on the game that the focus lies
    page.wait_for_function("() => state.person && at('place').textContent === 'your hands'")
    begin = page.evaluate("state.frame")
    page.keyboard.down("d")
    page.mouse.move(300, 300)
    page.mouse.down()
    page.wait_for_function("n => state.frame > n + 3 && state.buttons.includes('attack')", arg=begin)
    page.mouse.move(340, 310)
    page.wait_for_function("() => state.camera_deg[1] > 0 && at('hands').querySelector('.down')")
    page.mouse.up()
    page.wait_for_function("n => state.frame > n + 20", arg=begin)
    page.keyboard.up("d")
    page.keyboard.up("Tab")
    page.wait_for_function("() => !state.person")
    end = page.evaluate("state.frame")
    page.wait_for_function("n => state.frame > n + 2", arg=end)
    page.fill("#seed", "8")
    page.click("#reset")
    page.wait_for_function("() => state.seed === 8 && at('log').textContent.includes('saved')")

    folder = tmp_path / "played"
    meta, rows = json.loads((folder / "live-000.meta.json").read_text()), read_contractor(folder / "live-000.jsonl")
    (taken,) = meta["person"]
    mine = rows.buttons[slice(*taken)]
    assert 20 <= taken[1] - taken[0] <= end - begin + 4
    assert mine[:, BUTTONS.index("right")].sum() > 15 and mine[:, BUTTONS.index("attack")].any()
    assert not mine[:, [BUTTONS.index(name) for name in ("left", "back", "jump", "use")]].any()
    assert (rows.camera_deg[slice(*taken)] > 0).any(0).all()
    assert [word.word for word in read_words(folder / "live-000.words.jsonl")] == "let's chop a tree".split()
    page.close()
    assert not errors


def test_it_stands_still_is_drawn_otherwise_and_shows_where_words_look(browser, live):
    page, errors = open_page(browser, live)
    page.keyboard.press("l")
    page.wait_for_function("() => lastLook && lastLook.length === 16 && !at('heat').hidden && at('heat').width > 64")
    slider = page.locator("[data-name=guidance]")
    slider.fill("2")
    until(lambda: live.session.agent.sampling.guidance == 2)
    page.wait_for_function("() => [...document.querySelectorAll('output')].at(-1).value === '2.00'")
    slider.blur()
    page.keyboard.press("p")
    page.wait_for_function("() => state.paused")
    frame = page.evaluate("state.frame")
    page.keyboard.press(".")
    page.wait_for_function("n => state.frame === n + 1", arg=frame)
    assert page.evaluate("state.frame") == frame + 1
    page.click("#pause")
    page.wait_for_function("n => state.frame > n + 5 && state.rate > 0 && at('rate').textContent.includes('frames/s')",
                           arg=frame)  # fmt: skip
    page.click("#speak")
    if lacking := missing():
        page.wait_for_function("text => at('log').textContent.includes(text)", arg=lacking)
    else:
        page.wait_for_function("() => recorder && recorder.state === 'recording'")
        page.click("#speak")
        page.wait_for_function("() => at('log').textContent.includes('recognising')")
        page.wait_for_function("() => at('log').lastChild.textContent !== 'recognising what you said …'")
    page.close()
    assert not errors


def test_a_second_page_watches_until_the_first_is_closed(browser, live):
    first, errors = open_page(browser, live)
    second, others = open_page(browser, live)
    second.wait_for_function("() => at('place').textContent.includes('you watch') && at('controls').disabled")
    second.keyboard.press("p")
    second.keyboard.down("Tab")
    second.evaluate("ask({do: 'take', on: true})")  # a page of somebody's own making
    second.evaluate("ask({do: 'say', text: 'jump'})")
    second.wait_for_function("() => at('log').textContent.includes('another page controls')")
    frame = second.evaluate("state.frame")
    second.wait_for_function("n => state.frame > n + 3 && !state.person && !state.paused", arg=frame)
    second.keyboard.up("Tab")
    assert not live.heard and "1 watching" in first.inner_text("#place")
    first.keyboard.down("Tab")
    second.wait_for_function("() => state.person")
    first.close()
    second.wait_for_function("() => !state.person && at('place').textContent === 'you control'")
    second.close()
    until(lambda: live.session.life is None and not live.viewers.all)
    assert not errors and not others


def test_sound_is_read_whatever_its_rate_and_cut_where_it_is_too_long():
    blob = io.BytesIO()
    with wave.open(blob, "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        file.writeframes(np.full((48_000 * 31, 2), 8192, np.int16).tobytes())
    sound = read_sound(blob.getvalue())
    assert sound.dtype == np.float32 and len(sound) == 30 * 16_000 and abs(sound[8000] - 0.25) < 0.01
    for broken in (b"", b"no sound" * 99, blob.getvalue()[:20]):
        with pytest.raises(ValueError, match="cannot be read"):
            read_sound(broken)


# ---- as a program


def test_the_program_ends_well_and_saves_what_is_being_recorded(tmp_path):
    model = save_toy(tmp_path / "model")
    command = [sys.executable, "-m", "vlpt.play", "--serve", "--model", str(model), "--world", "dummy", "--port", "0",
               "--recordings", str(tmp_path / "played"), "--channel", "me", "--threads", "1"]  # fmt: skip
    running = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline()).group()
        with connect(address.replace("http", "ws") + "/live", origin=address) as socket:
            while not isinstance(socket.recv(60), bytes):
                pass
            socket.send('{"do": "record", "on": true}')
            while not isinstance(message := socket.recv(60), bytes) or b'"frames": 5' not in message:
                pass
            running.send_signal(signal.SIGTERM)
            _, errors = running.communicate(timeout=60)
        assert running.returncode == 0 and not errors, errors
        assert json.loads((tmp_path / "played/me-000.meta.json").read_text())["frames"] >= 5
        assert len(list((tmp_path / "played").iterdir())) == 4
    finally:
        running.kill()
        running.communicate()
