"""The README's GIF: the right pictures at the right pace, in one palette; nothing is left where it is too large."""

import numpy as np
import pytest
from PIL import Image, ImageSequence
from support.numbered_recordings import numbers, picture

from vlpt.options import run
from vlpt.show.animate import Options, main, without_tremble
from vlpt.show.paint import OTHER
from vpt.frames import write_video


@pytest.fixture
def film(tmp_path) -> str:
    """Three seconds of numbered pictures, 20 a second."""
    with write_video(tmp_path / "play.mp4", (320, 240)) as video:
        for number in range(60):
            video.write(picture(number, (320, 240)))
    return str(tmp_path / "play.mp4")


def pictures(path) -> list[Image.Image]:
    with Image.open(path) as gif:
        return [one.copy() for one in ImageSequence.Iterator(gif)]


@pytest.mark.parametrize("fps, shown", [(5, [20, 24, 28, 32, 36]), (1, [20]), (20, list(range(20, 40)))])
def test_a_gif_shows_the_asked_part_of_the_film(tmp_path, film, fps, shown):
    out = tmp_path / "docs/play.gif"
    n_bytes = main(Options(film=film, out=str(out), start_s=1.0, seconds=1.0, fps=fps, width=160))
    assert out.stat().st_size == n_bytes and [path.name for path in out.parent.iterdir()] == ["play.gif"]
    seen = pictures(out)
    assert numbers(np.stack([np.asarray(one.convert("RGB")) for one in seen])).tolist() == shown
    assert {one.size for one in seen} == {(160, 120)}
    if len(seen) > 1:
        assert {one.info["duration"] for one in seen} == {1000 // fps} and seen[0].info["loop"] == 0


def test_all_pictures_share_a_palette(tmp_path, film):
    """A palette of its own in each picture would cost 768 bytes a picture, and what stands still would flicker."""
    main(Options(film=film, out=str(tmp_path / "play.gif"), fps=20, width=160))
    content = (tmp_path / "play.gif").read_bytes()
    descriptors = [content[at + 9] for at in range(len(content) - 10)
                   if content[at - 9: at - 6] == b"\x00\x21\xf9" and content[at] == 0x2C]  # fmt: skip
    assert len(descriptors) == 60 and not any(flags & 0x80 for flags in descriptors)


@pytest.mark.parametrize("colour, most", [(OTHER, 6), ((60, 200, 20), 20)])  # H.264 itself shifts them by 3
def test_rare_colours_stay(tmp_path, colour, most):
    """Amber words, a green pillar: a hundredth of a brown picture, which a palette by area alone would leave out."""
    brown = np.random.default_rng(0).integers(0, [160, 110, 80], (60, 80, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    brown[100:116, 100:148] = colour
    with write_video(tmp_path / "play.mp4", (320, 240), crf=10) as video:
        for _ in range(20):
            video.write(brown)
    main(Options(film=str(tmp_path / "play.mp4"), out=str(tmp_path / "play.gif"), width=320))
    seen = np.asarray(pictures(tmp_path / "play.gif")[0].convert("RGB")).astype(int)
    assert np.abs(seen[104:112, 104:144] - colour).max() <= most


def test_what_trembles_stands_still_and_what_moves_is_kept():
    first = np.full((4, 4, 3), 100, np.uint8)
    second, third = first + 7, first + 20
    shown = without_tremble([first, second, third])
    assert (shown[0] == 100).all() and (shown[1] == 100).all() and (shown[2] == 120).all()


def test_a_film_that_ends_early_is_shown_to_its_end(tmp_path, film):
    main(Options(film=film, out=str(tmp_path / "play.gif"), start_s=2.5, seconds=9.0, width=160))
    assert len(pictures(tmp_path / "play.gif")) == 3


def test_a_gif_that_is_too_large_leaves_what_was_there(tmp_path, film):
    options = Options(film=film, out=str(tmp_path / "play.gif"), fps=20, width=320, most_mb=0.01)
    with pytest.raises(ValueError, match=r"play\.gif would have 0\.\d+ MB.*--width"):
        main(options)
    assert [path.name for path in tmp_path.iterdir()] == ["play.mp4"]
    (tmp_path / "play.gif").write_bytes(b"before")
    with pytest.raises(ValueError):
        main(options)
    assert (tmp_path / "play.gif").read_bytes() == b"before"


@pytest.mark.parametrize("given, said", [
    (("--start-s", "3"), "ends before --start-s 3.0"),
    (("--width", "640"), "more than the film's 320"),
    (("--film", "none.mp4"), "none.mp4 cannot be read as a video"),
])  # fmt: skip
def test_what_cannot_be_shown_is_one_line(tmp_path, film, given, said):
    with pytest.raises(SystemExit, match=f"^error: [^\n]*{said}[^\n]*$"):
        run(main, Options, ["--film", film, "--out", str(tmp_path / "play.gif"), "--width", "160", *given])
    assert not (tmp_path / "play.gif").exists()


@pytest.mark.parametrize("given", [("--fps", "3"), ("--out", "play.png"), ("--most-mb", "0")])
def test_options_that_make_no_sense_are_refused(given):
    with pytest.raises(SystemExit) as end:
        run(main, Options, given)
    assert end.value.code == 2
