"""How many channels, and hours, would show an effect: the power of Student's t test over channels.

In: an effect and what its differences vary by (two_levels.py). Out: chances of an interval that leaves 0 out, and
the least numbers of channels, two-sided at 5 %. By the distribution of the squared t statistic, a noncentral F (Cohen
1988, ch. 2): scipy's noncentral t is nan for large effects.

    power(effect=0.007, variance=found.of_channel_mean(4), channels=8)
    least_channels(0.007, found.of_channel_mean(4))
"""

from scipy.stats import ncf, t

WANTED, LEVEL = 0.80, 0.05
MOST = 1000  # channels; more is not looked for


def power(effect: float, variance: float, channels: int) -> float:
    """The chance that the 95 % t interval over so many channels leaves 0 out; variance: of channel means."""
    if effect == 0:
        return LEVEL  # of a noncentrality of 0 scipy's noncentral F makes less than nothing
    if variance <= 0:
        return 1.0
    edge = t.ppf(1 - LEVEL / 2, channels - 1) ** 2
    return float(ncf.sf(edge, 1, channels - 1, effect**2 * channels / variance))


def least_channels(effect: float, variance: float, wanted: float = WANTED) -> int | None:
    """The fewest channels with so much power; None where MOST are too few."""
    low, high = 1, MOST
    if effect == 0 or power(effect, variance, MOST) < wanted:
        return None
    while high - low > 1:  # power grows with channels
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, variance, middle) >= wanted else (middle, high)
    return high
