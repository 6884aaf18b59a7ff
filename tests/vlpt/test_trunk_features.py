"""Cached features are the trunk's outputs, found again by weights and video, and take the place of pixels."""

import numpy as np
import pytest
import torch
from support.numbered_recordings import record

from data_gathering.shard import Options, main
from vlpt.data.lanes import Lanes
from vlpt.data.shards import Shards
from vlpt.data.trunk_features import cache_features, encode_episode, trunk_key
from vpt.policy import Policy, PolicyConfig


class CountedPolicy(Policy):
    """A small agent that counts how often its trunk is run."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__(PolicyConfig(16, 2, 2, 16, 8, 0.25, (4, 4, 4), n_buttons=9, n_camera=9))
        self.calls = 0

    def encode_frames(self, *arguments):
        self.calls += 1
        return super().encode_frames(*arguments)


@pytest.fixture
def shards(tmp_path):
    for i, frames in enumerate([150, 30]):
        record(tmp_path / "3_video", f"ch{i}-00", i, frames)
    main(Options(recordings=str(tmp_path / "3_video"), labels="truth", out=str(tmp_path / "shards")))
    return Shards(tmp_path / "shards")


def test_features_are_the_trunks_outputs_over_the_whole_episode(shards):
    model = CountedPolicy().train()
    read_features = cache_features(model, shards)
    assert model.training
    for episode in shards.episodes:
        frames = torch.from_numpy(shards.read_frames(episode))[None]
        first = torch.arange(episode.n_frames)[None] == 0
        with torch.no_grad():
            x, patches, _ = model.encode_frames(frames, first, model.start(1)[0])
        whole = model.pack(x, patches)
        np.testing.assert_allclose(read_features(episode, 0, episode.n_frames), whole[0], atol=2e-3, rtol=2e-3)
        np.testing.assert_array_equal(read_features(episode, 7, 21), read_features(episode, 0, 30)[7:21])
        np.testing.assert_allclose(encode_episode(model, shards, episode), whole[0], atol=1e-4, rtol=1e-4)


def test_work_is_done_once_a_trunk_and_video(shards, tmp_path):
    model, other = CountedPolicy(), CountedPolicy(seed=1)
    cache_features(model, shards)
    done = model.calls
    assert done == 3
    cache_features(model, Shards(tmp_path / "shards"))
    torch.nn.init.normal_(next(model.heads.parameters()))
    cache_features(model, shards)
    assert model.calls == done, "neither a second reading nor another head changes the trunk's outputs"
    cache_features(other, shards)
    assert other.calls == done and trunk_key(model) != trunk_key(other)
    half_written = next((tmp_path / "features" / trunk_key(model)).glob("ch1-00*"))
    half_written.write_bytes(half_written.read_bytes()[:100])
    read_features = cache_features(model, shards)
    assert model.calls == done + 1 and read_features(shards.episodes[1], 0, 30).shape == (30, model.packed_width)
    record(tmp_path / "3_video", "ch0-00", 5, 150)
    main(Options(recordings=str(tmp_path / "3_video"), labels="truth", out=str(tmp_path / "shards")))
    again = cache_features(model, Shards(tmp_path / "shards"))
    assert not np.allclose(again(shards.episodes[0], 0, 9), read_features(shards.episodes[0], 0, 9))


def test_a_loader_reads_features_as_it_reads_pixels(shards):
    read_features = cache_features(CountedPolicy(), shards)
    for chunk in Lanes(shards, shards.episodes, lanes=2, frames_per_chunk=32, epochs=1, read_frames=read_features):
        assert chunk.frames.shape == (2, 32, 16 + 16 * 6) and chunk.frames.dtype == torch.float32
        for b in range(2):
            e, t = int(chunk.episode[b, 0]), int(chunk.frame[b, 0])
            if e >= 0:
                np.testing.assert_array_equal(chunk.frames[b, 0], read_features(shards.episodes[e], t, t + 1)[0])


def test_features_beyond_fp16_are_refused(shards):
    model = CountedPolicy()
    model.blocks[0].narrow.weight.data.mul_(1e6)
    with pytest.raises(ValueError, match="does not fit fp16"):
        cache_features(model, shards)
    assert not list(shards.folder.parent.glob("features/*/*"))
