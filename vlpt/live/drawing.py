"""Other temperatures and another guidance for an agent that plays already: its memory goes on.

In: an agent, its memory of one lane, fields of `vlpt.agent.Sampling`. Out: the memory that fits from now on.

    memory = draw_otherwise(agent, memory, guidance=2.0)

A guided agent remembers twice, with words and without. When guidance begins, the side without words begins with the
pictures of the other and with nothing heard; what the agent's own blocks remember of frames on which words had an
effect leaves it with their window, some seconds later.
"""

from dataclasses import replace

import torch

from vlpt.agent import Agent, AgentMemory
from vlpt.memory import Memory
from vpt.trees import map_tensors, tensors


def draw_otherwise(agent: Agent, memory: AgentMemory, **changes: float) -> AgentMemory:
    """Changes `agent.sampling`. Raises ValueError for values that it does not take, and guidance without words."""
    wanted = replace(agent.sampling, **changes)
    if wanted.guidance and not agent.speaks:
        raise ValueError("guidance has no effect: this agent hears no words")
    was, agent.sampling = agent.sampling, wanted
    if bool(was.guidance) == bool(wanted.guidance):
        return memory
    if was.guidance:
        return replace(memory, model=memory.model.index(slice(0, 1)))
    untold = iter(tensors(without_words(agent.model.start(1), memory.model)))
    return replace(memory, model=map_tensors(lambda told: torch.cat([told, next(untold)]), memory.model))


def without_words(fresh: Memory, memory: Memory) -> Memory:
    """What was seen, and nothing heard."""
    return replace(memory, language=fresh.language, words=fresh.words, word_key_values=fresh.word_key_values)
