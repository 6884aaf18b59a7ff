"""Shrinking contractors' recordings: the pointer in open windows, as the published loader draws it; what is refused."""

import os
import re

import cv2
import numpy as np
import pytest
from support.fixture_data import arrays
from support.numbered_recordings import numbers, record
from support.real_files import film

from data_gathering.recordings import (
    chosen,
    find_recordings,
    meta_of,
    meta_path,
    pressed_path,
    repeated_frames,
    video_path,
    write_agent_video,
)
from data_gathering.shrink import Options, check_cursor, main, shrink
from vlpt.files import read_json, read_lines, write_json, write_lines
from vlpt.options import run
from vpt.actions import action_to_step
from vpt.frames import read_cursor, read_video, write_video

GOLD = arrays("contractor_compositing.npz")
REPEATS = 3  # of each of the fixture's ten steps


def contractor(folder, id_="cat-01", size=(640, 360)) -> None:
    """The fixture as a recording: its frame all along, the mouse and the window as in its steps."""
    folder.mkdir(exist_ok=True)
    rgb = cv2.resize(np.ascontiguousarray(GOLD["frame_bgr_360x640"][..., ::-1]), size, interpolation=cv2.INTER_LINEAR)
    with write_video(video_path(folder, id_), size, crf=1) as video:
        for _ in range(10 * REPEATS):
            video.write(rgb)
    steps = [step for step in zip(GOLD["mouse_xy"].tolist(), GOLD["gui_open"].tolist(), strict=True)
             for _ in range(REPEATS)]  # fmt: skip
    rows = [action_to_step(np.zeros(20), (0, 0), gui_open=window, cursor=at) for at, window in steps]
    write_lines(pressed_path(folder, id_), rows)


@pytest.fixture
def cursor(tmp_path) -> str:
    """The fixture's cursor in the corner of a larger picture, as published; the rest of it must not be drawn."""
    sheet = np.full((256, 256, 4), 255, np.uint8)
    sheet[:16, :16] = GOLD["cursor_bgra"]
    cv2.imwrite(str(tmp_path / "cursor.png"), sheet)
    return str(tmp_path / "cursor.png")


def shrunk(tmp_path, name: str, **options) -> np.ndarray:
    """What the program made of tmp_path/videos/cat-01.mp4: (N, 128, 128, 3) uint8."""
    out = tmp_path / name
    main(Options(videos=str(tmp_path / "videos"), out=str(out), crf=1, **options))
    return np.stack(list(read_video(video_path(out, "cat-01"))))


def brightness(rgb: np.ndarray) -> np.ndarray:
    """(128, 128, 3) uint8 -> (128, 128) int: what H.264 keeps at full resolution; of the colours, only every second."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(int)


def test_the_program_draws_the_pointer(tmp_path, cursor):
    """Against the published loader's pictures; H.264 lies twice between, once before and once after the drawing."""
    contractor(tmp_path / "videos")
    plain, drawn = shrunk(tmp_path, "plain"), shrunk(tmp_path, "drawn", cursor=cursor)
    closed = brightness(GOLD["loader_rgb_128"][-1])  # the last step's window is shut
    for step, expected in zip(GOLD["loader_rgb_128.index"], map(brightness, GOLD["loader_rgb_128"]), strict=True):
        t = step * REPEATS + 1
        assert np.abs(brightness(drawn[t]) - expected).mean() < 1.5
        pointer = expected != closed
        assert pointer.any() == GOLD["gui_open"][step]
        if pointer.any():
            assert np.abs(brightness(drawn[t]) - expected)[pointer].mean() < 4
            assert np.abs(brightness(plain[t]) - expected)[pointer].mean() > 20
    rows = [read_lines(pressed_path(tmp_path / name, "cat-01")) for name in ("videos", "drawn")]
    assert rows[0] == rows[1]


def test_only_open_windows_change_a_video(tmp_path, cursor):
    record(tmp_path / "videos", "cat-01", 1, 12)
    source = video_path(tmp_path / "videos", "cat-01")
    made, n_frames = write_agent_video(source, tmp_path, 18, read_cursor(cursor))
    assert (made, n_frames) == (source, 12)  # no window is open: nothing to draw
    assert numbers(shrunk(tmp_path, "out", cursor=cursor)).tolist() == list(range(2048, 2060))


def test_rows_and_frames_must_agree(tmp_path, cursor, capsys):
    contractor(tmp_path / "videos")
    pressed = pressed_path(tmp_path / "videos", "cat-01")
    write_lines(pressed, read_lines(pressed)[:-1])
    with pytest.raises(SystemExit):
        shrunk(tmp_path, "out", cursor=cursor)
    said = capsys.readouterr()
    assert "cat-01.jsonl has 29 rows" in said.err + said.out and "has 30 frames" in said.err + said.out
    assert not video_path(tmp_path / "out", "cat-01").exists()
    assert len(shrunk(tmp_path, "out")) == 30  # without a cursor nothing is drawn, so nothing can be misplaced


def test_a_small_video_with_open_windows_is_refused_not_copied(tmp_path, cursor):
    contractor(tmp_path / "videos", size=(128, 128))
    with pytest.raises(ValueError, match=r"cat-01\.mp4 is 128x128 already"):
        write_agent_video(video_path(tmp_path / "videos", "cat-01"), tmp_path, 18, read_cursor(cursor))


def test_a_cursor_that_cannot_be_drawn_is_one_line(tmp_path, cursor):
    contractor(tmp_path / "videos")
    contractor(tmp_path / "videos", "cat-02")
    cv2.imwrite(str(tmp_path / "opaque.png"), np.zeros((16, 16, 3), np.uint8))
    for given, said in (("none.png", "none.png is missing"), ("opaque.png", "opaque.png has no alpha")):
        with pytest.raises(SystemExit, match=f"^error: [^\n]*{said}[^\n]*$"):
            run(main, Options, ["--videos", str(tmp_path / "videos"), "--out", str(tmp_path / "out"),
                                "--cursor", str(tmp_path / given)])  # fmt: skip
    for id_ in ("cat-01", "cat-02"):
        pressed_path(tmp_path / "videos", id_).unlink()
    with pytest.raises(ValueError, match="--cursor has no effect"):
        main(Options(videos=str(tmp_path / "videos"), out=str(tmp_path / "out"), cursor=cursor))
    assert not (tmp_path / "out").exists()


def test_the_pointer_is_read_once_for_all_videos(tmp_path, cursor):
    for id_ in ("cat-01", "cat-02"):
        contractor(tmp_path / "videos", id_)
    options = Options(videos=str(tmp_path / "videos"), out=str(tmp_path / "out"), cursor=cursor)
    check_cursor(options, ["cat-01", "cat-02"])
    os.unlink(cursor)
    assert shrink("cat-01", options) == shrink("cat-02", options) == 30
    seen = [np.stack(list(read_video(video_path(tmp_path / "out", id_)))) for id_ in ("cat-01", "cat-02")]
    np.testing.assert_array_equal(*seen)
    assert any((picture != seen[0][-1]).any() for picture in seen[0])  # and drawn: the last window is shut


def test_repeated_pictures_are_noted_frame_by_frame(tmp_path):
    """At 10 pictures a second, then 20: the note outlives the small file, which is 20 a second all along."""
    videos, small, again = (tmp_path / name for name in ("videos", "small", "again"))
    videos.mkdir()
    film(video_path(videos, "cat-01"), [*range(0, 1000, 100), *range(1000, 2000, 50)])
    film(video_path(videos, "cat-02"), range(0, 2000, 50))
    write_json(meta_path(videos, "cat-01"), {"channel": "tom", "seed": 3})
    expected = [False, True] * 10 + [False] * 20
    main(Options(videos=str(videos), out=str(small)))
    main(Options(videos=str(small), out=str(again)))  # nothing is to do: notes come along
    for folder in (small, again):
        meta = read_json(meta_path(folder, "cat-01"))
        assert meta["repeated"] == 0.25 and (meta["channel"], meta["seed"]) == ("tom", 3)
        assert not meta_path(folder, "cat-02").exists()
    for folder in (videos, small, again):
        assert repeated_frames(folder, "cat-01").tolist() == expected
        assert not repeated_frames(folder, "cat-02").any()
    write_json(meta_path(small, "cat-02"), {"repeated": 0.5, "repeated_frames": "AAAA"})  # 24 frames, of 40
    with pytest.raises(ValueError, match=r"cat-02\.meta\.json cannot be read as notes of 40 frames: .* 24; shrink the"):
        repeated_frames(small, "cat-02")


def test_one_bad_recording_stops_no_other(tmp_path, capsys):
    """Whatever lies there under the name of a video or beside it is named in a line, and the totals add up."""
    videos = tmp_path / "videos"
    record(videos, "cat-good", 1, 12, size=(320, 180))
    whole = video_path(videos, "cat-good").read_bytes()
    os.mkfifo(video_path(videos, "cat-pipe"))
    video_path(videos, "cat-folder").mkdir()
    video_path(videos, "cat-link").symlink_to("nowhere")
    video_path(videos, "cat-codec").write_bytes(whole.replace(b"avc1", b"zzzz"))
    for id_ in ("cat-meta", "cat-deep", "cat-list", "cat-rows"):
        video_path(videos, id_).write_bytes(whole)
    meta_path(videos, "cat-meta").write_bytes(b"\xff\xfe")
    meta_path(videos, "cat-deep").write_text("[" * 100_000)
    meta_path(videos, "cat-list").write_text('{"channel": ["a"]}')
    os.mkfifo(pressed_path(videos, "cat-rows"))
    bad = ["codec", "deep", "folder", "link", "list", "meta", "pipe", "rows"]
    with pytest.raises(SystemExit) as stop:
        main(Options(videos=str(videos), out=str(tmp_path / "out")))
    said = capsys.readouterr()
    assert stop.value.code == 1 and "1 new, 0 there before, 8 failed" in said.out
    lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert [line.split(":")[1].strip() for line in lines] == [f"cat-{name}" for name in bad]
    assert all(str(videos / f"cat-{name}") in line for name, line in zip(bad, lines, strict=True))
    assert [path.name for path in sorted((tmp_path / "out").glob("*.mp4*"))] == ["cat-good.mp4"]


def test_ids_are_chosen_line_by_line(tmp_path):
    """An id may hold blanks and brackets, as names of videos that people saved do."""
    ids = ["Play [abc]", "Play one", "cat-01", "dog-01", "one"]
    (tmp_path / "only.txt").write_bytes("\ufeffPlay one\r\n\n  dog-01 \nPlay [abc]".encode())
    assert chosen(ids, tmp_path / "only.txt") == ["Play [abc]", "Play one", "dog-01"]
    for content, says in ((b"cat-01 dog-01\n", "only.txt names 'cat-01 dog-01', of which there is no recording: it "
                                               "takes one id a line"),
                          (b"\xff\xfe", "only.txt cannot be read as ids, one a line: ")):  # fmt: skip
        (tmp_path / "only.txt").write_bytes(content)
        with pytest.raises(ValueError, match=r"^[^\n]*" + re.escape(says)):
            chosen(ids, tmp_path / "only.txt")
    with pytest.raises(ValueError, match=r"none\.txt cannot be read as ids, one a line: no such file"):
        chosen(ids, tmp_path / "none.txt")


def test_a_broken_meta_file_hides_no_other_recording(tmp_path):
    for id_ in ("cat-01", "cat-02", "dog-01"):
        record(tmp_path, id_, 1, 2)
    meta_path(tmp_path, "cat-01").write_text("{")
    assert find_recordings(tmp_path, ("cat",)) == ["cat-01", "cat-02"]
    with pytest.raises(ValueError, match=r"cat-01\.meta\.json"):
        meta_of(tmp_path, "cat-01")
