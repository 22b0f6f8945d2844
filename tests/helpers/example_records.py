from dataclasses import replace

import numpy as np

from latreg.config import ValidityConfig
from latreg.interfaces import BoundaryRecord, flags_of
from latreg.validity.gates import Gates

MEASURED = Gates(ValidityConfig(gates=[])).columns  # by the shipped gates
FLAGS = flags_of(MEASURED)


def image(seed, channels=1):
    return np.random.default_rng(seed).integers(0, 256, (channels, 32, 32), dtype=np.uint8)


def record(channels=1, **values):
    """A source on which nothing was found, with the given fields changed."""
    plain = BoundaryRecord(
        run_seed=0,
        dataset="mnist",
        strategy="mixing",
        truncation="fixed",
        center="class",
        cutoff=None,
        generator_id="g",
        sut_id="s",
        judge_id="j",
        vae_id="v",
        label=1,
        z_seed=2**32 - 1,
        source_psi=0.7,
        accepted=True,
        rejected_because=None,
        stratum="uncertain",
        source_predicted=1,
        source_confidence=float(np.float32(0.97)),
        source_margin=0.95,
        source_probabilities=[0.01, float(np.float32(0.97)), 0.02],
        source_image=image(0, channels),
        queries=10,
        stopped_by_budget=False,
        flipped=False,
        valid_fault=False,
        robust_fault=False,
        walk_queries=0,
        stability_queries=0,
        appraisals=0,
    )
    return change(plain, **values)


def pair(channels=1, **values):
    """A source with a boundary pair that is a valid fault, and a robust one if valid, with the given fields changed."""
    measured = {"ssim": 0.99, "l2_rel": 0.1, "judge_votes": 3, "screened": True, "label_kept": True}
    found = record(
        channels,
        flipped=True,
        valid_fault=True,
        predicted=2,
        partner_z_seed=7,
        rival=2,
        layers=[3, 4],
        psi_last=0.7,
        psi_first=0.7,
        alpha_last=0.25,
        alpha_first=0.264,
        bracket=0.014,
        last_margin=0.1,
        first_margin=-0.2,
        last_probabilities=[0.04, 0.53, 0.43],
        first_probabilities=[0.02, 0.39, 0.59],
        last_image=image(1, channels),
        first_image=image(2, channels),
        measured=dict.fromkeys(MEASURED) | measured,
        robust_fault=values.get("valid_fault", True),
        stability=0.5,
        stability_queries=10,
        appraisals=1,
    )
    return change(found, **values)


def severe(channels=1, **values):
    """A source with a robust fault behind its boundary, with the given fields changed."""
    behind = {
        "severe_psi": 0.7,
        "severe_alpha": 0.3,
        "severe_margin": -0.4,
        "severe_predicted": 4,
        "severe_probabilities": [0.02, 0.28, 0.68],
        "severe_stability": 1.0,
        "severe_image": image(3, channels),
        "severe_measured": dict.fromkeys(MEASURED) | {"ssim": 0.9, "screened": False, "label_kept": True},
        "walk_queries": 6,
        "stability_queries": 20,
    }
    return pair(channels, **behind | values)


def change(found, **values):
    """The record with other values of its fields and of what was measured."""
    measured = {**found.measured, **{name: values.pop(name) for name in MEASURED if name in values}}
    return replace(found, **{"measured": measured, **values})
