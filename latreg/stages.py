"""What a job can do, a function each. `run` picks one, and keeps the run's folder honest whatever happens."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from latreg import metrics, records, strips
from latreg.allocation import keep_freed_memory
from latreg.assembly import Parts, assemble, find_sources, make_data
from latreg.classifier.adapters import AdaptedSUT
from latreg.classifier.training import train_classifier
from latreg.config import Config, OwnClassifierConfig, OwnGeneratorConfig
from latreg.data import complete, load_images, resolve_source
from latreg.errors import LatregError
from latreg.execution import find_records, shard_of
from latreg.files import writing
from latreg.generator.card import evaluate_generator
from latreg.generator.training import train_generator
from latreg.images import save_probe
from latreg.interfaces import BoundaryRecord, Source
from latreg.probe import check_sut
from latreg.progress import SearchProgress
from latreg.runfolder import RunFolder, write_sources
from latreg.scoring import score
from latreg.tracking import Tracker, lightning_logger
from latreg.validity.training import train_validity
from latreg.weights import probe_path


def run(cfg: DictConfig, output_dir: str) -> None:
    """Run the stage that the configuration names, in its run folder; the last line printed is that folder."""
    folder = RunFolder(Path(output_dir))
    complete(cfg.dataset)
    if missing := OmegaConf.missing_keys(cfg):
        raise LatregError(f"{sorted(missing)[0]} must be given, but has no value")
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, Config)
    if config.stage not in STAGES:
        raise LatregError(f"stage must be one of {', '.join(STAGES)}, got {config.stage!r}")
    _catch_sigterm()
    keep_freed_memory()
    _quiet_lightning()
    with folder.claimed():
        folder.begin(cfg, FIXED.get(config.stage, ()), FREE_TO_CHANGE)
        results = _results(config, folder)
    print(metrics.as_text(results))
    print(folder.path)


def _results(config: Config, folder: RunFolder) -> dict[str, Any]:
    """Those of the stage, written, and how it ended."""
    try:
        results = STAGES[config.stage](config, folder)
        folder.write_json("metrics.json", results)
        folder.done()
    except (KeyboardInterrupt, SystemExit):  # a scheduler's library exits where it is told to run the job again
        folder.status(state="interrupted")
        raise
    except BaseException as error:
        folder.failed(error)
        raise
    return results


def _catch_sigterm() -> None:
    """SIGTERM ends a run as Ctrl-C does, unless the launcher of the job wants to answer it itself."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _quiet_lightning() -> None:
    """Lightning prints its messages a second time beside the log, and advice that no user can act on."""
    logging.getLogger("lightning").handlers.clear()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


def search(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Search boundary inputs, save and log them, and score what was found."""
    saved = records.recover_records(folder.path)
    parts = assemble(cfg)
    ids = parts.ids
    folder.status(weights=ids)
    check_sut(cfg, parts.sut)
    wanted = find_sources(cfg, parts)
    if not parts.generator.conditional or cfg.search.uncertain_per_class:
        write_sources(folder, wanted)
    sources = shard_of(wanted, cfg.search.shard)
    check_resumed(saved, sources, ids, folder.path)
    count = len(saved)
    with Tracker(cfg.tracking, folder.config, folder.path, group=cfg.name, found=saved) as tracker:
        with (
            SearchProgress(len(sources), len(saved), parts.engine) as progress,
            closing(searched_records(cfg, folder, parts, sources, saved)) as searched,
        ):
            for record in searched:
                tracker.log_record(record)
                progress.advance(record)
                count += 1
        found = read_in_order(folder.path, sources, count)
        results = score(cfg, found, parts.judge, folder.seconds())
        with writing(folder.path):
            strips.examples_image(found, folder.path / "examples.png")
        tracker.finish(results, ids)
    if isinstance(parts.sut, AdaptedSUT):
        folder.status(classifier=asdict(parts.sut.usage))
    return results


def check_resumed(
    saved: Sequence[BoundaryRecord], sources: Sequence[Source], ids: Mapping[str, str | None], folder: Path
) -> None:
    """Refuse to go on with other weights than those of the saved records, or with fewer sources."""
    for record in saved:
        before = {name: getattr(record, f"{name}_id") for name in ids}
        for name, used in before.items():
            if used != ids[name]:
                raise LatregError(
                    f"resume=true needs the weights of {folder}, but the {name} was {_short(used)} and is now "
                    f"{_short(ids[name])}"
                )
    if foreign := {records.source_of(record) for record in saved} - set(sources):
        raise LatregError(
            f"resume=true needs the sources of {folder} or more, but {len(foreign)} of its {len(saved)} are not "
            f"among the {len(sources)} of this search"
        )


def _short(id: str | None) -> str:
    return "none" if id is None else id[:12]


def searched_records(
    cfg: Config, folder: RunFolder, parts: Parts, sources: Sequence[Source], saved: Sequence[BoundaryRecord]
) -> Generator[BoundaryRecord, None, None]:
    """Search the sources that are not saved yet; records are yielded as soon as they are, and saved part by part."""
    done = {records.source_of(record) for record in saved}
    left = [source for source in sources if source not in done]
    part: list[BoundaryRecord] = []
    index = records.next_index(folder.path)
    found = find_records(cfg, parts, left, sum(record.queries for record in saved))
    try:
        for record in found:
            part.append(record)
            yield record
            if len(part) == cfg.search.part_size:
                records.write_part(folder.path, index, part)
                part, index = [], index + 1
                folder.status()
    finally:  # an interrupted run keeps what it found
        if part or index == 0:
            records.write_part(folder.path, index, part)


def read_in_order(run_dir: Path, sources: Sequence[Source], count: int) -> list[BoundaryRecord]:
    """The saved records in the order of their sources; those of a damaged part were searched again after the others.

    Raises:
        LatregError: there are not `count` of them, so this process was not alone.
    """
    found = list(records.read_records(run_dir))
    if len(found) != count:
        raise LatregError(
            f"expected {count} records in {run_dir}, got {len(found)}: another process must have written there too; "
            "once it has ended, resume=true puts this right"
        )
    position = {source: number for number, source in enumerate(sources)}
    return sorted(found, key=lambda record: position[records.source_of(record)])


def probe_stage(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Write the first test images to a file, to be shipped for the check of SUTs."""
    data = load_images(resolve_source(cfg.dataset), "test", cfg.dataset.channels)
    path = folder.path / probe_path(cfg.dataset.name).name
    save_probe(path, data.slice(0, cfg.classifier.probe_images))
    return {"images": cfg.classifier.probe_images, "file": str(path)}


def classifier_stage(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Train a SUT or a member of the judge."""
    if isinstance(cfg.classifier, OwnClassifierConfig):
        raise LatregError(f"stage=train_classifier trains networks of latreg, got classifier={cfg.classifier.kind}")
    with lightning_logger(cfg.tracking, folder.config, folder.path, cfg.name) as logger:
        return train_classifier(cfg, folder.path, logger, make_data(cfg.dataset, cfg.run_seed))


def generator_stage(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Train a StyleGAN2."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        raise LatregError(f"stage=train_generator trains networks of latreg, got generator={cfg.generator.name}")
    with lightning_logger(cfg.tracking, folder.config, folder.path, cfg.name, x_axis="n_images") as logger:
        return train_generator(cfg, folder.path, make_data(cfg.dataset, cfg.run_seed), logger)


def validity_stage(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Train the model of what is in the distribution."""
    with lightning_logger(cfg.tracking, folder.config, folder.path, cfg.name) as logger:
        return train_validity(cfg, folder.path, logger, make_data(cfg.dataset, cfg.run_seed))


def card_stage(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Measure a generator for its model card."""
    return evaluate_generator(cfg, folder.path, make_data(cfg.dataset, cfg.run_seed))


STAGES: dict[str, Callable[[Config, RunFolder], dict[str, Any]]] = {
    "search": search,
    "train_classifier": classifier_stage,
    "train_generator": generator_stage,
    "evaluate_generator": card_stage,
    "train_validity": validity_stage,
    "make_probe": probe_stage,
}

# What must be the same when a run is resumed, and what of it may differ, as it does not change what was done so far.
FIXED = {
    "search": ("run_seed", "dataset", "generator", "classifier", "strategy", "truncation", "validity", "search"),
    "train_classifier": ("run_seed", "dataset", "classifier"),
    "train_generator": ("run_seed", "dataset", "generator"),
    "train_validity": ("run_seed", "dataset", "validity"),
}
FREE_TO_CHANGE = (
    *(f"classifier.{name}" for name in ("probe_images", "min_accuracy", "retries", "wait")),
    *(f"search.{name}" for name in ("sources_per_class", "max_queries", "workers", "chunk", "concurrency")),
    "validity.judge_batch",
    *(f"generator.training.{name}" for name in ("total_images", "snapshot_images", "data_on_device")),
    *(f"generator.training.{name}" for name in ("r1_gamma", "augment", "augment_target", "augment_images")),
    *(f"generator.training.{name}" for name in ("ema_images", "ema_rampup")),
)
