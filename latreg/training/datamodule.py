"""Lightning's view of a data set: batches to train on, and the splits."""

import copy

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from latreg.config import DatasetConfig
from latreg.data.images import ImageSet
from latreg.data.splits import load_split


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
    """One data set, padded with black to `resolution`, which is what the GAN, the SUT and the judge all see."""

    def __init__(self, dataset: DatasetConfig, run_seed: int) -> None:
        super().__init__()
        self.dataset = dataset
        self.run_seed = run_seed
        self.batch_size = 128  # a training sets its own
        self.n_images = 0  # where an endless training takes up again
        self._training_images: ImageSet | None = None

    def with_training_images(self, images: ImageSet) -> "DataModule":
        """The same validation and test images, but other training images (already padded)."""
        changed = copy.copy(self)
        changed._training_images = images
        return changed

    def split(self, name: str) -> ImageSet:
        """The "train", "validation" or "test" split, padded, whole and in file order."""
        if name == "train" and self._training_images is not None:
            return self._training_images
        return load_split(self.dataset, name)

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
