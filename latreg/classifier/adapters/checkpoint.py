"""The state_dict of a network in whatever a trainer has saved around it; nothing in a file is run."""

import logging
import pickle
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from latreg.errors import LatregError, reason
from latreg.zoo import weights

log = logging.getLogger(__name__)

# Parts of names that wrappers of a whole network or of a part of it put in, and that say nothing.
WRAPPERS = {"module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}
COUNTER = "num_batches_tracked"  # of batch normalization, which old files lack and no answer depends on


class Inert:
    """Stands for an object of a class that is not read. What a pickle does with it has no effect."""

    def __new__(cls, *arguments: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def filled(network: nn.Module, path: Path, key: str | None = None) -> nn.Module:
    """The network with the state_dict of a file; names and shapes must match exactly.

    What stands before all names, in the file or in the network, is taken off: the keys that a checkpoint keeps it
    under, and what wrappers put there.

    Args:
        network: to be filled.
        path: of the file.
        key: where a checkpoint holds several sets of weights that fit, what stands before the names of the right one.

    Raises:
        LatregError: the file is damaged, holds no state_dict, one of another architecture, several that fit, or weights
            that are not finite.
    """
    tensors = flat_tensors(read(path), path)
    wanted = network.state_dict()
    found, names, prefixes = _matched(tensors, wanted)
    if not prefixes:
        weights.load_into(network, _nearest(found, wanted), path)  # which says how they differ
        return network
    prefix = _chosen(prefixes, found, names.values(), key, path)
    state = {name: found.get(prefix + plain, wanted[name]) for name, plain in names.items()}
    _report(prefix, set(tensors) - set(found), found, path)
    weights.load_into(network, state, path)
    return network


def _matched(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """The tensors of a file by names, the names of the network's among them, and the prefixes with which they fit.

    Names are taken as they are, and if these do not fit, without what wrappers put into them.
    """
    found, names = dict(tensors), {name: name for name in wanted}
    for plain in (str, _plain):
        found, names = {plain(name): tensor for name, tensor in tensors.items()}, {name: plain(name) for name in wanted}
        while True:
            prefixes = _prefixes(found, {short: wanted[name] for name, short in names.items()})
            if prefixes:
                return found, names, prefixes
            shorter = {name: short.partition(".")[2] for name, short in names.items()}
            outer = {short.partition(".")[0] for short in names.values()}
            if len(outer) > 1 or not all("." in short for short in shorter.values()):
                break
            names = shorter
    return found, names, []


def read(path: Path) -> Any:
    """The content of a .safetensors file, or of one of torch.save, with `Inert` for all that is no plain value.

    Raises:
        LatregError: it is neither.
    """
    try:
        with path.open("rb") as file:
            if file.read(9)[8:] == b"{":
                return load_file(path)
    except Exception as error:  # its own type, or that of a name that is no UTF-8
        raise LatregError(f"{_expected(path)}, but it cannot be read: {reason(error)}") from error
    foreign: list[str] = []
    try:
        if zipfile.is_zipfile(path):
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([_inert(name) for name in foreign]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a dozen types, IndexError and AssertionError among them
        raise LatregError(f"{_expected(path)}, but {_what_is(path, foreign, error)}") from error
    return content


def _expected(path: Path) -> str:
    return f"expected a state_dict in {path}, as torch.save(network.state_dict(), ..) or safetensors write it"


def _inert(name: str) -> tuple[Any, str]:
    """What stands for a class or function in a pickle: dictionaries stay dictionaries."""
    if name in ("collections.defaultdict", "builtins.dict"):
        return (lambda *_: {}), name
    return type(name, (Inert,), {}), name


def _what_is(path: Path, foreign: list[str], error: Exception) -> str:
    """What a file is that torch.load refuses, and what to do about it."""
    head = path.read_bytes()[:64]
    names = _members(path)
    kinds = {
        "a TorchScript program: save the state_dict of its network, or a program of torch.export": any(
            name.endswith("/constants.pkl") for name in names
        ),
        "a program of torch.export: classifier=export reads it": any(
            "/models/" in name or name.startswith("serialized_exported_program") for name in names
        ),
        "a network of Keras: export it to ONNX, which classifier=onnx reads": head.startswith(b"\x89HDF")
        or any(name.endswith(".h5") for name in names),
        "an ONNX graph: classifier=onnx reads it": head[:1] == b"\x08" and path.suffix == ".onnx",
    }
    for kind, found in kinds.items():
        if found:
            return f"it holds {kind}"
    if foreign:
        return (
            f"it holds objects of {', '.join(sorted(foreign)[:5])}, and nothing else than tensors is read from a file: "
            "save the state_dict alone"
        )
    if isinstance(error, pickle.UnpicklingError) and not names:
        return "it is damaged, or holds other things, and nothing else than tensors is read from a file"
    return f"it is damaged or of another kind, and nothing else than tensors is read from a file: {reason(error)}"


def _members(path: Path) -> list[str]:
    """What a zip file holds; nothing where it is none, or its list is damaged."""
    with suppress(Exception), zipfile.ZipFile(path) as archive:  # UnicodeDecodeError and struct.error among them
        return archive.namelist()
    return []


def flat_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """All tensors in dictionaries of dictionaries, with a dot between the keys.

    Raises:
        LatregError: there are none.
    """
    found = dict(_flat(content))
    if found:
        return found
    wanted = f"{_expected(path)}, got"
    whole = [(key, value) for key, value in _items(content) if isinstance(value, Inert)]
    if whole:
        key, value = whole[0]
        place = f" under {key!r}" if key else ""
        raise LatregError(
            f"{wanted} a whole object of {type(value).__name__}{place}, which only its own code could make, and "
            "nothing else than tensors is read from a file: save network.state_dict() where that code is at hand"
        )
    if isinstance(content, dict):
        raise LatregError(f"{wanted} a dict with the keys {', '.join(map(str, list(content)[:8])) or '(none)'}")
    raise LatregError(f"{wanted} a {type(content).__name__}")


def _items(content: Any) -> list[tuple[Any, Any]]:
    return list(content.items()) if isinstance(content, dict) else [("", content)]


def _flat(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield name, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))


def _plain(name: str) -> str:
    """A name without what wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _prefixes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """What may stand before the names of a file, so that all that begins so are those of the network."""
    needed = [name for name in wanted if not name.endswith(COUNTER)]
    if not needed:
        return []
    before = [name.removesuffix(needed[0]) for name in found if f".{name}".endswith(f".{needed[0]}")]
    return [prefix for prefix in before if _fits(prefix, found, wanted, needed)]


def _fits(prefix: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], needed: list[str]) -> bool:
    if any(f"{prefix}{name}" not in found or found[prefix + name].shape != wanted[name].shape for name in needed):
        return False
    own = (name.removeprefix(prefix) for name in found if name.startswith(prefix))
    return all(name in wanted or name.endswith(COUNTER) for name in own)


def _chosen(prefixes: list[str], found: Mapping[str, Tensor], names: Any, key: str | None, path: Path) -> str:
    """The one prefix, or that of the set that is asked for, or of sets that are all the same."""
    if key is not None:
        keys = tuple(f"{name}." for name in {key, _plain(key)} if name)
        named = [prefix for prefix in prefixes if f"{prefix}.".startswith(keys)]
        if not named:
            listed = ", ".join(prefix.rstrip(".") or "(none)" for prefix in prefixes)
            raise LatregError(f"classifier.weights_key must be what stands before names in {path}, {listed}, got {key}")
        prefixes = named
    first = prefixes[0]
    for other in prefixes[1:]:
        pairs = ((found.get(first + name), found.get(other + name)) for name in names)
        if not all(one is None or two is None or torch.equal(one, two) for one, two in pairs):
            listed = ", ".join(prefix.rstrip(".") or "(none)" for prefix in prefixes)
            raise LatregError(
                f"{path} holds several sets of weights that fit, under {listed}, of which classifier.weights_key "
                "chooses one"
            )
    return first


def _report(prefix: str, changed: set[str], found: Mapping[str, Tensor], path: Path) -> None:
    others = [name for name in found if not name.startswith(prefix)]
    if wrappers := {part for name in changed for part in name.split(".") if part in WRAPPERS}:
        log.info("%s was taken off the names in %s", " and ".join(sorted(wrappers)), path)
    if prefix:
        log.info("the weights are those under %r in %s", prefix.rstrip("."), path)
    if others:
        log.info("%d other tensors in %s are not used: %s ..", len(others), path, others[0])


def _nearest(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the prefix with which most names are those of the network, to name the first that is not."""
    plain = {_plain(name) for name in wanted}
    votes: Counter[str] = Counter()
    for name in found:
        parts = name.split(".")
        ends = (end for end in range(len(parts)) if ".".join(parts[end:]) in plain)
        votes.update(".".join([*parts[:end], ""]) for end in ends)
    prefix = votes.most_common(1)[0][0] if votes else ""
    return {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
