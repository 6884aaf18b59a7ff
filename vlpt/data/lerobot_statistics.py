"""Statistics of a dataset's columns and pictures as LeRobot keeps them, of parts and of parts taken together.

In: values. Out: min, max, mean, std, count and quantiles, as lists in `lerobot`'s shapes. Of parts taken together all
are exact but the quantiles, which are means of the parts' weighted by their counts, as LeRobot's own are.

    whole = together([statistics(one), statistics(other)])
"""

from collections.abc import Sequence

import numpy as np

PERCENTS = (1, 10, 50, 90, 99)


def statistics(values: np.ndarray, axis: tuple[int, ...] = (0,), scale: float = 1.0) -> dict[str, list]:
    """Over `axis`; nan does not count. Of pictures (n, H, W, 3) with three axes: shapes (3, 1, 1)."""
    values = np.asarray(values, dtype=np.float64) / scale
    if values.ndim == 1:
        values = values[:, None]
    values = values[~np.isnan(values).reshape(len(values), -1).any(1)]
    count = len(values)
    values = values if count else np.zeros((1, *values.shape[1:]))
    made = {"min": values.min(axis), "max": values.max(axis), "mean": values.mean(axis), "std": values.std(axis)}
    for percent in PERCENTS:
        made[f"q{percent:02d}"] = np.percentile(values, percent, axis=axis)
    if len(axis) > 1:  # pictures: (channels, 1, 1)
        made = {name: value[:, None, None] for name, value in made.items()}
    return {**{name: value.tolist() for name, value in made.items()}, "count": [count]}


def together(parts: Sequence[dict[str, list]]) -> dict[str, list]:
    """Of one feature: the statistics of all values from those of parts of them."""
    parts = [part for part in parts if part["count"][0]] or parts[:1]
    counts = np.array([part["count"][0] for part in parts], np.float64)
    share = counts / counts.sum() if counts.sum() else np.ones(1)
    stacked = {name: np.array([part[name] for part in parts], np.float64) for name in parts[0] if name != "count"}
    made = {name: np.tensordot(share, values, 1) for name, values in stacked.items()}
    square = np.tensordot(share, stacked["std"] ** 2 + stacked["mean"] ** 2, 1) - made["mean"] ** 2
    made |= {"min": stacked["min"].min(0), "max": stacked["max"].max(0), "std": np.sqrt(np.maximum(square, 0))}
    return {**{name: value.tolist() for name, value in made.items()}, "count": [int(counts.sum())]}
