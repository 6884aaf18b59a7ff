"""Where walks lead, which words name things, and the reader of where what is named lies.

Run: pytest tests/vlpt/test_target.py
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vlpt.clock import Visibility
from vlpt.data.destination import COLUMNS, FRAMES, LEFT, PLACES, RIGHT, STANDS_FRAMES, UNKNOWN, destination
from vlpt.intention import SPANS
from vlpt.target import SAID_FRAMES, Target, by_column
from vlpt.training.losses import target_loss
from vlpt.training.naming import FOLDS, OFTEN, Rows, rows, things_named
from vpt.actions import BUTTONS, MINECRAFT

NAMES, WORDS, PATCH, WIDTH = 3, 6, 2, 8


def walked(turns: list[tuple[int, float]], forward: slice, frames: int = 80, back: slice = slice(0)) -> np.ndarray:
    """Destinations where the view turns by so many degrees at a frame, and one walks ahead during some."""
    buttons, camera_deg = np.zeros((frames, len(BUTTONS))), np.zeros((frames, 2))
    buttons[forward, BUTTONS.index("forward")] = 1
    buttons[back, BUTTONS.index("back")] = 1
    for frame, degrees in turns:
        camera_deg[frame, 1] = degrees
    return destination(*MINECRAFT.encode(buttons, camera_deg))


def test_a_walk_ahead_leads_into_the_middle_and_one_after_a_turn_to_its_side():
    middle = {COLUMNS // 2, COLUMNS // 2 + 1}
    ahead = walked([], slice(20, 40))
    assert set(ahead[:40]) <= middle and (ahead[40:] == UNKNOWN).all()
    for side, place, within in ((-1, LEFT, 1), (1, RIGHT, COLUMNS)):
        beside = walked([(frame, side * 10) for frame in range(5, 13)], slice(20, 40))  # by 76 degrees, in bins
        assert (beside[:5] == place).all() and set(beside[13:40]) <= middle
        assert within in beside[5:13]


def test_a_walk_has_ended_when_nobody_steps_ahead_for_half_a_second_and_that_is_known():
    last = 80 - STANDS_FRAMES
    assert (walked([], slice(20, last))[:last] != UNKNOWN).all()
    assert (walked([], slice(20, last + 1)) == UNKNOWN).all()
    assert (walked([], slice(300, 310), frames=400)[: 310 - (FRAMES - STANDS_FRAMES)] == UNKNOWN).all()


def test_what_one_walks_away_from_backwards_before_is_seen_from_where_one_is():
    """Ten steps back, then a turn to the left and a short walk: from the beginning that lies nearly behind."""
    found = walked([(19, -10)] * 1 + [(frame, -10) for frame in range(12, 19)], slice(30, 34), back=slice(0, 10))
    straight = walked([(19, -10)] * 1 + [(frame, -10) for frame in range(12, 19)], slice(30, 34))
    assert found[0] == LEFT and straight[0] == LEFT and set(found[20:34]) <= {2, 3}


def test_it_rests_on_the_frames_ahead_alone():
    random = np.random.default_rng(0)
    buttons, camera_deg = np.zeros((600, len(BUTTONS))), random.normal(0, 12, (600, 2))
    buttons[:, BUTTONS.index("forward")] = np.repeat(random.random(30) < 0.5, 20)
    buttons[:, BUTTONS.index("back")] = np.repeat(random.random(60) < 0.3, 10)
    index = MINECRAFT.encode(buttons, camera_deg)
    whole = destination(*index)
    assert len(set(whole)) == PLACES + 1
    for start, stop in ((0, 30), (100, 177), (590, 600)):
        ahead = slice(start, stop + FRAMES)
        assert (destination(*(part[ahead] for part in index))[: stop - start] == whole[start:stop]).all()


# ---- the reader


def a_reader() -> Target:
    torch.manual_seed(0)
    reader = Target(NAMES, WORDS, (COLUMNS**2, PATCH), WIDTH)
    assert reader.is_fresh
    reader.begin_with(torch.tensor([4, 9]), torch.zeros(PATCH), torch.ones(PATCH))
    for weight in reader.weights:
        torch.nn.init.normal_(weight)
    return reader


def test_a_column_is_looked_at_from_top_to_bottom():
    patches = torch.arange(COLUMNS**2.0).view(1, 1, -1, 1)  # row by row
    assert by_column(patches)[0, 0, 1].tolist() == [1, 5, 9, 13]


def test_a_name_counts_where_its_column_is_and_as_long_as_it_is_remembered():
    reader, patches, nothing = a_reader(), torch.randn(1, 1, COLUMNS**2, PATCH), torch.zeros(1, 1, len(SPANS) * WORDS)
    named = reader.named(torch.tensor([[4, 9, 5]])).float()
    assert named.tolist() == [[[1, 0, 0], [0, 1, 0], [0, 0, 0]]]  # the third name is free: silence is not it either
    ages = torch.tensor([[[3.0, 10.0, SAID_FRAMES]]])
    sees = Visibility(torch.ones(1, 1, 3, dtype=torch.bool), ages, torch.zeros(1, 1))
    words = torch.cat([torch.randn(1, 3, WORDS), named[:, [0, 0, 1]]], 2)
    said = reader.said(words, sees)
    assert said.tolist() == [[[1, 0, 0]]]  # twice is once; the other one is too long ago
    logits, silent = reader.logits(nothing, said, patches)
    reader.announce.bias.data.fill_(0)
    expected = by_column(patches)[0, 0] @ reader.look.weight[1]
    torch.testing.assert_close((logits - silent)[0, 0, 1:-1], expected)
    assert not (logits - silent)[0, 0, [LEFT, RIGHT]].any()


def test_without_words_nothing_is_told_and_the_action_loss_teaches_no_reading():
    reader, patches = a_reader(), torch.randn(1, 1, COLUMNS**2, PATCH)
    sums, said = torch.zeros(1, 1, len(SPANS) * WORDS), torch.zeros(1, 1, NAMES)
    assert not reader.told(*reader.logits(sums, said, patches)).any()
    told = reader.told(*reader.logits(sums + 1, said + 1, patches))
    (reader.tell(told) + reader.urge(told)).sum().backward()
    assert told.any() and all(weight.grad is None for weight in reader.weights)
    assert reader.tell.weight.grad.any() and reader.urge.weight.grad.any()
    logits, _ = reader.logits(sums + 1, said + 1, patches)
    target_loss(logits, torch.tensor([[2]]), torch.ones(1, 1).bool(), reader.weights)["target"].mean.backward()
    assert all(weight.grad.any() for weight in reader.weights)


def test_a_destination_that_is_told_is_as_if_words_had_left_little_doubt_of_it():
    reader, patches = a_reader(), torch.randn(1, 2, COLUMNS**2, PATCH)
    logits = reader.logits(torch.zeros(1, 2, len(SPANS) * WORDS), torch.zeros(1, 2, NAMES), patches)
    told = reader.told(*logits, torch.tensor([[3, UNKNOWN]]))
    assert not told[0, 1].any()
    chances = (logits[1][0, 0].log_softmax(0) + told[0, 0]).exp()
    assert chances[3] > 0.5 and chances.argmax() == 3 and 0.5 < chances.sum() <= 1.0001


def test_only_known_destinations_count():
    logits = torch.zeros(1, 3, PLACES)
    mask, place = torch.tensor([[True, True, False]]), torch.tensor([[2, UNKNOWN, 3]])
    losses = target_loss(logits, place, mask, [torch.full((2, 2), 3.0)])
    assert losses["target"].count == 1 and losses["target"].mean.item() == pytest.approx(np.log(PLACES))
    assert losses["target_size"].mean.item() == pytest.approx(36)


def test_a_reader_looks_at_a_grid_of_its_columns():
    with pytest.raises(ValueError, match="4 x 4 patches, this agent has 9"):
        Target(NAMES, WORDS, (9, PATCH), WIDTH)


# ---- which words name things


def test_words_that_the_picture_tells_are_names_and_others_are_not():
    random = torch.Generator().manual_seed(0)
    n, width, vocabulary = 2000, COLUMNS * 5, 40
    columns = torch.randn(n, width, generator=random) * 3 + 1
    said = torch.rand(n, vocabulary, generator=random) < 0.3
    for word, number in ((7, 0), (21, 6)):
        said[:, word] = columns[:, number] > 3
    said[:, 30] = False
    said[: OFTEN - 1, 30] = columns[: OFTEN - 1, 0] > -99  # too seldom
    unit = np.repeat([f"ch{i}" for i in range(10)], n // 10)
    assert len(things_named(Rows(columns, said, unit), 1)) == 1
    found = things_named(Rows(columns, said, unit), 16)
    assert found[:2] in ([7, 21], [21, 7]) and 30 not in found and len(found) < 5
    assert things_named(Rows(columns, said, np.repeat("ch0", n)), 16) == []  # nobody else to try it on


def test_rows_are_ticks_with_the_destination_in_the_middle_and_the_words_of_the_last_seconds():
    frames, silence = SAID_FRAMES + 8, 6
    heard = torch.full((1, frames), silence)
    heard[0, 4], heard[0, 8] = 3, 5
    first = torch.zeros(1, frames, dtype=torch.bool)
    first[0, 0] = True
    place = torch.full((1, frames), UNKNOWN)
    place[0, 3], place[0, 4], place[0, 12], place[0, SAID_FRAMES + 4] = 2, 1, 3, 2
    chunk = SimpleNamespace(frame=torch.arange(frames)[None], episode=torch.zeros(1, frames, dtype=torch.long),
                            first=first, heard=heard, destination=place)  # fmt: skip
    patches = torch.arange(COLUMNS**2.0).view(1, 1, -1, 1).expand(1, frames, -1, -1)
    pieces = [SimpleNamespace(**{name: value[:, cut] for name, value in vars(chunk).items()})
              for cut in (slice(0, 10), slice(10, frames))]  # fmt: skip
    seen = rows(pieces, lambda piece: patches[:, : piece.frame.shape[1]], silence, ["ch1"], 4)
    assert seen.columns.tolist() == [[2, 6, 10, 14], [1, 5, 9, 13]] and seen.unit.tolist() == ["ch1"] * 2
    assert [torch.nonzero(row)[:, 0].tolist() for row in seen.said] == [[3, 5], [5]]
    assert FOLDS > len(set(seen.unit)) and things_named(seen, 4) == []
