"""Ledgers: what is kept of a file that was cut off, written by hand, or is no file."""

import json
import os

import pytest

from data_gathering.ledger import LatestLedger, Ledger, end_with, read_ledger, read_rows


def keys(path) -> list[str]:
    return [row["key"] for row in read_rows(path)]


def test_a_last_line_without_an_end_is_kept_if_it_is_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "a"}\n{"key": "b", "n": 1}')  # as an editor leaves it
    ledger = Ledger(path)
    assert keys(path) == ["a", "b"] and not ledger.add({"key": "b"}) and ledger.add({"key": "c"})
    assert path.read_text() == '{"key": "a"}\n{"key": "b", "n": 1}\n{"key": "c"}\n'


@pytest.mark.parametrize("torn", ['{"key": "b", "ti', '{"key": "b"', "{", '{"key": "ü'])
def test_a_torn_last_line_is_left_out_and_the_next_row_takes_its_place(torn, tmp_path):
    path = tmp_path / "a.jsonl"
    content = b'{"key": "a"}\n' + torn.encode()[: -1 if "ü" in torn else None]  # also in the middle of a character
    path.write_bytes(content)
    for ledger in (Ledger(path), LatestLedger(path)):
        assert keys(path) == ["a"] and path.read_bytes() == content  # reading leaves another program's half line alone
    ledger.add({"key": "c"})
    assert path.read_text() == '{"key": "a"}\n{"key": "c"}\n'


@pytest.mark.parametrize("title", ["one\u2028two", "a\x85b", "half \ud83d", "ü", "\x1b[2J", "a\r\nb"])
def test_any_title_is_one_line_and_comes_back(title, tmp_path):
    Ledger(tmp_path / "a.jsonl").add({"key": "a", "title": title})
    assert len((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert next(read_rows(tmp_path / "a.jsonl"))["title"] == title
    assert "ü" not in title or "ü" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [
    b'{"key": ["a"]}', b'{"key": 5}', b'{"key": null}', b"[1]", b"5", b"", b"\xff\xfe", b"[" * 100_000,
    b'{"key": ' + b"9" * 5000 + b"}", b'{"other": "a"}',
])  # fmt: skip
def test_a_line_without_a_key_is_named(line, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"key": "a"}\n' + line + b'\n{"key": "b"}\n')
    with pytest.raises(ValueError, match="a.jsonl, line 2: no JSON object with a key") as error:
        Ledger(tmp_path / "a.jsonl")
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("read", [Ledger, LatestLedger, lambda path: list(read_rows(path)),
                                  lambda path: read_ledger(path, "find")])  # fmt: skip
def test_what_is_no_file_is_one_line(make, read, tmp_path):
    make(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="a.jsonl: it is no file"):
        read(tmp_path / "a.jsonl")


def test_of_doubled_rows_the_first_counts(tmp_path):
    rows = [{"key": "a", "n": 1}, {"key": "b", "n": 2}, {"key": "a", "n": 3}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row["n"] for row in read_ledger(tmp_path / "a.jsonl", "find")] == [1, 2]
    assert LatestLedger(tmp_path / "a.jsonl").rows["a"]["n"] == 3


def test_failures_are_a_line_each_and_not_without_end(capsys):
    with pytest.raises(SystemExit):
        end_with(["a: one\ntwo\u2028three \x1b[2J"] + ["b"] * 1000)
    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == "failed: a: one two three ?[2J" and lines[-2] == "failed: 951 more" and len(lines) == 52
