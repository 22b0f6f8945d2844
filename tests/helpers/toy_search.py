"""A search of the linear toys: sources, an engine, and what of a result must always be the same."""

from latreg.interfaces import Source
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.renderer import Renderer
from latreg.search.truncation import Fixed
from tests.helpers.toys import LinearGenerator, LinearSUT, ScriptedAppraiser

SOURCES = [Source(label, z_seed) for z_seed in range(8) for label in range(3)]


def make_engine(
    strategy, *, chunk=16, center="class", truncation=None, limits=None, appraiser=None, gate=None, sharpness=20.0
):
    generator = LinearGenerator()
    return Engine(
        Renderer(generator, center, None, chunk),
        LinearSUT(generator, sharpness),
        appraiser or ScriptedAppraiser(),
        truncation or Fixed(1.0),
        gate or BaselineGate(),
        strategy,
        limits or Limits(max_queries_per_source=40),
    )


def outcome(search):
    """What must not depend on how a run was executed."""
    pair = search.pair and (search.pair.first.proposal, search.pair.last and search.pair.last.proposal)
    return search.source, search.rejected_because, search.queries, search.stopped_by_budget, pair
