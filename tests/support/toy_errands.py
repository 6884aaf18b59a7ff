"""Play in which it is known what words tell, and a small fused agent that learned it.

Every 60 frames a picture is red or blue, the player names its colour and says what it will do, dig or hop, then does
that for two seconds: colour can be seen and not chosen, what is done cannot be seen. So of two announcements of other
kinds words can tell two of three apart by what is done, and films two of three by the colour.
"""

from functools import cache
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch

from vlpt.data.lanes import Lanes
from vlpt.data.shards import Episode, Shards, write_shards
from vlpt.data.trunk_features import cache_features
from vlpt.data.words import Word, save_tokenizer, train_tokenizer, vocabulary
from vlpt.files import write_json
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.model import VLPT
from vlpt.training.losses import action_nats, language_loss
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import write_video
from vpt.policy import Policy, PolicyConfig

HELD_OUT = ("ch4", "ch5", "ch6")
CHANNELS = ("ch0", "ch1", "ch2", *HELD_OUT)
PERIOD, BEGINS, DOES = 60, 24, 24  # frames of a period, its errand's first one, how many it takes
RGB = {"red": (220, 30, 30), "blue": (30, 30, 220)}
KEYS = {"dig": "attack", "hop": "jump"}
PLANS = tuple(product(RGB, KEYS))  # every one once an episode
FRAMES = PERIOD * len(PLANS)


@cache
def tokenizer():
    return train_tokenizer(["red blue dig hop well"] * 3, 300)


def plan(seed: int) -> list[tuple[str, str]]:
    """(colour, what is done) of each period of an episode."""
    return [PLANS[i] for i in np.random.default_rng(seed).permutation(len(PLANS))]


def play(folder: Path, id_: str, seed: int) -> Episode:
    """One episode. "well" is said at the end of every period."""
    random, buttons, words, errands = np.random.default_rng(seed), np.zeros((FRAMES, len(BUTTONS)), np.uint8), [], []
    folder.mkdir(parents=True, exist_ok=True)
    with write_video(folder / f"{id_}.mp4", (128, 128)) as video:
        for number, (colour, does) in enumerate(plan(seed)):
            start, begins = PERIOD * number, PERIOD * number + BEGINS
            for frame in range(PERIOD):
                noise = random.integers(0, 30, (8, 8, 3)).astype(np.uint8)
                shade = RGB[colour] if frame < BEGINS else (90, 90, 90)
                video.write(np.clip(cv2.resize(noise, (128, 128)) + np.array(shade), 0, 255).astype(np.uint8))
            said = ((colour, 500), (does, 720), ("well", 2700))
            words += [Word(word, 50.0 * start + at, 50.0 * start + at + 210) for word, at in said]
            buttons[begins : begins + DOES, MINECRAFT.column[KEYS[does]]] = 1
            errands.append({"name": f"{does}-{colour} it", "start_frame": begins, "end_frame": begins + DOES,
                            "done": True})  # fmt: skip
    index, camera = MINECRAFT.encode(buttons, np.zeros((FRAMES, 2)))
    null = MINECRAFT.is_null(*MINECRAFT.decode(index, camera))
    return Episode(id_, id_.split("-")[0], folder / f"{id_}.mp4", words, index, camera, null,
                   np.ones(FRAMES, np.float32), errands=errands)  # fmt: skip


def write_errands(folder: Path) -> Path:
    """Shards of nine episodes, two of each channel to learn from and one of each that is held out."""
    ids = [f"{channel}-{i:02}" for channel in CHANNELS for i in range(1 if channel in HELD_OUT else 2)]
    episodes = [play(folder / "videos", id_, seed) for seed, id_ in enumerate(ids)]
    write_shards(folder / "shards", episodes, {"labels": "toy"})
    return folder / "shards"


def untrained() -> VLPT:
    """A fused agent with random weights and open gates."""
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25))
    language = TransformerXL(TransformerXLConfig(vocabulary(tokenizer()), width=32, layers=2, heads=2, head_width=16,
                                                 inner=64, window=16))  # fmt: skip
    model = VLPT.from_parts(policy, language, frame_window=20, patch_window=12, words_window=60, cross_heads=2,
                            cross_head_width=16).eval()  # fmt: skip
    for gate in model.groups()["gates"]:
        torch.nn.init.constant_(gate, 0.7)
    return model


def trained(shards: Shards, steps: int) -> VLPT:
    """The same after some updates on the other channels."""
    model, episodes = untrained(), [episode for episode in shards.episodes if episode.channel not in HELD_OUT]
    lanes = Lanes(shards, episodes, lanes=6, frames_per_chunk=PERIOD, tokenizer=tokenizer(), frames_per_tick=4,
                  silence=model.language.vocabulary, max_lateness_ms=2000,
                  read_frames=cache_features(model.policy, shards, episodes))  # fmt: skip
    model.requires_grad_(True)
    learned = [parameter for name, group in model.groups().items() if name != "trunk" for parameter in group]
    optimizer, memory = torch.optim.Adam(learned, 3e-3), model.start(6)
    for _, chunk in zip(range(steps), lanes, strict=False):
        output, memory = model(chunk.frames, chunk.first, chunk.heard, memory.detach())
        nats = sum(action_nats(output.action, chunk.buttons_index, chunk.camera_index))
        token = language_loss(model.language, output, chunk.spoken, chunk.language_mask)["token"]
        optimizer.zero_grad()
        (nats[chunk.action_mask].mean() + token.mean).backward()
        optimizer.step()
    return model.eval()


def write_model(folder: Path, model) -> None:
    """A run folder."""
    model.save_pretrained(folder)
    save_tokenizer(tokenizer(), folder / "tokenizer.json")
    write_json(folder / "options.json", {"options": {"held_out": list(HELD_OUT), "max_lateness_ms": 2000}})
