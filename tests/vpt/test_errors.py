"""One error in one line, whatever stands in it."""

import pytest

from vpt.errors import LONGEST, one_line


@pytest.mark.parametrize("error, says", [
    (ValueError("clip.mp4 is broken:\n\trecord it again"), "clip.mp4 is broken: record it again"),
    (ValueError("one\u2028two\x85three\r\nfour\x0bfive\xa0six"), "one two three four five six"),
    (ValueError("red \x1b[31m, bell \x07, half \ud83d, hidden \u202e"), "red ?[31m, bell ?, half ?, hidden ?"),
    (ValueError(""), "ValueError"),
    (ValueError(" \n"), "ValueError"),
    (OSError(), "OSError"),
    (OSError("the site is silent"), "the site is silent"),
    (FileNotFoundError(2, "No such file or directory", "a\nb.mp4"), "a b.mp4: No such file or directory"),
    (OSError(28, "No space left on device", "a"), "a: No space left on device: make room there, and give the same "
                                                  "command again"),
    (PermissionError(13, "Permission denied"), "Permission denied: choose another place, or change who may use it"),
    (KeyError("mouse"), "KeyError: 'mouse'"),
    (AssertionError(), "AssertionError"),
    (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum recursion depth exceeded"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "'utf-8' codec can't decode byte 0xff in "
                                                                       "position 0: invalid start byte"),
    ("a title\nof a site", "a title of a site"),
    ("", ""),
])  # fmt: skip
def test_an_error_is_one_line(error, says):
    assert one_line(error) == says and one_line(error).isprintable()


@pytest.mark.parametrize("filling", ["x", "\n", "\x1b", "\ud800", "ab "])
def test_of_a_long_error_the_file_and_the_cure_are_kept(filling):
    said = one_line(ValueError("clip.mp4: " + filling * 3_000_000 + " : record it again"))
    assert said.startswith("clip.mp4: ") and said.endswith(": record it again")
    assert len(said) <= LONGEST + 5 and said.isprintable()
    assert len(one_line("x" * 10_000, 140)) <= 140 + 5


def test_a_file_that_the_sentence_names_is_not_named_twice():
    assert one_line(FileNotFoundError(2, "No such file", "a.mp4"), of="a.mp4") == "No such file"
    assert one_line(ValueError("b.mp4: broken"), of="a.mp4") == "b.mp4: broken"
