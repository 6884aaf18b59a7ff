"""The parts of the fused agent as training sees them: groups with a rate each, what a stage trains, how open gates are.

In: a `VLPT`. Out: parameters by kind; the model with all but a stage's parts frozen; gates as numbers.

    language  the language model, silence, words ask frames
    action    frames ask words, VPT's blocks 2..n, what is made of its own motion, last layer and action heads
    joint     both
    trunk     CNN, block 1 and motion encoder: frozen in every stage unless it is asked for
"""

import copy

import torch
from torch import nn

STAGES = ("language", "action", "joint")
GATES = ("attention_gate", "feedforward_gate")
CROSS = ("words_ask_frames", "frames_ask_words")


def groups(model) -> dict[str, list[nn.Parameter]]:
    """Every parameter in exactly one of trunk, blocks, heads, language (pre-trained), silence, cross_words,
    cross_frames (new) and gates.
    """
    policy = model.policy
    cross = {name: list(getattr(model, name).named_parameters()) for name in CROSS}
    for reader in readers(model):
        cross["frames_ask_words"] += getattr(model, reader).named_parameters()
    words, frames = ([p for name, p in cross[direction] if not name.endswith(GATES)] for direction in CROSS)
    return dict(
        trunk=_parameters(*policy.trunk),
        blocks=_parameters(*policy.blocks[1:], *policy.inputs, policy.last, policy.final_norm),
        heads=_parameters(policy.heads, policy.value),
        language=_parameters(model.language),
        silence=_parameters(model.silence),
        cross_words=words,
        cross_frames=frames,
        gates=[p for direction in CROSS for name, p in cross[direction] if name.endswith(GATES)],
    )


def readers(model) -> tuple[str, ...]:
    """What reads words for actions beside cross attention 2, as far as there is such a thing."""
    return tuple(name for name in ("intention", "target") if getattr(model, name) is not None)


def _parameters(*modules: nn.Module) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def freeze(
    model, stage: str, trunk: str = "frozen", language: bool = True, agent: bool = True, only_blocks: bool = False
) -> None:
    """Only the stage's parts keep their gradients and go to training mode. Raises ValueError for an unknown stage.

    language: whether the stages that train words train the language model too (with LoRA: its adapters); agent: whether
    those that train actions train its blocks 2..n and heads too, or only what frames ask words with; only_blocks: of
    the agent its blocks and last layer alone, not what it makes of its own motion, which words ask, and not its heads.
    """
    if stage not in STAGES or trunk not in ("frozen", "trained"):
        raise ValueError(f"a stage is one of {', '.join(STAGES)}, trunk frozen or trained; got {stage!r}, {trunk!r}")
    policy, trained = model.policy, []
    if stage in ("language", "joint"):
        trained += [model.silence, model.words_ask_frames]
    if stage in ("action", "joint"):
        trained += [model.frames_ask_words, *(getattr(model, reader) for reader in readers(model))]
        if agent:
            trained += _blocks(policy) if only_blocks else _acting(policy)
    if trunk == "trained":
        trained += policy.trunk
    model.requires_grad_(False)
    for part in trained:
        part.requires_grad_(True)
    if language and stage in ("language", "joint"):
        for parameter in model.language.trainable():
            parameter.requires_grad_(True)
        trained.append(model.language)
    model.trained = tuple(trained)
    model.train()


def _acting(policy) -> list[nn.Module]:
    """What of an agent comes after its trunk."""
    return [*_blocks(policy), *policy.inputs, policy.heads]


def _blocks(policy) -> list[nn.Module]:
    return [*policy.blocks[1:], policy.last, policy.final_norm]


def gates(model) -> dict[str, float]:
    """{direction: mean |tanh| of its attention gates}, then each gate by name, after tanh with its sign."""
    found = {}
    for direction in CROSS:
        blocks = getattr(model, direction)
        raw = {f"{direction}.{i}.{name}": getattr(blocks[i], name) for i in blocks for name in GATES}
        each = {name: float(gate.detach().tanh()) for name, gate in raw.items()}
        opened = [abs(value) for name, value in each.items() if name.endswith(GATES[0])]
        found |= {direction: sum(opened) / len(opened)} | each
    return found


def passages(model, direction: str) -> tuple[str, ...]:
    """Names of the parameters that are 0 where nothing passes in a direction of CROSS: its gates, and from words to
    actions what its readers tell.
    """
    found = tuple(f"{direction}.{i}.{name}" for i in getattr(model, direction) for name in GATES)
    telling = readers(model) if direction == "frames_ask_words" else ()
    return found + tuple(f"{reader}.{name}.weight" for reader in telling for name in ("tell", "urge"))


def untouched(model):
    """A frozen copy of the model as it is now."""
    return copy.deepcopy(model).requires_grad_(False).eval()


@torch.no_grad()
def unjoined(model):
    """A frozen copy with closed gates, to which silence is nothing: the two models without each other."""
    alone = untouched(model)
    every = [name for direction in CROSS for name in passages(model, direction)]
    for name in (*every, "silence.since", "silence.since_logit", "silence.since_weight"):
        alone.get_parameter(name).zero_()
    return alone
