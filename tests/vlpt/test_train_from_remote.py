"""Training from shards that lie elsewhere: what is learnt is what is learnt from the same ones on this disk, and what
was fetched or computed once is not fetched or computed again."""

import json
import shutil

import fsspec
import pytest
from support.small_shards import make_shards, record_all
from support.web_folder import web_folder

import train
from vlpt.options import parse

FRAMES = {"ch0-00": 48, "ch1-00": 40, "ch2-00": 24}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_shards(record_all(folder / "3_video", FRAMES), folder / "web/shards")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VLPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def trained(runs, stage: str, name: str, shards, *flags: str) -> list[dict]:
    """The log of two updates, without what tells time."""
    line = f"{stage} --name {name} --runs {runs} --shards {shards} --held-out ch2 --steps 2 --warmup 1 --lanes 2 " \
           "--chunk 8 --accumulate 1 --validate-every 0 --no-progress --device cpu"  # fmt: skip
    train.train(parse(train.OPTIONS, [*line.split(), *flags]))
    rows = [json.loads(row) for row in (runs / name / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "frames_per_s" and not key.startswith("speed/")}
            for row in rows]  # fmt: skip


def test_pictures_from_a_store_teach_what_those_on_this_disk_do(data, cache, tmp_path):
    fsspec.filesystem("memory").put(str(data / "web/shards"), "/play/shards", recursive=True)
    here = trained(tmp_path / "runs", "base", "here", data / "web/shards")
    assert trained(tmp_path / "runs", "base", "there", "memory://play/shards") == here and len(here) == 2


def test_features_of_remote_shards_are_made_once_and_then_no_video_is_fetched(data, cache, tmp_path):
    with web_folder(data / "web") as server:
        place, runs = f"{server.address}/shards", tmp_path / "runs"
        here = trained(runs, "language", "here", data / "web/shards")
        assert trained(runs, "language", "there", place, "--workers", "1") == here
        assert sum(".mp4" in path for path in server.asked) == 1
        made = {path: path.stat().st_mtime_ns for path in (cache / "features").rglob("*.npy")}
        assert len(made) == 1 and len(list((data / "web/features").rglob("*.npy"))) == 1
        for copies in cache.glob("*/videos"):
            shutil.rmtree(copies)
        assert trained(runs, "language", "again", place) == here
        assert sum(".mp4" in path for path in server.asked) == 1
        assert made == {path: path.stat().st_mtime_ns for path in (cache / "features").rglob("*.npy")}
