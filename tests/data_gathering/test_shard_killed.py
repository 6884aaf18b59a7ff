"""A program that adds to a dataset is killed (SIGKILL) again and again: the dataset is as before or as after, never
half, and the same command ends as if nothing had happened."""

import os
import shutil
import signal
import sys
import time

import pytest
from support.small_shards import make_shards, record_all, whole

from vlpt.data.shards import damaged
from vlpt.files import put_back

FRAMES = {"ch0-00": 40, "ch0-01": 1, "ch1-00": 33}
WRITES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlsym"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Recordings, a dataset of the first of them, one of all of them."""
    folder = tmp_path_factory.mktemp("made")
    recordings = record_all(folder / "3_video", FRAMES)
    (folder / "some").mkdir()
    old = make_shards(recordings, folder / "some/shards", only=["ch0-00"])
    return recordings, old, make_shards(recordings, folder / "all")


def adding(recordings, out, kill_at: int) -> tuple[int, int]:
    """Adds in a process of its own, killed right before it changes the disk for that time (0: never); returns how it
    ended, and how often it has changed it."""
    told, tell = os.pipe()
    process = os.fork()
    if not process:
        changes = 0

        def hook(event: str, arguments: tuple) -> None:
            nonlocal changes
            written = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if event in WRITES or written:
                changes += 1
                os.write(tell, b".")
                if changes == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        status = 1
        try:
            make_shards(recordings, out)
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    ended, by = 0, time.monotonic() + 60
    while not ended and time.monotonic() < by:
        ended, status = os.waitpid(process, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(process, signal.SIGKILL)
        pytest.fail("it did not end")
    with os.fdopen(told, "rb") as said:
        return status, len(said.read())


def test_a_dataset_is_as_before_or_as_after_whenever_who_adds_to_it_is_killed(made, tmp_path):
    recordings, old, new = made
    before, after = whole(old), whole(new)
    counted = shutil.copytree(old, tmp_path / "counted/shards")
    status, changes = adding(recordings, counted, kill_at=0)
    assert status == 0 and whole(counted) == after and changes > 20
    found = []
    for number in sorted({*range(1, changes, changes // 4), *range(changes - 6, changes + 1)}):
        out = shutil.copytree(old, tmp_path / str(number) / "shards")
        status, _ = adding(recordings, out, kill_at=number)
        assert os.WTERMSIG(status) == signal.SIGKILL
        found.append(whole(out))
        assert found[-1] in (before, after) and damaged(out) is None
        make_shards(recordings, out)
        assert whole(out) == after and damaged(out) is None
        assert [path.name for path in out.parent.iterdir()] == ["shards"]
    assert found[0] == before and found[-1] == after


def test_a_folder_between_two_renamings_is_put_back(tmp_path):
    """As it is left where the disk cannot exchange two folders."""
    (tmp_path / "shards.old").mkdir()
    put_back(tmp_path / "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
    (tmp_path / "shards.old").mkdir()
    put_back(tmp_path / "shards")
    assert len(list(tmp_path.iterdir())) == 2
