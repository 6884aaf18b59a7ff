"""An episode of play: what it is, the columns that its frames have, and how what lies on disk is read late.

In: a recording, as arrays, or a place in a dataset. Out: an `Episode`, whose labels, truth and words are there at once
in the first case, and are read when first asked for in the second: an opened dataset of 60,000 episodes holds none.

Columns of a frame: `action` (buttons index, camera index) as labelled, `null`, `confidence` of the label (1: truth, 0:
unknown), `truth.buttons` (20, 0/1, -1 unknown) and `truth.camera_deg` (pitch, yaw; nan unknown). LeRobot's tools drop
the columns of an episode that are not theirs, so what is said stands on the frames too (`language_events`), and what an
episode is on its first one (`recording`, JSON).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from vlpt.data import lerobot
from vlpt.data.language_events import EVENTS
from vlpt.data.language_events import FEATURE as EVENTS_FEATURE
from vlpt.data.words import Word
from vpt.actions import BUTTONS
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND

PICTURES = "observation.images.pov"
RECORDING = "recording"

FEATURES = {
    PICTURES: lerobot.video_feature(AGENT_SIZE, AGENT_SIZE, FRAMES_PER_SECOND),
    "action": {"dtype": "int64", "shape": [2], "names": ["buttons_index", "camera_index"]},
    "null": {"dtype": "bool", "shape": [1], "names": None},
    "confidence": {"dtype": "float32", "shape": [1], "names": None},
    "truth.buttons": {"dtype": "int8", "shape": [len(BUTTONS)], "names": list(BUTTONS)},
    "truth.camera_deg": {"dtype": "float32", "shape": [2], "names": ["pitch", "yaw"]},
}
# Written beside them. A dataset need not have them where its episodes have columns of their own for what they say.
ON_FRAMES = {RECORDING: {"dtype": "string", "shape": [1], "names": None}, EVENTS: EVENTS_FEATURE}


@dataclass(frozen=True, eq=False)
class Episode:
    """One recording of N frames; row t is what is pressed after frame t was seen and before frame t + 1."""

    id: str
    channel: str
    video: Path  # mp4 that holds the pictures
    words: list[Word]  # in spoken order
    buttons_index: np.ndarray  # (N,) int64, as labelled
    camera_index: np.ndarray  # (N,) int64
    null: np.ndarray  # (N,) bool: the labelled action is "nothing"
    confidence: np.ndarray  # (N,) float32, probability the labeller gave its label; 0: unknown, not learnt from
    # (N, 20) uint8 where known. What may be read late has no default of its class, which would be found first
    true_buttons: np.ndarray | None = field(default_factory=lambda: None)
    true_camera_deg: np.ndarray | None = field(default_factory=lambda: None)  # (N, 2) float32 pitch, yaw
    # {"name", "start_frame", "end_frame" (exclusive), "done"}
    errands: list[dict] = field(default_factory=list)
    seed: int = -1
    world: str = ""
    first_frame: int = 0  # where the episode begins in `video`

    @property
    def n_frames(self) -> int:
        """N."""
        late = vars(self).get("late")
        return len(self.buttons_index) if late is None else late.n_frames

    def __getattr__(self, name: str):
        """What was not given is read, and not kept here: the dataset keeps what was used last."""
        late = vars(self).get("late")
        if late is None or name not in READ_LATE:
            raise AttributeError(f"an episode has no {name}")
        return late.read(name)


READ_LATE = ("words", "errands", "buttons_index", "camera_index", "null", "confidence", "true_buttons",
             "true_camera_deg")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Late:
    """Where the rest of an episode is read from: its dataset, and its number there."""

    n_frames: int
    number: int
    reader: Callable[[int, str], object]  # (number, attribute) -> its value

    def read(self, name: str):
        """The value of an attribute of READ_LATE."""
        return self.reader(self.number, name)


def stored_episode(late: Late, **known) -> Episode:
    """An episode on disk, of which only `known` is in memory; `dataclasses.replace` makes one that is all in memory."""
    episode = object.__new__(Episode)
    vars(episode).update(known, late=late)
    return episode


@dataclass(frozen=True)
class Errand:
    """What the player was about for some frames."""

    name: str
    start_frame: lerobot.Number
    end_frame: lerobot.Number | None = None  # none where the recording ended
    done: bool | None = None
    announced_ms: lerobot.Number | None = None  # when the words began that told it


@dataclass(frozen=True)
class About:
    """What an episode is, as its meta file and its dataset say."""

    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$")]  # files are named after it
    channel: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=-1, lt=2**63)] = -1
    world: str = ""
    errands: tuple[Errand, ...] = ()
