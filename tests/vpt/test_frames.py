"""The agent's picture, cursor compositing and video files: golden pixels, round trips and broken files."""

import cv2
import numpy as np
import pytest
from support.fixture_data import FOLDER, arrays

from vpt.frames import count_frames, cursor_px, draw_cursor, read_cursor, read_video, resize_to_agent, write_video


def test_resize_is_the_reference_to_the_last_bit():
    gold = arrays("preprocessing.npz")
    image = cv2.cvtColor(cv2.imread(str(FOLDER / "preprocessing_input_640x360.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(resize_to_agent(image), gold["resized_128"])
    np.testing.assert_array_equal(resize_to_agent(gold["small_input_rgb"]), gold["small_resized_128"])
    np.testing.assert_array_equal(resize_to_agent(gold["resized_128"]), gold["resized_128"])


@pytest.mark.parametrize("bad", [np.zeros((128, 128), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_resize_refuses_what_is_no_frame(bad):
    with pytest.raises(ValueError, match="uint8"):
        resize_to_agent(bad)


def test_cursor_compositing():
    gold = arrays("contractor_compositing.npz")
    frame, cursor = gold["frame_bgr_360x640"], gold["cursor_bgra"]
    height, width = frame.shape[:2]
    drawn = []
    for i, (x, y) in enumerate(gold["mouse_xy"]):
        if not gold["gui_open"][i]:
            drawn.append(frame)
            continue
        x_px, y_px = cursor_px(x, y, height)
        assert [x_px, y_px] == gold["cursor_px_xy"][i].tolist()
        out = draw_cursor(frame, cursor, x_px, y_px)
        drawn.append(out)
        assert (out != frame).any(-1).sum() == gold["n_pixels_changed"][i]
        patch = np.zeros_like(gold["composited_patch_bgr"][i])
        inside = out[y_px : y_px + 16, x_px : x_px + 16] if x_px < width and y_px < height else patch[:0, :0]
        patch[: inside.shape[0], : inside.shape[1]] = inside
        np.testing.assert_array_equal(patch, gold["composited_patch_bgr"][i])
    for i, expected in zip(gold["loader_rgb_128.index"], gold["loader_rgb_128"], strict=True):
        np.testing.assert_array_equal(resize_to_agent(cv2.cvtColor(drawn[i], cv2.COLOR_BGR2RGB)), expected)


def test_cursor_is_cut_off_at_the_upper_and_left_border_too():
    frame, cursor = np.zeros((20, 20, 3), np.uint8), np.full((16, 16, 4), 255, np.uint8)
    out = draw_cursor(frame, cursor, -12, -10)
    assert out[:6, :4].all() and out.sum() == 6 * 4 * 3 * 255
    assert not draw_cursor(frame, cursor, -40, 3).any()  # the published loader draws this at the opposite edge


def test_a_cursor_is_the_corner_of_its_picture(tmp_path):
    sheet = np.random.default_rng(0).integers(0, 256, (256, 256, 4), dtype=np.uint8)  # blue, green, red, alpha
    cv2.imwrite(str(tmp_path / "cursor.png"), sheet)
    np.testing.assert_array_equal(read_cursor(tmp_path / "cursor.png"), sheet[:16, :16, [2, 1, 0, 3]])


@pytest.mark.parametrize("bad", ["missing", "text", "colour", "grey", "deep"])
def test_a_picture_that_is_no_cursor_is_one_clear_error(tmp_path, bad):
    pictures = {"colour": np.zeros((16, 16, 3), np.uint8), "grey": np.zeros((16, 16), np.uint8),
                "deep": np.zeros((16, 16, 4), np.uint16)}  # fmt: skip
    if bad in pictures:
        cv2.imwrite(str(tmp_path / "bad.png"), pictures[bad])
    elif bad == "text":
        (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"bad\.png " + ("has no alpha" if bad in pictures else "is missing")):
        read_cursor(tmp_path / "bad.png")


def moving_stripes(n: int, size=(96, 64)) -> np.ndarray:
    """n frames whose left half holds the frame number in 8 black or white stripes."""
    frames = np.full((n, size[1], size[0], 3), 90, np.uint8)
    for t in range(n):
        for bit in range(8):
            frames[t, bit * 8 : bit * 8 + 8, : size[0] // 2] = 230 if t >> bit & 1 else 20
    return frames


def frame_number(rgb: np.ndarray) -> int:
    return sum(int(rgb[bit * 8 + 4, 20].mean() > 128) << bit for bit in range(8))


def test_video_round_trip_keeps_number_order_and_colour(tmp_path):
    frames = moving_stripes(200)
    frames[:, :, 60:] = (200, 60, 30)
    with write_video(tmp_path / "v.mp4", size=(96, 64)) as video:
        for rgb in frames:
            video.write(rgb)
    back = list(read_video(tmp_path / "v.mp4"))
    assert [frame_number(rgb) for rgb in back] == list(range(200))
    assert count_frames(tmp_path / "v.mp4") == 200
    assert np.abs(np.stack(back)[:, :, 70:].astype(int) - (200, 60, 30)).max() <= 6
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), write_video(tmp_path / "v.mp4", size=(96, 64)) as video:
        video.write(moving_stripes(1)[0])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_writer_refuses_another_size(tmp_path):
    with pytest.raises(ValueError, match="takes uint8"), write_video(tmp_path / "v.mp4", size=(96, 64)) as video:
        video.write(np.zeros((96, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="even"), write_video(tmp_path / "v.mp4", size=(95, 64)):
        pass


@pytest.mark.parametrize("damage", ["cut", "middle", "empty", "text", "missing"])
def test_a_broken_video_is_one_clear_error(tmp_path, damage):
    rng = np.random.default_rng(0)
    with write_video(tmp_path / "v.mp4", size=(96, 64)) as video:
        for _ in range(60):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    data = (tmp_path / "v.mp4").read_bytes()
    half = len(data) // 2
    broken = {
        "cut": data[:half],
        "middle": data[:half] + bytes(4000) + data[half + 4000 :],
        "empty": b"",
        "text": b"hi" * 50,
    }
    if damage in broken:
        (tmp_path / "broken.mp4").write_bytes(broken[damage])
    with pytest.raises(ValueError, match="broken.mp4"):
        list(read_video(tmp_path / "broken.mp4"))
