"""Shrinking contractors' recordings: the pointer in open windows, as the published loader draws it; what is refused."""

import cv2
import numpy as np
import pytest
from support.fixture_data import arrays
from support.numbered_recordings import numbers, record

from data_gathering.recordings import pressed_path, video_path, write_agent_video
from data_gathering.shrink import Options, main
from vlpt.files import read_lines, write_lines
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
