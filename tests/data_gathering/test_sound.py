"""Sound on the pictures' clock, whatever the file does: begins late or early, has holes, is cut without encoding."""

import numpy as np
import pytest
from support.real_files import ffmpeg, film, needs_ffmpeg, seen

from data_gathering.transcription.refine import RATE_HZ, read_sound

pytestmark = needs_ffmpeg
CLICKS = "aevalsrc='if(gte(t,1)*lt(mod(t,1),0.05),0.8*sin(2*PI*1000*t),0)':s=44100:d=6"
HOLE = "aselect='not(between(t,2.5,4.2))'"


@pytest.fixture(scope="module")
def clicking(tmp_path_factory):
    """Six seconds, 20 numbered pictures each; a click at each full second but 0."""
    folder = tmp_path_factory.mktemp("clicking")
    film(folder / "silent.mp4", range(0, 6000, 50), key_every=40)
    ffmpeg("-i", folder / "silent.mp4", "-f", "lavfi", "-i", CLICKS, "-c:v", "copy", "-c:a", "aac", folder / "a.mp4")
    return folder / "a.mp4"


def heard_s(path) -> list[float]:
    """When the clicks begin."""
    loud = np.flatnonzero(np.abs(read_sound(path).astype(int)) > 3000)
    return (loud[np.diff(loud, prepend=-RATE_HZ) > RATE_HZ // 10] / RATE_HZ).tolist()


LATE = ("-i", "A", "-itsoffset", "1.7", "-i", "A", "-map", "0:v", "-map", "1:a", "-c", "copy")
EARLY = ("-itsoffset", "1.7", "-i", "A", "-i", "A", "-map", "0:v", "-map", "1:a", "-c", "copy")


@pytest.mark.parametrize(("arguments", "kind", "clicks_s", "first"), [
    (("-i", "A", "-c", "copy"), "mp4", (1, 2, 3, 4, 5), 0),
    (LATE, "mp4", (2.7, 3.7, 4.7, 5.7, 6.7), 0),
    (LATE, "mkv", (2.7, 3.7, 4.7, 5.7, 6.7), 0),
    (EARLY, "mp4", (0.3, 1.3, 2.3, 3.3), 0),
    (("-i", "A", "-itsoffset", "-1.7", *LATE[4:]), "mp4", (0.3, 1.3, 2.3, 3.3), 0),
    (("-i", "A", "-c:v", "copy", "-af", HOLE), "mp4", (1, 2, 5), 0),
    (("-i", "A", "-c:v", "copy", "-af", HOLE), "mkv", (1, 2, 5), 0),
    (("-ss", "2.5", "-i", "A", "-c", "copy"), "mp4", (0.5, 1.5, 2.5), 50),
    (("-ss", "2.5", "-i", "A", "-c", "copy"), "mkv", (0, 1, 2, 3), 40),
    (("-ss", "2.5", "-i", "A", "-c", "copy"), "ts", (0, 1, 2, 3), 40),
    (("-i", "A", "-c", "copy", "-movflags", "frag_keyframe+empty_moov"), "mp4", (1, 2, 3, 4, 5), 0),
])  # fmt: skip
def test_sound_and_pictures_share_one_clock(tmp_path, clicking, arguments, kind, clicks_s, first):
    """Where the click of second n is heard, picture 20 n is seen, or the sound is that much late."""
    path = tmp_path / f"b.{kind}"
    ffmpeg(*(clicking if argument == "A" else argument for argument in arguments), path)
    assert heard_s(path) == pytest.approx(clicks_s, abs=0.03)
    assert seen(path) == list(range(first, 120))


def test_sound_that_changes_its_rate_goes_on(tmp_path, clicking):
    for rate, begin in (("44100", "0"), ("22050", "3")):
        ffmpeg("-ss", begin, "-t", "3", "-i", clicking, "-map", "0:a", "-ar", rate, "-output_ts_offset", begin,
               tmp_path / f"{rate}.ts")  # fmt: skip
    (tmp_path / "both.ts").write_bytes(b"".join((tmp_path / f"{rate}.ts").read_bytes() for rate in ("44100", "22050")))
    assert heard_s(tmp_path / "both.ts") == pytest.approx([1, 2, 3, 4, 5], abs=0.03)


def test_sound_long_after_the_last_picture_costs_nothing(tmp_path, clicking):
    late = (clicking if argument == "A" else argument for argument in LATE)
    ffmpeg(*("80000" if argument == "1.7" else argument for argument in late), tmp_path / "far.mp4")
    assert not read_sound(tmp_path / "far.mp4").any() and len(read_sound(tmp_path / "far.mp4")) < 700 * RATE_HZ


def test_sound_alone_begins_at_its_beginning(tmp_path, clicking):
    ffmpeg("-i", clicking, "-vn", "-c", "copy", tmp_path / "b.m4a")
    assert heard_s(tmp_path / "b.m4a") == pytest.approx([1, 2, 3, 4, 5], abs=0.03)


def test_a_video_without_sound_is_named(clicking):
    with pytest.raises(ValueError, match=r"silent\.mp4 cannot be read as sound: it has none$"):
        read_sound(clicking.with_name("silent.mp4"))
