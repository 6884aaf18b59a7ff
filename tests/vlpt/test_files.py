"""Files and folders: whole or not there, one writer at a time, and nothing left of a killed process."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

from vlpt.files import check_writable, locked, read_lines, whole_file, whole_folder
from vpt.files import unfinished_name

HOLD = """
import sys, time
from vlpt.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""
WRITE = """
import sys, time
from vlpt.files import {0}
with {0}(sys.argv[1]) as place:
    {1}
    print(place, flush=True)
    time.sleep(60)
"""


def started(code: str, *arguments) -> subprocess.Popen:
    """A Python process that has said its first line."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
                               text=True)  # fmt: skip
    process.said = process.stdout.readline().strip()
    return process


def killed(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_one_process_at_a_time_writes_a_folder_and_the_other_is_told_who(tmp_path):
    folder = tmp_path / "new" / "shards"
    holder = started(HOLD, folder)
    try:
        with pytest.raises(ValueError) as refusal, locked(folder):
            pass
        said = str(refusal.value)
        assert said.startswith(f"{folder} is being written by process {holder.pid} (python")
        assert f"on {socket.gethostname()}: wait for it, or end it" in said and "\n" not in said
        with locked(tmp_path / "new" / "other"):
            pass
    finally:
        killed(holder)
    with locked(folder):  # ended with its process
        assert (tmp_path / "new" / "shards.lock").exists()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_lock_is_let_go_after_an_exception_and_by_its_other_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(KeyError), locked(tmp_path / "a"):
        with pytest.raises(ValueError, match="is being written by process"), locked(tmp_path / "b"):
            pass
        raise KeyError
    with locked(tmp_path / "b" / ".." / "a"):
        pass


@pytest.mark.parametrize("kind, write", [("whole_file", "place.write_text('half')"),
                                         ("whole_folder", "(place / 'part').write_text('half')")])
def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_ones_kept(tmp_path, kind, write):
    target = tmp_path / "target[1].json"
    dead, living = (started(WRITE.format(kind, write), target) for _ in range(2))
    try:
        assert Path(dead.said) != Path(living.said) and Path(dead.said).suffix == ".tmp"
        killed(dead)
        assert Path(dead.said).exists()
        with {"whole_file": whole_file, "whole_folder": whole_folder}[kind](target) as place:
            (place if kind == "whole_file" else place / "part").write_text("whole")
        assert not Path(dead.said).exists() and Path(living.said).exists()
        assert (target if kind == "whole_file" else target / "part").read_text() == "whole"
    finally:
        killed(living)


def test_an_exception_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(KeyError), whole_file(path) as unfinished:
        unfinished.write_text("half")
        raise KeyError
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.json"]
    assert str(os.getpid()) in unfinished_name(path).name


def test_a_full_disk_is_named_by_the_file_that_was_to_be(tmp_path):
    for context in (whole_file, whole_folder):
        with pytest.raises(OSError) as full, context(tmp_path / "a"), open("/dev/full", "w") as disk:
            disk.write("more than there is room for")
        assert full.value.filename == str(tmp_path / "a") and full.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text, says", [
    ('{"a": 1}\n5\n', "line 2: not an object"), ('{"a": 1}\n{"a', "line 2: "), ("[" * 99_999, "line 1: "),
    (b"\xff\xfe\n", "is no text"),
])
def test_lines_that_are_no_objects_are_named(tmp_path, text, says):
    path = tmp_path / "a.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=says) as refusal:
        read_lines(path)
    assert str(path) in str(refusal.value)


def test_a_log_is_read_without_the_line_that_is_being_written(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\n{"step": 2}\n{"said": "\xc3')
    assert read_lines(tmp_path / "log.jsonl", appended=True) == [{"step": 1}, {"step": 2}]
    assert read_lines(tmp_path / "none.jsonl") == []


def test_a_folder_that_cannot_be_is_found_out_without_making_it(tmp_path):
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "a" / "b")
    for wrong in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(ValueError, match="file is a file"):
            check_writable(wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
