"""A stage's model as all processes train it together: torch's DDP (each holds all of it) or FSDP2 (each a part of it).

In: a stage, complete, the same in every process. Out: `Parallel`, through which the loop asks for losses, gradients and
validation; in a process by itself it does nothing more. A gradient is that of the sum over all processes: what an
update counts is known before (`summed`), so that the averaging of DDP and FSDP, undone here, plays no part.

    parallel = Parallel(stage, "fsdp")
    with parallel.batch(last=True):
        losses = parallel(stage.losses, batch)
        parallel.backward(objective(losses, weights, counts))
    validation = parallel.validate()

Sources: DistributedDataParallel; fully_shard (FSDP2).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from vlpt.language.decoder import Decoder
from vlpt.language.transformer_xl import Layer
from vlpt.training.processes import wait_for_all, world_size
from vlpt.training.stage import Stage, Wrapper
from vpt.attention import Block


class Objective(nn.Module):
    """The module whose forward is whatever is asked of a model: what wraps it sees one forward, however the model is
    entered inside."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ask: Callable, *given):
        return ask(*given)


class Parallel:
    """See the top of the file. `module` is an `Objective`, wrapped where there are several processes.

    Makes DTensors of the weights where they are sharded: an optimiser is made after it.
    """

    def __init__(self, stage: Stage, wrapper: Wrapper) -> None:
        self.stage, self.module = stage, Objective(stage.model)
        self.replicated: list[nn.Parameter] = []  # single numbers, which FSDP leaves whole; their gradients are ours
        if world_size() == 1:
            return
        if wrapper == "ddp":
            # A loss that counts nothing, as of a chunk in which nobody speaks, reaches only some of the weights.
            self.module = DistributedDataParallel(self.module, broadcast_buffers=False, find_unused_parameters=True)
        else:
            self.replicated = list(stage.groups().get("gates", ()))
            shard(self.module, self.replicated)

    def __call__(self, ask: Callable, *given):
        """ask(*given), which may enter the model by any of its methods."""
        return self.module(ask, *given)

    @contextmanager
    def batch(self, last: bool) -> Iterator[None]:
        """A context for one batch of an update; last: gradients of all processes are added up in its backward."""
        if isinstance(self.module, FSDPModule):
            self.module.set_requires_gradient_sync(last)
        alone = isinstance(self.module, DistributedDataParallel) and not last
        with self.module.no_sync() if alone else nullcontext():
            yield
        for parameter in self.replicated if last else ():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= world_size()

    def backward(self, loss: Tensor) -> None:
        """Adds a batch's gradient; the wrappers' mean over processes becomes a sum."""
        (loss * world_size() if world_size() > 1 else loss).backward()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The stage's validation; each process may run the model as often as its share of the episodes wants."""
        if not isinstance(self.module, FSDPModule):
            return self.stage.validate()
        found = self.module(self._validate_whole)
        self.module.reshard()  # after a forward without backward the outermost part would stay whole
        wait_for_all()
        return found

    def _validate_whole(self) -> dict[str, float]:
        """Within the forward of the sharded module: all weights are gathered once, before, and sharded again after."""
        parts = [part for part in self.module.modules() if isinstance(part, FSDPModule) and part is not self.module]
        for part in parts:
            part.unshard()
            part.set_reshard_after_forward(False, recurse=False)
        try:
            return self.stage.validate()
        finally:
            for part in parts:
                part.set_reshard_after_forward(True, recurse=False)
                part.reshard()


def shard(module: nn.Module, replicated: list[nn.Parameter]) -> None:
    """fully_shard of each block and language layer, and of all the rest together."""
    ignored, blocks = set(replicated), [part for part in module.modules() if isinstance(part, Block)]
    for part in (*blocks, *language_layers(module)):
        fully_shard(part, ignored_params=ignored)
    for block in blocks:
        register_fsdp_forward_method(block, "all_to_all")
    fully_shard(module, ignored_params=ignored)


def language_layers(module: nn.Module) -> list[nn.Module]:
    """Of the language models in it: what of each layer is entered as a whole."""
    found = [part for part in module.modules() if isinstance(part, Layer)]
    decoders = [part for part in module.modules() if isinstance(part, Decoder)]
    return found + [layer.mlp for decoder in decoders for layer in decoder.causal.model.layers]


def whole(tensor: Tensor) -> Tensor:
    """A tensor that processes hold parts of, put together in each; others as they are."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor; others as they are."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def sharded_as(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, as the weight is that it belongs to; one that is sharded already as it is."""
    if not isinstance(like, DTensor) or isinstance(tensor, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
