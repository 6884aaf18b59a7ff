"""Any video as the agent sees it: 20 pictures a second by the file's clock, no borders, and bad files named."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from support.fixture_data import arrays
from support.numbered_recordings import numbers, picture
from support.real_files import ffmpeg, film, needs_ffmpeg, seen

from vpt.agent_video import Pointer, inspect_video
from vpt.frames import resize_to_agent, write_video


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


def test_a_picture_that_is_seen_again_is_marked(tmp_path):
    """At 10 pictures a second every second one is a repetition: nothing can have moved in it, whatever was pressed."""
    film(tmp_path / "slow.mp4", range(0, 1000, 100))
    film(tmp_path / "fast.mp4", range(0, 1000, 25))
    film(tmp_path / "hole.mp4", [0, 50, 100, 250, 300])
    assert inspect_video(tmp_path / "slow.mp4").repeated.tolist() == [False, True] * 10
    assert not inspect_video(tmp_path / "fast.mp4").repeated.any()
    assert np.flatnonzero(inspect_video(tmp_path / "hole.mp4").repeated[:7]).tolist() == [3, 4]


@pytest.mark.parametrize(("size", "pixels"), [((321, 181), "yuv444p"), ((320, 180), "yuv420p10le"),
                                              ((320, 180), "yuv422p"), ((322, 182), "yuv420p")])  # fmt: skip
def test_odd_sizes_and_ten_bits_are_seen(tmp_path, size, pixels):
    film(tmp_path / "a.mp4", range(0, 1000, 50), size=size, pixels=pixels)
    assert seen(tmp_path / "a.mp4") == list(range(20))


def test_of_two_pictures_at_one_time_the_later_is_seen(tmp_path):
    film(tmp_path / "a.mp4", range(0, 1000, 50))
    with av.open(str(tmp_path / "a.mp4")) as whole, av.open(str(tmp_path / "b.mkv"), "w") as doubled:
        stream = doubled.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                if packet.pts * packet.time_base == Fraction(1, 2):  # picture 10 comes when 9 does
                    packet.pts -= int(Fraction(1, 20) / packet.time_base)
                doubled.mux(packet)
    shown = seen(tmp_path / "b.mkv")
    assert shown[:9] == list(range(9)) and shown[9] in (9, 10) and shown[10:] == [shown[9], *range(11, 20)]


@pytest.mark.parametrize(("times_ms", "said"), [
    ([0, 50, 100, 10**10], "shows one picture for 10000000 s, from 0 s on"),
    ([0, 50, 601_000], "shows one picture for 601 s"),
    (range(0, 26 * 3600_000, 500_000), "lasts 2[56].. hours: 24 are the most"),
])  # fmt: skip
def test_absurd_times_are_refused_before_they_cost_anything(tmp_path, times_ms, said):
    film(tmp_path / "a.mkv", times_ms, size=(64, 36))
    with pytest.raises(ValueError, match=rf"a\.mkv {said}[^\n]*$"):
        inspect_video(tmp_path / "a.mkv")


def test_ten_minutes_of_one_picture_are_still_seen(tmp_path):
    film(tmp_path / "a.mkv", [0, 50, 590_000], size=(64, 36))
    assert inspect_video(tmp_path / "a.mkv").count >= 590 * 20


def test_large_pictures_are_held_one_at_a_time(tmp_path):
    """A picture of 4K is 25 MB as RGB: of 24 of them the program holds far fewer at once."""
    with write_video(tmp_path / "a.mp4", (3840, 2160), preset="ultrafast") as video:
        for number in range(2):
            video.write(picture(number, (3840, 2160)))
    with av.open(str(tmp_path / "a.mp4")) as once, av.open(str(tmp_path / "b.mkv"), "w") as often:
        stream, packets = often.add_stream_from_template(once.streams.video[0]), list(once.demux(video=0))
        for n in range(24):
            packet = av.Packet(bytes(packets[0]))
            packet.pts = packet.dts = n * 1000
            packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, 1000), True, stream
            often.mux(packet)
    code = ("import re, sys; from vpt.agent_video import inspect_video\n"
            "peak = lambda: int(re.search('VmHWM:\\\\s+(\\\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
            "before = peak(); video = inspect_video(sys.argv[1]); print(len(set(video.source)), peak() - before)")
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.mkv")], capture_output=True, text=True)
    pictures, grown_mb = said.stdout.split()
    assert pictures == "24" and 25 < float(grown_mb) < 200


@needs_ffmpeg
def test_a_video_that_changes_its_size_is_refused(tmp_path):
    for name, begin_ms, size in (("small", 0, (320, 180)), ("large", 500, (640, 360))):
        film(tmp_path / f"{name}.mkv", range(begin_ms, begin_ms + 500, 50), size)
        ffmpeg("-copyts", "-i", tmp_path / f"{name}.mkv", "-c", "copy", tmp_path / f"{name}.ts")
    (tmp_path / "both.ts").write_bytes((tmp_path / "small.ts").read_bytes() + (tmp_path / "large.ts").read_bytes())
    with pytest.raises(ValueError, match=r"both\.ts changes its size at picture 10: encode it anew"):
        list(inspect_video(tmp_path / "both.ts").read_frames())
