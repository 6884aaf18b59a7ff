"""Cached features are the trunk's outputs, found again by weights and video, and take the place of pixels; what several
processes make is made once, and what is made stays."""

import os
import shutil
import threading

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from support.numbered_recordings import record

from data_gathering.shard import Options, main
from vlpt.data.lanes import Lanes
from vlpt.data.shards import Shards
from vlpt.data.trunk_features import cache_features, encode_episode, old_file, share, trunk_key
from vlpt.data.video_hashes import video_hash
from vlpt.training.losses import action_loss
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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for i, frames in enumerate([150, 30]):
        record(folder / "3_video", f"ch{i}-00", i, frames)
    main(Options(recordings=str(folder / "3_video"), labels="truth", out=str(folder / "shards")))
    return folder


@pytest.fixture
def shards(made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
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
        encoded = np.concatenate(list(encode_episode(model, shards, episode)))
        np.testing.assert_allclose(encoded, whole[0], atol=1e-4, rtol=1e-4)


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
    cut_short, = (tmp_path / "features" / trunk_key(model)).glob("*.npy")
    cut_short.write_bytes(cut_short.read_bytes()[:100])
    read_features = cache_features(model, shards)
    assert model.calls == 2 * done and read_features(shards.episodes[1], 0, 30).shape == (30, model.packed_width)
    record(tmp_path / "3_video", "ch0-00", 5, 150)
    main(Options(recordings=str(tmp_path / "3_video"), labels="truth", out=str(tmp_path / "shards")))
    again = cache_features(model, Shards(tmp_path / "shards"))
    assert not np.allclose(again(shards.episodes[0], 0, 9), read_features(shards.episodes[0], 0, 9))


def test_a_loader_reads_features_as_it_reads_pixels(shards):
    read_features = cache_features(CountedPolicy(), shards)
    for chunk in Lanes(shards, shards.episodes, lanes=2, frames_per_chunk=32, epochs=1, read_frames=read_features):
        assert chunk.frames.shape == (2, 32, 16 + 16 * 6) and chunk.frames.dtype == torch.float16
        for b in range(2):
            e, t = int(chunk.episode[b, 0]), int(chunk.frame[b, 0])
            if e >= 0:
                np.testing.assert_array_equal(chunk.frames[b, 0], read_features(shards.episodes[e], t, t + 1)[0])


def test_features_beyond_fp16_are_refused(shards):
    model = CountedPolicy()
    model.blocks[0].narrow.weight.data.mul_(1e6)
    with pytest.raises(ValueError, match="does not fit fp16"):
        cache_features(model, shards)
    assert not list(shards.folder.parent.glob(f"features/{trunk_key(model)}/*"))


def test_what_is_half_done_goes_on(shards, tmp_path):
    """Some episodes are asked for, then a program is killed at another: neither is made twice."""
    model = CountedPolicy()
    cache_features(model, shards, shards.episodes[1:])
    assert model.calls == 1
    whole = cache_features(CountedPolicy(), shards, folder=tmp_path / "whole")

    class Killed(CountedPolicy):
        def encode_frames(self, *arguments):
            if self.calls == 1:
                raise KeyboardInterrupt
            return super().encode_frames(*arguments)

    with pytest.raises(KeyboardInterrupt):
        cache_features(Killed(), shards)
    read_features = cache_features(model, shards)
    assert model.calls == 1 + 2, "the long episode only, which was cut off in the middle"
    for episode in shards.episodes:
        np.testing.assert_array_equal(*(read(episode, 0, episode.n_frames) for read in (read_features, whole)))
    assert not list(tmp_path.glob("features/*/*.lock"))


@pytest.fixture
def parts(tmp_path):
    """Three parts of shards, with a video each."""
    for i, frames in enumerate([90, 60, 30]):
        record(tmp_path / f"play{i}", f"ch{i}-00", i, frames)
        main(Options(recordings=str(tmp_path / f"play{i}"), labels="truth", out=str(tmp_path / f"parts/{i}")))
    return Shards(tmp_path / "parts")


def test_processes_make_a_share_each_and_wait_for_the_others(parts, tmp_path):
    models, found = [CountedPolicy(), CountedPolicy()], {}

    def make(rank: int) -> None:
        found[rank] = cache_features(models[rank], Shards(parts.folder), rank=rank, world_size=2)

    threads = [threading.Thread(target=make, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [model.calls for model in models] == [1, 2], "the longest to one, the rest to the other"
    alone = cache_features(CountedPolicy(), parts, folder=tmp_path / "alone")
    for episode in parts.episodes:
        for rank in range(2):
            np.testing.assert_array_equal(*(read(episode, 0, episode.n_frames) for read in (found[rank], alone)))
    of_video = {episode.video: [episode] for episode in parts.episodes}
    assert sorted(sum((share(of_video, rank, 7) for rank in range(7)), [])) == sorted(of_video)


def test_a_video_is_read_whole_once_and_again_where_it_has_changed(shards, tmp_path, monkeypatch):
    video, folder = shards.episodes[0].video, tmp_path / "features"
    first = video_hash(video, folder)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("it is read again"))
    assert video_hash(video, folder) == first
    monkeypatch.undo()
    changed = bytearray(video.read_bytes())
    changed[-1] ^= 1
    video.write_bytes(changed)
    os.utime(video, ns=(1, 1))
    assert video_hash(video, folder) != first
    record_, = (folder / "hashes").iterdir()
    record_.write_text("{")
    assert len(video_hash(video, folder)) == 64


def test_what_was_made_an_episode_a_file_is_taken_over(shards, tmp_path):
    model, folder = CountedPolicy(), tmp_path / "features"
    place = folder / trunk_key(model)
    place.mkdir(parents=True)
    for number, episode in enumerate(shards.episodes):
        rows = np.full((episode.n_frames, model.packed_width), number + 0.5, np.float16)
        save_file({"features": rows}, old_file(place, episode, video_hash(episode.video, folder)))
    read_features = cache_features(model, shards)
    assert model.calls == 0 and [read_features(e, 3, 4)[0, 5] for e in shards.episodes] == [0.5, 1.5]


def test_losses_from_the_cache_are_those_from_pixels(shards):
    model = CountedPolicy().eval()
    model.heads = type(model.heads)(16, 8641, 121, 2.0)
    for parameter in model.heads.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    means = []
    for read_frames in (None, cache_features(model, shards)):
        memory, nats = model.start(2), []
        with torch.no_grad():
            for chunk in Lanes(shards, shards.episodes, lanes=2, frames_per_chunk=32, epochs=1,
                               read_frames=read_frames):
                output, memory = model(chunk.frames, chunk.first, memory, chunk.last_action)
                loss = action_loss(output.action, chunk.buttons_index, chunk.camera_index, chunk.action_mask,
                                   chunk.null)
                nats.append(float(loss["action"].mean))
        means.append(nats)
    assert len(means[0]) == 5 and np.std(means[0]) > 1e-3
    np.testing.assert_allclose(means[0], means[1], atol=1e-3)
