"""Sources that are chosen because the SUT is not sure of them, beside those that are drawn.

A good SUT is uncertain of hardly any source, so a drawn sample says little about that stratum. Chosen sources fill it:
the first z_seeds of each class, from `CHOSEN_FROM` on, that are accepted and uncertain without truncation. They depend
on generator and SUT alone, so all strategies and truncations search the same ones. They are counted apart, since they
are no fair sample of what the generator makes.
"""

import logging
from collections.abc import Callable, Sequence

from latreg.interfaces import BoundaryRecord, Evaluation, Proposal, Source
from latreg.search.criteria import BaselineGate, stratum
from latreg.search.recipes import Request

log = logging.getLogger(__name__)

CHOSEN_FROM = 2**24  # above the first z_seed, so that drawn sources do not reach it
BATCH = 64  # images at once
LOOKS = 400  # z_seeds that are looked at for each wanted source, at most


def choose_uncertain(
    evaluate: Callable[[Sequence[Request]], list[Evaluation]],
    gate: BaselineGate,
    classes: Sequence[int],
    per_class: int,
    first_z_seed: int,
    confident_below: float,
) -> list[Source]:
    """So many accepted, uncertain sources of each class; classes take turns.

    Args:
        evaluate: renders and queries, each request for one query.
        gate: what accepts a source.
        classes: the wanted ones. One that the SUT is always sure of may have fewer sources, which is logged.
        per_class: sources of each.
        first_z_seed: of the drawn sources.
        confident_below: a source is uncertain where its second class has at least this probability.
    """

    def wanted(evaluation: Evaluation) -> bool:
        return gate.rejects(evaluation) is None and stratum(evaluation, confident_below) == "uncertain"

    found: list[list[Source]] = []
    for label in classes:
        chosen: list[Source] = []
        looked = 0
        while len(chosen) < per_class and looked < LOOKS * per_class:
            sources = [Source(label, first_z_seed + CHOSEN_FROM + looked + i) for i in range(BATCH)]
            answers = evaluate([Request(source, Proposal(1.0)) for source in sources])
            chosen += [source for source, answer in zip(sources, answers, strict=True) if wanted(answer)]
            looked += BATCH
        if len(chosen) < per_class:
            log.warning("class %d: only %d of %d z_seeds are uncertain", label, len(chosen), looked)
        found.append(chosen[:per_class])
    return [sources[i] for i in range(per_class) for sources in found if i < len(sources)]


def split_chosen(
    records: Sequence[BoundaryRecord], first_z_seed: int
) -> tuple[list[BoundaryRecord], list[BoundaryRecord]]:
    """Records of the drawn sources of a run, and of the chosen ones."""
    first_chosen = first_z_seed + CHOSEN_FROM
    drawn = [record for record in records if record.z_seed < first_chosen]
    return drawn, [record for record in records if record.z_seed >= first_chosen]
