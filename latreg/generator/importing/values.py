"""The values that a pickle of NVIDIA's StyleGAN repositories holds: tensors, arrays, containers, persistent objects.

Each builder checks what it is given and copies nothing, so that a pickle that asks for the same thing a million times
gets it for free; the two that must read or copy do it at the expense of the pickle's opcodes. Values of unknown kind
are neither printed, hashed nor compared: that could take for ever.

A tensor is pickled as `_rebuild_tensor_v2(storage, ..)`, and its storage as the bytes of a file of `torch.save` in the
format before zip: five pickles (magic number, version, machine, the storage as a persistent id, its key), then the
numbers.
"""

import io
import math
import mmap
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.importing.machine import Budget, Builder, Inert, Machine, Name, plain_key

MAX_BYTES = 4 * 2**30  # of a pickle; the largest published ones have 0.4 GiB
MAX_DIMENSIONS = 8  # of a tensor
STORAGE_HEADER = 4096  # at most so many bytes come before the numbers
TORCH_MAGIC, TORCH_VERSION = 0x1950A86A20F9469CFC6C, 1001

_STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_NUMPY_TYPES = {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} - {"f1"} | {"b1"}


@dataclass(eq=False)
class PersistentObject:
    """What `torch_utils.persistence` pickles: the name of a class and the `__dict__` of its instance.

    The source code of the class, which the pickle holds too, is left out.
    """

    class_name: str
    state: dict[str, Any]

    def part(self, kind: str) -> dict[str, Any]:
        """`_modules`, `_parameters` or `_buffers`, {} where there are none."""
        part = self.state.get(kind, {})
        return part if isinstance(part, dict) else {}


def read_pickle(path: Path) -> Any:
    """The content of a pickle as plain values, tensors and persistent objects.

    Raises:
        LatregError: it is no pickle, is damaged, or holds anything else; nothing in it was executed.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if len(content) > MAX_BYTES:
                raise LatregError(f"it must have at most {MAX_BYTES} bytes, got {len(content)}")
            if content[:2] == b"PK":
                raise LatregError("it is a zip archive, as torch.save writes them, and no pickle of train.py")
            if content[:1] != b"\x80":
                raise LatregError("it does not begin as a pickle does")
            budget = Budget()
            return Machine(_builders(budget), budget, REFUSALS).load(content)  # type: ignore[arg-type]
    except (OSError, ValueError, LatregError) as error:
        raise LatregError(f"{path} cannot be imported: {error}") from error


# ---- tensors


def _storage(budget: Budget, arguments: tuple[Any, ...]) -> Tensor:
    """`_load_from_bytes(bytes)` => all numbers of a storage (N,)."""
    (content,) = arguments
    if not isinstance(content, bytes):
        raise TypeError("expected the bytes of a storage")
    file = io.BytesIO(content[:STORAGE_HEADER])
    found: list[Tensor] = []

    def persistent(id: Any) -> Tensor:
        kind, name, _, _, count, view = id
        if kind != "storage" or not isinstance(name, Name) or view is not None or not isinstance(count, int):
            raise TypeError("expected a whole storage")
        found.append(torch.empty(0, dtype=_STORAGES[name.path]))
        return found[0]

    machine = Machine(_OF_STORAGES, budget, persistent=persistent)
    if (machine.load(file), machine.load(file)) != (TORCH_MAGIC, TORCH_VERSION):
        raise LatregError("expected a storage of torch in the format before zip")
    if not machine.load(file).get("little_endian"):
        raise LatregError("expected a storage of a little-endian machine")
    machine.load(file)
    machine.load(file)
    (empty,) = found
    count = int.from_bytes(file.read(8), "little")
    if len(content) - file.tell() != count * empty.element_size():
        raise ValueError(f"a storage must hold {count} numbers, got {len(content) - file.tell()} bytes")
    with warnings.catch_warnings():  # that nobody must write to the numbers, which nobody does
        warnings.simplefilter("ignore")
        return torch.frombuffer(content, dtype=empty.dtype, offset=file.tell()) if count else empty


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """`_rebuild_tensor_v2(storage, offset, size, stride, ..)`."""
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Tensor) or not _are_sizes((offset,)) or not _are_sizes(size) or not _are_sizes(stride):
        raise TypeError("expected a storage with the place, sizes and strides of a tensor")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError(f"a tensor of shape {tuple(size)} must lie within its storage of {len(storage)} numbers")
    return storage.as_strided(size, stride, offset)


def _are_sizes(values: Any) -> bool:
    few = isinstance(values, tuple) and len(values) <= MAX_DIMENSIONS
    return few and all(isinstance(n, int) and 0 <= n <= MAX_BYTES for n in values)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    """`_rebuild_parameter(tensor, requires_grad, hooks)`."""
    if not isinstance(arguments[0], Tensor):
        raise TypeError("expected a tensor in a parameter")
    return arguments[0]


# ---- numpy


@dataclass(eq=False)
class _DType(Inert):
    code: str

    def complete(self, state: Any) -> None:
        if state[1] not in ("<", "|"):
            raise ValueError("expected numbers of a little-endian machine")


@dataclass(eq=False)
class _Array(Inert):
    values: np.ndarray = field(default_factory=lambda: np.empty(0))

    def complete(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not _are_sizes(shape):
            raise TypeError("expected the shape of an array")
        self.values = _numbers(dtype, content).reshape(shape, order="F" if fortran else "C")


def _dtype(arguments: tuple[Any, ...]) -> _DType:
    code = arguments[0]
    if not isinstance(code, str) or code not in _NUMPY_TYPES:
        raise ValueError("expected a numpy type of plain numbers")
    return _DType(code)


def _numbers(dtype: Any, content: Any) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise TypeError("expected the type and the bytes of an array")
    return np.frombuffer(content, dtype.code)


def _scalar(arguments: tuple[Any, ...]) -> Any:
    (value,) = _numbers(*arguments)
    return value.item()


# ---- containers


def _persistent_object(arguments: tuple[Any, ...]) -> PersistentObject:
    (meta,) = arguments
    name, state = meta["class_name"], meta["state"]
    if not isinstance(name, str) or not isinstance(state, dict):
        raise TypeError("expected a persistent object with its class and state")
    return PersistentObject(name, state)


def _set(budget: Budget, arguments: tuple[Any, ...]) -> set[Any]:
    (items,) = arguments or ([],)
    if not isinstance(items, list):
        raise TypeError("expected the list of what a set holds")
    budget.spend(len(items))
    return set(map(plain_key, items))


def _empty_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise ValueError("expected an empty dictionary, to be filled later")
    return {}


_OF_STORAGES: dict[str, Builder | None] = dict.fromkeys(_STORAGES)

_FREE: dict[str, Builder | None] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "dnnlib.util.EasyDict": _empty_dict,
    "collections.OrderedDict": _empty_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": lambda arguments: arguments[0],
    "numpy.ndarray": None,
    "numpy.dtype": _dtype,
    **{f"numpy.{core}.multiarray._reconstruct": lambda _: _Array() for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}


def _builders(budget: Budget) -> dict[str, Builder | None]:
    """Of all names that are admitted."""
    at_cost: dict[str, Builder | None] = {
        "builtins.set": partial(_set, budget),
        "__builtin__.set": partial(_set, budget),
        "torch.storage._load_from_bytes": partial(_storage, budget),
    }
    return _FREE | at_cost


REFUSALS = {
    "dnnlib.tflib.network.Network": "it holds TensorFlow networks; NVIDIA's legacy.py turns them into a PyTorch pickle",
}
