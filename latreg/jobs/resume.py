"""Where an interrupted search goes on: with the same networks, sources and gates, and with what is not saved yet."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from latreg.config import Config
from latreg.errors import ResumeRefusedError
from latreg.interfaces import BoundaryRecord, Columns, Source
from latreg.jobs.assembly import Parts
from latreg.jobs.sources import find_sources, read_sources
from latreg.runs import records
from latreg.runs.folder import RunFolder
from latreg.runs.provenance import changed_files

RECORDED = {of.name for of in fields(BoundaryRecord)}


def wanted_sources(cfg: Config, parts: Parts, folder: RunFolder) -> list[Source]:
    """Those that the configuration asks for; where networks chose them, as they were chosen when the run began."""
    kept = read_sources(folder.path, cfg.search.sources_per_class) if cfg.resume else []
    return kept or find_sources(cfg, parts)


def sources_left(sources: Sequence[Source], saved: Sequence[BoundaryRecord]) -> list[Source]:
    """The sources that have no record yet."""
    done = {records.source_of(record) for record in saved}
    return [source for source in sources if source not in done]


def check_same_networks(saved: Sequence[BoundaryRecord], parts: Parts, folder: RunFolder) -> None:
    """Refuse to go on with other networks than those of the saved records."""
    for name, now in parts.ids.items():
        used = _used(name, now, saved, folder)
        if used != now:
            before = folder.resumed.get("classifier_files")
            files = changed_files(before, parts.classifier_files) if name == "sut" else ""
            raise ResumeRefusedError(
                f"resume=true needs the weights of {folder.path}, but the {name} was {_short(used)} and is now "
                f"{_short(now)}{files}"
            )


def _used(name: str, now: str | None, saved: Sequence[BoundaryRecord], folder: RunFolder) -> str | None:
    """The id of a network in the saved records, another one than now's if there is one.

    That of a gate's network is no field of a record: it stands in status.json.
    """
    if f"{name}_id" in RECORDED:
        return next((id for record in saved if (id := getattr(record, f"{name}_id")) != now), now)
    before: dict[str, str | None] = folder.resumed.get("weights", {}) if saved else {}
    return before.get(name, now)


def check_same_sources(saved: Sequence[BoundaryRecord], sources: Sequence[Source], folder: Path) -> None:
    """Refuse to go on with fewer sources than those of the saved records."""
    if foreign := {records.source_of(record) for record in saved} - set(sources):
        raise ResumeRefusedError(
            f"resume=true needs the sources of {folder} or more, but {len(foreign)} of its {len(saved)} are not "
            f"among the {len(sources)} of this search"
        )


def check_same_gates(measured: Columns, folder: Path) -> None:
    """Refuse to go on with gates that measure something else than the saved parts hold."""
    before = records.measured_columns(folder) if records.part_paths(folder) else measured
    if list(before.items()) != list(measured.items()):
        raise ResumeRefusedError(
            f"resume=true needs the gates of {folder}, but they measured {', '.join(before)} and now measure "
            f"{', '.join(measured)}"
        )


def _short(id: str | None) -> str:
    return "none" if id is None else id[:12]
