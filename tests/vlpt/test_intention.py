"""What will be done soon, and the reader of it: what it is made of, what trains it, what it tells.

Run: pytest tests/vlpt/test_intention.py
"""

import numpy as np
import pytest
import torch

from vlpt.clock import Visibility
from vlpt.data.soon import FRAMES, NAMES, SOON, soon
from vlpt.intention import SPANS, Intention, sums
from vlpt.training.losses import intention_loss
from vpt.actions import BUTTONS, MINECRAFT

WORDS, WIDTH = 6, 8


def test_soon_is_within_two_seconds_and_no_later():
    buttons, camera_deg = np.zeros((100, len(BUTTONS))), np.zeros((100, 2))
    buttons[60, BUTTONS.index("jump")] = 1
    camera_deg[80:85, 1] = -10.0  # fifty degrees to the left
    found = soon(*MINECRAFT.encode(buttons, camera_deg))
    assert found.shape == (100, SOON) and FRAMES == 40
    at = {name: np.flatnonzero(found[:, NAMES.index(name)]) for name in NAMES}
    assert at.pop("jump").tolist() == list(range(21, 61))
    left = at.pop("turn left")  # more than forty degrees of them are needed
    assert left.min() == 83 - FRAMES + 1 and left.max() == 81  # of which four are, in the bins of the mouse
    assert not any(len(frames) for frames in at.values())
    for start, stop in ((0, 30), (50, 70), (90, 100)):  # as lanes ask for it, chunk by chunk
        ahead = slice(start, stop + FRAMES)
        assert (soon(*MINECRAFT.encode(buttons[ahead], camera_deg[ahead]))[: stop - start] == found[start:stop]).all()


def a_reader() -> Intention:
    torch.manual_seed(0)
    reader = Intention(WORDS, WIDTH).eval()
    torch.nn.init.normal_(reader.read.weight)
    return reader


def sees(ages: list[float], visible: bool = True) -> Visibility:
    age = torch.tensor(ages)[None, None]
    return Visibility(torch.full_like(age, visible, dtype=torch.bool), age, torch.zeros(1, 1))


def test_words_are_read_as_long_as_the_longest_span_and_without_words_nothing_is_told():
    reader, words = a_reader(), torch.randn(1, 2, WORDS)
    each = [3, 10], [3, SPANS[-1]], [SPANS[-1] + 1] * 2
    both, one, none = (reader.logits(sums(words, sees(ages))) for ages in each)
    assert not torch.equal(both, one) and not torch.equal(one, none)
    assert torch.equal(one, reader.logits(sums(words[:, :1], sees([3]))))
    assert torch.equal(none[0, 0], reader.read.bias)
    assert not reader.told(none).any() and reader.told(both).all()


def test_the_action_loss_teaches_what_is_told_and_not_what_is_read():
    reader, words = a_reader(), torch.randn(1, 2, WORDS, requires_grad=True)
    logits = reader.logits(sums(words, sees([3, 10])))
    (reader.tell(reader.told(logits)) + reader.urge(reader.told(logits))).sum().backward()
    assert reader.tell.weight.grad.any() and reader.urge.weight.grad.any()
    assert reader.read.weight.grad is None and reader.read.bias.grad is None and words.grad is None
    everything = torch.ones(1, 1, SOON, dtype=torch.bool)
    intention_loss(logits, everything, everything[..., 0], reader.read.weight)["intention"].mean.backward()
    assert reader.read.weight.grad.any() and words.grad is None


def test_it_begins_with_how_often_each_thing_is_done():
    reader, share = Intention(WORDS, WIDTH), np.linspace(0.1, 0.9, SOON)
    assert reader.is_fresh
    reader.begin_with(share)
    torch.testing.assert_close(reader.read.bias.sigmoid(), torch.from_numpy(share).float())
    done = torch.rand(1, 50_000, SOON, generator=torch.manual_seed(0)) < torch.from_numpy(share)
    torch.nn.init.constant_(reader.read.weight, 0.5)
    logits = reader.read.bias.expand(1, 50_000, -1)
    losses = intention_loss(logits, done, torch.ones(1, 50_000).bool(), reader.read.weight)
    assert losses["intention_size"].mean.item() == pytest.approx(0.25 * len(SPANS) * WORDS * SOON)
    found = losses["intention"].mean
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share)).sum()
    assert abs(found.item() - entropy) < 0.02
