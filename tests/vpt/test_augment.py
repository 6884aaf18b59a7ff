"""Augmentation: alike over a clip, different between clips, within its ranges, and the identity when switched off."""

import numpy as np
import pytest
import torch

from vpt.augment import Ranges, augment, draw_shape

OFF = dict.fromkeys(Ranges.__dataclass_fields__, 0.0)


def still_clips(clips=2, frames=3) -> torch.Tensor:
    """Clips of one smooth picture, repeated."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    picture = torch.stack([60 + x + y, 40 + 2 * x, 200 - y - x // 2], dim=-1).clamp(0, 255).byte()
    return picture.expand(clips, frames, 64, 64, 3).contiguous()


def test_switched_off_it_changes_nothing():
    frames = torch.randint(0, 256, (2, 3, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(augment(frames, np.random.default_rng(0), Ranges(**OFF)), frames)


def test_frames_of_a_clip_change_alike_and_clips_apart():
    out = augment(still_clips(), np.random.default_rng(0))
    assert torch.equal(out[:, 0], out[:, 1]) and not torch.equal(out[0], out[1])
    assert torch.equal(out, augment(still_clips(), np.random.default_rng(0)))


def test_without_a_generator_it_follows_the_global_seed():
    torch.manual_seed(3)
    one, two = augment(still_clips()), augment(still_clips())
    torch.manual_seed(3)
    assert torch.equal(augment(still_clips()), one) and not torch.equal(one, two)


@pytest.mark.parametrize("name", OFF)
def test_each_kind_acts_by_itself_and_mildly(name):
    frames, ranges = still_clips(8), Ranges(**{**OFF, name: getattr(Ranges(), name)})
    change = (augment(frames, np.random.default_rng(1), ranges).int() - frames.int()).abs().float()
    assert change.mean((1, 2, 3, 4)).amax() > 0.1 and change.mean() < 40


def test_colours_keep_what_they_should():
    grey = torch.full((1, 1, 8, 8, 3), 120, dtype=torch.uint8)
    for name in ("hue_rad", "saturation", "contrast"):  # about its own mean, a grey picture has none of the three
        out = augment(grey, np.random.default_rng(2), Ranges(**{**OFF, name: 0.2}))
        assert (out.int() - 120).abs().max() <= 1
    factor = augment(grey, np.random.default_rng(2), Ranges(**{**OFF, "brightness": 0.2})).float().mean() / 120
    assert 0.8 <= factor <= 1.2 and abs(factor - 1) > 0.01


def test_a_translation_moves_by_pixels_and_stays_within_its_range():
    shapes = np.stack([draw_shape(np.random.default_rng(seed), Ranges()) for seed in range(300)])
    assert np.abs(shapes[:, :, 2]).max() <= 2
    scales = np.sqrt(np.linalg.det(shapes[:, :, :2]))
    assert 0.98 <= scales.min() < 0.985 and 1.015 < scales.max() <= 1.02
    angles = np.rad2deg(np.arctan2(shapes[:, 1, 0], shapes[:, 0, 0]))
    assert 1.9 < np.abs(angles).max() <= 2


def test_other_frames_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        augment(torch.zeros(2, 64, 64, 3), np.random.default_rng(0))
