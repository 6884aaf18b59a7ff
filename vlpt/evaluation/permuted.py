"""What is claimed at a moment, held against other moments: does it fit when it is said better than at any other time?

In: claims, each at a tick of a life and on a topic; of each topic, whether it is true at every tick of every life. Out:
the share of claims that are true, the share when talk and play are of other times, their ratio and a p value.

Talk and play each repeat themselves for seconds, so that claims are no independent draws: a permutation takes the whole
talk of a life, in its order and rhythm, to another life (or the same), a random time later (or earlier, around the
end). One-sided p with the found one among them (Phipson & Smyth 2010). Shares are means over channels of their lives'
means, as vlpt/evaluation/shares.py has them; an agent's lives are a channel each.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vlpt.evaluation.shares import share

Truth = Callable[[object, int], np.ndarray]  # (topic, number of a life) -> (its ticks,) 1 or 0


@dataclass(frozen=True)
class Claim:
    """What is said in a life."""

    life: int
    tick: int
    topic: object  # hashable


def against_others(
    claims: Sequence[Claim], truth: Truth, channels: Sequence[str], permutations: int, seed: int
) -> dict:  # fmt: skip
    """channels: of each life -> {"true": as `share`, "permuted", "low", "high": mean of the permutations,
    and what 95 % of them lie between, "ratio", "p"}; None where nothing is claimed.
    """
    lives = len(channels)
    rows = {topic: [truth(topic, life) for life in range(lives)] for topic in {claim.topic for claim in claims}}
    own = [float(rows[one.topic][one.life][one.tick]) for one in claims]
    numbers = [one.life for one in claims]
    found = {"true": share(own, [channels[life] for life in numbers], numbers, seed)}
    if not claims or not len(long_enough(rows, lives)):
        return found | dict.fromkeys(("permuted", "low", "high", "ratio", "p"))
    others = permuted(claims, rows, lives, permutations, np.random.default_rng(seed)) @ weights(numbers, channels)
    low, high = np.percentile(others, [2.5, 97.5])
    mean, true = float(others.mean()), found["true"]["share"]
    return found | {"permuted": mean, "low": float(low), "high": float(high), "ratio": true / mean if mean else None,
                    "p": float((1 + (others >= true - 1e-9).sum()) / (1 + permutations))}  # fmt: skip


def permuted(claims: Sequence[Claim], rows: dict, lives: int, permutations: int, random: np.random.Generator
             ) -> np.ndarray:  # fmt: skip
    """(permutations, claims): whether each is true, each time with other play. rows: {topic: [(ticks,) a life]}."""
    own = np.array([one.life for one in claims])
    able = long_enough(rows, lives)
    drawn = random.integers(len(able), size=(permutations, lives))  # who is too short to be another's play has it, too
    drawn[:, able] = random.permuted(np.tile(np.arange(len(able)), (permutations, 1)), axis=1)
    partner = able[drawn][:, own]  # (permutations, claims)
    shift = random.random((permutations, lives))[:, own]
    found = np.zeros(partner.shape)
    for column, one in enumerate(claims):
        for life, row in enumerate(rows[one.topic]):
            there = partner[:, column] == life
            found[there, column] = row[(one.tick + (shift[there, column] * len(row)).astype(int)) % len(row)]
    return found


def long_enough(rows: dict, lives: int) -> np.ndarray:
    """Numbers of the lives in which every topic has a tick."""
    return np.flatnonzero([all(len(row[life]) for row in rows.values()) for life in range(lives)])


def weights(numbers: Sequence[int], channels: Sequence[str]) -> np.ndarray:
    """numbers (claims,) of lives -> (claims,) what each counts in a mean over channels of their lives' means."""
    of_channel = Counter(channels[life] for life in {*numbers})  # lives in which something is claimed
    of_life = Counter(numbers)
    return np.array([1 / len(of_channel) / of_channel[channels[life]] / of_life[life] for life in numbers])
