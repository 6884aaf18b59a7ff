"""Shards: pictures, actions and words stay together; broken input is one clear error; nothing is half-written."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.numbered_recordings import STRIDE, action, indices, numbers, picture, record
from support.places import ROOT

from data_gathering.label_file import Labels, write_labels
from data_gathering.shard import Options, main
from vlpt.data.shards import Shards
from vlpt.data.video_reader import PictureCache, VideoReader, join
from vlpt.data.words import Word
from vlpt.options import run
from vpt.actions import MINECRAFT, action_to_step
from vpt.frames import read_video, write_video

LENGTHS = {"ch0-00": 300, "ch0-01": 1, "ch1-00": 17, "ch1-01": 261, "ch2-00": 2}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play") / "3_video"
    for i, (id_, frames) in enumerate(LENGTHS.items()):
        record(folder, id_, i, frames, word_frames=range(3, frames, 13))
    return folder


@pytest.fixture
def copy(recordings, tmp_path):
    return shutil.copytree(recordings, tmp_path / "3_video")


def make(recordings, out, **more):
    main(Options(recordings=str(recordings), labels="truth", out=str(out), **more))
    return Shards(out)


def test_pictures_actions_and_words_stay_together(recordings, tmp_path):
    shards = make(recordings, tmp_path / "shards")
    assert [episode.id for episode in shards.episodes] == list(LENGTHS)
    for i, episode in enumerate(shards.episodes):
        expected = i * STRIDE + np.arange(episode.n_frames)
        assert episode.n_frames == LENGTHS[episode.id] and episode.channel == episode.id[:3] and episode.seed == i
        assert numbers(shards.read_frames(episode)).tolist() == expected.tolist()
        actions = [indices(n) for n in expected]
        assert list(zip(episode.buttons_index, episode.camera_index, strict=True)) == actions
        assert episode.null.tolist() == [bool(MINECRAFT.is_null(*action(n))) for n in expected]
        assert episode.true_buttons.tolist() == [action(n)[0].tolist() for n in expected]
        np.testing.assert_allclose(episode.true_camera_deg, [action(n)[1] for n in expected], atol=1e-6)
        assert [word.word for word in episode.words] == [f"w{t}" for t in range(3, episode.n_frames, 13)]


def test_any_frames_in_any_order_with_hardly_any_cache(recordings, tmp_path):
    make(recordings, tmp_path / "shards")
    shards, random = Shards(tmp_path / "shards", cache_mb=1), np.random.default_rng(0)
    for _ in range(60):
        i = int(random.integers(len(shards.episodes)))
        start, stop = sorted(random.integers(0, shards.episodes[i].n_frames + 1, 2).tolist())
        shown = numbers(shards.read_frames(shards.episodes[i], start, stop))
        assert shown.tolist() == list(range(i * STRIDE + start, i * STRIDE + stop))
    assert shards.cache.bytes <= 250 * 128 * 192
    for wrong in ((0, 2), (-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="ch0-01 has frames 0..0"):
            shards.read_frames(shards.episodes[1], *wrong)


def test_joining_copies_pictures_untouched(recordings, tmp_path):
    paths = [recordings / f"{id_}.mp4" for id_ in LENGTHS]
    assert join(paths, tmp_path / "all.mp4") == list(LENGTHS.values())
    alone = [np.stack(list(read_video(path))) for path in paths]
    np.testing.assert_array_equal(np.concatenate(alone), np.stack(list(read_video(tmp_path / "all.mp4"))))
    video = VideoReader(tmp_path / "all.mp4", PictureCache(0))
    np.testing.assert_array_equal(np.concatenate(alone), video.read_frames(0, len(video)))


def test_other_sizes_become_128_and_go_to_a_file_of_their_own(recordings, copy, tmp_path):
    record(copy, "ch1-02", 9, 40, word_frames=[5], size=(320, 180))
    shards = make(copy, tmp_path / "shards", crf=12)
    large = next(episode for episode in shards.episodes if episode.id == "ch1-02")
    assert shards.read_frames(large).shape == (40, 128, 128, 3)
    assert numbers(shards.read_frames(large)).tolist() == list(range(9 * STRIDE, 9 * STRIDE + 40))
    for i, episode in enumerate(episode for episode in shards.episodes if episode.id in LENGTHS):
        assert numbers(shards.read_frames(episode, 0, 1))[0] == i * STRIDE


def label_by_hand(folder, out, wrong_by=0):
    """Labels that differ from the truth: frame t is labelled with what was pressed `wrong_by` frames later."""
    out.mkdir()
    for i, (id_, frames) in enumerate(LENGTHS.items()):
        pressed = [action(i * STRIDE + t + wrong_by) for t in range(frames)]
        buttons, camera_deg = (np.stack(parts) for parts in zip(*pressed, strict=True))
        write_labels(out / f"{id_}.parquet", Labels(buttons, camera_deg, np.linspace(0.1, 1, frames)), "me")
    return out


def test_labels_are_kept_apart_from_the_truth(copy, tmp_path):
    labels = label_by_hand(copy, tmp_path / "5_actions", wrong_by=5)
    (copy / "ch1-01.jsonl").unlink()
    main(Options(recordings=str(copy), labels=str(labels), out=str(tmp_path / "shards")))
    for i, episode in enumerate(Shards(tmp_path / "shards").episodes):
        said = [indices(i * STRIDE + t + 5) for t in range(episode.n_frames)]
        assert list(zip(episode.buttons_index, episode.camera_index, strict=True)) == said
        np.testing.assert_allclose(episode.confidence, np.linspace(0.1, 1, episode.n_frames), rtol=1e-6)
        if episode.id == "ch1-01":
            assert episode.true_buttons is None and episode.true_camera_deg is None
        else:
            pressed = [action(i * STRIDE + t)[0].tolist() for t in range(episode.n_frames)]
            assert episode.true_buttons.tolist() == pressed
    json.loads((tmp_path / "shards/meta/stats.json").read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("damage, says", [
    (lambda path: truncate(path), "ch1-01.parquet cannot be read .*delete it and run data_gathering.label"),
    (lambda path: path.unlink(), "ch1-01.parquet is missing: run data_gathering.label"),
    (lambda path: shutil.copy(path.with_name("ch0-00.parquet"), path), "ch1-01.parquet has 300 rows"),
])
def test_broken_labels_are_one_clear_error(recordings, tmp_path, damage, says):
    labels = label_by_hand(recordings, tmp_path / "5_actions")
    damage(labels / "ch1-01.parquet")
    with pytest.raises(ValueError, match=says):
        main(Options(recordings=str(recordings), labels=str(labels), out=str(tmp_path / "shards")))
    assert [path.name for path in tmp_path.iterdir()] == ["5_actions"]


@pytest.mark.parametrize("program", ["shard", "label"])
def test_a_wrong_flag_is_one_line(program):
    done = subprocess.run([sys.executable, "-m", f"data_gathering.{program}", "--outt", "x"], capture_output=True,
                          text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "did you mean --out?" in done.stderr


def test_another_frame_rate_is_taken_by_the_clock(copy, tmp_path):
    """300 pictures at 30 a second are 200 at 20; what was pressed must have as many rows."""
    with write_video(copy / "ch0-01.mp4", (128, 128), fps=30) as video:
        for number in range(300):
            video.write(picture(number))
    with pytest.raises(ValueError, match=r"ch0-01.jsonl has \d+ rows, .*ch0-01.mp4 has 200 frames"):
        make(copy, tmp_path / "shards")
    (copy / "ch0-01.jsonl").write_text("".join(json.dumps(action_to_step(*action(0))) + "\n" for _ in range(200)))
    shards = make(copy, tmp_path / "shards")
    episode = next(episode for episode in shards.episodes if episode.id == "ch0-01")
    assert numbers(shards.read_frames(episode)).tolist() == [k * 3 // 2 for k in range(200)]


def test_rerunning_a_finished_stage_does_no_work(copy, tmp_path, capsys):
    out = tmp_path / "shards"
    make(copy, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    make(copy, out)
    assert "nothing to do" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    (copy / "ch0-00.words.jsonl").write_text('{"word": "new", "start_ms": 0, "end_ms": 9}\n')
    assert make(copy, out).episodes[0].words == [Word("new", 0, 9)]
    assert not list(tmp_path.glob("*.tmp"))


def test_channels_can_be_chosen(recordings, tmp_path):
    assert {e.channel for e in make(recordings, tmp_path / "s", channels=("ch0", "ch2")).episodes} == {"ch0", "ch2"}


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def scramble(path):
    """Break a picture in the middle of the file, leaving the index whole."""
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat") + 900
    content[start: start + 4000] = bytes(4000)
    path.write_bytes(content)


def rewrite(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def lose_a_row(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("name, damage, says", [
    ("ch0-00.mp4", truncate, "ch0-00.mp4 cannot be read"),
    ("ch0-00.mp4", scramble, "ch0-00.mp4 cannot be read"),
    ("ch0-00.words.jsonl", lambda path: path.unlink(), "ch0-00.words.jsonl is missing: transcribe"),
    ("ch1-01.words.jsonl", truncate, "ch1-01.words.jsonl, line"),
    ("ch1-01.jsonl", lose_a_row, "ch1-01.jsonl has 260 rows, .*ch1-01.mp4 has 261 frames"),
    ("ch1-01.jsonl", lambda path: path.unlink(), "ch1-01.jsonl is missing: label"),
    ("ch1-01.jsonl", truncate, "ch1-01.jsonl, line"),
    ("ch1-01.meta.json", truncate, "ch1-01.meta.json"),
])
def test_a_broken_recording_is_one_clear_error_and_nothing_is_written(copy, tmp_path, name, damage, says):
    damage(copy / name)
    with pytest.raises(ValueError, match=says):
        make(copy, tmp_path / "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["3_video"]
    with pytest.raises(SystemExit, match="error: .*" + name):
        run(main, Options, ["--recordings", str(copy), "--labels", "truth", "--out", str(tmp_path / "shards")])


def test_a_failed_run_leaves_the_old_dataset(copy, tmp_path):
    out = tmp_path / "shards"
    make(copy, out)
    truncate(copy / "ch0-00.mp4")
    with pytest.raises(ValueError, match="ch0-00.mp4"):
        make(copy, out)
    assert len(Shards(out).episodes) == len(LENGTHS)


@pytest.mark.parametrize("pattern, damage, says", [
    ("data/*/*.parquet", truncate, "data/chunk-000/file-000.parquet cannot be read"),
    ("data/*/*.parquet", lambda path: path.unlink(), "data cannot be read .no Parquet file"),
    ("meta/episodes/*/*.parquet", truncate, "meta/episodes/chunk-000/file-000.parquet cannot be read"),
    ("meta/info.json", lambda path: path.unlink(), "meta/info.json is missing"),
    ("meta/info.json", lambda path: rewrite(path, "v3.0", "v2.1"), "version v2.1"),
    ("meta/info.json", lambda path: rewrite(path, '_frames": ', '_frames": 1'), "promises"),
    ("videos/*/*/*.mp4", truncate, "file-000.mp4 cannot be read"),
    ("videos/*/*/*.mp4", scramble, "file-000.mp4 cannot be read"),
    ("videos/*/*/*.mp4", lambda path: path.unlink(), "file-000.mp4 cannot be read"),
])
def test_a_broken_dataset_says_what_is_broken(recordings, tmp_path, pattern, damage, says):
    make(recordings, tmp_path / "shards")
    damage(next((tmp_path / "shards").glob(pattern)))
    with pytest.raises(ValueError, match=says):
        shards = Shards(tmp_path / "shards")
        for episode in shards.episodes:
            shards.read_frames(episode)


@pytest.mark.parametrize("more, says", [
    (dict(channels=("ch7",)), "no recording .* of ch7"),
    (dict(recordings="nowhere"), "nowhere holds no recording"),
    (dict(labels="nowhere"), "nowhere/ch0-00.parquet is missing: run data_gathering.label"),
    (dict(out="{recordings}"), "no dataset: choose another folder"),
])
def test_wrong_options(recordings, tmp_path, more, says):
    given = dict(recordings=str(recordings), labels="truth", out=str(tmp_path / "shards")) | more
    given["out"] = given["out"].format(recordings=recordings)
    files = set(recordings.iterdir())
    with pytest.raises(ValueError, match=says):
        main(Options(**given))
    assert set(recordings.iterdir()) == files and not (tmp_path / "shards").exists()


def test_the_layout_is_lerobots(recordings, tmp_path):
    """Against a list written down from lerobot's own reader; the real package was run on such a folder by hand."""
    import pyarrow.parquet as pq

    folder = tmp_path / "shards"
    make(recordings, folder)
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 20 and info["splits"] == {"train": "0:5"}
    assert info["total_episodes"] == 5 and info["total_frames"] == sum(LENGTHS.values()) and info["total_tasks"] == 2
    data = pq.read_table(folder / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(data.column_names) == set(info["features"]) - {"observation.images.pov"}
    assert data["index"].to_pylist() == list(range(info["total_frames"]))
    frame = np.concatenate([np.arange(n) for n in LENGTHS.values()])
    assert data["frame_index"].to_pylist() == frame.tolist()
    np.testing.assert_allclose(data["timestamp"].to_numpy(), frame / 20, atol=1e-4)
    for name, feature in info["features"].items():
        if feature["dtype"] != "video":
            width = getattr(data.schema.field(name).type, "list_size", 1)
            assert feature["shape"] == [width]
    episodes = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    video = "videos/observation.images.pov/"
    for row in episodes:
        assert row["dataset_to_index"] - row["dataset_from_index"] == row["length"] == LENGTHS[row["id"]]
        assert row[video + "to_timestamp"] - row[video + "from_timestamp"] == pytest.approx(row["length"] / 20)
        path = info["video_path"].format(video_key="observation.images.pov", chunk_index=row[video + "chunk_index"],
                                         file_index=row[video + "file_index"])
        assert (folder / path).exists() and row["data/file_index"] == row["meta/episodes/file_index"] == 0
    assert episodes[0]["tasks"] == ["chop", "free play"] and episodes[1]["tasks"] == ["free play"]
    stats = json.loads((folder / "meta/stats.json").read_text())
    assert np.shape(stats["observation.images.pov"]["mean"]) == (3, 1, 1) and len(stats["action"]["mean"]) == 2
