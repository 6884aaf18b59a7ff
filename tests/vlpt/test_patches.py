"""Words ask places in the picture: patches of frames at ticks, how far back, whose, and where in the picture.

Run: pytest tests/vlpt/test_patches.py
"""

from dataclasses import replace

import pytest
import torch

from vlpt.language.decoder import DecoderConfig
from vlpt.language.transformer_xl import TransformerXLConfig
from vlpt.model import VLPT, VLPTConfig
from vpt.policy import SIZES, Policy, PolicyConfig

V, P, C, WINDOW = 20, 16, 24, 6
POLICY = PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=20, timesteps=8, impala_width=0.25,
                      impala_channels=(16, 16, 16), px=16, n_buttons=50, last_action=True)
# Neither has a start token: in silence each tick then sees itself only, so that what it knows of frames it has asked.
LANGUAGES = {
    "transformer-xl": TransformerXLConfig(vocabulary=V, width=32, layers=2, heads=2, head_width=16, inner=64, window=5),
    "llama": DecoderConfig(dict(
        model_type="llama", vocab_size=V, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, pad_token_id=0), window=5, sinks=2),
}  # fmt: skip


def a_model(language: str = "transformer-xl", **changes) -> VLPT:
    torch.manual_seed(0)
    config = VLPTConfig(POLICY, LANGUAGES[language], frame_window=9, patch_window=WINDOW, words_window=14,
                        cross_heads=2, cross_head_width=16)  # fmt: skip
    model = VLPT(replace(config, **changes)).eval()
    for gate in model.groups()["gates"]:
        torch.nn.init.constant_(gate, 0.7)
    for cross in model.words_ask_frames.values():
        torch.nn.init.constant_(cross.log_decay, -5)  # so that what is old still weighs something
    return model


def hidden(model: VLPT, x: torch.Tensor, patches: torch.Tensor, first: torch.Tensor, chunk: int) -> dict:
    """{frame of a tick: its hidden state (E,)}, in silence, the one lane's stream being cut into chunks."""
    memory, found = model.start(1), {}
    for start in range(0, first.shape[1], chunk):
        here = slice(start, start + chunk)
        heard = torch.full_like(first[:, here], V, dtype=torch.long)
        output, memory = model(Policy.pack(x[:, here], patches[:, here]), first[:, here], heard, memory)
        found |= {start + int(t): output.hidden[0, i] for i, t in enumerate(output.tick_index[0])}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("flamingo_every", [0, 1])
@pytest.mark.parametrize("frames_per_tick", [1, 2, 4])
@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_a_word_sees_places_of_frames_at_ticks_in_the_window_of_its_life(
    language, flamingo_every, frames_per_tick, chunk
):
    model = a_model(language, flamingo_every=flamingo_every, frames_per_tick=frames_per_tick)
    x, patches = torch.randn(1, 30, 32), torch.randn(1, 30, P, C, requires_grad=True)
    first = torch.zeros(1, 30, dtype=torch.bool)
    first[0, 13] = True
    ticks = {t for t in range(30) if (t - 13 * (t >= 13)) % frames_per_tick == 0}
    said = hidden(model, x, patches, first, chunk)
    assert set(said) == ticks
    for t in ticks:
        gradient, = torch.autograd.grad(said[t].square().sum(), patches, retain_graph=True)
        reached = {s for s in range(30) if gradient[0, s].abs().amax(-1).min() > 0}
        assert reached == {s for s in ticks if 0 <= t - s < WINDOW and (s >= 13) == (t >= 13)}
        assert not gradient[0, [s for s in range(30) if s not in reached]].any()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("flamingo_every", [0, 1])
@torch.no_grad()
def test_it_matters_where_in_the_picture_something_is(language, flamingo_every):
    model, x, patches = a_model(language, flamingo_every=flamingo_every), torch.randn(1, 9, 32), torch.randn(1, 9, P, C)
    first, swapped = torch.zeros(1, 9, dtype=torch.bool), patches.clone()
    swapped[:, 4, [0, 15]] = patches[:, 4, [15, 0]]

    def change() -> list[float]:
        before, after = (hidden(model, x, shown, first, 9) for shown in (patches, swapped))
        return [float((before[t] - after[t]).abs().max()) for t in (0, 4, 8)]

    earlier, at_once, later = change()
    assert earlier == 0 and at_once > 1e-3 and later > 1e-3
    for cross in model.words_ask_frames.values():
        cross.patches.place.zero_()
    assert max(change()) < 1e-5, "it is the place, not the order, by which patches are told apart"


@torch.no_grad()
def test_the_memory_holds_the_places_of_the_last_ticks():
    model = a_model(patch_window=10)  # of frames 0, 4 and 8 back: two ticks before the present one
    packed, first = torch.randn(2, 30, model.policy.packed_width), torch.zeros(2, 30, dtype=torch.bool)
    first[1, 25] = True  # its last ticks: 25 and 29
    _, memory = model(packed, first, torch.full_like(first, V, dtype=torch.long), model.start(2))
    kept = memory.patches
    assert kept.mask.all()
    torch.testing.assert_close(kept.content[0], packed[0, [24, 28], 32:], atol=0, rtol=0)
    torch.testing.assert_close(kept.content[1], packed[1, [25, 29], 32:], atol=0, rtol=0)
    assert kept.age_frames.tolist() == [[4, 0], [4, 0]] and kept.content.shape == model.start(2).patches.content.shape


@torch.no_grad()
def test_without_a_window_nobody_asks_for_places():
    model = a_model(patch_window=0)
    x, first = torch.randn(1, 9, 32), torch.zeros(1, 9, dtype=torch.bool)
    one, other = (hidden(model, x, torch.randn(1, 9, P, C), first, 9) for _ in range(2))
    assert all(torch.equal(one[t], other[t]) for t in one)
    assert model.start(1).patches.bytes == 0 and not any("patches" in name for name in model.state_dict())


@torch.no_grad()
def test_a_1x_agent_gives_places_and_acts_as_without_them():
    """At the released size: 4 x 4 places, of each channel of each stack two numbers; the encoder's vector as it was."""
    torch.manual_seed(0)
    policy = Policy(replace(SIZES["1x"], n_buttons=50)).eval()  # the rest of the head says nothing here
    frames, first = torch.randint(0, 256, (1, 2, 128, 128, 3), dtype=torch.uint8), torch.zeros(1, 2, dtype=torch.bool)
    x, patches, memory = policy.encode_frames(frames, first, policy.start(1)[0])
    without, memory_without = policy.blocks[0](policy.embed(frames), first, policy.start(1)[0])
    assert patches.shape == (1, 2, 16, policy.config.patch_width) and policy.config.patch_width == 2 * (64 + 128 + 128)
    assert torch.equal(x, without) and torch.equal(memory.keys, memory_without.keys)
    corner = policy.picture.stacks[0](frames[0])[:, 48:, 48:]  # a sixteenth of the 64 x 64 map, at the bottom right
    torch.testing.assert_close(patches[0, :, 15, :64], corner.mean((1, 2)))
    torch.testing.assert_close(patches[0, :, 15, 64:128], corner.amax((1, 2)))
