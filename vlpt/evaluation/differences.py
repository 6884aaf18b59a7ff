"""The losses of a model under two conditions, compared: of all frames, or tokens, and moment by moment.

In: `vlpt.evaluation.trial.Losses` of the same episodes, and each one's channel. Out: dicts, for JSON, and a table:

    difference(true, other, "action", channels)     # {"delta", "low", "high", "channels", "episodes"}
    by_moment(true, other, "action", channels)      # {moment: the same, and "nats", "count"}

delta: other - true, nats apiece; low, high: 95 % interval over channels (vlpt/metrics.py).
"""

from collections.abc import Sequence

import numpy as np

from vlpt.evaluation.errand_times import MOMENTS
from vlpt.evaluation.trial import Losses
from vlpt.metrics import interval, over_channels, paired_difference


def difference(true: Losses, other: Losses, loss: str, channels: Sequence[str], seed: int = 0, other_loss: str = ""
               ) -> dict:  # fmt: skip
    """Of all that counts; other_loss: the name of the loss in `other` where it differs. Raises ValueError for fewer
    than two episodes.
    """
    return paired_difference(true.each(loss), other.each(other_loss or loss), channels, seed).to_dict()


def by_moment(true: Losses, other: Losses, loss: str, channels: Sequence[str], seed: int = 0) -> dict[str, dict]:
    """Of each of MOMENTS, with the mean under the first condition, `nats`, and of how many it is, `count`. None where
    there is nothing.
    """
    found = {}
    for number, moment in enumerate(MOMENTS):
        one, another = true.moment(number), other.moment(number)
        each = another.each(loss) - one.each(loss)
        nats, count = one.mean(loss), one.count(loss)
        found[moment] = {**over_channels(each, channels, range(len(each)), seed).to_dict(),
                         "nats": None if np.isnan(nats) else nats, "count": count}  # fmt: skip
    return found


def moment_table(columns: dict[str, dict[str, dict]]) -> str:
    """A line a moment; columns: {title: what `by_moment` gives}."""
    lines = [" " * 16 + "".join(f"  {title:28}" for title in columns)]
    for moment in MOMENTS:
        lines.append(f"{moment:16}" + "".join(f"  {interval(rows[moment]):28}" for rows in columns.values()))
    return "\n".join(line.rstrip() for line in lines)
