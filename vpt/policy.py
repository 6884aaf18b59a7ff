"""The VPT agent: picture encoder, attention blocks with memory, action and value heads, in the released architecture.

In: frames (B, T, 128, 128, 3) uint8 RGB, `first` (B, T) bool, memory. Out: log-probabilities of the two joint action
classes, value, latent, and the new memory. The memory is a value: chunks of any size, or one frame at a time, give
the same as the whole video, and `first` may be true anywhere in a chunk.

    policy = Policy(SIZES["tiny"])
    memory = policy.start(lanes=2)
    output, memory = policy(frames, first, memory)

Legend: B lanes, T frames in a chunk, M remembered frames, D agent width.
Source: VPT (arXiv 2206.11795), openai/Video-Pre-Training.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vpt.attention import Block, BlockMemory, window_mask
from vpt.checkpoint import Pretrained
from vpt.cnn import PATCHES_A_SIDE, Dense, PictureEncoder
from vpt.finder import COLUMNS, Finder
from vpt.heads import ActionHeads, ActionLogits, ValueHead
from vpt.last_action import LastAction
from vpt.motion import MotionEncoder, MotionInput, TrunkMemory


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes of an agent; the defaults are the released 1x."""

    width: int = 1024  # D
    heads: int = 8
    blocks: int = 4
    attention_memory_size: int = 256
    timesteps: int = 128  # frames of a training chunk; other chunks may have any length
    impala_width: float = 4.0
    impala_channels: tuple[int, ...] = (16, 32, 32)
    mlp_ratio: int = 4
    px: int = 128  # height and width of a frame
    temperature: float = 2.0
    n_buttons: int = 8641
    n_camera: int = 121
    last_action: bool = False  # knows what it did at the frame before; not so in the released models
    motion: int = 0  # channels of the 3-D convolution of a motion encoder; 0: none, as in the released models
    things: int = 0  # K: kinds of things that a finder tells the places of; 0: no finder, as in the released models

    @property
    def memory_frames(self) -> int:
        """M: frames kept, and frames that a query may see including itself."""
        return self.attention_memory_size - self.timesteps

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(int(self.impala_width * c) for c in self.impala_channels)

    @property
    def patches(self) -> int:
        """P: parts of a picture that words can ask."""
        return PATCHES_A_SIDE**2

    @property
    def patch_width(self) -> int:
        """C: mean and maximum of each channel of each stack."""
        return 2 * sum(self.channels)

    @property
    def vector_width(self) -> int:
        """V: numbers of a frame's vector as the trunk gives it: the agent's, what its motion encoder sees, and where
        things are.
        """
        return self.width * (2 if self.motion else 1) + self.found_width

    @property
    def found_width(self) -> int:
        """Of these, the numbers that say where things are."""
        return self.things * COLUMNS

    def __post_init__(self) -> None:
        if self.memory_frames < 1:
            raise ValueError("attention_memory_size must exceed timesteps: their difference is the memory in frames, "
                             f"here {self.memory_frames}")  # fmt: skip
        if self.motion < 0:
            raise ValueError(f"motion is a number of channels, 0 for no motion encoder, not {self.motion}")


PolicySize = Literal["tiny", "1x", "2x", "3x"]
SIZES: dict[PolicySize, PolicyConfig] = {
    "tiny": PolicyConfig(width=128, heads=4, impala_width=0.5),
    "1x": PolicyConfig(width=1024, heads=8, impala_width=4.0),
    "2x": PolicyConfig(width=2048, heads=16, impala_width=8.0),
    "3x": PolicyConfig(width=3072, heads=24, impala_width=12.0),
}


@dataclass(frozen=True)
class PolicyOutput:
    """What the agent makes of each frame."""

    action: ActionLogits
    value: Tensor  # (B, T, 1), normalised space
    latent: Tensor  # (B, T, D)


def check_frames(frames: Tensor, px: int) -> None:
    """Raises ValueError unless frames are (B, T, px, px, 3) uint8."""
    if frames.ndim != 5 or frames.shape[2:] != (px, px, 3) or frames.dtype != torch.uint8:
        raise ValueError(f"frames are uint8 (lanes, frames, {px}, {px}, 3), got {frames.dtype} {tuple(frames.shape)}; "
                         "vpt.frames.resize_to_agent makes them")  # fmt: skip


class Policy(nn.Module, Pretrained):
    """VPT's agent; see the top of the file."""

    config_class = PolicyConfig

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        c = self.config = config
        self.picture = PictureEncoder(3, c.channels, c.width, c.px)
        self.blocks = nn.ModuleList(
            Block(c.width, c.heads, c.memory_frames, c.blocks, c.mlp_ratio) for _ in range(c.blocks)
        )
        self.motion = MotionEncoder(c.motion, c.channels, c.width, c.px) if c.motion else None
        self.motion_input = MotionInput(c.width) if c.motion else None
        self.last_action = LastAction(c.width) if c.last_action else None
        self.finder = Finder(c.things, c.px) if c.things else None
        self.last = Dense(c.width, c.width)
        self.final_norm = nn.LayerNorm(c.width)
        self.heads = ActionHeads(c.width, c.n_buttons, c.n_camera, c.temperature)
        self.value = ValueHead(c.width)

    def start(self, lanes: int) -> tuple[BlockMemory, ...]:
        """A fresh memory for each block."""
        like = self.final_norm.weight
        shape = (lanes, self.config.memory_frames, self.config.width)
        fresh = tuple(BlockMemory.fresh(*shape, device=like.device, dtype=like.dtype) for _ in self.blocks)
        return fresh if self.motion is None else (TrunkMemory.after(fresh[0], self.motion.start(lanes)), *fresh[1:])

    @property
    def trunk(self) -> list[nn.Module]:
        """What cached features depend on: the picture encoder, block 1, and a motion encoder and a finder if any."""
        return [self.picture, self.blocks[0]] + [part for part in [self.motion, self.finder] if part]

    @property
    def inputs(self) -> list[nn.Module]:
        """What makes something of the agent's own motion, which is added to the trunk's output; none in the released
        models."""
        return [part for part in (self.motion_input, self.last_action) if part]

    def embed(self, frames: Tensor) -> Tensor:
        """frames (B, T, 128, 128, 3) uint8 -> (B, T, D)."""
        check_frames(frames, self.config.px)
        return self.picture(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def encode_frames(
        self, frames: Tensor, first: Tensor, memory: BlockMemory, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor, BlockMemory]:
        """The trunk, CNN and block 1: frames (B, T, 128, 128, 3) uint8 -> its vectors (B, T, V), the patches
        (B, T, P, C), and the trunk's memory.

        Its own outputs (B, T, V + P C), kept from before as `pack` puts them, pass through. Raises ValueError for
        anything else.
        """
        c = self.config
        if not frames.is_floating_point():
            check_frames(frames, c.px)
            x, patches = self.picture.with_patches(frames.flatten(0, 1))
            x, after = self.blocks[0](x.unflatten(0, first.shape), first, memory, visible)
            if self.motion is not None:
                moved, seen = self.motion(frames, first, memory.frames)
                x, after = torch.cat([x, moved], 2), TrunkMemory.after(after, seen)
            if self.finder is not None:
                x = torch.cat([x, self.finder(frames.flatten(0, 1)).flatten(1).unflatten(0, first.shape)], 2)
            return x, patches.unflatten(0, first.shape), after
        if frames.ndim != 3 or frames.shape[2] != self.packed_width:
            raise ValueError("frames are uint8 pictures, or this trunk's outputs (lanes, frames, "
                             f"{self.packed_width}); got {frames.dtype} {tuple(frames.shape)}")  # fmt: skip
        if frames.dtype == torch.float16:  # as they were kept on disk
            frames = frames.float()
        x, patches = frames.split([c.vector_width, c.patches * c.patch_width], 2)
        return x, patches.unflatten(2, (c.patches, c.patch_width)), memory

    @property
    def packed_width(self) -> int:
        """V + P C: numbers of a frame as `pack` puts them."""
        return self.config.vector_width + self.config.patches * self.config.patch_width

    @staticmethod
    def pack(x: Tensor, patches: Tensor) -> Tensor:
        """What `encode_frames` made of frames, x (B, T, V) and patches (B, T, P, C), as one row a frame: (B, T, V + P
        C)."""
        return torch.cat([x, patches.flatten(2)], 2)

    def add_own_motion(self, x: Tensor, last_action: Tensor | None) -> Tensor:
        """The trunk's vectors (B, T, V) and what was done at the frame before, see `forward` -> (B, T, D): to the
        agent's own vector is added what it makes of the motion it sees and of its last action."""
        own, found = self.config.width, self.config.found_width
        x, moved, _ = x.split([own, x.shape[2] - own - found, found], 2)
        if self.motion_input is not None:
            x = x + self.motion_input(moved)
        if self.last_action is None or last_action is None:
            return x
        return x + self.last_action(last_action)

    def found(self, x: Tensor) -> Tensor:
        """Of the trunk's vectors (B, T, V) where things are: (B, T, K, COLUMNS)."""
        return x[..., x.shape[2] - self.config.found_width :].unflatten(2, (self.config.things, COLUMNS))

    def with_finder(self, finder: Finder) -> "Policy":
        """The same agent, and such a finder."""
        policy = Policy(replace(self.config, things=finder.maps.out_channels))
        own = {name: weight for name, weight in self.state_dict().items() if not name.startswith("finder.")}
        policy.load_state_dict(own | {f"finder.{name}": weight for name, weight in finder.state_dict().items()})
        return policy

    def run_blocks(
        self, x: Tensor, first: Tensor, memory: tuple[BlockMemory, ...], visible: Tensor, blocks: range
    ) -> tuple[Tensor, tuple[BlockMemory, ...]]:
        """x (B, T, D) through some of the blocks, memory being that of all of them -> (B, T, D), memory of these."""
        after = []
        for i in blocks:
            x, present = self.blocks[i](x, first, memory[i], visible)
            after.append(present)
        return x, tuple(after)

    def finish(self, x: Tensor) -> Tensor:
        """Output of the last block (B, T, D) -> latent (B, T, D). The ReLU comes before the last layer's own norm."""
        return self.final_norm(self.last(F.relu(x)))

    def forward(
        self, frames: Tensor, first: Tensor, memory: tuple[BlockMemory, ...], last_action: Tensor | None = None
    ) -> tuple[PolicyOutput, tuple[BlockMemory, ...]]:
        """frames (B, T, 128, 128, 3) uint8, or the trunk's outputs as `pack` puts them; first (B, T) bool; last_action
        (B, T, 2) int64: buttons and camera index at the frame before, -1 where it is not known (None: nowhere), read by
        an agent that has `last_action` -> PolicyOutput and the memory after the chunk. A memory made from pictures goes
        on with pictures, one made from outputs with these.
        """
        if first.shape != frames.shape[:2] or first.dtype != torch.bool:
            raise ValueError(f"first is bool {tuple(frames.shape[:2])}, one flag a frame; got {first.dtype} "
                             f"{tuple(first.shape)}")  # fmt: skip
        visible = window_mask(first, memory[-1].mask, self.config.memory_frames)
        x, _, trunk = self.encode_frames(frames, first, memory[0], visible)
        x = self.add_own_motion(x, last_action)
        x, others = self.run_blocks(x, first, memory, visible, range(1, len(self.blocks)))
        latent = self.finish(x)
        return PolicyOutput(self.heads(latent), self.value(latent), latent), (trunk, *others)

    @torch.no_grad()
    def act(
        self,
        frame: Tensor,
        first: Tensor,
        memory: tuple[BlockMemory, ...],
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        last_action: Tensor | None = None,
    ) -> tuple[tuple[Tensor, Tensor], tuple[BlockMemory, ...]]:
        """One step: frame (B, 128, 128, 3), first (B,), last_action (B, 2) -> (buttons_index, camera_index) (B,) and
        memory.

        temperature 0 takes the most likely action.
        """
        last_action = None if last_action is None else last_action[:, None]
        output, memory = self(frame[:, None], first[:, None], memory, last_action)
        buttons, camera = output.action.sample(generator, temperature)
        return (buttons[:, 0], camera[:, 0]), memory
