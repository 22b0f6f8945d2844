import pytest

from latreg.config import Config
from tests.helpers.stripes import load_stripes, stripes_config


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Config:
    """A classifier of stripes that trains within a second, and its data."""
    monkeypatch.delenv("LATREG_DATA", raising=False)
    monkeypatch.setattr("latreg.data.splits.load_images", load_stripes)
    return stripes_config()
