"""The stage that searches: boundary inputs of a classifier, saved part by part, logged and scored."""

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latreg.classifier.adapters import AdaptedSUT
from latreg.config import Config
from latreg.errors import LatregError
from latreg.interfaces import BoundaryRecord, Source
from latreg.jobs.assembly import Parts, assemble
from latreg.jobs.checks import check_budget
from latreg.jobs.compiling import compile_once
from latreg.jobs.progress import SearchProgress
from latreg.jobs.resume import (
    check_same_gates,
    check_same_networks,
    check_same_sources,
    sources_left,
    wanted_sources,
)
from latreg.jobs.scoring import score
from latreg.jobs.sources import shard_of, write_sources
from latreg.jobs.sut_check import check_sut
from latreg.jobs.workers import find_records
from latreg.runs import records, strips
from latreg.runs.faults import image_shape
from latreg.runs.folder import RunFolder
from latreg.tracking import Tracker

log = logging.getLogger(__name__)


def search(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """Search boundary inputs, save and log them, and score what was found."""
    check_budget(cfg.search)
    saved = records.recover_records(folder.path, image_shape(cfg.dataset))
    parts = assemble(cfg)
    ids = parts.ids
    check_same_networks(saved, parts, folder)
    folder.status(weights=ids, classifier_files=parts.classifier_files)
    check_sut(cfg, parts.sut)
    wanted = wanted_sources(cfg, parts, folder)
    sources = shard_of(wanted, cfg.search.shard)
    check_same_sources(saved, sources, folder.path)
    check_same_gates(parts.measured, folder.path)
    if not parts.generator.conditional or cfg.search.uncertain_per_class:
        write_sources(folder, wanted, cfg.search.sources_per_class)
    compile_once(parts, sources, cfg.search.workers)
    count, spent = len(saved), sum(record.queries for record in saved)
    with Tracker(
        cfg.tracking, folder.config, folder.path, group=cfg.name, measured=parts.measured, weights=ids, found=saved
    ) as tracker:
        with (
            SearchProgress(len(sources), len(saved), parts.engine, spent) as progress,
            closing(searched_records(cfg, folder, parts, sources, saved)) as searched,
        ):
            for record in searched:
                tracker.log_record(record)
                progress.advance(record)
                count += 1
        found = read_in_order(folder.path, sources, count)
        results = score(cfg, found, parts.measured, parts.judge, folder.seconds(), parts.density, parts.renderer)
        strips.examples_image(found, folder.path / "examples.png", cfg.dataset.class_names)
        tracker.finish(results, ids)
    if isinstance(parts.sut, AdaptedSUT):
        folder.status(classifier=asdict(parts.sut.usage))
    return results


def searched_records(
    cfg: Config, folder: RunFolder, parts: Parts, sources: Sequence[Source], saved: Sequence[BoundaryRecord]
) -> Generator[BoundaryRecord, None, None]:
    """Search the sources that are not saved yet; records are yielded as soon as they are, and saved part by part."""
    part: list[BoundaryRecord] = []
    index = records.next_index(folder.path)
    found = find_records(cfg, parts, sources_left(sources, saved), sum(record.queries for record in saved))
    try:
        for record in found:
            part.append(record)
            yield record
            if len(part) == cfg.search.part_size:
                records.write_part(folder.path, index, part, parts.measured, cfg.dataset.class_names)
                part, index = [], index + 1
                folder.status()
    finally:  # an interrupted run keeps what it found
        if part or index == 0:
            records.write_part(folder.path, index, part, parts.measured, cfg.dataset.class_names)


def read_in_order(run_dir: Path, sources: Sequence[Source], count: int) -> list[BoundaryRecord]:
    """The saved records in the order of their sources; those of a damaged part were searched again after the others.

    Raises:
        LatregError: there are not `count` of them, so this process was not alone.
    """
    found = _with_pairs(run_dir)
    if len(found) != count:
        raise LatregError(
            f"expected {count} records in {run_dir}, got {len(found)}: another process must have written there; "
            "resume with resume=true once it has ended"
        )
    position = {source: number for number, source in enumerate(sources)}
    return sorted(found, key=lambda record: position[records.source_of(record)])


def _with_pairs(run_dir: Path) -> list[BoundaryRecord]:
    """The records, with all reported pairs if these can be read: a search does not end without its numbers for them."""
    found = list(records.read_records(run_dir))
    try:
        return list(records.with_pairs(run_dir, found))
    except LatregError as error:
        log.warning("How long a fault takes to find is not measured: %s", error)
        return found
