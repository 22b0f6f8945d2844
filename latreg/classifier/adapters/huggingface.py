"""Image classifiers of Hugging Face transformers."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latreg.classifier.adapters.adapted import Model
from latreg.classifier.adapters.importing import extra
from latreg.classifier.adapters.inputs import Preset
from latreg.classifier.adapters.module import answering
from latreg.config import HuggingFaceClassifierConfig
from latreg.errors import LatregError
from latreg.zoo import weights

FILES = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]


def load_huggingface(config: HuggingFaceClassifierConfig, device: torch.device) -> Model:
    """A model from a local folder or the hub; its id is the sha256 of config.json and the weights.

    Weights must be safetensors, and no code of the repository is run. Its preprocessor_config.json gives size, mean
    and standard deviation, its config.json the names of the classes.

    Raises:
        LatregError: transformers is missing, or there is no image classifier.
    """
    transformers = extra("transformers", "classifier=huggingface", "pip install 'latreg[hf]'")
    transformers.utils.logging.disable_progress_bar()
    folder = _folder(config)
    try:
        network = transformers.AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        )
    except Exception as error:  # the library raises half a dozen types
        reason = str(error).strip().split("\n", 1)[0]
        raise LatregError(
            f"classifier.weights must name an image classifier of transformers with safetensors weights, a folder or a "
            f"repository, got {config.weights}: {reason}"
        ) from error
    network = answering(network, device)

    def answer(images: Tensor) -> Tensor:
        logits: Tensor = network(pixel_values=images).logits
        return logits

    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return Model(answer, weights.sha256(*files), _preset(network.config, folder / "preprocessor_config.json"))


def _folder(config: HuggingFaceClassifierConfig) -> Path:
    if config.weights is None:
        raise LatregError("classifier.weights must name a folder or a repository of the hub, got null")
    if Path(config.weights).is_dir():
        return Path(config.weights)
    hub = extra("huggingface_hub", "classifier=huggingface", "pip install 'latreg[hf]'")
    try:
        return Path(hub.snapshot_download(config.weights, revision=config.revision, allow_patterns=FILES))
    except Exception as error:  # no such name, no network, no right to read it: a type for each
        reason = str(error).strip().split("\n", 1)[0]
        raise LatregError(
            f"classifier.weights must name an existing folder or a repository that the hub lets you read, "
            f"got {config.weights}: {reason}"
        ) from error


def _preset(config: Any, preprocessor: Path) -> Preset:
    """The sizes that the library gives: {"height": 224, ..}, {"shortest_edge": 224} or 224."""
    own = json.loads(preprocessor.read_text()) if preprocessor.is_file() else {}
    size = own.get("crop_size") if own.get("do_center_crop") else own.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    if not own.get("do_resize", True):
        size = None
    normalize = own.get("do_normalize", "image_mean" in own)
    names = [str(name) for _, name in sorted((config.id2label or {}).items())]
    return Preset(
        channels=getattr(config, "num_channels", None) or 3,
        size=size or getattr(config, "image_size", None),
        mean=tuple(own["image_mean"]) if normalize and own.get("image_mean") else None,
        std=tuple(own["image_std"]) if normalize and own.get("image_std") else None,
        class_names=tuple(names),
    )
