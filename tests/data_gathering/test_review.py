"""The page for the human eye: what it gives out and to whom, what is on the disk, and keys and mouse in a browser."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from support.places import SAMPLES

from data_gathering import ledger, review
from data_gathering.frame_quality import contact_sheet
from vlpt.files import locked
from vlpt.options import from_dict
from vpt.frames import write_video

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<script>document.title='harm'</script><img src=x onerror=alert(1)>\"'&"


def folder(tmp_path: Path, count: int = 6) -> Path:
    """The first recordings of the sample, with what a site says of them."""
    videos = tmp_path / "3_video"
    videos.mkdir()
    for path in sorted(SAMPLES.glob("*.mp4"))[:count]:
        shutil.copy(path, videos)
        meta = {"id": path.stem, "title": f"Episode {path.stem}", "channel": "A & B", "source": "https://example.org/v"}
        (videos / f"{path.stem}.meta.json").write_text(json.dumps(meta))
    (tmp_path / "4_words").mkdir()
    (tmp_path / "4_words/transcripts.jsonl").write_text('{"key": "ch0-00", "words_a_minute": 143.2}\n')
    return videos


def options(tmp_path: Path, **more) -> review.Options:
    names = dict(videos="3_video", words="4_words", order="3_next.jsonl", out="3_reviewed.jsonl")
    return review.Options(**{name: str(tmp_path / path) for name, path in names.items()}, **more)


def client_of(queue: review.ReviewQueue) -> TestClient:
    """As the page itself asks."""
    client = TestClient(review.application(queue, 8765), base_url="http://127.0.0.1:8765")
    client.headers["origin"] = "http://127.0.0.1:8765"
    return client


@pytest.fixture
def queue(tmp_path):
    folder(tmp_path)
    queue = review.ReviewQueue(options(tmp_path))
    yield queue
    queue.sheets.close()


@pytest.fixture
def client(queue):
    return client_of(queue)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def labels(tmp_path: Path) -> list[tuple]:
    return [(row["key"], row["label"]) for row in rows(tmp_path / "3_reviewed.jsonl")]


def keys(client: TestClient, after: int = -1) -> list[str]:
    return [item["key"] for item in client.get(f"/next?after={after}").json()["items"]]


# ---- what is shown


def test_the_next_videos_come_with_what_is_known_of_them(client):
    answer = client.get("/next").json()
    assert answer["total"] == 6 and answer["labelled"] == 0
    assert answer["counts"] == {"clean": 0, "artefacts": 0, "other": 0}
    assert answer["items"][0] == {"key": "ch0-00", "position": 0, "words_a_minute": 143.2, "title": "Episode ch0-00",
                                  "channel": "A & B", "source": "https://example.org/v"}  # fmt: skip
    assert keys(client, after=3) == ["ch1-00", "ch1-01"] and keys(client, after=5) == []


def test_what_is_most_informative_comes_first(tmp_path):
    folder(tmp_path)
    (tmp_path / "3_next.jsonl").write_text("".join(json.dumps({"key": key}) + "\n"
                                                   for key in ("ch1-01", "gone", "ch0-02", "ch1-01")))
    assert review.ReviewQueue(options(tmp_path)).ids == ["ch1-01", "ch0-02", "ch0-00", "ch0-01", "ch0-03", "ch1-00"]


@pytest.mark.parametrize("meta", ["nonsense", "[1]", '{"title": null, "source": "javascript:alert(1)"}', "\udcff"])
def test_a_broken_or_hostile_description_does_not_stop_the_page(client, queue, meta):
    (queue.folder / "ch0-00.meta.json").write_text(meta, errors="surrogateescape")
    item = client.get("/next").json()["items"][0]
    assert item["key"] == "ch0-00" and item["title"] == "" and item["source"] == ""


def test_a_sheet_shows_pictures_spread_over_the_video(tmp_path):
    """Frames of known grey: each tile is of the first half of its sixteenth, whether or not key frames are there."""
    for name, frames in (("short", 20), ("long", 1600)):  # a key frame each 250
        with write_video(tmp_path / f"{name}.mp4", (64, 48), crf=10) as video:
            for t in range(frames):
                video.write(np.full((48, 64, 3), 20 + 200 * t // frames, np.uint8))
        jpeg = np.frombuffer(contact_sheet.contact_sheet(tmp_path / f"{name}.mp4"), np.uint8)
        sheet = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
        assert sheet.shape == (4 * 240 + 12, 4 * 320 + 12)
        middles = sheet[120::244, 160::324].reshape(-1).astype(float)
        found = (middles - 20) / 200 * 16
        assert (np.abs(found - 0.25 - np.arange(16)) < 0.25 + 16 / min(frames, 200)).all(), found
        assert (np.diff(middles) > 0).all()


@pytest.mark.parametrize(("content", "says"), [(b"", "cannot be read"), (b"nonsense" * 99, "cannot be read"),
                                               (None, "cut short|cannot be read")])  # fmt: skip
def test_an_unreadable_video_says_what_is_wrong_and_can_be_labelled(client, queue, content, says):
    path = queue.folder / "ch0-01.mp4"
    path.write_bytes(path.read_bytes()[:60_000] if content is None else content)
    answer = client.get("/sheet?key=ch0-01")
    assert answer.status_code == 422 and re.search(f"ch0-01.mp4.*({says})", answer.text)
    assert "ch0-02" in keys(client) and client.get("/sheet?key=ch0-02").status_code == 200
    assert client.post("/label", json={"key": "ch0-01", "label": "other"}).json()["labelled"] == 1
    shutil.copy(SAMPLES / "ch0-01.mp4", path)  # mended meanwhile
    assert client.get("/sheet?key=ch0-01").headers["content-type"] == "image/jpeg"


def test_few_sheets_are_kept_and_each_is_made_once(tmp_path, monkeypatch):
    made, paths = [], sorted(folder(tmp_path).glob("*.mp4"))
    monkeypatch.setattr(contact_sheet, "contact_sheet", lambda path: made.append(path) or b"sheet")
    sheets = contact_sheet.Sheets(keep=3)
    for path in (paths[0], paths[0], *paths, paths[5], paths[0]):
        assert sheets.ask(path).result() == b"sheet" and len(sheets.made) <= 3
    assert made == [*paths, paths[0]]
    sheets.close()


def test_a_video_is_played_by_ranges(client):
    whole = (SAMPLES / "ch0-00.mp4").read_bytes()
    answer = client.get("/video?key=ch0-00", headers={"range": "bytes=1000-1999"})
    assert answer.status_code == 206 and answer.content == whole[1000:2000]
    assert client.get("/video?key=ch0-00").content == whole


def test_ten_thousand_videos_are_listed_and_only_the_next_are_opened(tmp_path, monkeypatch):
    videos, opened = folder(tmp_path), []
    monkeypatch.setattr(contact_sheet, "contact_sheet", lambda path: opened.append(path.stem) or b"")
    for i in range(10_000):
        (videos / f"v{i:05d}.mp4").touch()
    before = (f'{{"key": "v{i:05d}", "label": "clean"}}\n' for i in range(5000))
    (tmp_path / "3_reviewed.jsonl").write_text("".join(before))
    queue = review.ReviewQueue(options(tmp_path))
    client = client_of(queue)
    answer = client.get("/next").json()
    assert answer["total"] == 10_006 and answer["counts"]["clean"] == 5000 and len(answer["items"]) == review.AHEAD
    assert keys(client, after=5) == [f"v{i:05d}" for i in range(5000, 5000 + review.AHEAD)]
    queue.sheets.pool.shutdown()
    assert len(opened) == 2 * review.AHEAD - 2  # six of the sample and v05000, v05001; then v05000 to v05007


# ---- what is written


def test_labels_are_only_added_and_undo_goes_back_one_by_one(client, queue, tmp_path):
    for key, label in (("ch0-00", "clean"), ("ch0-01", "other"), ("ch0-00", "artefacts")):
        assert client.post("/label", json={"key": key, "label": label}).status_code == 200
    assert client.get("/next").json()["counts"] == {"clean": 0, "artefacts": 1, "other": 1}
    assert client.post("/undo").json()["item"]["key"] == "ch0-00"  # as labelled last, once and for all its labels
    again = client_of(review.ReviewQueue(options(tmp_path)))  # a second start
    assert again.get("/next").json()["labelled"] == 1 and keys(again)[:2] == ["ch0-00", "ch0-02"]
    assert again.post("/undo").json()["item"]["key"] == "ch0-01"
    assert again.post("/undo").json()["item"] is None
    assert labels(tmp_path) == [("ch0-00", "clean"), ("ch0-01", "other"), ("ch0-00", "artefacts"), ("ch0-00", None),
                                ("ch0-01", None)]  # fmt: skip
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", row["at"])
               for row in rows(tmp_path / "3_reviewed.jsonl"))


def test_a_label_is_on_the_disk_before_the_answer_and_a_full_disk_loses_nothing(client, tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(ledger.os, "fsync", lambda file: (sync(file), synced.append(labels(tmp_path))))
    client.post("/label", json={"key": "ch0-00", "label": "clean"})
    assert synced == [[("ch0-00", "clean")]]

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ledger.os, "fsync", full)
    answer = client.post("/label", json={"key": "ch0-01", "label": "clean"})
    assert answer.status_code == 500 and "No space left" in answer.text
    monkeypatch.setattr(ledger.os, "fsync", sync)
    assert client.post("/label", json={"key": "ch0-02", "label": "other"}).json()["labelled"] == 2
    assert labels(tmp_path) == [("ch0-00", "clean"), ("ch0-02", "other")]


def test_a_torn_line_is_cut_off_and_a_broken_one_is_named(tmp_path):
    folder(tmp_path)
    out = tmp_path / "3_reviewed.jsonl"
    out.write_text('{"key": "ch0-00", "label": "clean"}\n{"key": "ch0-0')
    client = client_of(review.ReviewQueue(options(tmp_path)))
    client.post("/label", json={"key": "ch0-01", "label": "other"})
    assert labels(tmp_path) == [("ch0-00", "clean"), ("ch0-01", "other")]
    out.write_text("nonsense\n")
    with pytest.raises(ValueError, match="3_reviewed.jsonl, line 1"):
        review.ReviewQueue(options(tmp_path))


def test_labels_of_videos_that_are_gone_stay_and_are_not_counted(tmp_path):
    folder(tmp_path)
    (tmp_path / "3_reviewed.jsonl").write_text('{"key": "gone", "label": "clean"}\n')
    client = client_of(review.ReviewQueue(options(tmp_path)))
    assert client.get("/next").json()["labelled"] == 0 and client.post("/undo").json()["item"] is None
    assert labels(tmp_path) == [("gone", "clean")]


# ---- who may ask, and for what


OWN = {"host": "127.0.0.1:8765", "origin": "http://127.0.0.1:8765"}


@pytest.mark.parametrize("path", ["/", "/next", "/sheet?key=ch0-00", "/video?key=ch0-00", "/nowhere"])
@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8765", "127.0.0.1:1", "127.0.0.1", "localhost.evil:8765", "",
])
def test_another_name_of_this_machine_is_refused(client, path, host):
    assert client.get(path, headers={"host": host, "origin": f"http://{host}"}).status_code == 403


@pytest.mark.parametrize("change", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1:8765"},
    {"origin": "http://127.0.0.1:1"}, {"origin": "http://localhost:8765"}, {"origin": ""}, {"origin": None},
    {"host": "evil.example:8765"}, {"host": "evil.example:8765", "origin": "http://evil.example:8765"},
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
])  # fmt: skip
@pytest.mark.parametrize("path", ["/label", "/undo"])
def test_only_the_page_itself_changes_anything(client, queue, tmp_path, change, path):
    queue.label("ch0-01", "other")
    client.headers.pop("origin")
    headers = {name: value for name, value in {**OWN, **change}.items() if value is not None}
    body = {"key": "ch0-00", "label": "clean"}
    assert client.post(path, json=body, headers=headers).status_code == 403
    assert labels(tmp_path) == [("ch0-01", "other")]
    assert client.post(path, json=body, headers={**OWN, "sec-fetch-site": "same-origin"}).status_code == 200


def test_another_page_may_link_here_and_get_nothing_else(client):
    client.headers.pop("origin")
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert client.get("/", headers=elsewhere).status_code == 200
    for path in ("/next", "/sheet?key=ch0-00", "/video?key=ch0-00"):
        assert client.get(path, headers=elsewhere).status_code == 403
        assert client.get(path, headers={"sec-fetch-site": "same-origin"}).status_code == 200
        assert client.get(path, headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("key", ["../secret", "..%2fsecret", "/etc/passwd", "ch0-00/../../secret", "ch0-00.mp4", "",
                                 "ch0-00%00", "secret", "C:\\x"])  # fmt: skip
def test_only_known_ids_are_given_out(client, tmp_path, key):
    shutil.copy(SAMPLES / "ch0-00.mp4", tmp_path / "secret.mp4")
    assert client.get("/video", params={"key": key}).status_code == 404
    assert client.get(f"/sheet?key={key}").status_code == 404
    assert client.post("/label", json={"key": key, "label": "clean"}).status_code == 404
    assert client.get("/%2e%2e/%2e%2e/etc/passwd").status_code == client.get("/ch0-00.mp4").status_code == 404
    assert not (tmp_path / "3_reviewed.jsonl").exists()


def test_links_out_of_the_folder_are_refused(tmp_path):
    videos = folder(tmp_path, count=1)
    shutil.copy(SAMPLES / "ch0-00.mp4", tmp_path / "secret.mp4")
    (videos / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (videos / "loop.mp4").symlink_to(videos / "loop.mp4")
    (videos / "folder.mp4").mkdir()
    (videos / "within.mp4").symlink_to("ch0-00.mp4")
    client = client_of(review.ReviewQueue(options(tmp_path)))
    assert set(keys(client)) == {"ch0-00", "link", "loop", "folder", "within"}
    for key in ("link", "loop", "folder"):
        for path in ("/video", "/sheet"):
            answer = client.get(path, params={"key": key})
            assert answer.status_code == 422 and f"{key}.mp4 is no file of the folder" in answer.text
    assert client.get("/sheet?key=within").status_code == client.get("/video?key=within").status_code == 200


@pytest.mark.parametrize("body", [
    {}, {"key": "ch0-00"}, {"key": "ch0-00", "label": "good"}, {"key": 1, "label": "clean"},
    {"key": "ch0-00", "label": None},
])  # fmt: skip
def test_no_other_label_is_written(client, tmp_path, body):
    assert client.post("/label", json=body).status_code == 422
    assert not (tmp_path / "3_reviewed.jsonl").exists()


def test_the_policy_allows_the_page_and_nothing_else(client):
    for answer in (client.get("/"), client.get("/next"), client.get("/nowhere"),
                   client.get("/", headers={"host": "evil"})):  # fmt: skip
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert not re.search(r"(src|href)=\"?(https?:)?//|@import|\son\w+=|style=", review.PAGE.read_text())


def test_the_port_is_this_machine_s_own_and_a_taken_one_is_named():
    with review.listen(0) as listening:
        address, port = listening.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(ValueError, match=f"port {port} cannot be used .*--port 0"):
            review.listen(port)


def test_a_folder_without_videos_is_named(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ValueError, match="holds no video.*data_gathering.download"):
            review.find_videos(path)
    with pytest.raises(ValueError, match="--port should be at most 65535, got 70000"):
        from_dict(review.Options, {"port": 70_000})


def test_the_page_is_opened_where_that_is_asked_for(tmp_path, monkeypatch, capsys):
    folder(tmp_path, count=1)
    opened = []
    monkeypatch.setattr(review.webbrowser, "open", opened.append)
    monkeypatch.setattr(review.uvicorn.Server, "run", lambda server, sockets: None)
    review.main(options(tmp_path, port=0, open=True))
    assert f"1 videos, 0 labelled; {opened[0]} (Ctrl-C ends)" in capsys.readouterr().out


# ---- in a browser


@contextmanager
def program(tmp_path: Path):
    """The program as a person starts it; its address. It is ended with Ctrl-C and must end well."""
    given = options(tmp_path)
    command = [sys.executable, "-m", "data_gathering.review", "--port", "0", "--videos", given.videos, "--words",
               given.words, "--order", given.order, "--out", given.out]  # fmt: skip
    running = subprocess.Popen(command, cwd=SAMPLES.parents[1], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline()).group()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
        assert running.returncode == 0 and not errors, errors
    finally:
        running.kill()
        running.communicate()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Page:
    """The page, what it asked for and what went wrong in it."""

    def __init__(self, browser, address: str) -> None:
        self.page, self.asked, self.errors, self.address = browser.new_page(), [], [], address
        self.page.set_default_timeout(20_000)
        self.page.on("request", lambda request: self.asked.append(request.url.removeprefix(address)))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.goto(address)

    def shows(self, key: str, unreadable: bool = False) -> None:
        """Waits until a video's sheet is on the page."""
        if unreadable:
            return self.page.wait_for_function(
                "key => words.textContent.includes(`Unreadable${key}.mp4`) && !words.hidden", arg=key)
        self.page.wait_for_function(
            "key => document.querySelector('#stage > img')?.src.endsWith(`=${key}`)"
            " && document.querySelector('#stage > img').naturalWidth > 0", arg=key)

    def loaded(self, count: int) -> None:
        """Waits until so many sheets of the queue are there, beginning with the one on the page."""
        self.page.wait_for_function(
            "n => queue.slice(0, n).every(item => sheets.get(item.key)?.state === 'ready')", arg=count)

    def counts(self) -> list[int]:
        return [int(text) for text in self.page.locator("[data-label] span").all_inner_texts()]

    def saved(self, labelled: int) -> None:
        """Waits until the program has told that so many are labelled."""
        self.page.wait_for_function("n => document.getElementById('count').textContent.startsWith(`${n} of`)",
                                    arg=labelled)


def test_labelling_with_keys(browser, tmp_path):
    folder(tmp_path)
    with program(tmp_path) as address:
        view = Page(browser, address)
        for n, (key, shown, following) in enumerate([("1", "ch0-00", "ch0-01"), ("2", "ch0-01", "ch0-02"),
                                                     ("3", "ch0-02", "ch0-03")]):  # fmt: skip
            view.shows(shown)
            view.loaded(2)
            del view.asked[:]
            view.page.keyboard.press(key)
            view.shows(following)  # it was there before the key: nothing is asked for to show it
            assert not [path for path in view.asked if path.endswith(f"/sheet?key={following}")]
            view.saved(n + 1)
        assert labels(tmp_path) == [("ch0-00", "clean"), ("ch0-01", "artefacts"), ("ch0-02", "other")]
        assert view.counts() == [1, 1, 1]
        view.page.keyboard.press("u")
        view.shows("ch0-02")
        view.saved(2)
        view.page.keyboard.press("U")
        view.shows("ch0-01")
        view.page.keyboard.press("3")
        view.shows("ch0-02")
        view.page.keyboard.press("s")
        view.shows("ch0-03")
        assert labels(tmp_path)[3:] == [("ch0-02", None), ("ch0-01", None), ("ch0-01", "other")]
        view.page.reload()
        view.shows("ch0-02")  # the first without a label
        assert not view.errors
    with program(tmp_path) as address:  # a second start
        view = Page(browser, address)
        view.shows("ch0-02")
        assert view.counts() == [1, 0, 1] and "2 of 6" in view.page.inner_text("#count")


def test_labelling_with_the_mouse_up_to_the_end(browser, tmp_path):
    folder(tmp_path, count=4)
    with program(tmp_path) as address:
        view = Page(browser, address)
        view.shows("ch0-00")
        view.page.click("[data-label=clean]")
        view.shows("ch0-01")
        view.page.click("[data-label=artefacts]")
        view.shows("ch0-02")
        view.page.click("#undo")
        view.shows("ch0-01")
        view.page.click("[data-label=other]")
        view.shows("ch0-02")
        view.page.click("#skip")
        view.shows("ch0-03")
        view.page.click("[data-label=clean]")
        view.page.click("text=Show the skipped ones")
        view.shows("ch0-02")
        view.page.keyboard.press("Tab")  # to Clean, the first button
        view.page.keyboard.press("Tab")
        assert view.page.evaluate("document.activeElement.dataset.label") == "artefacts"
        view.page.keyboard.press("Space")  # on a button that has the focus it presses the button
        view.page.wait_for_selector("text=Nothing is left to label")
        view.saved(4)
        assert labels(tmp_path)[-3:] == [("ch0-01", "other"), ("ch0-03", "clean"), ("ch0-02", "artefacts")]
        assert not view.errors


def test_space_plays_and_pauses_in_place(browser, tmp_path):
    folder(tmp_path, count=3)
    state = "[video.hidden, video.paused, video.currentTime]"
    with program(tmp_path) as address:
        view = Page(browser, address)
        ranges = []
        view.page.on("response", lambda answer: "/video" in answer.url and ranges.append(answer.status))
        view.shows("ch0-00")
        assert view.page.evaluate(state) == [True, True, 0] and not ranges
        view.page.keyboard.press("Space")
        view.page.wait_for_function("() => video.currentTime > 0.2")
        assert view.page.inner_text("#playing") == "Pause" and set(ranges) == {206}
        view.page.keyboard.press("Space")
        view.page.wait_for_function("() => video.paused && !video.hidden")
        at = view.page.evaluate("video.currentTime")
        time.sleep(0.3)
        assert view.page.evaluate("video.currentTime") == at
        view.page.click("#play")
        view.page.keyboard.press("ArrowRight")
        view.page.wait_for_function("at => video.currentTime > at + 5.1", arg=at)
        view.page.keyboard.press("1")
        view.shows("ch0-01")
        assert view.page.evaluate(state)[:2] == [True, True]
        box = view.page.locator("#stage img").bounding_box()
        view.page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"])  # the 11th picture
        length = view.page.evaluate("new Promise(done => setTimeout(() => done(video.duration), 500))")
        at = view.page.evaluate("video.currentTime")
        assert 10 / 16 * length <= at < 10 / 16 * length + 3
        view.page.keyboard.press("Escape")
        assert view.page.evaluate("video.hidden")
        assert labels(tmp_path) == [("ch0-00", "clean")] and not view.errors


def test_hostile_titles_are_text_and_an_unreadable_video_is_passed(browser, tmp_path):
    videos = folder(tmp_path, count=4)
    meta = {"title": HOSTILE, "channel": HOSTILE, "source": "javascript:1"}
    (videos / "ch0-00.meta.json").write_text(json.dumps(meta))
    (videos / "ch0-01.mp4").write_bytes(b"nonsense")
    hostile = f"{HOSTILE[:40]}.mp4".replace("/", "_")
    shutil.copy(SAMPLES / "ch0-00.mp4", videos / hostile)
    with program(tmp_path) as address:
        view = Page(browser, address)
        view.page.wait_for_selector("#stage img")
        assert view.page.inner_text("#title") == hostile.removesuffix(".mp4")  # first by name
        view.page.keyboard.press("1")
        view.shows("ch0-00")
        assert view.page.inner_text("#title") == HOSTILE and HOSTILE in view.page.inner_text("#facts")
        assert view.page.title() == "Review" and not view.page.locator("a, header img, script:not(body > *)").count()
        view.page.keyboard.press("s")
        view.shows("ch0-01", unreadable=True)
        view.page.keyboard.press("s")
        view.shows("ch0-02")
        view.page.keyboard.press("u")
        view.page.wait_for_selector("#stage img[src*='script']")
        assert {row["key"] for row in rows(tmp_path / "3_reviewed.jsonl")} == {hostile.removesuffix(".mp4")}
        assert all("422" in error for error in view.errors), view.errors


def test_another_page_can_change_nothing_and_read_nothing(browser, tmp_path):
    folder(tmp_path, count=2)
    (tmp_path / "3_reviewed.jsonl").write_text('{"key": "ch0-00", "label": "clean"}\n')
    with program(tmp_path) as address, ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        page, refused = browser.new_page(), []
        page.goto(f"http://127.0.0.1:{elsewhere.server_address[1]}/nothing")
        page.on("requestfailed", lambda request: refused.append(request.failure))
        page.evaluate("address => fetch(`${address}/undo`, {method: 'POST', mode: 'no-cors'}).catch(() => 0)", address)
        page.evaluate("address => new Promise(done => { const image = new Image(); image.onerror = image.onload = done;"
                      " image.src = `${address}/sheet?key=ch0-00` })", address)
        elsewhere.shutdown()
        assert refused == ["net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin"] * 2  # not even the refusal is read
        assert labels(tmp_path) == [("ch0-00", "clean")]


def test_what_cannot_be_saved_comes_back_and_says_so(browser, tmp_path):
    folder(tmp_path, count=3)
    with program(tmp_path) as address:
        view = Page(browser, address)
        view.shows("ch0-00")
        view.loaded(2)
        view.page.route("**/label", lambda route: route.abort())
        view.page.keyboard.press("1")
        view.page.wait_for_selector("#said.wrong")
        view.shows("ch0-00")
        assert "Not saved" in view.page.inner_text("#said")
        view.page.unroute("**/label")
        view.page.keyboard.press("2")
        view.saved(1)
        assert labels(tmp_path) == [("ch0-00", "artefacts")]


# ---- what others leave in the folder, or send


def test_what_is_sent_is_held_to_what_the_page_sends(client, tmp_path):
    def much():
        for _ in range(600):
            yield b" " * 1_000_000

    assert client.post("/label", content=much()).status_code == 413  # chunked: no length is told
    assert client.post("/label", content=b" " * 20_000).status_code == 413
    assert client.post("/label", content=b"{}", headers={"content-length": "600000000"}).status_code == 413
    assert client.post("/label", json={"key": "ch0-00", "label": "clean"}).status_code == 200
    assert labels(tmp_path) == [("ch0-00", "clean")]


def test_a_meta_file_that_is_none_is_not_waited_for_and_tells_nothing(queue, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"title": "secret"}')
    metas = [tmp_path / f"3_video/{id_}.meta.json" for id_ in queue.ids]
    for meta in metas:
        meta.unlink()
    os.mkfifo(metas[0])
    metas[1].symlink_to(secret)
    metas[2].mkdir()
    metas[3].write_text("[" * 100_000)
    metas[4].write_text('{"title": "' + "x" * 2_000_000 + '"}')
    metas[5].write_text('{"title": "half \\ud83d"}')
    items = client_of(queue).get("/next?after=-1").json()["items"]
    assert [item["title"] for item in items] == ["", "", "", "", "", "half ?"]


def test_of_two_reviews_of_a_folder_one_is_refused(tmp_path):
    folder(tmp_path)
    with locked(tmp_path / "3_reviewed.jsonl"), pytest.raises(ValueError, match="3_reviewed.jsonl is being written by"):
        review.main(options(tmp_path, port=0))
