"""Image classifiers of Hugging Face transformers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.importing import extra, in_utf8
from latreg.classifier.adapters.inputs import MAX_SIDE, MIN_CROP, Inputs, Preset, numbers, per_channel
from latreg.classifier.adapters.module import answering
from latreg.classifier.adapters.timm import Transform
from latreg.config import DatasetConfig, HuggingFaceClassifierConfig
from latreg.data.images import quantize
from latreg.errors import LatregError, reason
from latreg.json_files import read_names
from latreg.zoo import weights

PROCESSORS = ("preprocessor_config.json", "processor_config.json")  # the second one since transformers 5
ADAPTER = "adapter_config.json"  # of a model that was trained by low-rank updates or the like
FILES = ["config.json", *PROCESSORS, ADAPTER, "*.safetensors", "*.safetensors.index.json"]
INSTALL = "pip install 'latreg[hf]'"


def load_huggingface(config: HuggingFaceClassifierConfig, dataset: DatasetConfig, device: torch.device) -> Model:
    """A model from a local folder or the hub; its id is made of its weights and the json files that it is read with.

    Weights must be safetensors, and no code of the repository is run. Its own image processor, if it comes with one,
    prepares the images; its config.json gives the names of the classes.

    Raises:
        LatregError: transformers is missing, there is no image classifier, or its processor cannot be used.
    """
    transformers = extra("transformers", "classifier=huggingface", INSTALL)
    transformers.utils.logging.disable_progress_bar()
    folder = in_utf8(_folder(config), "transformers")
    if (folder / ADAPTER).is_file():  # without this package it is passed over in silence
        extra("peft", f"the adapter in {folder / ADAPTER}", "pip install peft")
    try:
        network = transformers.AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        )
    except Exception as error:  # the library raises half a dozen types
        raise LatregError(
            f"classifier.weights must name an image classifier of transformers with safetensors weights, a folder or a "
            f"repository, got {config.weights}: {reason(error)}"
        ) from error
    weights.check_finite({**network.state_dict(), **dict(network.named_parameters())}, folder)
    network = answering(network, device)
    preset = _preset(network.config, folder / "config.json", _processor(transformers, folder, config, dataset, network))
    read = sorted({path for pattern in FILES for path in folder.glob(pattern)})
    return Model(lambda images: network(pixel_values=images), {one.name: weights.sha256(one) for one in read}, preset)


def _folder(config: HuggingFaceClassifierConfig) -> Path:
    if config.weights is None:
        raise LatregError("classifier.weights must name a folder or a repository of the hub, got null")
    if Path(config.weights).is_dir():
        return Path(config.weights)
    hub = extra("huggingface_hub", "classifier=huggingface", INSTALL)
    try:
        return Path(hub.snapshot_download(config.weights, revision=config.revision, allow_patterns=FILES))
    except Exception as error:  # no such name, no network, no right to read it: a type for each
        raise LatregError(
            f"classifier.weights must name an existing folder or a repository that the hub lets you read, "
            f"got {config.weights}: {reason(error)}"
        ) from error


def _preset(config: Any, path: Path, processor: "Processor | Transform | None") -> Preset:
    """What a model says beside its processor."""
    names = [str(name) for _, name in sorted((config.id2label or {}).items())]
    origin = {"channels": f"num_channels in {path}", "size": f"image_size in {path}"}
    if processor is not None:
        origin |= processor.keys
    return Preset(
        channels=processor.channels if processor else _channels(config),
        size=_side(getattr(config, "image_size", None), origin["size"]),
        class_names=tuple(names),
        preprocessor=processor,
        origin=origin,
    )


def _channels(config: Any) -> int:
    return getattr(config, "num_channels", None) or 3


def _side(size: Any, name: str) -> int | None:
    """A side in the forms that the library knows: 28, [28, 28] or {"height": 28, "width": 28}."""
    if isinstance(size, dict):
        size = [size[key] for key in ("height", "width", "shortest_edge", "longest_edge") if key in size] or None
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1 or not all(side is None or isinstance(side, int) for side in sides):
        raise LatregError(f"{name} must be the side of a square, got {size}")
    side: int | None = next(iter(sides))
    return side


@dataclass
class Processor:
    """The image processor that transformers makes of a model's own file; fulfils `inputs.Preprocessor`.

    Attributes:
        path: of the file.
        process: the processor. It is given bytes, as in training.
    """

    path: Path
    process: Any
    channels: int
    size: int = 0

    def __post_init__(self) -> None:
        own = self.process
        self._check_sizes()
        rescale = getattr(own, "do_rescale", None)
        factor = getattr(own, "rescale_factor", None) or 1 / 255
        self.white = 255.0 * numbers(f"rescale_factor in {self.path}", factor)[0] if rescale else 255.0
        normalize = bool(getattr(own, "do_normalize", None))
        self.mean = self._values("image_mean", 0.0) if normalize else (0.0,) * self.channels
        self.std = self._values("image_std", 1.0) if normalize else (1.0,) * self.channels
        self.channel_order = "bgr" if getattr(own, "do_flip_channel_order", None) else "rgb"

    def _check_sizes(self) -> None:
        """Refuse what would take all memory before anything is seen of it."""
        for key in ("size", "crop_size", "pad_size"):
            sides = getattr(self.process, key, None)
            values = list(dict(sides).values()) if isinstance(sides, Iterable) else [sides]  # their dict is no Mapping
            if (side := max((one for one in values if isinstance(one, int | float)), default=0)) > MAX_SIDE:
                raise LatregError(f"{key} in {self.path} must be at most {MAX_SIDE}, got {side}")
        part = getattr(self.process, "crop_pct", None)
        if part is not None and numbers(f"crop_pct in {self.path}", part)[0] < MIN_CROP:
            raise LatregError(f"crop_pct in {self.path} must be at least {MIN_CROP:g}, got {part}")

    @property
    def keys(self) -> dict[str, str]:
        """What its values are called in messages."""
        return {"mean": f"image_mean in {self.path}", "std": f"image_std in {self.path}"}

    def _values(self, key: str, default: float) -> tuple[float, ...]:
        values, name = getattr(self.process, key, None), f"{key} in {self.path}"
        return per_channel(name, numbers(name, default if values is None else values), self.channels)

    def __call__(self, images: Tensor, inputs: Inputs) -> Tensor:
        """Images (N, C, H, W) in [0, 1] => what the processor makes of them, but for what `inputs` wants otherwise."""
        changed: dict[str, Any] = {}
        if inputs.white != self.white:
            changed |= {"do_rescale": True, "rescale_factor": inputs.white / 255}
        if (inputs.mean, inputs.std) != (self.mean, self.std):
            changed |= {"do_normalize": True, "image_mean": list(inputs.mean), "image_std": list(inputs.std)}
        if changed:  # what some processors do besides would come on top of it
            changed |= {key: False for key in ("rescale_offset", "include_top") if getattr(self.process, key, None)}
        if inputs.size != self.size:
            side = {"height": inputs.size, "width": inputs.size}
            changed |= {"do_resize": True, "size": side, "do_center_crop": False}
        if inputs.channel_order != self.channel_order:
            images = images.flip(1)
        prepared = self.pixels(images, **changed)
        if prepared.shape[-2:] != (inputs.size, inputs.size):
            raise LatregError(
                f"classifier.size={inputs.size} cannot be had from the image processor of {self.path}, which makes "
                f"{tuple(prepared.shape[-2:])} of it; its own size is {self.size}"
            )
        return prepared

    def pixels(self, images: Tensor, **changed: Any) -> Tensor:
        """Ask the processor, with other values for some of its keys."""
        levels = quantize(images).permute(0, 2, 3, 1).cpu().numpy()
        try:
            prepared = self.process(list(levels), return_tensors="np", input_data_format="channels_last", **changed)
            return torch.from_numpy(np.asarray(prepared["pixel_values"], np.float32)).to(images.device)
        except Exception as error:  # each processor has its own
            raise LatregError(
                f"the image processor of {self.path} cannot prepare images {tuple(images.shape)}"
                f"{f' with {changed}' if changed else ''}: {reason(error)}"
            ) from error


def _processor(
    transformers: ModuleType,
    folder: Path,
    config: HuggingFaceClassifierConfig,
    dataset: DatasetConfig,
    network: Any,
) -> Processor | Transform | None:
    """The one that the model came with, in the form that needs Pillow alone; None if it came with none.

    Models of timm come with timm's own description, and the library prepares their images as timm does.

    Raises:
        LatregError: it cannot be read, or does not make squares of the data set's images.
    """
    if network.config.model_type == "timm_wrapper":
        return Transform.of(getattr(network.config, "pretrained_cfg", None), folder / "config.json")
    path = next((folder / name for name in PROCESSORS if (folder / name).is_file()), None)
    if path is None:
        return None
    kind = {"backend": "pil"} if int(transformers.__version__.partition(".")[0]) >= 5 else {"use_fast": False}
    read_names(path)
    try:
        process = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **kind
        )
    except Exception as error:  # the library raises half a dozen types
        raise LatregError(f"{path} must describe an image processor of transformers, but: {reason(error)}") from error
    processor = Processor(path, process, config.channels or _channels(network.config))
    blank = processor.pixels(torch.zeros(1, processor.channels, dataset.resolution, dataset.resolution))
    if blank.ndim != 4 or blank.shape[2] != blank.shape[3]:
        raise LatregError(f"the image processor of {path} must make one square of an image, got {tuple(blank.shape)}")
    processor.size = blank.shape[2]
    return processor
