"""What is in a piece of an episode: its pictures, actions and words, written into the rows of a chunk.

In: episodes, what reads their pictures, their words, and which condition of an experiment they are read under; pieces,
as vlpt/data/schedule.py plans them. Out: the fields of vlpt/data/chunk.py. It holds no position: the same pieces give
the same rows, in whatever process.

    fill = Fill(episodes, shards.read_frames, seed=0)
    rows = fill([[Piece(episode=3, start=0, stop=128, epoch=0, begins=True)]], 128)      # one lane, 128 frames
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlpt.data.chunk import NULL_BUTTONS, NULL_CAMERA, nothing_happens
from vlpt.data.destination import FRAMES as WALK_FRAMES
from vlpt.data.destination import destination
from vlpt.data.meant import meant
from vlpt.data.schedule import Piece
from vlpt.data.shards import Episode
from vlpt.data.soon import FRAMES as SOON_FRAMES
from vlpt.data.soon import soon
from vlpt.data.word_sources import WordStreams, partner

WORDS = ("heard", "spoken", "language_mask")
SHOWN = ("frames", "last_buttons", "last_camera")  # of the episode whose pictures are shown
ReadFrames = Callable[[Episode, int, int], np.ndarray]  # (episode, start, stop) -> (stop - start, ...)


@dataclass(frozen=True)
class Fill:
    """See the top of the file, and `Lanes`, for what is asked."""

    episodes: Sequence[Episode]
    read_frames: ReadFrames
    streams: WordStreams | None = None
    word_source: str = "true"
    frame_source: str = "true"
    count_frames: str = "all"
    drop_words: float = 0.0
    drop_last_action: float = 0.0
    tell_destination: float = 0.0
    seed: int = 0

    def __call__(self, pieces: Sequence[Sequence[Piece]], frames: int, pictures: np.ndarray | None = None) -> dict:
        """The pieces of each lane, B in all, and T frames -> the fields of a chunk.

        pictures: (B, T, ...), where those are to be written; None: to new memory.
        """
        silence = self.streams.silence if self.streams else 0
        rows = nothing_happens(len(pieces), frames, silence)
        if pictures is None:
            pictures = np.empty((len(pieces), frames, *self.picture.shape), self.picture.dtype)
        rows["frames"] = pictures
        for b, lane in enumerate(pieces):
            t = 0
            for piece in lane:
                here = slice(t, t + piece.stop - piece.start)
                self._play(piece, {name: row[b, here] for name, row in rows.items()})
                t = here.stop
            pictures[b, t:] = 0
        return rows

    @cached_property
    def picture(self) -> np.ndarray:
        """The first one: of its shape and kind are all."""
        return np.array(self.read_frames(self.episodes[0], 0, 1)[0])

    def _play(self, piece: Piece, row: dict[str, np.ndarray]) -> None:
        """Fill the rows, as long as the piece."""
        episode, start = self.episodes[piece.episode], piece.start
        seen = max(0, min(piece.stop, episode.n_frames) - start)
        frame = np.arange(start, piece.stop)
        row["episode"][:], row["frame"][:], row["first"][0] = piece.episode, frame, piece.begins
        here, recorded = slice(0, seen), slice(start, start + seen)
        row["real"][here] = True
        row["frames"][0 if self.frame_source == "blank" else seen:] = 0
        if self.frame_source != "blank":
            self._show(piece.episode, start, {name: row[name][here] for name in SHOWN})
        if self.frame_source == "blank" or self._draws(self.drop_last_action, piece, 1, start):
            row["last_buttons"][here] = row["last_camera"][here] = -1
        buttons, camera = episode.buttons_index, episode.camera_index
        row["buttons_index"][here], row["camera_index"][here] = buttons[recorded], camera[recorded]
        row["null"][here] = episode.null[recorded]
        # Where nothing seems to be pressed because a picture only repeats, no label is known: see Episode.confidence.
        row["action_mask"][here] = episode.confidence[recorded] > 0
        if self.count_frames == "non-null":
            row["action_mask"] &= ~row["null"]
        if self.streams:  # nobody else reads it
            ahead = slice(start, start + seen + SOON_FRAMES)
            row["soon"][here] = soon(buttons[ahead], camera[ahead])[:seen]
            row["meant"][here] = meant(episode, start, start + seen)
            if self._draws(self.tell_destination, piece, 2, start):
                ahead = slice(start, start + seen + WALK_FRAMES)
                row["told_destination"][here] = destination(buttons[ahead], camera[ahead])[:seen]
            self._speak(piece, {name: row[name] for name in WORDS}, frame)

    def _speak(self, piece: Piece, out: dict[str, np.ndarray], frame: np.ndarray) -> None:
        """Fill the rows of WORDS at the frames (n,) of the piece that are ticks."""
        tokens, late = self.streams.tokens(piece.episode, self.word_source, piece.epoch)
        at = np.flatnonzero(frame % self.streams.frames_per_tick == 0)
        tick = frame[at] // self.streams.frames_per_tick
        out["spoken"][at], out["language_mask"][at] = tokens[tick], ~late[tick]
        out["heard"][at] = np.where(tick > 0, tokens[tick - 1], self.streams.silence)
        if self._draws(self.drop_words, piece, 0):
            out["heard"][:], out["language_mask"][:] = self.streams.silence, False

    def _draws(self, share: float, piece: Piece, what: int, frame: int = 0) -> bool:
        """A chance that is always the same for this episode in this epoch; what: number of the thing that is drawn."""
        seed = self.seed, piece.epoch, piece.episode, what, frame
        return share > 0 and np.random.default_rng(seed).random() < share

    def _show(self, index: int, start: int, out: dict[str, np.ndarray]) -> None:
        """Fill the rows of SHOWN with the frames from `start` on, and what was pressed before each: of the episode or,
        when swapped, of its partner."""
        swapped, n = self.frame_source == "swapped", len(out["frames"])
        shown = self.episodes[partner(index, len(self.episodes), self.seed) if swapped else index]
        filled = 0
        while filled < n:
            begin = (start + filled) % shown.n_frames
            end = min(begin + n - filled, shown.n_frames)
            to = slice(filled, filled + end - begin)
            out["frames"][to] = self.read_frames(shown, begin, end)
            before = slice(max(begin - 1, 0), end)
            known = shown.confidence[before] > 0
            for name, values, nothing in (("last_buttons", shown.buttons_index, NULL_BUTTONS),
                                          ("last_camera", shown.camera_index, NULL_CAMERA)):
                out[name][to] = one_later(np.where(known, values[before], -1), nothing)[begin - before.start:]
            filled = to.stop


def one_later(values: np.ndarray, before: int) -> np.ndarray:
    """values (N,) -> (N,): at each place the one before, and `before` at the first."""
    return np.append(before, values[:-1])
