"""From the persistent objects of a StyleGAN2 pickle to our network: settings, names and shapes, all checked."""

from typing import Any

import torch
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.importing.machine import Name, Unknown
from latreg.generator.importing.values import PersistentObject
from latreg.generator.layers import binomial_filter
from latreg.generator.networks import GeneratorNetwork

WANTED = "G_ema"
LR_MULTIPLIER = 0.01  # of the mapping network, in all published configurations
MAX_DEPTH, MAX_MODULES, MAX_TENSORS = 6, 500, 1000  # of G_ema; 1024x1024 takes 3, 85 and 150
MAX_NAME = 100  # characters: a pickle may use the same long name again and again, but all names are written out
MAX_WIDTH = 1024  # of z and w, of which many are drawn for the class means; 512 in all published configurations
MAX_CLAMP = 1e9
# In all tensors together, which may be views of the same numbers. 1024x1024 takes 30 million, of which 3 million are
# in the mapping network, which is called 100,000 times.
MAX_NUMBERS, MAX_MAPPING_NUMBERS = 120_000_000, 8_000_000
OURS = "mapping.w_avg_class"  # which published networks do not have


def generator_of(content: Any) -> PersistentObject:
    """The averaged generator of a snapshot.

    Raises:
        LatregError: the pickle holds something else, or a StyleGAN3.
    """
    names = ", ".join(map(_shown, content)) if isinstance(content, dict) else _shown(content)
    network = content.get(WANTED) if isinstance(content, dict) else None
    if network is not None and not isinstance(network, PersistentObject):
        raise LatregError(f"{WANTED} must be a network of NVIDIA's code, got {_shown(network)}")
    if network is None:
        raise LatregError(f"expected a snapshot with the network {WANTED}, got {names[:200] or 'nothing'}")
    parts = network.part("_modules")
    if not all(isinstance(parts.get(name), PersistentObject) for name in ("mapping", "synthesis")):
        got = ", ".join(map(_shown, parts))[:200] or "nothing"
        raise LatregError(f"expected {WANTED} to have a mapping and a synthesis network, got {got}")
    if "input" in parts["synthesis"].part("_modules"):
        raise LatregError("it holds an alias-free StyleGAN3; latreg takes StyleGAN2 (cfg=stylegan2 of that repository)")
    return network


def read_network(network: PersistentObject) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments of GeneratorNetwork and its state, but for the class means of w.

    Sizes are those of the tensors, not what the pickle says beside them.

    Raises:
        LatregError: a setting is not one that latreg's networks have, or a tensor is missing, left over, of another
            shape or not finite.
    """
    modules = dict(_modules(network))
    _check_settings(modules)
    state = _tensors(modules)
    arguments = _arguments(modules, state)
    _check_names_and_shapes(arguments, state)
    return arguments, {name: _as_float32(name, tensor) for name, tensor in state.items()}


def half_precision_blocks(network: PersistentObject) -> int:
    """How many of the highest resolutions the original computes in float16 on a GPU."""
    return sum(module.state.get("use_fp16") is True for _, module in _modules(network))


def _modules(network: PersistentObject) -> list[tuple[str, PersistentObject]]:
    """All modules by their names with dots, "" for the network itself."""
    found: list[tuple[str, PersistentObject]] = []
    seen: set[int] = set()
    waiting = [("", network)]
    while waiting:
        name, module = waiting.pop()
        if id(module) in seen or name.count(".") > MAX_DEPTH:
            raise LatregError(f"expected each module once and no deep nesting, got {name[:200]} again or too deep")
        seen.add(id(module))
        found.append((name, module))
        for key, child in module.part("_modules").items():
            if not isinstance(child, PersistentObject):
                path = _joined(name, key)
                raise LatregError(f"expected modules in {WANTED}, got {_shown(child)} as {path[:MAX_NAME]}")
            waiting.append((_joined(name, key), child))
        if len(found) + len(waiting) > MAX_MODULES:
            raise LatregError(f"expected at most {MAX_MODULES} modules in {WANTED}, got more")
    return found


def _joined(name: str, key: Any) -> str:
    if not isinstance(key, str) or len(key) > MAX_NAME:
        raise LatregError(f"expected names of at most {MAX_NAME} characters in {WANTED}, got {_shown(key)}")
    return f"{name}.{key}".strip(".")


def _tensors(modules: dict[str, PersistentObject]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, module in modules.items():
        entries = {**module.part("_parameters"), **module.part("_buffers")}
        if len(state) + len(entries) > MAX_TENSORS:
            raise LatregError(f"expected at most {MAX_TENSORS} tensors in {WANTED}, got more")
        for key, value in entries.items():
            if value is None:
                continue
            path = _joined(name, key)
            if not isinstance(value, Tensor) or not value.is_floating_point():
                raise LatregError(f"{WANTED} must hold tensors of floats, got {_shown(value)} as {path[:200]}")
            state[path] = value
    for part, most in (("", MAX_NUMBERS), ("mapping.", MAX_MAPPING_NUMBERS)):
        if (numbers := sum(tensor.numel() for name, tensor in state.items() if name.startswith(part))) > most:
            raise LatregError(f"{part or WANTED} must hold at most {most} numbers, got {numbers}")
    return state


def _as_float32(name: str, tensor: Tensor) -> Tensor:
    if not tensor.isfinite().all():
        raise LatregError(f"{WANTED} must hold finite numbers, got others in {name}")
    if name.endswith("resample_filter") and not torch.allclose(tensor.float(), binomial_filter(), atol=1e-6):
        raise LatregError(f"{name} must be the filter [1, 3, 3, 1], got another one")
    return tensor.float()


def _check_settings(modules: dict[str, PersistentObject]) -> None:
    """Refuse what our layers do not do."""
    wanted = {"architecture": "skip", "activation": "lrelu", "use_noise": True}
    for name, module in modules.items():
        for key, value in wanted.items():
            linear = module.class_name == "FullyConnectedLayer" and not name.startswith("mapping.fc")
            found = module.state.get(key, value)
            if found != ("linear" if linear and key == "activation" else value):
                raise LatregError(f"{name}.{key} must be {value!r}, got {_shown(found)}")
        lr = module.state.get("bias_gain")
        if name.startswith("mapping.fc") and (not isinstance(lr, float) or abs(lr / LR_MULTIPLIER - 1) > 1e-6):
            raise LatregError(f"{name} must have the lr_multiplier {LR_MULTIPLIER}, got {_shown(lr)}")


def _shown(value: Any) -> str:
    """Only plain values are printed: containers may hold themselves a million times over, integers be very long."""
    if isinstance(value, Unknown | Name):
        return value.path
    if isinstance(value, PersistentObject):
        return value.class_name[:MAX_NAME]
    short = isinstance(value, str | float | None) or (isinstance(value, int) and value.bit_length() <= 64)
    return repr(value)[:50] if short else type(value).__name__


def _arguments(modules: dict[str, PersistentObject], state: dict[str, Tensor]) -> dict[str, Any]:
    resolutions = [2**i for i in range(2, 12) if f"synthesis.b{2**i}" in modules]
    if resolutions[:2] != [4, 8]:
        raise LatregError(f"expected blocks synthesis.b4, b8, .., got those of the resolutions {resolutions}")
    channels = {r: len(_tensor(state, f"synthesis.b{r}.conv1.bias")) for r in resolutions}
    layers = [i for i in range(64) if f"mapping.fc{i}.weight" in state]
    w_dim = len(_tensor(state, "mapping.w_avg"))
    embedding = "mapping.embed.weight"
    c_dim = _tensor(state, embedding).shape[-1] if embedding in state else 0
    z_dim = _tensor(state, "mapping.fc0.weight").shape[-1] - (w_dim if c_dim else 0)
    if not (0 < z_dim <= MAX_WIDTH and 0 < w_dim <= MAX_WIDTH):
        raise LatregError(f"z and w must have 1 to {MAX_WIDTH} numbers, got {z_dim} and {w_dim}")
    return {
        "z_dim": z_dim,
        "w_dim": w_dim,
        "c_dim": c_dim,
        "img_resolution": resolutions[-1],
        "img_channels": len(_tensor(state, f"synthesis.b{resolutions[-1]}.torgb.bias")),
        "channel_base": max(count * r for r, count in channels.items()),
        "channel_max": max(channels.values()),
        "mapping_layers": len(layers),
        "conv_clamp": _conv_clamp(modules),
    }


def _conv_clamp(modules: dict[str, PersistentObject]) -> float | None:
    found = [module.state["conv_clamp"] for module in modules.values() if "conv_clamp" in module.state]
    fit = [clamp is None or (isinstance(clamp, float | int) and 0 < clamp < MAX_CLAMP) for clamp in found]
    if not all(fit) or len(set(found)) != 1:
        got = ", ".join(sorted({_shown(clamp) for clamp in found})[:3]) or "none"
        raise LatregError(f"all layers must have the same conv_clamp, a number above 0 or None, got {got}")
    return None if found[0] is None else float(found[0])


def _tensor(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state or state[name].ndim == 0:
        raise LatregError(f"{WANTED} must have the tensor {name}, got none")
    return state[name]


def _check_names_and_shapes(arguments: dict[str, Any], state: dict[str, Tensor]) -> None:
    with torch.device("meta"):  # shapes alone: a pickle may claim sizes that would fill the memory
        network = GeneratorNetwork(**arguments)
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items() if name != OURS}
    found = {name: tuple(t.shape) for name, t in state.items()}
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is left over" for name in sorted(found.keys() - wanted.keys())]
    problems += [
        f"{name} must have the shape {wanted[name]}, got {found[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    if problems:
        raise LatregError(
            f"its tensors are not those of a StyleGAN2, {len(problems)} differ: {'; '.join(problems[:3])}"
        )
