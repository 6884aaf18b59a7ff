"""Writes what joins a fused model's two parts, without these: silence and the cross attentions (vlpt/joints.py).

In: a fused model, a run or a folder. Out: a folder for `train.py … --joints`, in half precision.

    python -m vlpt.write_joints --model runs/demo/language --out joints
    python -m vlpt.write_joints --model runs/demo/action --out joints --body    # of one whose agent was trained, too
"""

from dataclasses import dataclass, replace

from vlpt.checkpoint import model_folder
from vlpt.joints import Joints
from vlpt.model import VLPT
from vlpt.options import run


@dataclass(frozen=True)
class Options:
    """Writes what joins a fused model's two parts, without these, in half precision."""

    model: str  # a fused model: a run or a folder
    out: str  # folder to write
    body: bool = False  # also the agent's finder, blocks 2..n and last layer, as joining left them


def main(options: Options) -> None:
    """Raises ValueError naming a folder that holds no fused model."""
    model = VLPT.from_pretrained(model_folder(options.model))
    model.config = replace(model.config, own_body=options.body)
    Joints.of(model).save_pretrained(options.out, half=True)


if __name__ == "__main__":
    run(main, Options)
