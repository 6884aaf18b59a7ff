"""The processes that train together: which of them this one is, what starts them, and sums over all of them.

In: what `torchrun` (or Ray Train) says in the environment. Out: `rank()` and `world_size()`, 0 and 1 where a process
trains by itself, as everything below then leaves what it is given as it is.

    with joined(torch.device("cpu")) as device:     # under: torchrun --nproc-per-node 2 train.py …
        counts = summed(counts)
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from vlpt.files import locked


def rank() -> int:
    """Number of this process, 0 first."""
    return dist.get_rank() if _begun() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _begun() else 1


def _begun() -> bool:
    return dist.is_available() and dist.is_initialized()


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """A context in which the processes that torchrun started are connected, if it did, and what this one is to run on:
    with several GPUs in a machine, each its own. What others have connected, as Ray Train does, stays as it is.
    """
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if _begun() or int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield device
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def summed(numbers: dict[str, float]) -> dict[str, float]:
    """Each number's sum over all processes, which give the same names in the same order."""
    if world_size() == 1:
        return numbers
    together = torch.tensor(list(numbers.values()), dtype=torch.float64)
    dist.all_reduce(together)
    return dict(zip(numbers, together.tolist(), strict=True))


def gathered(value) -> list:
    """What each process gives, in their order; to all of them."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """A context in which the first of all processes holds the lock of a run's folder (`vlpt.files.locked`).

    Raises ValueError in each of them where another program has it.
    """
    with ExitStack() as held:
        refusal = ""
        try:
            if rank() == 0:
                held.enter_context(locked(folder))
        except ValueError as error:
            refusal = str(error)
        if refusal := gathered(refusal)[0]:
            raise ValueError(refusal)
        yield


def wait_for_all() -> None:
    """Until every process has come here."""
    if world_size() > 1:
        dist.barrier()
