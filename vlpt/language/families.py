"""The families of language models: Transformer-XL (ours) and decoders with rotary positions (Hugging Face's).

In: a configuration or a folder. Out: a language model of the right family. A folder is one that `save_pretrained` of
either wrote, or a published decoder's (config.json with a model_type).
"""

import json
from dataclasses import replace
from pathlib import Path

from vlpt.language.decoder import Decoder, DecoderConfig
from vlpt.language.interface import LanguageModel
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vpt.checkpoint import with_tuples

FAMILIES = {DecoderConfig: Decoder, TransformerXLConfig: TransformerXL}


def config_of(content: dict) -> TransformerXLConfig | DecoderConfig:
    """What `asdict` of a configuration gave, back again."""
    if "architecture" in content:
        return DecoderConfig(**content)
    return TransformerXLConfig(**with_tuples(content))


def build(config: TransformerXLConfig | DecoderConfig) -> LanguageModel:
    """A language model with random weights."""
    return FAMILIES[type(config)](config)


def load_language(folder: Path | str, window: int | None = None, lora_rank: int = 0) -> LanguageModel:
    """The language model in a folder, in eval mode; window and lora_rank concern decoders only.

    Raises ValueError naming the folder when it holds none.
    """
    path = Path(folder) / "config.json"
    if not path.exists():
        raise ValueError(f"{path} is missing: {folder} holds no language model")
    kind = json.loads(path.read_text()).get("model")
    if kind == TransformerXL.__name__:
        if lora_rank:
            raise ValueError(f"LoRA is for decoders with rotary positions; {folder} holds a {kind}: train all of it")
        return TransformerXL.from_pretrained(folder)
    chosen = {"window": window} if window else {}
    if kind != Decoder.__name__:
        return Decoder.from_hub(str(folder), lora_rank=lora_rank, **chosen)
    decoder = Decoder.from_pretrained(folder)
    if lora_rank in (0, decoder.config.lora_rank):
        decoder.config = replace(decoder.config, **chosen)
        return decoder
    if decoder.config.lora_rank:
        raise ValueError(f"{folder} has adapters of rank {decoder.config.lora_rank}: go on with that rank, or start "
                         "from the model without them")  # fmt: skip
    return Decoder(replace(decoder.config, lora_rank=lora_rank, **chosen), decoder.causal).eval()
