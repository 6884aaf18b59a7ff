"""A spoken word: what narration makes, recognition finds and shards keep."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One spoken word; the interval is [start_ms, end_ms)."""

    word: str
    start_ms: float
    end_ms: float
