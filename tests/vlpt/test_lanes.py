"""The loader: from a recording's pixels to a chunk nothing slips; lanes in order; resumed = uninterrupted."""

import gc
import multiprocessing
import queue
import subprocess
import threading
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from support.numbered_recordings import STRIDE, action, indices, numbers, record

from data_gathering.shard import Options, main
from vlpt.data.clips import Clips
from vlpt.data.decoded_frames import DecodedFrames
from vlpt.data.lanes import Lanes, split
from vlpt.data.load_workers import SLOTS
from vlpt.data.oracle import ACTION_WORDS, name_actions
from vlpt.data.shards import Shards
from vlpt.data.word_sources import SOURCES, WordStreams
from vlpt.data.words import train_tokenizer, vocabulary
from vpt.actions import BUTTONS, MINECRAFT

LENGTHS = {"ch0-00": 70, "ch0-01": 33, "ch1-00": 50, "ch2-00": 21, "ch2-01": 9}
SPOKEN = {id_: [t for t in range(2, frames, 7) if t not in (9, 16)] for id_, frames in LENGTHS.items()}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play")
    for i, (id_, frames) in enumerate(LENGTHS.items()):
        record(folder / "3_video", id_, i, frames, SPOKEN[id_])
    main(Options(recordings=str(folder / "3_video"), labels="truth", out=str(folder / "shards")))
    return Shards(folder / "shards")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["w1"], 300, whole_words=[f"w{t}" for t in range(100)] + list(ACTION_WORDS))


def lanes_of(shards, tokenizer, **more):
    given = dict(lanes=2, frames_per_chunk=16, epochs=1)
    if tokenizer:
        given |= dict(tokenizer=tokenizer, frames_per_tick=4, silence=vocabulary(tokenizer))
    return Lanes(shards, shards.episodes, **given | more)


def streams_of(shards, tokenizer) -> WordStreams:
    return WordStreams(shards.episodes, tokenizer, 4, vocabulary(tokenizer), 1000)


def equal(chunk, other) -> bool:
    return all(torch.equal(getattr(chunk, field.name), getattr(other, field.name)) for field in fields(chunk))


@pytest.mark.parametrize("frames_per_tick, frames_per_chunk, lanes", [(4, 16, 2), (1, 10, 3), (3, 7, 1), (4, 128, 8)])
def test_frame_action_and_word_stay_aligned_from_the_recording_to_the_chunk(
        shards, tokenizer, frames_per_tick, frames_per_chunk, lanes):
    loader = lanes_of(shards, tokenizer, frames_per_tick=frames_per_tick, frames_per_chunk=frames_per_chunk,
                      lanes=lanes)
    seen, silence = [], vocabulary(tokenizer)
    for chunk in loader:
        shown = numbers(chunk.frames.numpy())
        for b, t in zip(*np.nonzero(chunk.real.numpy()), strict=True):
            e, frame = int(chunk.episode[b, t]), int(chunk.frame[b, t])
            number = e * STRIDE + frame
            assert shown[b, t] == number, "the picture is of another frame"
            assert (int(chunk.buttons_index[b, t]), int(chunk.camera_index[b, t])) == indices(number)
            assert bool(chunk.first[b, t]) == (frame == 0)
            # a word that begins 30 ms before frame w (see synthetic.record) is said at the first tick from w on
            words = {-(-w // frames_per_tick): f"w{w}" for w in SPOKEN[shards.episodes[e].id]}
            tick, on_tick = frame // frames_per_tick, frame % frames_per_tick == 0
            said = words.get(tick)
            if on_tick:
                assert int(chunk.spoken[b, t]) == (tokenizer.token_to_id(said) if said else silence)
                before = words.get(tick - 1)
                assert int(chunk.heard[b, t]) == (tokenizer.token_to_id(before) if before else silence)
            assert bool(chunk.language_mask[b, t]) == on_tick
            assert chunk.action_mask[b, t] and bool(chunk.null[b, t]) == bool(MINECRAFT.is_null(*action(number)))
            seen.append(number)
        off_tick = chunk.frame % frames_per_tick != 0
        assert (chunk.spoken[off_tick] == silence).all() and (chunk.heard[off_tick] == silence).all()
        idle = ~chunk.real
        assert not (chunk.action_mask | chunk.language_mask | chunk.null)[idle].any()
        assert not chunk.frames[idle].any()
    assert sorted(seen) == [i * STRIDE + t for i, n in enumerate(LENGTHS.values()) for t in range(n)]


def test_a_lane_plays_an_episode_in_order_and_ticks_with_the_others(shards, tokenizer):
    chunks = list(lanes_of(shards, tokenizer, epochs=3))
    names = ("episode", "frame", "first")
    episode, frame, first = (torch.cat([getattr(chunk, name) for chunk in chunks], 1).numpy() for name in names)
    for b in range(2):
        busy = int((episode[b] >= 0).sum())
        assert (episode[b, :busy] >= 0).all(), "a lane that has nothing left gets nothing more"
        starts = np.flatnonzero(first[b])
        assert (frame[b, starts] == 0).all() and (starts % 4 == 0).all()
        assert (np.diff(frame[b, :busy])[~first[b, 1:busy]] == 1).all()
        for start, stop in zip(starts, [*starts[1:], busy], strict=True):
            e = episode[b, start]
            assert (episode[b, start:stop] == e).all() and stop - start == -(-shards.episodes[e].n_frames // 4) * 4
    played = np.concatenate([episode[b][first[b]] for b in range(2)])
    assert sorted(played) == sorted([*range(5)] * 3)


@pytest.mark.parametrize("words, frames", [("true", "true"), ("shuffled", "true"), ("swapped", "swapped")])
def test_resumed_is_uninterrupted(shards, tokenizer, words, frames):
    whole, again = (lanes_of(shards, tokenizer, epochs=None, word_source=words, frame_source=frames) for _ in range(2))
    chunks = [next(whole) for _ in range(25)]
    for stop in (0, 1, 7, 19):
        again = lanes_of(shards, tokenizer, epochs=None, word_source=words, frame_source=frames)
        for _ in range(stop):
            next(again)
        resumed = lanes_of(shards, tokenizer, epochs=None, word_source=words, frame_source=frames)
        resumed.load_state_dict(again.state_dict())
        assert all(equal(next(resumed), chunk) for chunk in chunks[stop:])
    with pytest.raises(ValueError, match=r"other data or options \(frames_per_chunk=16 then, 20 now\)"):
        lanes_of(shards, tokenizer, frames_per_chunk=20).load_state_dict(whole.state_dict())


@pytest.mark.parametrize("workers", [1, 2])
def test_chunks_are_the_same_from_any_number_of_workers(shards, tokenizer, workers):
    """Also going on from where a loader stands, whatever its workers have read ahead; and nobody is left behind."""
    how = dict(lanes=3, epochs=2, start_offsets=True, word_source="shuffled", drop_last_action=0.5)
    chunks, ahead = list(lanes_of(shards, tokenizer, **how)), lanes_of(shards, tokenizer, **how, workers=workers)
    shards.read_frames(shards.episodes[0], 0, 1)  # this process has the file open
    for chunk in chunks[:4]:
        assert equal(next(ahead), chunk)
    assert len(multiprocessing.active_children()) == workers
    position = ahead.state_dict()
    for chunk, same in zip(ahead, chunks[4:], strict=True):
        assert equal(chunk, same)
    ahead.load_state_dict(position)
    assert all(equal(next(ahead), chunk) for chunk in chunks[4:8])
    del ahead
    gc.collect()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_pictures_that_are_kept_are_not_written_over(shards, workers):
    """Workers write where nobody reads any more, though only a part of a chunk, or one of many, is kept."""
    how = dict(lanes=3, epochs=3)
    chunks, views = list(lanes_of(shards, None, **how)), []
    for chunk, same in zip(lanes_of(shards, None, **how, workers=workers), chunks, strict=True):
        views.append((chunk.frames[1:, 3].detach(), same.frames[1:, 3]))
    assert len(views) > 2 * SLOTS and all(torch.equal(*both) for both in views)
    assert all(map(equal, list(lanes_of(shards, None, **how, workers=workers)), chunks))


def test_a_worker_says_what_is_wrong_in_one_line_and_leaves_signals_to_the_trainer(shards, tokenizer):
    def broken(episode, start, stop):
        if start > 30:
            raise ValueError(f"{episode.id} cannot be read")
        return np.zeros((stop - start, 1), np.float32)

    loader = lanes_of(shards, None, read_frames=broken, shuffle=False, workers=2)
    next(loader)
    workers = multiprocessing.active_children()
    for name in ("INT", "TERM"):  # as a cluster's scheduler does, to all
        subprocess.run(["kill", f"-{name}", *(str(worker.pid) for worker in workers)], check=True)
    next(loader)
    with pytest.raises(ValueError, match="^ch0-0[01] cannot be read$"):
        next(loader)

    waiting = lanes_of(shards, tokenizer, epochs=None, workers=2)
    next(waiting)
    for worker in multiprocessing.active_children():  # as at the end of a program
        worker.terminate()
        worker.join(20)
        assert not worker.is_alive()


def test_one_chunk_is_read_ahead_and_the_thread_that_reads_it_ends_with_the_lanes(shards):
    read = queue.Queue()

    def told(episode, start, stop):
        if start >= 48:
            raise ValueError(f"{episode.id} cannot be read")
        read.put(start)
        return np.zeros((stop - start, 1), np.float32)

    loader = lanes_of(shards, None, lanes=1, read_frames=told, shuffle=False)
    assert read.get() == 0, "the shape of a picture"
    for start in (0, 16, 32):
        next(loader)
        if start < 32:
            assert [read.get(timeout=20) for _ in range(1 if start else 2)][-1] == start + 16
        with pytest.raises(queue.Empty):
            read.get(timeout=0.05)
    with pytest.raises(ValueError, match="^ch0-00 cannot be read$"):
        next(loader)

    loader = lanes_of(shards, None, epochs=None)
    next(loader)
    assert [thread for thread in threading.enumerate() if "read ahead" in thread.name]
    del loader
    assert not [thread for thread in threading.enumerate() if "read ahead" in thread.name]


def test_workers_may_be_forked_while_a_thread_reads(shards, tokenizer):
    """A thread that is not there after a fork may hold the lock of what is kept decoded."""
    chunk, loader = next(lanes_of(shards, tokenizer)), lanes_of(shards, tokenizer, workers=1)
    with shards.cache.own_lock():
        assert equal(next(loader), chunk)


def test_workers_end_with_the_lanes_without_waiting_to_be_collected(shards):
    """Lanes left to be collected would be so in the workers of the next ones, too, where their loader complains."""
    gc.collect()
    gc.disable()
    try:
        lanes = lanes_of(shards, None, epochs=None, workers=2)
        next(lanes)
        assert len(multiprocessing.active_children()) == 2
        del lanes
        assert not multiprocessing.active_children()
    finally:
        gc.enable()


def test_epochs_differ_and_seeds_differ(shards, tokenizer):
    def order(**more):
        chunks = list(lanes_of(shards, tokenizer, lanes=1, **more))
        episode, first = torch.cat([c.episode for c in chunks], 1), torch.cat([c.first for c in chunks], 1)
        return episode[first].tolist()

    played = order(epochs=6)
    assert len({tuple(played[i: i + 5]) for i in range(0, 30, 5)}) > 1
    assert order(epochs=6) == played != order(epochs=6, seed=1)
    assert order(shuffle=False, epochs=2) == [*range(5)] * 2


def test_sources_of_words(shards, tokenizer):
    streams = streams_of(shards, tokenizer)
    partners = [streams.partner(i) for i in range(5)]
    assert sorted(partners) == list(range(5)) and all(p != i for i, p in enumerate(partners))
    assert len({tuple(streams.partner(i, draw) for i in range(5)) for draw in range(20)}) > 5
    for i in range(5):
        ticks = -(-shards.episodes[i].n_frames // 4)
        for source in SOURCES:
            assert streams.tokens(i, source, epoch=2)[0].shape == streams.tokens(i, source)[1].shape == (ticks,)
        assert (streams.tokens(i, "silence")[0] == streams.silence).all()
        other = streams.tokens(partners[i])[0]
        assert (streams.tokens(i, "swapped")[0] == np.tile(other, 9)[:ticks]).all()
    with pytest.raises(ValueError, match="words come from one of"):
        streams.tokens(0, "loud")
    with pytest.raises(ValueError, match="at least two"):
        WordStreams(shards.episodes[:1], tokenizer, 4, vocabulary(tokenizer), 1000).tokens(0, "swapped")


@pytest.mark.parametrize("count_frames", ["all", "non-null"])
def test_which_frames_count_never_depends_on_words_or_pictures(shards, tokenizer, count_frames):
    """Neither on what is said, nor on how often, nor on whether there are words at all."""
    true = list(lanes_of(shards, tokenizer, count_frames=count_frames))
    mute = replace(shards.episodes[0], words=[])
    spoken = [word for episode in shards.episodes for word in episode.words]
    talkative = [replace(episode, words=sorted(spoken, key=lambda word: word.start_ms)) for episode in shards.episodes]
    others = [dict(word_source=source) for source in SOURCES] + [dict(drop_words=1.0), dict(frame_source="swapped")]
    loaders = [lanes_of(shards, tokenizer, count_frames=count_frames, **more) for more in others]
    told = dict(lanes=2, frames_per_chunk=16, epochs=1, tokenizer=tokenizer, silence=5000, count_frames=count_frames)
    for episodes in ([mute, *shards.episodes[1:]], talkative):
        loaders.append(Lanes(shards, episodes, frames_per_tick=4, **told))
    loaders.append(lanes_of(shards, None, frames_per_tick=4, count_frames=count_frames))
    for loader in loaders:
        for chunk, same in zip(loader, true, strict=True):
            for name in ("action_mask", "null", "buttons_index", "first", "real"):
                assert torch.equal(getattr(chunk, name), getattr(same, name))
    counted, null, real = (torch.cat([getattr(c, name) for c in true], 1) for name in ("action_mask", "null", "real"))
    assert torch.equal(counted, real if count_frames == "all" else real & ~null) and 10 < null.sum() < real.sum() // 4


def test_swapped_pictures_are_the_partners(shards, tokenizer):
    """And nothing else is: paired differences need the same frames in both conditions."""
    streams, true = streams_of(shards, tokenizer), list(lanes_of(shards, tokenizer))
    for chunk, same in zip(lanes_of(shards, tokenizer, frame_source="swapped"), true, strict=True):
        for name in ("action_mask", "buttons_index", "heard", "spoken", "first", "language_mask"):
            assert torch.equal(getattr(chunk, name), getattr(same, name))
        shown = numbers(chunk.frames.numpy())
        for b, t in zip(*np.nonzero(chunk.real.numpy()), strict=True):
            other = streams.partner(int(chunk.episode[b, t]))
            assert shown[b, t] == other * STRIDE + int(chunk.frame[b, t]) % shards.episodes[other].n_frames


@pytest.mark.parametrize("frame_source", ["true", "swapped"])
def test_the_last_action_is_that_of_the_frame_before_in_the_pictures(shards, tokenizer, frame_source):
    """Whatever is shown, its number says what was pressed before: nothing at its episode's first frame."""
    nothing = (0, MINECRAFT.null_camera_index)
    begun = 0
    for chunk in lanes_of(shards, tokenizer, frame_source=frame_source, frames_per_chunk=12):
        shown = numbers(chunk.frames.numpy())
        for b, t in zip(*np.nonzero(chunk.real.numpy()), strict=True):
            number = int(shown[b, t])
            expected = indices(number - 1) if number % STRIDE else nothing
            assert (int(chunk.last_buttons[b, t]), int(chunk.last_camera[b, t])) == expected
            begun += number % STRIDE == 0
        assert (chunk.last_buttons[~chunk.real] == nothing[0]).all()
        assert (chunk.last_camera[~chunk.real] == nothing[1]).all()
    assert begun >= len(LENGTHS)


def test_the_oracle_names_at_each_tick_what_that_tick_does(shards, tokenizer):
    for chunk in lanes_of(shards, tokenizer, word_source="oracle", lanes=1):
        for t in np.flatnonzero((chunk.real[0] & (chunk.frame[0] % 4 == 0)).numpy()):
            episode, frame = shards.episodes[int(chunk.episode[0, t])], int(chunk.frame[0, t])
            heard = tokenizer.id_to_token(int(chunk.heard[0, t]))
            if frame == 0:
                assert heard is None
                continue
            done = slice(frame, frame + 4)
            expected = name_actions(episode.buttons_index[done], episode.camera_index[done], 4)
            assert heard == ACTION_WORDS[expected[0]]


def test_action_words_by_hand():
    def name(camera_deg, *pressed):
        buttons = np.array([[b in pressed for b in BUTTONS]] * 4)
        index = MINECRAFT.encode(buttons, np.tile(np.array(camera_deg, float), (4, 1)))
        return ACTION_WORDS[name_actions(*index, 4)[0]]

    assert name((0, 0)) == "empty-stand" and name((0, 5), "attack", "forward") == "attack-forward-right"
    assert name((5, 0), "use") == "use-stand-down" and name((-5, -5), "jump", "forward") == "empty-jump-left-up"
    assert name((0, 0), "left") == "empty-step" and len(set(ACTION_WORDS)) == 108
    with pytest.raises(ValueError, match="whole_words=ACTION_WORDS"):
        WordStreams([], train_tokenizer(["a"], 300), 4, 300, 9)._oracle(0)


def test_late_stretches_are_masked_and_reported(shards, tokenizer):
    loader = lanes_of(shards, tokenizer, frames_per_tick=12, max_lateness_ms=500)
    masked = spoken = 0
    for chunk in loader:
        at = chunk.real & (chunk.frame % 12 == 0)
        masked += int((at & ~chunk.language_mask).sum())
        spoken += int((at & (chunk.spoken != loader.silence)).sum())
    report = loader.streams.report()
    assert masked == sum(row["late_tokens"] for row in report) > 0
    assert spoken == sum(row["tokens"] for row in report) and sum(row["overflow"] for row in report) > 0
    assert all(row["tokens"] + row["overflow"] == row["words"] for row in report)
    assert max(row["lateness_ms_max"] for row in report) > 500


def test_without_a_tokenizer_nothing_is_heard_and_nothing_filled_up(shards):
    frames = 0
    for chunk in lanes_of(shards, None):
        assert not (chunk.heard.any() or chunk.spoken.any() or chunk.language_mask.any())
        assert torch.equal(chunk.real, chunk.episode >= 0)
        frames += int(chunk.real.sum())
    assert frames == sum(LENGTHS.values())


def test_silence_and_the_tick_are_the_models(shards, tokenizer):
    """A table may be larger than its tokenizer: silence lies beyond the table, and no default stands in for it."""
    loader = lanes_of(shards, tokenizer, silence=5000)
    chunks, plain = list(loader), list(lanes_of(shards, tokenizer))
    assert loader.silence == 5000 and max(int(chunk.heard.max()) for chunk in chunks) == 5000
    for chunk, same in zip(chunks, plain, strict=True):
        for name in ("heard", "spoken"):
            assert torch.equal(getattr(chunk, name) == 5000, getattr(same, name) == vocabulary(tokenizer))
    with pytest.raises(ValueError, match="do not belong together"):
        lanes_of(shards, tokenizer, silence=vocabulary(tokenizer) - 1)
    for missing in ("silence", "frames_per_tick"):
        with pytest.raises(ValueError, match="words need frames_per_tick and silence: take the language model's"):
            lanes_of(shards, tokenizer, **{missing: None})


def test_features_may_take_the_place_of_pictures(shards, tokenizer):
    def numbered_rows(episode, start, stop):
        return np.array([[float(episode.id[2]), t] for t in range(start, stop)], np.float32).reshape(-1, 2)

    for chunk in lanes_of(shards, tokenizer, read_frames=numbered_rows):
        assert chunk.frames.dtype == torch.float32
        assert torch.equal(chunk.frames[..., 1][chunk.real], chunk.frame[chunk.real].float())


def test_splits_are_disjoint(shards):
    train, held_out = split(shards.episodes, ["ch1"])
    assert {e.channel for e in train} == {"ch0", "ch2"} and [e.id for e in held_out] == ["ch1-00"]
    with pytest.raises(ValueError, match="no channel ch9: there are ch0, ch1, ch2"):
        split(shards.episodes, ["ch9"])
    with pytest.raises(ValueError, match="every channel is held out"):
        split(shards.episodes, ["ch0", "ch1", "ch2"])
    with pytest.raises(ValueError, match="ch0-00 is in a held-out channel and in another one"):
        split([*shards.episodes, replace(train[0], channel="ch1")], ["ch1"])


def test_dropped_episodes_hear_nothing_and_the_rest_is_as_it_was(shards, tokenizer):
    def chunks(**more):
        lanes = lanes_of(shards, tokenizer, lanes=3, frames_per_chunk=40, seed=4, epochs=6, **more)
        return list(lanes), lanes.silence

    (plain, silence), (dropped, _) = chunks(), chunks(drop_words=0.4)
    deaf = hearing = 0
    for one, other in zip(plain, dropped, strict=True):
        same = other.heard == one.heard
        assert torch.equal(one.spoken, other.spoken) and torch.equal(one.buttons_index, other.buttons_index)
        assert (other.heard[~same] == silence).all() and not other.language_mask[~same].any()
        deaf, hearing = deaf + int((~same).sum()), hearing + int((same & (one.heard != silence)).sum())
    assert 0.15 < deaf / (deaf + hearing) < 0.7
    assert all(torch.equal(a.heard, b.heard) for a, b in zip(dropped, chunks(drop_words=0.4)[0], strict=True))


def test_clips_hold_what_was_pressed_in_their_frames(shards):
    clips = Clips(shards, shards.episodes, n_clips=4, frames_per_clip=32)
    assert clips.left_out == ["ch2-00", "ch2-01"]
    starts, centres = set(), MINECRAFT.camera_deg_of_bins(np.arange(11))
    for _ in range(30):
        clip = next(clips)
        shown = numbers(clip.frames.numpy())
        for b in range(4):
            first = int(shown[b, 0])
            assert shown[b].tolist() == list(range(first, first + 32))
            assert first == int(clip.episode[b]) * STRIDE + int(clip.start[b])
            for t in (0, 13, 31):
                buttons, camera_deg = action(first + t)
                assert clip.buttons[b, t].tolist() == buttons.tolist()
                np.testing.assert_allclose(clip.camera_shares[b, t].numpy() @ centres, camera_deg, atol=1e-5)
            starts.add(first)
    assert len(starts) > 30 and {start // STRIDE for start in starts} == {0, 1, 2}


def test_resident_pictures_are_the_shards_own(shards):
    resident = DecodedFrames(shards, shards.episodes, processes=2)
    for episode in shards.episodes:
        shown = resident.read_frames(episode, 1, episode.n_frames)
        np.testing.assert_array_equal(shown.numpy(), shards.read_frames(episode, 1))
    plain, fed = (Clips(shards, shards.episodes, n_clips=3, frames_per_clip=20, read_frames=frames)
                  for frames in (None, resident.read_frames))
    assert torch.equal(next(plain).frames, next(fed).frames)


def test_clips_resume_and_refuse(shards):
    whole, again = (Clips(shards, shards.episodes, n_clips=2, frames_per_clip=20, seed=3) for _ in range(2))
    expected = [next(whole) for _ in range(6)]
    next(again), next(again)
    resumed = Clips(shards, shards.episodes, n_clips=2, frames_per_clip=20, seed=3)
    resumed.load_state_dict(again.state_dict())
    for clip in expected[2:]:
        assert torch.equal(next(resumed).frames, clip.frames)
    with pytest.raises(ValueError, match="belongs to other data"):
        Clips(shards, shards.episodes, n_clips=2, frames_per_clip=21, seed=3).load_state_dict(again.state_dict())
    with pytest.raises(ValueError, match="no episode has 500 frames"):
        Clips(shards, shards.episodes, n_clips=2, frames_per_clip=500)
    with pytest.raises(ValueError, match="ch0-00 is not known"):
        Clips(shards, [replace(shards.episodes[0], true_buttons=None)], n_clips=1)


def test_wrong_options(shards, tokenizer):
    for name, wrong in (("word_source", "loud"), ("frame_source", "none"), ("count_frames", "some")):
        with pytest.raises(ValueError, match=f"{name} is one of .*, got '{wrong}'"):
            lanes_of(shards, tokenizer, **{name: wrong})
    with pytest.raises(ValueError, match="no episodes"):
        Lanes(shards, [], lanes=1, frames_per_chunk=4)
