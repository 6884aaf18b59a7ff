"""The health of talk: words of a stream, a trigram model that is a distribution, and degeneration that shows."""

import json
import math

import numpy as np
import pytest
from support.places import SAMPLES

from vlpt.data.words import Word, write_words
from vlpt.evaluation.health import Options, Trigrams, main, minutes, repeated, words_of_play

SENTENCES = ["let's chop a tree", "look at the water over there", "i need some wood to build a tower",
             "now we walk to the red pillar", "let's dig a hole here", "that was a good idea"]  # fmt: skip


def talk(seed: int, length_ms: int, sentences: list[str] = SENTENCES) -> list[Word]:
    random, words, t = np.random.default_rng(seed), [], 0
    while t < length_ms:
        for word in sentences[random.integers(len(sentences))].split():
            words.append(Word(word, t, t + 300))
            t += 400
        t += 1500
    return [word for word in words if word.start_ms < length_ms]


def test_the_trigram_model_is_a_distribution_and_prefers_what_it_saw():
    model = Trigrams([sentence.split() for sentence in SENTENCES])
    words = {word for sentence in SENTENCES for word in sentence.split()}
    for context in ((), ("a",), ("chop", "a"), ("<s>", "<s>"), ("never", "seen")):
        total = sum(model._chance(word, context) for word in words) + model._chance("<unknown>", context)
        assert total == pytest.approx(1)
    assert model.nats("let's chop a tree".split()).mean() < model.nats("tree a chop let's".split()).mean()
    assert np.isfinite(model.nats(["zebra"])).all()


def test_pieces_become_words():
    pieces = ["", " let", "'s", "", " chop", " a", " tree", "!", ""]
    rows = [{"word": piece, "ms": 200 * i} for i, piece in enumerate(pieces)]
    assert words_of_play(rows) == [
        Word("let's", 200, 450), Word("chop", 800, 850), Word("a", 1000, 1050), Word("tree", 1200, 1450)]  # fmt: skip
    assert words_of_play([{"word": "", "ms": 0}]) == []


def test_minutes_count_what_they_say():
    words = talk(0, 150_000)
    rows = minutes(words, 150_000, Trigrams([]), 200)
    assert len(rows) == 2 and rows[0].words_a_minute == sum(word.start_ms < 60_000 for word in words)
    assert 0 < rows[0].silence < 1 and minutes([], 60_000, Trigrams([]), 200)[0].silence == 1
    assert repeated("a b c d a b c d".split()) == pytest.approx(1 - 4 / 5) and math.isnan(repeated(["a"]))


@pytest.fixture
def people(tmp_path):
    for channel in ("ch0", "ch1", "ch4"):
        for i in range(4):
            write_words(tmp_path / f"{channel}-0{i}.words.jsonl", talk(10 * i + int(channel[2:]), 60_000))
    return tmp_path


def play(folder, words: list[Word], length_ms: int):
    at = {word.start_ms // 50 * 50: f" {word.word}" for word in words}
    path = folder / "play.jsonl"
    path.write_text("".join(json.dumps({"word": at.get(ms, ""), "ms": ms}) + "\n" for ms in range(0, length_ms, 50)))
    return path


def test_healthy_talk_is_like_people_s_and_degenerate_talk_is_not(people, tmp_path, capsys):
    def measure(words):
        return main(Options(play=str(play(tmp_path, words, 240_000)), people=str(people), held_out=("ch4",),
                            out=str(tmp_path / "health.json")))

    healthy = measure(talk(77, 240_000))
    assert len(healthy["agent"]) == 4 and healthy["within"]["perplexity"] >= 0.5
    stuck = measure(talk(77, 60_000) + [Word("tree", t, t + 300) for t in range(60_000, 240_000, 400)])
    assert stuck["last"]["repeated"] > 0.9 and stuck["within"]["repeated"] <= 0.25
    rambling = measure(talk(77, 60_000) + [Word(f"w{t}", t, t + 300) for t in range(60_000, 240_000, 400)])
    assert rambling["last"]["perplexity"] > 3 * rambling["first"]["perplexity"]
    assert json.loads((tmp_path / "health.json").read_text())["last"] == rambling["last"]
    assert "people's talk" in capsys.readouterr().out


def test_sentences_of_the_grammar_are_counted_minute_by_minute(people, tmp_path, capsys):
    """Half of what people say here is the scripted player's; an agent that says nothing of it is told from them."""
    half = [*SENTENCES[:3], "step left", "now the red pillar", "look a tree to my right"]
    for number in range(8):
        write_words(people / f"ch4-0{number}.words.jsonl", talk(number, 60_000, half))

    def measure(words, **asked):
        return main(Options(play=str(play(tmp_path, words, 120_000)), people=str(people), held_out=("ch4",), **asked))

    grammar = str(SAMPLES / "grammar.json")
    healthy = measure(talk(77, 120_000, half), grammar=grammar, out=str(tmp_path / "health.json"))
    assert 0.3 < healthy["people"]["grammar"]["mean"] < 0.7 and healthy["within"]["grammar"] >= 0.5
    assert all(0.2 < minute["grammar"] < 0.8 for minute in healthy["agent"])
    assert json.loads((tmp_path / "health.json").read_text())["last"]["grammar"] == healthy["last"]["grammar"]
    assert "in the grammar" in capsys.readouterr().out
    rambling = measure([Word(f"w{t}", t, t + 300) for t in range(0, 60_000, 400)], grammar=grammar)
    assert rambling["first"]["grammar"] == 0 and np.isnan(rambling["last"]["grammar"])
    unasked = measure(talk(77, 120_000))
    assert "grammar" not in unasked["people"] and "grammar" not in unasked["agent"][0]
    with pytest.raises(ValueError, match="none.json is missing: write it with"):
        measure([], grammar=str(tmp_path / "none.json"))


def test_wrong_files_are_named(people, tmp_path):
    with pytest.raises(ValueError, match="nothing.jsonl is missing"):
        main(Options(play=str(tmp_path / "nothing.jsonl"), people=str(people)))
    path = play(tmp_path, [], 1000)
    with pytest.raises(ValueError, match="must hold talk of ch9"):
        main(Options(play=str(path), people=str(people), held_out=("ch9",)))
    path.write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="no lines with a word"):
        main(Options(play=str(path), people=str(people)))
