"""The commands that `pip install` makes, each the same program as `python -m`: vlpt-train is `python -m train`.

In: the command line. Out: what the program makes, and its exit status. pyproject.toml names them.
"""

import runpy
import sys
from pathlib import Path

PROGRAMS = {"vlpt-train": "train", "vlpt-evaluate": "evaluate", "vlpt-play": "vlpt.play",
            "vlpt-label": "data_gathering.label", "vlpt-shard": "data_gathering.shard",
            "vlpt-demo": "demo"}  # fmt: skip


def train() -> None:
    """vlpt-train."""
    _run("vlpt-train")


def evaluate() -> None:
    """vlpt-evaluate."""
    _run("vlpt-evaluate")


def play() -> None:
    """vlpt-play."""
    _run("vlpt-play")


def label() -> None:
    """vlpt-label."""
    _run("vlpt-label")


def shard() -> None:
    """vlpt-shard."""
    _run("vlpt-shard")


def demo() -> None:
    """vlpt-demo, which calls the other programs by their files: so from the repository's folder only."""
    if not Path("train.py").exists():
        sys.exit("error: vlpt-demo uses recordings and weights of the repository: start it in the repository's folder")
    _run("vlpt-demo")


def _run(command: str) -> None:
    """By its module's name, as python -m does: imports between the rooms stay as they are."""
    runpy.run_module(PROGRAMS[command], run_name="__main__", alter_sys=True)
