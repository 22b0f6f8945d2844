"""The contracts between the parts. N = batch, K = classes, L = num_ws.

Images between parts are float32 in [0, 1], NCHW; what is saved and shown to the SUT is their 8-bit version.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Generator as Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

if TYPE_CHECKING:  # readers of records need no torch
    from torch import Tensor


class Generator(Protocol):
    """A generator with an intermediate latent space and constant noise."""

    id: str  # sha256 of the weights
    conditional: bool  # False = it knows no classes: `map` ignores c, and a source takes the class that the judge sees
    num_classes: int  # of the data set
    num_ws: int
    z_dim: int
    w_avg: Tensor  # (w_dim,), mean over all classes
    w_avg_class: Tensor  # (K, w_dim); where it knows no classes, w_avg K times

    def map(self, z: Tensor, c: Tensor) -> Tensor:
        """Latents z (N, z_dim) and class numbers c (N,) => w (N, L, w_dim), without truncation."""
        ...

    def synthesize(self, w: Tensor) -> Tensor:
        """w (N, L, w_dim) => images (N, C, H, W)."""
        ...


class SUT(Protocol):
    """The system under test. It normalizes inside, is deterministic and does not record gradients."""

    id: str  # sha256 of the weights
    num_classes: int

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) => probabilities (N, K)."""
        ...


CHOSEN_FROM = 2**24  # above the first z_seed: from here on sources are chosen because the SUT is unsure, not drawn
Z_SEEDS = 2 * CHOSEN_FROM  # those that a run draws or chooses lie below this, above the first one


@dataclass(frozen=True)
class Source:
    """A starting point: the class and the seed of its latent z."""

    label: int
    z_seed: int


SPACES = ("z", "w", "alphas")


@dataclass(frozen=True)
class Latent:
    """Numbers that no seed draws, and what they are.

    Attributes:
        space: z = they are added to the source's z; w = to its w on all layers, behind the truncation; alphas = one for
            each layer, which replaces the source's w by (1 - alpha) w_source + alpha w_partner.
        values: float32 numbers: z_dim, w_dim or num_ws of them.
    """

    space: str  # one of SPACES
    values: tuple[float, ...]

    @classmethod
    def of(cls, space: str, values: np.ndarray) -> Self:
        """The latent of an array, rounded to float32."""
        return cls(space, tuple(values.astype(np.float32).tolist()))


@dataclass(frozen=True)
class Proposal:
    """A recipe for one image, relative to a source. With the source and the truncation it renders the image again.

    The source's w is truncated with psi; where a partner is given, its w (class `rival`, truncated alike) replaces the
    source's on `layers` by (1 - alpha) w_source + alpha w_partner. A proposal with a latent names no layers.
    """

    psi: float
    partner_z_seed: int | None = None
    rival: int | None = None
    layers: tuple[int, ...] = ()
    alpha: float = 0.0
    latent: Latent | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the SUT said about one proposal. image (C, H, W) uint8 is exactly what it saw."""

    proposal: Proposal
    label: int
    image: np.ndarray
    probabilities: np.ndarray  # (K,) float32

    @property
    def predicted(self) -> int:
        return int(self.probabilities.argmax())

    @property
    def flipped(self) -> bool:
        """The SUT's answer is not the class the image was made for."""
        return self.predicted != self.label

    @property
    def confidence(self) -> float:
        """p of the class the image was made for."""
        return float(self.probabilities[self.label])

    @property
    def margin(self) -> float:
        """p[c] - max over the other classes of p, in [-1, 1]; the boundary is margin 0."""
        return self.confidence - float(np.delete(self.probabilities, self.label).max())

    def rivals(self, k: int) -> list[int]:
        """The k most probable classes other than the label, best first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [int(c) for c in order if c != self.label][:k]


@dataclass(frozen=True, eq=False)
class Segment:
    """What of a searched line lies behind the boundary, up to the wrong image that the search for it began with."""

    propose: Callable[[float], Proposal]
    start: float  # coordinate of the pair's first wrong image
    stop: float  # coordinate of `end`
    end: Evaluation


@dataclass(frozen=True, eq=False)
class BoundaryPair:
    """The last image still classified c (None where there was no search) and the first that is not.

    width is the distance between the two along the searched coordinate (psi or alpha), or between their latents.
    """

    last: Evaluation | None
    first: Evaluation
    width: float = 0.0
    beyond: Segment | None = None  # None = there is no further way, or nobody knows it


Value = bool | int | float | None  # of what a gate measures, None = its model is not there
Columns = Mapping[str, type[bool | int | float]]  # what the gates of a run measure, in the order of the records


def flags_of(columns: Columns) -> list[str]:
    """Which columns are flags, one for each gate and named like it; the others are numbers."""
    return [name for name, kind in columns.items() if kind is bool]


@dataclass(frozen=True)
class Verdict:
    """What the gates say about one image."""

    valid: bool  # it passes all that the configuration names
    measured: Mapping[str, Value]  # the columns of all gates; empty where only `valid` was asked

    @property
    def screened(self) -> bool:
        """It is similar to its source, whether or not that is a gate of the run."""
        return self.measured.get("screened") is True


@dataclass(frozen=True, eq=False)
class Judged:
    """An image with the SUT's answer and the verdict on it."""

    evaluation: Evaluation
    verdict: Verdict


ROBUST_MARGIN = 0.1  # by which a robust fault is wrong at least ..
NOISE_DRAWS = 10  # .. unless the SUT stays wrong in all of so many draws of noise


@dataclass(frozen=True, eq=False)
class Finding:
    """A boundary pair that a search reported, and what is known of it then.

    Attributes:
        pair: as reported.
        verdict: on its first wrong image.
        severe: the most severe valid point from there on, None = the pair is not valid, or nobody looked.
        queries: of the source, when the pair was reported.
        walk_queries: spent on the way to the most severe point.
    """

    pair: BoundaryPair
    verdict: Verdict
    severe: Judged | None = None
    queries: int = 0
    walk_queries: int = 0

    @property
    def valid(self) -> bool:
        """The pair's first wrong image passes the gates."""
        return self.verdict.valid

    @property
    def screened(self) -> bool:
        """The pair's first wrong image is similar to its source."""
        return self.verdict.screened

    @property
    def robust(self) -> bool:
        """It is valid and wrong by a wide margin, which is all that a search knows: stability is measured later."""
        fault = self.severe.evaluation if self.severe else self.pair.first
        return self.valid and fault.margin <= -ROBUST_MARGIN

    def reaches(self, goal: str) -> bool:
        """It is what a search looks for: flipped, screened, valid or robust."""
        return {"flipped": True, "screened": self.screened, "valid": self.valid, "robust": self.robust}[goal]


@dataclass(frozen=True, eq=False)
class Appraisal:
    """The question whether an image is valid, against the source image it came from."""

    source: Evaluation
    candidate: Evaluation
    recorded: bool = True  # False = that is all, and no columns are measured


class Ask:
    """What a search yields: a question, with what it costs. The helpers of search/protocol.py make them.

    Attributes:
        proposals: images to be shown to the SUT; the answer is their evaluations.
        appraisal: an image to be appraised; the answer is its verdict.
        slope_at: an image at which the SUT is differentiated; the answer is the gradient.
    """

    proposals: Sequence[Proposal] = ()
    appraisal: Appraisal | None = None
    slope_at: Proposal | None = None

    @property
    def cost(self) -> int:
        """In queries; a gradient is one."""
        return len(self.proposals) + (self.slope_at is not None)


@dataclass(frozen=True, eq=False)
class Query(Ask):
    """What does the SUT say about these images?"""

    proposals: Sequence[Proposal] = field()  # field() = without the default of Ask


@dataclass(frozen=True, eq=False)
class Slope(Ask):
    """How do the log-odds of the class change with the image's w? Only a white box knows."""

    slope_at: Proposal = field()


@dataclass(frozen=True, eq=False)
class Appraise(Ask):
    """Is this image valid?"""

    appraisal: Appraisal = field()


@dataclass(frozen=True, eq=False)
class Measure(Ask):
    """What do the gates measure of this image, whose verdict is known?"""

    appraisal: Appraisal = field()


@dataclass(frozen=True, eq=False)
class Report(Ask):
    """What is this boundary pair worth? The engine walks on to its most severe point, and keeps the best pair."""

    start: Evaluation
    pair: BoundaryPair


Tell = list[Evaluation] | Verdict | Finding | np.ndarray


class Strategy(Protocol):
    """A search over one source, written as a coroutine. The engine runs many at once, so it must not keep state.

    A strategy derives from this class, which holds what most of them have in common.
    """

    needs_accepted: bool = True  # False = also run on sources that fail the baseline gate
    needs_slopes: bool = False  # it asks for gradients, which only networks of latreg have

    @property
    def mixed_layers(self) -> Sequence[Sequence[int]]:
        """Sets of layers that its mixtures replace, () = it does not mix. Only the speed depends on it."""
        return ()

    def prepared(self, num_ws: int, z_dim: int) -> Self:
        """The strategy as it is run with a generator of num_ws layers and z (z_dim,).

        Raises:
            LatregError: its settings do not fit each other or the generator.
        """
        return self

    @abstractmethod
    def search(self, source: Source, start: Evaluation) -> Coroutine[Ask, Tell, None]:
        """Ask from the evaluated source on; return when there is nothing more to try."""


@dataclass(frozen=True)
class ReportedPair:
    """One of the pairs that a search reported, without images: a row of pairs/part-*.parquet."""

    label: int
    z_seed: int
    number: int  # from 0 on, in the order in which those of the source were reported
    kept: bool  # it is the one of the source's record
    queries: int  # of the source, when it was reported
    walk_queries: int
    valid: bool
    predicted: int
    partner_z_seed: int | None
    rival: int | None
    layers: list[int] | None
    psi_last: float | None
    psi_first: float
    alpha_last: float | None
    alpha_first: float | None
    bracket: float
    last_margin: float | None
    first_margin: float
    severe_psi: float | None
    severe_alpha: float | None
    severe_margin: float | None
    measured: Mapping[str, Value] = field(default_factory=dict)  # each of its items is a column of its own


@dataclass(frozen=True, eq=False)
class BoundaryRecord:
    """One source and what its search found: a row of records/part-*.parquet. Images are (C, H, W) uint8.

    Fields from `flipped` on describe the boundary pair and are None where there is none. What the gates of the run
    measured of it is in `measured`, which is empty where there is none. Fields of its strength are None, too, where
    that was not measured: in runs that are older than they are, or by the settings of the run.
    """

    # how to make it again
    run_seed: int
    dataset: str
    strategy: str
    truncation: str
    center: str
    cutoff: int | None
    generator_id: str
    sut_id: str
    judge_id: str | None
    vae_id: str | None
    label: int
    z_seed: int
    source_psi: float
    # the source
    accepted: bool
    rejected_because: str | None
    stratum: str
    source_predicted: int
    source_confidence: float
    source_margin: float
    source_probabilities: list[float]
    source_image: np.ndarray
    queries: int
    stopped_by_budget: bool
    # the pair
    flipped: bool
    valid_fault: bool
    predicted: int | None = None
    partner_z_seed: int | None = None
    rival: int | None = None
    layers: list[int] | None = None
    psi_last: float | None = None
    psi_first: float | None = None
    alpha_last: float | None = None
    alpha_first: float | None = None
    bracket: float | None = None
    last_margin: float | None = None
    first_margin: float | None = None
    last_probabilities: list[float] | None = None
    first_probabilities: list[float] | None = None
    last_image: np.ndarray | None = None
    first_image: np.ndarray | None = None
    # its strength: severe_.. are of the most severe valid point of its segment
    robust_fault: bool | None = None  # valid, and wrong by ROBUST_MARGIN or in every draw of noise, at that point
    stability: float | None = None  # share of draws of noise in which the first wrong image stays wrong
    severe_stability: float | None = None
    severe_psi: float | None = None
    severe_alpha: float | None = None
    severe_margin: float | None = None
    severe_predicted: int | None = None
    severe_probabilities: list[float] | None = None
    severe_image: np.ndarray | None = None
    # what it cost
    walk_queries: int | None = None  # of `queries`, those spent on the way to the most severe points
    stability_queries: int | None = None  # images shown to the SUT after the search, which `queries` do not count
    appraisals: int | None = None  # images shown to the gates
    held_out_id: str | None = None  # of the judge that checks them
    density_id: str | None = None  # of the model of each class
    # numbers that no seed draws, of images that have some
    space: str | None = None  # what they are, one of SPACES
    latent_last: list[float] | None = None
    latent_first: list[float] | None = None
    severe_latent: list[float] | None = None
    measured: Mapping[str, Value] = field(default_factory=dict)  # each of its items is a column of its own
    severe_measured: Mapping[str, Value] = field(default_factory=dict)  # .. and here with severe_ before its name
    pairs: Sequence[ReportedPair] = ()  # all that were reported, in a table of their own; not read with the record

    def column(self, name: str) -> Any:
        """A field, or what was measured under that name, None where there is no pair."""
        return getattr(self, name) if name in self.__dataclass_fields__ else self.measured.get(name)

    def confidence(self, probabilities: list[float] | None) -> float | None:
        """p of the class among the probabilities of one of its images; None where they are not there."""
        return None if probabilities is None or len(probabilities) <= self.label else probabilities[self.label]
