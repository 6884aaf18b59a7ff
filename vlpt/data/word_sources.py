"""What is said in each episode, tick by tick: the true words, or the other words of an experiment.

In: episodes, a tokenizer. Out: for an episode and a source, the token (or silence) and the late mask of each tick.

| source         | what is heard and to be said |
|----------------|------------------------------|
| true           | the episode's own words |
| swapped        | those of another episode, always the same one: does it matter which words? |
| silence        | nothing |
| oracle         | names of the next tick's actions, by vlpt/data/oracle.py: the control that must show dependence |
| oracle_swapped | the oracle's words of another episode |
| shuffled       | those of another episode, another one in every epoch: a control to train on that must show none |
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from tokenizers import Tokenizer

from vlpt.data.oracle import action_ids, name_actions
from vlpt.data.shards import Episode
from vlpt.data.words import Placement, count_ticks, place, tokenise, vocabulary

KEPT = 256  # episodes whose words stay placed: those that lanes are in, and the partners of these
SOURCES = ("true", "swapped", "silence", "oracle", "oracle_swapped", "shuffled")


class WordStreams:
    """The placed words of a list of episodes; an episode's are placed when they are asked for.

    frames_per_tick and silence (V, which may lie beyond the tokenizer's range) are the language model's.
    """

    def __init__(self, episodes: Sequence[Episode], tokenizer: Tokenizer, frames_per_tick: int, silence: int,
                 max_lateness_ms: float, seed: int = 0):
        self.episodes, self.tokenizer, self.seed = list(episodes), tokenizer, seed
        self.frames_per_tick, self.silence, self.max_lateness_ms = frames_per_tick, silence, max_lateness_ms
        if silence < (smallest := vocabulary(tokenizer)):
            raise ValueError(f"silence = {silence} is a token of the tokenizer, which has {smallest}: the model and "
                             "the tokenizer do not belong together")
        self.placed = lru_cache(KEPT)(self._place)

    def tokens(self, index: int, source: str = "true", epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Episode number `index` -> tokens (ticks,) int64 with `silence`, late (ticks,) bool."""
        if source not in SOURCES:
            raise ValueError(f"words come from one of {', '.join(SOURCES)}, not {source!r}")
        if source == "silence":
            return np.full(self._ticks(index), self.silence), np.zeros(self._ticks(index), dtype=bool)
        other = index if source in ("true", "oracle") else self.partner(index, epoch + 1 if source == "shuffled" else 0)
        if source.startswith("oracle"):
            tokens, late = self._oracle(other)
        else:
            tokens, late = self.placed(other)[0].tokens, self.placed(other)[0].late
        return np.resize(tokens, self._ticks(index)), np.resize(late, self._ticks(index))

    def partner(self, index: int, draw: int = 0) -> int:
        """Another episode: see `partner`."""
        return partner(index, len(self.episodes), self.seed, draw)

    def report(self) -> list[dict]:
        """One dict an episode: how late its words had to be, and what could not be placed."""
        return [{
            "id": episode.id, "words": len(episode.words), "tokenless_words": tokenless, "tokens": len(placed.tick),
            "lateness_ms_mean": float(placed.lateness_ms.mean()) if len(placed.tick) else 0.0,
            "lateness_ms_max": float(placed.lateness_ms.max(initial=0.0)),
            "late_tokens": int(placed.late.sum()), "late_stretches": placed.late_stretches,
            "overflow": placed.overflow,
        } for episode, (placed, tokenless) in zip(self.episodes, map(self._place, range(len(self.episodes))),
                                                  strict=True)]

    def _ticks(self, index: int) -> int:
        return count_ticks(self.episodes[index].n_frames, self.frames_per_tick)

    def _place(self, index: int) -> tuple[Placement, int]:
        """An episode's words on its ticks, and how many of them the tokenizer turned into nothing."""
        episode = self.episodes[index]
        speech = tokenise(episode.words, self.tokenizer)
        try:
            placed = place(speech.tokens, speech.onsets_ms, self._ticks(index), self.frames_per_tick,
                           self.max_lateness_ms, self.silence)
        except ValueError as error:
            raise ValueError(f"episode {episode.id}: {error}") from error
        return placed, speech.tokenless_words

    def _oracle(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """At tick k-1 it says what tick k will do: heard at tick k, it names the actions of tick k."""
        ids, episode = np.array(action_ids(self.tokenizer)), self.episodes[index]
        names = ids[name_actions(episode.buttons_index, episode.camera_index, self.frames_per_tick)]
        return np.append(names[1:], self.silence), np.zeros(len(names), dtype=bool)


def partner(index: int, episodes: int, seed: int, draw: int = 0) -> int:
    """Another one of so many episodes, each being the partner of exactly one. Raises ValueError when there is none."""
    if episodes < 2:
        raise ValueError("swapping needs at least two episodes")
    return int(_partners(episodes, seed, draw)[index])


@lru_cache(4)
def _partners(episodes: int, seed: int, draw: int) -> np.ndarray:
    """(episodes,) int64, of each."""
    order = np.random.default_rng((seed, draw)).permutation(episodes)  # one cycle through all of them
    partners = np.empty_like(order)
    partners[order] = np.roll(order, -1)
    return partners
