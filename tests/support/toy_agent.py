"""A tiny agent with random weights, open gates and a loose tongue, and pictures for it to look at."""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from vlpt.data.oracle import ACTION_WORDS
from vlpt.data.words import save_tokenizer, train_tokenizer, vocabulary
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.model import VLPT
from vpt.policy import Policy, PolicyConfig

TEXT = "okay let's chop a tree and then look at the water over there"
FRAMES_PER_TICK = 4


@cache
def tokenizer():
    return train_tokenizer([TEXT] * 3, 300, whole_words=ACTION_WORDS[:5])


def toy_model(last_action: bool = True) -> VLPT:
    """Speaks on about half of its ticks. last_action: whether it knows what it did, as OpenAI's agents do not."""
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25,
                                 last_action=last_action))  # fmt: skip
    language = TransformerXL(TransformerXLConfig(vocabulary(tokenizer()), width=32, layers=2, heads=2, head_width=16,
                                            inner=64, window=16))
    model = VLPT.from_parts(policy, language, frames_per_tick=FRAMES_PER_TICK, frame_window=20, patch_window=10,
                            words_window=40, cross_heads=2, cross_head_width=16).eval()
    for gate in model.groups()["gates"]:
        torch.nn.init.constant_(gate, 0.7)
    torch.nn.init.zeros_(model.silence.logit.bias)
    for born_zero in (model.silence.since, *([policy.last_action.network[2].weight] if last_action else [])):
        torch.nn.init.normal_(born_zero, std=0.3)
    return model


def save_toy(folder: Path) -> Path:
    """A model folder as train.py leaves one."""
    toy_model().save_pretrained(folder)
    save_tokenizer(tokenizer(), folder / "tokenizer.json")
    return folder


def pictures(lanes: int, seed: int = 0, size: tuple[int, int] = (160, 90)) -> np.ndarray:
    """(lanes, height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (lanes, size[1], size[0], 3)).astype(np.uint8)
