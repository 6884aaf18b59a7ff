"""What the programs' options have in common; the command line itself is read by vpt/options.py.

    device: Device = "auto"  # where the networks run
"""

from typing import Literal

import torch

from vpt.options import (
    Count,
    CountOrNone,
    NotNegative,
    PlainName,
    Port,
    Positive,
    PositiveShare,
    Seed,
    Share,
    flag,
    from_dict,
    parse,
    run,
    to_dict,
    to_flags,
    without_effect,
)

__all__ = ["Count", "CountOrNone", "Device", "NotNegative", "PlainName", "Port", "Positive", "PositiveShare",
           "Seed", "Share", "flag", "from_dict", "parse", "pick_device", "run", "to_dict", "to_flags", "use_threads",
           "without_effect"]  # fmt: skip

Device = Literal["auto", "cpu", "cuda"]


def pick_device(name: Device) -> torch.device:
    """`auto` takes a GPU if there is one. Raises ValueError for a device that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no GPU here; use --device cpu")
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)


def use_threads(count: int) -> None:
    """So many processor threads for torch; 0 leaves it torch's choice."""
    if count:
        torch.set_num_threads(count)
