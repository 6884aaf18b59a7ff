"""Any video as the agent sees it: 20 pictures a second by the file's clock, no borders, and bad files named."""

from fractions import Fraction

import av
import numpy as np
import pytest
from support.fixture_data import arrays
from support.numbered_recordings import numbers, picture

from vpt.agent_video import Pointer, inspect_video
from vpt.frames import resize_to_agent, write_video


def film(path, times_ms, size=(320, 180), border=(0, 0)) -> None:
    """A video whose pictures, numbered 0, 1, 2 ..., are shown from these times on; border: (rows, columns) of black."""
    rows, columns = border
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"crf": "12", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = size[0] + 2 * columns, size[1] + 2 * rows, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            shown = np.pad(picture(number, size), ((rows, rows), (columns, columns), (0, 0)))
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = int(time_ms), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def seen(path) -> list[int]:
    return numbers(np.stack(list(inspect_video(path).read_frames()))).tolist()


@pytest.mark.parametrize("rate", [10, 20, 25, 30, 59.94])
def test_pictures_follow_the_clock_at_any_rate(tmp_path, rate):
    times_ms = np.round(np.arange(90) / rate * 1000)
    film(tmp_path / "a.mp4", times_ms)
    shown = seen(tmp_path / "a.mp4")
    for k, number in enumerate(shown):
        assert number == np.searchsorted(times_ms, k * 50 + 1.9, side="right") - 1
    assert abs(len(shown) - 90 / rate * 20) <= 1


def test_a_changing_rate_and_a_gap_are_followed(tmp_path):
    times_ms = [*range(0, 1000, 100), *range(1000, 2000, 20), *range(3000, 4000, 50)]
    film(tmp_path / "a.mp4", times_ms)
    shown = seen(tmp_path / "a.mp4")
    assert shown[:4] == [0, 0, 1, 1] and shown[20:23] == [10, 12, 15]
    assert shown[40:60] == [59] * 20 and shown[60:63] == [60, 61, 62]  # nothing new for a second: the last one stays


def test_recordings_of_the_agent_are_left_as_they_are(tmp_path):
    with write_video(tmp_path / "a.mp4", (128, 128)) as video:
        for number in range(30):
            video.write(picture(number))
    footage = inspect_video(tmp_path / "a.mp4")
    assert footage.as_it_is and footage.count == 30 and seen(tmp_path / "a.mp4") == list(range(30))


@pytest.mark.parametrize("border", [(30, 0), (0, 54), (20, 36), (1, 3)])
def test_black_borders_are_cut_off(tmp_path, border):
    film(tmp_path / "plain.mp4", range(0, 2000, 50))
    film(tmp_path / "bordered.mp4", range(0, 2000, 50), border=border)
    footage = inspect_video(tmp_path / "bordered.mp4")
    found = np.array(footage.crop) - [border[0], border[0] + 180, border[1], border[1] + 320]
    assert np.abs(found).max() <= 2
    plain, cut = (np.stack(list(inspect_video(tmp_path / f"{name}.mp4").read_frames())).astype(int)
                  for name in ("plain", "bordered"))
    assert np.abs(plain - cut).mean() < 6 and numbers(cut.astype(np.uint8)).tolist() == list(range(40))


def test_a_dark_scene_is_no_border(tmp_path):
    with write_video(tmp_path / "a.mp4", (320, 180)) as video:
        for number in range(40):
            rgb = picture(number, (320, 180))
            rgb[:, :160] //= 30 if number < 35 else 1  # dark for most of the time
            video.write(rgb)
    assert inspect_video(tmp_path / "a.mp4").crop == (0, 180, 0, 320)


@pytest.mark.parametrize("size", [(320, 240), (180, 320), (400, 180)])
def test_another_aspect_is_refused(tmp_path, size):
    film(tmp_path / "a.mp4", range(0, 500, 50), size=size)
    with pytest.raises(ValueError, match=r"a.mp4 shows .*the agent sees 16:9"):
        inspect_video(tmp_path / "a.mp4")


def test_bad_files_are_named(tmp_path):
    film(tmp_path / "a.mp4", range(0, 3000, 50))
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    with av.open(str(tmp_path / "none.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.encode(None)
    for name in ("cut", "empty", "none", "missing"):
        with pytest.raises((ValueError, FileNotFoundError), match=f"{name}.mp4"):
            list(inspect_video(tmp_path / f"{name}.mp4").read_frames())


def test_the_published_resize_comes_last(tmp_path):
    film(tmp_path / "a.mp4", range(0, 500, 50))
    from vpt.frames import read_video

    first = next(read_video(tmp_path / "a.mp4"))
    np.testing.assert_array_equal(next(inspect_video(tmp_path / "a.mp4").read_frames()), resize_to_agent(first))


def lossless_film(path, pictures) -> None:
    """A video of these RGB pictures, 20 a second, that loses nothing."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=20, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "rgb24"
        for rgb in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def test_the_pointer_is_drawn_as_the_published_loader_does(tmp_path):
    gold = arrays("contractor_compositing.npz")
    frame = np.ascontiguousarray(gold["frame_bgr_360x640"][..., ::-1])
    lossless_film(tmp_path / "a.mp4", [frame] * 10)
    video = inspect_video(tmp_path / "a.mp4")
    pointer = Pointer(gold["cursor_bgra"][..., [2, 1, 0, 3]], gold["gui_open"], gold["mouse_xy"])
    shown = list(video.read_frames(pointer))
    np.testing.assert_array_equal(np.stack(shown)[gold["loader_rgb_128.index"]], gold["loader_rgb_128"])
    changed = [(pointer.draw(frame, t) != frame).any(-1).sum() for t in range(10)]
    assert changed[:9] == gold["n_pixels_changed"].tolist() and changed[9] == 0
    np.testing.assert_array_equal(np.stack(list(video.read_frames())), [resize_to_agent(frame)] * 10)


def test_the_pointer_follows_the_files_pictures(tmp_path):
    """At 10 pictures a second each is seen twice, and so is its pointer; borders are cut off after it is drawn."""
    film(tmp_path / "a.mp4", range(0, 500, 100), border=(20, 36))
    pointer = Pointer(np.full((16, 16, 4), 255, np.uint8), np.arange(5) == 2, np.full((5, 2), 360.0))
    video = inspect_video(tmp_path / "a.mp4")
    plain, drawn = (np.stack(list(video.read_frames(given))) for given in (None, pointer))
    assert np.flatnonzero((plain != drawn).any((1, 2, 3))).tolist() == [4, 5]
    rows, columns = np.nonzero((plain != drawn)[4].any(-1))  # 360 of 720 lines: pixel 110 of 220, 90 inside the border
    assert abs(rows.min() - 90 * 128 / 180) <= 2 and abs(columns.min() - 74 * 128 / 320) <= 2
