"""Shards of a few seconds and run folders of tiny models with random weights, for what evaluate.py measures."""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from support.numbered_recordings import record
from support.toy_agent import TEXT, toy_model
from vlpt.data.oracle import ACTION_WORDS
from vlpt.data.shards import Episode, write_shards
from vlpt.data.words import Word, save_tokenizer, train_tokenizer, vocabulary
from vlpt.files import write_json
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.model import VLPT
from vlpt.parts import unjoined
from vpt.actions import BUTTONS, MINECRAFT
from vpt.senses import with_last_action

INSTRUCTIONS = ("okay let's jump three times on the spot", "okay i'm going to walk backwards for a bit",
                "okay i'm going to step to the left for a bit", "okay i'm going to step to the right for a bit",
                "okay let's have a look up")  # fmt: skip
FRAMES = 90
CHANNELS = ("ch0", "ch4", "ch5")  # two episodes each
HELD_OUT = ("ch4", "ch5")
COMMON = {"held_out": list(HELD_OUT), "chunk": 32, "max_lateness_ms": 2000, "start": "runs/before", "seed": 0}


def walk(number: int) -> np.ndarray:
    """(FRAMES, 20) uint8: forward for long, and back, left, jump, attack now and then."""
    buttons, random = np.zeros((FRAMES, len(BUTTONS)), np.uint8), np.random.default_rng(number)
    for key, length in (("forward", 30), ("back", 7), ("left", 5), ("jump", 2), ("attack", 9)):
        for start in random.integers(0, FRAMES - length, 2):
            buttons[start : start + length, MINECRAFT.column[key]] = 1
    return buttons


def write_play(folder: Path) -> Path:
    """Shards of six episodes that speak; frames 50..54 of each have no label."""
    episodes = []
    for number, (channel, i) in enumerate((channel, i) for channel in CHANNELS for i in range(2)):
        id_ = f"{channel}-{i:02}"
        record(folder / "videos", id_, number, FRAMES)
        camera_deg = np.random.default_rng(number).integers(-9, 9, (FRAMES, 2))
        camera_deg[::2] = 0
        buttons, camera = MINECRAFT.encode(walk(number), camera_deg)
        said = TEXT.split()[number:]
        words = [Word(word, 300.0 + 260 * k, 450.0 + 260 * k) for k, word in enumerate(said)]
        confidence = np.ones(FRAMES, np.float32)
        confidence[50:55] = 0
        null = MINECRAFT.is_null(*MINECRAFT.decode(buttons, camera))
        video = folder / "videos" / f"{id_}.mp4"
        episodes.append(Episode(id_, channel, video, words, buttons, camera, null, confidence))
    write_shards(folder / "shards", episodes, {"labels": "toy"})
    return folder / "shards"


@cache
def tokenizer():
    """Knows all words of the oracle, and those of some instructions."""
    return train_tokenizer([TEXT, *INSTRUCTIONS] * 3, 400, whole_words=ACTION_WORDS)


@cache
def joined() -> VLPT:
    """A toy agent that feels what it did, with open gates."""
    torch.manual_seed(1)
    policy = with_last_action(toy_model().policy)
    torch.nn.init.normal_(policy.last_action.network[2].weight, std=0.5)
    language = TransformerXL(TransformerXLConfig(vocabulary(tokenizer()), width=32, layers=2, heads=2, head_width=16,
                                                 inner=64, window=16))  # fmt: skip
    model = VLPT.from_parts(policy, language, frame_window=20, patch_window=12, words_window=40, cross_heads=2,
                            cross_head_width=16).eval()  # fmt: skip
    for gate in model.groups()["gates"]:
        torch.nn.init.constant_(gate, 0.7)
    return model


def write_run(folder: Path, model, stage: str, **options) -> None:
    """A run folder: weights, tokenizer, and the options it was made with."""
    model.save_pretrained(folder)
    save_tokenizer(tokenizer(), folder / "tokenizer.json")
    asked = COMMON | {"stage": stage, "name": folder.name, "words": "true", "frames": "true"} | options
    write_json(folder / "options.json", {"options": asked})


def write_all_runs(folder: Path) -> Path:
    """Every run of a demo: the joined ones are the two parts with closed gates."""
    apart = unjoined(joined())
    write_run(folder / "words", apart.language, "words")
    write_run(folder / "base", apart.policy, "base")
    for name in ("language", "action", "joint"):
        write_run(folder / name, apart, name)
    write_run(folder / "without_words", joined(), "action", words="silence")
    write_run(folder / "without_frames", joined(), "language", frames="blank")
    write_run(folder / "oracle", joined(), "action", words="oracle")
    write_run(folder / "shuffled", apart, "action", words="shuffled")
    return folder
