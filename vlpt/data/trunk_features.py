"""The frozen trunk's outputs, computed once and kept on disk, so that later stages read features instead of pixels.

In: an agent (`Policy.encode_frames`: CNN and block 1), shards. Out: a function (episode, start, stop) -> features
(stop - start, F) float16 that takes the place of `shards.read_frames` in a loader: a frame's vector and its patches,
F = V + P C numbers as `Policy.pack` puts them (of an agent that sees motion, what it sees of that among them).

    read_frames = cache_features(model.policy, shards)
    Lanes(shards, episodes, ..., read_frames=read_frames)

One fp16 array a video file (vlpt/data/feature_file.py), in `features/<trunk>/` beside the shards (of remote ones: in
the cache of their files), found again by what it was made from: the trunk's weights, how pictures come to it, and the
video, whose hash is kept (video_hashes.py). Of several processes each makes the files of its share and waits for those
of the others: the folder is one that all see. What was made when there was one file an episode is taken over, not
computed again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from tqdm import tqdm

from vlpt.data.feature_file import FeatureFile, waiting
from vlpt.data.shards import Episode, Shards
from vlpt.data.video_hashes import known_hash, video_hash
from vpt.policy import Policy

FRAMES_PER_CALL = 128
OPEN_FILES = 256
# Features that were made otherwise are others: one that changes what the trunk is shown, or what is kept, changes this.
PREPROCESSING = "128x128 I420 to RGB by OpenCV; Policy.pack; fp16"
TRUNK_SIZES = ("width", "heads", "memory_frames", "px")  # what weights do not say


class Features:
    """Reads the cached features of episodes."""

    def __init__(self, files: dict[Path, FeatureFile]):
        self.files, self.rows = files, lru_cache(OPEN_FILES)(lambda video: files[video].read())

    def __call__(self, episode: Episode, start: int, stop: int) -> np.ndarray:
        """Frames start..stop-1 of an episode -> (stop - start, F) float16, as they lie on disk."""
        begin = episode.first_frame
        return self.rows(episode.video)[begin + start: begin + stop]


def cache_features(
    policy: Policy, shards: Shards, episodes: Sequence[Episode] | None = None, folder: Path | str | None = None,
    device: torch.device | str = "cpu", rank: int = 0, world_size: int = 1,
) -> Features:
    """Compute what is not there yet (all episodes, or those given) and return the reader.

    folder: `features` beside the shards when None; of remote shards in the folder that VLPT_CACHE names, and no video
    is fetched again whose features are there. rank, world_size: which of how many processes this is, each of which
    makes a share. Raises ValueError when a feature does not fit fp16.
    """
    asked = shards.episodes if episodes is None else episodes
    folder = Path(folder or shards.folder.parent / "features")
    place = folder / trunk_key(policy)
    of_video = defaultdict(list)
    for episode in asked:
        of_video[episode.video].append(episode)
    ours = share(of_video, rank, world_size)
    stamps = {video: shards.stamp(video) for video in of_video}
    hashes = {video: video_hash(video, folder, stamps[video], shards.fetch) for video in ours}
    for video in of_video.keys() - hashes.keys():
        hashes[video] = _in_time(lambda video=video: known_hash(video, folder, stamps[video]),
                                 f"for the hash of {video}")  # fmt: skip
    ends = _ends(shards.episodes)
    files = {video: FeatureFile(place / file_name(policy, video, hashes[video]), ends[video], policy.packed_width)
             for video in of_video}  # fmt: skip

    def encode(episode: Episode) -> Iterator[np.ndarray]:
        old = _made_before(old_file(place, episode, hashes[episode.video]), episode.n_frames, policy.packed_width)
        return encode_episode(policy, shards, episode, device) if old is None else iter([old])

    was_training = policy.training
    policy.eval()
    _make({files[video]: of_video[video] for video in ours}, encode)
    policy.train(was_training)
    for video in of_video.keys() - set(ours):
        _in_time(lambda video=video: not _missing(files[video], of_video[video]), f"for {files[video].path}")
    return Features(files)


def share(of_video: dict[Path, list[Episode]], rank: int, world_size: int) -> list[Path]:
    """The videos whose features this one of so many processes makes: the longest first, to whoever has least."""
    frames = {video: sum(episode.n_frames for episode in episodes) for video, episodes in of_video.items()}
    loads, dealt = [0] * world_size, [[] for _ in range(world_size)]
    for video in sorted(frames, key=lambda video: (-frames[video], str(video))):
        least = loads.index(min(loads))
        loads[least] += frames[video]
        dealt[least].append(video)
    return dealt[rank]


def trunk_key(policy: Policy) -> str:
    """A name for the weights that the features depend on."""
    digest = hashlib.sha256()
    for part in policy.trunk:
        for name, weight in sorted(part.state_dict().items()):
            digest.update(name.encode() + weight.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def file_name(policy: Policy, video: Path, hash_: str) -> str:
    """Of the features of a video: where it lies, and what they are made from beside the trunk's weights."""
    sizes = {name: getattr(policy.config, name) for name in TRUNK_SIZES}
    made_from = f"{PREPROCESSING} {sizes} {hash_}"
    return f"{video.parent.name}_{video.stem}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}.npy"


def old_file(place: Path, episode: Episode, hash_: str) -> Path:
    """Where an episode's features lay when each had a file."""
    made_from = f"{hash_} {episode.first_frame} {episode.n_frames}"
    return place / f"{episode.id}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}.safetensors"


@torch.inference_mode()
def encode_episode(
    policy: Policy, shards: Shards, episode: Episode, device: torch.device | str = "cpu"
) -> Iterator[np.ndarray]:
    """The trunk over one whole episode, by chunks with carried memory -> (n, F) float32 of each, N frames in all."""
    memory = policy.start(1)[0]
    for start in range(0, episode.n_frames, FRAMES_PER_CALL):
        frames = shards.read_frames(episode, start, min(start + FRAMES_PER_CALL, episode.n_frames))
        first = torch.zeros(1, len(frames), dtype=torch.bool, device=device)
        first[0, 0] = start == 0
        x, patches, memory = policy.encode_frames(torch.from_numpy(frames)[None].to(device), first, memory)
        yield policy.pack(x, patches)[0].float().cpu().numpy()


def _ends(episodes: Sequence[Episode]) -> dict[Path, int]:
    """{video: frames that episodes have of it}."""
    ends: dict[Path, int] = {}
    for episode in episodes:
        ends[episode.video] = max(ends.get(episode.video, 0), episode.first_frame + episode.n_frames)
    return ends


def _missing(file: FeatureFile, episodes: Sequence[Episode]) -> list[Episode]:
    done = file.done()
    return [episode for episode in episodes if (episode.first_frame, episode.n_frames) not in done]


def _make(files: dict[FeatureFile, list[Episode]], encode: Callable[[Episode], Iterator[np.ndarray]]) -> None:
    """What is missing in each file."""
    missing = {file: found for file, episodes in files.items() if (found := _missing(file, episodes))}
    if not missing:
        return
    with tqdm(total=sum(map(len, missing.values())), desc="features", unit="episode") as bar:
        for file, episodes in missing.items():
            with file.writing():
                for episode in _missing(file, episodes):  # again: another process may have been at it
                    file.write(episode.first_frame, encode(episode))
                    bar.update()


def _made_before(path: Path, frames: int, width: int) -> np.ndarray | None:
    """(frames, width) fp16, or None where there is no whole file."""
    try:
        with safe_open(path, "np") as file:
            found = file.get_slice("features")
            return found[:] if found.get_shape() == [frames, width] else None
    except (OSError, SafetensorError):
        return None


def _in_time(made: Callable, what: str):
    """What another process makes, as soon as it is there."""
    for _ in waiting(what):
        if found := made():
            return found
