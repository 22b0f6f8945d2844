"""What "the same records" means: ids, flags, psi and layers are equal; alpha, and what was computed from it, is close.

Another batch size changes the last bits of a network's output, which can move the end of a bisection by a step.
"""

import dataclasses

import numpy as np
import pytest

from latreg.interfaces import BoundaryRecord

LEVELS = 2  # of 256, by which images may differ
TOLERANCE = 2e-3  # of coordinates and of probabilities


def assert_same(found, expected):
    """Two runs found the same, source by source."""
    assert [(record.label, record.z_seed) for record in found] == [(r.label, r.z_seed) for r in expected]
    for a, b in zip(found, expected, strict=True):
        for field in dataclasses.fields(BoundaryRecord):
            if field.name not in ("measured", "severe_measured", "pairs"):
                assert_close(getattr(a, field.name), getattr(b, field.name), f"{field.name} of {(b.label, b.z_seed)}")
        assert_measured(a.measured, b.measured, b)
        assert_measured(a.severe_measured, b.severe_measured, b)
        for one, other in zip(a.pairs, b.pairs, strict=True):
            assert_measured(vars(one) | {"measured": None}, vars(other) | {"measured": None}, b)
            assert_measured(one.measured, other.measured, b)


def assert_measured(a, b, record):
    assert a.keys() == b.keys()
    for name, value in b.items():
        assert_close(a[name], value, f"{name} of {(record.label, record.z_seed)}")


def assert_close(a, b, what):
    if isinstance(b, np.ndarray):
        assert np.abs(a.astype(int) - b.astype(int)).max() <= LEVELS, what
    elif isinstance(b, float) or (isinstance(b, list) and b and isinstance(b[0], float)):
        assert a == pytest.approx(b, abs=TOLERANCE, rel=TOLERANCE), what
    else:
        assert a == b, what
