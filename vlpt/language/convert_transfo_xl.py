"""Published Transformer-XL weights as ours: one table of names, strictly used.

In: a folder as transfo-xl-wt103 was published (Hugging Face's names): config.json, pytorch_model.bin, and vocab.pkl or
vocab.txt. Out: a folder of ours: config.json, model.safetensors, tokenizer.json. No pickle is trusted: weights are read
with `weights_only`, the vocabulary by an unpickler that admits plain containers only.

    python -m vlpt.language.convert_transfo_xl --folder transfo-xl-wt103 --out data/wt103

The published file stores tied tensors twice and q, k, v stacked; ours has each once, apart.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from vlpt.data.words import save_tokenizer
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.options import run
from vpt.plain_pickle import read_plain_pickle, read_weights_file

ClusterOrder = Literal["huggingface", "original"]
LAYER = {
    "attention.place.weight": "dec_attn.r_net.weight",
    "attention.out.weight": "dec_attn.o_net.weight",
    "attention.content_bias": "dec_attn.r_w_bias",
    "attention.place_bias": "dec_attn.r_r_bias",
    "attention_norm.weight": "dec_attn.layer_norm.weight",
    "attention_norm.bias": "dec_attn.layer_norm.bias",
    "inner.weight": "pos_ff.CoreNet.0.weight",
    "inner.bias": "pos_ff.CoreNet.0.bias",
    "outer.weight": "pos_ff.CoreNet.3.weight",
    "outer.bias": "pos_ff.CoreNet.3.bias",
    "outer_norm.weight": "pos_ff.layer_norm.weight",
    "outer_norm.bias": "pos_ff.layer_norm.bias",
}
# Stored a second time, or computed from the configuration.
SEPARATOR = "<eos>"  # WikiText-103 was read with one after each line
REPEATED = ("transformer.pos_emb.inv_freq", "crit.out_layers.{}.weight", "crit.out_projs.{}")


def names(config: TransformerXLConfig) -> dict[str, str]:
    """Our name -> the published name, for every tensor but q, k, v."""
    table = {}
    for i in range(len(config.cutoffs) + 1):
        table[f"table.tables.{i}"] = f"transformer.word_emb.emb_layers.{i}.weight"
        table[f"table.biases.{i}"] = f"crit.out_layers.{i}.bias"
        if config.cutoffs:
            table[f"table.projections.{i}"] = f"transformer.word_emb.emb_projs.{i}"
    if config.cutoffs:
        table |= {"table.first_out": "crit.out_projs.0", "table.cluster_weight": "crit.cluster_weight",
                  "table.cluster_bias": "crit.cluster_bias"}
    for i in range(config.layers):
        table |= {f"layers.{i}.{ours}": f"transformer.layers.{i}.{theirs}" for ours, theirs in LAYER.items()}
    return table


def from_published(tensors: dict[str, Tensor], config: TransformerXLConfig,
                   cluster_order: ClusterOrder = "huggingface") -> dict[str, Tensor]:
    """The state_dict for `TransformerXL(config)`. Raises ValueError naming what is missing or left over.

    cluster_order: of the rows that stand for clusters of rare words; "original" for files of the authors' own code,
    which counts them from the end.
    """
    if cluster_order not in (orders := get_args(ClusterOrder)):
        raise ValueError(f"cluster_order is one of {', '.join(orders)}, got {cluster_order!r}")
    table = names(config)
    stacked = [f"transformer.layers.{i}.dec_attn.qkv_net.weight" for i in range(config.layers)]
    repeated = {name.format(i) for name in REPEATED for i in range(len(config.cutoffs) + 1)} - set(table.values())
    wanted = set(table.values()) | set(stacked)
    missing, extra = wanted - set(tensors), set(tensors) - wanted - repeated
    if missing or extra:
        raise ValueError(f"weights and configuration do not fit: missing {sorted(missing)}, left over {sorted(extra)}")
    for i in range(len(config.cutoffs) + 1):
        for copy, original in (("out_layers.{}.weight", "emb_layers.{}.weight"), ("out_projs.{}", "emb_projs.{}")):
            _check_tied(tensors, f"crit.{copy.format(i)}", f"transformer.word_emb.{original.format(i)}", table)
    state = {ours: tensors[theirs] for ours, theirs in table.items()}
    if cluster_order == "original" and config.cutoffs:
        state |= {name: state[name].flip(0) for name in ("table.cluster_weight", "table.cluster_bias")}
    for i, name in enumerate(stacked):
        for part, weight in zip(("query", "key", "value"), tensors[name].chunk(3)):
            state[f"layers.{i}.attention.{part}.weight"] = weight
    return state


def _check_tied(tensors: dict[str, Tensor], copy: str, original: str, table: dict[str, str]) -> None:
    """A tensor that is stored twice must be the same twice; the first output projection is no copy."""
    if copy not in tensors or original not in tensors or copy in table.values() or tensors[copy].is_meta:
        return
    if not torch.equal(tensors[copy], tensors[original]):
        raise ValueError(f"{copy} differs from {original}, with which it should be one: this file is of another model")


def read_config(path: Path | str) -> TransformerXLConfig:
    """A published config.json. Raises ValueError naming the file when a setting is missing or not implemented."""
    try:
        content = json.loads(Path(path).read_text())
        fixed = dict(attn_type=0, pre_lnorm=False, untie_r=True, same_length=True)
        odd = {key: content[key] for key, value in fixed.items() if content.get(key, value) != value}
        if odd:
            raise ValueError(f"this kind of Transformer-XL is not implemented: {odd}")
        if content["d_embed"] != content["d_model"]:
            raise ValueError("embeddings must be as wide as the model")
        clamp = content["clamp_len"]
        return TransformerXLConfig(
            vocabulary=content["vocab_size"], width=content["d_model"], layers=content["n_layer"],
            heads=content["n_head"], head_width=content["d_head"], inner=content["d_inner"],
            window=content["mem_len"] - 1, clamp_distance=clamp if clamp > 0 else None,
            cutoffs=tuple(content["cutoffs"]), div_val=content["div_val"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is no config.json of a Transformer-XL ({type(error).__name__}: {error})") from error


def read_vocabulary(folder: Path | str) -> list[str]:
    """The words of a published model in the order of their ids: from vocab.txt (one a line), else vocab.pkl.

    Raises ValueError naming the file that is missing, or what a hostile pickle asks for.
    """
    text, pickled = Path(folder) / "vocab.txt", Path(folder) / "vocab.pkl"
    if text.exists():
        return text.read_text(encoding="utf-8").split("\n")[:-1]
    if not pickled.exists():
        raise ValueError(f"neither {text} nor {pickled} is there: which word is which?")
    words = read_plain_pickle(pickled, most_bytes=64_000_000).get("idx2sym")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{pickled} has no list of words (idx2sym)")
    return words


def start_of(words: list[str]) -> int | None:
    """What texts begin with: <eos>, which stood between those of training, or None where there is no such word."""
    return words.index(SEPARATOR) if SEPARATOR in words else None


def word_tokenizer(words: list[str], unknown: str = "<unk>") -> Tokenizer:
    """One token a word, punctuation apart, as WikiText-103 is cut; words it does not know are `unknown`."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@dataclass(frozen=True)
class Options:
    """Turns a published Transformer-XL into a folder that train.py --language takes."""

    folder: str  # folder with config.json, pytorch_model.bin, vocab.pkl or vocab.txt
    out: str  # folder to write
    cluster_order: ClusterOrder = "huggingface"  # original: weights of the authors' own code


def main(options: Options) -> None:
    """Raises ValueError naming the file that is missing, hostile or does not fit."""
    folder = Path(options.folder)
    config, words = read_config(folder / "config.json"), read_vocabulary(folder)
    if len(words) != config.vocabulary:
        raise ValueError(f"{folder}: {len(words)} words, but weights for {config.vocabulary}")
    weights = read_weights_file(folder / "pytorch_model.bin")
    model = TransformerXL(replace(config, start_token=start_of(words)))
    model.load_state_dict(from_published(weights, config, options.cluster_order))
    model.save_pretrained(options.out)
    save_tokenizer(word_tokenizer(words), Path(options.out) / "tokenizer.json")
    print(f"{options.out}: {sum(p.numel() for p in model.parameters()):,} parameters, {len(words):,} words")


if __name__ == "__main__":
    run(main, Options)
