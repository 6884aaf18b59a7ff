"""The oracle's words: a control in which what is heard names what will be done, so that dependence must be found.

In: labelled actions of an episode. Out: one word a tick naming the actions of the tick's frames, out of ACTION_WORDS
(108: hands, feet, gaze). A tokenizer that holds them as whole words says each in one token.

    tokenizer = train_tokenizer(texts, 1500, whole_words=ACTION_WORDS)
"""

from itertools import product

import numpy as np
from tokenizers import Tokenizer

from vpt.actions import MINECRAFT

_HANDS = ("empty", "attack", "use")
_FEET = ("stand", "forward", "jump", "step")
_YAW = ("", "left", "right")
_PITCH = ("", "up", "down")
ACTION_WORDS = tuple("-".join(part for part in parts if part) for parts in product(_HANDS, _FEET, _YAW, _PITCH))


def action_ids(tokenizer: Tokenizer | None) -> list[int]:
    """The token of each action word. Raises ValueError when the tokenizer has no such tokens."""
    ids = [tokenizer.token_to_id(word) if tokenizer else None for word in ACTION_WORDS]
    if None in ids:
        raise ValueError(f"the tokenizer has no token {ACTION_WORDS[ids.index(None)]!r}: train it with "
                         "whole_words=ACTION_WORDS to run the oracle control")
    return ids


def name_actions(buttons_index: np.ndarray, camera_index: np.ndarray, frames_per_tick: int) -> np.ndarray:
    """buttons_index (N,), camera_index (N,) -> (ticks,) int64, index into ACTION_WORDS of each tick's actions.

    A button counts when it is down in half of the tick's frames or more; the gaze by the direction of its sum.
    """
    buttons, camera_deg = MINECRAFT.decode(buttons_index, camera_index)
    starts = np.arange(0, len(buttons), frames_per_tick)
    frames = np.diff(np.append(starts, len(buttons)))
    down = np.add.reduceat(buttons.astype(np.int64), starts) * 2 >= frames[:, None]
    turned = np.sign(np.add.reduceat(camera_deg, starts).round(6)).astype(np.int64)
    on = {name: down[:, column] for name, column in MINECRAFT.column.items()}
    hands = np.where(on["attack"], 1, np.where(on["use"], 2, 0))
    step = on["back"] | on["left"] | on["right"]
    feet = np.where(on["jump"], 2, np.where(on["forward"], 1, np.where(step, 3, 0)))
    yaw, pitch = turned[:, 1] % 3, turned[:, 0] % 3  # -1 (left, up) becomes 2
    swap = np.array([0, 2, 1])  # names list left and up before right and down
    return np.ravel_multi_index((hands, feet, swap[yaw], swap[pitch]), (3, 4, 3, 3))
