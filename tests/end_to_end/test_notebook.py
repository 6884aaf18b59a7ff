"""The notebook runs top to bottom, tells the demo's story, shows gates by name, and is committed with its outputs."""

import ast
import json

from support.places import ROOT
from support.repository import clone, shell

from demo import Options, steps


def cells(path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def test_it_runs_top_to_bottom(tmp_path):
    """At its reduced size: a few updates, and half of each channel's recordings."""
    copy = clone(tmp_path, recordings=2)
    shell("jupyter nbconvert --to notebook --execute --output ran.ipynb main.ipynb", copy)
    outputs = [str(cell.get("outputs")) for cell in cells(copy / "ran.ipynb")]
    assert sum("image/png" in output for output in outputs) >= 3
    assert sum("frames_ask_words.1.attention_gate" in output for output in outputs) == 2


def test_it_runs_every_step_of_the_demo_and_defines_nothing():
    source = ["".join(cell["source"]) for cell in cells(ROOT / "main.ipynb") if cell["cell_type"] == "code"]
    code = "\n".join(source)
    defined = [n for n in ast.walk(ast.parse(code)) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.Lambda))]
    assert not defined
    for name in steps(Options()):
        assert f'demo["{name}"]' in code, f"the notebook leaves out {name}"
    assert max(cell.count("\n") for cell in source[1:]) < 10, "cells are short"


def test_it_is_committed_with_its_outputs():
    path = ROOT / "main.ipynb"
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert path.stat().st_size < 3_000_000
    assert sum(bool(cell["outputs"]) for cell in code) > len(code) / 2
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
