"""OpenAI's released files, both ways: `.model` (a pickle of constructor arguments) and `.weights` (a state dict).

    policy = load_policy("foundation-model-1x.model", "foundation-model-1x.weights")
    idm = load_idm("4x_idm.model", "4x_idm.weights")
    write_released(policy, "ours.model", "ours.weights")         # on the command line: python -m vpt.convert

Names inside are ours, files are theirs: `key_table` maps one to the other, as a bijection. A pickle can run any
program when it is opened, so `.model` is read by an unpickler that knows plain containers, strings and numbers and
refuses everything else by name (vpt/plain_pickle.py).
"""

import pickle
import reprlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vpt.checkpoint import check_sizes, load_strictly, outline
from vpt.errors import one_line
from vpt.files import whole_file
from vpt.idm import IDM, IDMConfig
from vpt.plain_pickle import read_plain_pickle, read_weights_file
from vpt.policy import Policy, PolicyConfig

# Settings of the released constructors that our code implements in one way only.
FIXED = {
    "attention_mask_style": None,  # checked apart: it tells an agent from an IDM
    "diff_mlp_embedding": False,
    "impala_kwargs": {"post_pool_groups": 1},
    "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
    "only_img_input": True,
    "pointwise_use_activation": False,
    "recurrence_is_residual": True,
    "recurrence_type": "transformer",
    "single_output": None,  # either way: the heads read one latent
    "use_pointwise_layer": True,
    "use_pre_lstm_ln": False,
}
# The value normaliser's statistics are called differently in different releases of the code; ours first.
NORMALISER_NAMES = {
    "mean": ("running_mean", "mean", "running_mean_"),
    "mean_square": ("running_mean_sq", "mean_sq", "running_mean_square"),
    "weight": ("debiasing_term", "debias", "debiasing"),
}


def _settings(content: dict, path) -> tuple[dict, float]:
    """Constructor arguments and temperature from a `.model`, wherever the release put them."""
    try:
        args = content["model"]["args"] if "model" in content else content
        net = args["net"]["args"] if "net" in args else args.get("policy_kwargs") or args["idm_net_kwargs"]
        head = args.get("pi_head_opts") or args.get("pi_head_kwargs") or {}
        temperature = float(head["temperature"])
        odd = {k: net[k] for k, v in FIXED.items() if k in net and v is not None and net[k] != v}
    except Exception as error:  # anything may stand where settings should
        said = one_line(error)
        raise ValueError(f"{path} lacks the settings of a VPT model: {said}") from error
    if odd:
        raise ValueError(f"{path} asks for an architecture that no released VPT model has: {reprlib.repr(odd)}")
    return net, temperature


def _common(net: dict, temperature: float) -> dict:
    return {
        "width": net["hidsize"], "heads": net["attention_heads"], "blocks": net["n_recurrence_layers"],
        "timesteps": net["timesteps"], "impala_width": float(net["impala_width"]),
        "impala_channels": tuple(net.get("impala_chans", (16, 32, 32))), "mlp_ratio": net["pointwise_ratio"],
        "px": net["img_shape"][0], "temperature": temperature,
    }  # fmt: skip


def is_idm(content: dict, path="settings") -> bool:
    """Whether a `.model` is one of an inverse dynamics model."""
    return "conv3d_params" in _settings(content, path)[0]


def policy_config(content: dict, path="settings") -> PolicyConfig:
    """The content of an agent's `.model` -> PolicyConfig. Raises ValueError on what our code does not implement."""
    net, temperature = _settings(content, path)
    if net.get("attention_mask_style") != "clipped_causal":
        raise ValueError(f"{path} is not an agent: its attention is {reprlib.repr(net.get('attention_mask_style'))}")
    return _config(PolicyConfig, path, lambda: {
        **_common(net, temperature), "attention_memory_size": net["attention_memory_size"]})  # fmt: skip


def idm_config(content: dict, path="settings") -> IDMConfig:
    """The content of the IDM's `.model` -> IDMConfig. Raises ValueError on what our code does not implement."""
    net, temperature = _settings(content, path)
    conv = net.get("conv3d_params")
    kernel = conv.get("kernel_size") if isinstance(conv, dict) else None
    if net.get("attention_mask_style") != "none" or not isinstance(kernel, list | tuple) or [*kernel] != [5, 1, 1]:
        raise ValueError(f"{path} is not an inverse dynamics model with a 5x1x1 convolution and unmasked attention")
    return _config(IDMConfig, path, lambda: {**_common(net, temperature), "conv_channels": conv["outchan"]})


def _config(config_class: type, path, values: Callable[[], dict]) -> PolicyConfig | IDMConfig:
    try:
        return check_sizes(config_class(**values()))
    except Exception as error:  # a setting that is missing, or of another kind than it should be
        said = one_line(error)
        raise ValueError(f"{path} lacks the settings of a VPT model: {said}") from error


def settings_of(model: Policy | IDM) -> dict:
    """The content of the `.model` that gives this model: the inverse of `policy_config` and `idm_config`.

    Raises ValueError for an inverse dynamics model that knows the order of frames and an agent that knows what it did
    or sees motion: OpenAI's code has no such things.
    """
    c, is_idm = model.config, isinstance(model, IDM)
    if is_idm and c.max_distance:
        raise ValueError(f"an inverse dynamics model with max_distance {c.max_distance} cannot be written as OpenAI's "
                         "files: attention in their code does not know the order of frames; use save_pretrained")
    if not is_idm and c.motion:
        raise ValueError("an agent with a motion encoder cannot be written as OpenAI's files: their code sees one "
                         "picture at a time; use save_pretrained")
    if not is_idm and c.last_action:
        raise ValueError("an agent that is told what it did cannot be written as OpenAI's files: their code tells it "
                         "nothing; use save_pretrained")
    net = {name: value for name, value in FIXED.items() if value is not None} | {
        "attention_heads": c.heads, "attention_mask_style": "none" if is_idm else "clipped_causal",
        "attention_memory_size": c.timesteps if is_idm else c.attention_memory_size, "hidsize": c.width,
        "img_shape": [c.px, c.px, c.conv_channels if is_idm else 3], "impala_chans": list(c.impala_channels),
        "impala_width": c.impala_width, "n_recurrence_layers": c.blocks, "pointwise_ratio": c.mlp_ratio,
        "timesteps": c.timesteps,
    }  # fmt: skip
    if is_idm:
        net["conv3d_params"] = {"inchan": 3, "outchan": c.conv_channels, "kernel_size": [5, 1, 1],
                                "padding": [2, 0, 0]}  # fmt: skip
    return {"model": {"args": {"net": {"args": net}, "pi_head_opts": {"temperature": c.temperature}}}}


def key_table(model: Policy | IDM) -> dict[str, str]:
    """Our name -> OpenAI's name, for every tensor of the model's state dict, in our order."""
    rules = _picture_keys(len(model.picture.stacks)) | _block_keys(len(model.blocks))
    rules |= {"last.norm": "net.lastlayer.norm", "last.linear": "net.lastlayer.layer", "final_norm": "net.final_ln"}
    if isinstance(model, IDM):
        rules |= {"temporal.conv": "net.conv3d_layer.layer"}
        rules |= {f"{head}.linear": f"pi_head.{head}.linear_layer" for head in ("buttons", "camera")}
    else:
        rules |= {f"heads.{head}.linear": f"pi_head.{head}.linear_layer" for head in ("buttons", "camera")}
        rules |= {"value.linear": "value_head.linear"}
    table = {}
    for key in model.state_dict():
        stem, leaf = key.rsplit(".", 1)
        if stem == "value.normaliser":
            table[key] = f"value_head.normalizer.{NORMALISER_NAMES[leaf][0]}"
        else:
            table[key] = f"{rules[stem]}.b_nd" if leaf == "curves" else f"{rules[stem]}.{leaf}"
    return table


def _picture_keys(stacks: int) -> dict[str, str]:
    theirs = "net.img_process.cnn"
    rules = {"picture.dense.norm": f"{theirs}.dense.norm", "picture.dense.linear": f"{theirs}.dense.layer",
             "picture.project.norm": "net.img_process.linear.norm",
             "picture.project.linear": "net.img_process.linear.layer"}  # fmt: skip
    for i in range(stacks):
        rules[f"picture.stacks.{i}.norm"] = f"{theirs}.stacks.{i}.n"
        convolutions = {"convolution": "firstconv"}
        for j in range(2):
            convolutions |= {f"residuals.{j}.first": f"blocks.{j}.conv0", f"residuals.{j}.second": f"blocks.{j}.conv1"}
        for ours, their in convolutions.items():
            rules[f"picture.stacks.{i}.{ours}.norm"] = f"{theirs}.stacks.{i}.{their}.norm"
            rules[f"picture.stacks.{i}.{ours}.conv"] = f"{theirs}.stacks.{i}.{their}.layer"
    return rules


def _block_keys(blocks: int) -> dict[str, str]:
    parts = {
        "norm": "pre_r_ln", "attention": "r.orc_block", "widen.norm": "mlp0.norm", "widen.linear": "mlp0.layer",
        "narrow": "mlp1.layer",
    } | {
        f"attention.{ours}": f"r.orc_block.{theirs}_layer"
        for ours, theirs in {"query": "q", "key": "k", "value": "v", "out": "proj", "relative": "r"}.items()
    }  # fmt: skip
    return {
        f"blocks.{i}.{ours}": f"net.recurrent_layer.blocks.{i}.{theirs}"
        for i in range(blocks)
        for ours, theirs in parts.items()
    }


def to_released(model: Policy | IDM) -> dict[str, Tensor]:
    """The model's weights under OpenAI's names."""
    own = model.state_dict()
    return {theirs: own[ours] for ours, theirs in key_table(model).items()}


def write_released(model: Policy | IDM, model_file: str | Path, weights_file: str | Path) -> None:
    """Both files as OpenAI's code reads them, each whole or not at all; an IDM's `lastlayer` has no place in them."""
    with whole_file(model_file) as settings_part, whole_file(weights_file) as weights_part:
        settings_part.write_bytes(pickle.dumps(settings_of(model)))
        torch.save(to_released(model), weights_part)


def from_released(model: nn.Module, weights: dict[str, Tensor], source="weights") -> dict[str, str]:
    """Load weights under OpenAI's names into the model, strictly.

    Returns which names the value normaliser's statistics had in the file (they are not the same in every release).
    Raises ValueError listing all keys that are missing, extra or of another shape, under OpenAI's names.
    """
    table = key_table(model)
    weights, found = dict(weights), {}
    for ours, theirs in table.items():
        if ours.startswith("value.normaliser."):
            stem, leaf = "value_head.normalizer.", ours.rsplit(".", 1)[1]
            name = next((n for n in NORMALISER_NAMES[leaf] if stem + n in weights), None)
            if name:
                found[ours] = stem + name
                weights[theirs] = weights.pop(stem + name).reshape(model.state_dict()[ours].shape)
    renamed = {theirs: ours for ours, theirs in table.items()}
    load_strictly(model, {renamed.get(key, key): tensor for key, tensor in weights.items()}, source, names=table)
    return found


def load_policy(model_file: str | Path, weights_file: str | Path) -> Policy:
    """An agent from OpenAI's two files, in eval mode. Raises ValueError naming the file that is wrong, and how."""
    config = policy_config(read_plain_pickle(model_file), model_file)
    return load_released(Policy, config, model_file, weights_file)[0]


def load_idm(model_file: str | Path, weights_file: str | Path, lastlayer: str = "discarded") -> IDM:
    """The inverse dynamics model from OpenAI's two files, in eval mode. Raises ValueError as `load_policy`.

    lastlayer: "discarded" as the public code has it, or "used" (see vpt/idm.py).
    """
    config = replace(idm_config(read_plain_pickle(model_file), model_file), lastlayer=lastlayer)
    return load_released(IDM, config, model_file, weights_file)[0]


def load_released(model_class: type, config, model_file: str | Path, weights_file: str | Path):
    """The model, in eval mode, and what `from_released` returns; no memory is taken before the weights fit."""
    weights = read_weights_file(weights_file)
    from_released(outline(model_class, config, model_file), weights, weights_file)
    model = model_class(config)
    found = from_released(model, weights, weights_file)
    return model.eval(), found
