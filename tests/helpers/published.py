"""Pickles laid out as NVIDIA's StyleGAN repositories write them, and their published equations written down plainly.

A network is pickled as `_reconstruct_persistent_obj({type, version, module_src, class_name, state})`, where the
state is the `__dict__` of an nn.Module. The classes here have only what the pickle shows of theirs.
"""

import math
import pickle
import sys
import types
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F

SOURCE = "raise SystemExit('the source code in a pickle must never run')\n"


def _reconstruct_persistent_obj(meta):
    raise AssertionError("nothing must call this")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
EasyDict = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})


@contextmanager
def importable():
    """Lets pickle write names of modules that do not exist here."""
    modules = {name: types.ModuleType(name) for name in ("torch_utils", "torch_utils.persistence")}
    modules |= {name: types.ModuleType(name) for name in ("dnnlib", "dnnlib.util")}
    modules["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj
    modules["dnnlib.util"].EasyDict = EasyDict
    sys.modules |= modules
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


class Persistent:
    """An instance of a persistent class."""

    def __init__(self, class_name, **attributes):
        self.class_name = class_name
        hidden = {"_init_args": (), "_init_kwargs": EasyDict()}
        self.state = dict(vars(torch.nn.Module().eval())) | attributes | hidden

    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name, "state": self.state}
        return _reconstruct_persistent_obj, (meta,), None

    def child(self, name, class_name, **attributes):
        return self.state["_modules"].setdefault(name, Persistent(class_name, **attributes))

    def put(self, name, tensor):
        if name in ("resample_filter", "noise_const", "w_avg"):
            self.state["_buffers"][name] = tensor
        else:
            self.state["_parameters"][name] = torch.nn.Parameter(tensor)


def make_generator(state, conv_clamp=None, half_precision_from=None, mapping_layers=2, architecture="skip"):
    """A pickled-to-be generator from tensors by their published names; their sizes are its settings."""
    resolution = max(int(name.split(".")[1][1:]) for name in state if name.startswith("synthesis.b"))
    w_dim = len(state["mapping.w_avg"])
    generator = Persistent("Generator", w_dim=w_dim, img_resolution=resolution, init=EasyDict(conv_clamp=conv_clamp))
    for path, tensor in state.items():
        module = generator
        *names, last = path.split(".")
        for depth, name in enumerate(names):
            module = module.child(name, **_description(names, depth, conv_clamp, half_precision_from, architecture))
        module.put(last, tensor)
    generator.state["_modules"]["mapping"].state["num_layers"] = mapping_layers
    return generator


def _description(names, depth, conv_clamp, half_precision_from, architecture):
    name, parent = names[depth], names[0]
    if depth == 0:
        return {"class_name": {"mapping": "MappingNetwork", "synthesis": "SynthesisNetwork"}[name]}
    if name in ("embed", "affine") or name.startswith("fc"):
        hidden = name.startswith("fc")
        lr = 0.01 if hidden else 1.0
        gain = np.float64(lr / 7)  # numpy's, as the original computes it
        activation = "lrelu" if hidden else "linear"
        return {"class_name": "FullyConnectedLayer", "activation": activation, "weight_gain": gain, "bias_gain": lr}
    assert parent == "synthesis"
    resolution = int(names[1][1:])
    if depth == 1:
        half = half_precision_from is not None and resolution >= half_precision_from
        return {
            "class_name": "SynthesisBlock",
            "architecture": architecture,
            "use_fp16": half,
            "resolution": resolution,
        }
    if name == "torgb":
        return {"class_name": "ToRGBLayer", "conv_clamp": conv_clamp}
    return {
        "class_name": "SynthesisLayer",
        "conv_clamp": conv_clamp,
        "use_noise": True,
        "activation": "lrelu",
        "act_gain": np.sqrt(2),
    }


def write(path, generator, **others):
    """A snapshot as train.py leaves it: other networks too, of which nothing is wanted."""
    other = Persistent("Generator", weights=torch.zeros(3, dtype=torch.float16), classes=np.arange(6).reshape(2, 3))
    snapshot = {
        "training_set_kwargs": EasyDict(
            class_name="training.dataset.ImageFolderDataset", path="/data", use_labels=True
        ),
        "G": other,
        "D": Persistent("Discriminator", mapping=None),
        "G_ema": generator,
        "augment_pipe": Persistent("AugmentPipe", p=torch.tensor(0.2)),
        **others,
    }
    with importable(), path.open("wb") as file:
        pickle.dump(snapshot, file)
    return path


# ---- the published equations, for one sample after the other, in float64


def reference_w(state, z, c, layers):
    """Mapping: both inputs are normalized, then go through dense layers with a learning rate of 1 / 100."""
    x = z.double() / (z.double().square().mean(1, keepdim=True) + 1e-8).sqrt()
    if "mapping.embed.weight" in state:
        weight, bias = state["mapping.embed.weight"].double(), state["mapping.embed.bias"].double()
        y = c.double() @ weight.T / math.sqrt(weight.shape[1]) + bias
        x = torch.cat([x, y / (y.square().mean(1, keepdim=True) + 1e-8).sqrt()], 1)
    for i in range(layers):
        weight, bias = (state[f"mapping.fc{i}.{name}"].double() * 0.01 for name in ("weight", "bias"))
        x = F.leaky_relu(x @ weight.T / math.sqrt(weight.shape[1]) + bias, 0.2) * math.sqrt(2)
    return x


def reference_images(state, ws, clamp=None):
    """Synthesis: weights modulated and demodulated per sample, zeros inserted and filtered, outputs added up."""
    return torch.cat([_one_image({k: v.double() for k, v in state.items()}, w.double(), clamp) for w in ws])


def _one_image(state, ws, clamp):
    x, image, layer = state["synthesis.b4.const"][None], None, 0
    resolution = 4
    while f"synthesis.b{resolution}.torgb.weight" in state:
        block = f"synthesis.b{resolution}"
        if resolution > 4:
            x = _layer(state, f"{block}.conv0", x, ws[layer], clamp, up=True)
            layer += 1
            image = _filter(_insert_zeros(image), left=2, right=1)
        x = _layer(state, f"{block}.conv1", x, ws[layer], clamp)
        layer += 1
        rgb = _to_rgb(state, f"{block}.torgb", x, ws[layer], clamp)
        image = rgb if image is None else image + rgb
        resolution *= 2
    return image


def _styles(state, name, w):
    weight = state[f"{name}.affine.weight"]
    return weight @ w / math.sqrt(weight.shape[1]) + state[f"{name}.affine.bias"]


def _layer(state, name, x, w, clamp, up=False):
    weight = state[f"{name}.weight"] * _styles(state, name, w)[None, :, None, None]
    weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    if up:
        x = F.conv2d(_filter(_insert_zeros(x), left=3, right=2), weight.flip(2, 3))
    else:
        x = F.conv2d(x, weight, padding=1)
    x = x + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"]
    x = F.leaky_relu(x + state[f"{name}.bias"][:, None, None], 0.2) * math.sqrt(2)
    return x if clamp is None else x.clamp(-clamp, clamp)


def _to_rgb(state, name, x, w, clamp):
    weight = state[f"{name}.weight"]
    rgb = F.conv2d(x, weight * _styles(state, name, w)[None, :, None, None] / math.sqrt(weight.shape[1]))
    rgb = rgb + state[f"{name}.bias"][:, None, None]
    return rgb if clamp is None else rgb.clamp(-clamp, clamp)


def _insert_zeros(x):
    y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    y[:, :, ::2, ::2] = x
    return y


def _filter(x, left, right):
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype)
    kernel = (taps[:, None] * taps / 64 * 4).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (left, right, left, right)), kernel, groups=x.shape[1])
