"""Stage idm: which keys and mouse motion lie between the frames of a clip, seen from both sides (VPT, section 3).

In: shards whose true actions are known. Out: an inverse dynamics model that labels the others.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.clips import Clips
from vlpt.losses import Part
from vlpt.shards import Episode
from vlpt.stages.data import count_parameters, prefixed, read_episodes
from vpt.augment import augment
from vpt.idm import IDM, IDM_SIZES
from vpt.scores import Scores
from vpt.windows import infer


class InverseDynamics:
    """Random clips in, class-balanced losses of every frame's buttons and camera bins out."""

    def __init__(self, options, device: torch.device) -> None:
        self.options, self.device = options, device
        self.shards, train, self.held_out = read_episodes(options)
        made = IDM.from_pretrained(model_folder(options.start)) if options.start else newborn(options.size)
        self.model = made.to(device)
        self.clips = Clips(self.shards, train, clips=options.lanes, frames_per_clip=options.chunk, seed=options.seed)
        self.class_weight = button_weights(train).to(device)

    def describe(self) -> str:
        frames = sum(episode.frames for episode in self.clips.episodes)
        return f"idm: {count_parameters(self.model)}, {frames:,} frames, {len(self.held_out)} episodes held out"

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"idm": list(self.model.parameters())}

    def rates(self) -> dict[str, float]:
        return {"idm": self.options.rate_new}

    def weights(self) -> dict[str, float]:
        return {"buttons": 1.0, "camera": 1.0}

    def losses(self) -> dict[str, Part]:
        """buttons: class-balanced nats a frame, summed over the buttons; camera: nats a frame, both axes."""
        clip = next(self.clips)
        frames, buttons, bins = (x.to(self.device) for x in (clip.frames, clip.buttons, clip.camera_bins))
        if self.options.augment:
            frames = augment(frames)
        out = self.model(frames)
        on = buttons.bool()
        weight = torch.where(on, self.class_weight[:, 1], self.class_weight[:, 0])
        nats = -out.buttons.gather(-1, buttons[..., None])[..., 0] * weight
        camera = -out.camera.gather(-1, bins[..., None])[..., 0]
        every = torch.ones_like(buttons[..., 0], dtype=torch.bool)
        return dict(buttons=Part.of(nats.sum(-1), every), camera=Part.of(camera.sum(-1), every))

    def validate(self) -> dict[str, float]:
        """Scores on the held-out episodes, read in the overlapping windows that labelling uses."""
        scores = Scores()
        for episode in self.held_out:
            inferred = infer(self.model, self.shards.frames(episode), episode.frames)
            scores.add(inferred.buttons, inferred.camera_deg, episode.true_buttons, episode.true_camera_deg)
        return prefixed("valid", scores.numbers()) if self.held_out else {}

    def baselines(self) -> dict[str, float]:
        return {}

    def gates(self) -> dict[str, float]:
        return {}

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)

    def state(self) -> dict:
        return self.clips.state_dict()

    def load(self, folder: Path, state: dict) -> None:
        self.model.load_state_dict(IDM.from_pretrained(folder).state_dict())
        self.clips.load_state_dict(state)


def newborn(size: str) -> IDM:
    """A model that sees change from the start: the first filters of its 3-D convolution are differences of brightness.

    Both signs of (next - now) and (now - before), then now and next themselves; the rest stays random. What was pressed
    shows in change, which random filters drown in what stands still: so it learns about twice as fast (docs/log.md).
    It uses its last layer, which the released model computes and discards (see vpt/idm.py).
    """
    model = IDM(replace(IDM_SIZES[size], lastlayer="used", temperature=1.0))
    weight = model.temporal.conv.weight  # (C, 3, 5, 1, 1): before, before, now, next, next
    grey = torch.tensor([0.3, 0.6, 0.1])
    before, now, after = (torch.zeros(3, 5).index_copy_(1, torch.tensor([t]), grey[:, None]) for t in (1, 2, 3))
    filters = [5 * (after - now), 5 * (now - after), 5 * (now - before), 5 * (before - now), now, after]
    with torch.no_grad():
        weight[: len(filters)] = torch.stack(filters)[: len(weight), :, :, None, None]
    return model


def button_weights(episodes: list[Episode], power: float = 0.5, most: float = 10.0) -> torch.Tensor:
    """(20, 2) weights of "up" and "down" for each button: (inverse frequency)^power, at most `most`, mean about 1.

    Full balance (power 1) makes rare buttons fire too often; the root is the usual compromise.
    """
    pressed = np.concatenate([episode.true_buttons for episode in episodes]).mean(0)
    frequency = np.stack([1 - pressed, pressed], 1).clip(1e-4, 1)
    weight = np.minimum((0.5 / frequency) ** power, most)
    return torch.tensor(weight, dtype=torch.float32)
