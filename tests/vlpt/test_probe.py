"""Probes find what is in the features, on other channels, and nothing where the truth is another one."""

import gzip
import json

import cv2
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from support.numbered_recordings import record

from data_gathering.shard import Options as ShardOptions
from data_gathering.shard import main as shard
from vlpt.data.shards import Shards
from vlpt.data.views import Line, answers, nearest_m, read_view
from vlpt.evaluation.probe import Options, Standard, Ticks, main, probe
from vpt.frames import write_video
from vpt.policy import Policy, PolicyConfig

FRAMES = 60
RGB = {"red": (200, 30, 30), "blue": (30, 30, 200), "yellow": (210, 200, 40)}


def view(frame: int, *things: tuple[str, str, int, float], hand: str = "axe") -> dict:
    """things: kind, colour, side, share."""
    said = [{"kind": kind, "colour": colour, "distance_m": 3.0 + side, "share": [share * (i == side) for i in range(3)]}
            for kind, colour, side, share in things]  # fmt: skip
    return {"frame": frame, "hand": hand, "things": said}


def as_read(lines: list[dict]) -> list[Line]:
    return TypeAdapter(list[Line]).validate_python(lines)


def write_view(folder, id_: str, lines: list[dict]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{id_}.view.jsonl.gz").write_bytes(gzip.compress(text.encode()))


def painted(folder, id_: str, seed: int) -> list[dict]:
    """Overwrites a recording's pictures: on noise one pillar, anywhere, or none. Returns what is in view."""
    random, lines = np.random.default_rng(seed), []
    with write_video(folder / f"{id_}.mp4", (128, 128)) as video:
        for frame in range(FRAMES):
            noise = random.integers(60, 160, (16, 16, 3)).astype(np.uint8)
            rgb = cv2.resize(noise, (128, 128), interpolation=cv2.INTER_LINEAR)
            colour, side = list(RGB)[random.integers(3)], int(random.integers(3))
            if shown := random.random() < 0.8:
                x = 43 * side + int(random.integers(0, 16))
                rgb[20:100, x : x + 26] = RGB[colour]
            video.write(rgb)
            lines.append(view(frame, *[("pillar", colour, side, 0.12)] * shown, hand="axe" if shown else "pick"))
    return lines


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    """Shards, views and an agent that was never trained."""
    folder = tmp_path_factory.mktemp("play")
    for i, id_ in enumerate(("ch0-00", "ch0-01", "ch1-00", "ch1-01", "ch2-00", "ch3-00")):
        record(folder / "recordings", id_, i, FRAMES)
        write_view(folder / "recordings", id_, painted(folder / "recordings", id_, i))
    shard(ShardOptions(recordings=str(folder / "recordings"), labels="truth", out=str(folder / "shards")))
    torch.manual_seed(0)
    Policy(PolicyConfig(16, 2, 2, 16, 8, 0.5, n_buttons=9, n_camera=9)).save_pretrained(folder / "model")
    return folder


def options(play, **changes) -> Options:
    made = dict(model=str(play / "model"), shards=str(play / "shards"), views=str(play / "recordings"), every=1,
                held_out=("ch2", "ch3"), least_ticks=5, device="cpu")  # fmt: skip
    return Options(**made | changes)


def test_what_is_painted_is_found_on_other_channels(play, capsys):
    result = main(options(play, out=str(play / "probe.json")))
    assert json.loads((play / "probe.json").read_text()) == result
    assert result["questions"] == 20 and result["ticks"] == {"train": 4 * FRAMES, "test": 2 * FRAMES}
    auc = {name: one["mean_auc"] for name, one in result["readings"].items()}
    assert auc["patches"] > 0.85 and auc["both"] > 0.85 and auc["pixels"] > 0.7
    assert result["readings"]["patches"]["groups"]["hand"] > 0.9 and result["readings"]["patches"]["distance_r2"] > 0.3
    assert "tree left" in result["left_out"] and "patches" in capsys.readouterr().out


def test_of_another_films_truth_nothing_is_found(play, tmp_path):
    """The same pictures, the truth of pictures that nobody sees."""
    for i, id_ in enumerate(("ch0-00", "ch0-01", "ch1-00", "ch1-01", "ch2-00", "ch3-00")):
        record(tmp_path, id_, i, 1)
        write_view(tmp_path, id_, painted(tmp_path, id_, 100 + i))
    result = main(options(play, views=str(tmp_path)))
    assert all(0.35 < one["mean_auc"] < 0.65 for one in result["readings"].values())


def test_a_thing_too_small_is_neither_there_nor_not():
    things = ("pillar", "red", 0, 0.1), ("pillar", "red", 0, 0.0004), ("flower", "red", 2, 0.1)
    lines = as_read([view(4 * i, thing) for i, thing in enumerate(things)])
    said = {question: y.tolist() for _, question, y in answers(lines, 0.001)}
    assert str(said["red pillar left"]) == "[1.0, nan, 0.0]" and said["red pillar right"] == [0, 0, 0]
    assert said["red right"] == said["red flower right"] == [0, 0, 1] and said["axe in the hand"] == [1, 1, 1]
    assert str(nearest_m(lines, 0.001).tolist()) == "[3.0, nan, 5.0]"


def test_a_penalty_is_chosen_without_the_held_out_channels():
    """Features that say the answer in training only must not look good because the test chose their penalty."""
    random = np.random.default_rng(0)
    y, v = random.integers(0, 2, 200).astype(float), random.integers(0, 2, 100).astype(float)

    def ticks(answer: np.ndarray, x: np.ndarray, episodes: int) -> Ticks:
        return Ticks({"x": x}, as_read([view(0)]) * len(answer), np.arange(len(answer)) * episodes // len(answer))

    x, u = random.normal(0, 1, (200, 5)), random.normal(0, 1, (100, 5))
    nowhere = np.full(200, np.nan), np.full(100, np.nan)
    nothing = probe("x", ticks(y, x, 4), ticks(v, u, 2), {"q": ("tree", y, v)}, nowhere)
    assert 0.3 < nothing["mean_auc"] < 0.7 and nothing["distance_r2"] is None
    x[:, 0], u[:, 0] = y, v
    assert probe("x", ticks(y, x, 4), ticks(v, u, 2), {"q": ("tree", y, v)}, nowhere)["mean_auc"] > 0.95


def test_a_rotation_keeps_distances():
    """More features than ticks: the same inner products, in as many numbers as there are ticks."""
    x = np.random.default_rng(0).normal(2, 3, (12, 40))
    turned, scaled = Standard(x)(x), (x - x.mean(0)) / x.std(0)
    assert turned.shape == (12, 12) and np.allclose(turned @ turned.T, scaled @ scaled.T, atol=1e-3)


@pytest.mark.parametrize(("changes", "said"), [
    (dict(channels=("ch0", "ch2")), "--channels and --held-out both name ch2"),
    (dict(channels=("ch0", "ch9")), "has no channel ch9"),
    (dict(held_out=()), "got 6 and 0"),
    (dict(least_ticks=1000), "lower --least-ticks"),
    (dict(views="nowhere"), "nowhere/ch0-00.view.jsonl.gz is missing: make it with python -m data_gathering.view"),
])  # fmt: skip
def test_what_a_person_gets_wrong_is_said(play, changes, said):
    with pytest.raises(ValueError, match=said):
        main(options(play, **changes))


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"{}\n"),
                                     gzip.compress(json.dumps(view(FRAMES)).encode()),
                                     gzip.compress(json.dumps(view(0)).encode() * 30)[:40]],
                         ids=["empty", "no gzip", "no lines", "no view", "another film", "cut short"])  # fmt: skip
def test_a_damaged_file_is_named(play, tmp_path, content):
    path, episode = tmp_path / "ch0-00.view.jsonl.gz", Shards(play / "shards").episodes[0]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"ch0-00\.view\.jsonl\.gz cannot be read.*make it with"):
        read_view(tmp_path, episode)
