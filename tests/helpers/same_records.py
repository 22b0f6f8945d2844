"""What "the same records" means: every column of every source, all of its pairs and images, to the bit.

Records hold no times. Those of a run stand in its status.json and metrics.json, which are not compared.
"""

import dataclasses

import numpy as np

from latreg.interfaces import BoundaryRecord


def assert_same(found, expected):
    """Two runs found the same, source by source."""
    assert [(record.label, record.z_seed) for record in found] == [(r.label, r.z_seed) for r in expected]
    for a, b in zip(found, expected, strict=True):
        fields = [field.name for field in dataclasses.fields(BoundaryRecord) if field.name != "pairs"]
        for name in fields:
            assert_equal(getattr(a, name), getattr(b, name), f"{name} of {(b.label, b.z_seed)}")
        assert len(a.pairs) == len(b.pairs)
        for one, other in zip(a.pairs, b.pairs, strict=True):
            assert_equal(vars(one), vars(other), f"pairs of {(b.label, b.z_seed)}")


def assert_equal(a, b, what):
    if isinstance(b, dict):
        assert a.keys() == b.keys(), what
        for name, value in b.items():
            assert_equal(a[name], value, f"{name}, {what}")
    elif isinstance(b, np.ndarray):
        assert np.array_equal(a, b), what
    else:
        assert a == b, what
