"""What a generator's training leaves behind as it goes: checkpoint, weights, sample grid and scores."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from latreg.errors import LatregError
from latreg.generator.class_means import measure_w_avg
from latreg.generator.module import StyleGAN2Module
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import StyleGAN2
from latreg.interfaces import Proposal, Source
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer
from latreg.zoo import weights

log = logging.getLogger(__name__)

Score = Callable[[StyleGAN2], dict[str, float]]

KIND = "generator"  # what the description in a weights file says it is


class Snapshots(Callback):
    """Once in so many images, and at the end: checkpoint, weights with card, sample grid, scores.

    Args:
        run_dir: gets checkpoints/last.ckpt, samples/<images>.png and <weights_name>.safetensors.
        every: images between two snapshots.
        describe: the model card of weights that have seen so many images.
        score: scores of a generator, to be logged.
    """

    def __init__(
        self,
        run_dir: Path,
        weights_name: str,
        every: int,
        describe: Callable[[int], dict[str, Any]],
        score: Score,
    ) -> None:
        self.run_dir = run_dir
        self.weights_path = run_dir / f"{weights_name}.safetensors"
        self.every = every
        self.describe = describe
        self.score = score
        self.scores: dict[str, float] = {}

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        assert isinstance(module, StyleGAN2Module)
        batch = module.images_per_step
        if module.n_images % self.every < batch or module.n_images >= module.total_images:
            self._snapshot(trainer, module)

    def _snapshot(self, trainer: L.Trainer, module: StyleGAN2Module) -> None:
        module.check_finite()
        path = checkpoint_path(self.run_dir)
        save_checkpoint(trainer, path)
        module.last_checkpoint = path
        if not trainer.is_global_zero:
            return
        network = module.averaged_generator()
        measure_w_avg(network)
        grid = self._write(module, network)
        self.scores = self.score(StyleGAN2(network, id=""))
        log.info("%d images: %s", module.n_images, self.scores)
        for logger in trainer.loggers:
            logger.log_metrics({**self.scores, "n_images": module.n_images})
            if isinstance(logger, WandbLogger):
                logger.log_image("samples", [str(grid)])

    def _write(self, module: StyleGAN2Module, network: GeneratorNetwork) -> Path:
        """Write the weights with their card, and a grid of samples; the path of the latter."""
        arguments, card = dict(module.hparams["generator"]), self.describe(module.n_images)
        with whole_or_not(self.weights_path, self.weights_path.with_suffix(".tmp")):
            save_generator(self.weights_path, network, arguments, card)
        grid = self.run_dir / "samples" / f"{module.n_images:09d}.png"
        with whole_or_not(grid, grid):
            grid.parent.mkdir(exist_ok=True)
            sample_grid(StyleGAN2(network, id=""), psi=1.0).save(grid)
        return grid


def checkpoint_path(run_dir: Path) -> Path:
    """Where the training of a run keeps its checkpoint."""
    return run_dir / "checkpoints" / "last.ckpt"


def save_checkpoint(trainer: L.Trainer, path: Path) -> None:
    """Replace the checkpoint; the previous one survives a failure to write the new one.

    Raises:
        LatregError: the disk is full, or the like.
    """
    temporary = path.with_suffix(".tmp")
    with whole_or_not(path, temporary):
        trainer.save_checkpoint(temporary, weights_only=False)  # with the optimizers
        if trainer.is_global_zero:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # else a power failure may leave an empty file where the last one was
            os.replace(temporary, path)


@contextmanager
def whole_or_not(path: Path, temporary: Path) -> Iterator[None]:
    """Where the block fails to write the temporary file, remove it, and say so in one sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        kept = "the previous one is kept" if path != temporary and path.is_file() else "there is no previous one"
        raise LatregError(f"{path} must be writable, but {error}; {kept}") from error


def save_generator(path: Path, network: GeneratorNetwork, arguments: dict[str, Any], card: dict[str, Any]) -> None:
    """Write weights in half precision, which leaves 11 bits for values that end in 8, with their card."""
    description = {"kind": KIND, "arguments": arguments}
    weights.save(path, network.state_dict(), description, card, half=True)


def sample_grid(
    generator: StyleGAN2, psi: float, columns: int = 10, scale: int = 2, center: str = "class"
) -> Image.Image:
    """One row of samples per class, the same z in each column, in nearest-neighbour magnification."""
    renderer = Renderer(generator, center, cutoff=None, chunk=16)
    sources = [Source(label, z_seed) for label in range(generator.num_classes) for z_seed in range(columns)]
    images = renderer.render([Request(source, Proposal(psi)) for source in sources])
    grid = _tile(images, columns)
    picture = Image.fromarray(grid.squeeze(2) if grid.shape[2] == 1 else grid)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _tile(images: Tensor, columns: int) -> np.ndarray:
    """(N, C, H, W) uint8 => (N / columns * H, columns * W, C)."""
    n, c, h, w = images.shape
    rows = images.cpu().reshape(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)
    return rows.reshape(n // columns * h, columns * w, c).numpy()
