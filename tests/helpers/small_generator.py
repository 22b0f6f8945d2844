"""Settings of a generator that the command line trains within seconds, on `toy_mnist`."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from latreg.config import conf_dir, register

NETWORK = (
    "generator.channel_base=64",
    "generator.channel_max=8",
    "generator.z_dim=8",
    "generator.w_dim=8",
)
SMALL_GENERATOR = (*NETWORK, "generator.training.batch_size=4", "generator.training.snapshot_images=16")
SMALL = (
    *NETWORK,
    "dataset.validation_size=10",
    "generator.training.batch_size=8",
    "generator.training.snapshot_images=32",
    "generator.training.total_images=32",
    "validity.judge=[nothing]",
)


def config(*overrides):
    register()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return OmegaConf.to_object(compose("config", list(overrides)))
