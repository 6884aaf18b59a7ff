"""Losses: the camera masked, speech and silence apart, sums that compose, baselines under the same masks.

Run: pytest tests/vlpt/test_losses.py
"""

from types import SimpleNamespace

import pytest
import torch

from vlpt.training.losses import (
    Counts,
    LossPart,
    LossTotals,
    Unigram,
    action_loss,
    action_nats,
    kl_to_reference,
    language_loss,
    language_nats,
    objective,
    unigram_log_probs,
)

B, T, V, FRAMES_PER_TICK = 2, 12, 7, 4
NOWHERE = torch.zeros(B, T, dtype=torch.bool)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def an_action(generator, requires_grad=False):
    buttons, camera = (torch.randn(B, T, n, generator=generator) for n in (8641, 121))
    buttons.requires_grad_(requires_grad), camera.requires_grad_(requires_grad)
    return SimpleNamespace(buttons=buttons.log_softmax(-1), camera=camera.log_softmax(-1), leaves=(buttons, camera))


def labels(generator):
    return torch.randint(0, 8641, (B, T), generator=generator), torch.randint(0, 121, (B, T), generator=generator)


def an_output(generator):
    index = torch.tensor([[0, 4, 8], [1, 5, 0]])
    valid = torch.tensor([[True, True, True], [True, True, False]])
    silence = torch.randn(B, 3, generator=generator).requires_grad_()
    tokens = torch.randn(B, 3, V, generator=generator).requires_grad_()
    return SimpleNamespace(silence_logit=silence, hidden=tokens, tick_index=index, tick_valid=valid,
                           leaves=(silence, tokens))  # fmt: skip


# A language model whose states are the logits themselves.
LANGUAGE = SimpleNamespace(
    vocabulary=V, nats=lambda hidden, ids: -hidden.log_softmax(-1).gather(-1, ids[:, None])[:, 0]
)


def test_camera_costs_nothing_and_learns_nothing_where_its_meta_button_is_off(generator):
    action = an_action(generator, requires_grad=True)
    buttons, camera = labels(generator)
    buttons[0, :3] = torch.tensor([0, 8640, 4321])  # nothing; inventory; camera on
    buttons_nats, camera_nats = action_nats(action, buttons, camera)
    assert camera_nats[0, 0] == 0 and camera_nats[0, 1] == 0 and camera_nats[0, 2] > 0
    assert torch.equal(camera_nats == 0, buttons % 2 == 0)
    everything = torch.ones(B, T, dtype=torch.bool)
    action_loss(action, buttons, camera, everything, NOWHERE)["action"].total.backward()
    assert torch.equal(action.leaves[1].grad.abs().sum(-1) > 0, buttons % 2 == 1)
    assert (action.leaves[0].grad.abs().sum(-1) > 0).all()
    other = camera.clone()
    other[0, 0] = (other[0, 0] + 1) % 121
    assert torch.equal(action_nats(action, buttons, other)[1], camera_nats)


def test_action_loss_is_the_mean_of_what_the_mask_keeps(generator):
    action, (buttons, camera) = an_action(generator), labels(generator)
    mask = torch.rand(B, T, generator=generator) < 0.5
    null = torch.rand(B, T, generator=generator) < 0.5
    parts = action_loss(action, buttons, camera, mask, null)
    by_hand = []
    for b, t in mask.nonzero().tolist():
        nats = -action.buttons[b, t, buttons[b, t]]
        by_hand.append(nats - action.camera[b, t, camera[b, t]] if buttons[b, t] % 2 else nats)
    pressed = [nats for nats, (b, t) in zip(by_hand, mask.nonzero().tolist(), strict=True) if not null[b, t]]
    assert torch.isclose(parts["action_non_null"].mean, torch.stack(pressed).mean(), atol=1e-5)
    assert parts["action_non_null"].count == len(pressed) < len(by_hand)
    assert torch.isclose(parts["action"].mean, torch.stack(by_hand).mean(), atol=1e-5)
    assert parts["action"].count == mask.sum() == parts["camera"].count
    assert torch.isclose(parts["buttons"].mean + parts["camera"].mean, parts["action"].mean)


def test_parts_compose_over_chunks(generator):
    action, (buttons, camera) = an_action(generator), labels(generator)
    mask = torch.rand(B, T, generator=generator) < 0.5
    whole, pieces = LossTotals(), LossTotals()
    whole.add(action_loss(action, buttons, camera, mask, ~mask))
    for cut in (slice(0, 1), slice(1, 9), slice(9, T)):
        piece = SimpleNamespace(buttons=action.buttons[:, cut], camera=action.camera[:, cut])
        pieces.add(action_loss(piece, buttons[:, cut], camera[:, cut], mask[:, cut], ~mask[:, cut]))
    assert pieces.means() == pytest.approx(whole.means(), abs=1e-5)
    nothing = LossTotals()
    nothing.add(action_loss(action, buttons, camera, NOWHERE, NOWHERE))
    assert nothing.means() == {}


def test_an_objective_adds_up_to_means_over_the_whole_update():
    """Two batches, 1 of 3 and 99 of 1: not the mean of their means, 2, but 1.02; what counts nowhere costs nothing."""
    batches = [{"a": LossPart(torch.tensor(3.0), torch.tensor(1.0)), "logged": LossPart(*torch.tensor([9.0, 1.0]))},
               {"a": LossPart(torch.tensor(99.0), torch.tensor(99.0)), "logged": LossPart(*torch.tensor([9.0, 1.0]))}]
    whole = sum(objective(batch, {"a": 2.0, "logged": 0.0}, {"a": 100}) for batch in batches)
    assert float(whole) == pytest.approx(2 * 1.02)
    nothing = {"a": LossPart(torch.tensor(0.0), torch.tensor(0.0))}
    assert objective(nothing, {"a": 1.0}, {"a": 0}) == 0


def test_bf16_outputs_are_summed_in_fp32(generator):
    """A thousand frames of 1 nat are 1,000 nats: a bf16 sum stops at 256."""
    action = SimpleNamespace(buttons=torch.full((1, 1000, 2), -1.0, dtype=torch.bfloat16),
                             camera=torch.zeros(1, 1000, 2, dtype=torch.bfloat16))
    zeros = torch.zeros(1, 1000, dtype=torch.long)
    part = action_loss(action, zeros, zeros, zeros == 0, zeros > 0)["action"]
    assert part.total.dtype == torch.float32 and part.total == 1000


def test_masked_nonsense_does_not_reach_the_sum():
    part = LossPart.of(torch.tensor([1.0, float("nan"), float("inf")]), torch.tensor([True, False, False]))
    assert part.total == 1 and part.count == 1


def test_speech_and_silence_are_apart(generator):
    output = an_output(generator)
    target = torch.full((B, T), V)
    target[0, 4], target[1, 5] = 3, 6
    target[:, 2] = 1  # not a tick frame: never read
    everything = torch.ones(B, T, dtype=torch.bool)
    parts = language_loss(LANGUAGE, output, target, everything)
    assert parts["silence"].count == 5 and parts["token"].count == 2
    expected = -(output.hidden.log_softmax(-1)[0, 1, 3] + output.hidden.log_softmax(-1)[1, 1, 6])
    assert torch.isclose(parts["token"].total, expected)
    said = torch.tensor([[0.0, 1, 0], [0, 1, 0]])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(output.silence_logit, 1 - said, reduction="none")
    assert torch.isclose(parts["silence"].total, (loss * output.tick_valid).sum())

    gradient, = torch.autograd.grad(parts["token"].total, output.leaves[1], retain_graph=True)
    assert torch.equal(gradient.abs().sum(-1) > 0, said.bool())
    assert torch.autograd.grad(parts["silence"].total, output.leaves, allow_unused=True)[1] is None
    assert torch.autograd.grad(parts["token"].total, output.leaves, allow_unused=True)[0] is None


def test_masked_and_padded_ticks_do_not_count(generator):
    output = an_output(generator)
    target = torch.zeros(B, T, dtype=torch.long)
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[0, 4] = False
    parts = language_loss(LANGUAGE, output, target, mask)
    assert parts["token"].count == parts["silence"].count == 4
    silence, token, spoken = language_nats(LANGUAGE, output, target)
    counted = torch.tensor([[True, False, True], [True, True, False]])
    assert torch.isclose(parts["token"].total, token[counted].sum()) and spoken.all()
    assert torch.isclose(parts["silence"].total, silence[counted].sum())


def test_kl_is_that_of_the_joint_action(generator):
    """Buttons of 4 kinds (odd: camera on) and 3 cameras, against the sum over all joint actions."""
    ours, theirs = (SimpleNamespace(buttons=torch.randn(B, T, 4, generator=generator).log_softmax(-1),
                                    camera=torch.randn(B, T, 3, generator=generator).log_softmax(-1)) for _ in range(2))
    mask = torch.ones(B, T, dtype=torch.bool)
    joint = {}
    for name, action in (("ours", ours), ("theirs", theirs)):
        with_camera = (action.buttons[..., 1::2, None] + action.camera[..., None, :]).flatten(2)
        joint[name] = torch.cat([action.buttons[..., ::2], with_camera], -1)
    expected = (joint["theirs"].exp() * (joint["theirs"] - joint["ours"])).sum()
    assert torch.isclose(kl_to_reference(ours, theirs, mask)["kl"].total, expected, rtol=1e-4)
    assert kl_to_reference(ours, ours, mask)["kl"].total == 0


def test_unigram_is_a_distribution_with_one_added_to_the_seen():
    log_probs = unigram_log_probs(torch.tensor([0, 3, 0, 1]))
    assert torch.allclose(log_probs.exp(), torch.tensor([0.5, 4, 0.5, 2]) / 7)
    assert torch.allclose(unigram_log_probs(torch.tensor([3, 1])).exp(), torch.tensor([4, 2]) / 6)


def test_baselines_use_the_models_masks(generator):
    buttons, camera = labels(generator)
    buttons[buttons % 2 == 0] = 0
    camera[buttons % 2 == 0] = 60  # were these counted, 60 would look frequent
    mask = torch.rand(B, T, generator=generator) < 0.7
    counts = Counts.zero(V).plus_actions(buttons, camera, mask)
    on = mask & (buttons % 2 == 1)
    assert counts.buttons.sum() == mask.sum() and counts.camera.sum() == on.sum()
    baseline = Unigram.of(counts)
    parts = baseline.action_loss(buttons, camera, mask, NOWHERE)
    expected = -(baseline.buttons[buttons[mask]].sum() + baseline.camera[camera[on]].sum())
    assert torch.isclose(parts["action"].total, expected, rtol=1e-5) and parts["action"].count == mask.sum()


def test_word_baselines_keep_speech_and_silence_apart(generator):
    target = torch.randint(0, V + 1, (B, T), generator=generator)
    mask = torch.rand(B, T, generator=generator) < 0.7
    counts = Counts.zero(V).plus_words(target, mask)
    spoken = mask & (target < V)
    assert counts.silence.tolist() == [int(spoken.sum()), int((mask & ~spoken).sum())]
    assert counts.token.sum() == spoken.sum()
    baseline = Unigram.of(counts)
    parts = baseline.language_loss(target, mask)
    assert parts["token"].count == spoken.sum() and parts["silence"].count == mask.sum()
    assert torch.isclose(parts["token"].total, -baseline.token[target[spoken]].sum(), rtol=1e-5)
