"""Labelling: every frame once whatever the length, the same as the model by hand, and a failure stops nothing else."""

import numpy as np
import pytest
import torch
from synthetic import picture, record

from data_gathering.label import Options, main
from data_gathering.label_file import Labels, read_labels, write_labels
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import read_video
from vpt.idm import IDM, IDMConfig
from vpt.scores import Scores
from vpt.windows import infer, windows

SMALL = IDMConfig(width=16, heads=2, blocks=1, conv_channels=2, impala_width=0.25, impala_channels=(4, 4, 4), px=16)


def random_idm(config=SMALL) -> IDM:
    torch.manual_seed(0)
    idm = IDM(config)
    for parameter in idm.parameters():  # at birth the logits hardly differ
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
            chance, degrees = output.camera[0].exp().numpy(), MINECRAFT.camera_deg_of_bins(np.arange(11))
            bins = MINECRAFT.camera_bins((chance * degrees).sum(-1))  # the bin nearest to the expected angle
            seen[start, stop] = output.greedy()[0][0].numpy(), bins, output.confidence()[0].numpy()
        return seen[start, stop]

    edges = {64 * k + d for k in range(1, 7) for d in (-1, 0, 1)}
    for frames in sorted(edges | {*range(1, 401, 7)}):  # which windows there are is tested for every length above
        said = infer(idm, iter(video[:frames]), frames, batch=1 + frames % 4)
        for window in windows(frames):
            buttons, bins, confidence = by_hand(window.start, window.stop)
            kept = slice(window.keep_from, window.keep_to)
            inside = slice(window.keep_from - window.start, window.keep_to - window.start)
            assert (said.buttons[kept] == buttons[inside]).all()
            assert (MINECRAFT.camera_bins(said.camera_deg[kept]) == bins[inside]).all()
            np.testing.assert_allclose(said.confidence[kept], confidence[inside], rtol=1e-3)
    assert said.buttons.any() and not said.buttons.all() and (0 < said.confidence).all()


def test_infer_refuses_a_video_of_another_length():
    idm, video = random_idm(), np.zeros((20, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="ends after 20 of 21"):
        infer(idm, iter(video), 21)
    with pytest.raises(ValueError, match="more than the 19"):
        infer(idm, iter(video), 19)


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


def test_another_model_labels_anew(play):
    label(play)
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
