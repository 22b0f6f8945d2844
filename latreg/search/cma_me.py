"""CMA-ME: evolution that fills a map of images with those of the least margin (Fontaine et al., arXiv 1912.02400)."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from latreg.errors import LatregError
from latreg.interfaces import Evaluation, Latent, Proposal, Source, Strategy
from latreg.search.boundary import find_boundary
from latreg.search.protocol import Search, query_one, report

BRIGHT = 0.5  # from this level on, of 0 to 1, a pixel is a bright one


@dataclass(frozen=True)
class CMAME(Strategy):
    """Quality diversity in z by an improvement emitter of pyribs, whose objective is minus the SUT's margin.

    It draws a generation around the source's z and learns mean and covariance from those that open a cell of the map,
    then from those that lower the margin of one; it starts again from a cell's best when a generation does neither.
    The axes of the map need no judge: boldness and lightness, as in pyribs' own search of an MNIST GAN. Both count from
    the source's image on, so that a map with few cells is fine where the images of a source lie.

    The first wrong image of each cell leads to a boundary, on the straight line from the source. The map lives inside
    its source.

    Args:
        sigma: standard deviation of the first generation in each coordinate, that of z itself being 1.
        population: images of a generation.
        generations: at most.
        cells: of the map along each axis.
        reach: of the map to both sides of the source's image; what lies beyond counts to the outermost cells.
        bisection_steps: to a boundary.
        root_finder: bisection or itp.
        until: what a pair must be to end the search of its source: flipped, screened, valid or robust; None = it
            goes on with its map.
        run_seed: draws everything, together with the source.
    """

    sigma: float
    population: int
    generations: int
    cells: int
    reach: float
    bisection_steps: int
    root_finder: str
    until: str | None
    run_seed: int
    name: str = "cma_me"
    z_dim: int = 0

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        import_ribs()
        return replace(self, z_dim=z_dim)

    def search(self, source: Source, start: Evaluation) -> Search[None]:
        emitter = self._emitter(np.random.default_rng([self.run_seed, source.label, source.z_seed]))
        origin, wrong_cells = measures(start), set[int]()
        for _ in range(self.generations):
            offsets = emitter.ask()
            objectives, places = [], []
            for offset in offsets:
                image = yield from query_one(_moved(start, offset))
                objectives.append(-image.margin)
                places.append(measures(image) - origin)
                (cell,) = emitter.archive.index_of(places[-1:]).tolist()
                if image.flipped and cell not in wrong_cells:
                    wrong_cells.add(cell)
                    if (yield from self._enough(start, image, offset)):
                        return
            emitter.tell(offsets, objectives, places, emitter.archive.add(offsets, objectives, places))

    def _enough(self, start: Evaluation, end: Evaluation, offset: np.ndarray) -> Search[bool]:
        """Report the pair on the way to a wrong image, and say whether the search may end with it."""
        pair = yield from find_boundary(
            lambda alpha: _moved(start, alpha * offset),
            (0.0, start),
            (1.0, end),
            self.bisection_steps,
            root_finder=self.root_finder,
        )
        found = yield from report(start, pair)
        return self.until is not None and found.reaches(self.until)

    def _emitter(self, rng: np.random.Generator) -> Any:
        """An improvement emitter of a map of its own."""
        grid_archive, evolution_strategy_emitter = import_ribs()
        archive_seed, emitter_seed = rng.integers(2**31, size=2).tolist()
        archive = grid_archive(
            solution_dim=self.z_dim,
            dims=[self.cells] * 2,
            ranges=[(-self.reach, self.reach)] * 2,
            solution_dtype=np.float32,
            objective_dtype=np.float64,
            measures_dtype=np.float64,
            seed=archive_seed,
        )
        return evolution_strategy_emitter(
            archive,
            x0=np.zeros(self.z_dim),
            sigma0=self.sigma,
            ranker="2imp",
            batch_size=self.population,
            seed=emitter_seed,
        )


def measures(image: Evaluation) -> np.ndarray:
    """Boldness, the share of bright pixels, and lightness, their mean level (0 where there are none): (2,)."""
    levels = image.image.mean(axis=0) / 255
    bright = levels[levels >= BRIGHT]
    return np.array([bright.size / levels.size, bright.mean() if bright.size else 0.0])


def _moved(start: Evaluation, offset: np.ndarray) -> Proposal:
    return Proposal(start.proposal.psi, latent=Latent.of("z", offset))


def import_ribs() -> tuple[Any, Any]:
    """pyribs' GridArchive and EvolutionStrategyEmitter.

    Its functions are left to numpy: numba would compile them for some nine seconds in each process, and what a source
    takes would stay the same.

    Raises:
        LatregError: pyribs is not there.
    """
    import numba

    compiling: Any = numba.config
    as_before = compiling.DISABLE_JIT
    compiling.DISABLE_JIT = True  # which decorators obey when they are run, so no function that exists changes
    try:
        from ribs.archives import GridArchive
        from ribs.emitters import EvolutionStrategyEmitter
    except ImportError as error:
        raise LatregError(f"strategy=cma_me needs an extra: pip install 'latreg[baselines]' ({error})") from error
    finally:
        compiling.DISABLE_JIT = as_before
    return GridArchive, EvolutionStrategyEmitter
