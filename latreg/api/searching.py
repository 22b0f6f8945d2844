"""A search as a function call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from omegaconf import DictConfig, open_dict

from latreg.api.models import Choice, Classifier, Inputs, choose, dataset_of
from latreg.api.runs import Run
from latreg.api.session import logged_to, undisturbed
from latreg.classifier.adapters.live import at_hand, name_of
from latreg.composing import composed
from latreg.config import conf_dir
from latreg.errors import LatregError
from latreg.jobs import stages
from latreg.run import register_run_time
from latreg.runs.files import writing
from latreg.runs.folder import RunFolder

STRATEGY = "hunt"  # where nothing names one


def search(
    model: Classifier | None = None,
    *,
    dataset: str | None = None,
    strategy: str | None = None,
    experiment: str | None = None,
    truncation: str | None = None,
    sources_per_class: int | None = None,
    classes: Sequence[int] | None = None,
    run_seed: int | None = None,
    device: str | None = None,
    tracking: str = "disabled",
    run_dir: str | Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    **inputs: Unpack[Inputs],
) -> Run:
    """Search inputs on which a classifier is wrong although a judge still sees their class.

    It does what `latreg run` does with the same settings, and leaves the same folder. Before the search the classifier
    is shown real test images, and refused with the likely cause where it does not know them.

        >>> run = latreg.search(net, dataset="mnist", size=28, fit="crop", mean=[0.1307], std=[0.3081])
        >>> run.metrics["valid_faults"]
        >>> run.show()

    Args:
        model: the classifier: a torch.nn.Module (a copy of it is searched), a function from float32 arrays (N, C, H, W)
            in [0, 1] to probabilities (N, K), `zoo:<name>`, the path of a weights file (latreg's own, `.pt2` or
            `.onnx`), or None for the data set's own.
        dataset: mnist, fashion_mnist, cifar10, ..; None = that of the experiment or of a shipped model, else mnist.
        strategy: hunt, mixing, random, sampling; None = that of the experiment, else hunt.
        experiment: a file of conf/experiment; None = that of the data set and the strategy, where there is one.
        truncation: a file of conf/truncation, such as none, psi_0.7, salvage.
        sources_per_class: how many sources are searched for each class.
        classes: their numbers; None = all.
        run_seed: seeds all random numbers, and draws sources of its own.
        device: auto, cpu, cuda, cuda:1, ..
        tracking: disabled, or a mirror in Weights & Biases: offline, online.
        run_dir: where the run is written; None = a new folder below ./multirun.
        resume: take up the run in run_dir, or the newest of its name.
        overrides: any other setting, as on the command line: ["strategy.give_up=false"].
        inputs: how to speak to the classifier: the settings `classifier.*`, such as outputs, size, mean, std
            (docs/your_classifier.md).

    Returns:
        The finished run.

    Raises:
        LatregError: in one sentence, what was expected, what came, and what is allowed.
    """
    choice = choose(model, inputs)
    values = {
        "search.sources_per_class": sources_per_class,
        "search.classes": None if classes is None else list(classes),
        "run_seed": run_seed,
        "device": device,
        "resume": resume or None,
    }
    settings = {**choice.settings, **{key: value for key, value in values.items() if value is not None}}
    groups = [*_groups(experiment, dataset or (None if experiment else dataset_of(model)), strategy)]
    groups += [*([f"truncation={truncation}"] if truncation else []), f"tracking={tracking}"]
    with undisturbed():
        register_run_time()
        cfg = composed([*groups, *choice.overrides, *overrides], settings, hydra=True)
        folder = _folder(cfg, run_dir)
        _check(cfg, choice)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with logged_to(folder / "run.log"), at_hand(choice.live):
            stages.carry_out(cfg, RunFolder(folder, _call(model, groups, overrides, settings)))
    return Run(folder, choice.live)


def _groups(experiment: str | None, dataset: str | None, strategy: str | None) -> list[str]:
    """The choices of a command line; where no experiment is named, that of data set and strategy, which is tuned."""
    if experiment is None:
        name = f"{dataset}_{strategy or STRATEGY}"
        if (Path(conf_dir()) / "experiment" / f"{name}.yaml").is_file():
            return [f"+experiment={name}"]
        strategy = strategy or STRATEGY
    chosen = {"+experiment": experiment, "dataset": dataset, "strategy": strategy}
    return [f"{group}={name}" for group, name in chosen.items() if name is not None]


def _folder(cfg: DictConfig, run_dir: str | Path | None) -> Path:
    """The folder of the run; removes the group `hydra`, which names the default one, from the configuration."""
    default, mode = Path(cfg.hydra.run.dir), cfg.hydra.mode
    with open_dict(cfg):
        del cfg["hydra"]
    if mode is not None and mode.name == "MULTIRUN":
        raise LatregError(f"latreg.search makes one run, but the experiment {cfg.name} is a sweep of several")
    if run_dir is not None:
        return Path(run_dir).absolute()
    number = 0
    while not cfg.resume and default.exists():  # two runs in one second
        number += 1
        default = default.with_name(str(number))
    return default.absolute()


def _check(cfg: DictConfig, choice: Choice) -> None:
    if cfg.stage != "search":
        raise LatregError(f"latreg.search needs stage=search, got stage={cfg.stage} of {cfg.name}")
    if choice.live is not None and cfg.search.workers != 1:
        raise LatregError(
            f"search.workers must be 1 for a classifier that other processes cannot import, got {cfg.search.workers}"
        )


def _call(model: Any, groups: Sequence[str], overrides: Sequence[str], settings: dict[str, Any]) -> str:
    """What the run's status.json tells of its beginning, with the settings as on a command line."""
    shown = repr(str(model)) if model is None or isinstance(model, str | Path) else f"<{name_of(model)}>"
    given = [*groups, *overrides, *(f"{key}={value}" for key, value in settings.items() if key != "resume")]
    return f"latreg.search({shown}) {' '.join(given)}"
