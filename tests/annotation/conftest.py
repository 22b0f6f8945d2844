import numpy as np
import pytest

from latreg.annotation.study import make_study
from tests.helpers.example_records import pair, record
from tests.helpers.hostile import make_run


def rows():
    """Two valid faults of each class, a flip whose class is lost, and a source that was not flipped."""
    found = []
    for label in range(10):
        image = np.full((1, 32, 32), 20 * label, np.uint8)
        for z_seed in (0, 1):
            found.append(pair(label=label, z_seed=z_seed, predicted=(label + 1) % 10, first_image=image + z_seed))
        lost = {"label_kept": False, "in_distribution": True, "valid_fault": False}
        found.append(pair(label=label, z_seed=2, predicted=(label + 2) % 10, first_image=image + 2, **lost))
        found.append(record(label=label, z_seed=3))
    return found


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", rows())


@pytest.fixture
def folder(tmp_path, run):
    make_study([run], tmp_path / "study", 40, seed=0)
    return tmp_path / "study"
