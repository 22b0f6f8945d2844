"""The engine: runs many searches side by side, renders, queries the SUT, appraises, and counts every query.

Each search is a coroutine over one source. A round gathers what all live searches ask, renders and classifies it in
full batches, and tells each its share; so all bisections advance in lockstep and finished searches leave. A search that
asks for a verdict waits for others that do. No search sees another, so the results do not depend on batch size or on
what runs beside it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from latreg.data.images import to_unit
from latreg.errors import LatregError, NotFiniteError
from latreg.interfaces import (
    SUT,
    Appraisal,
    Appraise,
    Ask,
    BoundaryPair,
    Evaluation,
    Finding,
    Query,
    Report,
    Source,
    Strategy,
    Tell,
    Verdict,
)
from latreg.search.criteria import BaselineGate
from latreg.search.protocol import BudgetSpentError, Search, answering, appraise
from latreg.search.recipes import Request, check_proposal
from latreg.search.renderer import Renderer
from latreg.search.severity import most_severe
from latreg.search.truncation import Truncation

SUT_BATCH = 16  # images per call at least, where there are so many: a SUT is smaller than a generator
VERDICTS_AT_ONCE = 8  # at least, where so many searches are alive: a judge takes longer for each of a few images
Appraiser = Callable[[Sequence[Appraisal]], list[Verdict]]
Slopes = Callable[[Tensor, int], np.ndarray]  # w (1, L, w_dim) and a class => gradient (w_dim,)


@dataclass(eq=False)
class SourceSearch:
    """One source: its coroutine, what it asks now, and what it has found so far.

    Args:
        severity_steps: queries at most from a valid boundary pair to its most severe point, 0 = it is not looked for.
    """

    source: Source
    max_queries: int
    severity_steps: int = 0
    queries: int = 0
    appraisals: int = 0
    start: Evaluation | None = None
    rejected_because: str | None = None
    findings: list[Finding] = field(default_factory=list)
    best: Finding | None = None
    stopped_by_budget: bool = False
    done: bool = False
    ask: Ask = field(default_factory=Ask)
    _coroutine: Search[None] | None = None

    def begin(self, truncation: Truncation, gate: BaselineGate, strategy: Strategy) -> None:
        """Start the coroutine: place the source, then search from there."""
        self._coroutine = self._script(truncation, gate, strategy)
        self._advance(next)

    def tell(self, answer: Tell) -> None:
        """Answer what was asked, and take the next question."""
        self.appraisals += isinstance(self.ask, Appraise)
        self._advance(lambda coroutine: coroutine.send(answer))

    @property
    def pair(self) -> BoundaryPair | None:
        """The best one."""
        return None if self.best is None else self.best.pair

    @property
    def verdict(self) -> Verdict | None:
        """That on the best pair."""
        return None if self.best is None else self.best.verdict

    def _script(self, truncation: Truncation, gate: BaselineGate, strategy: Strategy) -> Search[None]:
        placement = yield from truncation.place(self.source, gate)
        self.start, self.rejected_because = placement.start, placement.rejected_because
        worthwhile = self.rejected_because is None and not gate.passes_over(self.start)
        if worthwhile or not strategy.needs_accepted:
            yield from answering(strategy.search(self.source, self.start), self._found)

    def _advance(self, step: Callable[[Search[None]], Ask]) -> None:
        assert self._coroutine is not None
        try:
            self.ask = step(self._coroutine)
            while self.queries + self.ask.cost > self.max_queries:
                self.stopped_by_budget = True
                self.ask = self._coroutine.throw(BudgetSpentError)
            self.queries += self.ask.cost
        except (StopIteration, BudgetSpentError):
            self.done = True

    def _found(self, report: Report) -> Search[Finding]:
        """Judge a pair and walk on from it where it is valid."""
        verdict = yield from appraise(report.start, report.pair.first, recorded=True)
        before, severe = self.queries, None
        if verdict.valid and self.severity_steps:
            severe = yield from most_severe(report.start, report.pair, verdict, self.severity_steps)
        found = Finding(report.pair, verdict, severe, before, self.queries - before)
        self.findings.append(found)
        if self.best is None or worth(found) > worth(self.best):
            self.best = found
        return found


def worth(found: Finding) -> tuple[bool, bool, bool, float]:
    """Valid, then robust, then screened, then of a narrow bracket; of equals the first found is kept."""
    return found.valid, found.robust, found.screened, -found.pair.width


@dataclass(frozen=True)
class Limits:
    """Budgets in queries, and how many searches run side by side."""

    max_queries: int | None = None
    max_queries_per_source: int = 1000
    concurrency: int = 200


class Engine:
    """Runs one strategy over sources.

    Attributes:
        queries: images shown to the SUT so far, those of searches still under way included.
        ended: queries of each source whose search has ended, those that wait for an earlier one to be yielded included.
        live: queries so far of each that is under way.
        on_round: called after each round, to show progress.
    """

    def __init__(
        self,
        renderer: Renderer,
        sut: SUT,
        appraise: Appraiser,
        truncation: Truncation,
        gate: BaselineGate,
        strategy: Strategy,
        limits: Limits,
        severity_steps: int = 0,
        slopes: Slopes | None = None,
    ) -> None:
        self.renderer = renderer
        self.sut = sut
        self.appraise = appraise
        self.truncation = truncation
        self.gate = gate
        self.strategy = strategy
        self.limits = limits
        self.severity_steps = severity_steps
        self.slopes = slopes
        self.queries = 0
        self.ended: list[int] = []
        self.live: list[int] = []
        self.on_round: Callable[[], None] = lambda: None

    def run(self, sources: Iterable[Source], spent: int = 0) -> Iterator[SourceSearch]:
        """Search the sources and yield them finished, in their order.

        The budget of the whole run counts as if sources were searched one after another, whatever runs side by side.

        Args:
            spent: queries of an interrupted run's sources, which count towards the budget.
        """
        waiting = iter(sources)
        window: deque[SourceSearch] = deque()
        while True:
            self._admit(waiting, window, spent)
            if not window:
                return
            live = [search for search in window if not search.done]
            self._round(live)
            self.ended += [search.queries for search in live if search.done]
            self.live = [search.queries for search in live if not search.done]
            self.on_round()
            while window and window[0].done:
                search = window.popleft()
                spent += search.queries
                if search.start is not None:
                    yield search

    def _admit(self, waiting: Iterator[Source], window: deque[SourceSearch], spent: int) -> None:
        """Start searches while there is room and budget."""
        live = sum(not search.done for search in window)
        while live < self.limits.concurrency and len(window) < 4 * self.limits.concurrency:
            cap = self._next_cap(window, spent)
            if cap <= 0 or (source := next(waiting, None)) is None:
                return
            search = SourceSearch(source, cap, self.severity_steps)
            search.begin(self.truncation, self.gate, self.strategy)
            window.append(search)
            live += not search.done

    def _next_cap(self, window: deque[SourceSearch], spent: int) -> int:
        """Queries that the next source may cost; 0 = not known before the searches under way are finished."""
        per_source = self.limits.max_queries_per_source
        if self.limits.max_queries is None:
            return per_source
        promised = sum(search.queries if search.done else search.max_queries for search in window)
        left = self.limits.max_queries - spent - promised
        if left >= per_source:
            return per_source
        return left if all(search.done for search in window) else 0

    def _round(self, live: list[SourceSearch]) -> None:
        waiting = [search for search in live if search.ask.appraisal]
        sloping = [(search, at) for search in live if (at := search.ask.slope_at)]
        querying = [search for search in live if isinstance(search.ask, Query)]
        if waiting and len(waiting) >= min(VERDICTS_AT_ONCE, len(live)):
            verdicts = self._verdicts(waiting)
            for search, verdict in zip(waiting, verdicts, strict=True):
                search.tell(verdict)
        for search, proposal in sloping:
            search.tell(self._slope(Request(search.source, proposal)))
        asked = [[Request(search.source, proposal) for proposal in search.ask.proposals] for search in querying]
        answers = iter(self.evaluate([request for requests in asked for request in requests]))
        for search, requests in zip(querying, asked, strict=True):
            search.tell([next(answers) for _ in requests])

    def _verdicts(self, waiting: Sequence[SourceSearch]) -> list[Verdict]:
        try:
            return self.appraise([search.ask.appraisal for search in waiting if search.ask.appraisal])
        except NotFiniteError as error:
            raise _to_image_of(waiting[error.image].source, error) from error

    def evaluate(self, requests: Sequence[Request]) -> list[Evaluation]:
        """Render, show to the SUT and count.

        Raises:
            LatregError: a request has a recipe that says something else than would be rendered, or the SUT fails.
        """
        if not requests:
            return []
        for request in requests:
            check_proposal(request.proposal, self.renderer.generator)
        images = self.renderer.render(requests)
        probabilities: list[np.ndarray] = []
        for batch in torch.split(images, self._sut_batch):
            asked = requests[len(probabilities) :]
            probabilities += self._answers(batch, [request.source for request in asked[: len(batch)]])
            self.queries += len(batch)
        return [
            Evaluation(request.proposal, request.source.label, image.copy(), p)
            for request, image, p in zip(requests, images.cpu().numpy(), probabilities, strict=True)
        ]

    def measure(self, images: Sequence[np.ndarray], source: Source) -> list[np.ndarray]:
        """The SUT's probabilities (K,) for images (C, H, W) uint8 of a source; no search spends these queries."""
        batches = torch.split(torch.from_numpy(np.stack(images)), self._sut_batch)
        return [answer for batch in batches for answer in self._answers(batch, [source] * len(batch))]

    def _slope(self, request: Request) -> np.ndarray:
        """One at a time, so that it does not depend on others."""
        assert self.slopes is not None, "a strategy that asks for gradients says needs_slopes"
        self.queries += 1
        return self.slopes(self.renderer.compose([request]), request.source.label)

    @property
    def _sut_batch(self) -> int:
        return max(self.renderer.chunk, SUT_BATCH)

    def _answers(self, images: Tensor, sources: Sequence[Source]) -> list[np.ndarray]:
        try:
            return list(self.sut(to_unit(images)).float().cpu().numpy())
        except NotFiniteError as error:
            raise _to_image_of(sources[error.image], error) from error


def _to_image_of(source: Source, error: NotFiniteError) -> LatregError:
    return LatregError(f"{error} to an image of class {source.label}, z_seed {source.z_seed}")
