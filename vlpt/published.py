"""Published Transformer-XL weights as ours: one table of names, strictly used.

In: the tensors of a `TransfoXLLMHeadModel` (Hugging Face's names, as for transfo-xl-wt103). Out: our state_dict.
The published file stores tied tensors twice and q, k, v stacked; ours has each once, apart.
"""

from torch import Tensor

from vlpt.language import LanguageConfig

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
REPEATED = ("transformer.pos_emb.inv_freq", "crit.out_layers.{}.weight", "crit.out_projs.{}")


def names(config: LanguageConfig) -> dict[str, str]:
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


def from_published(tensors: dict[str, Tensor], config: LanguageConfig) -> dict[str, Tensor]:
    """The state_dict for `TransformerXL(config)`. Raises ValueError naming what is missing or left over."""
    table = names(config)
    stacked = [f"transformer.layers.{i}.dec_attn.qkv_net.weight" for i in range(config.layers)]
    repeated = {name.format(i) for name in REPEATED for i in range(len(config.cutoffs) + 1)} - set(table.values())
    wanted = set(table.values()) | set(stacked)
    missing, extra = wanted - set(tensors), set(tensors) - wanted - repeated
    if missing or extra:
        raise ValueError(f"weights and configuration do not fit: missing {sorted(missing)}, left over {sorted(extra)}")
    state = {ours: tensors[theirs] for ours, theirs in table.items()}
    for i, name in enumerate(stacked):
        for part, weight in zip(("query", "key", "value"), tensors[name].chunk(3)):
            state[f"layers.{i}.attention.{part}.weight"] = weight
    return state
