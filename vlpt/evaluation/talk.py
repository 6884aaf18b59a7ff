"""How somebody talks: in sentences that the grammar makes, how much, with which silences.

In: lives (lives.py), a grammar. Out: shares with 95 % intervals over lives, and the rhythm of an agent's talk
beside people's. For vlpt/evaluation/saying.py.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vlpt.data.sentences import Grammar, duration_ms, shuffled
from vlpt.evaluation.lives import Life
from vlpt.evaluation.shares import share
from vpt.frames import FRAMES_PER_SECOND

TALK = {"words_a_minute": "words a minute", "silence_s": "silences, s", "utterance_words": "utterances, words"}


def grammatical(lives_of: Sequence[Life], grammar: Grammar) -> dict:
    """Shares of sentences that the grammar makes, of words in such ones, and of sentences when words are shuffled."""
    random, found = np.random.default_rng(0), {}
    mixed = [replace(one, sentences=grammar.cut(shuffled(one.words, random))) for one in lives_of]
    for name, some, weighed in (("sentences", lives_of, False), ("words", lives_of, True), ("shuffled", mixed, False)):
        made = [(float(grammar.recognise(" ".join(word.word for word in sentence)) is not None), number)
                for number, life in enumerate(some) for sentence in life.sentences
                for _ in range(len(sentence) if weighed else 1)]  # fmt: skip
        found[name] = over_lives([one for one, _ in made], [number for _, number in made], lives_of)
    return found


def over_lives(values: Sequence[float], numbers: Sequence[int], lives_of: Sequence[Life]) -> dict:
    """The share of values in 0..1, each of the life of a number, over channels (an agent's lives are one each)."""
    return share(values, [lives_of[number].channel for number in numbers], numbers)


def talk_of(life: Life) -> dict[str, list[float]]:
    """Words a minute; seconds between two utterances, a word ending when people would have said it; words of each."""
    pairs = zip(life.sentences, life.sentences[1:], strict=False)
    silences = [(after[0].start_ms - before[-1].start_ms - duration_ms(before[-1].word)) / 1000
                for before, after in pairs]  # fmt: skip
    return {"words_a_minute": [len(life.words) * 60 * FRAMES_PER_SECOND / life.frames], "silence_s": silences,
            "utterance_words": [float(len(sentence)) for sentence in life.sentences]}  # fmt: skip


def talk_beside(agent: Sequence[Life], people: Sequence[Life]) -> dict[str, dict]:
    """Of each: people's mean and what 90 % of theirs lie between, the agent's mean, and its share that lies there."""
    mine, theirs, found = [talk_of(life) for life in agent], [talk_of(life) for life in people], {}
    for name in TALK:
        low, high = np.percentile(np.concatenate([one[name] for one in theirs]), [5, 95])
        values = [(value, number) for number, one in enumerate(mine) for value in one[name]]
        inside = over_lives([float(low <= value <= high) for value, _ in values], [n for _, n in values], agent)
        found[name] = {"people": float(np.mean(np.concatenate([one[name] for one in theirs]))), "low": float(low),
                       "high": float(high), "agent": float(np.mean([value for value, _ in values])) if values else None,
                       "within": inside}  # fmt: skip
    return found
