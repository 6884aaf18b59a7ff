"""The contract of a stage of training, the options that every stage has, and how its numbers are named.

In: a stage's options. Out: a `Stage`, around which train.py is the loop. Each stage is a file in this folder, with its
own options beside it.
"""

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vlpt.options import Count, CountOrNone, Device, NotNegative, PlainName, Positive, Seed
from vlpt.training.losses import LossPart
from vpt.trees import map_tensors

TOKENIZER = "tokenizer.json"
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Wrapper = Literal["ddp", "fsdp"]


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """What can be asked of every stage."""

    stage: ClassVar[str]  # the stage whose options these are

    name: PlainName  # of the run: it lies in runs/<name>
    held_out: tuple[str, ...] = ("ch4", "ch5")  # channels kept for validation, on which one chooses
    test: tuple[str, ...] = ()  # channels kept for what is reported at last: training does not look at them
    # batches
    lanes: Count = 8  # episodes (idm: clips; words: parts of the text) side by side
    chunk: Count = 128  # frames (words: tokens) a lane between two updates of memory
    accumulate: Count = 3  # chunks an update of the weights: lanes x chunk x accumulate x processes frames
    # optimisation
    steps: Count = 1000  # updates of the weights
    warmup: CountOrNone = 20  # updates until the full learning rate
    weight_decay: NotNegative = 0.01  # AdamW's, on weights only, not on biases
    clip: Positive = 1.0  # largest joint norm of the gradients
    explodes_at: Positive = 20.0  # times its running mean, at which the loss has exploded and training ends
    ema_decay: ShareBelowOne = 0.0  # of a running mean of the weights, kept beside them for play (0: none)
    # running
    validate_every: CountOrNone = 100  # updates between validations (0: only at the end)
    save_every: Count = 100  # updates between checkpoints
    keep: Count = 1  # so many of the last checkpoints, and beside them the best by validation
    stop_after: CountOrNone = 0  # interrupt after this many updates, to be resumed by the same command (0: never)
    runs: str = "runs"  # folder of the runs
    export: str = ""  # a folder to write the final weights to, in half precision
    seed: Seed = 0  # of everything random
    threads: CountOrNone = 0  # processor threads (0: torch's choice)
    device: Device = "auto"  # where the model is trained; auto: a GPU if there is one
    # of products; auto: bfloat16 on a GPU, float32 on a processor, where bfloat16 wants AMX and pays when training
    # from pixels
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    # of a model that several processes train (torchrun, --ray); ddp: each holds all of it; fsdp: each a part
    wrapper: Wrapper = "ddp"
    ray: CountOrNone = 0  # processes on a Ray cluster, with a GPU each where there are any (0: started otherwise)
    compile: bool = False  # torch.compile the picture encoders, the agent's blocks and the language model's layers
    recompute: bool = False  # forget what backward needs and make it again: less memory, about a third more time
    wandb: str = ""  # a project of Weights & Biases that is told all numbers too (pip install wandb)
    progress: bool = True  # show a progress bar


class Stage(ABC):
    """One stage: its model, its data, its losses. Complete once it is made."""

    Options: ClassVar[type[StageOptions]]
    model: nn.Module
    written: ClassVar[tuple[str, ...]] = ("model",)  # its modules that `save` writes; the first has all that is written

    @abstractmethod
    def __init__(self, options: StageOptions, device: torch.device) -> None:
        """Raises ValueError naming what a person can get wrong; nothing has been written then."""

    @abstractmethod
    def describe(self) -> str:
        """One line: how much is trained on how much."""

    @abstractmethod
    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter once, by the name of its learning rate."""

    @abstractmethod
    def rates(self) -> dict[str, float]:
        """The full learning rate of each group."""

    @abstractmethod
    def next_batch(self):
        """The next batch, of whatever kind `counts` and `losses` take; the loader's position moves on."""

    @abstractmethod
    def counts(self, batch) -> dict[str, int]:
        """How many frames, ticks or tokens of a batch each loss with a weight sums: known before any forward."""

    @abstractmethod
    def losses(self, batch) -> dict[str, LossPart]:
        """A batch's losses, over as many as `counts` says; the memory of the lanes is carried on, detached."""

    @abstractmethod
    def place(self, batch) -> str:
        """Which episodes and frames a batch holds, to be read by a person."""

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """How much each loss counts; one that is not named is only logged."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """{"valid/<loss>": mean over the held-out data}; {} where nothing is held out."""

    def baselines(self) -> dict[str, float]:
        """{"unigram/<loss>": the same losses of constant predictions, on the same data}."""
        return {}

    def score(self, numbers: dict[str, float]) -> float | None:
        """By what validation's numbers are compared, the lower the better: the weighted losses. None: they say nothing.
        """
        found = [w * numbers[f"valid/{name}"] for name, w in self.weights().items() if f"valid/{name}" in numbers]
        return sum(found) if found else None

    def gates(self) -> dict[str, float]:
        """{"gate/<name>": how open, after tanh}."""
        return {}

    @abstractmethod
    def save(self, folder: Path, half: bool = False) -> None:
        """The model, for `from_pretrained`; half: in half precision."""

    @abstractmethod
    def state(self) -> dict:
        """The loader's position and the lanes' memory, for exact resume."""

    @abstractmethod
    def load(self, folder: Path, state: dict) -> None:
        """What `save` and `state` gave, back again."""


def parameters_apart(rest: str, model: nn.Module, **parts: list[nn.Module]) -> dict[str, list[nn.Parameter]]:
    """The parameters of named parts of a model, and under the name `rest` all others: each exactly once."""
    found = {name: [p for module in modules for p in module.parameters()] for name, modules in parts.items()}
    apart = {id(parameter) for parameters in found.values() for parameter in parameters}
    return {rest: [p for p in model.parameters() if id(p) not in apart], **found}


def defaults(options: StageOptions) -> dict:
    """Of all options that have one: what runs had that are older than an option."""
    return {field.name: field.default for field in fields(options) if field.default is not MISSING}


def prefixed(prefix: str, means: dict[str, float]) -> dict[str, float]:
    """{"loss": x} -> {"<prefix>/loss": x}."""
    return {f"{prefix}/{name}": value for name, value in means.items()}


def count_parameters(model: nn.Module) -> str:
    """Trained and all parameters, in millions."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{trained / 1e6:.2f} of {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters trained"


def detached(memory):
    """Any nest of memories, cut from the graph of the chunk before."""
    return map_tensors(torch.Tensor.detach, memory)
