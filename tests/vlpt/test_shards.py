"""Shards: pictures, actions and words stay together; broken input is one clear error; nothing is half-written."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from support.lerobot_clock import farthest_s, picture_times
from support.numbered_recordings import STRIDE, action, indices, numbers, picture, record
from support.places import ROOT
from support.small_shards import make_shards, record_all

from data_gathering.label_file import Labels, write_labels
from data_gathering.shard import Options, main
from vlpt.data.lanes import Lanes
from vlpt.data.language_events import from_events, to_events
from vlpt.data.recently_used import RecentlyUsed
from vlpt.data.shards import PICTURES, Episode, Shards, write_shards
from vlpt.data.video_reader import VideoReader, join
from vlpt.data.words import Word
from vlpt.options import run
from vpt.actions import BUTTONS, MINECRAFT, action_to_step
from vpt.frames import read_video, write_video

EPISODES, DATA = "meta/episodes/*/*.parquet", "data/*/*.parquet"
LENGTHS = {"ch0-00": 300, "ch0-01": 1, "ch1-00": 17, "ch1-01": 261, "ch2-00": 2}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return record_all(tmp_path_factory.mktemp("play") / "3_video", LENGTHS)


@pytest.fixture(scope="module")
def dataset(recordings, tmp_path_factory):
    """To be read only."""
    return make_shards(recordings, tmp_path_factory.mktemp("made") / "shards")


@pytest.fixture
def copy(recordings, tmp_path):
    return shutil.copytree(recordings, tmp_path / "3_video")


def make(recordings, out, **more):
    return Shards(make_shards(recordings, out, **more))


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
    video = VideoReader(tmp_path / "all.mp4", RecentlyUsed(0))
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


def test_what_looks_idle_where_a_picture_repeats_is_no_label(copy, tmp_path):
    """Ten pictures a second are each seen twice: an inverse dynamics model finds nothing in every second frame."""
    with write_video(copy / "ch0-01.mp4", (128, 128), fps=10) as video:
        for number in range(30):
            video.write(picture(number))
    (copy / "ch0-01.jsonl").unlink()
    buttons = np.zeros((60, len(BUTTONS)), np.uint8)
    buttons[::2, BUTTONS.index("forward")] = 1
    buttons[3, BUTTONS.index("jump")] = 1
    labels = tmp_path / "labels"
    labels.mkdir()
    write_labels(labels / "ch0-01.parquet", Labels(buttons, np.zeros((60, 2)), np.full(60, 0.9, np.float32)), "x")
    (copy / "only.txt").write_text("ch0-01")
    main(Options(str(copy), labels=str(labels), out=str(tmp_path / "shards"), only=str(copy / "only.txt")))
    episode, = Shards(tmp_path / "shards").episodes
    unknown = [t for t in range(1, 60, 2) if t != 3]
    assert np.flatnonzero(episode.confidence == 0).tolist() == unknown
    chunk = next(Lanes(Shards(tmp_path / "shards"), [episode], lanes=1, frames_per_chunk=60, epochs=1))
    assert not chunk.action_mask[0, unknown].any() and chunk.action_mask[0, ::2].all() and chunk.action_mask[0, 3]


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


def read_all(shards):
    """Everything of every episode: what is cheap to check is checked before."""
    for episode in shards.episodes:
        shards.read_frames(episode)
        assert len(episode.buttons_index) == episode.n_frames and len(episode.words) + len(episode.errands) >= 0


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
def test_a_broken_dataset_says_what_is_broken(dataset, tmp_path, pattern, damage, says):
    shutil.copytree(dataset, tmp_path / "shards")
    damage(next((tmp_path / "shards").glob(pattern)))
    with pytest.raises(ValueError, match=says):
        read_all(Shards(tmp_path / "shards"))


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


# ---- two at once, and what is left of a dataset


def command(recordings, out):
    return [sys.executable, "-m", "data_gathering.shard", "--recordings", str(recordings), "--labels", "truth",
            "--out", str(out)]  # fmt: skip


def test_a_second_run_on_the_same_folder_is_refused_while_the_first_writes(tmp_path):
    out, recordings, lock = tmp_path / "shards", tmp_path / "3_video", tmp_path / "shards.lock"
    for number in range(6):
        record(recordings, f"ch0-0{number}", number, 200, word_frames=[5], size=(320, 180))
    first = subprocess.Popen(command(recordings, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (lock.exists() and lock.stat().st_size):
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    with pytest.raises(ValueError, match=f"shards is being written by process {first.pid} .*data_gathering.shard"):
        make(recordings, out)
    first.communicate()
    assert first.returncode == 0 and len(Shards(out).episodes) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3_video", "shards"]


def test_two_started_together_leave_one_whole_dataset(recordings, tmp_path):
    out = tmp_path / "shards"
    both = [subprocess.Popen(command(recordings, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for _ in range(2)]  # fmt: skip
    said = ["".join(one.communicate()) for one in both]
    for one, text in zip(both, said, strict=True):
        assert one.returncode == 0 or (one.returncode == 1 and "is being written by process" in text), text
    assert min(one.returncode for one in both) == 0 and len(Shards(out).episodes) == len(LENGTHS)
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


@pytest.mark.parametrize("pattern, damage", [
    ("videos/*/*/*.mp4", lambda path: path.unlink()),
    ("videos/*/*/*.mp4", lambda path: truncate(path)),
    ("data/*/*.parquet", lambda path: truncate(path)),
    ("meta/episodes/*/*.parquet", lambda path: path.unlink()),
    ("data/*/*.parquet", lambda path: shutil.copy(path, path.with_name("file-001.parquet"))),
    ("meta/info.json", lambda path: path.write_text("{")),
])
def test_a_finished_dataset_that_was_damaged_is_made_again(recordings, tmp_path, capsys, pattern, damage):
    out = tmp_path / "shards"
    make(recordings, out)
    damage(next(out.glob(pattern)))
    shards = make(recordings, out)
    assert "making the dataset again" in capsys.readouterr().out
    assert [numbers(shards.read_frames(one, 0, 1))[0] for one in shards.episodes] == [i * STRIDE for i in range(5)]
    make(recordings, out)
    assert "nothing to do" in capsys.readouterr().out


def test_a_dataset_that_does_not_say_what_it_is_made_of_is_made_again(recordings, tmp_path, capsys):
    out = tmp_path / "shards"
    make(recordings, out)
    (out / "meta/source.json").write_text("[")
    make(recordings, out)
    make(recordings, out)
    assert capsys.readouterr().out.count("nothing to do") == 1


# ---- through other hands


@pytest.mark.parametrize("folder, ids", [
    ("deleted", ["ch0-00", "ch1-00", "ch1-01"]),
    ("split", ["ch0-01", "ch1-00"]),
    ("added", ["ch0-00", "ch0-01", "ch1-00", "ch1-01"]),
    ("merged", ["ch0-00", "ch0-01", "ch1-00", "ch1-01", "ch5-00"]),
    ("relabelled", ["ch0-00", "ch0-01", "ch1-00", "ch1-01"]),
])
def test_what_lerobots_own_tools_left_opens_again(folder, ids):
    """Files written by lerobot 0.6.1 itself (tests/fixtures/lerobot/edit.py)."""
    recorded = {"ch0-00": (0, 40), "ch0-01": (1, 1), "ch1-00": (2, 17), "ch1-01": (3, 33), "ch5-00": (10, 20)}
    shards = Shards(ROOT / "tests/fixtures/lerobot" / folder)
    assert [episode.id for episode in shards.episodes] == ids
    for episode in shards.episodes:
        number, frames = recorded[episode.id]
        expected = number * STRIDE + np.arange(frames)
        assert numbers(shards.read_frames(episode)).tolist() == expected.tolist()
        actions = [indices(n) for n in expected]
        assert list(zip(episode.buttons_index, episode.camera_index, strict=True)) == actions
        assert episode.true_buttons.tolist() == [action(n)[0].tolist() for n in expected]
        assert episode.words == [Word(f"w{t}", max(0, t * 50 - 30), t * 50 + 90) for t in range(3, frames, 13)]
        assert (episode.channel, episode.seed, episode.world) == (episode.id[:3], number, "none")
        assert [errand["start_frame"] for errand in episode.errands] == ([frames // 3] if frames > 9 else [])


def test_words_on_frames_keep_their_order_and_times():
    words = [Word("a", 0, 0), Word("b", 49.9, 300.5), Word("c", 20, 30), Word("d", 51, 60), Word("late", 9e6, 9e6)]
    column = to_events(words, 3)
    assert [len(events) for events in column.to_pylist()] == [3, 1, 1] and from_events(column.to_pylist()) == words
    as_json = [[event | {"tool_calls": [json.dumps(call) for call in event["tool_calls"]]} for event in events]
               for events in column.to_pylist()]  # fmt: skip
    assert from_events(as_json) == words
    call = {"type": "function", "function": {"name": "say", "arguments": {"text": "hello"}}}
    other = {"role": "assistant", "style": None, "content": None, "tool_calls": [call]}  # as lerobot's annotator has it
    asked = other | {"role": "user", "style": "vqa", "content": "what is this?", "tool_calls": None}
    assert from_events([None, [], [other, asked]]) == [Word("hello", 100, 100)]


def edit(folder, pattern, change):
    """Rewrites a Parquet file of a dataset."""
    path = next(folder.glob(pattern))
    pq.write_table(change(pq.read_table(path)), path)


def without(*names):
    return lambda table: table.drop_columns([name for name in names if name in table.column_names])


def described_as_before(folder):
    """A dataset of ours from before words stood on frames."""
    edit(folder, "data/*/*.parquet", without("recording", "language_events"))
    info = json.loads((folder / "meta/info.json").read_text())
    for name in ("recording", "language_events"):
        del info["features"][name]
    (folder / "meta/info.json").write_text(json.dumps(info))


def same(one: Episode, other: Episode) -> bool:
    return (one.id, one.channel, one.words, one.errands, one.seed) == (other.id, other.channel, other.words,
                                                                       other.errands, other.seed)  # fmt: skip


def test_words_and_origin_are_read_from_either_place_or_the_missing_column_is_named(recordings, tmp_path):
    out = tmp_path / "shards"
    whole = [replace(one) for one in make(recordings, out).episodes]  # in memory: what is on disk is changed
    shutil.copytree(out, tmp_path / "frames")
    edit(tmp_path / "frames", EPISODES, without("id", "channel", "words", "errands", "seed", "world"))
    assert all(map(same, Shards(tmp_path / "frames").episodes, whole))
    described_as_before(out)
    assert all(map(same, Shards(out).episodes, whole))
    for column in ("words", "id"):
        edit(out, "meta/episodes/*/*.parquet", without(column))
        with pytest.raises(ValueError, match=f"no column '{column}' and data no column .*: make the dataset again"):
            Shards(out)


def test_episodes_may_lie_in_any_files_in_any_order_and_indices_may_have_gaps(recordings, tmp_path):
    out = tmp_path / "shards"
    whole = make(recordings, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", out)
    edit(out, "meta/episodes/*/*.parquet", lambda table: table.filter(pc.not_equal(table["episode_index"], 1)))
    path = next(out.glob("data/*/*.parquet"))
    table = pq.read_table(path)
    table = table.filter(pc.not_equal(table["episode_index"], 1))
    for place, part in (("chunk-007/file-012", table.slice(0, 150)), ("chunk-000/file-000", table.slice(150))):
        (out / f"data/{place}.parquet").parent.mkdir(exist_ok=True)  # within the first episode
        plain = part.schema.get_field_index("action"), "action", part["action"].cast(pa.list_(pa.int64()))
        pq.write_table(part.set_column(*plain) if "012" in place else part, out / f"data/{place}.parquet")
    rewrite(out / "meta/info.json", '"total_episodes": 5', '"total_episodes": 4')
    rewrite(out / "meta/info.json", '"total_frames": 581', '"total_frames": 580')
    shards = Shards(out)
    assert [episode.id for episode in shards.episodes] == ["ch0-00", "ch1-00", "ch1-01", "ch2-00"]
    for episode in shards.episodes:
        before = next(one for one in whole.episodes if one.id == episode.id)
        assert same(episode, before) and np.array_equal(episode.buttons_index, before.buttons_index)
        assert np.array_equal(shards.read_frames(episode), whole.read_frames(before))


@pytest.fixture(scope="module")
def long_videos(recordings, tmp_path_factory):
    """Videos of so many frames, made without encoding: 47.9 s, 41 minutes, and three of 400 s."""
    folder = tmp_path_factory.mktemp("long")
    join([recordings / "ch0-00.mp4"] * 8, folder / "8000.mp4")
    videos = []
    for number, (copies, tail) in enumerate([(3, 58), (165, 50), (26, 200), (26, 200), (26, 200)]):
        with write_video(folder / f"tail{number}.mp4", (128, 128)) as video:
            for t in range(tail):
                video.write(picture(t))
        join([recordings / "ch0-00.mp4"] * copies + [folder / f"tail{number}.mp4"], folder / f"{number}.mp4")
        videos.append((folder / f"{number}.mp4", copies * 300 + tail))
    return videos


def test_every_frame_of_long_files_passes_lerobots_check_of_times(long_videos, tmp_path):
    episodes = []
    for number, (video, n) in enumerate(long_videos):
        zeros = np.zeros(n, np.int64)
        episodes.append(Episode(f"ch0-0{number}", "ch0", video, [], zeros, zeros, zeros > 0, np.ones(n, np.float32)))
    write_shards(tmp_path / "shards", episodes, {})
    data = pq.read_table(next((tmp_path / "shards").glob("data/*/*.parquet")))
    rows = pq.read_table(next((tmp_path / "shards").glob("meta/episodes/*/*.parquet"))).to_pylist()
    place = f"videos/{PICTURES}/"
    assert [row[place + "file_index"] for row in rows] == [0, 1, 1, 1, 1]
    shown = {}
    for path in (tmp_path / "shards").glob("videos/*/*/*.mp4"):
        shown[int(path.stem[-3:])] = picture_times(path)
    for row in rows:
        stored = data["timestamp"].to_numpy()[row["dataset_from_index"]: row["dataset_to_index"]]
        first = round(row[place + "from_timestamp"] * 20)
        mine = shown[row[place + "file_index"]][first: first + row["length"]]
        assert len(mine) == row["length"] and farthest_s(row[place + "from_timestamp"], stored, mine) < 1e-4
        assert np.abs(stored.astype(np.float64) - np.arange(row["length"]) / 20).max() < 1e-4
    long = np.arange(49_550) / 20  # as it was: one file for both, where 15 % of the frames were refused
    assert farthest_s(47.9, long.astype(np.float32), 47.9 + long) > 1e-4


def test_the_card_makes_the_tables_the_data(recordings, tmp_path):
    out = tmp_path / "shards"
    make(recordings, out)
    front = yaml.safe_load((out / "README.md").read_text().split("---")[1])
    (config,) = front["configs"]
    assert sorted(out.glob(config["data_files"])) == sorted(out.rglob("data/**/*.parquet")) != []
    assert "5 episodes of 3 channels" in (out / "README.md").read_text()
    assert "| words; a minute | 45; " in (out / "README.md").read_text()


def set_info(**values):
    def change(folder):
        path = folder / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return change


def set_column(pattern, name, values):
    """`values`: of a column, or what to make of the old one."""
    def change(table):
        new = values(table[name].to_pylist()) if callable(values) else pa.array([values] * table.num_rows)
        return table.set_column(table.column_names.index(name), name, new if isinstance(new, pa.Array) else [new])
    return lambda folder: edit(folder, pattern, change)


@pytest.mark.parametrize("damage, says", [
    (set_info(total_frames=10**400), "info.json cannot be read .total_frames"),
    (set_info(total_frames=-1), "info.json cannot be read .total_frames"),
    (set_info(total_episodes="many"), "info.json cannot be read .total_episodes"),
    (set_info(fps=None), "info.json cannot be read .fps"),
    (set_info(fps=30), "info.json cannot be read .30 frames a second, expected 20"),
    (set_info(features=[]), "info.json cannot be read .features"),
    (set_info(features={"action": None}), "info.json cannot be read .features.action"),
    (lambda folder: (folder / "meta/info.json").write_text("[" * 100_000), "info.json cannot be read"),
    (lambda folder: (folder / "meta/info.json").write_text("[]"), "info.json cannot be read"),
    (lambda folder: (folder / "meta/info.json").write_bytes(b"\xff\xfe\x00"), "info.json cannot be read"),
    (lambda folder: rewrite(folder / "meta/info.json", '"fps": 20', '"fps": 1e999'), "info.json cannot be read"),
    (set_column(EPISODES, "length", -5), "file-000.parquet cannot be read .length"),
    (set_column(EPISODES, "length", 10**17), "file-000.parquet cannot be read .length"),
    (set_column(EPISODES, "length", "long"), "file-000.parquet cannot be read .length"),
    (set_column(EPISODES, "length", 7), "data cannot be read .episode 0 should have the frames 0..6, has 300"),
    (set_column(EPISODES, "episode_index", 0), "episodes cannot be read .episode_index 0 stands there twice"),
    (set_column(EPISODES, f"videos/{PICTURES}/file_index", -1), "file-000.parquet cannot be read .file_index"),
    (set_column(EPISODES, f"videos/{PICTURES}/chunk_index", 2**62), "file-000.parquet cannot be read .chunk_index"),
    (set_column(EPISODES, f"videos/{PICTURES}/from_timestamp", float("inf")), "cannot be read .from_timestamp"),
    (set_column(EPISODES, f"videos/{PICTURES}/from_timestamp", float("nan")), "cannot be read .from_timestamp"),
    (set_column(EPISODES, f"videos/{PICTURES}/from_timestamp", 1e8), "file-000.mp4 holds frames 0..580"),
    (set_column(EPISODES, "id", "../../elsewhere"), "episodes cannot be read .id"),
    (set_column(EPISODES, "words", "hello"), "episodes cannot be read"),
    (set_column(EPISODES, "words", [{"word": "x", "start_ms": -1.0, "end_ms": 1.0}]), "a word needs 0 <= start_ms"),
    (set_column(EPISODES, "words", [{"word": "x", "start_ms": 1.0, "end_ms": float("inf")}]), "a word needs"),
    (set_column(EPISODES, "errands", [{"name": "x", "start_frame": -1}]), "episodes cannot be read .errands.0.start"),
    (lambda folder: edit(folder, EPISODES, without("length")), "cannot be read .column length is missing"),
    (lambda folder: edit(folder, DATA, without("null")), "cannot be read .column null is missing"),
    (set_column(DATA, "action", "left"), "cannot be read .column action"),
    (set_column(DATA, "action", [1, 2, 3]), "cannot be read .column action has lists of .3. values, expected 2"),
    (set_column(DATA, "action", [1.5, 2.5]), "cannot be read .column action holds double, expected int64"),
    (set_column(DATA, "action", [10**6, 0]), "data cannot be read .buttons_index lies in 1000000..1000000"),
    (set_column(DATA, "action", [0, -1]), "data cannot be read .camera_index lies in -1..-1"),
    (set_column(DATA, "truth.buttons", [3] * 20), "data cannot be read .truth.buttons"),
    (set_column(DATA, "confidence", lambda old: pa.nulls(len(old), pa.float32())), "column confidence has 0 values"),
    (set_column(DATA, "frame_index", 2**62), "data cannot be read .episode 0 should have the frames"),
    (lambda folder: next(folder.glob(DATA)).write_bytes(b"PAR1" * 99), "file-000.parquet cannot be read"),
    (lambda folder: next(folder.glob(DATA)).write_bytes(b""), "file-000.parquet cannot be read"),
])
def test_absurd_content_is_one_line_that_names_the_file(dataset, tmp_path, damage, says):
    out = shutil.copytree(dataset, tmp_path / "shards")
    damage(out)
    with pytest.raises(ValueError, match=says) as error:
        read_all(Shards(out))
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("meta, says", [
    ({"seed": "seven"}, "seed"), ({"seed": 2**70}, "seed"), ({"errands": 3}, "errands"),
    ({"errands": [{"name": "chop", "start_frame": -2}]}, "errands.0.start_frame"),
    ({"errands": [{}]}, "errands.0.name"),
])
def test_an_absurd_meta_file_is_named(copy, tmp_path, meta, says):
    (copy / "ch0-01.meta.json").write_text(json.dumps({"channel": "ch0"} | meta))
    with pytest.raises(ValueError, match=f"ch0-01.meta.json: {says}.*: correct it, or record again"):
        make(copy, tmp_path / "shards")
