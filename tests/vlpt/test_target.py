"""Where walks lead, what an errand is to, where things are in the picture, and the reader of where what is meant is.

Run: pytest tests/vlpt/test_target.py
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from vlpt.data.destination import FRAMES, LEFT, PLACES, RIGHT, STANDS_FRAMES, destination
from vlpt.data.meant import NOTHING, THINGS, TOLD_FRAMES, UNKNOWN, meant, thing
from vlpt.intention import SPANS
from vlpt.language.transformer_xl import TransformerXLConfig
from vlpt.model import VLPT, VLPTConfig
from vlpt.target import Target, places_of
from vlpt.training.finder import by_third
from vlpt.training.losses import meant_loss
from vpt.actions import BUTTONS, MINECRAFT
from vpt.finder import COLUMNS, Finder
from vpt.policy import PolicyConfig

CONFIG = VLPTConfig(
    policy=PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=20, timesteps=8, impala_width=0.25,
                        impala_channels=(16, 16, 16), px=16, n_buttons=50),
    language=TransformerXLConfig(vocabulary=20, width=32, layers=1, heads=2, head_width=16, inner=64, window=5),
)  # fmt: skip


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
    assert found[0] == LEFT and straight[0] == LEFT and set(found[20:34]) <= {COLUMNS // 2, COLUMNS // 2 + 1}


def test_what_one_looks_for_is_on_the_side_to_which_one_turns():
    """By 270 degrees to the right, though 90 to the left would have done."""
    right, left = (walked([(frame, degrees) for frame in range(5, 5 + turns)], slice(50, 60))
                   for degrees, turns in ((10, 28), (-10, 9)))  # fmt: skip
    assert set(right[:5]) == {RIGHT} and set(left[:5]) == {LEFT} and 1 <= right[45] <= COLUMNS


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


KINDS, WORDS, WIDTH = 3, 6, 8


def a_reader() -> Target:
    torch.manual_seed(0)
    reader = Target(KINDS, WORDS, WIDTH)
    for parameter in reader.parameters():
        torch.nn.init.normal_(parameter)
    return reader


def told(reader: Target, sums: torch.Tensor, found: torch.Tensor, destination=None) -> torch.Tensor:
    return reader.told(reader.meant(sums), found, destination)


def test_a_thing_that_is_found_is_where_it_is_found_and_one_that_is_not_is_looked_for_on_one_side():
    found = torch.full((1, 1, 2, COLUMNS), -8.0)
    found[0, 0, 0, 3] = 6.0
    there, nowhere = places_of(found)[0, 0].exp()
    assert there[4] > 0.95 and nowhere[RIGHT] > 0.95


def test_what_is_meant_says_where():
    reader, nothing = Target(2, WORDS, WIDTH), torch.zeros(1, 1, len(SPANS) * WORDS)
    reader.name.weight.data[1] = 10.0  # every word means the second thing
    found = torch.full((1, 1, 2, COLUMNS), -8.0)
    found[0, 0, 0, 3] = found[0, 0, 1, 9] = 6.0
    assert told(reader, nothing + 1, found).argmax() == 10
    assert told(reader, nothing, found, torch.tensor([[4]])).argmax() == 4
    assert torch.equal(told(reader, nothing + 1, found, torch.tensor([[UNKNOWN]])), told(reader, nothing + 1, found))


def test_without_words_nothing_is_told_and_the_action_loss_teaches_no_reading():
    reader, found = a_reader(), torch.randn(1, 1, KINDS, COLUMNS)
    sums = torch.zeros(1, 1, len(SPANS) * WORDS)
    assert not told(reader, sums, found).any()
    odds = told(reader, sums + 1, found)
    (reader.tell(odds) + reader.urge(odds)).sum().backward()
    assert odds.any() and reader.name.weight.grad is None and reader.name.bias.grad is None
    assert reader.tell.weight.grad.any() and reader.urge.weight.grad.any()
    loss = meant_loss(reader.meant(sums + 1), torch.tensor([[2]]), torch.ones(1, 1).bool(), reader.name.weight)
    loss["meant"].mean.backward()
    assert reader.name.weight.grad.any()


def test_only_what_is_known_to_be_meant_counts():
    log_probs = torch.full((1, 3, 4), -np.log(4))
    mask, thing_meant = torch.tensor([[True, True, False]]), torch.tensor([[2, UNKNOWN, 3]])
    losses = meant_loss(log_probs, thing_meant, mask, torch.full((2, 2), 3.0))
    assert losses["meant"].count == 1 and losses["meant"].mean.item() == pytest.approx(np.log(4))
    assert losses["meant_size"].mean.item() == pytest.approx(36)


def test_an_errand_s_name_says_what_it_is_to_while_it_is_run():
    names = "pillar the red pillar on the left", "orbit the blue pillar", "chop the far tree 2", "climb the steps"
    found = [" ".join(THINGS[thing(name)]).strip() for name in names]
    assert found == ["pillar red", "pillar blue", "tree", "steps"]
    assert thing("hop 3") == thing("back") == NOTHING
    errands = SimpleNamespace(errands=[dict(name="sand 2", start_frame=30, end_frame=50),
                                       dict(name="hop 3", start_frame=60, end_frame=80)])  # fmt: skip
    parts = (0, 30 - TOLD_FRAMES, NOTHING), (30 - TOLD_FRAMES, 30, UNKNOWN), (30, 40, thing("sand")), (60, 99, NOTHING)
    for start, stop, found in parts:
        assert (meant(errands, 0, 100)[start:stop] == found).all()
    assert (meant(errands, 35, 65) == meant(errands, 0, 100)[35:65]).all()
    for nobody_says in ([], [dict(name="hop 3", start_frame=3, end_frame=None)]):
        assert (meant(SimpleNamespace(errands=nobody_says), 0, 5) == UNKNOWN).all()


# ---- the finder


def test_a_finder_tells_the_column_of_what_it_learned():
    """A red bar somewhere in the picture; only in which third it stands is told."""
    torch.manual_seed(0)
    finder, random = Finder(2), np.random.default_rng(0)

    def pictures(n: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        frames, share = random.integers(90, 110, (n, 128, 128, 3)).astype(np.uint8), np.zeros((n, 2, 3), np.float32)
        left = random.integers(0, 120, n)
        for frame, third, at in zip(frames, share, left, strict=True):
            frame[30:80, at : at + 8] = (250, 20, 20)
            third[0] = [np.clip(min(at + 8, stop) - max(at, start), 0, 8) / 100 for start, stop in THIRDS]
        return torch.from_numpy(frames), torch.from_numpy(share), left

    optimiser = torch.optim.Adam(finder.parameters(), 0.01)
    for _ in range(40):
        frames, share, _ = pictures(16)
        nats = binary_cross_entropy_with_logits(by_third(finder(frames)), (share > 0).float())
        optimiser.zero_grad()
        nats.backward()
        optimiser.step()
    frames, _, left = pictures(32)
    column = finder(frames)[:, 0].argmax(1).numpy()
    assert np.mean(np.abs(column - (left + 4) / 8 + 0.5) <= 1) > 0.9


THIRDS = ((0, 43), (43, 85), (85, 128))


def test_columns_on_a_border_belong_to_both_thirds():
    columns = torch.full((1, 1, COLUMNS), -50.0)
    for column, thirds in ((0, {0}), (5, {0, 1}), (7, {1}), (10, {1, 2}), (15, {2})):
        columns[:] = -50.0
        columns[0, 0, column] = 5.0
        assert set(torch.nonzero(by_third(columns)[0, 0] > 0)[:, 0].tolist()) == thirds


def test_a_fused_model_that_gets_a_finder_is_the_same_until_it_learns():
    model = VLPT(replace(CONFIG, policy=replace(CONFIG.policy, last_action=False)))
    found = model.with_finder(Finder(4, CONFIG.policy.px))
    frames, first = torch.randint(0, 256, (1, 8, 16, 16, 3), dtype=torch.uint8), torch.zeros(1, 8, dtype=torch.bool)
    heard = torch.randint(0, 20, (1, 8))
    outputs = [one(frames, first, heard, one.start(1))[0] for one in (model.eval(), found.eval())]
    assert torch.equal(outputs[0].action.buttons, outputs[1].action.buttons)
    assert outputs[0].meant is None and outputs[1].meant.shape == (1, 8, 5)
    with pytest.raises(ValueError, match="needs an agent with a finder"):
        replace(CONFIG, target=True)
