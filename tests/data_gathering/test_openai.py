"""OpenAI's index files and recordings: downloaded from a server on this machine that cuts connections; their quirks."""

import json
import re

import cv2
import numpy as np
import pytest
from support.fixture_data import arrays
from support.numbered_recordings import numbers, picture

from data_gathering import openai, shard, shrink
from data_gathering.http_file import Gone, fetch_file
from data_gathering.ledger import read_ledger
from data_gathering.openai_files import Listed, Misfit, listed, read_index, scaled, write_recording
from data_gathering.recordings import meta_of, pressed_path, video_path
from data_gathering.rehearsal_site import rehearsal_site
from vlpt.data.shards import Shards
from vpt.actions import BUTTONS, MINECRAFT, action_to_step, read_contractor
from vpt.frames import write_video

NAME = "cheeky-cornflower-setter-02e496ce4abb-20220421-{:06d}"
FRAMES = 24


def rows_of(frames: int, **window) -> list[dict]:
    """Rows with mouse motion in every one, and a slot that changes in the tenth."""
    rows = []
    for t in range(frames):
        rows.append(action_to_step(np.zeros(20), (1.5, -3.0), previous=rows[-1] if rows else None,
                                   hotbar=4 if t >= 10 else 0, gui_open=t % 2 == 1, tick=t, **window))  # fmt: skip
    return rows


def pair(folder, name: str, frames: int = FRAMES, rows: int = FRAMES) -> dict[str, bytes]:
    """{path on the server: content} of a recording."""
    if not (folder / "made.mp4").exists():
        with write_video(folder / "made.mp4", (640, 360), crf=25) as video:
            for t in range(frames):
                video.write(picture(t, (640, 360)))
    text = "\n".join(json.dumps(row) for row in rows_of(rows)) + "\n"
    return {f"/{name}.mp4": (folder / "made.mp4").read_bytes(), f"/{name}.jsonl": text.encode()}


@pytest.fixture
def site(tmp_path):
    with rehearsal_site() as running:
        names = [f"data/{version}/{NAME.format(i)}" for i, version in enumerate(("6.9", "7.6", "7.6", "6.9"))]
        for name, (frames, rows) in zip(names, ((24, 24), (24, 29), (24, 20), (24, 24)), strict=True):
            running.files |= pair(tmp_path, name, frames, rows)
        del running.files[f"/{names[3]}.jsonl"]
        running.files["/index.json"] = json.dumps({"basedir": f"{running.address}/", "relpaths": [
            *(f"{name}.mp4" for name in names), names[0]]}).encode()  # fmt: skip
        running.names = names
        yield running


def options(site, tmp_path, **more) -> openai.Options:
    return openai.Options(index=f"{site.address}/index.json", out=str(tmp_path / "openai"), wait_s=0.0,
                          keep_free_gb=0.0, **more)  # fmt: skip


# ---- downloading


def test_what_an_index_lists_comes_once_whatever_the_connection_does(site, tmp_path, capsys):
    first = f"/{site.names[0]}.mp4"
    size = len(site.files[first])
    site.cut[first], site.refuse[f"/{site.names[1]}.mp4"] = size // 3, [503, 429]
    found = openai.main(options(site, tmp_path, errand="find_cave", workers=1))
    assert found == {"new": 2, "known": 0, "refused": 2, "failed": 0}
    assert site.asked[first] == 2 and site.bytes_sent[first] == size, "what came was not gone on with"
    out = tmp_path / "openai"
    assert video_path(out, NAME.format(0)).read_bytes() == site.files[first]
    manifest = {row["key"]: row for row in read_ledger(openai.manifest_path(out), "openai")}
    assert "404" in manifest[NAME.format(3)]["refused"] and "20 rows of 24" in manifest[NAME.format(2)]["refused"]
    assert manifest[NAME.format(1)]["rows_dropped"] == 5
    assert len(read_contractor(pressed_path(out, NAME.format(1)))) == FRAMES
    meta = meta_of(out, NAME.format(0))
    assert meta["channel"] == "cheeky-cornflower-setter" and meta["recorder"] == "6.9" and meta["window_scale"] == 2
    assert meta["errands"][0]["name"] == "find_cave" and not meta["errands"][0]["done"]
    parts = (".jsonl", ".meta.json", ".mp4", ".words.jsonl")
    assert {path.name for path in out.iterdir()} == {f"{NAME.format(i)}{part}" for i in (0, 1) for part in parts}
    asked = dict(site.asked)
    assert openai.main(options(site, tmp_path))["known"] == 4
    site.asked.subtract(asked)
    assert {path: count for path, count in site.asked.items() if count} == {"/index.json": 1}


def test_a_killed_download_goes_on_next_time_and_limits_hold(site, tmp_path, capsys):
    first, out = f"/{site.names[0]}.mp4", tmp_path / "openai"
    site.cut[first] = 1000
    with pytest.raises(SystemExit):
        openai.main(options(site, tmp_path, most=1, attempts=1))
    assert "cut off at 1000 of" in capsys.readouterr().err and not list(out.glob("*.mp4"))
    assert openai.main(options(site, tmp_path, most=1))["new"] == 1
    assert site.bytes_sent[first] == len(site.files[first]) and not (out / openai.COMING).exists()
    with pytest.raises(SystemExit):
        openai.main(options(site, tmp_path, most=2, most_gb=1e-6))
    assert "--most-gb allows" in capsys.readouterr().err
    assert openai.main(options(site, tmp_path, most=2, largest_mb=0.004))["refused"] == 1
    assert "--largest-mb" in read_ledger(openai.manifest_path(out), "openai")[-1]["refused"]


def test_a_file_that_changed_on_the_server_is_begun_anew_and_the_rate_is_kept(site, tmp_path, monkeypatch):
    site.files["/a"] = b"x" * 300_000
    slept = []
    monkeypatch.setattr("data_gathering.http_file.time.sleep", slept.append)
    fetch_file(f"{site.address}/a", tmp_path / "a", 1e6, 1e9, 1, 0)
    assert 0.2 < max(slept) <= 0.31  # 0.3 MB at 1 MB a second
    (tmp_path / "b.part").write_bytes(b"y" * 400_000)  # longer than the file is now: 416
    assert fetch_file(f"{site.address}/a", tmp_path / "b", 1e9, 1e9, 2, 0) == 300_000
    assert (tmp_path / "b").read_bytes() == site.files["/a"]
    (tmp_path / "c.part").write_bytes(site.files["/a"])  # killed before it was renamed
    assert fetch_file(f"{site.address}/a", tmp_path / "c", 1e9, 1e9, 1, 0) == 300_000
    with pytest.raises(Gone, match="404"):
        fetch_file(f"{site.address}/none", tmp_path / "d", 1e9, 1e9, 3, 0)


@pytest.mark.parametrize("content", [
    [], {"basedir": "https://a/"}, {"basedir": "file:///etc/", "relpaths": []},
    {"basedir": "https://a/", "relpaths": ["../../etc/passwd"]}, {"basedir": "https://a/", "relpaths": ["data/6.9/-x"]},
    {"basedir": "https://a/", "relpaths": [7, "a b"]},
])  # fmt: skip
def test_an_index_that_is_none_is_refused(content, tmp_path):
    path = tmp_path / "index.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="index.json|no http"):
        read_index(str(path))


def test_an_index_without_endings_and_of_basalt():
    paths = ["8.0/some-one-74ae6c2eae2e-20220315-122354", "data/10.0/Player1-abc-20220101-000000.mp4"]
    content = {"basedir": "https://a.example/data", "relpaths": paths}
    first, second = listed(content, "index.json")
    assert first == Listed("some-one-74ae6c2eae2e-20220315-122354",
                           "https://a.example/data/8.0/some-one-74ae6c2eae2e-20220315-122354", "8.0")  # fmt: skip
    assert (first.channel, second.channel, second.recorder) == ("some-one", "Player1", "10.0")


# ---- quirks


def test_mouse_motion_in_windows_is_scaled_by_the_recorder_s_version(site, tmp_path):
    openai.main(options(site, tmp_path, workers=1))
    old, new = (read_contractor(pressed_path(tmp_path / "openai", NAME.format(i))) for i in (0, 1))
    assert new.camera_deg.tolist() == [[1.5, -3.0]] * FRAMES
    assert old.camera_deg[0::2].tolist() == [[1.5, -3.0]] * 12 and old.camera_deg[1::2].tolist() == [[3.0, -6.0]] * 12
    pressed = np.argwhere(new.buttons)
    assert pressed.tolist() == [[10, BUTTONS.index("hotbar.5")]]  # the wheel, as the key
    line = json.dumps(rows_of(2)[1], indent=None, separators=(",", ":"))
    assert scaled(line, 1.0) == line and json.loads(scaled(line, 0.5))["mouse"]["dx"] == -10


@pytest.mark.parametrize("broken", [b"", b"{}\n" * FRAMES, b"not json\n" * FRAMES])
def test_a_pair_that_is_no_recording_leaves_nothing(broken, tmp_path):
    part, out = tmp_path / "part", tmp_path / "out"
    part.mkdir(), out.mkdir()
    for path, content in pair(tmp_path, "a-b-c-d").items():
        (part / path[1:]).write_bytes(broken if path.endswith("jsonl") else content)
    with pytest.raises(Misfit):
        write_recording(Listed("a-b-c-d", "https://a.example/a-b-c-d", ""), part, out)
    assert not list(out.iterdir())


# ---- to shards


def test_downloaded_recordings_become_shards_with_the_pointer_drawn(site, tmp_path):
    """The commands of docs/minecraft.md, one after another."""
    openai.main(options(site, tmp_path, most=2, errand="find_cave"))
    sheet = np.zeros((256, 256, 4), np.uint8)
    sheet[:16, :16] = arrays("contractor_compositing.npz")["cursor_bgra"]
    cv2.imwrite(str(tmp_path / "cursor.png"), sheet)
    small = tmp_path / "small"
    shrink.main(shrink.Options(videos=str(tmp_path / "openai"), out=str(small), cursor=str(tmp_path / "cursor.png")))
    shard.main(shard.Options(recordings=str(small), words=str(tmp_path / "openai"), labels="truth",
                             out=str(tmp_path / "shards")))  # fmt: skip
    shards = Shards(tmp_path / "shards")
    assert len(shards.episodes) == 2 and {episode.n_frames for episode in shards.episodes} == {FRAMES}
    for episode in shards.episodes:
        frames = shards.read_frames(episode, 0, FRAMES)
        assert numbers(frames).tolist() == list(range(FRAMES))
        expected = MINECRAFT.encode(*(getattr(read_contractor(pressed_path(small, episode.id)), name)
                                      for name in ("buttons", "camera_deg")))  # fmt: skip
        assert np.array_equal(episode.buttons_index, expected[0]) and np.array_equal(episode.camera_index, expected[1])
        assert re.fullmatch("cheeky-cornflower-setter", episode.channel) and episode.errands[0]["name"] == "find_cave"
