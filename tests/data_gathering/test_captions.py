"""What is a word in a caption file, and what a file may cost: real faults, and texts by hypothesis."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import ROOT

from data_gathering.transcribe import mend
from data_gathering.transcription.captions import clean_words, read_captions, read_captions_and_faults
from vlpt.data.words import Word, fault_of


def json3(*lines: list, length_ms: int = 400) -> str:
    """Lines of (text, ms) as YouTube's events; ms None: no time of its own."""
    events = []
    for line in lines:
        start = next((ms for _, ms in line if ms is not None), 0)
        segs = [{"utf8": text, **({"tOffsetMs": ms - start} if ms not in (None, start) else {})} for text, ms in line]
        events += [{"tStartMs": start, "dDurationMs": line[-1][1] - start + length_ms if line[-1][1] else 900,
                    "segs": segs}, {"tStartMs": start + 1, "aAppend": 1, "segs": [{"utf8": "\n"}]}]  # fmt: skip
    return json.dumps({"wireMagic": "pb3", "events": events})


def vtt(*cues: tuple[float, float, str]) -> str:
    """Cues of (begin s, end s, lines)."""
    def time(s: float) -> str:
        return f"00:{int(s) // 60:02d}:{s % 60:06.3f}"
    return "WEBVTT\nKind: captions\n\n" + "".join(f"{time(a)} --> {time(b)} align:start\n{c}\n\n" for a, b, c in cues)


def said(tmp_path, text: str | bytes, name: str = "a.en.json3") -> list[str]:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return [word.word for word in read_captions(tmp_path / name)]


@pytest.mark.parametrize(("pieces", "words"), [
    ([("what", 0), (" the", 300), (" [ __ ]", 500), (" is", 900)], "what the is"),
    ([("what", 0), (" [\u00a0__\u00a0]", 300), (" is", 600)], "what is"),
    ([(">> hello", 0), (" there", 400)], "hello there"), ([("&gt;&gt; hello", 0), (" you", 400)], "hello you"),
    ([("[upbeat", 0), (" music]", 400), (" dig", 900), (" here", 1200)], "dig here"),
    ([("(people", 0), (" laughing", 400), (" loudly).", 500), (" dig", 900)], "dig"),
    ([("♪", 0), (" la", 300), (" ♪la♪", 600), (" ...", 800), (" okay...", 900), (" —", 999)], "la la okay..."),
    ([("don’t", 0), (" let&#39;s", 300), (" it&amp;#39;s", 500), (" Q&amp;A", 700)], "don't let's it's Q&A"),
    ([("[unclosed", 0), (" dig", 300), (" here", 600)], "dig here"),
    ([("naïve\u200b", 0), (" 日本語", 300), (" \ufeff", 500), (" 5", 600), (" &", 700), (" me", 800)],
     "naïve 日本語 5 & me"),
    ([("a\ud800b", 0), (" \0c", 300)], "ab c"),
])  # fmt: skip
def test_what_is_a_word(tmp_path, pieces, words):
    assert said(tmp_path, json3(pieces)) == words.split()


def test_brackets_may_be_cut_over_events_and_lines_without_times(tmp_path):
    assert said(tmp_path, json3([("go", 0)], [("[upbeat", 1000)], [("music]", 2000)], [("on", 3000)])) == ["go", "on"]
    whole = json3([("go", 0), (" on", 300)], [("[upbeat", 1000)], [("music and a song]", 2000)], [("dig", 3000)])
    assert said(tmp_path, whole) == ["go", "on", "dig"]


def test_a_byte_order_mark_is_no_letter(tmp_path):
    text = json3([("dig", 0), (" here", 400)])
    for encoding in ("utf-8-sig", "utf-16"):
        assert said(tmp_path, text.encode(encoding)) == ["dig", "here"]
    text = "\ufeff" + vtt((1, 2, "dig<00:00:01.500><c> here</c>"))
    assert said(tmp_path, text, "a.vtt") == ["dig", "here"]


def test_a_single_word_without_a_tag_is_a_word_of_rolling_captions(tmp_path):
    text = vtt((1, 2.9, "\u0020\nokay<00:00:01.553><c> so</c>"), (2.9, 2.91, "okay so\n\u0020"),
               (2.91, 4, "okay so\ndig"), (4, 4.01, "dig\n\u0020"), (4.01, 6, "dig\nhere<00:00:04.500><c> now</c>"),
               (6, 6.01, "here now\n\u0020"), (6.01, 7, "here now\na whole line"))  # fmt: skip
    (tmp_path / "a.vtt").write_text(text)
    words, left_out = read_captions_and_faults(tmp_path / "a.vtt")
    assert [word.word for word in words] == "okay so dig here now".split() and words[2].start_ms == 2910
    assert left_out["without_a_time"] == 3


def test_names_of_cues_and_comments_are_not_said(tmp_path):
    text = ("WEBVTT\n\n1\n00:01.000 --> 00:02.000\nokay<00:01.500> so\n\nNOTE\nwhispered\n\nseven\n"
            "00:02.000 --> 00:03.000\ndig\n\n3\r\n00:03.000 --> 00:04.000\r\nthere<00:03.500> now\r\n")  # fmt: skip
    assert said(tmp_path, text, "a.vtt") == ["okay", "so", "dig", "there", "now"]


@pytest.mark.parametrize("rolls", [True, False])
def test_six_real_noes_stay_six(tmp_path, rolls):
    cues = [(1, 1.4, "okay<00:00:01.200><c> well</c>")] if rolls else []
    before = ["okay well"] * rolls
    for i in range(6):
        begin = 2 + 0.4 * i
        if rolls and before:
            cues.append((begin - 0.01, begin, f"{before[-1]}\n\u0020"))
        cues.append((begin, begin + 0.39, "\n".join([*before[-1:], "no"] if rolls else ["no"])))
        before.append("no")
    (tmp_path / "a.vtt").write_text(vtt(*cues))
    mended, faults = mend(read_captions(tmp_path / "a.vtt"))
    assert [word.word for word in mended] == ["okay", "well"] * rolls + ["no"] * 6 and not faults["repeated"]
    one = said(tmp_path, json3([("no" * (i == 0) or " no", 300 * i) for i in range(6)]))
    assert one == ["no"] * 6 and len(mend(read_captions(tmp_path / "a.en.json3"))[0]) == 6


def test_translated_tracks_with_every_line_twice(tmp_path):
    lines = ["let us go", "to the tree", "and dig", "some sand"]
    both = [(2 * i, 2 * i + 2, "\n".join(lines[max(0, i - 1): i + 1])) for i in range(4)]
    with pytest.raises(ValueError, match="a.vtt has no words with times of their own to speak of"):
        said(tmp_path, vtt(*both), "a.vtt")  # whole lines: nobody knows when each word was said
    timed = [[(" " * (j > 0) + word, 2000 * i + 400 * j) for j, word in enumerate(line.split())]
             for i, line in enumerate(lines)]  # fmt: skip
    at_once = [one for line in timed for one in (line, line)]
    later = [one for line in timed for one in (line, [(w, ms + 1100) for w, ms in line])]
    for twice in (at_once, later):
        assert said(tmp_path, json3(*twice)) == " ".join(lines).split()
    said_again = [timed[0], [(w, ms + 1200) for w, ms in timed[0]], timed[2], timed[3]]
    assert said(tmp_path, json3(*said_again)) == "let us go let us go and dig some sand".split()


def test_written_captions_with_a_few_lone_words_have_no_word_times(tmp_path):
    lines = ("hello there everyone", 0), ("Okay.", 2000), ("now we dig", 3000), ("No.", 5000), ("a b c", 6000)
    with pytest.raises(ValueError, match="no words with times of their own to speak of .9 without a time"):
        said(tmp_path, json3(*([line] for line in lines)))


@pytest.mark.parametrize("time", ["NaN", "Infinity", "-Infinity", "-5000", "1e300", "1" + "0" * 400, '"nan"'])
def test_words_at_impossible_times_are_left_out_and_counted(tmp_path, time):
    path = tmp_path / "a.en.json3"
    path.write_text(json3([("dig", 1000), (" here", 1400)], [("bad", 3000)], [("now", 4000)]).replace(
        '"tStartMs": 3000,', f'"tStartMs": {time},'))  # fmt: skip
    words, left_out = read_captions_and_faults(path)
    assert [word.word for word in words] == ["dig", "here", "now"] and left_out["at_an_impossible_time"] == 1
    path = tmp_path / "a.vtt"
    path.write_text(vtt((1, 2, f"dig<{'1' * 400}:00:01.500><c> bad</c><00:00:01.700><c> here</c>")))
    words, left_out = read_captions_and_faults(path)
    assert [word.word for word in words] == ["dig", "here"] and left_out["at_an_impossible_time"] == 1


def test_what_a_recogniser_hears_in_music_is_no_word():
    words = [Word(w, 100.0 * i, 100.0 * i + 90) for i, w in enumerate(" [ Music ] dig ♪ ... (laughs) here".split(" "))]
    assert [word.word for word in clean_words(words)] == ["dig", "here"]


# ---- anything at all

junk = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                    max_leaves=6)  # fmt: skip
pieces = st.sampled_from(["okay", " so", " [ __ ]", "[", " music]", ">>", "♪", "&amp;", "no", "a whole line", "\ud800"])
times = st.floats() | st.integers(-5, 10**6) | st.just(10**400) | junk
segments = st.fixed_dictionaries({}, optional={"utf8": pieces | junk, "tOffsetMs": times})
events = st.fixed_dictionaries({"tStartMs": times}, optional={
    "dDurationMs": times, "aAppend": st.just(1), "segs": st.lists(segments | junk, max_size=5)})  # fmt: skip
lines = st.sampled_from(["", " ", "WEBVTT", "NOTE", "okay", "a line", "okay<00:00:01.500><c> so</c>", "<c<c", "[music",
                         "00:00:01.000 --> 00:00:03.000", "00:00:03.000 --> 00:00:03.010", "1:00.000 --> 2:00.000",
                         "9" * 400 + ":00:00.000 --> 00:00:01.000"]) | st.text(max_size=12)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(text=st.lists(events | junk, max_size=6).map(lambda e: ("json3", json.dumps({"events": e})))
       | junk.map(lambda value: ("json3", json.dumps(value)))
       | st.lists(lines, max_size=14).map(lambda some: ("vtt", "\n".join(some))))  # fmt: skip
def test_any_file_is_words_that_can_be_written_or_one_error_that_names_it(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / f"a.{text[0]}"
    path.write_bytes(text[1].encode("utf-8", "surrogatepass"))
    try:
        words = read_captions(path)
    except ValueError as error:
        assert str(path) in str(error) and len(str(error)) < len(str(path)) + 400
        return
    assert words and not any(fault_of(word) for word in words)
    mended, _ = mend(words)
    assert all(not fault_of(word) and word.word.split() == [word.word] for word in mended)


HEAD = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n"
COSTLY = {
    "tags.vtt": lambda: HEAD + "<c" * 4_900_000,
    "digits.vtt": lambda: "1" * 4_900_000 + ":" + "1" * 4_900_000,
    "cues.vtt": lambda: "WEBVTT\n\n" + "00:00:01.000 --> 00:00:02.000\na<00:00:01.500>a\n\n" * 200_000,
    "times.vtt": lambda: HEAD + "a<00:00:01.500>" * 650_000,
    "nested.json3": lambda: "[" * 100_000,
    "wide.json3": lambda: '{"events":[' + "[[[[]]]]," * 1_000_000 + "1]}",
    "power.json3": lambda: '{"events":[{"tStartMs":1' + "0" * 9_000_000 + ',"segs":[{"utf8":"x"}]}]}',
    "piece.json3": lambda: '{"events":[{"tStartMs":0,"segs":[{"utf8":"' + "a " * 4_900_000 + '"}]}]}',
    "pieces.json3": lambda: '{"events":[{"tStartMs":0,"segs":[' + '{"utf8":"a","tOffsetMs":5},' * 360_000 + "{}]}]}",
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_file_below_10_mb_costs_much(tmp_path, name):
    """Processor seconds of a process of its own, which may not have 300 MB more than what it imports needs."""
    (tmp_path / name).write_text(COSTLY[name]())
    assert (tmp_path / name).stat().st_size < 10_000_000
    program = ("import resource, sys, time\nfrom data_gathering.transcription.captions import read_captions\n"
               "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
               "before, begin = peak(), time.process_time()\n"
               "try: read_captions(sys.argv[1])\n"
               "except ValueError as error: print(peak() - before, time.process_time() - begin, error)\n")  # fmt: skip
    command = [sys.executable, "-c", program, str(tmp_path / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    more_mb, spent_s, error = done.stdout.split(maxsplit=2)
    assert name in error and len(error.splitlines()) == 1 and len(error) < 600
    assert float(more_mb) < 300 and float(spent_s) < 5
