"""The values that a pickle of NVIDIA's StyleGAN repositories holds: tensors, arrays, containers, persistent objects.

Each builder checks what it is given and copies nothing, so that a pickle that asks for the same thing a million times
gets it for free; the two that must read or copy do it at the expense of the pickle's opcodes. Values of unknown kind
are neither printed, hashed nor compared: that could take for ever. What a generator has no use for (numbers of other
types, objects without a state) is an `Unknown`.

A tensor is pickled as `_rebuild_tensor_v2(storage, ..)`, and its storage as the bytes of a file of `torch.save` in the
format before zip: five pickles (magic number, version, machine, the storage as a persistent id, its key), then the
numbers.
"""

import io
import math
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.importing.machine import (
    Bounded,
    Budget,
    Builder,
    DamageError,
    Inert,
    Machine,
    Name,
    Unknown,
    is_plain_key,
)

MAX_BYTES = 2**30  # of a pickle; the largest published ones have 0.4 GiB
MAX_DIMENSIONS = 8  # of a tensor
MAX_CLASS_NAME = 100  # characters
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
    """The content of a pickle as plain values, tensors, persistent objects, and unknown ones that hold nothing.

    Raises:
        LatregError: it is no pickle, is damaged, or does what no snapshot does; nothing in it was executed.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise LatregError(f"it must have at most {MAX_BYTES} bytes, got {size}")
        if not size:
            raise LatregError("it is empty")
        with path.open("rb") as file:
            start = file.read(2)
            if start == b"PK":
                raise LatregError("it is a zip archive, as torch.save writes them, and no pickle of train.py")
            if start[:1] != b"\x80":
                raise LatregError("it does not begin as a pickle does")
            file.seek(0)
            budget = Budget()
            return Machine(_builders(budget), budget, REFUSALS).load(Bounded(file))
    except DamageError as error:
        raise LatregError(
            f"{path} cannot be imported: some of its {size} bytes are damaged or missing: {error}"
        ) from error
    except (OSError, LatregError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LatregError(f"{path} cannot be imported: {reason}") from error


# ---- tensors


def _storage(budget: Budget, arguments: tuple[Any, ...]) -> Tensor | Unknown:
    """`_load_from_bytes(bytes)` => all numbers of a storage (N,)."""
    (content,) = arguments
    if not isinstance(content, bytes):
        raise DamageError("the bytes of a storage are needed")
    try:
        return _numbers_in(content, budget)
    except DamageError as error:
        raise DamageError(f"a storage of {len(content)} bytes is damaged: {error}") from error


def _numbers_in(content: bytes, budget: Budget) -> Tensor | Unknown:
    file = io.BytesIO(content[:STORAGE_HEADER])
    found: list[Tensor | Unknown] = []

    def persistent(id: Any) -> Tensor | Unknown:
        kind, name, _, _, count, view = id
        if kind != "storage" or not isinstance(name, Name) or view is not None or not isinstance(count, int):
            raise DamageError("it is no whole storage")
        known = name.path in _STORAGES
        found.append(torch.empty(0, dtype=_STORAGES[name.path]) if known else Unknown(name.path))
        return found[0]

    machine = Machine({}, budget, persistent=persistent)
    if (machine.load(file), machine.load(file)) != (TORCH_MAGIC, TORCH_VERSION):
        raise DamageError("it does not begin as torch's format before zip")
    if not machine.load(file).get("little_endian"):
        raise DamageError("it is of no little-endian machine")
    machine.load(file)
    machine.load(file)
    (empty,) = found
    if isinstance(empty, Unknown):
        return empty
    count = int.from_bytes(file.read(8), "little")
    if len(content) - file.tell() != count * empty.element_size():
        raise DamageError(f"it must hold {count} numbers, but has {len(content) - file.tell()} bytes for them")
    with warnings.catch_warnings():  # that nobody must write to the numbers, which nobody does
        warnings.simplefilter("ignore")
        return torch.frombuffer(content, dtype=empty.dtype, offset=file.tell()) if count else empty


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """`_rebuild_tensor_v2(storage, offset, size, stride, ..)`."""
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Tensor) or not _are_sizes((offset,)) or not _are_sizes(size) or not _are_sizes(stride):
        raise DamageError("a tensor needs a storage, and its place, sizes and strides there")
    if len(size) != len(stride):
        raise DamageError(f"a tensor of {len(size)} dimensions must have as many strides, got {len(stride)}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count > len(storage) or (count and last >= len(storage)):
        raise DamageError(f"a tensor of shape {tuple(size)} must lie within its storage of {len(storage)} numbers")
    return storage.as_strided(size, stride, offset)


def _are_sizes(values: Any) -> bool:
    few = isinstance(values, tuple) and len(values) <= MAX_DIMENSIONS
    return few and all(isinstance(n, int) and 0 <= n <= MAX_BYTES for n in values)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    """`_rebuild_parameter(tensor, requires_grad, hooks)`; newer ones have more behind that."""
    if not isinstance(arguments[0], Tensor):
        raise DamageError("a parameter must be a tensor")
    return arguments[0]


# ---- numpy


@dataclass(eq=False)
class _DType(Inert):
    code: str

    def complete(self, state: Any) -> None:
        if state[1] not in ("<", "|", ">"):
            raise DamageError("the order of bytes in a number is needed")
        self.code = state[1] + self.code


@dataclass(eq=False)
class _Array(Inert):
    values: np.ndarray = field(default_factory=lambda: np.empty(0))

    def complete(self, state: Any) -> None:
        """Arrays of other things than numbers stay empty."""
        _, shape, dtype, fortran, content = state
        if isinstance(dtype, Unknown):
            return
        if not _are_sizes(shape):
            raise DamageError("the shape of an array is needed")
        self.values = _numbers(dtype, content).reshape(shape, order="F" if fortran else "C")


def _dtype(arguments: tuple[Any, ...]) -> _DType | Unknown:
    code = arguments[0]
    known = isinstance(code, str) and code in _NUMPY_TYPES
    return _DType(code) if known else Unknown("numpy.dtype")


def _numbers(dtype: Any, content: Any) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise DamageError("the type and the bytes of an array are needed")
    return np.frombuffer(content, dtype.code)


def _scalar(arguments: tuple[Any, ...]) -> Any:
    (value,) = _numbers(*arguments)
    return value.item()


# ---- containers


def _persistent_object(arguments: tuple[Any, ...]) -> PersistentObject | Unknown:
    (meta,) = arguments
    name, state = meta["class_name"], meta["state"]
    if not isinstance(name, str):
        raise DamageError("a persistent object must name its class")
    return PersistentObject(name, state) if isinstance(state, dict) else Unknown(name[:MAX_CLASS_NAME])


def _set(budget: Budget, arguments: tuple[Any, ...]) -> set[Any]:
    (items,) = arguments or ([],)
    if not isinstance(items, list):
        raise DamageError("the list of what a set holds is needed")
    budget.spend(len(items))
    return set(filter(is_plain_key, items))


def _dict(arguments: tuple[Any, ...]) -> dict[Any, Any] | Unknown:
    """An empty one, to be filled later."""
    return Unknown("a dictionary") if arguments else {}


_FREE: dict[str, Builder] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "dnnlib.util.EasyDict": _dict,
    "collections.OrderedDict": _dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": lambda arguments: arguments[0],
    "numpy.dtype": _dtype,
    **{f"numpy.{core}.multiarray._reconstruct": lambda _: _Array() for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}


def _builders(budget: Budget) -> dict[str, Builder]:
    """Of all names that a generator needs."""
    at_cost: dict[str, Builder] = {
        "builtins.set": partial(_set, budget),
        "__builtin__.set": partial(_set, budget),
        "torch.storage._load_from_bytes": partial(_storage, budget),
    }
    return _FREE | at_cost


REFUSALS = {
    "dnnlib.tflib.network.Network": "it holds TensorFlow networks; NVIDIA's legacy.py turns them into a PyTorch pickle",
}
