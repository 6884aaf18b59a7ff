"""Where the golden numbers are: tests/fixtures, or the folder named by the environment variable VLPT_FIXTURES.

In: a file name. Out: its content (npz -> dict of arrays, json -> dict, safetensors -> dict of tensors).
"""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ.get("VLPT_FIXTURES", Path(__file__).parents[1] / "fixtures"))


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name) as file:
        return {key: file[key] for key in file.files}


@cache
def record(name: str) -> dict:
    return json.loads((FOLDER / name).read_text())


def tensors(name: str) -> dict:
    from safetensors.torch import load_file

    return load_file(FOLDER / name)
