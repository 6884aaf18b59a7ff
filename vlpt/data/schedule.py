"""Which lane plays which frames of which episode, chunk after chunk: the position of a loader, and nothing else.

In: the lengths of episodes, the number of lanes of all processes together. Out: for each chunk, the pieces of episodes
that some of these lanes play. Lengths are all that it takes, so every process follows all lanes and fills in only its
own: one small dict is the position of all of them, and depends on (seed, lanes, step) alone.

    schedule = Schedule([6000, 1200, 84_000], lanes=512, seed=0)
    pieces = schedule.next(128, range(8, 16))       # of the lanes 8..15: a list of `Piece` each

A lane that is through with its episode takes the next one of the epoch; what waits, begun by lanes that are no more,
goes before. Going on with another number of lanes, every lane begins anew (`Piece.begins`) in the middle of what was
being played, so that no frame of the epoch comes twice or never.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NOTHING = -1  # instead of an episode's number: nothing is left, or nothing has begun
EPISODE, FRAME, EPOCH, START, STOP = range(5)  # columns of `Schedule.lanes`
OFFSETS = 2  # what the draw of an offset is told from others by, see `Fill._draws`


class Piece(NamedTuple):
    """Frames start..stop-1 of an episode, by its number; begins: memory must be forgotten before the first of them."""

    episode: int
    start: int
    stop: int
    epoch: int
    begins: bool


class Schedule:
    """What all lanes play.

    lengths: frames of each episode, filled up to whole ticks. epochs None: endless; shuffle False: in the given order.
    tick: frames of one; a lane enters an episode only there. start_offsets: the first episode of a lane that has
    played nothing is entered at a random frame, and what comes before that waits.
    """

    def __init__(self, lengths: Sequence[int], lanes: int, *, seed: int = 0, epochs: int | None = None,
                 shuffle: bool = True, tick: int = 1, start_offsets: bool = False):
        self.lengths, self.seed, self.epochs, self.shuffle = np.asarray(lengths, np.int64), seed, epochs, shuffle
        self.tick, self.start_offsets, self.handed_out = tick, start_offsets, 0
        self.lanes = unused(lanes)
        self.waiting: deque[tuple[int, int, int, int]] = deque()  # episode, frame, epoch, stop
        self._order = (-1, np.empty(0, np.int64))  # of the latest epoch asked for

    def next(self, frames: int, own: range = range(0)) -> list[list[Piece]] | None:
        """All lanes move on by so many frames; what the lanes `own` play in them. None where nothing is left."""
        for lane in np.flatnonzero(self.lanes[:, EPISODE] == NOTHING):
            self._take(lane)
        if (self.lanes[:, EPISODE] == NOTHING).all():
            return None
        pieces: list[list[Piece]] = [[] for _ in own]
        changes = self.lanes[:, FRAME] + frames >= self.lanes[:, STOP]
        for row, lane in zip(pieces, own, strict=True):
            if not changes[lane]:
                row.append(self._piece(lane, frames))
        self.lanes[~changes, FRAME] += frames
        for lane in np.flatnonzero(changes):  # in this order: they take from one list
            played = self._play_through(lane, frames)
            if lane in own:
                pieces[lane - own.start] = played
        return pieces

    def _play_through(self, lane: int, frames: int) -> list[Piece]:
        """Of a lane that comes to an end within so many frames, or at their end."""
        played = []
        while frames and self.lanes[lane, EPISODE] != NOTHING:
            played.append(self._piece(lane, frames))
            frames -= played[-1].stop - played[-1].start
            self.lanes[lane, FRAME] = played[-1].stop
            if played[-1].stop == self.lanes[lane, STOP]:
                self._take(lane)
        return played

    def _piece(self, lane: int, frames: int) -> Piece:
        episode, frame, epoch, start, stop = self.lanes[lane].tolist()
        return Piece(episode, frame, min(frame + frames, stop), epoch, frame == start)

    def _take(self, lane: int) -> None:
        """Give a lane what waits, or else the next episode, while there is one."""
        new = self.start_offsets and not self.lanes[lane, STOP] and not self._is_over
        if self.waiting and not new:
            episode, frame, epoch, stop = self.waiting.popleft()
        elif self._is_over:
            self.lanes[lane, EPISODE] = NOTHING
            return
        else:
            epoch, place = divmod(self.handed_out, len(self.lengths))
            episode, self.handed_out = int(self._order_of(epoch)[place]), self.handed_out + 1
            frame, stop = self._offset(episode, epoch) if new else 0, int(self.lengths[episode])
            if frame:
                self.waiting.append((episode, 0, epoch, frame))
        self.lanes[lane] = episode, frame, epoch, frame, stop

    @property
    def _is_over(self) -> bool:
        """No episode is left that nobody has begun."""
        return self.epochs is not None and self.handed_out >= self.epochs * len(self.lengths)

    def _order_of(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            order = np.arange(len(self.lengths))
            if self.shuffle:
                order = np.random.default_rng((self.seed, epoch)).permutation(len(self.lengths))
            self._order = epoch, order
        return self._order[1]

    def _offset(self, episode: int, epoch: int) -> int:
        """A tick of the episode, each equally likely."""
        random = np.random.default_rng((self.seed, epoch, episode, OFFSETS))
        return int(random.integers(self.lengths[episode] // self.tick)) * self.tick

    def state_dict(self) -> dict:
        """The position, as plain numbers."""
        return {"handed_out": self.handed_out, "lanes": self.lanes.tolist(), "waiting": [list(p) for p in self.waiting]}

    def load_state_dict(self, state: dict, as_before: bool = True) -> None:
        """Continue from a position; as_before: every lane goes on as it was, and else all begin anew.

        Raises ValueError where they cannot, as they stand between two ticks.
        """
        lanes = [self._whole_row(row) for row in state["lanes"]]
        waiting = deque(tuple(piece) for piece in state.get("waiting", ()))
        if as_before:
            assert len(lanes) == len(self.lanes), f"{len(lanes)} lanes in the position of {len(self.lanes)}"
            self.lanes = np.array(lanes)
        else:
            self.lanes = self._dealt(lanes, waiting)
        self.handed_out, self.waiting = state["handed_out"], waiting

    def _whole_row(self, row: list[int]) -> list[int]:
        """Of a lane; positions of before lanes could be cut say of it: episode, frame, epoch."""
        whole = int(self.lengths[row[EPISODE]]) if row[EPISODE] != NOTHING else row[FRAME]
        return row if len(row) > 3 else [*row, 0, whole]

    def _dealt(self, lanes: list[list[int]], waiting: deque) -> np.ndarray:
        """What other lanes were playing, as ours; what is too much waits, before the rest."""
        begun = [(episode, frame, epoch, stop) for episode, frame, epoch, _, stop in lanes if episode != NOTHING]
        if any(frame % self.tick for _, frame, _, _ in begun):
            raise ValueError(f"the saved position lies between two ticks of {self.tick} frames, so that other than its "
                             f"{len(lanes)} lanes cannot go on from it: use as many processes and --lanes as before")
        ours = unused(len(self.lanes))
        for lane, (episode, frame, epoch, stop) in zip(ours, begun, strict=False):
            lane[:] = episode, frame, epoch, frame, stop
        waiting.extendleft(reversed(begun[len(ours):]))
        return ours


def unused(lanes: int) -> np.ndarray:
    """So many that have played nothing yet."""
    return np.tile(np.array([NOTHING, 0, 0, 0, 0]), (lanes, 1))
