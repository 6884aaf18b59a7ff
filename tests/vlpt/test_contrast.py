"""Words train the picture encoder: utterances are cut and shown as they were spoken, scores and losses are what they
say, the agent keeps everything but its encoder, and what is said can be found in pictures it was not trained on."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from support.numbered_recordings import STRIDE, numbers, record

import train
from data_gathering import shard
from data_gathering.recordings import video_path, words_path
from vlpt.data.shards import Shards
from vlpt.data.utterances import Utterance, UtteranceBatches, Utterances, find_utterances
from vlpt.data.words import Word, encode_text, split_at_pauses, train_tokenizer, write_words
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.options import parse
from vlpt.training.contrast import read_ids, read_texts
from vlpt.training.late_interaction import LateInteraction, contrastive_loss
from vpt.frames import write_video
from vpt.policy import Policy

FRAMES = 80
RGB = {"red": (200, 30, 30), "blue": (30, 30, 200), "yellow": (210, 200, 40), "white": (240, 240, 240)}
SIDES = ("left", "right")


def said(*texts: str, pause_ms: float = 500, word_ms: float = 80, start_ms: float = 300) -> list[Word]:
    """Texts spoken one after another."""
    words, at = [], start_ms
    for text in texts:
        for word in text.split():
            words.append(Word(word, at, at + word_ms))
            at += word_ms + 10
        at += pause_ms
    return words


# ---- utterances


def test_words_are_cut_where_nobody_speaks():
    words = said("a red pillar", "on the left", "wow")
    assert [[word.word for word in run] for run in split_at_pauses(words)] == [
        ["a", "red", "pillar"], ["on", "the", "left"], ["wow"]]
    assert len(split_at_pauses(words, pause_ms=600)) == 1
    assert [len(run) for run in split_at_pauses(words[:3] * 3, pause_ms=1e9, most=4)] == [4, 4, 1]
    close = [Word("a", 0, 100), Word("b", 249, 300), Word("c", 450, 500), Word("d", 400, 600)]  # the last two overlap
    assert [[word.word for word in run] for run in split_at_pauses(close)] == [["a", "b"], ["c", "d"]]
    assert split_at_pauses([]) == []


def test_frames_lie_between_a_quarter_of_a_second_before_and_the_end():
    assert Utterance(0, (1,), 1000, 1600).frames(100, 3) == [15, 24, 32]
    assert Utterance(0, (1,), 0, 100).frames(100, 4) == [0, 1, 1, 2]
    assert Utterance(0, (1,), 4900, 9000).frames(100, 2) == [93, 99]  # after the last frame there is none


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    """Shards of four recordings in two channels, in each of which four things are said, and their tokenizer."""
    folder = tmp_path_factory.mktemp("utterances")
    for i in range(4):
        record(folder / "videos", f"ch{i % 2}-{i:02}", i, 120)
        texts = (f"number {i}", "the same again", f"now {'ab'[i % 2]}", "end")
        late = [Word("after", 120 * 50.0 + 10, 120 * 50.0 + 90)]
        write_words(words_path(folder / "videos", f"ch{i % 2}-{i:02}"), said(*texts) + late)
    shard.main(shard.Options(recordings=str(folder / "videos"), labels="truth", out=str(folder / "shards")))
    return Shards(folder / "shards"), train_tokenizer(["number now end the same again after"] * 9, 300)


def test_pictures_are_those_over_which_an_utterance_is_spoken(play):
    shards, tokenizer = play
    utterances = Utterances(shards, shards.episodes, tokenizer, pictures=4)
    assert len(utterances) == 16  # what is said after the last frame has no picture
    shown = numbers(utterances.pictures)
    for one, pictures in zip(utterances.all, shown, strict=True):
        recording = int(shards.episodes[one.episode].id[-2:])
        assert pictures.tolist() == [recording * STRIDE + frame for frame in one.frames(120, 4)]
        assert all(one.start_ms - 300 <= 50 * (number % STRIDE) <= one.end_ms for number in pictures)
    texts = [tokenizer.decode(one.tokens).strip() for one in utterances.all[:4]]
    assert texts == ["number 0", "the same again", "now a", "end"]


def test_pictures_are_decoded_once_and_those_of_other_frames_anew(play, monkeypatch):
    shards, tokenizer = play
    before = Utterances(shards, shards.episodes, tokenizer, pictures=3)
    made = before.file.stat().st_mtime_ns
    other = Utterances(shards, shards.episodes[:2], tokenizer, pictures=3)
    assert other.file != before.file and len(other) == 8

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Shards, "read_frames", fail)
        assert Utterances(shards, shards.episodes, tokenizer, pictures=3).file.stat().st_mtime_ns == made
        with pytest.raises(KeyboardInterrupt):
            Utterances(shards, shards.episodes, tokenizer, pictures=5)
    assert not [path for path in before.file.parent.glob("*.*") if path.suffix != ".npy"]  # nothing half-made is left


def test_nothing_said_is_one_clear_error(play):
    shards, tokenizer = play
    silent = [replace(episode, words=[]) for episode in shards.episodes]
    with pytest.raises(ValueError, match="nothing is said in 4 episodes: take shards with words"):
        Utterances(shards, silent, tokenizer, pictures=2)
    with pytest.raises(ValueError, match="16 utterances are fewer than a batch of 17: lower --lanes"):
        UtteranceBatches(Utterances(shards, shards.episodes, tokenizer, 2), 17, 1)


def test_an_epoch_has_every_utterance_once_and_another_order_each(play):
    shards, tokenizer = play
    utterances = Utterances(shards, shards.episodes, tokenizer, pictures=4)
    batches = UtteranceBatches(utterances, 5, 2, seed=3)
    epochs = [[next(batches) for _ in range(batches.epoch_batches)] for _ in range(3)]
    orders = [torch.cat([batch.index for batch in epoch]).tolist() for epoch in epochs]
    assert batches.epoch_batches == 3 and all(len(set(order)) == 15 for order in orders)
    assert len({tuple(order) for order in orders}) == 3 and len({*range(16)} - {*sum(orders, [])}) == 0
    for batch in epochs[0]:
        assert batch.pictures.shape == (5, 2, 128, 128, 3) and batch.pictures.dtype == torch.uint8
        for i, pictures in zip(batch.index.tolist(), numbers(batch.pictures.numpy()), strict=True):
            assert pictures[0] != pictures[1] and set(pictures) <= set(numbers(utterances.pictures[i]))
    drawn = {tuple(numbers(batch.pictures[j].numpy())) for epoch in epochs for batch in epoch
             for j in torch.nonzero(batch.index == 0)[:, 0]}  # fmt: skip
    assert len(drawn) > 1  # other pictures in another epoch


def test_batches_go_on_where_they_stopped_and_only_there(play):
    shards, tokenizer = play
    utterances = Utterances(shards, shards.episodes, tokenizer, pictures=4)
    whole, cut, resumed = (UtteranceBatches(utterances, 5, 2, seed=1) for _ in range(3))
    expected = [next(whole) for _ in range(6)]
    for _ in range(4):
        next(cut)
    resumed.load_state_dict(json.loads(json.dumps(cut.state_dict())))
    for batch in expected[4:]:
        found = next(resumed)
        assert torch.equal(found.index, batch.index) and torch.equal(found.pictures, batch.pictures)
    with pytest.raises(ValueError, match="belongs to other data or options"):
        UtteranceBatches(utterances, 4, 2, seed=1).load_state_dict(cut.state_dict())


def test_what_a_tokenizer_turns_into_nothing_is_no_utterance(play):
    shards, tokenizer = play
    episode = replace(shards.episodes[0], words=[Word(" ", 0, 100), Word("end", 400, 500)])
    found = find_utterances([episode], tokenizer)
    assert encode_text(" ", tokenizer) == [] or len(found) == 2
    assert tokenizer.decode(found[-1].tokens).strip() == "end" and all(one.tokens for one in found)


# ---- what is read


@pytest.mark.parametrize("start_token", [None, 7])
def test_each_text_is_read_from_its_beginning_whatever_is_read_beside_it(start_token):
    torch.manual_seed(0)
    language = TransformerXL(TransformerXLConfig(vocabulary=40, width=16, layers=2, heads=2, head_width=8, inner=32,
                                                 window=8, start_token=start_token)).eval()  # fmt: skip
    texts = [[3, 4, 5], [9], [3, 4, 6, 2, 1]]
    together, alone = read_texts(language, texts), [read_texts(language, [text])[0] for text in texts]
    for ours, theirs, text in zip(together, alone, texts, strict=True):
        assert ours.shape == (len(text), 32)
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(together[0][:2, 16:] / together[0][0, 16], together[2][:2, 16:] / together[2][0, 16])
    given = torch.tensor([[*([7] if start_token else []), 3, 4, 5]])
    first = torch.zeros_like(given, dtype=torch.bool)
    first[:, 0] = True
    expected, _ = language(given, first, language.start(1))  # as plain text
    torch.testing.assert_close(language.log_probs(read_ids(language, given)[1]), expected)


# ---- scores and losses


def test_padding_and_company_change_no_score():
    torch.manual_seed(0)
    match = LateInteraction(12, 16, 6, 10)
    tokens, patches, vectors = torch.randn(3, 5, 12), torch.randn(4, 16, 6), torch.randn(4, 10)
    real = torch.arange(5) < torch.tensor([[5], [2], [3]])
    scores = match(tokens, real, patches, vectors)
    assert scores.shape == (3, 4) and scores.dtype == torch.float32
    tokens[1, 2:] = 100.0
    alone = match(tokens[1:2, :2], real[1:2, :2], patches[2:3], vectors[2:3])
    torch.testing.assert_close(match(tokens, real, patches, vectors)[1, 2], alone[0, 0])
    assert scores.abs().max() <= 10.001  # a mean of cosines, times the sharpness at first


def test_where_something_is_changes_the_score():
    """The same patches in other places are another picture."""
    torch.manual_seed(0)
    match = LateInteraction(12, 16, 6, 10)
    inputs = torch.randn(1, 2, 12), torch.ones(1, 2, dtype=torch.bool)
    patches, vector = torch.randn(1, 16, 6), torch.randn(1, 10)
    with torch.no_grad():
        here, there = match(*inputs, patches, vector), match(*inputs, patches.flip(1), vector)
    assert abs(float(here - there)) > 1e-3


def test_standardised_by_what_is_to_come():
    torch.manual_seed(0)
    match, patches, vectors = LateInteraction(12, 16, 6, 10), 5 + 3 * torch.randn(50, 16, 6), torch.randn(50, 10)
    patches[..., 0] = 2.0  # a number that never changes
    match.standardise(patches, vectors)
    found = match.patch[0](patches).flatten(0, 1)
    torch.testing.assert_close(found.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 1:].std(0), torch.ones(5), atol=1e-4, rtol=0)


def test_the_loss_is_cross_entropy_in_both_directions():
    torch.manual_seed(0)
    scores, own = 3 * torch.randn(5, 5, 2, dtype=torch.float64), torch.eye(5, dtype=torch.bool)
    found = contrastive_loss(scores, own)
    target = torch.arange(5)
    each = [F.cross_entropy(part, target) for f in range(2) for part in (scores[..., f].T, scores[..., f])]
    assert float(found["contrast"].mean) == pytest.approx(float(sum(each) / 4), rel=1e-6)
    assert int(found["contrast"].count) == 10
    for axis, name in enumerate(("frame_to_words", "words_to_frame")):
        right = (scores.argmax(axis) == target[:, None]).float().mean()
        assert float(found[name].mean) == pytest.approx(float(right))
    same = own.clone()
    same[0, 3] = same[3, 0] = True  # of one text: neither is wrong for the other
    flat = contrastive_loss(torch.zeros(5, 5, 2), same)["contrast"]
    assert float(flat.mean) == pytest.approx((2 * math.log(4) + 3 * math.log(5)) / 5)
    sure = contrastive_loss(100 * torch.eye(5)[..., None].repeat(1, 1, 2), own)
    assert float(sure["contrast"].mean) < 1e-6 and float(sure["frame_to_words"].mean) == 1


# ---- the stage


def painted(folder, id_: str, seed: int) -> None:
    """Overwrites a recording: on noise, for 16 frames each, one bar of a colour on a side, which is named."""
    random, words = np.random.default_rng(seed), []
    with write_video(video_path(folder, id_), (128, 128)) as video:
        for frame in range(FRAMES):
            if frame % 16 == 0:
                colour, side = list(RGB)[random.integers(len(RGB))], int(random.integers(2))
                words += said(f"{colour} {SIDES[side]}", start_ms=50 * frame + 260)
            rgb = cv2.resize(random.integers(60, 160, (16, 16, 3)).astype(np.uint8), (128, 128))
            rgb[20:100, 64 * side + 12 : 64 * side + 52] = RGB[colour]
            video.write(rgb)
    write_words(words_path(folder, id_), words)


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """Shards of bars that are named, a language model that knows their names, and an agent, all small."""
    folder = tmp_path_factory.mktemp("bars")
    for i in range(30):
        record(folder / "videos", f"ch{i // 5}-{i:02}", i, FRAMES)
        painted(folder / "videos", f"ch{i // 5}-{i:02}", i)
    shard.main(shard.Options(recordings=str(folder / "videos"), labels="truth", out=str(folder / "shards")))
    common = f"--runs {folder}/runs --steps 2 --warmup 1 --validate-every 0 --no-progress --device cpu " \
             "--held-out ch5 --accumulate 1 --lanes 2 --chunk 8"
    for stage, more in ("words", f"--videos {folder}/videos --vocabulary 280"), ("base", f"--shards {folder}/shards"):
        train.train(parse(train.OPTIONS, [stage, "--name", stage, *common.split(), *more.split()]))
    return folder


def contrast(folder, name: str, flags: str) -> list[dict]:
    """Trains; the rows of the log."""
    common = f"--name {name} --runs {folder}/runs --shards {folder}/shards --base {folder}/runs/base --language " \
             f"{folder}/runs/words --held-out ch5 --warmup 2 --no-progress --device cpu --save-every 1000 {flags}"
    train.train(parse(train.OPTIONS, ["contrast", *common.split()]))
    return [json.loads(line) for line in (folder / "runs" / name / "log.jsonl").read_text().splitlines()]


def weights(folder, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "runs" / name / "checkpoint/model/model.safetensors")


def test_only_the_encoder_changes_and_the_agent_goes_where_agents_go(bars):
    before, rows = weights(bars, "base"), contrast(bars, "short", "--steps 2 --lanes 4 --chunk 1")
    after = weights(bars, "short")
    assert before.keys() == after.keys()  # what words and pictures are compared by is no part of the agent
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("picture.") for name in changed)
    assert rows[0]["valid/vector"] == 0 and rows[-1]["valid/vector"] > 0
    assert rows[0]["unigram/contrast"] < math.log(4) + 1e-6 and rows[-1]["frames_per_s"] > 0
    more = f"--name on --start {bars}/runs/short --runs {bars}/runs --shards {bars}/shards --held-out ch5 --steps 1 " \
           "--warmup 1 --validate-every 0 --no-progress --device cpu --lanes 2 --chunk 8 --accumulate 1"
    train.train(parse(train.OPTIONS, ["base", *more.split()]))
    assert Policy.from_pretrained(bars / "runs/on/checkpoint/model")


def test_the_teacher_holds_the_vector(bars):
    flags = "--steps 8 --lanes 8 --chunk 1 --validate-every 0 --rate-pretrained 3e-4"
    free, held = (contrast(bars, f"teacher-{weight}", f"{flags} --teacher-weight {weight}")[-1] for weight in (0, 30))
    assert held["valid/vector"] < 0.5 * free["valid/vector"]


def test_words_teach_what_is_in_pictures_that_were_never_seen(bars):
    """Eight kinds of bars, batches of eight: far better than by chance, on a channel that was held out."""
    rows = contrast(bars, "long", "--steps 60 --lanes 8 --chunk 1 --validate-every 0 --teacher-weight 0.1")
    last = rows[-1]
    assert last["valid/contrast"] < 0.7 * last["unigram/contrast"]
    assert last["valid/frame_to_words"] > 0.4 and last["valid/words_to_frame"] > 0.4


def test_too_few_utterances_leave_no_run(bars):
    with pytest.raises(ValueError, match="fewer than a batch of 999: lower --lanes"):
        contrast(bars, "many", "--steps 1 --lanes 999")
    assert not (bars / "runs/many").exists()
