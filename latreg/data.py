"""Real images: read with Hugging Face `datasets`, decoded once to uint8, split the same way everywhere."""

import copy
import hashlib
import os
import tempfile
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from latreg.errors import LatregError
from latreg.images import ImageSet, pad_to


def resolve_source(hub: str, folder: str) -> str:
    """The local folder $LATREG_DATA/<folder> where LATREG_DATA is set, else the hub name."""
    root = os.environ.get("LATREG_DATA")
    if not root:
        return hub
    path = Path(root) / folder
    if not path.is_dir():
        raise LatregError(f"LATREG_DATA is set to {root}, so the data set was expected in {path}, which is no folder")
    return str(path)


def load_images(source: str, split: str, channels: int) -> ImageSet:
    """Read one split ("train" or "test") of a hub data set or a local folder, through the uint8 cache.

    Raises:
        LatregError: the source cannot be read, or holds no images and labels.
    """
    cache = _cache_folder() / f"{_cache_key(source, split, channels)}.npz"
    if not cache.is_file():
        images, labels = _decode(source, split, channels)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache.parent, suffix=".npz", delete=False) as file:
            np.savez(file, images=images, labels=labels)
        os.replace(file.name, cache)
    with np.load(cache) as arrays:
        return ImageSet(torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]))


def _cache_folder() -> Path:
    return Path(os.environ.get("LATREG_CACHE", Path.home() / ".cache" / "latreg"))


def _cache_key(source: str, split: str, channels: int) -> str:
    """A digest that changes when a local folder's files do."""
    parts = [source, split, str(channels)]
    if Path(source).is_dir():
        files = sorted(p for p in Path(source).resolve().rglob("*") if p.is_file())
        parts += [f"{p}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _decode(source: str, split: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
    import datasets  # slow to import, and not needed once the cache is there

    try:
        dataset = datasets.load_dataset(source, split=split)
    except Exception as error:  # the library raises a dozen types for "not there"
        raise LatregError(
            f"expected a folder or hub data set with a {split!r} split at {source!r}: {error} "
            "(LATREG_DATA may name a local folder of data sets)"
        ) from error
    features = dataset.features
    image_column = next((k for k, v in features.items() if isinstance(v, datasets.Image)), None)
    label_column = next((k for k, v in features.items() if isinstance(v, datasets.ClassLabel)), None)
    if image_column is None or label_column is None:
        raise LatregError(f"expected an image and a class label column in {source!r}, got {dict(features)}")
    mode = {1: "L", 3: "RGB"}[channels]
    pictures = dataset[image_column]
    if channels == 1 and len(pictures[0].getbands()) > 1:
        raise LatregError(f"dataset.channels must be 3 for the {pictures[0].mode} images of {source!r}, got 1")
    arrays = [np.asarray(image.convert(mode)) for image in pictures]
    images = np.stack(arrays).reshape(len(arrays), *arrays[0].shape[:2], channels).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), np.asarray(dataset[label_column], dtype=np.int64)


class TrainingBatches(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless shuffled batches, a pure function of (run_seed, rank, number of images seen).

    Each pass over the data is one permutation, drawn from (run_seed, pass); ranks take turns in it. A training that is
    interrupted goes on with exactly the batches it would have seen.
    """

    def __init__(
        self, data: ImageSet, batch_size: int, run_seed: int, n_images: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.run_seed = run_seed
        self.n_images = n_images
        self.rank = rank
        self.world_size = world_size

    def __iter__(self):  # type: ignore[no-untyped-def]
        global_batch = self.batch_size * self.world_size
        batches_per_pass = len(self.data) // global_batch
        step = self.n_images // global_batch
        current_pass = -1
        while True:
            if step // batches_per_pass != current_pass:
                current_pass = step // batches_per_pass
                rng = np.random.default_rng([self.run_seed, current_pass])
                order = torch.from_numpy(rng.permutation(len(self.data)))
            first = (step % batches_per_pass) * global_batch + self.rank * self.batch_size
            index = order[first : first + self.batch_size]
            yield self.data.images[index], self.data.labels[index]
            step += 1


class DataModule(L.LightningDataModule):
    """One data set. The validation split is the last `validation_size` training images, in file order.

    Images are padded with black to `resolution`, which is what the GAN, the SUT and the judge all see.
    """

    def __init__(
        self,
        hub: str,
        folder: str,
        channels: int,
        resolution: int,
        validation_size: int,
        batch_size: int = 128,
        run_seed: int = 0,
    ) -> None:
        super().__init__()
        self.source = resolve_source(hub, folder)
        self.channels = channels
        self.resolution = resolution
        self.validation_size = validation_size
        self.batch_size = batch_size
        self.run_seed = run_seed
        self.n_images = 0  # where an endless training takes up again
        self._training_images: ImageSet | None = None

    def with_training_images(self, images: ImageSet) -> "DataModule":
        """The same validation and test images, but other training images (already padded)."""
        changed = copy.copy(self)
        changed._training_images = images
        return changed

    def split(self, name: str) -> ImageSet:
        """The "train", "validation" or "test" split, padded, whole and in file order."""
        if name not in ("train", "validation", "test"):
            raise ValueError(f"split must be train, validation or test, got {name!r}")
        if name == "train" and self._training_images is not None:
            return self._training_images
        data = load_images(self.source, "test" if name == "test" else "train", self.channels)
        if name != "test":
            border = len(data) - self.validation_size
            data = data.slice(0, border) if name == "train" else data.slice(border, len(data))
        return ImageSet(pad_to(data.images, self.resolution), data.labels)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = TrainingBatches(self.split("train"), self.batch_size, self.run_seed, self.n_images, rank, world_size)
        return DataLoader(batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._whole("validation")

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._whole("test")

    def _whole(self, name: str) -> DataLoader[tuple[Tensor, ...]]:
        data = self.split(name)
        return DataLoader(TensorDataset(data.images, data.labels), batch_size=500)
