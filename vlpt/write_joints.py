"""Writes what joins a fused model's two parts, without these: silence and the cross attentions (vlpt/joints.py).

In: a fused model, a run or a folder. Out: a folder for `train.py … --joints`, in half precision.

    python -m vlpt.write_joints --model runs/demo/language --out joints
"""

from dataclasses import dataclass

from vlpt.checkpoint import model_folder
from vlpt.joints import Joints
from vlpt.model import VLPT
from vlpt.options import run


@dataclass(frozen=True)
class Options:
    """Writes what joins a fused model's two parts, without these, in half precision."""

    model: str  # a fused model: a run or a folder
    out: str  # folder to write


def main(options: Options) -> None:
    """Raises ValueError naming a folder that holds no fused model."""
    Joints.of(VLPT.from_pretrained(model_folder(options.model))).save_pretrained(options.out, half=True)


if __name__ == "__main__":
    run(main, Options)
