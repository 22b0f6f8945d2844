import numpy as np
import pytest
from PIL import Image

from latreg.runs.strips import GAIN, SCALE, caption, examples_image, strip
from tests.helpers.example_records import pair, record, severe


@pytest.mark.parametrize("channels", [1, 3])
def test_strip_shows_the_images_side_by_side(channels):
    shown = severe(channels)
    tiles = strip(shown)
    assert tiles.dtype == np.uint8
    assert tiles.shape == (96, 5 * 96 + 4 * 4, 3)
    for column, image in enumerate((shown.source_image, shown.last_image, shown.first_image, shown.severe_image)):
        tile = tiles[::SCALE, column * 100 : column * 100 + 96 : SCALE].transpose(2, 0, 1)
        np.testing.assert_array_equal(tile, np.broadcast_to(image, tile.shape))


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [(10, 10, 128), (10, 20, 128 + 10 * GAIN), (20, 10, 128 - 10 * GAIN), (0, 255, 255), (255, 0, 0)],
)
def test_difference_is_signed_amplified_and_gray_at_zero(before, after, shown):
    a, b = (np.full((1, 32, 32), level, dtype=np.uint8) for level in (before, after))
    assert (strip(record(source_image=a, first_image=b))[:, -96:] == shown).all()
    assert (strip(record(source_image=a, first_image=a, severe_image=b))[:, -96:] == shown).all()


def test_missing_images_are_white():
    assert (strip(record())[:, 100:] == 255).all()
    assert (strip(record(first_image=np.zeros((1, 32, 32), np.uint8)))[:, 100:196] == 255).all()


def test_caption():
    assert caption(severe())[:2] == ["1 -> 2   robust", "p(1) 0.97 0.53 0.39 0.28"]
    assert caption(pair(robust_fault=None)) == [
        "1 -> 2   valid",
        "p(1) 0.97 0.53 0.39",
        "psi 0.70   alpha 0.26",
        "layers 3,4",
    ]
    assert caption(pair(valid_fault=False, label_kept=False))[0] == "1 -> 2   label lost"
    assert caption(pair(valid_fault=False))[0] == "1 -> 2   not valid"
    names = ("airplane", "automobile", "bird")
    assert caption(pair(), names)[:2] == ["automobile -> bird   robust", "p(automobile) 0.97 0.53 0.39"]


def test_caption_of_a_misclassified_source():
    """No search: there is neither a last image nor anything mixed in."""
    found = pair(last_image=None, last_probabilities=None, layers=None, psi_first=0.5)
    assert caption(found)[1:] == ["p(1) 0.97 0.39", "psi 0.50"]


def test_examples_put_valid_faults_first(tmp_path):
    def shown(level, **values):
        return record(first_image=np.full((1, 32, 32), level, np.uint8), predicted=1, flipped=True, **values)

    records = [
        record(),
        shown(10, ssim=0.9, label_kept=False),
        shown(20, ssim=0.1, valid_fault=True),
        shown(30, ssim=0.2, valid_fault=True),
        shown(40, ssim=None),
    ]
    examples_image(records, tmp_path / "new" / "examples.png", rows=3)
    picture = np.asarray(Image.open(tmp_path / "new" / "examples.png"))
    levels = [int(picture[20 + 100 * row + 50, 250, 0]) for row in range(3)]
    assert levels == [30, 20, 10]
    assert picture.shape[0] == 20 + 3 * 100
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["examples.png"]


@pytest.mark.parametrize("records", [[], [record()]])
def test_examples_without_pairs_is_a_sentence(tmp_path, records):
    examples_image(records, tmp_path / "examples.png")
    assert np.asarray(Image.open(tmp_path / "examples.png")).min() == 0
