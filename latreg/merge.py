"""Join the shards of a search: python -m latreg.merge RUN_DIRS .. -o DIR."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from latreg.config import Config, DatasetConfig, OwnGeneratorConfig, purpose_in
from latreg.errors import LatregError
from latreg.generator.pretrained import load_generator
from latreg.interfaces import BoundaryRecord, Columns, Generator, Source
from latreg.jobs.assembly import suitable_chunk
from latreg.jobs.scoring import score
from latreg.jobs.sources import make_sources, read_sources, write_sources
from latreg.json_files import checked, read_json
from latreg.measures.tables import as_text
from latreg.runs import records, strips
from latreg.runs.faults import read_fitting
from latreg.runs.files import check_empty
from latreg.runs.folder import RunFolder, differences, read_config, read_status
from latreg.runs.provenance import changed_files
from latreg.runs.saved_config import load_run_config, with_defaults
from latreg.search.renderer import Renderer
from latreg.settings import setting
from latreg.tracking import Tracker
from latreg.validity.loading import load_class_density, load_judge

MAX_SOURCES = 2**22


class _Network(Protocol):
    id: str


T = TypeVar("T", bound=_Network)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.merge", description=__doc__)
    parser.add_argument("run_dirs", type=Path, nargs="+", help="folders of finished searches")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the joined run")
    options = parser.parse_args(arguments)
    try:
        merge(options.run_dirs, options.output)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def merge(run_dirs: Sequence[Path], output: Path) -> None:
    """Write one run's folder with the records of all, in the order of an unsharded run.

    Raises:
        LatregError: a run is not finished or has other settings, a source is missing or there twice, or the output
            holds something or cannot be written.
    """
    check_empty(output)
    cfg = load_run_config(run_dirs[0])
    found = _gather(run_dirs, cfg.dataset)
    labelled = read_sources(run_dirs[0])
    ordered = _in_order(found, labelled, cfg)
    measured = records.measured_columns(run_dirs[0])
    status = read_status(run_dirs[0])
    weights = status.get("weights", {})
    seconds = sum(_seconds(run_dir) for run_dir in run_dirs)
    folder = RunFolder(output, _command(status), seconds)
    with folder.claimed():
        config = read_config(run_dirs[0])
        config["search"]["shard"] = None
        config["resume"] = False
        folder.begin(config)
        if labelled:
            write_sources(folder, labelled, cfg.search.sources_per_class)
        for index, first in enumerate(range(0, len(ordered), cfg.search.part_size)):
            part = ordered[first : first + cfg.search.part_size]
            records.write_part(output, index, part, measured, cfg.dataset.class_names)
        results = score(cfg, ordered, measured, seconds=seconds, **_networks(cfg, weights))
        _mirror(cfg, folder, ordered, measured, results, weights)
        strips.examples_image(ordered, output / "examples.png", cfg.dataset.class_names)
        folder.write_json("metrics.json", results)
        files = status.get("classifier_files", {})
        folder.status(weights=weights, classifier_files=files, merged_from=[str(run_dir) for run_dir in run_dirs])
        folder.done()
    print(as_text(results))
    print(output)


def _in_order(found: Mapping[Source, BoundaryRecord], labelled: Sequence[Source], cfg: Config) -> list[BoundaryRecord]:
    """The records in the order of an unsharded run.

    Raises:
        LatregError: a source has none.
    """
    wanted = cfg.search.sources_per_class * len(cfg.search.classes or cfg.dataset.class_names)
    if not labelled and wanted > max(len(found), MAX_SOURCES):  # too many to be listed
        raise LatregError(f"expected {wanted} sources, but the runs hold {len(found)}")
    sources = labelled or make_sources(cfg, len(cfg.dataset.class_names))
    if missing := [source for source in sources if source not in found]:
        raise LatregError(
            f"expected {len(sources)} sources, but {len(missing)} are in none of the runs: {missing[0]} .."
        )
    return [found[source] for source in sources]


def _gather(run_dirs: Sequence[Path], dataset: DatasetConfig) -> dict[Source, BoundaryRecord]:
    """The record of each source, once the runs are known to be shards of one search.

    Raises:
        LatregError: they are not, or a source is there twice.
    """
    found: dict[Source, BoundaryRecord] = {}
    for run_dir in run_dirs:
        _check_shard(run_dir, run_dirs[0])
        for record in records.with_pairs(run_dir, read_fitting(run_dir, dataset)):
            source = records.source_of(record)
            if source in found:
                raise LatregError(f"expected each source once, but {source} is in {run_dir} again")
            found[source] = record
    return found


def _check_shard(run_dir: Path, first: Path) -> None:
    """Refuse a run that is not finished, or has other settings or weights than the first one."""
    status, first_status = read_status(run_dir), read_status(first)
    if (state := status.get("state")) != "done":
        raise LatregError(f"expected finished runs, but {run_dir} is {state}")
    expected, config = (with_defaults(read_config(folder)) for folder in (first, run_dir))
    for key, wanted, other in differences(expected, config):
        if not purpose_in(key, expected).free_in_shards:
            raise LatregError(f"{run_dir} has other settings than {first}: {key} is {other}, not {wanted}")
    before, now = first_status.get("weights", {}), status.get("weights", {})
    if others := [name for name in before | now if before.get(name) != now.get(name)]:
        files = changed_files(first_status.get("classifier_files"), status.get("classifier_files") or {})
        raise LatregError(
            f"{run_dir} was made with other weights of the {' and the '.join(others)} than {first}{files}"
        )


def _mirror(
    cfg: Config,
    folder: RunFolder,
    found: Sequence[BoundaryRecord],
    measured: Columns,
    results: dict[str, Any],
    weights: dict[str, str | None],
) -> None:
    """The joined run in Weights & Biases, as the shards were."""
    with Tracker(
        cfg.tracking, folder.config, folder.path, group=cfg.name, measured=measured, weights=weights
    ) as tracker:
        for record in found:
            tracker.log_record(record)
        tracker.finish(results, weights)


def _command(status: Mapping[str, Any]) -> str | None:
    """What searches all that the shards have searched, by the status of one; None where it does not tell."""
    return re.sub(r" search\.shard=\S+", "", status.get("command") or "") or None


@dataclass
class Metrics:
    """What is read again of a part's metrics.json."""

    seconds: float = setting(0.0, low=0)


def _seconds(run_dir: Path) -> float:
    path = run_dir / "metrics.json"
    return float(checked(read_json(path), str(path), Metrics)["seconds"])


def _networks(cfg: Config, ids: Mapping[str, str | None]) -> dict[str, Any]:
    """What `score` looks into faults with, None where it is not what the runs had."""
    device = torch.device("cpu")
    judge = _same("judge", ids, lambda: load_judge(cfg, device))
    density = _same("density", ids, lambda: load_class_density(cfg, device))
    generator = _same("generator", ids, lambda: _generator(cfg, device))
    truncation = cfg.truncation
    renderer = generator and Renderer(generator, truncation.center, truncation.cutoff, suitable_chunk(generator))
    return {"judge": judge, "density": density, "renderer": renderer}


def _generator(cfg: Config, device: torch.device) -> Generator | None:
    """That of the runs; None where it is code, as no code is run that a folder names."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        return None
    return load_generator(cfg.generator, cfg.dataset, device)


def _same(kind: str, ids: Mapping[str, str | None], load: Callable[[], T | None]) -> T | None:
    """A network of the runs; None where they had none, or its weights are not on this machine any more."""
    try:
        network = load()
    except LatregError as error:
        print(f"Not all of the faults' numbers are measured: {error}", file=sys.stderr)
        return None
    if network is not None and network.id != ids.get(kind):
        print(f"Not all of the faults' numbers are measured: the {kind} has other weights by now", file=sys.stderr)
        return None
    return network


if __name__ == "__main__":
    sys.exit(main())
