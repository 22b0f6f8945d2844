"""What of a classifier made elsewhere has changed is named."""

import pytest

from latreg.runs.provenance import changed_files

BEFORE = {"net.onnx": "1", "weights.bin": "2"}


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        (BEFORE, BEFORE, ""),
        (BEFORE, {"net.onnx": "1", "weights.bin": "3"}, ": weights.bin has changed"),
        (BEFORE, {"net.onnx": "3", "other.bin": "2"}, ": net.onnx has changed, other.bin is new, weights.bin is gone"),
        (None, BEFORE, ""),
        (BEFORE, {}, ""),
    ],
)
def test_what_has_changed_is_named(before: object, now: dict[str, str], named: str) -> None:
    assert changed_files(before, now) == named
