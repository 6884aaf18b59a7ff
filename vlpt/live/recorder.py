"""What is played on the page, by the agent or by a person, as a contractor recording that shard and train.py take.

Out, in the folder of recordings: `<channel>-<number>.mp4` (20 pictures a second), `.jsonl` (what was pressed, by
whomever), `.words.jsonl` (what the person said: typed words at the ticks at which the agent hears them, spoken words
when they were spoken), `.meta.json` (channel, seed, world; `person`: the frames [begin, end) that the person played;
`agent_said`: the agent's own words, which are not what it is to learn from). All four or nothing. Then:

    python -m data_gathering.shard --recordings data/3_played --labels truth --out data/6_played   # --only-person
"""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import count
from pathlib import Path

import numpy as np

from vlpt.data.recording import Recorder
from vlpt.data.words import Word
from vlpt.files import locked
from vpt.actions import BUTTONS, WorldAction
from vpt.frames import AGENT_SIZE, FRAME_MS

CRF = 20  # H.264 quality


class LiveRecorder:
    """One open recording; `close` saves it, `abandon` leaves nothing."""

    def __init__(self, folder: Path | str, channel: str, size: tuple[int, int], first_frame: int, **about) -> None:
        """size: (width, height) of the world's pictures; first_frame: of the life, that is recorded first; about: more
        for the meta file. Raises ValueError and OSError where nothing can be written."""
        self.folder, self.first_frame, self.times_s = Path(folder), first_frame, []
        self.about = {"channel": channel, "errands": [], "first_frame": first_frame, **about}
        self.words: list[Word] = []
        self.agent_said: list[Word] = []
        self.person: list[bool] = []
        self.files = ExitStack()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.id = free_id(self.folder, channel)
        self.files.enter_context(locked(self.folder / self.id))
        self.recorder = self.files.enter_context(Recorder(self.folder, self.id, size, kept_size(size), CRF))

    @property
    def frames(self) -> int:
        return len(self.times_s)

    def add(self, pov: np.ndarray, pressed: WorldAction, before: dict, after: dict, person: bool, now_s: float) -> None:
        """A frame (H, W, 3), what was pressed on it, the world's `info` before and after that, whether that was the
        person, and when the frame was seen, seconds of any clock."""
        down = {name for name in BUTTONS if pressed[name]}
        self.recorder.add(pov, down, after["camera_deg"], before["truth"], after["truth"]["hotbar"])
        self.person.append(person)
        self.times_s.append(now_s)

    def typed(self, words: Sequence[Word]) -> None:
        """Words with times of the life, ms."""
        self.words += [self._since_beginning(word) for word in words]

    def said(self, piece: str, frame: int) -> None:
        """A piece of the agent's own talk, at a frame of the life; one that begins without a blank goes on the last."""
        begin_ms = float(FRAME_MS * (frame - self.first_frame))
        if piece.startswith(" ") or not self.agent_said:
            self.agent_said.append(Word(piece.strip(), begin_ms, begin_ms))
        else:
            last = self.agent_said[-1]
            self.agent_said[-1] = Word(last.word + piece.strip(), last.start_ms, begin_ms)

    def spoken(self, words: Sequence[Word], began_s: float) -> None:
        """Words whose times count from `began_s`, of the clock of `add`: each gets the frame that was seen then."""
        for word in words:
            start, end = (self._at_ms(began_s + time_ms / 1000) for time_ms in (word.start_ms, word.end_ms))
            if end >= 0:
                self.words.append(Word(word.word, max(start, 0.0), max(end, start, 0.0)))

    def close(self) -> str:
        """Saves it; its id. Nothing is saved of a recording without a frame."""
        if not self.times_s:
            self.abandon()
            return ""
        end_ms = float(FRAME_MS * self.frames)
        words = sorted((word for word in self.words if 0 <= word.start_ms < end_ms), key=lambda word: word.start_ms)
        said = [asdict(word) for word in self.agent_said]
        self.recorder.close_with(words, {**self.about, "person": runs(self.person), "agent_said": said})
        self.files.close()
        return self.id

    def abandon(self) -> None:
        """Leaves nothing."""
        given_up = RuntimeError("given up")
        try:
            self.files.__exit__(RuntimeError, given_up, None)
        except RuntimeError as error:
            if error is not given_up:
                raise

    def _since_beginning(self, word: Word) -> Word:
        begin_ms = FRAME_MS * self.first_frame
        return Word(word.word, word.start_ms - begin_ms, word.end_ms - begin_ms)

    def _at_ms(self, time_s: float) -> float:
        """The recording's time at which the clock of `add` said so; negative before its first frame."""
        frame = bisect_right(self.times_s, time_s) - 1
        if frame < 0:
            return -1.0
        return FRAME_MS * frame + min(1000 * (time_s - self.times_s[frame]), FRAME_MS - 1.0)


def kept_size(size: tuple[int, int]) -> int | None:
    """None, the world's own, for 16:9 as the contractors' is; else the agent's, which no other program must cut."""
    width, height = size
    return None if 9 * width == 16 * height and width % 2 == height % 2 == 0 else AGENT_SIZE


def free_id(folder: Path, channel: str) -> str:
    """<channel>-<number>, the first of which there is nothing in the folder."""
    return next(id_ for n in count() if not list(folder.glob(f"{(id_ := f'{channel}-{n:03d}')}.*")))


def runs(flags: Sequence[bool]) -> list[list[int]]:
    """[begin, end) of each run of True."""
    edges = np.flatnonzero(np.diff([0, *map(int, flags), 0]))
    return edges.reshape(-1, 2).tolist()
