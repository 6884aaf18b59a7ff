"""One life of the agent in a world, frame by frame, with a person's hands or its own, and perhaps recorded.

In: a world, a seed; per frame: hands or none, whether to tell where words look. Out: what is to be shown of the frame,
handed on before the world goes on.

    life = Life(agent, world, seed=3)
    life.hear("jump"); life.go_on(hands=None, look=True, show=lambda told, jpeg: ...)
"""

import time
from collections.abc import Callable
from contextlib import nullcontext

import cv2
import numpy as np

from vlpt.agent import Agent
from vlpt.data.words import Word
from vlpt.live.drawing import draw_otherwise
from vlpt.live.hands import Hands
from vlpt.live.recorder import LiveRecorder
from vlpt.live.typed import typed_words
from vlpt.looking import looking, place_weights
from vlpt.worlds import noop
from vpt.actions import BUTTONS, WorldAction

JPEG_QUALITY = 88


class Life:
    """`frame`: number of the next one; `over`: the world says so; `costs_s`: of the last frame, agent and world."""

    def __init__(self, agent: Agent, world, seed: int) -> None:
        self.agent, self.world, self.seed = agent, world, seed
        self.observation, self.info = world.reset(seed=seed)
        self.memory = agent.start(seed=seed)
        self.frame, self.over, self.costs_s = 0, False, (0.0, 0.0)
        self.recorder: LiveRecorder | None = None

    def go_on(self, hands: Hands | None, look: bool, show: Callable[[dict, bytes], None]) -> None:
        """One frame: the agent sees, whoever has the hands acts, that is shown, the world goes on."""
        pov, before, begin_s = self.observation["pov"], self.info, time.monotonic()
        with looking(self.agent.model) if look and self.agent.speaks else nullcontext([]) as kept:
            (action,), (word,), self.memory = self.agent.act([pov], self.memory)
        acted_s = time.monotonic()
        if hands:
            action = hands.action()
        show(self._told(action, word, kept), jpeg_of(pov))
        self.observation, _, ended, cut, self.info = self.world.step({**noop(), **action})
        if hands:  # so that it remembers what was truly done
            done = action.buttons[None], np.asarray(self.info["camera_deg"], float)[None]
            self.memory = self.agent.set_actions(*done, self.memory)
        if self.recorder:
            self.recorder.add(pov, action, before, self.info, hands is not None, begin_s)
            if word:
                self.recorder.said(word, self.frame)
        self.frame, self.over = self.frame + 1, ended or cut
        self.costs_s = acted_s - begin_s, time.monotonic() - acted_s

    def hear(self, text: str) -> None:
        """What is typed, from the next tick on. Raises ValueError for an agent that hears nothing."""
        heard = typed_words(text.split(), self.agent, self.memory, self.frame)
        if self.recorder:
            self.recorder.typed(heard)
        self.memory = self.agent.hear(text, self.memory)

    def hear_spoken(self, words: list[Word], began_s: float) -> None:
        """What was spoken: the agent hears it from the next tick on, the recording has it when it was said."""
        if self.recorder:
            self.recorder.spoken(words, began_s)
        self.memory = self.agent.hear(" ".join(word.word for word in words), self.memory)

    def draw(self, **changes: float) -> None:
        """As `draw_otherwise`."""
        self.memory = draw_otherwise(self.agent, self.memory, **changes)

    def _told(self, action: WorldAction, word: str, kept: list) -> dict:
        p_silence = float(self.memory.p_silence[0])
        look = place_weights(kept, self.agent.model.config.policy.patches)[0].tolist() if kept else None
        return {
            "frame": self.frame, "buttons": [name for name in BUTTONS if action[name]],
            "camera_deg": action.camera_deg.round(3).tolist(),
            "p_silence": None if np.isnan(p_silence) else round(p_silence, 4), "unheard": len(self.memory.queue[0]),
            "look": look and [round(share, 4) for share in look],
            "said": [[who, piece] for who, piece in (("agent", word), ("person", self.memory.heard[0])) if piece],
        }  # fmt: skip


def jpeg_of(pov: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as a JPEG file."""
    bgr = cv2.cvtColor(pov, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
