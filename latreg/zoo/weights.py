"""Weights files: safetensors with a JSON description of the network inside, and a model card (json) beside it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from latreg.errors import LatregError, reason
from latreg.json_files import checked, read_json
from latreg.names import check_name
from latreg.zoo.descriptions import Card, check_description

MAX_HELD_OUT = 2**24  # numbers of which torch finds a quantile
ZOO = Path(__file__).resolve().parent
Network = TypeVar("Network", bound=torch.nn.Module)


def resolve(weights: str | None, key: str) -> Path:
    """The file that a setting of this key names: a path, or zoo:<name> for a shipped one.

    Raises:
        LatregError: no weights are set, or there is no such file.
    """
    if weights is None:
        raise LatregError(f"{key} must name a weights file or zoo:<name>, got null")
    path = Path(weights)
    if weights.startswith("zoo:"):
        path = ZOO / f"{check_name(key, weights.removeprefix('zoo:'))}.safetensors"
    if not path.is_file():
        shipped = ", ".join(sorted(f"zoo:{p.stem}" for p in ZOO.glob("*.safetensors"))) or "none"
        hint = f"; shipped are {shipped}" if weights.startswith("zoo:") else ""
        raise LatregError(f"{key} must name an existing file, got {weights}{hint}")
    return path


def name_of(weights: str) -> str:
    """What weights are called: zoo:<name> => <name>, a path => its file's name without the suffix."""
    return weights.removeprefix("zoo:") if weights.startswith("zoo:") else Path(weights).stem


def probe_path(dataset: str) -> Path:
    """Where labelled test images of a data set are shipped, if they are."""
    return ZOO / f"{dataset}_probe.npz"


def sha256(*paths: Path) -> str:
    """Hex digest of a file, or of several one after another: the id of a network."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def sha256_of(state: dict[str, Tensor]) -> str:
    """Hex digest of names, types, shapes and values of tensors that came from no file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors (floats as float32) and the network's description.

    Args:
        path: of the file.
        kind: of network, a name in `descriptions.DESCRIPTIONS`.

    Raises:
        LatregError: the file is damaged, was not written by `save`, holds another kind of network, a description that
            does not fit its kind, or numbers that are not finite.
    """
    with _opened(path) as file:
        description = _description(file, path, kind)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    check_finite(tensors, path, buffers=True)
    return tensors, description


def read_description(path: Path) -> dict[str, Any]:
    """The network's description alone.

    Raises:
        LatregError: the file is damaged, was not written by `save`, or does not fit the kind that it names.
    """
    with _opened(path) as file:
        return _description(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise LatregError(f"expected a safetensors file in {path}, but it cannot be read: {error}") from error


def _description(file: Any, path: Path, kind: str | None = None) -> dict[str, Any]:
    metadata = file.metadata() or {}
    if "latreg" not in metadata:
        raise LatregError(f"expected weights saved by latreg in {path}, but its metadata has no 'latreg' entry")
    source = f"the description in {path}"
    try:
        content = json.loads(metadata["latreg"])
    except (ValueError, RecursionError) as error:
        raise LatregError(f"expected JSON in {source}, but it cannot be read: {error}") from error
    found = checked(content, source).get("kind")
    if kind not in (None, found):
        raise LatregError(f"expected weights of a {kind} in {path}, got those of a {str(found)[:100]}")
    return check_description(content, source)


def check_finite(state: Mapping[str, object], source: object, buffers: bool = False) -> None:
    """Refuse weights that no answer can come from.

    Args:
        state: names with tensors; what is none is passed over.
        source: what they are called in the message.
        buffers: refuse infinite numbers too, and not NaN alone, in tensors that are no parameters: masks have them.

    Raises:
        LatregError: there are such weights.
    """
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            continue
        strict = buffers or isinstance(tensor, torch.nn.Parameter)
        if not bool(tensor.isfinite().all() if strict else not tensor.isnan().any()):
            raise LatregError(f"expected finite weights in {source}, but {name} holds NaN or infinite numbers")


def held_out_of(state: dict[str, Tensor], name: str, path: Path) -> Tensor:
    """Take out of the tensors of a file the numbers that held-out real images got, from which a threshold is read.

    Raises:
        LatregError: there are none, or too many.
    """
    numbers = state.pop(name, torch.empty(0))
    if numbers.ndim != 1 or not 0 < len(numbers) <= MAX_HELD_OUT or not numbers.is_floating_point():
        raise LatregError(f"{name} in {path} must be the numbers of 1 to {MAX_HELD_OUT} images")
    return numbers


def built(make: Callable[[], Network], state: dict[str, Tensor], path: Path) -> Network:
    """The network that a weights file describes, filled.

    Args:
        make: of the description. It is first called for shapes alone: a description may claim any size.
        state: the tensors of the file.
        path: of the file.

    Raises:
        LatregError: the description fits no network, or the tensors are not those of the network; or as `load_into`.
    """
    try:
        with torch.device("meta"):
            _check_shapes(make(), state, path)
        network = make()
    except LatregError:
        raise
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        raise LatregError(f"the description in {path} must be that of a network, but: {reason(error)}") from error
    load_into(network, state, path)
    return network


def load_into(network: torch.nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Fill a network; names and shapes must match exactly.

    Raises:
        LatregError: the file holds another architecture, the first difference is named; whole numbers where others
            belong; or weights that are not finite.
    """
    _check_shapes(network, state, path)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not state[name].is_floating_point():
            kind = str(state[name].dtype).removeprefix("torch.")
            raise LatregError(f"{name} in {path} must hold floating-point numbers, got {kind}")
    network.load_state_dict(state)
    check_finite({**dict(network.named_buffers()), **dict(network.named_parameters())}, path)


def _check_shapes(network: torch.nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in state.items()}
    if wanted != found:
        names = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
        name = names[0]
        raise LatregError(
            f"{path} holds another architecture: {len(names)} of {len(wanted)} tensors differ, the first is {name}, "
            f"expected {wanted.get(name, 'no such tensor')}, got {found.get(name, 'no such tensor')}"
        )


def save(path: Path, state: dict[str, Tensor], description: dict[str, Any], card: dict[str, Any], half: bool) -> str:
    """Write tensors (floats as float16 if half), description and card; returns the sha256. Never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = torch.float16 if half else torch.float32
    tensors = {k: (v.to(dtype) if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata={"latreg": json.dumps(description, sort_keys=True)})
    temporary.chmod(0o644)  # safetensors writes files that only their owner can read
    os.replace(temporary, path)
    digest = sha256(path)
    write_card(path, {**card, "sha256": digest})
    return digest


def card_path(path: Path) -> Path:
    """The model card of a weights file."""
    return path.with_suffix(".json")


def read_card(path: Path) -> dict[str, Any]:
    """The card beside a weights file, {} where there is none.

    Raises:
        LatregError: it is damaged, or a value that is read again is of another type or out of its range.
    """
    card = card_path(path)
    if not card.is_file():
        return {}
    return checked(read_json(card), str(card), Card, complete=False)


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write the card beside a weights file, whole or not at all."""
    temporary = card_path(path).with_suffix(".json.tmp")
    temporary.write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, card_path(path))
