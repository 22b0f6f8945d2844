"""The schema of the whole configuration. A key that is not here is an error; values are converted to these types.

Only Hydra and OmegaConf are imported: --help and a misspelt key answer at once. The YAML files in conf/ hold the
values; `MISSING` here means that some file there must give one.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from latreg.errors import LatregError
from latreg.names import check_name
from latreg.settings import (
    AMOUNT,
    EXECUTION,
    RESULT,
    SHARE,
    SOURCES,
    STEERED,
    Purpose,
    Setting,
    declared_at,
    declared_in,
    refusal,
    setting,
    unknown,
)

STAGES_THAT_GO_ON = SEARCH, TRAIN_CLASSIFIER, TRAIN_GENERATOR, TRAIN_VALIDITY = (
    *("search", "train_classifier", "train_generator", "train_validity"),
)
FIT_DENSITY = "fit_density"
STAGES = (*STAGES_THAT_GO_ON, FIT_DENSITY, "evaluate_generator", "measure_drift", "make_probe")

# Bounds above which a number is no wish but a slip.
MANY = 1_000_000  # images or sources at once
LONG = 10**12  # images or queries of a run
WIDE = 16_384  # channels, numbers of a latent
DEEP = 64  # layers
FINEST = 60  # halvings of an interval, after which floats have no number in between
HIGHEST_PSI = 2.0
LAST_SEED = 2**32 - 1


def conf_dir() -> str:
    """The folder with the YAML files: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


@dataclass
class DatasetConfig:
    """A labelled image data set. What of it is not given is read from the data by `latreg.data.splits.complete`."""

    name: str = MISSING  # begins the names of weights files, and chooses those that are shipped
    path: str | None = None  # a folder or a hub name, taken as it is; null = `folder` below $LATREG_DATA, else `hub`
    hub: str | None = None  # its name on the Hugging Face hub, owner/name
    folder: str | None = None  # its folder below $LATREG_DATA
    subset: str | None = None  # a configuration of a data set on the hub; null = its only or default one
    train_split: str | None = None  # null = train or training
    test_split: str | None = None  # null = test, testing, validation, valid, val, eval or dev; else the last fifth
    channels: int = setting(MISSING, choices=(1, 3))  # 1 = gray, 3 = colour
    # After padding: what the GAN, the SUT and the judge see.
    resolution: int = setting(MISSING, low=8, high=4096)
    validation_size: int = setting(MISSING, low=1)  # the last images of the train file
    class_names: list[str] = setting(MISSING, of="classes", shortest=2, distinct=True)  # in the order of the labels
    mirror: bool = False  # a mirrored image shows the same class
    # Default of validity.min_judge_confidence, calibrated.
    judge_confidence: float = setting(0.0, low=0, high=1, stages=(SEARCH,))


@dataclass
class GeneratorTrainingConfig:
    """Recipe of StyleGAN2 training; clocks count real images shown."""

    total_images: int = setting(MISSING, low=0, high=LONG, purpose=AMOUNT)  # 0 = not trained here
    batch_size: int = setting(32, low=1, high=MANY)  # over all devices
    learning_rate: float = setting(0.0025, above=0, purpose=STEERED)  # of Adam, for G and D
    betas: tuple[float, float] = setting((0.0, 0.99), low=0, below=1, shortest=2, longest=2)  # of Adam
    r1_gamma: float = setting(0.1, low=0, purpose=STEERED)  # weight of R1, the penalty on D's gradient at real images
    r1_interval: int = setting(16, low=1)  # steps from one R1 to the next
    pl_weight: float = setting(0.0, low=0)  # of G's path length regularization, 0 = off
    pl_interval: int = setting(4, low=1)  # steps from one of it to the next
    style_mixing_prob: float = setting(0.0, low=0, high=1)  # probability that an image's w comes from two latents
    # Half-life in images of the mean of G's weights, which is what is kept.
    ema_images: float = setting(10_000, low=0, purpose=STEERED)
    # The half-life is at most this share of the images so far; None = no limit.
    ema_rampup: float | None = setting(0.05, above=0, purpose=STEERED)
    # Checkpoint, sample grid and score once in so many images.
    snapshot_images: int = setting(16_000, low=1, purpose=EXECUTION)
    residual: bool = False  # architecture of D: residual blocks, else plain ones
    # D judges features of this frozen network, not images.
    features: str | None = setting(None, choices=("efficientnet_lite0",))
    d_mapping_layers: int = setting(2, low=1, high=DEEP)  # from the class to what D compares its features with
    mbstd_group_size: int = setting(4, low=1, high=MANY)  # images that D sees the spread of
    # Transforms or groups (blit, geom, color) of ADA; [] = off.
    augment: list[str] = setting(factory=list, purpose=STEERED)
    augment_p: float = setting(0.0, low=0, high=1)  # probability of each, at the start
    # Mean sign of D's logits of real images, by which p is steered; None = p stays.
    augment_target: float | None = setting(0.6, low=-1, high=1, purpose=STEERED)
    augment_images: float = setting(500_000, low=1, purpose=STEERED)  # images in which p can go from 0 to 1
    augment_interval: int = setting(4, low=1)  # steps between two adjustments of p
    # Weights of a classifier, whose cross entropy of samples is added to G's loss; None = off.
    guide: str | None = setting(None, purpose=STEERED)
    guide_weight: float = setting(0.0, low=0, purpose=STEERED)  # of the guide's cross entropy in G's loss
    # At total_images, on a line from guide_weight at guide_from; None = constant.
    guide_weight_end: float | None = setting(None, low=0, purpose=STEERED)
    guide_from: int = setting(0, low=0, purpose=STEERED)  # images before which the guide has no say
    # Samples with at least this probability of their class are not pushed any more.
    guide_until: float = setting(1.0, low=0, high=1, purpose=STEERED)
    guide_shift: int = setting(3, low=0, purpose=STEERED)  # pixels, each way, by which the guide's images are shifted
    data_on_device: bool = setting(True, purpose=EXECUTION)  # keep the images in the memory of the GPU where they fit


@dataclass
class GeneratorConfig:
    """Architecture of a StyleGAN2, where its weights are, and how it is trained.

    A search renders with the network that the weights describe: there `latreg.jobs.networks` puts it in this place.
    """

    # Of the weights file that a training writes, behind the data set's.
    name: str = setting(MISSING, stages=(TRAIN_GENERATOR,))
    weights: str | None = MISSING  # a file, or zoo:<name> for shipped ones
    z_dim: int = setting(MISSING, low=1, high=WIDE, stages=(TRAIN_GENERATOR,))  # numbers of the latent z
    w_dim: int = setting(MISSING, low=1, high=WIDE, stages=(TRAIN_GENERATOR,))  # numbers of w
    mapping_layers: int = setting(2, low=1, high=DEEP, stages=(TRAIN_GENERATOR,))  # from z to w
    # Feature maps at resolution r: min(channel_base / r, channel_max).
    channel_base: int = setting(MISSING, low=1, high=MANY, stages=(TRAIN_GENERATOR,))
    channel_max: int = setting(MISSING, low=1, high=WIDE, stages=(TRAIN_GENERATOR,))  # feature maps at most
    # Feature maps are clamped to +- this; None = they are not.
    conv_clamp: float | None = setting(None, above=0, stages=(TRAIN_GENERATOR,))
    training: GeneratorTrainingConfig = setting(factory=GeneratorTrainingConfig, stages=(TRAIN_GENERATOR,))


@dataclass
class OwnGeneratorConfig(GeneratorConfig):
    """A generator that was made elsewhere: `_target_(**args, device=..)` fulfils latreg.interfaces.Generator."""

    name: str = "own"
    _target_: str = MISSING  # import path of a class or a function
    args: dict[str, Any] = field(default_factory=dict)  # arguments of `_target_`
    weights: str | None = None  # not used, nor what follows: its architecture and its training are its own matter
    z_dim: int = 0
    w_dim: int = 0
    channel_base: int = 0
    channel_max: int = 0
    training: GeneratorTrainingConfig = setting(
        factory=lambda: GeneratorTrainingConfig(total_images=0), stages=(TRAIN_GENERATOR,)
    )


@dataclass
class ClassifierTrainingConfig:
    """Recipe of classifier training: SGD with a one-cycle learning rate and random shifts."""

    epochs: int = setting(MISSING, low=0, high=MANY)  # 0 = not trained here
    batch_size: int = setting(128, low=1, high=MANY)  # images of a step, over all devices
    learning_rate: float = setting(MISSING, low=0)  # the highest of the cycle
    weight_decay: float = setting(5e-4, low=0)  # of SGD
    max_shift: int = setting(2, low=0, high=4096)  # pixels, each way
    max_rotation: float = setting(0.0, low=0, high=180)  # degrees, each way
    flip: bool = False  # show images mirrored too
    cutout: int = setting(0, low=0, high=4096)  # side of the erased square in pixels, 0 = off
    label_smoothing: float = setting(0.0, low=0, below=1)  # a SUT has none, so that its confidences are its own


@dataclass
class ClassifierConfig:
    """A network by name with its arguments, where its weights are, and how it is trained.

    A search asks the network that the weights describe: there `latreg.jobs.networks` puts it in this place.
    """

    # Of the weights file that a training writes, behind the data set's.
    name: str = setting(MISSING, stages=(TRAIN_CLASSIFIER,))
    network: str = setting(MISSING, stages=(TRAIN_CLASSIFIER,))  # a name in latreg.classifier.networks
    network_args: dict[str, Any] = setting(factory=dict, stages=(TRAIN_CLASSIFIER,))  # arguments of the network
    weights: str | None = MISSING  # a file, or zoo:<name> for shipped ones
    # Test images on which the accuracy of the card is checked before a search, 0 = no check.
    probe_images: int = setting(1000, low=0, high=MANY, purpose=EXECUTION)
    training: ClassifierTrainingConfig = setting(factory=ClassifierTrainingConfig, stages=(TRAIN_CLASSIFIER,))


@dataclass
class OwnClassifierConfig(ClassifierConfig):
    """A classifier that was made elsewhere: how to speak to it. Base of the schemas of its kinds.

    Where a setting is None, what the model's own file says holds, if it says anything; else what stands behind it.
    """

    loader: ClassVar[str] = ""  # import path of its adapter: (config, dataset, device) => adapters.adapted.Model
    takes_arguments: ClassVar[bool] = False  # network_args are for it
    executes: ClassVar[str] = ""  # the setting that names code of somebody's, which loading or asking it runs
    kind: str = MISSING  # stored as <kind>_schema, chosen by conf/classifier/<kind>.yaml
    name: str = "${.kind}"
    network: str = ""  # import path (torch) or name (timm) of what the weights belong to
    network_args: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    training: ClassifierTrainingConfig = setting(  # it is not trained here
        factory=lambda: ClassifierTrainingConfig(epochs=0, learning_rate=0.0), stages=(TRAIN_CLASSIFIER,)
    )
    # What it answers; scores are of at least 0, to be divided by their sum.
    outputs: str = setting("logits", choices=("logits", "probabilities", "scores"))
    output: str | None = None  # name or position of the output, where there are several; None = the one that fits
    # 1: colour images are turned gray, 3: gray ones are repeated; None = the data set's.
    channels: int | None = setting(None, choices=(1, 3))
    size: int | None = setting(None, low=1, high=4096)  # side of its square input in pixels; None = the data set's
    # Where size is smaller: crop (cut the border, undoes padding) or resize; None = must be said.
    fit: str | None = setting(None, choices=("crop", "resize"))
    white: float = setting(1.0, above=0)  # value of a white pixel before mean and std: 1, or 255 for a network of bytes
    channel_order: str | None = setting(None, choices=("rgb", "bgr"))  # None = rgb
    layout: str | None = setting(None, choices=("nchw", "nhwc"))  # how images lie in memory; None = nchw
    mean: list[float] | None = setting(None, shortest=1)  # subtracted; one for all channels or one for each; None = 0
    std: list[float] | None = setting(None, shortest=1)  # divided by; None = 1
    class_order: list[Any] | None = None  # class that each output stands for, name or number; None = the data set's
    batch_size: int | None = setting(None, low=1, high=MANY)  # images per call at most; None = as they come
    # On test images, before a search; None = halfway between chance and 1.
    min_accuracy: float | None = setting(None, low=0, high=1, purpose=EXECUTION)


@dataclass
class TorchClassifierConfig(OwnClassifierConfig):
    """Any torch.nn.Module by its import path, with its state_dict."""

    loader: ClassVar[str] = "latreg.classifier.adapters.module.load_torch"
    executes: ClassVar[str] = "network"
    takes_arguments: ClassVar[bool] = True
    kind: str = setting("torch", choices=("torch",))
    weights_key: str | None = None  # what stands before the names of the right weights, where several sets of them fit


@dataclass
class ExportClassifierConfig(OwnClassifierConfig):
    """A program of torch.export, `.pt2`."""

    loader: ClassVar[str] = "latreg.classifier.adapters.exported.load_export"
    executes: ClassVar[str] = "weights"  # a program, which may run code where it is read
    kind: str = setting("export", choices=("export",))


@dataclass
class OnnxClassifierConfig(OwnClassifierConfig):
    """An ONNX file, through onnxruntime."""

    loader: ClassVar[str] = "latreg.classifier.adapters.onnx.load_onnx"
    kind: str = setting("onnx", choices=("onnx",))
    input: str | None = None  # name of the input for the images, where there are several; None = the one that fits


@dataclass
class HuggingFaceClassifierConfig(OwnClassifierConfig):
    """An image classifier of Hugging Face transformers: weights is a folder or the name of a repository."""

    loader: ClassVar[str] = "latreg.classifier.adapters.huggingface.load_huggingface"
    kind: str = setting("huggingface", choices=("huggingface",))
    revision: str | None = None  # of the repository: branch, tag or commit


@dataclass
class TimmClassifierConfig(OwnClassifierConfig):
    """A model of timm by its name; weights is its state_dict, None = what timm has under that name."""

    loader: ClassVar[str] = "latreg.classifier.adapters.timm.load_timm"
    takes_arguments: ClassVar[bool] = True
    kind: str = setting("timm", choices=("timm",))
    weights_key: str | None = None  # as of TorchClassifierConfig


@dataclass
class CallableClassifierConfig(OwnClassifierConfig):
    """A Python function by its import path: float32 array (N, C, H, W) => (N, K). It may ask a remote service."""

    loader: ClassVar[str] = "latreg.classifier.adapters.function.load_function"
    executes: ClassVar[str] = "function"
    kind: str = setting("callable", choices=("callable",))
    function: str = ""  # its import path
    outputs: str = setting("probabilities", choices=("logits", "probabilities", "scores"))
    version: str = ""  # of what answers; its id is made of this and the import path
    retries: int = setting(3, low=0, high=1000, purpose=EXECUTION)  # of a call that raises
    # Seconds before the first retry, twice as long before each further one.
    wait: float = setting(1.0, low=0, high=3600, purpose=EXECUTION)


@dataclass
class LiveModuleConfig(OwnClassifierConfig):
    """A torch.nn.Module of a Python session, handed to latreg.search; `network` names its class."""

    loader: ClassVar[str] = "latreg.classifier.adapters.live.load_live"
    kind: str = setting("live_module", choices=("live_module",))


@dataclass
class LiveFunctionConfig(CallableClassifierConfig):
    """A function of a Python session that no other process can import, handed to latreg.search."""

    loader: ClassVar[str] = "latreg.classifier.adapters.live.load_live"
    executes: ClassVar[str] = ""
    kind: str = setting("live_function", choices=("live_function",))


@dataclass
class TruncationConfig:
    """Latent regularization of sources and partners."""

    # Psi is 1, the same for all sources, or found for each.
    mode: str = setting(MISSING, choices=("none", "fixed", "adaptive"))
    psi: float = setting(1.0, low=0, high=HIGHEST_PSI)  # for fixed
    direction: str = setting("salvage", choices=("salvage", "minimal"))  # for adaptive
    # For adaptive, tried from the largest to the smallest.
    grid: list[float] = setting(factory=list, of="values", low=0, high=HIGHEST_PSI, distinct=True)
    center: str = setting("class", choices=("class", "global"))  # what w_avg is
    cutoff: int | None = None  # layers below it are truncated; None = all, 0 = none


@dataclass
class StrategyConfig:
    """Base of the strategies' own schemas; `_target_` is the class."""

    _target_: str = MISSING  # import path of its class
    name: str = MISSING  # as records and reports call it


@dataclass
class OwnStrategyConfig(StrategyConfig):
    """A strategy from outside of latreg: `_target_(**args)` is a latreg.interfaces.Strategy."""

    name: str = "own"
    args: dict[str, Any] = field(default_factory=dict)  # arguments of `_target_`


@dataclass
class SamplingConfig(StrategyConfig):
    """No search: a misclassified source is the fault."""

    _target_: str = setting("latreg.search.sampling.Sampling", choices=("latreg.search.sampling.Sampling",))
    name: str = setting("sampling", choices=("sampling",))


@dataclass
class RandomConfig(StrategyConfig):
    """First flip while psi goes down a grid, then bisection of psi."""

    _target_: str = setting("latreg.search.random.RandomTruncation", choices=("latreg.search.random.RandomTruncation",))
    name: str = setting("random", choices=("random",))
    # Only values below the source's own psi are used.
    psi_grid: list[float] = setting(MISSING, of="values", low=0, high=HIGHEST_PSI, shortest=1, descending=True)
    bisection_steps: int = setting(12, low=0, high=FINEST)


@dataclass
class MixingConfig(StrategyConfig):
    """Style mixing with partners of rival classes, then bisection of alpha."""

    _target_: str = setting("latreg.search.mixing.Mixing", choices=("latreg.search.mixing.Mixing",))
    name: str = setting("mixing", choices=("mixing",))
    # [] = all layers of the generator.
    layer_sets: list[list[int]] = setting(MISSING, of="sets", low=0, shortest=1)
    partners: int = setting(100, low=1, high=MANY)
    top_k: int = setting(1, low=1, high=MANY)
    targeted: bool = True
    bisection_steps: int = setting(12, low=0, high=FINEST)
    # What a pair must be for the search of a source to end.
    until: str = setting("screened", choices=("flipped", "screened", "valid", "robust"))
    run_seed: int = setting(MISSING, low=0, high=LAST_SEED)  # draws the partners
    # How a boundary is found; itp needs fewer queries to the same end.
    root_finder: str = setting("bisection", choices=("bisection", "itp"))
    give_up: bool = False  # leave a mixture as soon as a verdict, which costs no query, shows its boundary is invalid
    # Rivals have more than this probability, None = all count.
    rivals_above: float | None = setting(None, low=0, high=1)
    same_partners: bool = False  # z_seeds 0, 1 .. for all sources, else drawn
    rival_by_rival: bool = False  # all partners of one rival before the next, else rivals take turns


@dataclass
class HuntConfig(MixingConfig):
    """Mixing with the settings that find the most valid faults per query."""

    name: str = setting("hunt", choices=("hunt",))


@dataclass
class PublishedRandomConfig(RandomConfig):
    """First flip as the authors' code runs it."""

    name: str = setting("random_published", choices=("random_published",))


@dataclass
class PublishedMixingConfig(MixingConfig):
    """Mixing as the authors' code runs it."""

    name: str = setting("mixing_published", choices=("mixing_published",))


@dataclass
class WalkConfig(StrategyConfig):
    """A random walk in z."""

    _target_: str = setting("latreg.search.walk.Walk", choices=("latreg.search.walk.Walk",))
    name: str = setting("walk", choices=("walk",))
    sigma: float = setting(MISSING, low=0)  # of a step in each coordinate of z
    steps: int = setting(MISSING, low=1, high=MANY)
    run_seed: int = setting(MISSING, low=0, high=LAST_SEED)  # draws the steps


@dataclass
class GeneticConfig(StrategyConfig):
    """A genetic search in z for the least margin."""

    _target_: str = setting("latreg.search.genetic.Genetic", choices=("latreg.search.genetic.Genetic",))
    name: str = setting("genetic", choices=("genetic",))
    population: int = setting(25, low=2, high=MANY)
    keep: int = setting(10, low=1, high=MANY)  # of a generation, those that stay and have children
    sigma: float = setting(MISSING, low=0)  # of the first population around z, and of the noise of its first children
    generations: int = setting(MISSING, low=1, high=MANY)
    run_seed: int = setting(MISSING, low=0, high=LAST_SEED)  # draws the individuals


@dataclass
class MimicryConfig(StrategyConfig):
    """NSGA-II over the strengths with which a partner's w replaces each layer."""

    _target_: str = setting("latreg.search.mimicry.Mimicry", choices=("latreg.search.mimicry.Mimicry",))
    name: str = setting("mimicry", choices=("mimicry",))
    population: int = setting(MISSING, low=2, high=MANY)
    generations: int = setting(MISSING, low=1, high=MANY)
    run_seed: int = setting(MISSING, low=0, high=LAST_SEED)  # draws the partner and the genomes


@dataclass
class CMAMEConfig(StrategyConfig):
    """Quality diversity in z: a map of images with the least margins."""

    _target_: str = setting("latreg.search.cma_me.CMAME", choices=("latreg.search.cma_me.CMAME",))
    name: str = setting("cma_me", choices=("cma_me",))
    sigma: float = setting(MISSING, above=0)  # of the first generation in each coordinate of z
    population: int = setting(MISSING, low=2, high=MANY)
    generations: int = setting(MISSING, low=1, high=MANY)
    cells: int = setting(MISSING, low=1, high=WIDE)  # of the map along each axis
    reach: float = setting(MISSING, above=0)  # of the map to both sides of the source's image, levels being in [0, 1]
    bisection_steps: int = setting(12, low=0, high=FINEST)
    root_finder: str = setting("itp", choices=("bisection", "itp"))
    # What a pair must be for the search of a source to end, None = it goes on until the budget is spent.
    until: str | None = setting("robust", choices=("flipped", "screened", "valid", "robust", None))
    run_seed: int = setting(MISSING, low=0, high=LAST_SEED)  # draws the generations


@dataclass
class GradientConfig(StrategyConfig):
    """Projected gradient descent in w, by a white box."""

    _target_: str = setting("latreg.search.gradient.Gradient", choices=("latreg.search.gradient.Gradient",))
    name: str = setting("gradient", choices=("gradient",))
    step: float = setting(MISSING, low=0)  # length in w
    radius: float = setting(MISSING, low=0)  # of the ball around the source's w
    steps: int = setting(MISSING, low=1, high=MANY)
    bisection_steps: int = setting(12, low=0, high=FINEST)
    root_finder: str = setting("itp", choices=("bisection", "itp"))


@dataclass
class VAETrainingConfig:
    """Recipe of `validity.vae`: Adam with a one-cycle learning rate."""

    latent_dim: int = setting(32, low=1, high=WIDE)  # numbers that an image is squeezed into
    # Channels after each halving of the resolution.
    widths: list[int] = setting(factory=lambda: [32, 64, 128], low=1, high=WIDE, of="widths", shortest=1, longest=9)
    epochs: int = setting(10, low=1, high=MANY)  # passes over the training images
    batch_size: int = setting(128, low=1, high=MANY)  # images of a step, over all devices
    learning_rate: float = setting(2e-3, above=0)  # the highest of the cycle


@dataclass
class DensityFitConfig:
    """How `validity.density` is made."""

    classifier: str | None = None  # weights of one that is neither SUT nor judge
    axes: int = setting(128, low=1, high=WIDE)  # along which the covariance is known


@dataclass
class ValidityConfig:
    """The gates of a valid fault and the models behind them."""

    # What a valid fault must pass: of these, typical, screened, and the names of more_gates.
    gates: list[str] = setting(factory=lambda: ["in_distribution", "label_kept"], of="gates", distinct=True)
    more_gates: dict[str, dict[str, Any]] = field(default_factory=dict)  # your own: `{name: {_target_: ..}}`
    min_ssim: float = setting(0.95, low=-1, high=1)  # similarity to the source from which `screened` takes an image
    max_l2_rel: float = setting(0.2, low=0)  # distance to the source, relative to its norm, up to which it does
    vae: str | None = None  # weights of an autoencoder of the training images, null = none
    density: str | None = None  # weights of the density of each class, null = none
    quantile: float = setting(0.99, above=0, below=1)  # of what real images get: where the thresholds of both are
    training: VAETrainingConfig = setting(factory=VAETrainingConfig, stages=(TRAIN_VALIDITY,))
    fit: DensityFitConfig = setting(factory=DensityFitConfig, stages=(FIT_DENSITY,))
    judge: list[str] = setting(MISSING, of="classifiers", distinct=True)  # weights of the ensemble's members, [] = none
    # So many of its last members take no part in search and gates but check them; one is left at least.
    held_out: int = setting(0, low=0, high=MANY)
    min_judge_confidence: float = setting(0.0, low=0, high=1)  # label_kept also takes this probability of the class
    # Images that a model of validity is shown at a time.
    judge_batch: int = setting(16, low=1, high=MANY, purpose=EXECUTION)
    lpips: str | None = setting(None, choices=("alex", "squeeze"))  # the distance is measured too, null = not
    # Each flip is shown to the SUT again, ten times with noise of one gray level and not counted as queries.
    stability: bool = True


@dataclass
class SearchConfig:
    """What is searched, and how much of it."""

    sources_per_class: int = setting(20, low=1, high=MANY, purpose=AMOUNT)  # z_seeds that are drawn of each class
    # None = all.
    classes: list[int] | None = setting(None, low=0, of="classes", shortest=1, distinct=True, purpose=SOURCES)
    first_z_seed: int = setting(0, low=0, high=LAST_SEED, purpose=SOURCES)  # the first of the z_seeds
    # Added to it for each run_seed, which so draws its own sources; 0 = all draw the same.
    z_seed_stride: int = setting(2**25, low=0, high=LAST_SEED, purpose=SOURCES)
    # Further sources that are chosen: accepted and uncertain without truncation.
    uncertain_per_class: int = setting(0, low=0, high=MANY, purpose=SOURCES)
    # The baseline gate: a source is accepted if the SUT names its class with at least this probability.
    min_confidence: float = setting(0.0, low=0, high=1)
    min_margin: float = setting(0.0, low=-1, high=1)  # .. and by at least this margin over the next class
    # A source is confident where its second class has less than this probability.
    confident_below: float = setting(0.01, low=0, high=1)
    uncertain_only: bool = False  # a confident source costs its first query and is not searched
    # Queries at most from a valid boundary pair to the most severe valid point behind it, 0 = it is not looked for.
    severity_steps: int = setting(6, low=0, high=FINEST)
    # Of the whole run, None = no limit; not with workers, shard or uncertain_per_class.
    max_queries: int | None = setting(None, low=1, high=LONG)
    max_queries_per_source: int = setting(1000, low=1, high=LONG)  # images of a source that the SUT is shown at most
    concurrency: int = setting(200, low=1, high=MANY, purpose=EXECUTION)  # sources searched side by side
    # Images per forward pass, None = what suits the device.
    chunk: int | None = setting(None, low=1, high=MANY, purpose=EXECUTION)
    part_size: int = setting(100, low=1, high=MANY, purpose=EXECUTION)  # sources per parquet file
    # Processes of one thread, or of one GPU each; 1 = this process with all its threads.
    workers: int = setting(1, low=1, high=1024, purpose=EXECUTION)
    # k/n: every n-th source from the k-th on, k = 1 .. n; latreg.merge joins them.
    shard: str | None = setting(None, purpose=SHARE)


@dataclass
class EvaluationConfig:
    """Sizes of a generator's evaluation."""

    # For agreement and distance, per truncation; more than the nearest neighbours that count.
    samples: int = setting(5000, above=3, high=MANY)
    training_samples: int = setting(30_000, low=1, high=MANY)  # for the classifier that learns from samples alone
    inception: str | None = None  # weights for FID and KID: a file, or download; None = these are not measured


@dataclass
class TrainerConfig:
    """Arguments of lightning.Trainer that name the hardware."""

    accelerator: str = "auto"  # auto | cpu | gpu ..
    devices: Any = "auto"  # how many, or which
    strategy: str = "auto"  # how several devices share the work: auto | ddp ..
    precision: str = "32-true"  # of the numbers: 32-true | bf16-mixed ..


@dataclass
class TrackingConfig:
    """Weights & Biases."""

    # Where the mirror goes: a folder of the run, the server, nowhere.
    mode: str = setting(MISSING, choices=("offline", "online", "disabled"))
    project: str = "latreg"  # in W&B
    entity: str | None = None  # user or team in W&B, None = the key's own
    group: str | None = None  # None = name of the experiment
    name: str | None = None  # None = what the run is: "mnist, mixing, psi 0.7, global center"
    tags: list[str] = field(default_factory=list)  # of the run in W&B
    table_rows: int = setting(200, low=0, high=MANY)  # at most so many strips are logged


@dataclass
class Config:
    """One job."""

    stage: str = setting(SEARCH, choices=STAGES, stages=STAGES)  # what the job does
    # Of the experiment: folder below multirun/, group in W&B.
    name: str = setting(MISSING, purpose=EXECUTION)
    run_seed: int = setting(0, low=0, high=LAST_SEED)  # draws what a z_seed does not, and chooses the block of z_seeds
    resume: bool = setting(False, purpose=EXECUTION)  # go on with the run in the folder of the job
    device: str = setting("auto", purpose=EXECUTION)  # of a search: auto | cpu | cuda | cuda:1 ..
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    generator: GeneratorConfig = setting(factory=GeneratorConfig, stages=(SEARCH, TRAIN_GENERATOR))
    classifier: ClassifierConfig = setting(factory=ClassifierConfig, stages=(SEARCH, TRAIN_CLASSIFIER))
    strategy: StrategyConfig = setting(factory=StrategyConfig, stages=(SEARCH,))
    truncation: TruncationConfig = setting(factory=TruncationConfig, stages=(SEARCH,))
    validity: ValidityConfig = setting(factory=ValidityConfig, stages=(SEARCH, TRAIN_VALIDITY))
    search: SearchConfig = setting(factory=SearchConfig, stages=(SEARCH,))
    evaluation: EvaluationConfig = setting(factory=EvaluationConfig, stages=())
    trainer: TrainerConfig = setting(factory=TrainerConfig, purpose=EXECUTION)
    tracking: TrackingConfig = setting(factory=TrackingConfig, purpose=EXECUTION)


OWN_CLASSIFIERS: tuple[type[OwnClassifierConfig], ...] = (
    TorchClassifierConfig,
    ExportClassifierConfig,
    OnnxClassifierConfig,
    HuggingFaceClassifierConfig,
    TimmClassifierConfig,
    CallableClassifierConfig,
    LiveModuleConfig,
    LiveFunctionConfig,
)


def base_name(path: str | None) -> str:
    """What a data set is called after its folder or hub name."""
    if not path:
        return "own"
    return Path(path).name.strip(".") or Path(path).resolve().name


def words(text: str) -> list[str]:
    """What stands between commas, without spaces around it."""
    return [word.strip() for word in text.split(",") if word.strip()]


def register() -> None:
    """Make the schema known to Hydra; conf/ refers to it by these names."""
    OmegaConf.register_new_resolver("base_name", base_name, replace=True)
    OmegaConf.register_new_resolver("words", words, replace=True)
    store = ConfigStore.instance()
    if "schema.yaml" in store.repo:  # it takes a tenth of a second, for each configuration that is composed
        return
    store.store(name="schema", node=Config)
    store.store(group="generator", name="own_schema", node=OwnGeneratorConfig)
    for classifier in OWN_CLASSIFIERS:
        store.store(group="classifier", name=f"{classifier.kind}_schema", node=classifier)
    store.store(group="strategy", name="own_schema", node=OwnStrategyConfig)
    store.store(group="strategy", name="sampling_schema", node=SamplingConfig)
    store.store(group="strategy", name="random_schema", node=RandomConfig)
    store.store(group="strategy", name="mixing_schema", node=MixingConfig)
    store.store(group="strategy", name="hunt_schema", node=HuntConfig)
    store.store(group="strategy", name="random_published_schema", node=PublishedRandomConfig)
    store.store(group="strategy", name="mixing_published_schema", node=PublishedMixingConfig)
    store.store(group="strategy", name="walk_schema", node=WalkConfig)
    store.store(group="strategy", name="genetic_schema", node=GeneticConfig)
    store.store(group="strategy", name="mimicry_schema", node=MimicryConfig)
    store.store(group="strategy", name="cma_me_schema", node=CMAMEConfig)
    store.store(group="strategy", name="gradient_schema", node=GradientConfig)


def first_z_seed_of(config: Config) -> int:
    """Where the drawn sources of a search begin."""
    return config.search.first_z_seed + config.run_seed * config.search.z_seed_stride


@cache
def _settings(generator: type[GeneratorConfig], classifier: type[ClassifierConfig]) -> dict[str, Setting]:
    return declared_in(Config, RESULT, STAGES_THAT_GO_ON, (generator, classifier))


def purpose_in(key: str, config: Mapping[str, Any]) -> Purpose:
    """What a dotted key is for in a configuration, to whose stage some settings do not matter.

    A key that the schema has not got, as old runs have some, is for what its group is for.
    """
    generator = OwnGeneratorConfig if "_target_" in config.get("generator", {}) else GeneratorConfig
    classifier = OwnClassifierConfig if "kind" in config.get("classifier", {}) else ClassifierConfig
    known = _settings(generator, classifier)
    while key and key not in known:
        key = key.rpartition(".")[0]
    declared = known.get(key, Setting(RESULT, STAGES_THAT_GO_ON))
    matters = config.get("stage", SEARCH) in (declared.stages or ())
    return declared.purpose or RESULT if matters else EXECUTION


def typed(cfg: DictConfig) -> Config:
    """The typed configuration.

    Raises:
        LatregError: a setting has no value, or one that it must not have.
    """
    check_settings(cfg)
    check_given(cfg)
    try:
        config = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise LatregError(one_line(error)) from error
    assert isinstance(config, Config)
    return config


def check_given(cfg: DictConfig) -> None:
    """Refuse a configuration in which a setting has no value.

    Raises:
        LatregError: with the first such setting.
    """
    if missing := OmegaConf.missing_keys(cfg):
        raise LatregError(f"{sorted(missing)[0]} must be given, but has no value")


def check_settings(cfg: DictConfig, prefix: str = "") -> None:
    """Refuse values that the schema does not allow; those that are still missing pass.

    Args:
        cfg: a configuration, or a group of it, that the schema was merged into.
        prefix: of the group's keys, with a dot at its end.

    Raises:
        LatregError: with the first of them.
    """
    schema = OmegaConf.get_type(cfg)
    assert schema is not None
    names = [of.name for of in fields(schema)]
    if added := [str(name) for name in cfg if name not in names]:  # by a + on the command line
        raise LatregError(unknown(added[0], prefix.rstrip("."), names))
    for of in fields(schema):
        declared, key = declared_at(of), prefix + of.name
        if OmegaConf.is_missing(cfg, of.name):
            continue
        value = _value_of(cfg, of.name, key)
        if isinstance(value, DictConfig) and is_dataclass(OmegaConf.get_type(value)):
            check_settings(value, f"{key}.")
        elif problem := refusal(declared, of.type, _plain(value, key)):
            raise LatregError(f"{_source_of(cfg, of.name, key)} {problem}")


def _source_of(cfg: DictConfig, name: str, key: str) -> str:
    """What a value is called: its key, behind the environment variable that it came from."""
    written = OmegaConf.to_container(cfg, resolve=False)
    found = re.search(r"\$\{oc\.env:(\w+)", str(cast(dict[str, Any], written)[name]))
    return f"{found[1]} in the environment, for {key}," if found and found[1] in os.environ else key


def _value_of(cfg: DictConfig, name: str, key: str) -> Any:
    try:
        return cfg[name]
    except OmegaConfBaseException as error:
        raise LatregError(f"{key} must have a value, but: {one_line(error)}") from error


def _plain(value: Any, key: str) -> Any:
    """Lists and mappings without interpolations."""
    if not OmegaConf.is_config(value):
        return value
    try:
        return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise LatregError(f"{key} must have a value, but: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The first line of OmegaConf's message; the next ones say in its own words where it was."""
    return str(error).split("\n", maxsplit=1)[0]


def check_names(config: Config) -> None:
    """Refuse names of data set and networks that cannot be the names of files.

    Raises:
        LatregError: one is none, with its key.
    """
    for group in ("dataset", "generator", "classifier", "strategy"):
        check_name(f"{group}.name", getattr(config, group).name)
