"""When an agent hears what is typed to it: one token a tick, from the next tick on, after what it is still to hear.

In: words, the agent, its memory before, the frame of its life that comes next. Out: the words with times of that life.

    words = typed_words("let's chop a tree".split(), agent, memory, frame=41)
"""

from collections.abc import Sequence

import numpy as np

from vlpt.agent import Agent, AgentMemory
from vlpt.data.words import Word, tokenise
from vpt.frames import FRAME_MS

DEAF_FRAMES = 4  # a word, where nobody hears it


def typed_words(words: Sequence[str], agent: Agent, memory: AgentMemory, frame: int) -> list[Word]:
    """Each from the tick of its first token until that of the next word's."""
    frames_per_tick = agent.model.config.frames_per_tick if agent.speaks else DEAF_FRAMES
    owner = np.arange(len(words))
    if agent.speaks:
        owner = tokenise([Word(word, 0.0, 0.0) for word in words], agent.tokenizer).word
    first = np.searchsorted(owner, np.arange(len(words) + 1))  # token of each word; and how many there are
    tick = -(-frame // frames_per_tick) + len(memory.queue[0])
    times_ms = (tick + first) * frames_per_tick * FRAME_MS
    return [Word(word, *map(float, times_ms[i : i + 2])) for i, word in enumerate(words)]
