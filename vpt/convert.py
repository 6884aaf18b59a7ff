"""OpenAI's two files -> a folder of ours (config.json + model.safetensors), and back.

    python -m vpt.convert --model 2x.model --weights 2x.weights --out checkpoints/2x
    python -m vpt.convert --folder checkpoints/2x --out ours            # ours.model and ours.weights

Whether it is an agent or an inverse dynamics model the files say themselves.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from vpt.checkpoint import CONFIG
from vpt.files import read_text
from vpt.idm import IDM
from vpt.options import run
from vpt.plain_pickle import read_plain_pickle
from vpt.policy import Policy
from vpt.released import idm_config, is_idm, load_released, policy_config, write_released


def to_folder(model_file: str, weights_file: str, out: str) -> str:
    """Returns what was found, in words. Raises ValueError naming the file that is wrong."""
    content = read_plain_pickle(model_file)
    model_class, config_of = (IDM, idm_config) if is_idm(content, model_file) else (Policy, policy_config)
    model, found = load_released(model_class, config_of(content, model_file), model_file, weights_file)
    model.save_pretrained(out)
    names = f"; value normaliser as {', '.join(found.values())}" if found else ""
    return f"{out}: {type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters{names}"


def to_files(folder: str, out: str) -> str:
    """Returns what was written, in words. Raises ValueError naming a folder that holds no such model."""
    config = Path(folder) / CONFIG
    if not config.exists():
        raise ValueError(f"{config} is missing: --folder names a model that save_pretrained wrote")
    try:
        name = json.loads(read_text(config))["model"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{config} is not the config.json of a model of ours ({error!r})") from error
    model = {"IDM": IDM, "Policy": Policy}.get(str(name))
    if model is None:
        raise ValueError(f"{config} describes neither a Policy nor an IDM")
    write_released(model.from_pretrained(folder), f"{out}.model", f"{out}.weights")
    return f"{out}.model, {out}.weights: {model.__name__}"


@dataclass(frozen=True)
class Options:
    """OpenAI's two files -> a folder of ours, and back."""

    out: str  # the folder, or the files' name without its ending
    model: str = ""  # OpenAI's .model file
    weights: str = ""  # OpenAI's .weights file
    folder: str = ""  # a model folder of ours, to be turned into OpenAI's files

    def __post_init__(self) -> None:
        if bool(self.model and self.weights) == bool(self.folder):
            raise ValueError("give --model and --weights, or --folder")


def main(options: Options) -> None:
    """Raises ValueError naming the file that is wrong."""
    print(to_files(options.folder, options.out) if options.folder
          else to_folder(options.model, options.weights, options.out))  # fmt: skip


if __name__ == "__main__":
    run(main, Options)
