"""Nests of tensors: frozen dataclasses and tuples of them, as memories and outputs are.

    moved = map_tensors(lambda x: x.to("cuda"), memory)
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace

from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], value):
    """`value` (a tensor, or any nest of dataclasses and tuples of tensors) with every tensor put through `function`."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return tuple(map_tensors(function, part) for part in value)
    if is_dataclass(value):
        return replace(value, **{f.name: map_tensors(function, getattr(value, f.name)) for f in fields(value)})
    return value


def tensors(value) -> list[Tensor]:
    """Every tensor of a nest, in a fixed order: what a checkpoint stores."""
    found: list[Tensor] = []
    map_tensors(lambda tensor: found.append(tensor) or tensor, value)
    return found
