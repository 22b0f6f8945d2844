"""Where searches run: in this process, or in workers of one thread (CPU) or one GPU each.

Sources are searched independently of each other, so the records do not depend on any of this.
"""

import math
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

import torch

from latreg.classifier.adapters.adapted import AdaptedSUT, Usage
from latreg.compute.memory import keep_freed_memory
from latreg.config import Config
from latreg.errors import LatregError
from latreg.interfaces import SUT, BoundaryRecord, Source
from latreg.jobs.assembly import Parts, assemble
from latreg.search.outcome import RunContext, to_record
from latreg.search.stability import stability_of

BLOCKS_PER_WORKER = 4  # sources are dealt out in blocks: large for full batches, several for an even load
BLOCK_RANGE = (16, 100)
BLOCKS_AHEAD = 2  # per worker, so that it finds another block while the records of this one wait for earlier ones
Block = tuple[list[BoundaryRecord], Usage]  # what was found, and what was asked of a classifier that counts it
TOLD_BY_PARENT = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # a terminal or a scheduler signals workers too


def find_records(cfg: Config, parts: Parts, sources: Sequence[Source], spent: int) -> Iterator[BoundaryRecord]:
    """Search the sources; records come in their order.

    Args:
        cfg: of the run.
        parts: its networks and engine; workers load their own.
        sources: those still to be searched.
        spent: queries of the run so far, which count towards its budget.

    Raises:
        LatregError: a worker died.
    """
    if cfg.search.workers == 1:
        return _searched(cfg, parts, sources, spent)
    return _in_workers(cfg, sources, parts.sut)


def _searched(cfg: Config, parts: Parts, sources: Sequence[Source], spent: int = 0) -> Iterator[BoundaryRecord]:
    """Records of this process, with the stability of what was found."""
    context = make_context(cfg, parts)
    for finished in parts.engine.run(sources, spent):
        stability = stability_of(finished, parts.engine.measure) if cfg.validity.stability else None
        yield to_record(finished, context, stability)


def make_context(cfg: Config, parts: Parts) -> RunContext:
    """What all rows of the run share."""
    return RunContext(
        run_seed=cfg.run_seed,
        dataset=cfg.dataset.name,
        strategy=cfg.strategy.name,
        truncation=cfg.truncation.direction if cfg.truncation.mode == "adaptive" else cfg.truncation.mode,
        center=cfg.truncation.center,
        cutoff=cfg.truncation.cutoff,
        generator_id=parts.generator.id,
        sut_id=parts.sut.id,
        judge_id=parts.judge.id if parts.judge else None,
        vae_id=parts.vae.id if parts.vae else None,
        held_out_id=parts.held_out.id if parts.held_out else None,
        density_id=parts.density.id if parts.density else None,
        confident_below=cfg.search.confident_below,
    )


def _in_workers(cfg: Config, sources: Sequence[Source], sut: SUT) -> Iterator[BoundaryRecord]:
    """Records of the workers; what they ask of a classifier that counts it is added to its usage."""
    size = math.ceil(len(sources) / (cfg.search.workers * BLOCKS_PER_WORKER))
    size = min(max(size, BLOCK_RANGE[0]), BLOCK_RANGE[1])
    blocks = [sources[first : first + size] for first in range(0, len(sources), size)]
    with _workers(cfg) as pool:
        waiting: deque[Future[Block]] = deque()
        for block in blocks:
            if len(waiting) == cfg.search.workers * BLOCKS_AHEAD:
                yield from _counted(waiting.popleft().result(), sut)
            waiting.append(pool.submit(_search_block, block))
        while waiting:
            yield from _counted(waiting.popleft().result(), sut)


def _counted(block: Block, sut: SUT) -> list[BoundaryRecord]:
    records, usage = block
    if isinstance(sut, AdaptedSUT):
        sut.usage.add(usage)
    return records


@contextmanager
def _workers(cfg: Config) -> Iterator[ProcessPoolExecutor]:
    """A pool of workers; those still at work when the block is left by an error or early are killed."""
    spawn = multiprocessing.get_context("spawn")  # a forked process inherits torch's threads in an unknown state
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(cfg.search.workers, spawn, _start_worker, (cfg, spawn.Value("i", 0))) as pool:
        try:
            yield pool
        except BaseException as error:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            if isinstance(error, BrokenProcessPool):
                raise LatregError(
                    "a worker died before its work was done, perhaps killed or out of memory (its message, if any, is "
                    "above); resume with resume=true, if necessary with fewer search.workers"
                ) from error
            raise


_worker: tuple[Config, Parts] | None = None  # of this process, if it is a worker


def _start_worker(cfg: Config, counter: "Synchronized[int]") -> None:
    """Load the networks once per worker; worker i takes GPU i where there are GPUs."""
    global _worker  # noqa: PLW0603 - a pool gives its tasks no other place
    _obey_parent()
    keep_freed_memory()
    torch.set_num_threads(1)
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    if cfg.device == "auto" and torch.cuda.is_available():
        cfg.device = f"cuda:{number % torch.cuda.device_count()}"
    _worker = cfg, assemble(cfg)


def _obey_parent() -> None:
    """End with the process that started this one, however that ends, and not before it says so."""
    for name in TOLD_BY_PARENT:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _search_block(sources: Sequence[Source]) -> Block:
    assert _worker is not None
    cfg, parts = _worker
    records = list(_searched(cfg, parts, sources))
    usage = Usage()
    if isinstance(parts.sut, AdaptedSUT):
        usage, parts.sut.usage = parts.sut.usage, usage
    return records, usage
