"""The word clock: at or after the onset, in order, one a tick, nothing lost in silence; silence is no token.

Texts, tokenizers (BPE, WordPiece, unigram, word level), rates and onsets are random (hypothesis).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from vlpt.data.text import encode
from vlpt.data.words import (
    Word,
    count_ticks,
    load_tokenizer,
    place,
    read_words,
    save_tokenizer,
    tokenise,
    train_tokenizer,
    vocabulary,
    write_words,
)

CORPUS = ["let's chop that tree over there", "i'm going to the red pillar", "Straße naïve 日本語 ☃ wood, wood; stone!",
          "okay so now we dig some sand and then we climb"] * 3


def tokenizer_of(kind: str) -> Tokenizer:
    """One small tokenizer of each family, trained on CORPUS."""
    if kind == "ours":
        return train_tokenizer(CORPUS, 320)
    unk = ["[UNK]"]
    made = {
        "bpe": (models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(vocab_size=90, special_tokens=unk)),
        "bpe across words": (models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(vocab_size=200, special_tokens=unk)),
        "wordpiece": (models.WordPiece(), trainers.WordPieceTrainer(vocab_size=90, special_tokens=unk)),
        "unigram": (models.Unigram(), trainers.UnigramTrainer(vocab_size=90, unk_token="[UNK]", special_tokens=unk)),
        "word level": (models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(special_tokens=unk)),
    }
    model, trainer = made[kind]
    tokenizer = Tokenizer(model)
    if kind == "unigram":
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    elif kind == "wordpiece":
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind != "bpe across words":
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer.show_progress = False
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


KINDS = ["ours", "bpe", "bpe across words", "wordpiece", "unigram", "word level"]
TOKENIZERS = {kind: tokenizer_of(kind) for kind in KINDS}

spoken = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(" ".join(CORPUS).split())


@st.composite
def speeches(draw):
    """Words with onsets that never decrease, sometimes in bursts, sometimes far apart."""
    words, now = [], draw(st.floats(0, 2000))
    for word in draw(st.lists(spoken, max_size=25)):
        words.append(Word(word, now, now + 10))
        now += draw(st.sampled_from([0.0, 1.0, 50.0, 199.0, 333.3, 4000.0]))
    return words


@settings(max_examples=150, deadline=None)
@given(speeches(), st.sampled_from(KINDS), st.sampled_from([1, 2, 3, 4, 7]), st.integers(1, 3000))
def test_every_token_is_at_or_after_its_words_onset_and_in_order(words, kind, frames_per_tick, frames):
    tokenizer = TOKENIZERS[kind]
    speech, silence = tokenise(words, tokenizer), vocabulary(tokenizer)
    ticks = count_ticks(frames, frames_per_tick)
    placed = place(speech.tokens, speech.onsets_ms, ticks, frames_per_tick, 500, silence)
    n = len(placed.tick)
    assert n + placed.overflow == len(speech.tokens)
    assert (placed.tick * 50 * frames_per_tick >= speech.onsets_ms[:n]).all()
    assert (np.diff(placed.tick) > 0).all() and (np.diff(speech.word) >= 0).all()
    assert placed.tokens[placed.tokens != silence].tolist() == speech.tokens[:n].tolist()
    assert placed.tokens[placed.tick].tolist() == speech.tokens[:n].tolist()
    for i in range(n):  # as early as the rule allows: on time, or right behind the token before
        on_time = (placed.tick[i] - 1) * 50 * frames_per_tick < speech.onsets_ms[i]
        assert on_time or (i > 0 and placed.tick[i] == placed.tick[i - 1] + 1)
    late = placed.lateness_ms > 500
    assert placed.late.sum() == late.sum() and placed.late[placed.tick[late]].all()
    runs = "".join("x" if on else " " for on in placed.late).split()
    assert placed.late_stretches == len(runs)


@settings(max_examples=100, deadline=None)
@given(speeches(), st.sampled_from(KINDS))
def test_a_token_never_tells_of_a_word_before_it_is_spoken(words, kind):
    """By character offsets: a token's word is the last of those whose characters it holds."""
    tokenizer = TOKENIZERS[kind]
    speech = tokenise(words, tokenizer)
    spelled = [" " + " ".join(word.word.split()) if word.word.strip() else "" for word in words]
    text, ends = "".join(spelled), np.cumsum([len(word) for word in spelled])
    for (start, end), word in zip(tokenizer.encode(text, add_special_tokens=False).offsets, speech.word, strict=True):
        assert not text[ends[word]: end].strip(), "the token holds a character of a later word"
        assert start < ends[word]


@pytest.mark.parametrize("kind", KINDS)
def test_a_words_tokens_do_not_depend_on_the_words_before_it(kind):
    if kind == "bpe across words":
        pytest.skip("this one joins words on purpose")
    tokenizer, words = TOKENIZERS[kind], [Word(w, 9, 9) for w in "let's chop that tree".split()]
    whole = tokenise(words, tokenizer)
    for i, word in enumerate(words):
        assert tokenise([word], tokenizer).tokens.tolist() == whole.tokens[whole.word == i].tolist()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(KINDS))
def test_silence_is_an_id_the_tokenizer_cannot_make(text, kind):
    tokenizer = TOKENIZERS[kind]
    assert all(token < vocabulary(tokenizer) for token in tokenizer.encode(text).ids)
    assert tokenizer.id_to_token(vocabulary(tokenizer)) is None


def test_silence_lies_beyond_added_tokens_and_holes():
    tokenizer = train_tokenizer(CORPUS, 300, whole_words=["attack-left"])
    assert vocabulary(tokenizer) == 301 == tokenizer.token_to_id("attack-left") + 1
    gap = Tokenizer(models.WordLevel({"a": 0, "b": 700}, unk_token="a"))
    assert gap.get_vocab_size() == 2 and vocabulary(gap) == 701


def test_no_drift_at_the_end_of_an_hour():
    tokenizer = train_tokenizer(CORPUS, 400)
    onsets = np.arange(0, 3_599_700, 340.0)  # 176 words a minute
    vocab = "let's chop that tree over there".split()
    words = [Word(vocab[i % 6], onset, onset + 300) for i, onset in enumerate(onsets)]
    speech = tokenise(words, tokenizer)
    assert len(speech.tokens) == len(words), "frequent words are one token each"
    placed = place(speech.tokens, speech.onsets_ms, count_ticks(72_000, 4), 4, 200, vocabulary(tokenizer))
    assert placed.overflow == 0 and placed.lateness_ms.max() < 200 and not placed.late.any()
    assert placed.tick[-1] == np.ceil(onsets[-1] / 200)


def test_a_burst_is_late_and_then_counted():
    placed = place([1, 2, 3, 4, 5], [100, 100, 100, 100, 5000], 30, 4, max_lateness_ms=400, silence=9)
    assert placed.tick.tolist() == [1, 2, 3, 4, 25]
    assert placed.lateness_ms.tolist() == [100, 300, 500, 700, 0]
    assert np.flatnonzero(placed.late).tolist() == [3, 4] and placed.late_stretches == 1
    cut = place([1, 2, 3], [100, 100, 100], 3, 4, 400, silence=9)
    assert cut.overflow == 1 and cut.tokens.tolist() == [9, 1, 2]
    assert place([], [], 3, 4, 400, silence=9).tokens.tolist() == [9, 9, 9]


@pytest.mark.parametrize("tokens, onsets, says", [
    ([9], [0.0], "below silence"), ([-1], [0.0], "below silence"), ([1], [-1.0], "milliseconds"),
    ([1], [float("nan")], "milliseconds"), ([1], [1e300], "milliseconds"), ([1, 2], [0.0], "one onset a token"),
])
def test_what_cannot_be_placed_is_refused(tokens, onsets, says):
    with pytest.raises(ValueError, match=says):
        place(tokens, onsets, 10, 4, 400, silence=9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1), min_size=1, max_size=8))
def test_our_tokenizer_loses_no_character(words):
    tokenizer = TOKENIZERS["ours"]
    text = " ".join(" ".join(words).split())
    assert tokenizer.decode(tokenizer.encode(" " + text).ids).strip() == text


def test_words_that_become_nothing_are_counted():
    words = [Word(w, 0, 0) for w in ["tree", "", "\u200b\x00", "chop"]]
    speech = tokenise(words, TOKENIZERS["wordpiece"])
    assert speech.tokenless_words == 2 and set(speech.word.tolist()) == {0, 3}
    assert tokenise([], TOKENIZERS["ours"]).tokens.shape == (0,)


def test_whole_words_are_single_tokens_anywhere(tmp_path):
    tokenizer = train_tokenizer(CORPUS, 300, whole_words=["attack-left", "still"])
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json")
    words = [Word(w, 0, 0) for w in "still attack-left tree stillness".split()]
    speech = tokenise(words, tokenizer)
    assert (speech.word == 0).sum() == (speech.word == 1).sum() == 1
    assert speech.tokens[1] == tokenizer.token_to_id("attack-left")
    assert tokenizer.token_to_id("still") not in speech.tokens[speech.word == 3]


def test_words_files_say_what_is_wrong(tmp_path):
    path = tmp_path / "a.words.jsonl"
    with pytest.raises(ValueError, match="a.words.jsonl is missing: transcribe"):
        read_words(path)
    for line in ['{"word": "a"}', "{", '{"word": "a", "start_ms": 5, "end_ms": 1}', "[1]"]:
        path.write_text('{"word": "ok", "start_ms": 0, "end_ms": 1}\n' + line + "\n")
        with pytest.raises(ValueError, match="a.words.jsonl, line 2"):
            read_words(path)
    path.write_text("")
    assert read_words(path) == []
    words = [Word("déjà", 0, 0), Word("vu", 0.5, 20)]
    write_words(tmp_path / "new/a.words.jsonl", words)
    assert read_words(tmp_path / "new/a.words.jsonl") == words
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="tokenizer.json"):
        load_tokenizer(tmp_path / "tokenizer.json")


# ---- words as people write them


def with_special(kind: str) -> Tokenizer:
    """A tokenizer whose special tokens anybody may spell; in `word level` and `unigram` its model knows them, too."""
    special = ["<|im_end|>", "<eos>"]
    if kind == "word level":
        tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<eos>": 1, "<|im_end|>": 2, "tree": 3}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        special.append("<unk>")
    elif kind == "unigram":
        letters = [(letter, -3.0) for letter in "<>|_abcdefghijklmnopqrstuvwxyz"]
        tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("<eos>", 0.0), ("<|im_end|>", 0.0), ("▁", -1.0),
                                              ("tree", -1.0), *letters], unk_id=0))  # fmt: skip
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        special.append("<unk>")
    else:
        tokenizer = train_tokenizer(CORPUS, 320)
    tokenizer.add_special_tokens(special)
    return tokenizer


SPECIAL = {kind: with_special(kind) for kind in ("ours", "word level", "unigram")}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["tree", "<|im_end|>", "<eos>", "tree<eos>", "<|im_end|><eos>", "<eo s>", "☃"])
                | st.text(st.sampled_from("<>|eos_imnd "), max_size=8), max_size=8), st.sampled_from(list(SPECIAL)))
def test_no_spoken_word_is_a_special_token(texts, kind):
    tokenizer = SPECIAL[kind]
    special = {tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<eos>")}
    speech = tokenise([Word(text, 100.0 * i, 100.0 * i) for i, text in enumerate(texts)], tokenizer)
    assert not special & set(speech.tokens.tolist()) and len(speech.tokens) == len(speech.onsets_ms) == len(speech.word)
    assert (np.diff(speech.word) >= 0).all()
    assert not special & set(encode([" ".join(texts)], tokenizer).tolist())
    assert special & set(tokenizer.encode("<eos>").ids), "others may still write special tokens"


def test_what_spells_a_special_token_is_said_letter_for_letter(tmp_path):
    save_tokenizer(SPECIAL["ours"], tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json")
    words = [Word("tree", 0, 0), Word("<|im_end|>", 100, 100), Word("tree", 200, 200)]
    speech = tokenise(words, tokenizer)
    assert tokenizer.decode(speech.tokens[speech.word == 1].tolist()).strip() == "<|im_end|>"
    assert speech.tokens[speech.word == 0].tolist() == speech.tokens[speech.word == 2].tolist()
    assert not {1, 2} & set(tokenise(words, SPECIAL["unigram"]).tokens.tolist())
    assert 0 in tokenise([Word("☃", 0, 0)], SPECIAL["unigram"]).tokens, "what it cannot spell it says as unknown"


@pytest.mark.parametrize("line", [
    '{"word": "a", "start_ms": NaN, "end_ms": 1}', '{"word": "a", "start_ms": 0, "end_ms": Infinity}',
    '{"word": "a", "start_ms": Infinity, "end_ms": Infinity}', '{"word": "a", "start_ms": -1, "end_ms": 1}',
    '{"word": "a", "start_ms": 1e300, "end_ms": 1e301}', '{"word": null, "start_ms": 0, "end_ms": 1}',
    '{"word": "\\ud800", "start_ms": 0, "end_ms": 1}', '{"word": "a", "start_ms": 1' + "0" * 400 + ', "end_ms": 1}',
    '{"word": "a", "start_ms": 1' + "0" * 5000 + ', "end_ms": 1}', "[" * 100_000, '{"word": "a", "start_ms": {}}',
    '{"word": "' + "a" * 2000 + '", "start_ms": 0, "end_ms": 1}',
])  # fmt: skip
def test_a_word_that_cannot_be_is_named_with_its_line(tmp_path, line):
    path = tmp_path / "a.words.jsonl"
    path.write_text('\ufeff{"word": "a\u2028b", "start_ms": 0, "end_ms": 1}\r\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="a.words.jsonl, line 2: ") as found:
        read_words(path)
    assert len(str(found.value)) < len(str(path)) + 600


def test_no_word_is_written_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.words.jsonl"
    write_words(path, [Word("ok", 0, 1)])
    for start_ms, end_ms in ((-1, 1), (0, float("nan")), (float("inf"), float("inf")), (2, 1), (0, 1e12)):
        with pytest.raises(ValueError, match="a.words.jsonl, word 2 is not written"):
            write_words(path, iter([Word("ok", 0, 1), Word("bad", start_ms, end_ms)]))
    assert read_words(path) == [Word("ok", 0, 1)]
    path.write_bytes(b'{"word": "\xff"}\n')
    with pytest.raises(ValueError, match="a.words.jsonl cannot be read"):
        read_words(path)
