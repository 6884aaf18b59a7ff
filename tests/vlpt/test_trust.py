"""Trust: simulations find what is known to be sound to be sound, and what is known to be wrong to be wrong.

Run: pytest tests/vlpt/test_trust.py
"""

import json

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from vlpt.evaluation import coverage
from vlpt.evaluation.null_effects import LEAST_KS, null_rows, p_value
from vlpt.evaluation.power import MOST, least_channels, power
from vlpt.evaluation.trust import Options, main, measured, short, table
from vlpt.evaluation.two_levels import SHAPES, TwoLevels, draw, estimate
from vlpt.metrics import t_interval


def drawn(correlation: float, channels: int, episodes: int, shape: str = "normal") -> tuple[np.ndarray, list[str]]:
    """(values, channels), flat, of one large draw."""
    values = draw(np.random.default_rng(0), shape, correlation, 1, channels, episodes)[0]
    return values.ravel(), [f"ch{i}" for i in range(channels) for _ in range(episodes)]


# ---- what numbers are made of


@pytest.mark.parametrize("shape", SHAPES)
def test_variances_are_those_that_were_drawn(shape):
    values, channels = drawn(0.4, 3000, 5, shape)
    found = estimate(3 + 2 * values, channels)
    assert found.mean == pytest.approx(3, abs=0.1)
    assert (found.channel, found.episode) == pytest.approx((1.6, 2.4), rel=0.12)
    assert found.correlation == pytest.approx(0.4, abs=0.05)
    assert found.of_channel_mean(5) == pytest.approx(2**2 * values.reshape(-1, 5).mean(1).var(), rel=0.02)


def test_variances_of_channels_with_unlike_numbers_of_episodes():
    values, channels = drawn(0.4, 3000, 6)
    kept = np.random.default_rng(1).random(len(values)) < 0.5
    values[~kept] = np.nan
    found = estimate(values, channels)
    assert (found.channel, found.episode) == pytest.approx((0.4, 0.6), rel=0.1) and 2 < found.episodes < 3
    assert estimate([1, 2, 1, 2], ["a", "a", "b", "b"]).channel == 0  # less than episodes alone would make
    for values, channels in (([1, 2], ["a", "a"]), ([1, 2], ["a", "b"]), ([1, float("nan"), 2], ["a", "a", "b"])):
        with pytest.raises(ValueError, match="need two channels, and two episodes in one of them"):
            estimate(values, channels)


def test_a_cautious_variance_is_above_the_true_one_as_often_as_it_says():
    above = 0
    for i in range(200):
        values = draw(np.random.default_rng(i), "normal", 0.4, 1, 4, 3)[0]
        found = estimate(values.ravel(), np.repeat(list("abcd"), 3).tolist())
        if found.channel:
            assert found.cautious(0.8).of_channel_mean(3) > found.of_channel_mean(3)
        above += found.cautious(0.8).of_channel_mean(3) > 0.4 + 0.6 / 3
    assert 0.72 < above / 200 < 0.9


# ---- intervals and p-values


def test_what_covers_and_what_does_not():
    """Student's t over channels does, whatever channels differ by; over episodes it does not where channels differ."""
    rows = {}
    for name, (interval, _) in coverage.INTERVALS.items():
        values = draw(np.random.default_rng(0), "normal", 0.5, 300, 8, 3)
        ends = (interval(one, i) for i, one in enumerate(values))
        rows[name] = coverage._row(name, "8 x 3", "channels differ", ends, 0.0, 300)
    assert not short(rows["over channels"]) and rows["over channels"]["coverage"] < 0.985
    assert short(rows["over episodes (control)"])
    assert rows["over channels"]["error"] == pytest.approx(0.0126, abs=0.003)


def test_two_channels_and_arenas_are_among_what_is_simulated():
    rows = {(row["interval"], row["size"], row["world"]): row for row in coverage.of_channels(0.3, 20, 0)}
    assert len(rows) == 4 * 3 * (4 + 2)
    assert rows["over channels", "2 x 3", "channels differ"]["coverage"] >= 0.8
    rows = {(row["interval"], row["size"], row["world"]): row["coverage"] for row in coverage.of_arenas(80, 0)}
    assert rows["t over arenas, all instructions", "40", "often done"] > 0.88
    assert rows["Wilson, a life an arena", "40", "often done"] > 0.88
    assert rows["t over arenas, one instruction", "4", "seldom done"] < 0.7  # none of four: no interval at all


def test_a_p_value_is_that_of_students_test():
    values = np.random.default_rng(0).normal(0.6, 1, 9)
    found = t_interval(values)
    for cut in (found.low, found.low + 0.05):  # an end that was cut tells nothing
        assert p_value(found.delta, cut, found.high, 9) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=1e-3)
    assert p_value(0.5, 0.5, 0.5, 9, nothing=0.5) == 1.0


def test_p_values_are_uniform_where_nothing_is_to_be_found_and_units_are_right():
    rows = {row["instrument"]: row for row in null_rows(0.5, 60, 0)}
    control = rows.pop("episodes as units (control)")
    assert control["ks"] < LEAST_KS and control["below"] > 0.1
    assert len(rows) == 4
    for row in rows.values():
        assert row["ks"] > LEAST_KS and row["below"] < 0.05 + 4 * row["error"] and len(set(row["p_values"])) > 25


# ---- power


def test_power_is_how_often_the_effect_is_found():
    effect, channels = 0.7, 10
    values = effect + draw(np.random.default_rng(0), "normal", 0.3, 2000, channels, 4).mean(2)
    variance = TwoLevels(effect, 0.3, 0.7, channels, 4).of_channel_mean(4)
    share = (ttest_1samp(values, 0, axis=1).pvalue < 0.05).mean()
    assert power(effect, variance, channels) == pytest.approx(share, abs=0.03)
    assert power(0, variance, channels) == pytest.approx(0.05, abs=1e-6)


def test_the_least_number_of_channels():
    for effect in (0.2, 1.0, 3.0):
        least = least_channels(effect, 1.0)
        assert power(effect, 1.0, least) >= 0.8 > power(effect, 1.0, least - 1)
        assert all(power(effect, 1.0, more) >= 0.8 for more in range(least, MOST, 50))
    assert least_channels(1.0, 1.0) == 10 and least_channels(0.5, 1.0) == 34  # as tables of the t test have it
    assert least_channels(0.0, 1.0) is None and least_channels(0.01, 1.0) is None and MOST == 1000


# ---- the program


def losses(by: float) -> dict:
    """Of four episodes in two channels, the last without a token."""
    return {"action": [1 + by, 1.2 + 2 * by, 1.1, 0.9 + by], "token": [2.0, 2.1 + by, 2.2 + 2 * by, None]}


@pytest.fixture
def files(tmp_path):
    episodes = ["a-00", "a-01", "b-00", "b-01"]
    worth = {"losses": {"action": losses(0), "without_words": losses(0.1), "language": losses(0),
                        "without_frames": losses(0.3)}, "episodes": episodes}  # fmt: skip
    flow = {"losses": {"open": losses(0), "all": losses(0.2), "none": losses(0)}, "closed": {"all": {}, "none": {}},
            "episodes": ["x", "y", "z", "u"], "channels": ["a", "a", "b", "b"]}  # fmt: skip
    for name, content in (("worth", worth), ("flow", flow), ("other", {"episodes": episodes})):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_differences_are_read_from_what_was_measured(files):
    found = {name: (values, channels) for name, values, channels in measured(str(files / "worth.json"))}
    values, channels = found["worth: frames"]
    np.testing.assert_allclose(values, [0, 0.3, 0.6, np.nan], atol=1e-9)
    assert channels == list("aabb") and set(found) == {"worth: words", "worth: frames"}
    assert dict((name, channels) for name, _, channels in measured(str(files / "flow.json")))["closed: all: token"] == (
        list("aabb"))  # fmt: skip


def test_the_program_writes_what_it_prints(files, capsys):
    out = files / "trust.json"
    found = main(Options(evaluation=(str(files / "worth.json"), str(files / "flow.json")), draws=5, out=str(out)))
    assert json.loads(out.read_text()) == found and out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert set(found["power"]) == {"worth: words", "worth: frames", "closed: all: token", "closed: all: action"}
    assert found["variances"]["worth: words"]["mean"] == pytest.approx(0.1)
    assert found["correlation"] == max(one["correlation"] for one in found["variances"].values())
    printed = capsys.readouterr().out
    assert table(found) in printed and "worth: frames" in printed and "episodes as units (control)" in printed
    whole, half = (next(row for row in found["power"]["worth: words"] if row["episodes"] == 4 and row["part"] == part)
                   for part in (1.0, 0.5))  # fmt: skip
    assert whole["channels"] < half["channels"] and whole["hours"] == pytest.approx(whole["channels"] * 200 / 3600)


def test_a_file_without_losses_is_named(files):
    for name, said in (("other", "does not hold losses of episodes"), ("none", "cannot be read as JSON")):
        with pytest.raises(ValueError, match=rf"{name}\.json {said}"):
            main(Options(evaluation=(str(files / f"{name}.json"),)))
    with pytest.raises(ValueError, match=r"--out found\.png is the name of the picture"):
        Options(out="found.png")
