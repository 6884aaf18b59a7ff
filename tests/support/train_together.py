"""Several trainings in each of two processes, to be started by torchrun; what wrapped the model is written down.

    torchrun --nproc-per-node 2 tests/support/train_together.py asked.json

In: a list of {"stage", "options", "end_at": step at which the second process gets a SIGTERM, "killed_at": number of the
sharded checkpoint in the middle of which both get a SIGKILL; 0 for none}. Out: beside that file `<name>-<rank>.json`
for each: world size, kind of wrapper, steps, how many weights are sharded, how many sharded tensors were put together.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch.distributed as dist
from torch.distributed.tensor import DTensor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]
import train  # noqa: E402
from vlpt.options import from_dict  # noqa: E402
from vlpt.training import snapshots  # noqa: E402


@contextmanager
def watched(end_at: int, killed_at: int) -> Iterator[dict]:
    """A context for one training; its dict is what has been seen of it."""
    noted = dict(steps=0, saved=0, put_together=0)
    set_rates, write_shards, full_tensor = train.set_rates, snapshots.write_shards, DTensor.full_tensor

    class Noted(train.Parallel):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            sharded = [isinstance(p, DTensor) for p in self.module.parameters()]
            noted.update(world=dist.get_world_size(), wrapper=type(self.module).__name__, sharded=sum(sharded),
                         weights=len(sharded))  # fmt: skip

    def end(*given) -> None:
        noted["steps"] += 1
        if noted["steps"] == end_at and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        set_rates(*given)

    def write(*given) -> None:
        noted["saved"] += 1
        if noted["saved"] == killed_at:  # the models lie there, optimiser and means do not
            os.kill(os.getpid(), signal.SIGKILL)
        write_shards(*given)

    def put_together(tensor, **how):
        noted["put_together"] += tensor.ndim > 0
        return full_tensor(tensor, **how)

    with (patch.object(train, "Parallel", Noted), patch.object(train, "set_rates", end),
          patch.object(snapshots, "write_shards", write), patch.object(DTensor, "full_tensor", put_together)):
        yield noted


def main(path: Path) -> None:
    dist.init_process_group("gloo")
    for asked in json.loads(path.read_text()):
        options = from_dict(train.OPTIONS[asked["stage"]], asked["options"])
        with watched(asked["end_at"], asked["killed_at"]) as noted:
            train.train(options)
        path.with_name(f"{options.name}-{dist.get_rank()}.json").write_text(json.dumps(noted))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
