"""OpenAI's two files -> a folder of ours (config.json + model.safetensors), and back.

    python -m vpt.convert --model 2x.model --weights 2x.weights --out checkpoints/2x
    python -m vpt.convert --folder checkpoints/2x --out ours            # ours.model and ours.weights

Whether it is an agent or an inverse dynamics model the files say themselves.
"""

import argparse
import json
import sys
from pathlib import Path

from vpt.checkpoint import CONFIG
from vpt.idm import IDM
from vpt.policy import Policy
from vpt.released import (
    from_released,
    idm_config,
    is_idm,
    policy_config,
    read_plain_pickle,
    read_weights_file,
    write_released,
)


def to_folder(model_file: str, weights_file: str, out: str) -> str:
    """Returns what was found, in words. Raises ValueError naming the file that is wrong."""
    content = read_plain_pickle(model_file)
    model = IDM(idm_config(content, model_file)) if is_idm(content) else Policy(policy_config(content, model_file))
    found = from_released(model, read_weights_file(weights_file), weights_file)
    model.save_pretrained(out)
    names = f"; value normaliser as {', '.join(found.values())}" if found else ""
    return f"{out}: {type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters{names}"


def to_files(folder: str, out: str) -> str:
    """Returns what was written, in words. Raises ValueError naming a folder that holds no such model."""
    config = Path(folder) / CONFIG
    if not config.exists():
        raise ValueError(f"{config} is missing: --folder names a model that save_pretrained wrote")
    model = {"IDM": IDM, "Policy": Policy}.get(json.loads(config.read_text()).get("model"))
    if model is None:
        raise ValueError(f"{config} describes neither a Policy nor an IDM")
    write_released(model.from_pretrained(folder), f"{out}.model", f"{out}.weights")
    return f"{out}.model, {out}.weights: {model.__name__}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="OpenAI's .model file")
    parser.add_argument("--weights", help="OpenAI's .weights file")
    parser.add_argument("--folder", help="a model folder of ours, to be turned into OpenAI's files")
    parser.add_argument("--out", required=True, help="the folder, or the files' name without its ending")
    options = parser.parse_args(argv)
    if bool(options.model and options.weights) == bool(options.folder):
        parser.error("give --model and --weights, or --folder")
    try:
        print(to_files(options.folder, options.out) if options.folder
              else to_folder(options.model, options.weights, options.out))  # fmt: skip
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
