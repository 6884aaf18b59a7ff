"""Two recipes of fine-tuning VPT, and what tells them apart: the published script's ingredients, each by its name.

In: a recipe, labels, log-probabilities. Out: the labels, the frames that count, the loss, the optimiser under it.

    RECIPES["ours"]                            # none of the ingredients: what train.py's stage `base` does
    RECIPES["published"]                       # all of them
    RECIPES["published-without-unclipped"]     # all but one

Source: behavioural_cloning.py of openai/Video-Pre-Training (learning rate 0.000181, weight decay 0.039428, 8 frames an
update), which says of itself that it is not what trained VPT. It trains on one frame at a time, and hands the memory,
cut from the graph, to the episode's next frame. What it drops as idle it leaves out of memory, too; here such a frame
is only left out of the loss.

Legend: B lanes, T frames in a chunk, N frames of an episode.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor, nn

from vlpt.data.lanes import Chunk
from vlpt.data.shards import Episode
from vlpt.training.base import BaseOptions
from vlpt.training.losses import action_nats
from vlpt.training.optimizer import make_optimizer
from vpt.actions import MINECRAFT

PUBLISHED_DECAY = 0.039428
LANES, CHUNK = 8, 64  # what both are given: so many episodes side by side, frames of each at a time
UPDATE, SMALL_UPDATE = 2 * LANES * CHUNK, 8  # frames


@dataclass(frozen=True)
class Recipe:
    """The published script's ingredients; without any of them it is ours."""

    camera_unmasked: bool = False  # the camera counts also where the label's camera meta-button is off
    idle_dropped: bool = False  # recorded frames without key and motion do not count; all others do, null or not
    whole_degrees: bool = False  # the camera's degrees are cut to whole numbers before they are quantised
    coupled_decay: bool = False  # Adam, decay in its gradient, on all weights; else AdamW, on matrices
    unclipped: bool = False  # gradients as they are
    single_frames: bool = False  # no gradient passes from one frame to another
    small_updates: bool = False  # 8 frames an update, else 1024
    constant_rate: bool = False  # the published rate, without warm-up and cosine


INGREDIENTS = tuple(field.name for field in fields(Recipe))
PUBLISHED = Recipe(**dict.fromkeys(INGREDIENTS, True))
WITHOUT = "published-without-"
RECIPES = {"ours": Recipe(), "published": PUBLISHED} | {
    WITHOUT + name.replace("_", "-"): replace(PUBLISHED, **{name: False}) for name in INGREDIENTS}  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """How a chunk of LANES x CHUNK frames is cut: into samples of lanes x frames, that make updates of so many frames.
    In whatever way it is, training sees the same frames of the same episodes.
    """

    lanes: int
    frames: int
    update: int

    @classmethod
    def of(cls, recipe: Recipe) -> "Cut":
        """A small update is a frame of each lane or, where gradients pass between frames, some frames of one lane."""
        update = SMALL_UPDATE if recipe.small_updates else UPDATE
        if recipe.single_frames:
            return cls(LANES, 1, update)
        return cls(1, SMALL_UPDATE, update) if recipe.small_updates else cls(LANES, CHUNK, update)


# ---- labels


def labelled(episode: Episode, recipe: Recipe) -> Episode:
    """The episode with the labels that the recipe learns from; recorded degrees, where known, are what is cut."""
    if not recipe.whole_degrees:
        return episode
    buttons, camera_deg = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
    recorded = camera_deg if episode.true_camera_deg is None else episode.true_camera_deg
    whole = np.trunc(recorded)
    buttons_index, camera_index = MINECRAFT.encode(buttons, whole)
    return replace(episode, buttons_index=buttons_index, camera_index=camera_index,
                   null=MINECRAFT.is_null(buttons, whole))  # fmt: skip


def is_idle(episode: Episode) -> np.ndarray:
    """(N,) bool: nothing was pressed and the mouse did not move at all, as recorded or, where not known, labelled."""
    buttons, camera_deg = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
    buttons = buttons if episode.true_buttons is None else episode.true_buttons
    camera_deg = camera_deg if episode.true_camera_deg is None else episode.true_camera_deg
    return ~np.asarray(buttons).any(-1) & (np.asarray(camera_deg) == 0).all(-1)


def idle_frames(episodes: list[Episode]) -> Tensor:
    """(episodes, frames of the longest one) bool, as `is_idle`."""
    found = torch.zeros(len(episodes), max(episode.n_frames for episode in episodes), dtype=torch.bool)
    for row, episode in zip(found, episodes, strict=True):
        row[: episode.n_frames] = torch.from_numpy(is_idle(episode))
    return found


# ---- loss


def counted(chunk: Chunk, idle: Tensor, recipe: Recipe) -> Tensor:
    """(B, T) bool: frames that count in the loss; idle as of `idle_frames`."""
    if not recipe.idle_dropped:
        return chunk.action_mask
    return chunk.action_mask & ~idle.to(chunk.frame.device)[chunk.episode, chunk.frame]


def nats(action, chunk: Chunk, recipe: Recipe) -> Tensor:
    """(B, T) fp32, of every frame: buttons + camera; action as in vlpt/training/losses.py."""
    buttons, camera = action_nats(action, chunk.buttons_index, chunk.camera_index)
    if recipe.camera_unmasked:
        camera = -action.camera.gather(-1, chunk.camera_index[..., None])[..., 0].float()
    return buttons + camera


# ---- optimiser


def optimizer_of(model: nn.Module, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    """Over all that is trainable, at this base rate."""
    if not recipe.coupled_decay:
        return make_optimizer(model, {"policy": model.parameters()}, {"policy": rate}, BaseOptions.weight_decay)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.Adam([dict(params=trainable, base=rate)], lr=rate, weight_decay=PUBLISHED_DECAY)
