from dataclasses import astuple, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from latreg.config import ValidityConfig
from latreg.errors import LatregError
from latreg.interfaces import Appraisal, Evaluation, Proposal
from latreg.validity.gate import Gate
from latreg.validity.gates import Gates
from latreg.validity.judge import Judge
from latreg.validity.label_kept import LabelKept
from latreg.validity.screened import Screened


class Brightness:
    """Class 1 where the mean pixel is above a threshold, else class 0."""

    num_classes = 2

    def __init__(self, threshold):
        self.id = f"brightness {threshold}"
        self.threshold = threshold

    def __call__(self, images):
        p = torch.sigmoid(50 * (images.mean((1, 2, 3)) - self.threshold))
        return torch.stack([1 - p, p], dim=1)


class Dark:
    """A validity model to which an image is the further out the brighter it is."""

    id = "dark"
    threshold = 0.801

    def errors(self, images):
        return images.mean((1, 2, 3))


JUDGE = Judge([Brightness(0.4), Brightness(0.5), Brightness(0.6)])


def gates(judge=JUDGE, vae=None, **settings):
    return Gates(ValidityConfig(**{"judge": [], "gates": ["label_kept"], **settings}), judge, vae)


def evaluation(image, label=1):
    return Evaluation(Proposal(psi=1.0), label, image, np.array([1, 0], dtype=np.float32))


def gray(level, channels=1):
    return np.full((channels, 32, 32), level, dtype=np.uint8)


def pair(source, candidate, label=1):
    return Appraisal(evaluation(source, label), evaluation(candidate, label))


def appraise(source, candidate, label=1, **settings):
    (verdict,) = gates(**settings).appraise([pair(source, candidate, label)])
    return verdict


def test_measures_everything_whatever_the_gates_are():
    verdict = appraise(gray(200), gray(190))
    assert verdict.measured == {
        "ssim": pytest.approx(2 * 200 * 190 / (200**2 + 190**2), abs=1e-3),
        "l2_rel": pytest.approx(0.05),
        "lpips": None,
        "vae_error": None,
        "class_distance": None,
        "judge_votes": 3,
        "screened": True,
        "in_distribution": None,
        "typical": None,
        "label_kept": True,
    }
    assert (verdict.screened, verdict.valid) == (True, True)


def test_a_brighter_image_does_not_wrap_around():
    assert appraise(gray(200), gray(201)).measured["l2_rel"] == pytest.approx(0.005)
    assert appraise(gray(201), gray(200)).measured["l2_rel"] == pytest.approx(1 / 201)


@pytest.mark.parametrize(("level", "votes", "kept"), [(200, 3, True), (140, 2, True), (115, 1, False), (60, 0, False)])
def test_label_kept_is_the_ensembles_word(level, votes, kept):
    verdict = appraise(gray(200), gray(level))
    assert (verdict.measured["judge_votes"], verdict.measured["label_kept"], verdict.valid) == (votes, kept, kept)


@pytest.mark.parametrize(("least", "kept"), [(0.0, True), (0.9, False)])
def test_an_ensemble_of_two_minds_is_not_sure(least, kept):
    verdict = appraise(gray(200), gray(140), min_judge_confidence=least)
    assert (verdict.measured["label_kept"], verdict.valid) == (kept, kept)
    assert appraise(gray(200), gray(200), min_judge_confidence=least).measured["label_kept"]


@pytest.mark.parametrize(("level", "inside"), [(190, True), (204, True), (205, False)])
def test_in_distribution_means_an_error_up_to_the_threshold(level, inside):
    (verdict,) = gates(vae=Dark(), gates=["in_distribution", "label_kept"]).appraise([pair(gray(200), gray(level))])
    assert verdict.measured["vae_error"] == pytest.approx(level / 255)
    assert (verdict.measured["in_distribution"], verdict.valid) == (inside, inside)


def test_without_a_judge_nothing_is_said_about_the_label():
    (verdict,) = gates(judge=None, gates=["screened"]).appraise([pair(gray(200), gray(199))])
    assert (verdict.measured["judge_votes"], verdict.measured["label_kept"], verdict.valid) == (None, None, True)


@pytest.mark.parametrize("gate", ["in_distribution", "label_kept"])
def test_a_gate_needs_its_model(gate):
    with pytest.raises(LatregError, match=f"the gate {gate} needs validity"):
        gates(judge=None, gates=[gate])


def test_screening_needs_both_thresholds():
    rough = gray(200)
    rough[:, ::2] -= 20  # 7 % away in L2, but of another structure
    assert not appraise(gray(200), rough).screened
    assert appraise(gray(200), rough, min_ssim=-1.0).screened
    assert not appraise(gray(200), gray(150), min_ssim=0.9).screened  # 25 % away in L2
    assert appraise(gray(200), gray(150), min_ssim=0.9, max_l2_rel=0.3).screened


@pytest.mark.parametrize(
    ("names", "valid"), [([], True), (["label_kept"], True), (["screened"], False), (["label_kept", "screened"], False)]
)
def test_valid_means_the_configured_gates(names, valid):
    assert appraise(gray(255), gray(180), gates=names).valid is valid


def test_a_verdict_does_not_depend_on_its_company():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 70, 3, 32, 32), dtype=np.uint8)
    pairs = [pair(a, b, label=i % 2) for i, (a, b) in enumerate(zip(*images, strict=True))]
    together = [astuple(verdict) for verdict in gates().appraise(pairs)]
    assert together == [astuple(gates().appraise([one])[0]) for one in pairs]
    assert together[::-1] == [astuple(verdict) for verdict in gates().appraise(pairs[::-1])]


def test_no_pairs():
    assert gates().appraise([]) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gates": ["label_keeped"]}, "must be of screened, in_distribution, typical, label_kept, got label_keeped"),
        ({"min_ssim": 95.0}, r"min_ssim must lie in \[-1, 1\], got 95"),
        ({"min_judge_confidence": 90.0}, r"min_judge_confidence must lie in \[0, 1\], got 90"),
        ({"max_l2_rel": float("nan")}, "max_l2_rel must be at least 0, got nan"),
    ],
)
def test_gates_that_cannot_work_are_refused(settings, message):
    with pytest.raises(LatregError, match=message):
        gates(**settings)


class Bright(Gate):
    """The mean pixel is above a threshold."""

    name = "bright"
    columns: ClassVar = {"brightness": float, "bright": bool}

    def __init__(self, threshold):
        self.threshold = threshold

    def measure(self, pairs):
        brightness = pairs.candidates.mean((1, 2, 3))
        return {"brightness": brightness, "bright": brightness > self.threshold}


class Renamed(Bright):
    name = "renamed"


class SimilarToo(Bright):
    name = "similar_too"
    columns: ClassVar = {"ssim": float, "similar_too": bool}


class Wordy(Bright):
    name = "wordy"
    columns: ClassVar = {"wordy": bool}


class Sure(Gate):
    """The judge gives some class nearly all probability."""

    name = "sure"
    columns: ClassVar = {"sure": bool}
    needs = "judge"

    def __init__(self, judge):
        self.judge = judge

    def measure(self, pairs):
        return {"sure": self.judge(pairs.candidates).amax(1) > 0.99}


def further(name, kind, **settings):
    return {name: {"_target_": f"{__name__}.{kind.__name__}", **settings}}


BRIGHT = further("bright", Bright, threshold=0.5)


@pytest.mark.parametrize(("level", "bright"), [(190, True), (120, False)])
def test_a_further_gate_counts_where_it_is_named(level, bright):
    verdict = appraise(gray(200), gray(level), gates=["bright"], more_gates=BRIGHT)
    assert verdict.measured["brightness"] == pytest.approx(level / 255)
    assert (verdict.measured["bright"], verdict.valid) == (bright, bright)
    assert appraise(gray(200), gray(level), gates=[], more_gates=BRIGHT).valid


def test_the_columns_are_numbers_and_then_flags():
    assert list(gates(more_gates=BRIGHT).columns) == [
        *("ssim", "l2_rel", "lpips", "vae_error", "class_distance", "judge_votes", "brightness"),
        *("screened", "in_distribution", "typical", "label_kept", "bright"),
    ]


def test_a_further_gate_is_given_the_model_that_it_needs():
    more = further("sure", Sure)
    assert appraise(gray(200), gray(250), more_gates=more).measured["sure"] is True
    assert appraise(gray(200), gray(140), more_gates=more).measured["sure"] is False
    (verdict,) = gates(judge=None, gates=[], more_gates=more).appraise([pair(gray(200), gray(200))])
    assert verdict.measured["sure"] is None
    with pytest.raises(LatregError, match=r"the gate sure needs validity.judge, but there is none"):
        gates(judge=None, gates=["sure"], more_gates=more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"bright": {}}, "more_gates.bright._target_ must be the import path of a gate that takes no settings"),
        (
            {"bright": {"_target_": "nowhere.Bright"}},
            "import path of a gate that takes no settings, got nowhere.Bright",
        ),
        (further("bright", Bright, level=1), "a gate that takes level, got .*: missing a required argument"),
        (further("bright", Renamed, threshold=1), "with the name bright"),
        (further("judge", Judge, members=[]), "must be a latreg.validity.gate.Gate with the name judge"),
        (further("similar_too", SimilarToo, threshold=1), "the gate similar_too must have .* not got yet, got ssim"),
    ],
)
def test_a_further_gate_that_cannot_work_is_refused(more, message):
    with pytest.raises(LatregError, match=message):
        gates(more_gates=more)


def test_a_gate_that_measures_something_else_than_it_says_is_refused():
    with pytest.raises(LatregError, match="the gate wordy must measure types and shapes"):
        appraise(gray(200), gray(190), more_gates=further("wordy", Wordy, threshold=0.5))


def test_gates_combine():
    bright, kept, similar = Bright(0.5), LabelKept(JUDGE), Screened(0.9, 0.1)
    both = bright & kept
    assert both.passes({"bright": True, "label_kept": True})
    assert not both.passes({"bright": True, "label_kept": None})
    for combined in (both & similar, bright & (kept & similar)):
        assert combined.passes({"bright": True, "label_kept": True, "screened": True})
        assert not combined.passes({"bright": True, "label_kept": True, "screened": False})


def test_lpips_is_measured_and_no_gate():
    def lpips(a, b):
        return (a - b).abs().amax((1, 2, 3))

    measured = Gates(ValidityConfig(judge=[], gates=["label_kept"]), JUDGE, lpips=lpips)
    first, second = measured.appraise([pair(gray(0), gray(51)), pair(gray(0), gray(255))])
    assert (first.measured["lpips"], second.measured["lpips"]) == (pytest.approx(0.2), 1.0)
    without = gates().appraise([pair(gray(0), gray(51)), pair(gray(0), gray(255))])
    assert [replace(verdict, measured={**verdict.measured, "lpips": None}) for verdict in (first, second)] == without
