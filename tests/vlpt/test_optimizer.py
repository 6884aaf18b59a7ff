"""The optimiser: what decays in each model, rates by group, states of other groups refused, clipping that clips.

Run: pytest tests/vlpt/test_optimizer.py
"""

import copy
from pathlib import Path

import pytest
import torch
from support.toy_agent import toy_model
from torch import nn

from vlpt.language.decoder import Decoder, DecoderConfig
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.training.optimizer import clip, decaying, make_optimizer, restore, schedule, set_rates
from vpt.idm import IDM, IDM_SIZES
from vpt.policy import SIZES, Policy

LLAMA = dict(model_type="llama", vocab_size=40, hidden_size=16, num_hidden_layers=1, intermediate_size=32,
             num_attention_heads=2, num_key_value_heads=1)  # fmt: skip
MODELS = {
    "policy": lambda: Policy(SIZES["tiny"]),
    "idm": lambda: IDM(IDM_SIZES["tiny"]),
    "fused": toy_model,
    "adaptive words": lambda: TransformerXL(TransformerXLConfig(40, width=16, layers=1, heads=2, head_width=8, inner=32,
                                                                cutoffs=(10, 20), div_val=2)),
    "decoder": lambda: Decoder(DecoderConfig(LLAMA)),
    "adapters": lambda: Decoder(DecoderConfig(LLAMA, lora_rank=2)),
}  # fmt: skip
TABLES = ("table.tables.", "table.projections.", "table.first_out", "table.cluster_weight")


def names_that_decay(model: nn.Module) -> set[str]:
    """As the optimiser that is made has it, everything being trained."""
    groups = {"all": [parameter.requires_grad_(True) for parameter in model.parameters()]}
    optimizer = make_optimizer(model, groups, {"all": 1e-3}, weight_decay=0.1)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert set(decay.values()) <= {0.0, 0.1} and len(decay) == len(groups["all"])
    return {name for name, parameter in model.named_parameters() if decay[id(parameter)]}


@pytest.mark.parametrize("kind", MODELS)
def test_weights_decay_and_biases_of_any_shape_do_not(kind):
    model = MODELS[kind]()
    decay, shapes = names_that_decay(model), {name: parameter.ndim for name, parameter in model.named_parameters()}
    weights = {name for name, ndim in shapes.items() if name.endswith(".weight") and ndim >= 2}
    weights |= {name for name in shapes if any(table in f".{name}" for table in TABLES)}
    assert decay == weights and len(decay) >= 8
    spared = shapes.keys() - decay
    assert not any(name.endswith((".bias", "_bias", "curves", "_gate", "log_decay")) or ".biases." in name
                   for name in decay)  # fmt: skip
    assert all(shapes[name] >= 2 for name in decay) and any(shapes[name] == 1 for name in spared)


def test_biases_of_two_dimensions_are_spared():
    """Those that the rule "whatever has two dimensions decays" took for weights."""
    fused = {name: parameter.ndim for name, parameter in toy_model().named_parameters()}
    spared = {name for name, ndim in fused.items() if ndim >= 2} - names_that_decay(toy_model())
    for bias in ("content_bias", "place_bias", "curves"):
        assert sum(name.endswith(bias) for name in spared) == 2  # layers, blocks
    assert any(name.endswith("curves") for name in dict(IDM(IDM_SIZES["tiny"]).named_parameters()))


def test_what_decays_shrinks_and_nothing_else_does():
    """Updates without a gradient but for decay: one step of AdamW takes lr * decay of what decays."""
    model = toy_model()
    before = copy.deepcopy(dict(model.named_parameters()))
    optimizer = make_optimizer(model, model.groups(), dict.fromkeys(model.groups(), 0.5), weight_decay=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decay = {id(weight) for weight in decaying(model)}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, before[name] * (0.95 if id(parameter) in decay else 1.0))


def test_a_state_of_other_groups_is_refused_in_one_line():
    model = toy_model()
    optimizer = make_optimizer(model, model.groups(), dict.fromkeys(model.groups(), 1e-3), weight_decay=0.1)
    again = make_optimizer(model, model.groups(), dict.fromkeys(model.groups(), 1e-3), weight_decay=0.1)
    restore(again, optimizer.state_dict(), Path("runs/now"))
    by_shape = []  # as it was sorted before
    for name, members in model.groups().items():
        for matrices in (True, False):
            sorted_by_shape = [p for p in members if (p.ndim >= 2) == matrices]
            if sorted_by_shape:
                by_shape.append(dict(params=sorted_by_shape, name=name, weight_decay=0.1 if matrices else 0.0))
    older = torch.optim.AdamW(by_shape)
    with pytest.raises(ValueError, match="runs/older: its checkpoint sorts the weights in another way") as refusal:
        restore(optimizer, older.state_dict(), Path("runs/older"))
    assert "\n" not in str(refusal.value)


def test_groups_need_rates_and_something_to_train():
    layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="no learning rate for the parameter group 'head'"):
        make_optimizer(layer, {"head": layer.parameters()}, {"body": 1e-3}, 0.1)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        make_optimizer(layer.requires_grad_(False), {"head": layer.parameters()}, {"head": 1e-3}, 0.1)


def test_rates_rise_and_fall_together_and_clipping_clips():
    layer = nn.Linear(3, 3)
    optimizer = make_optimizer(layer, {"w": [layer.weight], "b": [layer.bias]}, {"w": 1.0, "b": 0.1}, 0.0)
    factors = [schedule(step, 100, 10) for step in range(100)]
    assert factors[0] == 0.1 and factors[9] == factors[10] == 1.0 and factors[-1] == pytest.approx(0.1, abs=1e-3)
    set_rates(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
    (100 * layer(torch.ones(1, 3))).sum().backward()
    assert clip(optimizer, 2.0) > 100
    norm = torch.cat([layer.weight.grad.flatten(), layer.bias.grad]).norm()
    assert norm.item() == pytest.approx(2.0, rel=1e-4)
