"""Code for the CPU at hand: it is compiled once, by one process, which says so."""

import logging
from collections.abc import Sequence
from pathlib import Path

from latreg.compute import kernels
from latreg.interfaces import Proposal, Source
from latreg.jobs.assembly import Parts
from latreg.search.recipes import Request
from latreg.search.reuse import LayerwiseGenerator

log = logging.getLogger(__name__)


def compile_once(parts: Parts, sources: Sequence[Source], workers: int) -> None:
    """Say so where the search will compile; where several workers would all do it, do it before them."""
    compiles = isinstance(parts.generator, LayerwiseGenerator) and parts.generator.w_avg.device.type == "cpu"
    if not compiles or not sources or _are_kept():
        return
    log.info("compiling convolutions for this CPU, once: 10 to 30 s")
    if workers > 1:
        parts.renderer.render([Request(sources[0], Proposal(1.0))])  # asks for all of them


def _are_kept() -> bool:
    """Whether an earlier process has compiled and kept them."""
    folder = kernels.same.stats.cache_path  # type: ignore[attr-defined]
    return folder is not None and any(Path(folder).glob("kernels.*.nbc"))
