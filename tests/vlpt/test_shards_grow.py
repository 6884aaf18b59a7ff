"""Shards that grow, that lie elsewhere, and that become recordings again; labels and words that are read late."""

import json
import pickle
import shutil
from dataclasses import replace

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from support.numbered_recordings import STRIDE, numbers, picture
from support.small_shards import described, make_shards, record_all, whole
from support.web_folder import web_folder

from data_gathering import export
from vlpt.data import dataset_part, lerobot_writer, remote_files
from vlpt.data.kept_open import OpenParquet
from vlpt.data.lerobot_statistics import statistics, together
from vlpt.data.lerobot_writer import times_hold
from vlpt.data.mp4_header import count_samples
from vlpt.data.recently_used import RecentlyUsed
from vlpt.data.shards import Episode, Shards, add_to_shards, write_shards
from vlpt.data.words import Word
from vpt.frames import write_video

FRAMES = {"ch0-00": 40, "ch0-01": 1, "ch1-00": 33, "ch1-01": 20}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return record_all(tmp_path_factory.mktemp("play") / "3_video", FRAMES)


@pytest.fixture(scope="module")
def dataset(recordings, tmp_path_factory):
    """To be read only."""
    return make_shards(recordings, tmp_path_factory.mktemp("made") / "shards")


# ---- read late


def test_labels_and_words_are_read_when_asked_for_and_travel_with_the_dataset(dataset):
    shards = Shards(dataset)
    one = shards.episodes[2]
    assert "buttons_index" not in vars(one) and not shards.parts[0].labels.kept and one.n_frames == 33
    in_memory = replace(one, words=[])
    assert in_memory.words == [] and in_memory.buttons_index is one.buttons_index and "late" not in vars(in_memory)
    other = pickle.loads(pickle.dumps(shards))
    assert described(other.episodes[2]) == described(one)
    np.testing.assert_array_equal(other.read_frames(other.episodes[2]), shards.read_frames(one))
    with pytest.raises(AttributeError, match="no colour"):
        one.colour  # noqa: B018


def test_the_cache_of_labels_stays_within_its_bound():
    cache = RecentlyUsed(budget_mb=1)
    for key in range(50):
        cache.put(key, key, 2**18)
    assert list(cache.kept) == [46, 47, 48, 49] and cache.bytes == 2**20 and cache.get(3) is None
    cache.get(46)
    cache.put(50, 50, 2**18)
    assert list(cache.kept) == [48, 49, 46, 50]


def test_a_dataset_that_is_made_again_while_it_is_read_is_not_read_half_old_half_new(recordings, tmp_path):
    shards = Shards(make_shards(recordings, tmp_path / "shards", only=["ch0-00", "ch1-00"]))
    assert shards.episodes[0].buttons_index.size == 40
    shutil.rmtree(tmp_path / "shards")
    make_shards(recordings, tmp_path / "shards", only=["ch1-01", "ch0-00"])
    with pytest.raises(ValueError, match="written again since the dataset was opened: open that anew"):
        shards.episodes[1].buttons_index  # noqa: B018


def test_a_length_that_does_not_fit_is_refused_at_opening_with_both_counts(dataset, tmp_path, monkeypatch):
    path = next(shutil.copytree(dataset, tmp_path / "shards").glob("meta/episodes/*/*.parquet"))
    table = pq.read_table(path)
    doubled = [2 * n if i == 3 else n for i, n in enumerate(table["length"].to_pylist())]
    pq.write_table(table.set_column(table.column_names.index("length"), "length", [doubled]), path)
    with pytest.raises(ValueError, match=r"data cannot be read .episode 3 should have the frames 0..39, has 20\)"):
        Shards(tmp_path / "shards")
    video = next((tmp_path / "shards").glob("videos/*/*/*.mp4"))
    monkeypatch.setattr(dataset_part.DatasetPart, "_check_lengths", lambda *_: None)  # as if rows had doubled too
    with pytest.raises(ValueError, match=r"mp4 holds frames 0..93, episode ch1-01 should be its frames 74..113: make"):
        Shards(tmp_path / "shards")
    assert count_samples(video) == 94


# ---- grown


def files(folder) -> dict:
    """{name: identity and time of its content}."""
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in folder.rglob("*") if path.suffix in (".mp4", ".parquet")}  # fmt: skip


def test_new_recordings_are_added_and_no_old_file_is_written_again(recordings, dataset, tmp_path, capsys):
    out = make_shards(recordings, tmp_path / "shards", only=["ch0-00", "ch1-00"])
    before = files(out)
    make_shards(recordings, out)
    assert "is made of 2 of these 4 recordings: adding the other 2" in capsys.readouterr().out
    after = files(out)
    changed = {name for name, found in before.items() if after[name] != found}
    assert changed == {"meta/tasks.parquet"} and len(after) == len(before) + 3
    assert whole(out) == whole(dataset)
    table = pq.read_table(out / "data/chunk-000")
    assert table["index"].to_pylist() == list(range(94)) and set(table["episode_index"].to_pylist()) == {0, 1, 2, 3}
    info, stats = (json.loads((out / f"meta/{name}.json").read_text()) for name in ("info", "stats"))
    assert (info["total_episodes"], info["total_frames"], info["splits"]) == (4, 94, {"train": "0:4"})
    once = json.loads((dataset / "meta/stats.json").read_text())
    for kind in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(stats["action"][kind], once["action"][kind], rtol=1e-9)
    make_shards(recordings, out)
    assert "nothing to do" in capsys.readouterr().out and "4 episodes of 2 channels" in (out / "README.md").read_text()


def test_what_is_changed_or_gone_is_no_reason_to_add(recordings, tmp_path, capsys):
    copy = shutil.copytree(recordings, tmp_path / "3_video")
    out = make_shards(copy, tmp_path / "shards", only=["ch0-00", "ch1-00"])
    (copy / "ch0-00.words.jsonl").write_text('{"word": "new", "start_ms": 0, "end_ms": 9}\n')
    make_shards(copy, out)
    assert "adding" not in capsys.readouterr().out
    assert [one.id for one in Shards(out).episodes] == list(FRAMES) and Shards(out).episodes[0].words[0].word == "new"


def test_a_failed_addition_leaves_the_old_dataset(recordings, tmp_path):
    copy = shutil.copytree(recordings, tmp_path / "3_video")
    out = make_shards(copy, tmp_path / "shards", only=["ch0-00", "ch1-00"])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (copy / "ch1-01.mp4").write_bytes((copy / "ch1-01.mp4").read_bytes()[:900])
    with pytest.raises(ValueError, match="ch1-01.mp4 cannot be read"):
        make_shards(copy, out)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3_video", "only.txt", "shards"]


def test_files_end_at_their_bound_and_a_thousand_are_a_folder(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot_writer, "FRAME_BYTES", 10**9)  # an episode a file of frames
    monkeypatch.setattr("vlpt.data.shard_videos.VIDEO_FILE_MB", 0)  # and of pictures
    monkeypatch.setattr("vlpt.data.lerobot.CHUNK_FILES", 3)
    monkeypatch.setattr(lerobot_writer, "CHUNK_FILES", 3)
    out = make_shards(recordings, tmp_path / "shards", only=list(FRAMES)[:2])
    make_shards(recordings, out)
    names = ["chunk-000/file-000", "chunk-000/file-001", "chunk-000/file-002", "chunk-001/file-000"]
    for pattern in ("data/*/*.parquet", "videos/*/*/*.mp4"):
        found = sorted(str(path.parent.name + "/" + path.stem) for path in out.glob(pattern))
        assert found == names
    assert [numbers(Shards(out).read_frames(one))[0] for one in Shards(out).episodes] == [i * STRIDE for i in range(4)]


def test_few_files_of_frames_stay_open_and_few_parts_of_them(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot_writer, "GROUPS_A_FILE", 2)
    out = make_shards(recordings, tmp_path / "shards")
    first, second = sorted(out.glob("data/*/*.parquet"))
    tables = OpenParquet(most=9, most_parts=3)
    assert [tables.read(first, i, ["index"]).num_rows for i in range(2)] == [40, 1] and list(tables.files) == [first]
    kept = tables.read(second, 1, ["index", "no such column"], keep=True)
    assert kept.column_names == ["index"] and list(tables.files) == [second]  # two and two are more than three
    assert tables.read(second, 1, ["index", "no such column"], keep=True) is kept
    assert whole(out) == whole(make_shards(recordings, tmp_path / "again"))


def test_words_of_another_recording_and_a_repeated_id_are_refused(recordings, tmp_path):
    zeros = np.zeros(40, np.int64)
    one = Episode("a", "ch0", recordings / "ch0-00.mp4", [Word("late", 13_000, 13_100)], zeros, zeros, zeros > 0,
                  np.ones(40, np.float32))  # fmt: skip
    with pytest.raises(ValueError, match=r"a: the word 'late' begins at 13.0 s, .*ch0-00.mp4 ends at 2.0 s"):
        write_shards(tmp_path / "shards", [one], {})
    write_shards(tmp_path / "shards", [replace(one, words=[])], {})
    with pytest.raises(ValueError, match="a: shards need every id once"):
        add_to_shards(tmp_path / "shards", [replace(one, words=[])], {})
    assert len(Shards(tmp_path / "shards").episodes) == 1


def test_statistics_of_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(size=(900, 2))
    found, nothing = statistics(values), statistics(values[:5] * np.nan)
    parts = [statistics(values[:200]), statistics(values[200:]), nothing]
    for name, value in together(parts).items():
        np.testing.assert_allclose(value, found[name], **({"atol": 0.2} if name[0] == "q" else {"rtol": 1e-9}))


@pytest.mark.parametrize("first, length, holds", [
    (0, 84_000, True),  # 70 minutes at the beginning of a file
    (0, 288_000, True),  # four hours
    (958, 84_000, False), (958, 19_000, True), (958, 49_550, False),
    (84_001, 1200, True), (287_003, 5000, True), (84_003, 20_480, True), (84_003, 84_000, False),
])  # fmt: skip
def test_where_lerobots_clock_bears_an_episode(first, length, holds):
    assert times_hold(first, length, 20) is holds


# ---- elsewhere


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VLPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(dataset):
    """The dataset on a web server of this machine."""
    with web_folder(dataset.parent) as running:
        yield running


def test_a_dataset_on_a_web_server_is_read_and_its_files_are_fetched_once(server, dataset, cache):
    place = f"{server.address}/shards"
    shards = Shards(place)
    assert [one.id for one in shards.episodes] == list(FRAMES) and not any("mp4" in name for name in server.asked)
    assert whole(place) == whole(dataset)
    sent = sum(".mp4" in name for name in server.asked)
    assert whole(place) == whole(dataset) and sum(".mp4" in name for name in server.asked) == sent == 1
    (dataset / "data/chunk-000/file-000.parquet").touch()
    with pytest.raises(ValueError, match=f"{place}s/meta/info.json is missing"):
        Shards(place + "s")
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match="cannot be fetched .*look whether it is there"):
        Shards(place)


def test_a_dataset_in_another_store_is_fetched_again_when_it_changes_and_room_is_made(dataset, recordings, cache,
                                                                                      tmp_path, monkeypatch):
    store = fsspec.filesystem("memory")
    store.put(str(dataset), "/of/one", recursive=True)
    assert whole("memory://of/one") == whole(dataset) == whole("memory://of")  # as it is, and as a folder of parts
    store.rm("/of", recursive=True)
    other = make_shards(recordings, tmp_path / "other", only=["ch1-00", "ch1-01"])
    store.put(str(other), "/of/one", recursive=True)
    assert whole("memory://of/one") == whole(other)
    monkeypatch.setenv("VLPT_CACHE_GB", "0")
    remote_files.make_room(next(cache.rglob("*.mp4")))
    assert len([path for path in cache.rglob("*") if path.suffix in (".mp4", ".parquet")]) == 1
    assert whole("memory://of/one") == whole(other)
    store.rm("/of", recursive=True)
    with pytest.raises(ValueError, match="memory://of/one/meta/info.json is missing"):
        Shards("memory://of/one")


def test_a_kind_of_store_that_is_not_installed_says_what_to_install(cache):
    with pytest.raises(ValueError, match="abfs://container/shards cannot be opened .*pip install 'fsspec.abfs.'"):
        Shards("abfs://container/shards")


# ---- recordings again


def test_exported_recordings_make_the_same_dataset(dataset, tmp_path):
    out = tmp_path / "out"
    export.main(export.Options(str(dataset), str(out)))
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    export.main(export.Options(str(dataset), str(out)))
    assert kept == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} and len(kept) == 4 * 5
    again = make_shards(out, tmp_path / "again", labels=out / "labels")
    assert whole(again) == whole(dataset)
    assert whole(make_shards(out, tmp_path / "truth")) == whole(dataset)
    with pytest.raises(ValueError, match="has no channel ch9"):
        export.main(export.Options(str(dataset), str(out), ("ch9",)))


def test_plain_video_and_words_have_no_labels_to_learn_from(recordings, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    with write_video(folder / "talk.mp4", (320, 180)) as video:
        for t in range(25):
            video.write(picture(t, (320, 180)))
    shutil.copy(recordings / "ch0-00.words.jsonl", folder / "talk.words.jsonl")
    (one,) = Shards(make_shards(folder, tmp_path / "shards", labels="none")).episodes
    assert (one.id, one.channel, one.n_frames, one.true_buttons) == ("talk", "talk", 25, None)
    assert not one.confidence.any() and one.null.all() and len(one.words) == 3
