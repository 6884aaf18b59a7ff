"""Silence leaves the language model whole: whatever is silent, the next word is what the text so far makes likely."""

import pytest
import torch

from vlpt.language.decoder import Decoder, DecoderConfig
from vlpt.language.silence import LONGEST_TICKS
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.model import VLPT
from vpt.policy import Policy, PolicyConfig

V, TICK, WINDOW = 40, 2, 5
AGENT = PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25, px=32)


def transformer_xl(start: int | None = None, **how) -> TransformerXL:
    sizes = dict(vocabulary=V, width=32, layers=3, heads=2, head_width=16, inner=48, window=WINDOW)
    return TransformerXL(TransformerXLConfig(**sizes, start_token=start, **how))


def decoder(start: int | None = None, sinks: int = 2, kind: str = "llama", layers: int = 3) -> Decoder:
    architecture = dict(model_type=kind, vocab_size=V, hidden_size=32, num_hidden_layers=layers, num_attention_heads=4,
                        num_key_value_heads=2, intermediate_size=48, head_dim=8, bos_token_id=start)
    return Decoder(DecoderConfig(architecture, window=WINDOW, sinks=sinks))


MODELS = {
    "transformer-xl": transformer_xl, "transformer-xl with a start": lambda: transformer_xl(3),
    "llama": decoder, "llama with a start": lambda: decoder(3), "llama without sinks": lambda: decoder(3, 0),
    "qwen3": lambda: decoder(None, 3, "qwen3"),
}


@pytest.fixture(params=MODELS)
def model(request) -> VLPT:
    torch.manual_seed(0)
    made = VLPT.from_parts(Policy(AGENT), MODELS[request.param](), frames_per_tick=TICK, frame_window=8, patch_window=4)
    return made.eval()


def stream(seed: int, frames: int = 80, lanes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures; flags, of which lane 0 has one in the middle and lane 1 two; words at two fifths of the ticks."""
    draw = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (lanes, frames, 32, 32, 3), dtype=torch.uint8, generator=draw)
    first = torch.zeros(lanes, frames, dtype=torch.bool)
    first[:, 0] = True
    first[0, 23] = first[1, 10] = first[1, 41] = True
    heard = torch.randint(0, V, (lanes, frames), generator=draw)
    return pictures, first, heard.masked_fill(torch.rand(lanes, frames, generator=draw) < 0.6, V)


def ticks_of(model: VLPT, pictures, first, heard, chunk: int) -> list[tuple[int, int, torch.Tensor, torch.Tensor]]:
    """(lane, frame, log P(token | speech), logit of silence) of every tick, the stream being cut into chunks."""
    memory, found = model.start(len(first)), []
    for start in range(0, first.shape[1], chunk):
        here = slice(start, start + chunk)
        output, memory = model(pictures[:, here], first[:, here], heard[:, here], memory)
        said = model.language.log_probs(output.hidden)
        for lane, tick in output.tick_valid.nonzero().tolist():
            found.append((lane, start + int(output.tick_index[lane, tick]), said[lane, tick],
                          output.silence_logit[lane, tick]))
    return sorted(found, key=lambda row: row[:2])


def alone(language, words: list[int]) -> torch.Tensor:
    """log-probabilities after a text that is read in one go."""
    ids = torch.tensor([words])
    return language(ids, torch.zeros_like(ids, dtype=torch.bool), language.start(1))[0][0, -1]


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 3, 16, 80])
def test_the_next_word_is_the_text_models_at_every_tick(model, chunk):
    pictures, first, heard = stream(seed=1)
    words: list[int] = []
    checked = silent = longest = 0
    for lane, frame, said, _ in ticks_of(model, pictures, first, heard, chunk):
        start = model.language.config.start_token
        if first[lane, frame]:
            words = [start] if heard[lane, frame] == V and start is not None else []
        token = int(heard[lane, frame])
        words += [token] * (token != V)
        if not words:
            continue
        torch.testing.assert_close(said, alone(model.language, words), atol=1e-5, rtol=0)
        checked, silent, longest = checked + 1, silent + (token == V), max(longest, len(words))
    assert checked > 90 and silent > 40 and longest > 1 + WINDOW + model.language.config.sinks


@torch.no_grad()
def test_open_gates_and_time_since_speech_are_the_same_in_any_cutting(model):
    open_up(model)
    given = stream(seed=2)
    whole = ticks_of(model, *given, chunk=80)
    for chunk in (1, 5, 16):
        for (lane, frame, said, silence), (lane_, frame_, said_, silence_) in zip(
            whole, ticks_of(model, *given, chunk), strict=True
        ):
            assert (lane, frame) == (lane_, frame_)
            torch.testing.assert_close(said_, said, atol=1e-5, rtol=0)
            torch.testing.assert_close(silence_, silence, atol=1e-5, rtol=0)


@torch.no_grad()
def test_how_long_it_has_been_silent_changes_what_is_said(model):
    open_up(model)
    frames = torch.zeros(1, 2 * LONGEST_TICKS * TICK + TICK, 32, 32, 3, dtype=torch.uint8)
    first = torch.zeros(frames.shape[:2], dtype=torch.bool)
    heard = torch.full(frames.shape[:2], V)
    heard[0, 0] = 7
    for block in model.words_ask_frames.values():
        block.attention_gate.zero_()
    said = torch.stack([row[2] for row in ticks_of(model, frames, first, heard, 16)])
    assert (said[1:LONGEST_TICKS] - said[: LONGEST_TICKS - 1]).abs().amax(1).min() > 1e-3
    torch.testing.assert_close(said[LONGEST_TICKS:], said[LONGEST_TICKS - 1 :][:1].expand_as(said[LONGEST_TICKS:]))


@torch.no_grad()
def test_a_silent_tick_is_not_remembered(model):
    pictures, first, heard = (given[:, :12] for given in stream(seed=3))
    apart, close = torch.full_like(heard, V), torch.full_like(heard[:, :4], V)
    apart[:, 0], apart[:, 8], close[:, 0], close[:, 2] = 5, 6, 5, 6
    _, gaps = model(pictures, first, apart, model.start(3))
    _, close = model(pictures[:, :4], first[:, :4], close, model.start(3))
    lane = slice(2, 3)  # the one that goes on without a reset
    kept, wanted = gaps.index(lane).language, close.index(lane).language
    assert torch.equal(kept.mask, wanted.mask) and torch.equal(kept.age, wanted.age) and kept.mask.sum() == 2
    for row, wanted_row in zip(kept.layers, wanted.layers, strict=True):
        torch.testing.assert_close(row[kept.mask], wanted_row[kept.mask], atol=1e-5, rtol=0)
    assert gaps.language.token[2] == close.language.token[2] == 6
    assert (gaps.language.since[2], close.language.since[2]) == (2, 1)


@torch.no_grad()
def test_the_first_words_stay_when_the_window_has_moved_on():
    torch.manual_seed(0)
    text = torch.randint(0, V, (60,)).tolist()
    changed = [(text[0] + 1) % V, *text[1:]]
    with_sinks, without = decoder(sinks=2).eval(), decoder(sinks=0).eval()
    without.load_state_dict(with_sinks.state_dict())
    assert len(text) > 3 * WINDOW + 1
    torch.testing.assert_close(alone(without, text), alone(without, changed))
    assert (alone(with_sinks, text) - alone(with_sinks, changed)).abs().max() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_sinks_are_seen_as_in_a_text_of_the_sinks_and_the_window(chunk):
    """One layer of the library's own on the words that may be seen, which so get positions without a gap."""
    torch.manual_seed(0)
    sinks, model = 2, decoder(sinks=2, layers=1).eval()
    ids, memory, said = torch.randint(0, V, (1, 30)), model.start(1), []
    for start in range(0, ids.shape[1], chunk):
        part = ids[:, start : start + chunk]
        log_probs, memory = model(part, torch.zeros_like(part, dtype=torch.bool), memory)
        said.append(log_probs)
    for last, found in enumerate(torch.cat(said, 1)[0]):
        seen = torch.cat([ids[:, : min(sinks, last)], ids[:, max(sinks, last - WINDOW) : last + 1]], 1)
        seen = ids[:, : last + 1] if last <= sinks else seen
        wanted = model.causal(seen).logits[0, -1].log_softmax(-1)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def open_up(model: VLPT) -> None:
    draw = torch.Generator().manual_seed(9)
    for name, parameter in model.named_parameters():
        if "gate" in name or name.startswith("silence.since"):
            size = 0.2 if name == "silence.since_weight" else 1.0  # a product with a state: logits of a few nats
            parameter.copy_(size * torch.randn(parameter.shape, generator=draw))
