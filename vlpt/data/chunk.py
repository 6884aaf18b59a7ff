"""A chunk: some frames of some lanes, with what is seen, pressed, heard and to be said in each.

In: what vlpt/data/fill.py fills in. Out: `Chunk`, a value of tensors that every stage and instrument takes.

    chunk = next(lanes).to("cuda")
    chunk.frames.shape, chunk.last_action.shape
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from vlpt.data.meant import UNKNOWN
from vlpt.data.soon import SOON
from vpt.actions import BUTTONS, MINECRAFT

NULL_BUTTONS, NULL_CAMERA = (int(index) for index in MINECRAFT.encode(np.zeros(len(BUTTONS)), np.zeros(2)))
FLAGS = ("first", "real", "action_mask", "null", "language_mask")


@dataclass(frozen=True)
class Chunk:
    """B lanes, T frames. Language is given at tick frames (frame number of the episode a multiple of D); elsewhere, and
    everywhere without a tokenizer, `heard` and `spoken` hold silence and `language_mask` is False."""

    frames: torch.Tensor  # (B, T, 128, 128, 3) uint8 RGB, or (B, T, width) float16 features
    first: torch.Tensor  # (B, T) bool: memory must be forgotten here: an episode begins, or the rest of one
    real: torch.Tensor  # (B, T) bool: False where an episode was filled up to a whole tick, or a lane has nothing left
    heard: torch.Tensor  # (B, T) int64: the previous tick's token; V is silence
    spoken: torch.Tensor  # (B, T) int64: this tick's token, the target
    buttons_index: torch.Tensor  # (B, T) int64
    camera_index: torch.Tensor  # (B, T) int64
    # (B, T) int64: what was pressed at the frame before the one that is shown, nothing before an episode's first frame;
    # -1 where the agent is not to know
    last_buttons: torch.Tensor
    last_camera: torch.Tensor
    action_mask: torch.Tensor  # (B, T) bool: counts in the action loss, whatever is said; not where no label is known
    null: torch.Tensor  # (B, T) bool: the label is "nothing"
    # (B, T, SOON) bool: what is done soon, see vlpt/data/soon.py; False without a tokenizer, which alone announces it
    soon: torch.Tensor
    meant: torch.Tensor  # (B, T) int64: the thing an errand is to, see vlpt/data/meant.py; UNKNOWN without a tokenizer
    # (B, T) int64: where the next walk leads, see vlpt/data/destination.py, where the agent is told it, else UNKNOWN
    told_destination: torch.Tensor
    language_mask: torch.Tensor  # (B, T) bool: counts in the language loss; not where words are too late
    episode: torch.Tensor  # (B, T) int64: number in the list of episodes, -1 where a lane has nothing left
    frame: torch.Tensor  # (B, T) int64: frame number in the episode

    @property
    def last_action(self) -> torch.Tensor:
        """(B, T, 2) int64, as `vpt.policy.Policy.forward` takes it."""
        return torch.stack([self.last_buttons, self.last_camera], -1)

    def to(self, device) -> "Chunk":
        """The same on another device."""
        return replace(self, **{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @classmethod
    def of(cls, frames: np.ndarray, parts: Sequence[dict[str, np.ndarray]]) -> "Chunk":
        """frames: of all lanes; parts: the other fields by name, of the lanes that each part holds, in order."""
        rest = [field.name for field in fields(cls) if field.name != "frames"]
        return cls(torch.from_numpy(frames),
                   **{name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in rest})


def nothing_happens(lanes: int, frames: int, silence: int) -> dict[str, np.ndarray]:
    """All fields of so many lanes and frames but the pictures, to be filled in."""
    shape = lanes, frames
    words = {name: np.full(shape, silence, np.int64) for name in ("heard", "spoken")}
    numbers = {name: np.zeros(shape, np.int64) for name in ("buttons_index", "camera_index", "frame")}
    last = {"last_buttons": np.full(shape, NULL_BUTTONS), "last_camera": np.full(shape, NULL_CAMERA)}
    return {**{name: np.zeros(shape, bool) for name in FLAGS}, **words, **numbers, **last,
            "soon": np.zeros((*shape, SOON), bool), "episode": np.full(shape, -1, np.int64),
            **{name: np.full(shape, UNKNOWN) for name in ("meant", "told_destination")}}
