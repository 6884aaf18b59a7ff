"""Two ways to run the same numbers faster: compiled parts, and a step recorded as a CUDA graph.

    compile_parts(policy)                        # in place; torch.compile, on a processor or a GPU
    step = Recorded(policy, frame, first, memory)
    output, memory = step(frame, first, memory)  # one launch instead of hundreds

What is compiled are the picture encoder and each block: what costs, apart from checks that would break the graph.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from vpt.attention import Block
from vpt.cnn import PictureEncoder
from vpt.trees import map_tensors, tensors

WARM_UP = 3  # calls before recording, in which libraries choose their kernels


def compile_parts(model: nn.Module, also: Iterable[nn.Module] = (), **how) -> nn.Module:
    """Compiles picture encoders, blocks and `also` in place; names of weights stay. `how` goes to torch.compile. To be
    called after copies of the model have been made: theirs would run the original's parts.

    On a processor torch.compile needs a C++ compiler; without one the first call raises torch's own error. There each
    shape is compiled by itself, the first eight of them, as code for any number of frames cannot be generated (torch
    2.13 ends in an internal error). So a model belongs on its device before. Raises ValueError for a model without any
    of these parts.
    """
    if next(model.parameters()).device.type == "cpu":
        how = {"dynamic": False} | how
    pictures = [part for part in model.modules() if isinstance(part, PictureEncoder)]
    blocks = [part for part in model.modules() if isinstance(part, Block)]
    calls = [(part, name) for part in pictures for name in ("encode", "encode_with_patches")]
    calls += [(part, name) for part in blocks for name in ("forward", "all_to_all")]
    calls += [(part, "forward") for part in also]
    if not calls:
        raise ValueError("there is nothing to compile here: the model has no pictures, blocks or language layers")
    for part, name in calls:
        setattr(part, name, torch.compile(getattr(part, name), **how))
    return model


class Recorded:
    """A function of tensors (and nests of them), recorded as a CUDA graph over the example's shapes.

    Calls copy the arguments into the recorded buffers and return the recorded results, which the next call overwrites.
    No gradients. Raises ValueError where the example is not on a GPU; what the function does besides tensors (checks,
    random draws, branches on values) happens while recording only.
    """

    @torch.no_grad()
    def __init__(self, function: Callable, *example) -> None:
        if not all(tensor.is_cuda for tensor in tensors(example)):
            raise ValueError("a CUDA graph is recorded from tensors on a GPU: move model and arguments there first")
        self.arguments = map_tensors(Tensor.clone, example)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                function(*self.arguments)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.results = function(*self.arguments)

    def __call__(self, *arguments):
        for kept, given in zip(tensors(self.arguments), tensors(arguments), strict=True):
            kept.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.results
