"""The rehearsal: recordings that speak, from a site on loopback to shards, compared with the truth."""

import ctypes.util
import json

import pytest

from data_gathering import rehearsal
from vlpt.data.shards import Shards
from vlpt.data.words import Word, read_words
from vpt.frames import count_frames


def test_breaths_part_where_nobody_speaks():
    words = [Word("a", 0, 90), Word("b", 100, 200), Word("c", 700, 800)]
    assert [[word.word for word in breath] for breath in rehearsal.breaths(words)] == [["a", "b"], ["c"]]
    assert not list(rehearsal.breaths([]))


@pytest.mark.skipif(not ctypes.util.find_library("espeak-ng"), reason="needs Debian's espeak-ng")
def test_what_speaks_is_gathered_and_its_accuracy_printed(tmp_path, capsys):
    found = rehearsal.main(rehearsal.Options(channels=("ch3",), out=str(tmp_path), speech="espeak"))
    said = capsys.readouterr().out
    assert "words: " in said and "word error" in said and "actions: " in said
    assert found["words"]["word_error"] < 0.1 and found["words"]["onset_95_ms"] <= 200
    assert found["actions"]["balanced_accuracy"] > 0.85
    episodes, ids = Shards(tmp_path / "data/6_shards").episodes, sorted((tmp_path / "site").glob("*.mp4"))
    assert len(episodes) == len(ids) > 1  # the playlist holds what the channels hold
    for video in ids:
        spoken = read_words(video.with_suffix(".words.jsonl"))
        length_ms = 50 * count_frames(video)
        assert spoken and spoken[-1].end_ms <= length_ms
        assert all(a.end_ms <= b.start_ms + 1 for a, b in zip(spoken, spoken[1:], strict=False))
    kept, dropped = ((tmp_path / "data" / name).read_text() for name in ("2_kept.jsonl", "2_dropped.jsonl"))
    assert "A song" in dropped and "A song" not in kept
    rows = [json.loads(line) for line in (tmp_path / "data/4_words/transcripts.jsonl").read_text().splitlines()]
    assert len(rows) == len(ids)
