"""Settings of a generator that the command line trains within seconds, on `toy_mnist`."""

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
