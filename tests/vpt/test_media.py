"""Files as people have them: cut without encoding, turned by metadata, or broken in any way, and then named."""

import os

import av
import cv2
import numpy as np
import pytest
from support.numbered_recordings import numbers, picture
from support.real_files import ffmpeg, film, needs_ffmpeg, seen

from vlpt.data.video_reader import VideoReader, signature
from vpt.agent_video import inspect_video
from vpt.frames import count_frames, read_video, write_video
from vpt.media import Turn, open_media, picture_stream, read_clock, readable


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Six seconds, a key frame every two."""
    path = tmp_path_factory.mktemp("whole") / "whole.mp4"
    film(path, range(0, 6000, 50), key_every=40)
    return path


@needs_ffmpeg
@pytest.mark.parametrize(("at", "kind", "first"), [("2.5", "mp4", 50), ("0.3", "mp4", 6), ("2.5", "mkv", 40)])
def test_a_lossless_cut_shows_what_lies_after_it(tmp_path, whole, at, kind, first):
    """In an mp4 the frames from the key frame to the cut are there, and hidden; in a Matroska file they are shown."""
    ffmpeg("-ss", at, "-i", whole, "-c", "copy", tmp_path / f"cut.{kind}")
    assert seen(tmp_path / f"cut.{kind}") == list(range(first, 120))
    assert len(list(read_video(tmp_path / f"cut.{kind}"))) == 120 - first
    assert count_frames(tmp_path / f"cut.{kind}") == (120 - first if kind == "mp4" else 0)
    clock = read_clock(tmp_path / f"cut.{kind}")
    assert clock.hidden == (first % 40 if kind == "mp4" else 0) and clock.seconds[0] == 0


@needs_ffmpeg
def test_a_cut_of_the_agents_own_pictures_is_not_taken_as_it_is(tmp_path):
    with write_video(tmp_path / "whole.mp4", (128, 128)) as video:
        for number in range(40):
            video.write(picture(number))
    ffmpeg("-ss", "0.5", "-i", tmp_path / "whole.mp4", "-c", "copy", tmp_path / "cut.mp4")
    assert inspect_video(tmp_path / "whole.mp4").as_it_is and not inspect_video(tmp_path / "cut.mp4").as_it_is
    with pytest.raises(ValueError, match=r"cut\.mp4 cannot be read as H.264 video: its edit list hides frames; copy"):
        VideoReader(tmp_path / "cut.mp4")


@needs_ffmpeg
def test_a_cut_that_is_cut_short_is_named_all_the_same(tmp_path, whole):
    ffmpeg("-ss", "2.5", "-i", whole, "-c", "copy", "-movflags", "faststart", tmp_path / "cut.mp4")
    content = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "short.mp4").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match=r"short\.mp4 (is cut short|cannot be read)"):
        list(read_video(tmp_path / "short.mp4"))


def turned_film(path, degrees: int, mirrored: bool = False) -> None:
    """A picture of which each corner is another grey, and a matrix that asks players to turn it."""
    shown = np.repeat(np.repeat(np.array([[30, 90], [150, 220]], np.uint8), 90, 0), 160, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([shown] * 3, -1), format="rgb24")))
        container.mux(stream.encode(None))


@needs_ffmpeg
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_what_the_file_turns_is_upright_as_ffmpeg_shows_it(tmp_path, degrees, mirrored):
    turned_film(tmp_path / "a.mp4", degrees, mirrored)
    ffmpeg("-i", tmp_path / "a.mp4", "-frames:v", "1", tmp_path / "shown.png")
    expected = cv2.imread(str(tmp_path / "shown.png"))[..., ::-1].astype(int)
    first = next(read_video(tmp_path / "a.mp4"))
    assert first.shape == expected.shape == ((320, 180, 3) if degrees % 180 else (180, 320, 3))
    assert np.abs(first - expected).mean() < 2


def test_a_turn_is_rows_and_columns_then_sides():
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(Turn(True, False, True).apply(rgb), np.rot90(rgb))
    np.testing.assert_array_equal(Turn(False, True, True).apply(rgb), rgb[::-1, ::-1])
    assert Turn().apply(rgb) is rgb


@needs_ffmpeg
def test_the_aspect_is_of_the_upright_picture(tmp_path):
    """A telephone held upright is refused; a portrait file that is turned to lie is the game."""
    film(tmp_path / "wide.mp4", range(0, 1000, 50))
    ffmpeg("-i", tmp_path / "wide.mp4", "-metadata:s:v", "rotate=90", "-c", "copy", tmp_path / "upright.mp4")
    with pytest.raises(ValueError, match=r"upright\.mp4 shows 180x320 pixels, 0\.56:1"):
        inspect_video(tmp_path / "upright.mp4")
    ffmpeg("-i", tmp_path / "wide.mp4", "-vf", "transpose=clock", "-crf", "12", tmp_path / "tall.mp4")
    with pytest.raises(ValueError, match=r"tall\.mp4 shows 180x320"):
        inspect_video(tmp_path / "tall.mp4")
    found = {}
    for degrees in (90, 270):
        ffmpeg("-i", tmp_path / "tall.mp4", "-metadata:s:v", f"rotate={degrees}", "-c", "copy", tmp_path / "lying.mp4")
        video = inspect_video(tmp_path / "lying.mp4")
        assert video.size == (180, 320) and not video.as_it_is
        found[degrees] = numbers(np.stack(list(video.read_frames()))).tolist()
    assert list(range(20)) in found.values()  # the other one stands on its head


@needs_ffmpeg
def test_a_cover_is_no_video(tmp_path, whole):
    cv2.imwrite(str(tmp_path / "cover.png"), np.full((90, 90, 3), 200, np.uint8))
    ffmpeg("-i", tmp_path / "cover.png", "-i", whole, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0",
           "attached_pic", tmp_path / "covered.mp4")  # fmt: skip
    assert seen(tmp_path / "covered.mp4") == list(range(120))


def test_a_title_that_is_no_unicode_hurts_nobody(tmp_path, whole):
    with av.open(str(whole)) as source, av.open(str(tmp_path / "a.mp4"), "w") as target:
        target.metadata["title"] = "Q" * 20
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.count(b"Q" * 20) == 1
    (tmp_path / "a.mp4").write_bytes(content.replace(b"Q" * 20, b"Spa\xdf beim Spielen " + b"\xff" * 3))
    assert seen(tmp_path / "a.mp4") == list(range(120))


def readers():
    return {"read": lambda path: next(read_video(path)), "inspect": inspect_video, "count": count_frames,
            "clock": read_clock, "shards": VideoReader, "signature": signature}  # fmt: skip


@pytest.mark.parametrize("name", readers())
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing", "unknown codec", "missing"])
def test_what_is_no_video_is_one_line_and_nothing_waits(tmp_path, whole, kind, name):
    path = tmp_path / "a.mp4"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link to nothing":
            path.symlink_to(tmp_path / "nothing")
        case "unknown codec":
            path.write_bytes(whole.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(ValueError, match=r"^[^\n]*a\.mp4 cannot be read as [^\n]*$"):
        readers()[name](path)


@pytest.mark.parametrize("fault", [OverflowError, RecursionError, AttributeError, KeyError, MemoryError, EOFError,
                                   lambda text: UnicodeDecodeError("utf-8", b"\xff", 0, 1, text)])  # fmt: skip
def test_any_failure_of_parsing_is_a_value_error_with_the_name(tmp_path, fault):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^[^\n]*a\.mp4 cannot be read as a video: .*two lines.*; record again$"):
        with readable(tmp_path / "a.mp4", cure="record again"):
            raise fault("two\nlines" if fault is EOFError else "two lines")


@pytest.mark.parametrize("seed", range(8))
def test_bytes_overwritten_anywhere_never_raise_anything_else(tmp_path, whole, seed):
    """Mostly in the header, where lengths and times are."""
    rng, content = np.random.default_rng(seed), bytearray(whole.read_bytes())
    header = content.index(b"moov")
    for _ in range(12):
        broken = bytearray(content)
        for place in rng.integers(header, len(content), rng.integers(1, 6)):
            broken[place] = rng.integers(256)
        (tmp_path / "a.mp4").write_bytes(broken)
        try:
            for name, read in readers().items():
                if name != "shards":
                    read(tmp_path / "a.mp4")
        except ValueError as error:
            assert "a.mp4" in str(error)


def test_a_clock_of_a_whole_file(whole):
    with open_media(whole) as container:
        assert picture_stream(container).type == "video"
    clock = read_clock(whole)
    assert clock.end_s == pytest.approx(6) and len(clock.seconds) == 120 and len(clock.keys) == 3
