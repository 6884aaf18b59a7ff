"""A dataset's page and card: numbers counted by hand, nothing loaded from elsewhere, a card that the Hub reads."""

import json
import re

import numpy as np
import pytest
import yaml
from support.numbered_recordings import STRIDE, action, record

from data_gathering import shard
from data_gathering.stats import Options, main
from vlpt.data.words import save_tokenizer, train_tokenizer
from vpt.actions import BUTTONS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats")
    record(folder / "3_video", "ch0-00", 0, 240, word_frames=range(0, 200, 20))
    record(folder / "3_video", "ch1-00", 1, 120, word_frames=[100, 100, 100])
    shard.main(shard.Options(recordings=str(folder / "3_video"), labels="truth", out=str(folder / "6_shards")))
    save_tokenizer(train_tokenizer([f"w{i}" for i in range(300)], 500), folder / "tokenizer.json")
    rows = [{"key": "a", "dropped_by": ["short"]}, {"key": "b", "dropped_by": ["short", "live"]}]
    (folder / "2_dropped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "1_found.jsonl").write_text('{"key": "a"}\n{"key": "b"}\n{"key": "c"}\n')
    (folder / "4_words").mkdir()
    (folder / "4_words/transcripts.jsonl").write_text(
        '{"key": "a", "left_out": "a gap"}\n{"key": "b"}\n{"key": "c", "left_out": "a gap"}\n{"key": "a"}\n')
    return folder


@pytest.fixture(scope="module")
def numbers(data):
    return main(Options(shards=str(data / "6_shards"), tokenizer=str(data / "tokenizer.json"),
                        out=str(data / "stats.html")))  # fmt: skip


def test_numbers_are_those_counted_by_hand(numbers):
    assert numbers["frames"] == 360 and numbers["hours"] == pytest.approx(0.005) and numbers["channels"] == 2
    assert numbers["words"] == 13 and numbers["words_a_minute"] == pytest.approx(13 / 0.3)
    held = np.mean([action(i * STRIDE + t)[0] for i, n in ((0, 240), (1, 120)) for t in range(n)], axis=0)
    for name in ("jump", "use"):  # in a group of their own: nothing cancels them
        assert numbers["pressed"][name] == pytest.approx(held[BUTTONS.index(name)])
    assert sum(numbers["camera"]["yaw"]) == pytest.approx(1) and numbers["confidence"]["50 %"] == 1
    assert numbers["silence"] == pytest.approx(1 - numbers["tokens"] / 90)
    assert numbers["lateness_ms_95"] > numbers["lateness_ms_median"] >= 0  # three words at one time wait for each other
    assert numbers["gathered"] == {"videos": {"found": 3, "transcribed": 2}, "dropped_by": {"short": 2, "live": 1}}


def test_the_page_needs_nothing_from_elsewhere(data, numbers):
    page = (data / "stats.html").read_text()
    assert not re.search(r"(src|href)=(?!['\"]?data:)", page) and "<script" not in page
    for said in ("words a minute", "Dropped, by rule", "short", "data:image/png;base64,"):
        assert said in page
    assert not list(data.glob("*.tmp"))


def test_the_card_has_front_matter_that_the_hub_reads(data, numbers):
    card = (data / "6_shards/README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["size_categories"] == ["n<1K"] and "LeRobot" in front["tags"] and front["configs"]
    assert "2 episodes" in card


def test_each_transcript_has_its_pace(data, numbers):
    rows = [json.loads(line) for line in (data / "stats.transcripts.jsonl").read_text().splitlines()]
    assert rows == numbers["transcripts"] and [row["id"] for row in rows] == ["ch0-00", "ch1-00"]
    assert rows[0]["words_a_second"] == {"median": 1.0, "most": 1.2}  # every 20 frames; the first two are nearer
    assert rows[1]["longest_gap_s"] == 0 and rows[1]["words_a_second"]["most"] == 0.6
    assert all(row["nats_a_token"] > 0 for row in rows)
    page = (data / "stats.html").read_text()
    assert "How the talk runs" in page and "1 of 2" in page and "LiveCC" in page
