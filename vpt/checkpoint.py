"""A model on disk: a folder with `config.json` and `model.safetensors`. No pickle, strict, written whole or not at all.

In: a module built from one frozen dataclass, `Model(config)`, that keeps it as `.config`. Out: the folder, and back.

    model.save_pretrained("checkpoints/policy", half=True)      # fp16 on disk, fp32 again when loaded
    model = Policy.from_pretrained("checkpoints/policy")         # or a name on the Hugging Face Hub, user/name
"""

import json
import reprlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_type_hints

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vpt.files import whole_file
from vpt.hub import fetch, is_hub_name, push_saved
from vpt.model_card import model_card
from vpt.sharded import is_sharded, read_shards

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# A config.json is a page: these keep one that means harm, or has a digit too many, from filling the memory. The largest
# released model has half a milliard numbers in two hundred tensors.
MOST_CHARACTERS, MOST_SIZE, MOST_NUMBERS, MOST_TENSORS = 1_000_000, 1_000_000, 8_000_000_000, 3_000
KINDS = {int: int, float: int | float, str: str}
MOST_NAMED = 12  # keys of weights that do not fit


class Pretrained:
    """Gives a model `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    config_class: type  # the dataclass that the model is built from

    def save_pretrained(self, save_directory, *, half: bool = False) -> None:
        """Write the folder; half: weights as fp16. Raises ValueError where a weight does not fit fp16."""
        save_model(self, save_directory, half)

    def push_to_hub(self, name: str, *, half: bool = False, card: str = "", **how) -> str:
        """Upload what `save_pretrained` writes, and a card, to the repository `user/name` of the Hugging Face Hub; how:
        see `vpt.hub.push`. Returns the commit's address. Raises ValueError, one line, where that cannot be done.

        card: the repository's README.md; without one it says what the model itself knows: its kind and its sizes.
        """
        card = card or model_card(self, name)
        return push_saved(lambda folder: self.save_pretrained(folder, half=half), name, card, **how)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **hub):
        """The model, in fp32 and eval mode, from a folder or from a repository `user/name` of the Hugging Face Hub;
        hub: as in `vpt.hub.fetch`. Raises ValueError, one line, on any mismatch.
        """
        name = str(pretrained_model_name_or_path)
        if Path(name).is_dir():
            return cls._from_folder(Path(name))
        if not is_hub_name(name):
            raise ValueError(f"{name} is neither a folder here nor a model on the Hugging Face Hub (user/name)")
        folder = fetch(name, **hub)
        try:
            return cls._from_folder(folder)
        except ValueError as error:
            raise ValueError(str(error).replace(str(folder), f"{name} (Hugging Face Hub):")) from error

    @classmethod
    def _from_folder(cls, folder: Path):
        config, weights = read_config(folder, cls), read_weights(folder / WEIGHTS)
        sizes = outline(cls, config, folder / CONFIG)
        for name in getattr(cls.config_class, "ADDED", ()):  # parameters since the folder was saved: they act from 0
            weights.setdefault(name, torch.zeros(sizes.get_parameter(name).shape))
        load_strictly(sizes, weights, folder / WEIGHTS)  # before it takes memory
        model = cls(config)
        load_strictly(model, weights, folder / WEIGHTS)
        return model.eval()


def save_model(model: nn.Module, folder: str | Path, half: bool = False) -> None:
    """Write `folder` with the model's config and weights, each file whole or not at all; of a model without memory for
    its weights, as those are that several processes write together (vpt/sharded.py), only the config.
    """
    folder, weights = Path(folder), model.state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    if not any(tensor.is_meta for tensor in weights.values()):
        with whole_file(folder / WEIGHTS) as unfinished:
            save_file({name: _stored(name, tensor, half) for name, tensor in weights.items()}, unfinished,
                      metadata={"format": "pt"})  # fmt: skip
    with whole_file(folder / CONFIG) as unfinished:
        unfinished.write_text(json.dumps({"model": type(model).__name__, **asdict(model.config)}, indent=1) + "\n")


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not half or not tensor.is_floating_point():
        return tensor
    stored = tensor.half()
    if stored.isinf().any() and not tensor.isinf().any():
        raise ValueError(f"{name} reaches {tensor.abs().max():.3g}, beyond fp16's 65504: save with half=False")
    return stored


def read_config(folder: Path, model_class: type):
    """`config.json` of a folder as `model_class.config_class`. Raises ValueError when it is another model's."""
    path = folder / CONFIG
    content = _read_object(path)
    name = content.pop("model", None)
    if name != model_class.__name__:
        what = "no model of ours" if name is None else f"a {_plainly(name)}"
        raise ValueError(f"{path} describes {what}, not a {model_class.__name__}")
    renamed = getattr(model_class.config_class, "RENAMED", {})
    content = {renamed.get(name, name): value for name, value in content.items()}
    unknown = sorted(set(content) - {field.name for field in fields(model_class.config_class)})
    if unknown:
        raise ValueError(f"{path} has settings that {model_class.config_class.__name__} does not know: "
                         f"{reprlib.repr(unknown)}")  # fmt: skip
    try:
        return check_sizes(model_class.config_class(**with_tuples(content)))
    except Exception as error:  # a value of another kind than its setting takes may do anything
        raise ValueError(f"{path} describes no {model_class.__name__}: {_said(error)}") from error


def _read_object(path: Path) -> dict:
    try:
        if not path.is_file():
            raise ValueError("it is missing, or no file")
        with open(path, encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"it is longer than {MOST_CHARACTERS:,} characters")
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {_said(error)}") from error
    return content


def check_sizes(config):
    """The configuration itself. Raises ValueError where a value in it is of another kind than its setting takes, or
    larger than any model's."""
    def check(name: str, value) -> None:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        if len(parts) > MOST_TENSORS:
            raise ValueError(f"{name} has {len(parts):,} entries")
        for part in parts:
            check(name, part)
        if isinstance(value, int | float) and not abs(value) <= MOST_SIZE:  # nor nan
            raise ValueError(f"{name} is {_plainly(value)}, beyond {MOST_SIZE:,}")

    kinds = get_type_hints(type(config))
    for field in fields(config):
        value, kind = getattr(config, field.name), kinds[field.name]
        if kind in KINDS and (not isinstance(value, KINDS[kind]) or isinstance(value, bool)):
            raise ValueError(f"{field.name} takes {kind.__name__}, not {_plainly(value)}")
        check(field.name, value)
    return config


def outline(model_class: type, config, source) -> nn.Module:
    """The model without memory for its weights: to see whether weights fit before it is built.

    Raises ValueError naming `source` where no such model can be built, or it has more than MOST_NUMBERS numbers.
    """
    try:
        with _counted(), torch.device("meta"):
            return model_class(config)
    except Exception as error:
        raise ValueError(f"{source} describes no {model_class.__name__} that can be built: {_said(error)}") from error


@contextmanager
def _counted() -> Iterator[None]:
    """A context in which a model that grows too large is not built to its end."""
    tensors = numbers = 0

    def count(module, name, tensor) -> None:
        nonlocal tensors, numbers
        tensors, numbers = tensors + 1, numbers + (0 if tensor is None else tensor.numel())
        if tensors > MOST_TENSORS or numbers > MOST_NUMBERS:
            raise ValueError(f"it would have more than {MOST_NUMBERS:,} numbers, or {MOST_TENSORS:,} tensors")

    with ExitStack() as hooks:
        hooks.enter_context(nn.modules.module.register_module_parameter_registration_hook(count))
        hooks.enter_context(nn.modules.module.register_module_buffer_registration_hook(count))
        yield


def _plainly(value) -> str:
    """A value in a message, however long or deep it is."""
    return value[:80] if isinstance(value, str) else reprlib.repr(value)


def _said(error: Exception) -> str:
    """What an error says, in one line that a hostile file cannot make long."""
    return " ".join(f"{'' if isinstance(error, ValueError) else type(error).__name__ + ': '}{str(error)[:500]}".split())


def with_tuples(content: dict) -> dict:
    """What JSON made lists of is tuples again, as configurations have them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """A safetensors file, or the parts that several processes wrote beside it instead (vpt/sharded.py), put together.
    Raises ValueError naming the file when it is missing or broken.
    """
    if not path.exists() and is_sharded(path.parent):
        return read_shards(path.parent)
    try:
        if not path.is_file():
            raise ValueError("it is missing, or no file")
        return load_file(path)
    except Exception as error:  # what a broken header makes the libraries stumble over
        raise ValueError(f"{path} cannot be read as safetensors: {_said(error)}") from error


def load_strictly(model: nn.Module, weights: dict[str, Tensor], source, names: dict[str, str] | None = None) -> None:
    """Copy weights into the model, its precision kept.

    Raises ValueError that lists the keys missing, extra or mis-shaped; `names` (ours -> the file's) words the list.
    """
    own, told = model.state_dict(), names or {}
    problems = [f"missing {told.get(key, key)}" for key in sorted(set(own) - set(weights))]
    problems += [f"extra {key}" for key in sorted(set(weights) - set(own))]
    for key in sorted(set(own) & set(weights)):
        if own[key].shape != weights[key].shape:
            found, wanted = tuple(weights[key].shape), tuple(own[key].shape)
            problems.append(f"{told.get(key, key)} is {found} instead of {wanted}")
    if len(problems) > MOST_NAMED:
        problems[MOST_NAMED:] = [f"and {len(problems) - MOST_NAMED} more"]
    if problems:
        raise ValueError(f"{source} does not fit {type(model).__name__}: " + "; ".join(problems))
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(weights[key])

