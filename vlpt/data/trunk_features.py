"""The frozen trunk's outputs, computed once and kept on disk, so that later stages read features instead of pixels.

In: an agent (`Policy.encode_frames`: CNN and block 1), shards. Out: a function (episode, start, stop) -> features
(stop - start, F) float32 that takes the place of `shards.read_frames` in a loader: a frame's vector and its patches,
F = V + P C numbers as `Policy.pack` puts them (of an agent that sees motion, what it
sees of that among them). One fp16 file an episode, found again by what it was made from: the
trunk's weights and the video.

    read_frames = cache_features(model.policy, shards)
    Lanes(shards, episodes, ..., read_frames=read_frames)
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from vlpt.data.shards import Episode, Shards
from vlpt.files import whole_file
from vpt.policy import Policy

FRAMES_PER_CALL = 128


class Features:
    """Reads the cached features of episodes."""

    def __init__(self, paths: dict[str, Path]):
        self.paths, self.open = paths, {}

    def __call__(self, episode: Episode, start: int, stop: int) -> np.ndarray:
        """Frames start..stop-1 of an episode -> (stop - start, F) float32."""
        if episode.id not in self.open:
            self.open[episode.id] = safe_open(self.paths[episode.id], "np").get_slice("features")
        return self.open[episode.id][start:stop].astype(np.float32)


def cache_features(
    policy: Policy, shards: Shards, episodes: Sequence[Episode] | None = None, folder: Path | str | None = None,
    device: torch.device | str = "cpu",
) -> Features:
    """Compute what is not there yet (all episodes, or those given) and return the reader.

    folder: `features` beside the shards when None. Raises ValueError when a feature does not fit fp16.
    """
    episodes = shards.episodes if episodes is None else episodes
    folder = Path(folder or shards.folder.parent / "features") / trunk_key(policy)
    folder.mkdir(parents=True, exist_ok=True)
    videos = {video: hashlib.sha256(video.read_bytes()).hexdigest() for video in {e.video for e in episodes}}
    paths = {}
    for episode in episodes:
        made_from = f"{videos[episode.video]} {episode.first_frame} {episode.n_frames}"
        paths[episode.id] = folder / f"{episode.id}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}.safetensors"
    missing = [e for e in episodes if not _is_whole(paths[e.id], e.n_frames, policy.packed_width)]
    if missing:
        was_training = policy.training
        policy.eval()
        for episode in tqdm(missing, "features", unit="episode"):
            _write(paths[episode.id], encode_episode(policy, shards, episode, device))
        policy.train(was_training)
    return Features(paths)


def trunk_key(policy: Policy) -> str:
    """A name for the weights that the features depend on."""
    digest = hashlib.sha256()
    for part in policy.trunk:
        for name, weight in sorted(part.state_dict().items()):
            digest.update(name.encode() + weight.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def encode_episode(
    policy: Policy, shards: Shards, episode: Episode, device: torch.device | str = "cpu"
) -> np.ndarray:
    """The trunk over one whole episode -> (N, F) float32, by chunks with carried memory."""
    memory, rows = policy.start(1)[0], []
    for start in range(0, episode.n_frames, FRAMES_PER_CALL):
        frames = shards.read_frames(episode, start, min(start + FRAMES_PER_CALL, episode.n_frames))
        first = torch.zeros(1, len(frames), dtype=torch.bool, device=device)
        first[0, 0] = start == 0
        x, patches, memory = policy.encode_frames(torch.from_numpy(frames)[None].to(device), first, memory)
        rows.append(policy.pack(x, patches)[0].float().cpu().numpy())
    return np.concatenate(rows)


def _write(path: Path, features: np.ndarray) -> None:
    largest = float(np.abs(features).max())
    if not largest < 65504:
        raise ValueError(f"{path.stem}: a feature of size {largest:.3g} does not fit fp16; train from pixels instead")
    with whole_file(path) as unfinished:
        save_file({"features": features.astype(np.float16)}, unfinished)


def _is_whole(path: Path, frames: int, width: int) -> bool:
    try:
        with safe_open(path, "np") as file:
            return file.get_slice("features").get_shape() == [frames, width]
    except (OSError, SafetensorError):
        return False
