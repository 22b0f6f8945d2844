"""A search of the linear toys: sources, an engine, and what of a result must always be the same."""

from dataclasses import replace

import numpy as np
import torch

from latreg.data.images import to_unit
from latreg.interfaces import Source
from latreg.search.criteria import BaselineGate
from latreg.search.engine import Engine, Limits
from latreg.search.outcome import RunContext
from latreg.search.renderer import Renderer
from latreg.search.truncation import Fixed
from tests.helpers.toys import LinearGenerator, LinearSUT, LinearWhiteBox, ScriptedAppraiser

SOURCES = [Source(label, z_seed) for z_seed in range(8) for label in range(3)]


CONTEXT = RunContext(0, "toy", "mixing", "none", "global", None, "generator", "sut", "judge", None, None, None, 0.01)


class BiasedJudge(ScriptedAppraiser):
    """A linear judge that is fonder of some classes than the SUT is, so its boundaries lie elsewhere."""

    def __init__(self, fondness=(3.0, 0.0, -3.0)):
        super().__init__()
        self.sut = LinearSUT(LinearGenerator())
        self.sut.bias = self.sut.bias + torch.tensor(fondness)

    def __call__(self, pairs):
        images = to_unit(torch.from_numpy(np.stack([pair.candidate.image for pair in pairs])))
        kept = [int(p.argmax()) == pair.source.label for p, pair in zip(self.sut(images), pairs, strict=True)]
        return [replace(v, valid=k) for v, k in zip(super().__call__(pairs), kept, strict=True)]


def make_engine(
    strategy,
    *,
    chunk=16,
    center="class",
    truncation=None,
    limits=None,
    appraiser=None,
    gate=None,
    sharpness=20.0,
    severity_steps=0,
):
    generator = LinearGenerator()
    sut = LinearSUT(generator, sharpness)
    return Engine(
        Renderer(generator, center, None, chunk),
        sut,
        appraiser or ScriptedAppraiser(),
        truncation or Fixed(1.0),
        gate or BaselineGate(),
        strategy,
        limits or Limits(max_queries_per_source=40),
        severity_steps,
        LinearWhiteBox(generator, sut),
    )


def outcome(search):
    """What must not depend on how a run was executed."""
    pair = search.pair and (search.pair.first.proposal, search.pair.last and search.pair.last.proposal)
    return search.source, search.rejected_because, search.queries, search.stopped_by_budget, pair
