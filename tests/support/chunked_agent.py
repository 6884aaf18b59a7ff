"""An agent that reads a video in chunks, for the memory law: resets anywhere, chunks of any sizes."""

import torch

FRAMES, LANES = 17, 3


def noise() -> torch.Tensor:
    """(LANES, FRAMES, 16, 16, 3) uint8, always the same."""
    return torch.randint(0, 256, (LANES, FRAMES, 16, 16, 3), generator=torch.Generator().manual_seed(1)).byte()


def resets(*places: tuple[int, int]) -> torch.Tensor:
    """(LANES, FRAMES) bool: lives begin at these (lane, frame)."""
    first = torch.zeros(LANES, FRAMES, dtype=torch.bool)
    for lane, t in places:
        first[lane, t] = True
    return first


@torch.no_grad()
def run(policy, video, first, sizes, memory=None):
    """The latents of the whole video, read in chunks of those sizes, and the last memory."""
    memory = memory or policy.start(len(video))
    latents = []
    for part, begins in zip(video.split(sizes, 1), first.split(sizes, 1), strict=True):
        output, memory = policy(part, begins, memory)
        latents.append(output.latent)
    return torch.cat(latents, 1), memory
