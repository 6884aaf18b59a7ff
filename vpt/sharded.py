"""Named tensors in a folder to which several processes write, each its own part: a file a process, in safetensors.

In: tensors, of which those that are sharded are DTensors. Out: `shard-….safetensors` in a folder; and back, into
tensors that are sharded in the same way, in another or not at all. What is written is torch.distributed.checkpoint's
own format for safetensors: which part of a tensor a file holds stands in its header; its older format has a pickle.

    write_shards(folder, tensors, group)    # in every process at once; none needs more than its own part
    fill(folder, tensors)                   # in place, each process its own part
    weights = read_shards(folder)           # whole; a file without parts, as model.safetensors, is read as well

Source: torch.distributed.checkpoint (save, load, HuggingFaceStorageWriter, HuggingFaceStorageReader).
"""

import math
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from vpt.files import whole_file


def is_sharded(folder: Path) -> bool:
    """Whether processes have written their parts there."""
    return any(folder.glob("shard-*.safetensors"))


def write_shards(folder: Path, tensors: dict[str, Tensor], group: dist.ProcessGroup) -> None:
    """Called by each process of the group with the same names; ends when all have written.

    Raises OSError in each of them where one could not write.
    """
    from torch.distributed import checkpoint  # here and below: half a second, which reading one file need not pay

    writer = checkpoint.HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        checkpoint.save(tensors, storage_writer=writer, process_group=group)
    except checkpoint.CheckpointException as error:  # no Exception: it would end a thread unnoticed
        raise OSError("; ".join(f"process {rank}: {found}" for rank, (found, _) in error.failures.items())) from error


def outlines(folder: Path) -> dict[str, Tensor]:
    """What a folder holds: names, and tensors without content of the whole sizes.

    Raises ValueError naming the folder where a file is broken or a part is missing.
    """
    from torch.distributed.checkpoint import HuggingFaceStorageReader

    try:
        found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except Exception as error:  # safetensors raises a kind of its own
        raise ValueError(f"{folder} cannot be read as safetensors: {' '.join(str(error).split())[:200]}") from error
    short = [name for name, one in found.items()
             if sum(math.prod(part.sizes) for part in one.chunks) < math.prod(one.size)]  # fmt: skip
    if short:
        raise ValueError(f"{folder} is not whole: parts of {len(short)} tensors, as {short[0]}, are missing")
    return {name: torch.empty(one.size, dtype=one.properties.dtype, device="meta") for name, one in found.items()}


def fill(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Copies what the folder holds under these names into them. Raises ValueError for what it does not hold."""
    from torch.distributed import checkpoint

    found = outlines(folder)
    wrong = [name for name, one in tensors.items() if name not in found or found[name].shape != one.shape]
    if wrong:
        raise ValueError(f"{folder} lacks {len(wrong)} of what was to be read, as {wrong[0]}, or has it in other sizes")
    with warnings.catch_warnings():  # each process reads by itself, as it is to
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        checkpoint.load(dict(tensors), storage_reader=checkpoint.HuggingFaceStorageReader(str(folder)), no_dist=True)


def read_shards(folder: Path) -> dict[str, Tensor]:
    """All that a folder holds, each tensor whole. Raises ValueError as `outlines`."""
    tensors = {name: torch.empty_like(one, device="cpu") for name, one in outlines(folder).items()}
    fill(folder, tensors)
    return tensors


def put_together(folder: Path, name: str) -> None:
    """One file of that name takes the place of the parts, if there are any."""
    if not is_sharded(folder):
        return
    from safetensors.torch import save_file

    weights = read_shards(folder)
    with whole_file(folder / name) as unfinished:
        save_file(weights, unfinished, metadata={"format": "pt"})
    for part in folder.glob("shard-*.safetensors"):
        part.unlink()
