"""How a peer searches one source: what it may ask, and what becomes of what it finds."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.naive import NaiveNetworks
from latreg.classifier.sut import TorchSUT
from latreg.interfaces import Appraisal, BoundaryPair, Evaluation, Finding, Proposal, Source
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Appraiser, SourceSearch, worth
from latreg.search.latent import layer_alphas, mix
from latreg.search.protocol import BudgetSpentError
from latreg.search.recipes import partner_of

PARTNERS = 256  # whose w is remembered


@dataclass(frozen=True)
class Subject:
    """What all peers search.

    Args:
        networks: what renders and answers those that work in the latent space, as published code does.
        sut: latreg's, which answers attacks on pixels.
        max_queries: of each source.
    """

    networks: NaiveNetworks
    sut: TorchSUT
    max_queries: int


class Questions:
    """All that a search asks of the SUT about one source; each image is a query, and so is each gradient."""

    def __init__(self, subject: Subject, source: Source) -> None:
        self.networks, self.sut, self.max_queries = subject.networks, subject.sut, subject.max_queries
        self.source = source
        self.queries = 0
        self._latent = lru_cache(PARTNERS)(self.networks.latent)

    def spend(self, queries: int, keep: int = 0) -> None:
        """Count what is about to be asked.

        Args:
            keep: so many must be left behind it.

        Raises:
            BudgetSpentError: there are not so many left.
        """
        if self.queries + queries + keep > self.max_queries:
            raise BudgetSpentError
        self.queries += queries

    def about(self, *proposals: Proposal) -> list[Evaluation]:
        """Render images and show them to the SUT, all in one call."""
        self.spend(len(proposals))
        answers = self.networks.show(torch.cat([self._w(proposal) for proposal in proposals]))
        return [
            Evaluation(proposal, self.source.label, image, p)
            for proposal, image, p in zip(proposals, *answers, strict=True)
        ]

    def _w(self, proposal: Proposal) -> Tensor:
        w = self._latent(self.source, proposal.psi)
        if (partner := partner_of(proposal)) is None:
            return w
        return mix(w, self._latent(partner, proposal.psi), layer_alphas([proposal], self.networks.network.num_ws))


class Peer(Protocol):
    """A search of one source."""

    def search(self, start: Evaluation, ask: Questions) -> Iterator[BoundaryPair]:
        """Yield what is found from an image that is classified right, until the search ends or its budget is spent."""
        ...


def search_all(peer: Peer, sources: Sequence[Source], subject: Subject, appraise: Appraiser) -> list[SourceSearch]:
    """Search source by source, then judge all that was found, as the engine judges what is reported to it."""
    searched = [_search(peer, source, subject) for source in sources]
    found = [(search, pair) for search, pairs in searched for pair in pairs]
    verdicts = appraise([Appraisal(search.start, pair.first) for search, pair in found if search.start])
    for (search, pair), verdict in zip(found, verdicts, strict=True):
        search.findings.append(Finding(pair, verdict, queries=search.queries))
    for search, _ in searched:
        search.best = max(search.findings, key=worth, default=None)
    return [search for search, _ in searched]


def _search(peer: Peer, source: Source, subject: Subject) -> tuple[SourceSearch, list[BoundaryPair]]:
    ask = Questions(subject, source)
    (start,) = ask.about(Proposal(1.0))
    search = SourceSearch(source, subject.max_queries, start=start, rejected_because=BaselineGate().rejects(start))
    pairs: list[BoundaryPair] = []
    if search.rejected_because is None:
        with suppress(BudgetSpentError):
            for pair in peer.search(start, ask):
                pairs.append(pair)
    search.queries = ask.queries
    return search, pairs
