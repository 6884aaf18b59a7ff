"""Pickles that may come from anybody, read without running what is in them: settings, and torch's weights.

    settings = read_plain_pickle("2x.model")          # plain containers, strings and numbers
    weights = read_weights_file("2x.weights")         # named tensors

A pickle can run any program when it is opened, so an unpickler reads it that refuses everything else by name. What is
small on the disk stays small in memory: the same unpickler goes over weights before torch's own `weights_only` reads
them, and each tensor must be as large in the file as it says it is.
"""

import io
import math
import pickle
import reprlib
import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from vpt.errors import one_line
from vpt.files import existing_file

MOST_SETTINGS = 1_000_000  # bytes of a .model, or of the names in a .weights: the released ones have a few thousand
PLAIN = {"collections.OrderedDict": dict, "collections.Counter": dict, "builtins.set": set,
         "builtins.frozenset": frozenset}  # fmt: skip
STORAGES = {"DoubleStorage": 8, "LongStorage": 8, "FloatStorage": 4, "IntStorage": 4, "HalfStorage": 2,
            "BFloat16Storage": 2, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
            "UntypedStorage": 1}  # bytes an element  # fmt: skip


class _PlainUnpickler(pickle._Unpickler):
    """Admits lists, dictionaries, tuples, sets, strings and numbers; few of them are looked up by name.

    It is the library's own in Python, whose memo is a dictionary and which takes no memory on a file's word alone (the
    one in C does both). What goes into sets and keys is held to strings and small numbers, as the hash of a nested
    tuple may take for ever; copies of sets and dictionaries together to the size of the file.
    """

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items()
                if code not in (pickle.BYTEARRAY8[0], pickle.NEXT_BUFFER[0], pickle.BUILD[0])}  # fmt: skip

    def __init__(self, content: io.BytesIO) -> None:
        super().__init__(content)
        self.left = len(content.getbuffer())  # members that may still be copied

    def find_class(self, module: str, name: str):
        module = "builtins" if module == "__builtin__" else module  # as Python 2 called it
        if f"{module}.{name}" in PLAIN:
            return partial(self._made, PLAIN[f"{module}.{name}"])
        raise ValueError(f"refused: the pickle asks for {module[:80]}.{name[:80]}; only plain containers, strings and "
                         "numbers are read")  # fmt: skip

    def persistent_load(self, pid):
        raise ValueError(f"refused: the pickle asks for an object stored elsewhere ({reprlib.repr(pid)})")

    def _made(self, kind: type, items: Iterable = ()):
        self.left -= len(items)
        if self.left < 0:
            raise ValueError("refused: the pickle copies more than it holds")
        pairs = kind is dict and not isinstance(items, dict)
        _check_keys(pair[0] for pair in items) if pairs else _check_keys(items)
        return kind(items)

    def load_setitems(self) -> None:
        _check_keys(self.stack[::2])  # what stands since the last mark
        super().load_setitems()

    def load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_dict(self) -> None:
        _check_keys(self.stack[::2])
        super().load_dict()

    def load_additems(self) -> None:
        _check_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        _check_keys(self.stack)
        super().load_frozenset()

    dispatch |= {pickle.SETITEMS[0]: load_setitems, pickle.SETITEM[0]: load_setitem, pickle.DICT[0]: load_dict,
                 pickle.ADDITEMS[0]: load_additems, pickle.FROZENSET[0]: load_frozenset}  # fmt: skip


class _WeightsUnpickler(_PlainUnpickler):
    """Goes over the names, shapes and sizes of a `.weights` as torch wrote it, and makes no tensor.

    stored: how many bytes the file has for each storage, or under "" for any. What is to be larger is refused.
    """

    def __init__(self, content: io.BytesIO, stored: dict[str, int]) -> None:
        super().__init__(content)
        self.stored = stored

    def find_class(self, module: str, name: str):
        match module, name:
            case "torch._utils", "_rebuild_tensor_v2":
                return _check_tensor
            case "torch._utils", "_rebuild_parameter":
                return lambda data, *rest: data
            case ("torch" | "torch.storage"), kind if kind in STORAGES:
                return kind
        return super().find_class(module, name)

    def persistent_load(self, pid) -> int:
        """('storage', kind, key, place, elements, ...) -> elements."""
        _, kind, key, _, elements = pid[:5]
        if not 0 <= elements * STORAGES[kind] <= self.stored.get(key, self.stored.get("", 0)):
            raise ValueError(f"storage {key[:80]} is to have {elements:,} elements, more than the file holds")
        return elements

    def load_build(self) -> None:
        self.stack.pop()  # what torch notes beside the weights

    dispatch = {**_PlainUnpickler.dispatch, pickle.BUILD[0]: load_build}


def _check_tensor(elements: int, offset: int, shape: tuple, *rest) -> None:
    if offset + math.prod(shape) > elements or min((offset, *shape)) < 0:
        raise ValueError(f"a tensor of {reprlib.repr(shape)} is to lie in {elements:,} elements")


def _check_keys(keys: Iterable) -> None:
    for key in keys:
        if not isinstance(key, str | bytes | None) and not (isinstance(key, int) and abs(key) < 2**31):
            raise ValueError(f"refused: the pickle has {reprlib.repr(key)} as a key; strings and small numbers are")


def read_plain_pickle(path: str | Path, most_bytes: int = MOST_SETTINGS) -> dict:
    """A pickled dictionary. ValueError names the file and, for a hostile pickle, what it asked for."""
    try:
        with open(existing_file(path), "rb") as file:
            content = io.BytesIO(file.read(most_bytes + 1))
        if len(content.getbuffer()) > most_bytes:
            raise ValueError(f"it has more than {most_bytes:,} bytes, too many for settings: is it the .weights?")
        content = _PlainUnpickler(content).load()
    except Exception as error:  # a broken pickle raises whatever its opcodes stumble over
        raise ValueError(f"{path} is not a pickle of plain settings ({one_line(error, of=path)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary of settings")
    return content


def read_weights_file(path: str | Path) -> dict[str, Tensor]:
    """A `.weights` file (torch, `weights_only`). Raises ValueError naming the file when it is anything else."""
    try:
        is_zip = _check_weights(existing_file(path))
        # Mapped where that can be: torch then looks itself whether a storage lies inside of the file.
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # torch raises many kinds; none of them may run what is in the file
        raise ValueError(f"{path} cannot be read as weights ({one_line(error, of=path)})") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"{path} holds something else than named tensors")
    return weights


def _check_weights(path: Path) -> bool:
    """Whether it is one of today's .weights (a zip file) and not an older one. Raises ValueError for anything that is
    not weights, or would be larger in memory than on the disk."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        begin = io.BytesIO(file.read(MOST_SETTINGS))
    if not begin.getvalue().startswith(b"PK\x03\x04"):
        for _ in range(4):  # an older file: four pickles, a number, a version, the machine, the weights
            _WeightsUnpickler(begin, {"": size}).load()
        return False
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed: torch writes weights as they are")
        if (declared := sum(entry.file_size for entry in entries)) > size:
            raise ValueError(f"it is to hold {declared:,} bytes in {size:,}")
        stored = {entry.filename.rpartition("/data/")[2]: entry.file_size for entry in entries}
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                if entry.file_size > MOST_SETTINGS:
                    raise ValueError(f"its names and shapes take {entry.file_size:,} bytes, more than any model's")
                _WeightsUnpickler(io.BytesIO(archive.read(entry)), stored).load()
    return True
