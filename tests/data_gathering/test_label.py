"""Labelling: every frame once whatever the length, the same as the model by hand, and a failure stops nothing else."""

import os

import numpy as np
import pytest
import torch
from support.numbered_recordings import picture, record

from data_gathering.label import Options, main
from data_gathering.label_file import Labels, read_labels, write_labels
from vlpt.options import from_dict
from vlpt.training.idm import mirror_some
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import read_video, write_video
from vpt.idm import IDM, IDMConfig
from vpt.released import write_released
from vpt.scores import Scores
from vpt.windows import infer, infer_videos, windows

SMALL = IDMConfig(width=16, heads=2, blocks=1, conv_channels=2, impala_width=0.25, impala_channels=(4, 4, 4), px=16)


def random_idm(config=SMALL) -> IDM:
    torch.manual_seed(0)
    idm = IDM(config)
    for parameter in idm.parameters():  # when new the logits hardly differ
        torch.nn.init.normal_(parameter, std=0.5)
    return idm.eval()


def test_windows_keep_every_frame_once_for_all_lengths():
    for frames in range(1, 401):
        kept = np.zeros(frames, int)
        for window in windows(frames):
            kept[window.keep_from: window.keep_to] += 1
            assert 0 <= window.start <= window.keep_from < window.keep_to <= window.stop <= frames
            assert window.stop - window.start == min(frames, 128)
            if window.start > 0:
                assert window.keep_from - window.start >= 32
            if window.stop < frames:
                assert window.stop - window.keep_to >= 32
        assert (kept == 1).all()
    assert [(w.keep_from, w.keep_to) for w in windows(320)] == [(0, 96), (96, 160), (160, 224), (224, 320)]


def test_infer_is_the_model_by_hand():
    idm, random, seen = random_idm(), np.random.default_rng(0), {}
    video = random.integers(0, 256, (400, 16, 16, 3), dtype=np.uint8)

    def by_hand(start, stop):
        if (start, stop) not in seen:
            with torch.no_grad():
                output = idm(torch.from_numpy(video[None, start:stop]))
            expected_deg = output.camera[0].exp().numpy() @ MINECRAFT.camera_deg_of_bins(np.arange(11))
            seen[start, stop] = output.greedy()[0][0].numpy(), expected_deg, output.confidence()[0].numpy()
        return seen[start, stop]

    edges = {64 * k + d for k in range(1, 7) for d in (-1, 0, 1)}
    for frames in sorted(edges | {*range(1, 401, 7)}):  # which windows there are is tested for every length above
        said = infer(idm, iter(video[:frames]), frames, batch=1 + frames % 4)
        for window in windows(frames):
            buttons, camera_deg, confidence = by_hand(window.start, window.stop)
            kept = slice(window.keep_from, window.keep_to)
            inside = slice(window.keep_from - window.start, window.keep_to - window.start)
            assert (said.buttons[kept] == buttons[inside]).all()
            np.testing.assert_allclose(said.camera_deg[kept], camera_deg[inside], atol=1e-4)
            np.testing.assert_allclose(said.confidence[kept], confidence[inside], rtol=1e-3)
    assert said.buttons.any() and not said.buttons.all() and (0 < said.confidence).all()


def test_infer_refuses_a_video_of_another_length():
    idm, video = random_idm(), np.zeros((20, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="ends after 20 of 21"):
        infer(idm, iter(video), 21)
    with pytest.raises(ValueError, match="more than the 19"):
        infer(idm, iter(video), 19)


def test_many_videos_go_through_together_and_apart():
    """Windows of several videos share batches; a video that breaks off leaves the others as they are."""
    idm, random = random_idm(), np.random.default_rng(1)
    videos = {f"v{n}": random.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8) for n in (1, 3, 5, 130, 40, 300, 129)}

    def broken():
        yield from videos["v300"][:200]
        raise OSError("the disk is gone")

    def mad(error: Exception):
        yield from videos["v130"][:70]
        raise error

    plan = [(name, iter(video), len(video)) for name, video in videos.items()]
    plan.insert(6, ("other sizes", iter(np.zeros((50, 9, 16, 3), np.uint8)), 50))
    plan.insert(5, ("no pictures", iter(["text"] * 10), 10))
    plan.insert(4, ("broken", broken(), 300))
    plan.insert(3, ("deep", mad(RecursionError("too deep")), 130))
    plan.insert(2, ("short", iter(videos["v40"]), 41))
    plan.insert(1, ("odd", mad(AttributeError("no such thing")), 130))
    found = dict(infer_videos(idm, plan, batch=3))
    assert len(found) == len(plan) == len(videos) + 6
    for name, says in (("broken", "disk is gone"), ("short", "ends after 40 of 41"), ("deep", "too deep"),
                       ("odd", "no such thing"), ("no pictures", "shape"),
                       ("other sizes", "frame 0 is uint8 (9, 16, 3), the model sees uint8 (16")):  # fmt: skip
        assert isinstance(found[name], Exception) and says in str(found[name])
    for name, video in videos.items():
        alone = infer(idm, iter(video), len(video), batch=1)
        np.testing.assert_array_equal(found[name].buttons, alone.buttons)
        np.testing.assert_allclose(found[name].camera_deg, alone.camera_deg, atol=1e-4)
        np.testing.assert_allclose(found[name].confidence, alone.confidence, rtol=1e-3)


def test_both_sides_of_a_mirror_give_mirrored_labels():
    idm, random = random_idm(), np.random.default_rng(2)
    video = random.integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)
    said = infer(idm, iter(video), 200, mirror=True)
    other = infer(idm, iter(video[:, :, ::-1]), 200, mirror=True)
    np.testing.assert_array_equal(said.buttons, other.buttons[:, MINECRAFT.mirror])
    np.testing.assert_allclose(said.camera_deg, other.camera_deg * [1, -1], atol=1e-4)
    assert (said.camera_deg != infer(idm, iter(video), 200).camera_deg).any()


def test_mirrored_clips_show_and_press_the_other_side():
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (16, 2, 8, 8, 3), dtype=torch.uint8)
    buttons = torch.randint(0, 2, (16, 2, 20))
    camera_deg = np.random.default_rng(0).uniform(-10, 10, (16, 2, 2))
    shares = torch.from_numpy(MINECRAFT.camera.shares(camera_deg))
    seen, pressed, turned = mirror_some(frames, buttons, shares)
    left, right = BUTTONS.index("left"), BUTTONS.index("right")
    degrees = turned.numpy() @ MINECRAFT.camera_deg_of_bins(np.arange(11))
    mirrored = [not torch.equal(seen[b], frames[b]) for b in range(16)]
    assert 2 < sum(mirrored) < 14
    for b, changed in enumerate(mirrored):
        assert torch.equal(seen[b], frames[b].flip(2) if changed else frames[b])
        assert torch.equal(pressed[b, :, left], buttons[b, :, right if changed else left])
        np.testing.assert_allclose(degrees[b], camera_deg[b] * ([1, -1] if changed else [1, 1]), atol=1e-5)


@pytest.fixture
def play(tmp_path):
    for i, frames in enumerate([40, 150, 7]):
        record(tmp_path / "3_video", f"ch0-0{i}", i, frames)
    random_idm(IDMConfig(width=16, heads=2, blocks=1, conv_channels=2, impala_width=0.25)).save_pretrained(
        tmp_path / "idm")
    return tmp_path


def label(play, **more):
    return main(Options(idm=str(play / "idm"), videos=str(play / "3_video"), out=str(play / "5_actions"), **more))


def test_videos_are_labelled_once_and_scored(play, capsys):
    assert label(play) == {"labelled": 3, "done_before": 0, "failed": 0}
    assert "197 frames: balanced accuracy" in capsys.readouterr().out
    idm = IDM.from_pretrained(play / "idm")
    labels = read_labels(play / "5_actions/ch0-01.parquet")
    expected = infer(idm, read_video(play / "3_video/ch0-01.mp4"), 150)
    np.testing.assert_array_equal(labels.buttons, expected.buttons)
    np.testing.assert_array_equal(labels.camera_deg, expected.camera_deg)
    before = {path: path.stat().st_mtime_ns for path in (play / "5_actions").iterdir()}
    assert label(play, channels=("ch0",)) == {"labelled": 0, "done_before": 3, "failed": 0}
    assert before == {path: path.stat().st_mtime_ns for path in (play / "5_actions").iterdir()}


def test_another_model_labels_anew_and_so_does_another_way_to_look(play):
    label(play)
    assert label(play, window=64)["labelled"] == 3 and label(play, window=64, mirror=True)["labelled"] == 3
    idm = IDM.from_pretrained(play / "idm")
    torch.nn.init.normal_(next(idm.parameters()))
    idm.save_pretrained(play / "idm")
    assert label(play)["labelled"] == 3


def test_a_failure_is_named_and_the_rest_goes_on(play, capsys):
    broken = play / "3_video/ch0-00.mp4"
    broken.write_bytes(broken.read_bytes()[:3000])
    with pytest.raises(SystemExit) as stop:
        label(play)
    said = capsys.readouterr()
    assert stop.value.code == 1 and "failed: " in said.err and "ch0-00.mp4" in said.err
    assert "3 videos: 2 labelled, 0 done before, 1 failed" in said.out
    assert sorted(path.name for path in (play / "5_actions").iterdir()) == ["ch0-01.parquet", "ch0-02.parquet"]


def test_videos_of_any_kind_are_labelled_or_named(play, capsys):
    """Another rate is read by the clock, borders are cut; 4:3, an empty and a cut file are named, the totals add up."""
    folder = play / "3_video"
    with write_video(folder / "ch1-00.mp4", (320, 180), fps=30) as video:
        for number in range(90):
            video.write(picture(number, (320, 180)))
    with write_video(folder / "ch1-01.mp4", (320, 240)) as video:
        video.write(picture(0, (320, 240)))
    (folder / "ch1-02.mp4").write_bytes(b"")
    whole = (folder / "ch0-01.mp4").read_bytes()
    (folder / "ch1-03.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit):
        label(play)
    said = capsys.readouterr()
    assert "7 videos: 4 labelled, 0 done before, 3 failed" in said.out
    assert all(f"ch1-0{i}.mp4" in said.err for i in (1, 2, 3)) and "ch0" not in said.err.split("failed", 1)[1]
    assert len(read_labels(play / "5_actions/ch1-00.parquet")) == 60
    assert not list((play / "5_actions").glob("*.tmp"))


def test_whatever_lies_there_is_named_in_a_line_and_the_rest_is_labelled(play, capsys):
    folder = play / "3_video"
    whole = (folder / "ch0-00.mp4").read_bytes()
    os.mkfifo(folder / "ch1-00.mp4")
    (folder / "ch1-01.mp4").mkdir()
    (folder / "ch1-02.mp4").symlink_to("nowhere")
    (folder / "ch1-03.mp4").write_bytes(whole.replace(b"avc1", b"zzzz"))
    (folder / "ch1-04.mp4").write_bytes(whole)
    os.mkfifo(folder / "ch1-04.jsonl")  # its truth
    (folder / "ch1-05.mp4").write_bytes(whole)
    (folder / "ch1-05.meta.json").write_text("[" * 100_000)
    with pytest.raises(SystemExit):
        label(play, channels=("ch0", "ch1"))
    said = capsys.readouterr()
    failed = [line for line in said.err.splitlines() if "failed: " in line]
    assert "9 videos: 4 labelled, 0 done before, 5 failed" in said.out and len(failed) == 5
    assert all(any(f"ch1-0{i}." in line for line in failed) for i in range(5))


def test_openai_s_two_files_label_too(tmp_path):
    record(tmp_path / "3_video", "ch0-00", 0, 20)
    idm = random_idm(IDMConfig(width=16, heads=2, blocks=1, conv_channels=2, impala_width=0.25, temperature=2.0))
    write_released(idm, tmp_path / "4x.model", tmp_path / "4x.weights")
    said = {}
    for lastlayer in ("discarded", "used"):
        out = tmp_path / lastlayer
        main(Options(model=str(tmp_path / "4x.model"), weights=str(tmp_path / "4x.weights"), lastlayer=lastlayer,
                     videos=str(tmp_path / "3_video"), out=str(out)))
        said[lastlayer] = read_labels(out / "ch0-00.parquet")
    expected = infer(idm, read_video(tmp_path / "3_video/ch0-00.mp4"), 20)
    np.testing.assert_allclose(said["discarded"].camera_deg, expected.camera_deg, atol=1e-4)
    assert np.abs(said["used"].camera_deg - expected.camera_deg).max() > 1e-3
    with pytest.raises(ValueError, match="--model and --weights belong together"):
        main(Options(model="x", videos=str(tmp_path / "3_video"), out=str(tmp_path / "o")))


def test_a_half_written_label_file_is_made_again_and_refused_by_readers(play):
    label(play)
    path = play / "5_actions/ch0-01.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="ch0-01.parquet cannot be read .*data_gathering.label again"):
        read_labels(path)
    assert label(play) == {"labelled": 1, "done_before": 2, "failed": 0}


@pytest.mark.parametrize("more, says", [(dict(idm="none"), "none is no folder"), (dict(videos="none"), "no recording")])
def test_wrong_options_are_one_clear_error(play, more, says):
    with pytest.raises(ValueError, match=says):
        main(Options(**(dict(idm=str(play / "idm"), videos=str(play / "3_video"), out=str(play / "o")) | more)))


def test_a_window_too_short_is_refused():
    with pytest.raises(ValueError, match="--window should be at least 8, got 4"):
        from_dict(Options, {"window": 4})


def test_labels_survive_the_file(tmp_path):
    random = np.random.default_rng(0)
    buttons = (random.random((50, 20)) < 0.2).astype(np.uint8)
    labels = Labels(buttons, random.uniform(-12, 12, (50, 2)), random.random(50).astype(np.float32))
    write_labels(tmp_path / "a.parquet", labels, "me")
    again = read_labels(tmp_path / "a.parquet")
    np.testing.assert_array_equal(again.buttons, labels.buttons)
    np.testing.assert_array_equal(again.camera_deg, labels.camera_deg)
    np.testing.assert_array_equal(again.confidence, labels.confidence)


def test_scores_by_hand():
    true, said = np.zeros((8, 20), int), np.zeros((8, 20), int)
    true[:4, 0], said[:3, 0], said[7, 0] = 1, 1, 1  # attack: 3 of 4 found, 1 of 4 in vain
    true[:2, 3] = said[:2, 3] = 1  # jump: perfect
    said[0, 9] = 1  # drop: never pressed, so not a button that occurs
    degrees = np.stack([np.arange(8) - 3.5, np.zeros(8)], 1)
    scores = Scores()
    for part in (slice(0, 3), slice(3, 8)):
        scores.add(said[part], degrees[part] + 0.5, true[part], degrees[part])
    assert scores.balanced_accuracy() == {"attack": 0.75, "jump": 1.0}
    assert scores.numbers()["balanced_accuracy"] == 0.875
    assert scores.numbers()["keypress_accuracy"] == 5 / 8
    assert scores.mouse_r2() == pytest.approx(1 - 8 * 2 * 0.25 / 42)
    assert scores.pressed[0].tolist() == [[3, 1], [1, 3]] and scores.camera.sum() == 16


def test_scores_clip_the_mouse_and_know_perfection():
    random = np.random.default_rng(0)
    buttons, degrees = (random.random((500, 20)) < 0.3).astype(int), random.normal(0, 20, (500, 2))
    perfect = Scores()
    perfect.add(torch.from_numpy(buttons), degrees.clip(-10, 10), buttons, degrees)
    assert perfect.numbers() == {"balanced_accuracy": 1.0, "mouse_r2": 1.0, "keypress_accuracy": 1.0}
    constant = Scores()
    constant.add(buttons * 0, degrees * 0 + degrees.clip(-10, 10).mean(0), buttons, degrees)
    assert constant.numbers()["balanced_accuracy"] == 0.5 and abs(constant.mouse_r2()) < 1e-9
    assert len(perfect.table()) == len(BUTTONS) and "mouse R2 1.000" in str(perfect)
    with pytest.raises(ValueError, match="scores compare"):
        perfect.add(buttons[:, :3], degrees, buttons, degrees)


def test_pictures_of_any_size_are_labelled_as_the_agent_sees_them(tmp_path):
    """Labelling a large recording gives what labelling its 128x128 frames gives."""
    record(tmp_path / "large", "ch0-00", 0, 12, size=(320, 180))
    random_idm(IDMConfig(width=16, heads=2, blocks=1, conv_channels=2, impala_width=0.25)).save_pretrained(
        tmp_path / "idm")
    main(Options(idm=str(tmp_path / "idm"), videos=str(tmp_path / "large"), out=str(tmp_path / "out")))
    import cv2

    frames = [cv2.resize(rgb, (128, 128)) for rgb in read_video(tmp_path / "large/ch0-00.mp4")]
    assert frames[0].shape == picture(0).shape
    expected = infer(IDM.from_pretrained(tmp_path / "idm"), iter(frames), 12)
    np.testing.assert_array_equal(read_labels(tmp_path / "out/ch0-00.parquet").buttons, expected.buttons)
