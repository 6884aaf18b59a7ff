"""Several trainings in each of two processes, to be started by torchrun; what wrapped the model is written down.

    torchrun --nproc-per-node 2 tests/support/train_together.py asked.json

In: a list of {"stage", "options", "end_at": step at which the second process gets a SIGTERM, 0 for none}. Out: beside
that file `<name>-<rank>.json` for each: world size, kind of wrapper, how many weights are sharded.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch.distributed as dist
from torch.distributed.tensor import DTensor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]
import train  # noqa: E402
from vlpt.options import from_dict  # noqa: E402


def main(path: Path) -> None:
    dist.init_process_group("gloo")
    for asked in json.loads(path.read_text()):
        options, noted, set_rates = from_dict(train.OPTIONS[asked["stage"]], asked["options"]), {}, train.set_rates

        class Noted(train.Parallel):
            def __init__(self, *given, noted=noted) -> None:
                super().__init__(*given)
                sharded = [isinstance(p, DTensor) for p in self.module.parameters()]
                noted.update(world=dist.get_world_size(), wrapper=type(self.module).__name__, sharded=sum(sharded),
                             weights=len(sharded))  # fmt: skip

        steps = []

        def end(optimizer, factor, steps=steps, at=asked["end_at"], set_rates=set_rates) -> None:
            steps.append(factor)
            if len(steps) == at and dist.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            set_rates(optimizer, factor)

        train.Parallel, train.set_rates = Noted, end
        train.train(options)
        train.Parallel, train.set_rates = Noted.__mro__[1], set_rates
        path.with_name(f"{options.name}-{dist.get_rank()}.json").write_text(json.dumps(noted | dict(steps=len(steps))))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
