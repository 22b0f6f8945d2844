"""The schema of the whole configuration. A key that is not here is an error; values are converted to these types.

Only Hydra and OmegaConf are imported: --help and a misspelt key answer at once. The YAML files in conf/ hold the
values; `MISSING` here means that some file there must give one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent, YAMLError

from latreg.errors import LatregError
from latreg.names import check_name


def conf_dir() -> str:
    """The folder with the YAML files: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


@dataclass
class DatasetConfig:
    """A labelled image data set. What of it is not given is read from the data by `latreg.data.splits.complete`."""

    name: str = MISSING
    path: str | None = None  # a folder or a hub name, taken as it is; null = `folder` below $LATREG_DATA, else `hub`
    hub: str | None = None
    folder: str | None = None
    channels: int = MISSING
    resolution: int = MISSING  # after padding: what the GAN, the SUT and the judge see
    validation_size: int = MISSING  # the last images of the train file
    class_names: list[str] = MISSING
    mirror: bool = False  # a mirrored image shows the same class


@dataclass
class GeneratorTrainingConfig:
    """Recipe of StyleGAN2 training; clocks count real images shown."""

    total_images: int = MISSING
    batch_size: int = 32  # over all devices
    learning_rate: float = 0.0025
    betas: tuple[float, float] = (0.0, 0.99)
    r1_gamma: float = 0.1
    r1_interval: int = 16
    pl_weight: float = 0.0
    pl_interval: int = 4
    style_mixing_prob: float = 0.0
    ema_images: float = 10_000
    ema_rampup: float | None = 0.05
    snapshot_images: int = 16_000  # checkpoint, sample grid and score once in so many images
    residual: bool = False  # architecture of D: residual blocks, else plain ones
    features: str | None = None  # efficientnet_lite0: D judges features of this frozen network, not images
    d_mapping_layers: int = 2
    mbstd_group_size: int = 4
    augment: list[str] = field(default_factory=list)  # transforms or groups (blit, geom, color) of ADA; [] = off
    augment_p: float = 0.0  # probability of each, at the start
    augment_target: float | None = 0.6  # mean sign of D's logits of real images, by which p is steered; None = p stays
    augment_images: float = 500_000  # images in which p can go from 0 to 1
    augment_interval: int = 4  # steps between two adjustments of p
    guide: str | None = None  # weights of a classifier, whose cross entropy of samples is added to G's loss; None = off
    guide_weight: float = 0.0
    guide_weight_end: float | None = None  # at total_images, on a line from guide_weight at guide_from; None = constant
    guide_from: int = 0
    guide_until: float = 1.0  # samples with at least this probability of their class are not pushed any more
    guide_shift: int = 3  # pixels, each way, by which the guide's images are shifted
    data_on_device: bool = True  # keep the real images in the memory of the GPU where they fit


@dataclass
class GeneratorConfig:
    """Architecture of a StyleGAN2, where its weights are, and how it is trained.

    A search renders with the network that the weights describe: there `latreg.jobs.networks` puts it in this place.
    """

    name: str = MISSING
    weights: str | None = MISSING  # a file, or zoo:<name> for shipped ones
    z_dim: int = MISSING
    w_dim: int = MISSING
    mapping_layers: int = 2
    channel_base: int = MISSING
    channel_max: int = MISSING
    conv_clamp: float | None = None
    training: GeneratorTrainingConfig = field(default_factory=GeneratorTrainingConfig)


@dataclass
class OwnGeneratorConfig(GeneratorConfig):
    """A generator that was made elsewhere: `_target_(**args, device=..)` fulfils latreg.interfaces.Generator."""

    name: str = "own"
    _target_: str = MISSING  # import path of a class or a function
    args: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None  # not used, nor what follows: its architecture and its training are its own matter
    z_dim: int = 0
    w_dim: int = 0
    channel_base: int = 0
    channel_max: int = 0
    training: GeneratorTrainingConfig = field(default_factory=lambda: GeneratorTrainingConfig(total_images=0))


@dataclass
class ClassifierTrainingConfig:
    """Recipe of classifier training: SGD with a one-cycle learning rate and random shifts."""

    epochs: int = MISSING
    batch_size: int = 128
    learning_rate: float = MISSING
    weight_decay: float = 5e-4
    max_shift: int = 2  # pixels, each way
    max_rotation: float = 0.0  # degrees, each way
    flip: bool = False
    cutout: int = 0  # side of the erased square in pixels, 0 = off
    label_smoothing: float = 0.0  # a SUT has none, so that its confidences are its own


@dataclass
class ClassifierConfig:
    """A network by name with its arguments, where its weights are, and how it is trained.

    A search asks the network that the weights describe: there `latreg.jobs.networks` puts it in this place.
    """

    name: str = MISSING
    network: str = MISSING  # a name in latreg.classifier.networks
    network_args: dict[str, Any] = field(default_factory=dict)
    weights: str | None = MISSING
    probe_images: int = 1000  # test images on which the accuracy of the card is checked before a search, 0 = no check
    training: ClassifierTrainingConfig = field(default_factory=ClassifierTrainingConfig)


@dataclass
class OwnClassifierConfig(ClassifierConfig):
    """A classifier that was made elsewhere: how to speak to it. Base of the schemas of its kinds.

    Where a setting is None, what the model's own file says holds, if it says anything; else what stands behind it.
    """

    kind: str = MISSING  # of the adapters in latreg.classifier.adapters
    name: str = "${.kind}"
    network: str = ""  # import path (torch) or name (timm) of what the weights belong to
    weights: str | None = None
    training: ClassifierTrainingConfig = field(  # it is not trained here
        default_factory=lambda: ClassifierTrainingConfig(epochs=0, learning_rate=0.0)
    )
    outputs: str = "logits"  # logits | probabilities
    channels: int | None = None  # 1: colour images are turned gray, 3: gray ones are repeated; None = the data set's
    size: int | None = None  # side of its square input in pixels; None = the data set's
    fit: str | None = None  # where size is smaller: crop (cut the border, undoes padding) | resize; None = must be said
    white: float = 1.0  # value of a white pixel before mean and std: 1, or 255 for a network of bytes
    mean: list[float] | None = None  # subtracted; one for all channels or one for each; None = 0
    std: list[float] | None = None  # divided by; None = 1
    class_order: list[Any] | None = None  # class that each output stands for, name or number; None = the data set's
    batch_size: int | None = None  # images per call at most; None = as they come
    min_accuracy: float | None = None  # on test images, before a search; None = halfway between chance and 1


@dataclass
class TorchClassifierConfig(OwnClassifierConfig):
    """Any torch.nn.Module by its import path, with its state_dict."""

    kind: str = "torch"


@dataclass
class ExportClassifierConfig(OwnClassifierConfig):
    """A program of torch.export, `.pt2`."""

    kind: str = "export"


@dataclass
class OnnxClassifierConfig(OwnClassifierConfig):
    """An ONNX file, through onnxruntime."""

    kind: str = "onnx"


@dataclass
class HuggingFaceClassifierConfig(OwnClassifierConfig):
    """An image classifier of Hugging Face transformers: weights is a folder or the name of a repository."""

    kind: str = "huggingface"
    revision: str | None = None  # of the repository: branch, tag or commit


@dataclass
class TimmClassifierConfig(OwnClassifierConfig):
    """A model of timm by its name; weights is its state_dict, None = what timm has under that name."""

    kind: str = "timm"


@dataclass
class CallableClassifierConfig(OwnClassifierConfig):
    """A Python function by its import path: float32 array (N, C, H, W) => (N, K). It may ask a remote service."""

    kind: str = "callable"
    function: str = ""
    outputs: str = "probabilities"
    version: str = ""  # of what answers; its id is made of this and the import path
    retries: int = 3  # of a call that raises
    wait: float = 1.0  # seconds before the first retry, twice as long before each further one


@dataclass
class TruncationConfig:
    """Latent regularization of sources and partners."""

    mode: str = MISSING  # none | fixed | adaptive
    psi: float = 1.0  # for fixed
    direction: str = "salvage"  # for adaptive: salvage | minimal
    grid: list[float] = field(default_factory=list)  # for adaptive, descending
    center: str = "class"  # what w_avg is: class | global
    cutoff: int | None = None  # layers below it are truncated; None = all, 0 = none


@dataclass
class StrategyConfig:
    """Base of the strategies' own schemas; `_target_` is the class."""

    _target_: str = MISSING
    name: str = MISSING


@dataclass
class SamplingConfig(StrategyConfig):
    """No search: a misclassified source is the fault."""

    _target_: str = "latreg.search.sampling.Sampling"
    name: str = "sampling"


@dataclass
class RandomConfig(StrategyConfig):
    """First flip while psi goes down a grid, then bisection of psi."""

    _target_: str = "latreg.search.random.RandomTruncation"
    name: str = "random"
    psi_grid: list[float] = MISSING  # descending; only values below the source's own psi are used
    bisection_steps: int = 12


@dataclass
class MixingConfig(StrategyConfig):
    """Style mixing with partners of rival classes, then bisection of alpha."""

    _target_: str = "latreg.search.mixing.Mixing"
    name: str = "mixing"
    layer_sets: list[list[int]] = MISSING  # [] = all layers of the generator
    partners: int = 100
    top_k: int = 1
    targeted: bool = True
    bisection_steps: int = 12
    until: str = "screened"  # flipped | screened | valid: what a pair must be for the search of a source to end
    run_seed: int = MISSING  # draws the partners
    root_finder: str = "bisection"  # or itp, which needs fewer queries to the same end
    give_up: bool = False  # leave a mixture as soon as a verdict, which costs no query, shows its boundary is invalid


@dataclass
class HuntConfig(MixingConfig):
    """Mixing with the settings that find most valid faults per query."""

    name: str = "hunt"


@dataclass
class VAETrainingConfig:
    """Recipe of the model behind the gate in_distribution: Adam with a one-cycle learning rate."""

    latent_dim: int = 32
    widths: list[int] = field(default_factory=lambda: [32, 64, 128])  # channels after each halving of the resolution
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 2e-3


@dataclass
class ValidityConfig:
    """The gates of a valid fault and the models behind them."""

    gates: list[str] = field(default_factory=lambda: ["in_distribution", "label_kept"])  # and screened
    min_ssim: float = 0.95
    max_l2_rel: float = 0.2
    vae: str | None = None  # weights of the model behind in_distribution, null = none
    quantile: float = 0.99  # of the errors of real images: where the threshold is
    training: VAETrainingConfig = field(default_factory=VAETrainingConfig)
    judge: list[str] = MISSING  # weights of the ensemble's members, [] = none
    min_judge_confidence: float = 0.0  # label_kept also takes this probability of the class
    judge_batch: int = 16
    lpips: str | None = None  # alex or squeeze: the distance is measured too, null = not


@dataclass
class SearchConfig:
    """What is searched, and how much of it."""

    sources_per_class: int = 20
    classes: list[int] | None = None  # None = all
    first_z_seed: int = 0
    uncertain_per_class: int = 0  # further sources that are chosen: accepted and uncertain without truncation
    min_confidence: float = 0.0  # the baseline gate: argmax is c, p[c] and margin at least these
    min_margin: float = 0.0
    confident_below: float = 0.01  # a source is confident where its second class has less than this probability
    uncertain_only: bool = False  # a confident source costs its first query and is not searched
    max_queries: int | None = None  # whole run, None = no limit; not with workers, shard or uncertain_per_class
    max_queries_per_source: int = 1000
    concurrency: int = 200  # sources searched side by side
    chunk: int | None = None  # images per forward pass, None = what suits the device
    part_size: int = 100  # sources per parquet file
    workers: int = 1  # processes of one thread, or of one GPU each; 1 = this process with all its threads
    shard: str | None = None  # k/n: every n-th source from the k-th on, k = 1 .. n; latreg.merge joins them


@dataclass
class EvaluationConfig:
    """Sizes of a generator's evaluation."""

    samples: int = 5000  # for agreement and distance, per truncation
    training_samples: int = 30_000  # for the classifier that learns from samples alone


@dataclass
class TrainerConfig:
    """Arguments of lightning.Trainer that name the hardware."""

    accelerator: str = "auto"
    devices: Any = "auto"
    strategy: str = "auto"
    precision: str = "32-true"


@dataclass
class TrackingConfig:
    """Weights & Biases."""

    mode: str = MISSING  # offline | online | disabled
    project: str = "latreg"
    entity: str | None = None
    tags: list[str] = field(default_factory=list)
    table_rows: int = 200  # at most so many strips are logged


@dataclass
class Config:
    """One job."""

    stage: str = "search"  # or train_classifier, train_generator, train_validity, evaluate_generator, make_probe
    name: str = MISSING  # of the experiment: folder below multirun/, group in W&B
    run_seed: int = 0
    resume: bool = False
    device: str = "auto"  # of a search: auto | cpu | cuda | cuda:1 ..
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    truncation: TruncationConfig = field(default_factory=TruncationConfig)
    validity: ValidityConfig = field(default_factory=ValidityConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


OWN_CLASSIFIERS: tuple[type[OwnClassifierConfig], ...] = (
    TorchClassifierConfig,
    ExportClassifierConfig,
    OnnxClassifierConfig,
    HuggingFaceClassifierConfig,
    TimmClassifierConfig,
    CallableClassifierConfig,
)

_RECIPE = {
    "generator": tuple(f.name for f in fields(GeneratorConfig) if f.name != "weights"),
    "classifier": tuple(f.name for f in fields(ClassifierConfig) if f.name not in ("weights", "probe_images")),
}


def base_name(path: str | None) -> str:
    """What a data set is called after its folder or hub name."""
    if not path:
        return "own"
    return Path(path).name.strip(".") or Path(path).resolve().name


def register() -> None:
    """Make the schema known to Hydra; conf/ refers to it by these names."""
    OmegaConf.register_new_resolver("base_name", base_name, replace=True)
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    store.store(group="generator", name="own_schema", node=OwnGeneratorConfig)
    for classifier in OWN_CLASSIFIERS:
        store.store(group="classifier", name=f"{classifier.kind}_schema", node=classifier)
    store.store(group="strategy", name="sampling_schema", node=SamplingConfig)
    store.store(group="strategy", name="random_schema", node=RandomConfig)
    store.store(group="strategy", name="mixing_schema", node=MixingConfig)
    store.store(group="strategy", name="hunt_schema", node=HuntConfig)


GROUPS = (  # of Config: what is a mapping of settings
    *("dataset", "generator", "classifier", "strategy", "truncation", "validity", "search", "evaluation", "trainer"),
    "tracking",
)
MAX_BYTES = 2**20  # of a config.yaml; with the names of 20,000 classes it has half of them
MAX_DEPTH = 20  # of its nesting
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def recipes_in(config: Mapping[str, Any]) -> list[str]:
    """Settings that say how to train, and nothing of a search: what its weights files describe holds there."""
    elsewhere = {"generator": "_target_", "classifier": "kind"}  # the key that tells networks that were made there
    ours = [group for group, key in elsewhere.items() if key not in config.get(group, {})]
    return [f"{group}.{key}" for group in ours for key in _RECIPE[group]]


def load_run_config(run_dir: Path) -> Config:
    """The typed configuration of a run from its folder, which may be anybody's: see `read_settings`.

    Raises:
        LatregError: there is no config.yaml, or not one of this version of latreg, or it names a strategy that is none
            of latreg's, or data sets and networks in a way that leads out of folders.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise LatregError(f"expected the folder of a run with a config.yaml, got {run_dir}")
    saved = read_settings(path)
    try:
        schema = _schema_of(saved)
        config = OmegaConf.to_object(OmegaConf.merge(schema, saved))
    except (OmegaConfBaseException, HydraException) as error:
        raise LatregError(f"{path} does not fit this version of latreg: {' '.join(str(error).split())}") from error
    assert isinstance(config, Config)
    if config.strategy._target_ != schema.strategy._target_:
        raise LatregError(
            f"strategy._target_ must be {schema.strategy._target_} in {path}, got {config.strategy._target_}"
        )
    check_names(config)
    return config


def check_names(config: Config) -> None:
    """Refuse names of data set and networks that cannot be the names of files.

    Raises:
        LatregError: one is none, with its key.
    """
    for group in ("dataset", "generator", "classifier", "strategy"):
        check_name(f"{group}.name", getattr(config, group).name)


def imports_of(config: Config) -> list[str]:
    """The settings by which a configuration has code run that is not latreg's, as `key=value`."""
    found = []
    if isinstance(config.generator, OwnGeneratorConfig):
        found.append(f"generator._target_={config.generator._target_}")
    if isinstance(config.classifier, TorchClassifierConfig):
        found.append(f"classifier.network={config.classifier.network}")
    if isinstance(config.classifier, CallableClassifierConfig):
        found.append(f"classifier.function={config.classifier.function}")
    if isinstance(config.classifier, ExportClassifierConfig):  # a program, which may run code where it is read
        found.append(f"classifier.weights={config.classifier.weights}")
    return found


def read_settings(path: Path) -> DictConfig:
    """The config.yaml of a run as it stands there, without resolving anything, since it may be anybody's.

    Raises:
        LatregError: it cannot be read, is too large or nested too deep, or holds what no run writes: aliases,
            interpolations, or groups that are no groups.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise LatregError(f"it has more than {MAX_BYTES} bytes")
        text = content.decode()
        _check_events(yaml.parse(text, Loader=_YAML))
        saved = OmegaConf.create(text)
    except (OSError, OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise LatregError(f"expected the settings of a run in {path}, but it is damaged: {reason}") from error
    if not isinstance(saved, DictConfig) or not saved:
        raise LatregError(f"expected the settings of a run in {path}, got none")
    for group in GROUPS:
        if group in saved and not isinstance(saved[group], DictConfig):
            raise LatregError(f"expected the settings of a run in {path}, but {group} is no group of settings")
    return saved


def _check_events(events: Iterable[Event]) -> None:
    """Refuse what would grow or act when it is read, looking at one piece of the file at a time."""
    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise LatregError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(event, AliasEvent):
            raise LatregError(f"it has the alias *{event.anchor}, which no run writes")
        if isinstance(event, ScalarEvent) and "${" in event.value:
            raise LatregError(f"it has the interpolation {event.value[:100]}, which no run writes")


def with_defaults(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, with the defaults of keys that it has not got since they are newer than the run.

    Keys that are not in the schema any more stay. A new key without a default is "???".

    Raises:
        LatregError: this version of latreg has no such strategy or classifier.
    """
    config = OmegaConf.create(dict(saved))
    try:
        defaults = OmegaConf.to_container(_schema_of(config))
        merged = OmegaConf.to_container(OmegaConf.merge(OmegaConf.create(defaults), config))
    except (OmegaConfBaseException, HydraException) as error:
        raise LatregError(f"the settings of the run do not fit this version of latreg: {error}") from error
    return cast(dict[str, Any], merged)


def _schema_of(saved: DictConfig) -> DictConfig:
    """The schema with the groups' own ones that a saved configuration was made with."""
    register()
    schema = OmegaConf.structured(Config)
    schema.strategy = _stored("strategy", saved.get("strategy", {}).get("name"))
    if "_target_" in saved.get("generator", {}):
        schema.generator = OwnGeneratorConfig
    if kind := saved.get("classifier", {}).get("kind"):
        schema.classifier = _stored("classifier", kind)
    return cast(DictConfig, schema)


def _stored(group: str, name: object) -> Any:
    """The schema of that name in a group.

    Raises:
        LatregError: there is none.
    """
    store = ConfigStore.instance()
    known = [file.removesuffix("_schema.yaml") for file in store.list(group) if file.endswith("_schema.yaml")]
    if name not in known:
        raise LatregError(f"a saved {group} must be one of {', '.join(sorted(known))}, got {str(name)[:100]}")
    return store.load(f"{group}/{name}_schema.yaml").node
