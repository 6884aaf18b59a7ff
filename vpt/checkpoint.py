"""A model on disk: a folder with `config.json` and `model.safetensors`. No pickle, strict, written whole or not at all.

In: a module built from one frozen dataclass, `Model(config)`, that keeps it as `.config`. Out: the folder, and back.

    model.save_pretrained("checkpoints/policy", half=True)      # fp16 on disk, fp32 again when loaded
    model = Policy.from_pretrained("checkpoints/policy")         # or a model id on the Hugging Face Hub
"""

import json
from dataclasses import asdict, fields
from pathlib import Path

import torch
from huggingface_hub import ModelHubMixin, snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vpt.files import whole_file

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Pretrained(ModelHubMixin):
    """Gives a model `save_pretrained`, `from_pretrained` and the Hub's `push_to_hub`."""

    config_class: type  # the dataclass that the model is built from

    def save_pretrained(self, save_directory, *, half: bool = False, **hub) -> None:
        """Write the folder; half: weights as fp16. Raises ValueError where a weight does not fit fp16."""
        save_model(self, save_directory, half)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **hub):
        """The model, in fp32 and eval mode, from a folder or a Hub id. Raises ValueError on any mismatch."""
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = _download(str(pretrained_model_name_or_path), **hub)
        model = cls(read_config(folder, cls))
        load_strictly(model, read_weights(folder / WEIGHTS), folder / WEIGHTS)
        return model.eval()


def save_model(model: nn.Module, folder: str | Path, half: bool = False) -> None:
    """Write `folder` with the model's config and weights, each file whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: _stored(name, tensor, half) for name, tensor in model.state_dict().items()}
    with whole_file(folder / WEIGHTS) as unfinished:
        save_file(weights, unfinished, metadata={"format": "pt"})
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
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    name = content.pop("model", None)
    if name != model_class.__name__:
        raise ValueError(f"{path} describes a {name}, not a {model_class.__name__}")
    renamed = getattr(model_class.config_class, "RENAMED", {})
    content = {renamed.get(name, name): value for name, value in content.items()}
    unknown = sorted(set(content) - {field.name for field in fields(model_class.config_class)})
    if unknown:
        raise ValueError(f"{path} has settings that {model_class.config_class.__name__} does not know: {unknown}")
    return model_class.config_class(**with_tuples(content))


def with_tuples(content: dict) -> dict:
    """What JSON made lists of is tuples again, as configurations have them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """A safetensors file. Raises ValueError naming the file when it is missing or broken."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def load_strictly(model: nn.Module, weights: dict[str, Tensor], source, names: dict[str, str] | None = None) -> None:
    """Copy weights into the model, its precision kept.

    Raises ValueError that lists every key missing, extra or mis-shaped; `names` (ours -> the file's) words the list.
    """
    own, told = model.state_dict(), names or {}
    problems = [f"missing {told.get(key, key)}" for key in sorted(set(own) - set(weights))]
    problems += [f"extra {key}" for key in sorted(set(weights) - set(own))]
    for key in sorted(set(own) & set(weights)):
        if own[key].shape != weights[key].shape:
            found, wanted = tuple(weights[key].shape), tuple(own[key].shape)
            problems.append(f"{told.get(key, key)} is {found} instead of {wanted}")
    if problems:
        raise ValueError(f"{source} does not fit {type(model).__name__}: " + "; ".join(problems))
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(weights[key])


def _download(model_id: str, **hub) -> Path:
    try:
        return Path(snapshot_download(model_id, allow_patterns=[CONFIG, WEIGHTS], **hub))
    except Exception as error:  # the Hub's client raises a dozen kinds
        raise ValueError(f"{model_id} is neither a folder here nor a model on the Hugging Face Hub: {error}") from error
