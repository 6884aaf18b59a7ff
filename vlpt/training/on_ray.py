"""Training on a Ray cluster: the processes that torchrun would start are started by Ray Train, one a GPU.

In: a stage's options, `--ray N`. Out: what the first of N processes returns. The repository, its packages, the shards
and the folder of runs lie at the same place on every machine, as for gathering (docs/scale.md).

    python train.py base --name first --ray 8                       # on the cluster that RAY_ADDRESS names, or here
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vlpt.files import read_json
from vlpt.options import pick_device
from vlpt.training.stage import StageOptions


def train_on_ray(train: Callable[[StageOptions], dict], options: StageOptions) -> dict:
    """`train(options)` in `options.ray` processes that are connected as torchrun's are.

    Raises ValueError where Ray is not installed, or one of them fails.
    """
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise ValueError("--ray needs Ray Train: pip install 'ray[train]==2.60.0'") from error
    found = Path(options.runs, options.name, "done.json")

    def process(_: dict) -> None:
        train(replace(options, ray=0, progress=False))

    gpu = pick_device(options.device).type == "cuda"
    ray.init(ignore_reinit_error=True, log_to_driver=True)
    trainer = TorchTrainer(process, train_loop_config={},
                           scaling_config=ScalingConfig(num_workers=options.ray, use_gpu=gpu),
                           run_config=RunConfig(name=options.name, storage_path=str(Path(options.runs).absolute())),
                           )  # fmt: skip
    try:
        trainer.fit()
    except Exception as error:  # Ray raises many kinds
        raise ValueError(f"--ray {options.ray}: {' '.join(str(error).split())[-500:]}") from error
    return read_json(found) if found.exists() else {}
