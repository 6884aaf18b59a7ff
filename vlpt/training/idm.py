"""Stage idm: which keys and mouse motion lie between the frames of a clip, seen from both sides (VPT, section 3).

In: shards whose true actions are known. Out: an inverse dynamics model that labels the others.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vlpt.checkpoint import model_folder
from vlpt.data.clips import Clip, Clips, sample_clips
from vlpt.data.decoded_frames import DecodedFrames
from vlpt.data.shards import Episode
from vlpt.options import CountOrNone, Positive, without_effect
from vlpt.training.diverged import stretches
from vlpt.training.episodes import EpisodeSplit, ShardOptions, read_episodes
from vlpt.training.losses import LossPart
from vlpt.training.processes import rank, world_size
from vlpt.training.stage import Stage, count_parameters, parameters_apart, prefixed
from vlpt.training.unigram import enough
from vpt.actions import MINECRAFT
from vpt.augment import augment
from vpt.idm import IDM, IDM_SIZES, IDMSize, mirror_camera, with_distances
from vpt.initialise import set_class_frequencies, standardise_norms
from vpt.motion_filters import init_motion_filters
from vpt.scores import Scores
from vpt.windows import infer


@dataclass(frozen=True, kw_only=True)
class InverseDynamicsOptions(ShardOptions):
    """Inverse dynamics: which keys and mouse motion lie between two frames?"""

    stage = "idm"

    start: str = ""  # weights of a model to go on from: a run or a model folder (empty: made anew)
    size: IDMSize = "tiny"  # of a model made anew
    # frames up to which attention tells how far one is from another; 0: as in OpenAI's model, not at all
    max_distance: CountOrNone = 16
    rate_new: Positive = 1e-4  # learning rate
    heads_rate: Positive = 1.0  # times the rate of the rest, for the action heads
    augment: bool = True  # colour and geometry augmentation
    mirror: bool = False  # half of the clips as in a mirror; validation sees both sides
    resident: bool = False  # keep all pictures decoded on the device, 3.5 GB an hour

    def __post_init__(self) -> None:
        if self.start:
            without_effect(self, "--start", "size")


class InverseDynamics(Stage):
    """Random clips in, class-balanced losses of every frame's buttons and camera bins out."""

    Options = InverseDynamicsOptions

    def __init__(self, options: InverseDynamicsOptions, device: torch.device) -> None:
        self.options, self.device = options, device
        data = read_episodes(options)
        self.shards, self.held_out = data.shards, data.held_out
        made = self._trained_before() if options.start else self._made_anew(data)
        self.model = made.to(device)
        read_frames = DecodedFrames(data.shards, data.train, device).read_frames if options.resident else None
        self.clips = Clips(data.shards, data.train, n_clips=options.lanes, frames_per_clip=options.chunk,
                           seed=options.seed, read_frames=read_frames,
                           rank=rank(), world_size=world_size())  # fmt: skip
        self.class_weight = button_weights(data.train).to(device)

    def _trained_before(self) -> IDM:
        return with_distances(IDM.from_pretrained(model_folder(self.options.start)), self.options.max_distance)

    def _made_anew(self, data: EpisodeSplit) -> IDM:
        """It uses its last layer and knows the order of frames, as the released one does not."""
        ours = dict(lastlayer="used", temperature=1.0, max_distance=self.options.max_distance)
        model = IDM(replace(IDM_SIZES[self.options.size], **ours))
        init_motion_filters(model)
        clips = sample_clips(data.shards, data.train, 16, 4, self.options.seed)
        standardise_norms(model, lambda: model(clips))
        set_class_frequencies(model.buttons, button_frequency(data.train))
        set_class_frequencies(model.camera, camera_frequency(data.train))
        return model

    def describe(self) -> str:
        frames = sum(episode.n_frames for episode in self.clips.episodes)
        return f"idm: {count_parameters(self.model)}, {frames:,} frames, {len(self.held_out)} episodes held out"

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return parameters_apart("idm", self.model, heads=[self.model.buttons, self.model.camera])

    def rates(self) -> dict[str, float]:
        return {"idm": self.options.rate_new, "heads": self.options.rate_new * self.options.heads_rate}

    def weights(self) -> dict[str, float]:
        return {"buttons": 1.0, "camera": 1.0}

    def next_batch(self) -> Clip:
        return next(self.clips)

    def counts(self, clip: Clip) -> dict[str, int]:
        return dict.fromkeys(("buttons", "camera"), clip.buttons[..., 0].numel())

    def place(self, clip: Clip) -> str:
        frames = clip.start[:, None] + torch.arange(self.options.chunk)
        ids = [episode.id for episode in self.clips.episodes]
        return stretches(clip.episode[:, None].expand_as(frames), frames, ids)

    def score(self, numbers: dict[str, float]) -> float | None:
        found = numbers.get("valid/balanced_accuracy", float("nan"))
        return -found if found == found else None

    def losses(self, clip: Clip) -> dict[str, LossPart]:
        """buttons: class-balanced nats a frame, summed over the buttons; camera: nats a frame, both axes."""
        frames, buttons, shares = (x.to(self.device) for x in (clip.frames, clip.buttons, clip.camera_shares))
        if self.options.mirror:
            frames, buttons, shares = mirror_some(frames, buttons, shares)
        if self.options.augment:
            frames = augment(frames)
        out = self.model(frames)
        on = buttons.bool()
        weight = torch.where(on, self.class_weight[:, 1], self.class_weight[:, 0])
        nats = -out.buttons.gather(-1, buttons[..., None])[..., 0] * weight
        camera = -(out.camera * shares).sum(-1)
        every = torch.ones_like(buttons[..., 0], dtype=torch.bool)
        return dict(buttons=LossPart.of(nats.sum(-1), every), camera=LossPart.of(camera.sum(-1), every))

    def validate(self) -> dict[str, float]:
        """Scores on the held-out episodes, read in the overlapping windows that labelling uses."""
        scores = Scores()
        for episode in self.held_out:
            frames = self.shards.read_frames(episode)
            inferred = infer(self.model, frames, episode.n_frames, mirror=self.options.mirror)
            scores.add(inferred.buttons, inferred.camera_deg, episode.true_buttons, episode.true_camera_deg)
        return prefixed("valid", scores.numbers()) if self.held_out else {}

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)

    def state(self) -> dict:
        return self.clips.state_dict()

    def load(self, folder: Path, state: dict) -> None:
        self.model.load_state_dict(IDM.from_pretrained(folder).state_dict())
        self.clips.load_state_dict(state)


def mirror_some(
    frames: torch.Tensor, buttons: torch.Tensor, shares: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Half of the clips (by torch's global seed) as in a mirror: pictures, what was pressed, and the yaw."""
    chosen = torch.rand(len(frames)).to(frames.device) < 0.5
    frames = torch.where(chosen[:, None, None, None, None], frames.flip(3), frames)
    buttons = torch.where(chosen[:, None, None], buttons[..., MINECRAFT.mirror], buttons)
    return frames, buttons, torch.where(chosen[:, None, None, None], mirror_camera(shares), shares)


def button_weights(episodes: list[Episode], power: float = 0.25, most: float = 10.0) -> torch.Tensor:
    """(20, 2) weights of "up" and "down" for each button: (inverse frequency)^power, at most `most`, mean about 1.

    Full balance (power 1) makes rare buttons fire too often, and so does its root: with 0.25 more frames are right
    as a whole at hardly less balanced accuracy (docs/log.md).
    """
    return ((0.5 / button_frequency(episodes)) ** power).clamp(max=most)


def button_frequency(episodes: list[Episode]) -> torch.Tensor:
    """(20, 2) shares of the frames (of `enough` of them) on which each button is up and down, none quite 0."""
    pressed = np.concatenate([episode.true_buttons for episode in enough(episodes)]).mean(0)
    return torch.tensor(np.stack([1 - pressed, pressed], 1).clip(1e-4, 1), dtype=torch.float32)


def camera_frequency(episodes: list[Episode]) -> torch.Tensor:
    """(2, 11) mean shares of the bins of pitch and yaw (of `enough` frames), none quite 0."""
    shares = MINECRAFT.camera.shares(np.concatenate([episode.true_camera_deg for episode in enough(episodes)]))
    return torch.from_numpy(shares.mean(0).clip(1e-5, 1))
