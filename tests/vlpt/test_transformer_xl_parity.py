"""Equality with the published Transformer-XL and Flamingo, against stored golden numbers.

Reads tests/fixtures or the folder that VLPT_FIXTURES names (see fixture_data.py); every expectation comes from there.
"""

import json
import os
import pickle
import tempfile
from collections import Counter, OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fixture_data import arrays, record, tensors

from vlpt.clock import Timestamps, Visibility
from vlpt.data.words import load_tokenizer
from vlpt.fusion import GatedCrossAttention
from vlpt.language.convert_transfo_xl import Options, from_published, main, read_config, read_vocabulary
from vlpt.language.families import load_language
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig

WEIGHTS, CONFIG = "transfo_xl_tiny.weights.safetensors", record("transfo_xl_tiny.config.json")
FIXTURE, VARIANTS = arrays("transfo_xl_tiny.io.npz"), CONFIG["variants"]
LOG_PROBS, REST = 5e-5, 2e-5  # tolerances of the fixtures' own table


def config_of(content: dict | None = None, **changes) -> TransformerXLConfig:
    """Of a published config.json; ours always has windows of one length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps({**(content or CONFIG["config"]), "same_length": True, **changes}))
        return read_config(path)


def the_published_model(config: TransformerXLConfig, cluster_order: str = "huggingface") -> TransformerXL:
    model = TransformerXL(config).eval()
    model.load_state_dict(from_published(tensors(WEIGHTS), config, cluster_order))
    return model


def close(ours: torch.Tensor, golden: np.ndarray, atol: float) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), golden, rtol=0, atol=atol)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_equals_the_published_numbers(variant):
    how, segments = VARIANTS[variant], len(CONFIG["segments"])
    longest = max(CONFIG["segments"])
    seen_before = how["mem_len"] - 1 if how["same_length"] else how["mem_len"] + longest
    model = the_published_model(replace(config_of(clamp_len=how["clamp_len"]), window=seen_before))
    memory = model.start(len(FIXTURE["in.ids0"]))
    if how["first_segment_mems"] == "default":  # the published default attends to zeros before the text
        age = torch.arange(memory.age.shape[1], 0, -1).expand(len(memory.age), -1)
        memory = replace(memory, age=age, mask=age <= how["mem_len"])
    for segment in range(segments):
        ids = torch.from_numpy(FIXTURE[f"in.ids{segment}"])
        log_probs, memory = model(ids, torch.zeros_like(ids, dtype=torch.bool), memory)
        # Without `same_length` the published window depends on the chunk: mem_len tokens before the chunk's start.
        memory = replace(memory, mask=memory.mask & (memory.age <= how["mem_len"]))
        out = f"out.{variant}.seg{segment}."
        close(log_probs, FIXTURE[out + "log_probs"], LOG_PROBS)
        published = FIXTURE[out + "mems"].swapaxes(1, 2)
        for ours, theirs in zip(memory.layers, published, strict=True):
            known = min(int(memory.mask[0].sum()), theirs.shape[1])
            close(ours[:, ours.shape[1] - known :], theirs[:, theirs.shape[1] - known :], REST)


@torch.no_grad()
def test_published_embeddings_and_losses_in_token_order():
    model = the_published_model(config_of(clamp_len=-1))
    close(model.embed(torch.arange(model.vocabulary)), FIXTURE["out.word_emb.all_tokens"], REST)
    ids = torch.from_numpy(FIXTURE["in.ids0"])
    chunk = model.plan(*everything(ids), model.start(len(ids)))
    hidden, _ = model.run(model.embed(ids), chunk, model.start(len(ids)))
    nats = model.nats(hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).view(len(ids), -1)
    close(nats, FIXTURE["out.same_len_noclamp_emptymems.seg0.labels_losses_in_order"], LOG_PROBS)


def everything(ids: torch.Tensor):
    """Stamps, last life and what is heard, for plain text in one piece."""
    segment = torch.zeros_like(ids)
    return Timestamps(torch.arange(ids.shape[1]).expand_as(ids), segment, segment == 0), segment[:, -1], ids


def test_losses_never_spell_the_vocabulary_out(monkeypatch):
    """Each cluster's softmax sees only the rows whose word is in it; their sum is the loss of the whole softmax."""
    model = the_published_model(config_of(clamp_len=-1))
    hidden, ids = torch.randn(40, model.width), torch.arange(model.vocabulary)[::2]
    expected = -model.log_probs(hidden).gather(-1, ids[:, None])[:, 0]
    widest, tail = [], model.table._tail
    monkeypatch.setattr(model.table, "_tail", lambda rows, i: widest.append(len(rows)) or tail(rows, i))
    torch.testing.assert_close(model.nats(hidden, ids), expected)
    assert sum(widest) < len(ids) and max(widest) < len(ids) / 2


def test_both_orders_of_clusters_are_read():
    """The authors' own code counts clusters from the end: its files are read as such, and differ when they are not."""
    config, weights = config_of(clamp_len=-1), dict(tensors(WEIGHTS))
    ours = the_published_model(config).state_dict()
    turned = {name: weights[name].flip(0) if name in ("crit.cluster_weight", "crit.cluster_bias") else weights[name]
              for name in weights}
    again = from_published(turned, config, "original")
    assert all(torch.equal(again[name], ours[name]) for name in ours if not name.startswith("waves"))
    assert not torch.equal(from_published(turned, config)["table.cluster_weight"], ours["table.cluster_weight"])
    with pytest.raises(ValueError, match="cluster_order is one of"):
        from_published(weights, config, "reversed")


def test_a_missing_foreign_or_untied_tensor_is_named():
    config, weights = config_of(clamp_len=-1), dict(tensors(WEIGHTS))
    untied = dict(weights)
    untied["crit.out_layers.1.weight"] = weights["crit.out_layers.1.weight"] + 1
    with pytest.raises(ValueError, match="crit.out_layers.1.weight differs from transformer.word_emb.emb_layers.1"):
        from_published(untied, config)
    weights["crit.surprise"] = weights.pop("crit.cluster_bias")
    with pytest.raises(ValueError, match=r"missing \['crit.cluster_bias'\], left over \['crit.surprise'\]"):
        from_published(weights, config)


def test_wt103_loads_strictly_by_its_complete_list_of_keys():
    index = record("transfo_xl_wt103_index.json")
    with torch.device("meta"):
        model = TransformerXL(config_of(index["config"]))
        named = {name: torch.empty(shape) for name, (shape, _) in index["tensors"].items()}
    assert len(named) == index["n_keys"]
    loaded = from_published(named, model.config)
    own = {name: tensor for name, tensor in model.state_dict().items() if name != "waves"}
    assert {name: tuple(tensor.shape) for name, tensor in loaded.items()} == {
        name: tuple(tensor.shape) for name, tensor in own.items()}
    assert sum(p.numel() for p in model.parameters()) == index["unique_parameter_elements"]


# ---- the published folder


def published_folder(folder, pickled: dict | None = None):
    """As transfo-xl-wt103 was published, at the fixtures' size."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIG["config"], "same_length": True}))
    torch.save(dict(tensors(WEIGHTS)), folder / "pytorch_model.bin")
    words = ["<eos>", "<unk>", *(f"w{i}" for i in range(2, CONFIG["config"]["vocab_size"]))]
    content = pickled or {"idx2sym": words, "sym2idx": OrderedDict((w, i) for i, w in enumerate(words)),
                          "counter": Counter(words), "lower_case": False, "special": ["<eos>"]}  # fmt: skip
    with open(folder / "vocab.pkl", "wb") as file:
        pickle.dump(content, file)
    return folder, words


def test_the_published_folder_becomes_ours(tmp_path, capsys):
    folder, words = published_folder(tmp_path / "theirs")
    main(Options(folder=str(folder), out=str(tmp_path / "ours")))
    model, tokenizer = load_language(tmp_path / "ours"), load_tokenizer(tmp_path / "ours/tokenizer.json")
    assert f"{len(words)} words" in capsys.readouterr().out
    assert tokenizer.encode("w5 w79 nonsense").ids == [5, 79, words.index("<unk>")]
    assert model.config.start_token == words.index("<eos>")
    theirs = the_published_model(config_of()).state_dict()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in model.state_dict().items())


def test_a_plain_word_list_is_read_and_wrong_ones_are_named(tmp_path):
    folder, words = published_folder(tmp_path / "theirs")
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in words[:-1]))
    with pytest.raises(ValueError, match=f"{len(words) - 1} words, but weights for {len(words)}"):
        main(Options(folder=str(folder), out=str(tmp_path / "ours")))
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in words))
    assert read_vocabulary(folder) == words
    (folder / "vocab.txt").unlink(), (folder / "vocab.pkl").unlink()
    with pytest.raises(ValueError, match="which word is which"):
        main(Options(folder=str(folder), out=str(tmp_path / "ours")))
    assert not (tmp_path / "ours").exists()


class Exploit:
    def __reduce__(self):
        return os.system, ("touch owned",)


def test_a_hostile_vocabulary_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, _ = published_folder(tmp_path / "theirs", pickled={"idx2sym": [Exploit()]})
    with pytest.raises(ValueError, match="vocab.pkl .*refused: .*system"):
        main(Options(folder=str(folder), out=str(tmp_path / "ours")))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("change, says", [({"attn_type": 1}, "not implemented"), ({"d_embed": 8}, "as wide"),
                                          ({"n_layer": None}, "config.json")])  # fmt: skip
def test_other_kinds_of_transformer_xl_are_refused(change, says):
    content = {key: value for key, value in {**CONFIG["config"], **change}.items() if value is not None}
    with pytest.raises(ValueError, match=says):
        config_of(content)


# ---- Flamingo's gated block is ours without time and without a norm on what is asked


@pytest.mark.parametrize("mode", ["immediate", "all_previous"])
def test_equals_flamingo_where_the_two_coincide(mode):
    fixture = arrays("flamingo_gated_xattn_tiny.io.npz")
    weights = tensors("flamingo_gated_xattn_tiny.weights.safetensors")
    size = record("flamingo_gated_xattn_tiny.config.json")["gated_cross_attention_block"]
    dim, heads = size["dim"], size["heads"]
    block = GatedCrossAttention(dim, dim, 1, heads, size["dim_head"], inner=size["ff_mult"] * dim)
    block.source_norm = torch.nn.Identity()
    key, value = weights["xattn.attn.to_kv.weight"].chunk(2)
    block.load_state_dict({
        "query_norm.weight": weights["xattn.attn.norm.weight"], "query_norm.bias": weights["xattn.attn.norm.bias"],
        "query.weight": weights["xattn.attn.to_q.weight"], "key.weight": key, "value.weight": value,
        "out.weight": weights["xattn.attn.to_out.weight"],
        **{f"feedforward.{i}": weights[f"xattn.ff.{i}"] for i in ("0.weight", "0.bias", "1.weight", "3.weight")},
        "attention_gate": weights["xattn.attn_gate"], "feedforward_gate": weights["xattn.ff_gate"],
        "log_decay": torch.zeros(heads),
    })
    x, media = torch.from_numpy(fixture["in.x"]), torch.from_numpy(fixture["in.media"])
    text_time = torch.from_numpy(fixture["in.media_locations"]).long().cumsum(1)
    number = torch.arange(1, media.shape[1] + 1).repeat_interleave(media.shape[2])
    visible = (number == text_time[..., None]) if mode == "immediate" else (number <= text_time[..., None])
    at_once = Visibility(visible, torch.zeros(visible.shape), torch.zeros(x.shape[:2]))
    asked = block.key_values(media.flatten(1, 2), torch.zeros(len(x), media.shape[1] * media.shape[2]))
    out, branch = block(x, asked, at_once), block.attend(x, asked, at_once)
    # Where a row may see nothing, Flamingo attends to everything alike (but for text before media, when "immediate").
    sees = visible.any(2)
    assert sees.sum() > 20 and not sees.all()
    assert torch.allclose(out[sees], torch.from_numpy(fixture[f"out.{mode}.out"])[sees], atol=2e-5)
    assert torch.allclose(branch[sees], torch.from_numpy(fixture[f"out.{mode}.attn_branch"])[sees], atol=2e-5)
    assert torch.equal(branch[~sees], torch.zeros_like(branch[~sees]))
    feedforward = torch.from_numpy(fixture[f"out.{mode}.ff_branch"])[sees]
    after = x + block.attention_gate.tanh() * branch
    assert torch.allclose(block.feedforward(after)[sees], feedforward, atol=2e-5)
