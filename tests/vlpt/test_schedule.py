"""Who plays what: every frame of an epoch once, whatever the number of processes, also where it changes in mid-epoch;
the processes together give what one would; lanes that begin elsewhere lose nothing.
"""

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from support.simulated_episodes import numbered, simulated

from vlpt.data.clips import Clips
from vlpt.data.lanes import Chunk, Lanes
from vlpt.data.schedule import Schedule
from vlpt.data.text import TextLanes

LENGTHS = np.random.default_rng(1).integers(10, 120, 600) * 4  # frames, of whole ticks
CHUNK = 64


class Played:
    """How often each frame of each episode was played, in each epoch."""

    def __init__(self, lengths, epochs: int = 1) -> None:
        self.begin = np.append(0, np.cumsum(lengths))
        self.times = np.zeros((epochs, self.begin[-1]), int)

    def add(self, pieces) -> None:
        for piece in (piece for lane in pieces for piece in lane):
            begin = self.begin[piece.episode]
            assert piece.stop <= self.begin[piece.episode + 1] - begin
            self.times[piece.epoch, begin + piece.start: begin + piece.stop] += 1


def simulated_ranks(world: int, lanes: int, state: dict | None = None, **how) -> list[Schedule]:
    """A schedule for each of so many processes, each of which only knows its own."""
    ranks = [Schedule(LENGTHS, lanes * world, seed=5, tick=4, **how) for _ in range(world)]
    for schedule in ranks if state else ():
        schedule.load_state_dict(json.loads(json.dumps(state)), as_before=len(state["lanes"]) == lanes * world)
    return ranks


def step(ranks: list[Schedule], lanes: int) -> list | None:
    """The pieces of each process's lanes in the next chunk; None where all are through."""
    found = [schedule.next(CHUNK, range(r * lanes, (r + 1) * lanes)) for r, schedule in enumerate(ranks)]
    assert len({one is None for one in found}) == 1, "all stop at the same chunk"
    return None if found[0] is None else found


@pytest.mark.parametrize("start_offsets", [False, True])
def test_64_processes_share_an_epoch_evenly_and_48_go_on_from_its_middle(start_offsets):
    """Each process knows only its own lanes; nothing is played twice or never, before and after the change."""
    lanes, how = 2, dict(epochs=1, start_offsets=start_offsets)
    ranks, frames, seen = simulated_ranks(64, lanes, **how), np.zeros(64, int), Played(LENGTHS)
    for _ in range(9):
        for rank, pieces in enumerate(step(ranks, lanes)):
            frames[rank] += sum(p.stop - p.start for lane in pieces for p in lane)
            seen.add(pieces)
    assert (frames == 9 * lanes * CHUNK).all() and seen.times.max() == 1
    assert all(schedule.state_dict() == ranks[0].state_dict() for schedule in ranks)

    fewer, begun = simulated_ranks(48, lanes, ranks[0].state_dict(), **how), True
    while (found := step(fewer, lanes)) is not None:
        if begun:
            assert all(lane[0].begins for pieces in found for lane in pieces), "their memory is fresh"
        begun = False
        for pieces in found:
            seen.add(pieces)
    assert (seen.times == 1).all()


def test_lanes_that_begin_elsewhere_do_not_march_in_step_and_play_the_beginnings_later():
    """Of episodes of one length all lanes would otherwise change at the same chunk, for ever."""
    counts = {}
    for offsets in (False, True):
        schedule = Schedule([400] * 96, 32, seed=2, epochs=1, tick=4, start_offsets=offsets)
        begins, seen, first = [], Played([400] * 96), None
        while (pieces := schedule.next(40, range(32))) is not None:
            first = first or pieces
            begins.append(sum(p.begins for lane in pieces for p in lane))
            seen.add(pieces)
        counts[offsets] = begins
        assert (seen.times == 1).all()
        starts = [lane[0].start for lane in first]
        assert all(start % 4 == 0 for start in starts) and (len(set(starts)) > 20) == offsets
    assert counts[False][10] == 32 and not any(counts[False][11:20])
    assert max(counts[True][1:25]) < 16 and np.count_nonzero(counts[True][1:25]) > 15


def test_more_and_fewer_lanes_again_and_again():
    seen, state = Played(LENGTHS[:60], epochs=2), None
    for lanes in (3, 8, 2, 5, 1, 4):
        schedule = Schedule(LENGTHS[:60], lanes, seed=5, tick=4, epochs=2)
        if state:
            schedule.load_state_dict(state, as_before=False)
        for _ in range(9):
            seen.add(schedule.next(100, range(lanes)))
        state = schedule.state_dict()
    while (pieces := schedule.next(100, range(4))) is not None:
        seen.add(pieces)
    assert (seen.times == 1).all()


@pytest.fixture(scope="module")
def episodes():
    return [simulated(number, int(n)) for number, n in enumerate((70, 33, 50, 21, 9, 64, 48))]


def lanes_of(episodes, **how) -> Lanes:
    return Lanes(None, episodes, **dict(lanes=2, frames_per_chunk=16, read_frames=numbered, seed=3) | how)


def equal(chunk: Chunk, others: list[Chunk]) -> bool:
    """Whether a chunk is that of several processes, one below the other."""
    return all(torch.equal(getattr(chunk, f.name), torch.cat([getattr(other, f.name) for other in others]))
               for f in fields(Chunk))


@pytest.mark.parametrize("start_offsets", [False, True])
def test_processes_together_give_what_one_would(episodes, start_offsets):
    alone = lanes_of(episodes, lanes=6, epochs=2, start_offsets=start_offsets)
    ranks = [lanes_of(episodes, epochs=2, start_offsets=start_offsets, rank=r, world_size=3) for r in range(3)]
    count = 0
    for chunk, *others in zip(alone, *ranks, strict=True):
        assert equal(chunk, others)
        count += 1
    assert count > 5
    positions = [{k: v for k, v in lanes.state_dict().items() if k != "world_size"} for lanes in (alone, *ranks)]
    assert all(position == positions[0] for position in positions)


def test_going_on_with_other_processes_says_where_memory_is_to_be_forgotten(episodes):
    """In the middle of an episode, and the last action is the one that was done there."""
    before = lanes_of(episodes)
    for _ in range(2):
        next(before)
    after = [lanes_of(episodes, lanes=1, rank=r, world_size=3) for r in range(3)]
    assert [lanes.load_state_dict(before.state_dict()) for lanes in after] == [False] * 3
    chunks = [next(lanes) for lanes in after]
    assert all(chunk.first[0, 0] for chunk in chunks) and [int(chunk.frame[0, 0]) for chunk in chunks] == [32, 32, 0]
    shown = episodes[int(chunks[0].episode[0, 0])]
    assert int(chunks[0].last_buttons[0, 0]) == shown.buttons_index[31]


def test_a_position_between_two_ticks_cannot_be_dealt_anew(episodes):
    lanes = lanes_of(episodes, frames_per_chunk=10, frames_per_tick=4)
    next(lanes)
    with pytest.raises(ValueError, match="between two ticks of 4 frames.*2 lanes cannot go on"):
        lanes_of(episodes, lanes=3, frames_per_chunk=10, frames_per_tick=4).load_state_dict(lanes.state_dict())


def test_positions_that_were_written_before_there_were_processes_are_read(episodes):
    whole = lanes_of(episodes)
    for _ in range(3):
        next(whole)
    state = whole.state_dict()
    old = {"handed_out": state["handed_out"], "lanes": [lane[:3] for lane in state["lanes"]],
           "of": {**state["of"], "episodes": [episode.id for episode in episodes]}}  # fmt: skip
    again = lanes_of(episodes)
    assert again.load_state_dict(old)
    assert all(equal(next(whole), [next(again)]) for _ in range(20))
    old["of"]["episodes"][0] = "another"
    with pytest.raises(ValueError, match=r"other data or options \(episodes="):
        lanes_of(episodes).load_state_dict(old)


def test_clips_and_text_of_processes_are_those_of_one(episodes):
    alone = Clips(None, episodes, n_clips=6, frames_per_clip=20, read_frames=numbered)
    ranks = [Clips(None, episodes, n_clips=2, frames_per_clip=20, read_frames=numbered, rank=r, world_size=3)
             for r in range(3)]  # fmt: skip
    for _ in range(3):
        clip, parts = next(alone), [next(clips) for clips in ranks]
        for name in ("frames", "buttons", "episode", "start"):
            assert torch.equal(getattr(clip, name), torch.cat([getattr(part, name) for part in parts]))
    ids = torch.arange(1000)
    alone, ranks = TextLanes(ids, 6, 10), [TextLanes(ids, 2, 10, rank=r, world_size=3) for r in range(3)]
    for _ in range(20):
        for whole, *parts in zip(alone.next(), *(lanes.next() for lanes in ranks), strict=True):
            assert torch.equal(whole, torch.cat(parts))
