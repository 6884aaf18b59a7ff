"""An mp4 file's own tables say of every picture what a demuxer says that goes through all of them; where they do not
say it all, the demuxer is asked."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from support.numbered_recordings import numbers, picture
from support.places import ROOT
from support.real_files import ffmpeg, needs_ffmpeg

from vlpt.data.mp4_table import picture_table
from vlpt.data.recently_used import RecentlyUsed
from vlpt.data.video_packets import Demuxed, Tabled
from vlpt.data.video_reader import VideoReader, join
from vpt.frames import write_video

SAMPLE = ROOT / "data_gathering/samples/ch0-01.mp4"


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Three files in one: groups of 250 pictures and less, shown in another order than decoded."""
    folder = tmp_path_factory.mktemp("joined")
    for i, n in enumerate((300, 1, 40)):
        with write_video(folder / f"{i}.mp4", (128, 128)) as video:
            for t in range(n):
                video.write(picture(1000 * i + t))
    join([folder / f"{i}.mp4" for i in range(3)], folder / "joined.mp4")
    return folder / "joined.mp4"


def by_demuxer(path) -> list[tuple]:
    """(where, bytes, number when shown, whether decoding can begin there) of each picture as it is decoded."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        shown = np.argsort(np.argsort([packet.pts for packet in packets]))
        return [(one.pos, one.size, int(n), one.is_keyframe) for one, n in zip(packets, shown, strict=True)]


def by_table(path) -> list[tuple]:
    table, rows = picture_table(path), []
    for g in range(len(table.keys) - 1):
        group = table.group(g)
        keys = [n == 0 for n in range(len(group.size))]
        rows += zip(group.offset.tolist(), group.size.tolist(), group.shown.tolist(), keys, strict=True)
    assert len(table) == len(rows)
    return rows


def test_tables_say_what_a_demuxer_finds(joined):
    assert by_table(joined) == by_demuxer(joined) and by_table(SAMPLE) == by_demuxer(SAMPLE)
    assert isinstance(VideoReader(joined).packets, Tabled)


@needs_ffmpeg
@pytest.mark.parametrize("how", [
    ("-i", SAMPLE, "-f", "lavfi", "-i", "sine=duration=50", "-c:v", "copy"),  # sound between the pictures
    ("-i", SAMPLE, "-c", "copy", "-movflags", "faststart"),
    ("-i", SAMPLE, "-c", "copy", "-video_track_timescale", "90000"),
    ("-i", SAMPLE, "-bf", "0", "-g", "1"),  # every picture by itself
    ("-i", SAMPLE, "-vf", "setpts=PTS+floor(random(0)*2)*0.01/TB", "-fps_mode", "vfr"),  # another time each
])
def test_tables_of_other_makers(tmp_path, how):
    ffmpeg(*how, tmp_path / "other.mp4")
    assert by_table(tmp_path / "other.mp4") == by_demuxer(tmp_path / "other.mp4")


@needs_ffmpeg
@pytest.mark.parametrize("how", [
    ("-c", "copy", "-movflags", "frag_keyframe+empty_moov"),  # tables between the pictures
    ("-c:v", "mpeg4"),  # another codec
    ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=20:bframes=3", "-t", "3"),  # groups want one another
])
def test_what_tables_do_not_say_is_asked_of_a_demuxer_or_named(tmp_path, how):
    ffmpeg("-i", SAMPLE, *how, tmp_path / "other.mp4")
    video = VideoReader(tmp_path / "other.mp4")
    assert isinstance(video.packets, Demuxed)
    if "libx264" not in how:
        near = video.read_frames(300, 310).astype(int) - VideoReader(SAMPLE).read_frames(300, 310)
        assert np.abs(near).mean() < 8


@needs_ffmpeg
def test_threads_may_read_one_video(tmp_path):
    """What is ahead of a training is read in a thread, beside its validation: a demuxer has one place in its file."""
    ffmpeg("-i", SAMPLE, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", tmp_path / "other.mp4")
    video, alone = VideoReader(tmp_path / "other.mp4", RecentlyUsed(0)), VideoReader(SAMPLE)
    assert isinstance(video.packets, Demuxed)
    starts = [*range(0, 900, 60)] * 2
    with ThreadPoolExecutor(4) as pool:
        for start, found in zip(starts, pool.map(lambda start: video.read_frames(start, start + 40), starts),
                                strict=True):
            np.testing.assert_array_equal(found, alone.read_frames(start, start + 40))


def test_a_file_that_is_cut_or_replaced_is_named(joined, tmp_path):
    cut = shutil.copy(joined, tmp_path / "cut.mp4")
    video = VideoReader(cut)
    np.testing.assert_array_equal(numbers(video.read_frames(298, 303)), [298, 299, 1000, 2000, 2001])
    with open(cut, "r+b") as file:
        file.truncate(2000)
    with pytest.raises(ValueError, match=r"cut.mp4 cannot be read as H.264 video: it is cut short; copy"):
        video.read_frames(0, 10)
    with pytest.raises(ValueError, match=r"cut.mp4 cannot be read"):
        VideoReader(cut)
