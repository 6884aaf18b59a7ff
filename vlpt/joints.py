"""How an agent and a language model are joined: the settings, and what is new beside the two models.

In: a configuration. Out: silence and the cross attentions, as parts of a fused model or, in a folder of their own, to
join two other models of the same sizes with.

    python -m vlpt.write_joints --model runs/demo/language --out joints       # of a fused model
    model = VLPT.from_parts(policy, language, Joints.from_pretrained("joints"))
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import nn

from vlpt.fusion import GatedCrossAttention
from vlpt.intention import Intention
from vlpt.language.decoder import DecoderConfig
from vlpt.language.families import config_of
from vlpt.language.silence import Silence
from vlpt.language.transformer_xl import TransformerXLConfig
from vlpt.target import Target
from vpt.checkpoint import Pretrained, with_tuples
from vpt.policy import Policy, PolicyConfig

PARTS = ("silence", "words_ask_frames", "frames_ask_words", "intention", "target")


@dataclass(frozen=True)
class VLPTConfig:
    """How the two models are joined. Windows are in frames: how far back words ask frames and the patches of frames at
    ticks, and frames ask words.
    """

    policy: PolicyConfig
    language: TransformerXLConfig | DecoderConfig
    frames_per_tick: int = 4
    frame_window: int = 128
    patch_window: int = 32  # 0: words ask the vectors of frames only
    words_window: int = 256
    silence: str = "factored"  # or softmax, see vlpt/language/silence.py
    flamingo_every: int = 0  # 0: words ask frames once, at the input (PaLI); n: before every n-th layer (Flamingo)
    frames_ask: str = "ticks"  # all ticks, each a reading of the latest word in the light of now; or only "words"
    ask_every_block: bool = False  # frames ask words before each of blocks 2..n, not only before block 2
    intention: bool = False  # a reader of what words say will be done soon, beside frames ask words
    target: bool = False  # a reader of where the thing is that words name, of an agent with a finder
    # joints in a folder of their own also have the agent's finder, blocks 2..n and last layer, as joining left them
    own_body: bool = False
    cross_heads: int = 4
    cross_head_width: int = 32

    # as folders saved before had it
    RENAMED: ClassVar = dict(sight_window="frame_window", listen_to="frames_ask", listen_every_block="ask_every_block")
    ADDED: ClassVar = ("silence.since_weight",)  # later than the first folders, in which it was nothing

    def __post_init__(self) -> None:
        if isinstance(self.policy, dict):  # as config.json holds them
            object.__setattr__(self, "policy", PolicyConfig(**with_tuples(self.policy)))
        if isinstance(self.language, dict):
            object.__setattr__(self, "language", config_of(self.language))
        if self.policy.blocks < 2:
            raise ValueError(f"frames ask words before VPT's block 2, but this agent has {self.policy.blocks} block")
        if self.frames_ask not in ("words", "ticks"):
            raise ValueError(f"frames_ask is words or ticks, got {self.frames_ask!r}")
        if self.target and not self.policy.things:
            raise ValueError("a reader of targets needs an agent with a finder: see python train.py finder --help")
        for name in ("frames_per_tick", "frame_window", "words_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of frames, at least 1; got {getattr(self, name)}")
        if self.patch_window < 0:
            raise ValueError(f"patch_window is a number of frames, 0 for none; got {self.patch_window}")

    @property
    def layer_spans(self) -> tuple[range, ...]:
        """The language model's layers in portions, before each of which words ask frames."""
        return _spans(range(0, self.language.layers, self.flamingo_every or self.language.layers), self.language.layers)

    @property
    def block_spans(self) -> tuple[range, ...]:
        """The policy's blocks after the trunk in portions, before each of which frames ask words."""
        return _spans(range(1, self.policy.blocks if self.ask_every_block else 2), self.policy.blocks)


def _spans(starts: range, end: int) -> tuple[range, ...]:
    """From each start to the next one, and from the last to `end`."""
    return tuple(range(start, stop) for start, stop in pairwise((*starts, end)))


class Joints(nn.Module, Pretrained):
    """Silence, words ask frames before some of the language model's layers, frames ask words before some blocks."""

    config_class = VLPTConfig

    def __init__(self, config: VLPTConfig) -> None:
        super().__init__()
        self.config = config
        agent, words = config.policy.width, config.language.width
        patches = (config.policy.patches, config.policy.patch_width) if config.patch_window else None
        self.silence = Silence(words, config.silence)
        self.words_ask_frames = nn.ModuleDict(
            {str(span.start): self._cross(words, agent, config.frame_window, patches) for span in config.layer_spans}
        )
        self.frames_ask_words = nn.ModuleDict(
            {str(span.start): self._cross(agent, words, config.words_window) for span in config.block_spans}
        )

        self.intention = Intention(words, agent) if config.intention else None
        self.target = Target(config.policy.things, words, agent) if config.target else None
        self.body = body_of(Policy(config.policy)) if config.own_body else None

    def _cross(
        self, width: int, source_width: int, window: int, patches: tuple[int, int] | None = None
    ) -> GatedCrossAttention:
        c = self.config
        return GatedCrossAttention(width, source_width, window, c.cross_heads, c.cross_head_width, patches=patches)

    @classmethod
    def of(cls, model) -> "Joints":
        """Those of a fused model, not a copy."""
        joints = cls(model.config)
        for part in PARTS:
            setattr(joints, part, getattr(model, part))
        joints.body = body_of(model.policy) if model.config.own_body else None
        return joints

    def put_into(self, model) -> None:
        """Gives a fused model these weights. Raises ValueError where they are of another size."""
        try:
            Joints.of(model).load_state_dict(self.state_dict())
        except RuntimeError as error:
            ours, theirs = ((c.policy.width, c.language.width) for c in (self.config, model.config))
            raise ValueError(f"joints of an agent and a language model of widths {ours} do not fit those of widths "
                             f"{theirs}: take joints that were trained with models of these sizes") from error


def body_of(policy: Policy) -> nn.ModuleDict:
    """What of an agent stage action trains with --only-blocks, and its finder; not a copy."""
    found = {"blocks": policy.blocks[1:], "last": policy.last, "final_norm": policy.final_norm}
    return nn.ModuleDict(found | ({"finder": policy.finder} if policy.finder else {}))
