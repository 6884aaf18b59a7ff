"""A share of what is right, with its interval over channels: for instruments that count hits.

In: of each example whether it was right (or how much of it), its channel and its episode. Out: share and 95 % interval.
The unit is the channel, then the episode: what one person says and does is no independent example.
"""

from collections.abc import Sequence

from vlpt.metrics import over_channels


def share(right: Sequence[float], channels: Sequence[str], episodes: Sequence[int], seed: int = 0) -> dict:
    """right (n,) in 0..1, channels (n,), episodes (n,) numbers -> {"share", "low", "high", "count", "channels"}.

    share and interval as `vlpt.metrics.over_channels` has them, cut at what a share can be.
    """
    found = over_channels(right, channels, episodes, seed)
    low, high = found.low, found.high
    if low is not None:
        low, high = max(0.0, low), min(1.0, high)
    return {"share": found.delta, "low": low, "high": high, "count": len(right), "channels": found.channels}


def shares_by_kind(
    right: Sequence[float], kinds: Sequence[str], channels: Sequence[str], episodes: Sequence[int], seed: int = 0
) -> dict[str, dict]:
    """As `share`, of "all" and, under "kinds", of each kind of example (n,)."""
    rows = list(zip(right, channels, episodes, kinds, strict=True))

    def of(*wanted: str) -> dict:
        chosen = [row for row in rows if row[3] in wanted]
        return share(*([row[i] for row in chosen] for i in range(3)), seed)

    each = sorted({row[3] for row in rows})
    return {"all": of(*each), "kinds": {kind: of(kind) for kind in each}}


def written(found: dict, digits: int = 3) -> str:
    """A share and its interval as text."""
    if found["share"] is None:
        return "none"
    ends = "" if found["low"] is None else f" [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"
    return f"{found['share']:.{digits}f}{ends}"
