"""A StyleGAN2 of a few hundred parameters, trained on noise of three classes within a second."""

import lightning as L
import torch

from latreg.generator.module import StyleGAN2Module
from latreg.training.datamodule import TrainingBatches

GENERATOR = {
    "z_dim": 8,
    "w_dim": 8,
    "c_dim": 3,
    "img_resolution": 8,
    "img_channels": 1,
    "channel_base": 64,
    "channel_max": 8,
    "mapping_layers": 2,
}
DISCRIMINATOR = {k: GENERATOR[k] for k in ("c_dim", "img_resolution", "img_channels", "channel_base", "channel_max")}
BATCH = 4
AUGMENTATION = {
    "transforms": ["blit", "geom", "color"],
    "resolution": 8,
    "p": 0.3,
    "target": 0.6,
    "images": 200,
    "interval": 4,
}


def make_module(total_images, **changes):
    torch.manual_seed(0)
    settings = {
        "learning_rate": 0.0025,
        "betas": (0.0, 0.99),
        "r1_gamma": 0.1,
        "r1_interval": 3,
        "pl_weight": 0.0,
        "pl_interval": 4,
        "style_mixing_prob": 0.0,
        "ema_images": 40,
        "ema_rampup": 0.05,
        "total_images": total_images,
        "run_seed": 0,
    }
    return StyleGAN2Module(**({"generator": GENERATOR, "discriminator": DISCRIMINATOR} | settings | changes))


def train(module, data, checkpoint=None, n_images=0):
    batches = TrainingBatches(data, BATCH, run_seed=0, n_images=n_images)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer
