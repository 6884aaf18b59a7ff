"""gather: all programs in one go, on this machine and on a Ray cluster of two nodes of which one is killed."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from support.gathering import CHANNEL, IDS, channel, configure, gathered
from support.places import ROOT, SAMPLES

from data_gathering import gather, pipeline
from vlpt.data.shards import Shards
from vlpt.data.words import read_words
from vlpt.files import locked


def states(folder: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (folder / "data/gathered.jsonl").read_text().splitlines()]
    return {row["key"].rsplit(":", 1)[-1]: row["state"] for row in rows}


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One machine's run of the channel."""
    folder = tmp_path_factory.mktemp("single")
    with channel() as site:
        assert gathered(configure(folder, site)) == {"done": 4, "left_out": 0, "failed": 0}
    return folder


# ---- the configuration


@pytest.mark.parametrize(("content", "message"), [
    ("- a list", "no mapping"),
    ("serach: {}", "'serach' is no setting"),
    ("workers: two", "--workers should be a valid integer, got 'two'"),
    ("workers: 0", "--workers should be at least 1, got 0"),
    ("label: 5", "label takes options"),
    ("label: {widnow: 64}", "label: no such flag.*did you mean --window"),
    ("download: {out: elsewhere}", "download: out is gather's to say"),
    ("find: {limit: many}", "find: --limit should be a valid integer, got 'many'"),
    ("find: [", "while parsing"),
    ("a: &a [x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi")),
     "aliases"),
    ("find: &a {limit: *a}", "aliases"), ("[" * 50_000, "RecursionError"), ("data: 2020-01-01", ".*2020, 1, 1"),
    ("label: " + "[" * 300 + "]" * 300, "label takes options"), ("data: " + "x" * 200_000, "no configuration"),
])  # fmt: skip
def test_a_wrong_configuration_is_named(content, message, tmp_path):
    path = tmp_path / "gather.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"gather.yaml: .*{message}"):
        gather.read_config(path)


def test_an_alias_stands_for_what_it_names(tmp_path):
    path = tmp_path / "gather.yaml"
    path.write_text("find: {extractors: &sites [generic, html5]}\ndownload: {extractors: *sites}")
    plan, _ = gather.read_config(path)
    assert plan.programs["download"].extractors == plan.programs["find"].extractors == ("generic", "html5")


def test_of_two_gatherers_of_a_folder_one_is_refused_and_no_download_interferes(tmp_path):
    path = tmp_path / "gather.yaml"
    path.write_text(f"data: {tmp_path / 'data'}")
    for held in ("data", "data/3_video"):
        with locked(tmp_path / held), pytest.raises(ValueError, match=f"{held} is being written by"):
            gather.main(gather.Options(config=str(path)))


@pytest.mark.parametrize("content", [
    "[]", '{"steps": []}', '{"steps": {"label": 5}}', '{"steps": {"label": {"noted": [], "seconds": 1, "where": "a"}}}',
    '{"steps": {"label": {"noted": {}, "seconds": "x", "where": "a"}}}', "{", "[" * 100_000, '{"steps": null}',
])  # fmt: skip
def test_progress_that_is_none_is_begun_anew_and_what_nobody_foresaw_fails_one_video(content, tmp_path):
    (tmp_path / "carried").mkdir()
    (tmp_path / "carried/generic-a.json").write_text(content)
    progress = pipeline.VideoProgress({"key": "generic:a"}, pipeline.Plan(tmp_path, {}))
    assert progress.steps == {}

    def work() -> dict:
        raise KeyError("no such thing")

    assert not progress.step("shrink", work) and progress.end == {"failed": "shrink: KeyError: 'no such thing'"}
    row = pipeline.guarded(lambda row: {}["odd"], progress.row())
    assert json.loads(row["progress"])["failed"] == "KeyError: 'odd'"


def test_the_example_is_right():
    plan, sections = gather.read_config(ROOT / "data_gathering/gather.yaml")
    assert set(sections) < set(pipeline.PROGRAMS) and not plan.classify and plan.parts == 1


# ---- one machine


def test_a_channel_becomes_a_dataset(single):
    episodes = Shards(single / "data/6_shards").episodes
    assert len(episodes) == 4 and set(states(single).values()) == {"done"}
    for id_ in CHANNEL:
        (episode,) = [episode for episode in episodes if id_ in episode.id]
        assert episode.n_frames == 1000
        said = read_words(SAMPLES / f"{id_}.words.jsonl")
        assert [word.word for word in episode.words] == [word.word for word in said]
    assert (single / "data/stats.html").exists() and (single / "data/6_shards/README.md").exists()
    for name in ("3_downloaded.jsonl", "4_words/transcripts.jsonl", "credits.jsonl"):
        assert len((single / "data" / name).read_text().splitlines()) == 4


def test_what_fails_is_named_and_tried_again_and_what_is_done_is_left_alone(tmp_path, capsys):
    with channel(IDS) as site:
        good = site.files[f"/files/{IDS[1]}.mp4"]
        site.files[f"/files/{IDS[1]}.mp4"] = good[: len(good) // 3]
        path = configure(tmp_path, site)
        with pytest.raises(SystemExit):
            gathered(path)
        assert "failed" in capsys.readouterr().err and Counter(states(tmp_path).values()) == {"done": 1, "failed": 1}
        assert len(Shards(tmp_path / "data/6_shards").episodes) == 1
        site.files[f"/files/{IDS[1]}.mp4"] = good
        site.asked.clear()
        assert gathered(path) == {"done": 2, "left_out": 0, "failed": 0}
        assert not site.asked[f"/files/{IDS[0]}.mp4"] and site.asked[f"/files/{IDS[1]}.mp4"]
        assert len(Shards(tmp_path / "data/6_shards").episodes) == 2
        site.asked.clear()
        gathered(path)
        assert set(site.asked) == {"/feed"}


def test_killed_and_run_again_it_ends_as_if_nothing_had_happened(single, tmp_path):
    with channel() as site:
        site.stall = {f"/files/{id_}.mp4": 1.0 for id_ in CHANNEL[1:]}
        path = configure(tmp_path, site)
        command = [sys.executable, "-m", "data_gathering.gather", "--config", str(path)]
        begun = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list((tmp_path / "data").glob("4_small/*.mp4")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()
        assert not (tmp_path / "data/6_shards").exists()
        site.stall = {}
        assert gathered(path)["done"] == 4
    assert without_addresses(tmp_path) == without_addresses(single)


def without_addresses(folder: Path) -> dict[str, str]:
    """What a dataset holds, video by video, whatever port its site had."""
    shards, found = Shards(folder / "data/6_shards"), {}
    for episode in shards.episodes:
        columns = (shards.read_frames(episode), episode.buttons_index, episode.camera_index, episode.confidence)
        words = json.dumps([asdict(word) for word in episode.words])
        content = b"".join([*(column.tobytes() for column in columns), words.encode()])
        (name,) = re.findall(r"ch\d-\d\d", episode.id)
        assert name not in found
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def test_a_dataset_in_parts_holds_each_video_once(single, tmp_path):
    with channel() as site:
        gathered(configure(tmp_path, site))
        ids = [episode.id for episode in Shards(tmp_path / "data/6_shards").episodes]
        # Ids hold the site's port: so many parts that not all of them fall into one.
        count = next(n for n in range(3, 50) if len({pipeline.part_of(id_, n) for id_ in ids}) >= 2)
        assert gathered(configure(tmp_path, site, parts=count))["done"] == 4
        parts = sorted(path.parents[1].name for path in (tmp_path / "data/6_shards").glob("*/meta/info.json"))
        assert len(parts) >= 2
        assert without_addresses(tmp_path) == without_addresses(single)
        gathered(configure(tmp_path, site))
    assert not list((tmp_path / "data/6_shards").glob("0*"))
    assert without_addresses(tmp_path) == without_addresses(single)


def test_originals_may_go(tmp_path):
    with channel(IDS) as site:
        path = configure(tmp_path, site, keep_originals=False)
        assert gathered(path)["done"] == 2 and not list((tmp_path / "data/3_video").glob("*.mp4"))
        site.asked.clear()
        assert gathered(path)["done"] == 2 and set(site.asked) == {"/feed"}


def test_a_hiccup_of_storage_is_waited_out(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "WAIT_S", 0.0)
    plan, calls = pipeline.Plan(tmp_path, {}, attempts=3), []

    def work() -> dict:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("stale file handle")
        return {"frames": 5}

    progress = pipeline.VideoProgress({"key": "generic:a"}, plan)
    assert progress.step("shrink", work) and len(calls) == 3
    again = pipeline.VideoProgress({"key": "generic:a"}, plan)
    assert again.step("shrink", work) and len(calls) == 3 and again.steps["shrink"]["noted"] == {"frames": 5}
    stubborn = pipeline.VideoProgress({"key": "generic:b"}, pipeline.Plan(tmp_path, {}, attempts=2))
    calls.clear()
    assert not stubborn.step("shrink", work) and "stale file handle" in stubborn.end["failed"]


# ---- many machines


def test_ray_missing_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="pip install"):
        gather.start_ray("auto")


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of two nodes on this machine."""
    pytest.importorskip("ray", reason='needs: pip install "ray[data]==2.60.0"')
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_on_two_nodes_of_which_one_is_killed_each_video_comes_once(cluster, single, tmp_path):
    """The node dies with finished and unfinished work of its own; the dataset is the one that one machine makes."""
    node = cluster.add_node(num_cpus=3)
    folder = tmp_path / "data"

    def worked_on() -> list[str]:
        steps = [json.loads(path.read_text())["steps"] for path in folder.glob("carried/*.json")]
        return [name for step in steps for name, done in step.items() if done["where"] == node.node_id[:12]]

    with channel() as site:
        site.stall = {f"/files/{id_}.mp4": 2.0 for id_ in CHANNEL}
        path = configure(tmp_path, site, workers=1)
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(gathered, path, cluster.address)
            deadline = time.monotonic() + 240
            while not worked_on() and not run.done():
                assert time.monotonic() < deadline, "the second node was given nothing to do"
                time.sleep(0.05)
            before = worked_on()
            cluster.remove_node(node, allow_graceful=False)
            assert before and not run.done()
            assert run.result(timeout=240) == {"done": 4, "left_out": 0, "failed": 0}
    assert without_addresses(tmp_path) == without_addresses(single)
