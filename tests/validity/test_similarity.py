import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from latreg.config import Config, DatasetConfig
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.jobs.checks import check_search
from latreg.validity.similarity import relative_l2, ssim
from tests.helpers.toys import LinearGenerator


def noisy_pair(n, channels, amount=0.1):
    rng = np.random.default_rng(channels)
    a = rng.random((n, channels, 32, 32), dtype=np.float32)
    b = np.clip(a + amount * rng.standard_normal(a.shape, dtype=np.float32), 0, 1)
    return torch.from_numpy(a), torch.from_numpy(b)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("amount", [0.01, 0.5])
def test_ssim_is_scikit_images(n, channels, amount):
    a, b = noisy_pair(n, channels, amount)
    expected = [
        structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0
        )
        for x, y in zip(a.double().numpy(), b.double().numpy(), strict=True)
    ]
    assert ssim(a, b).shape == (n,)
    np.testing.assert_allclose(ssim(a, b), expected, atol=2e-5)


def test_ssim_on_mostly_black_images_is_scikit_images():
    """Digits are flat black nearly everywhere, where float32 variances cancel."""
    a, b = (torch.zeros(1, 1, 32, 32) for _ in range(2))
    a[..., 8:24, 12:18] = 1
    b[..., 9:24, 12:19] = 0.9
    expected = structural_similarity(
        a[0, 0].double().numpy(), b[0, 0].double().numpy(), gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=1,
    )  # fmt: skip
    assert ssim(a, b).item() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_relative_l2_is_numpys(channels):
    a, b = noisy_pair(5, channels)
    expected = [
        np.linalg.norm((x - y).ravel()) / np.linalg.norm(x.ravel()) for x, y in zip(a.numpy(), b.numpy(), strict=True)
    ]
    assert relative_l2(a, b).shape == (5,)
    np.testing.assert_allclose(relative_l2(a, b), expected, rtol=1e-5)


def test_equal_images():
    a, _ = noisy_pair(3, 3)
    assert torch.equal(relative_l2(a, a), torch.zeros(3))
    np.testing.assert_allclose(ssim(a, a), 1, atol=1e-6)


def test_black_source_is_infinitely_far_from_anything_but_black():
    black, white = torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    assert relative_l2(black, white).item() == float("inf")
    assert relative_l2(black, black).item() == 0


def test_a_darker_8_bit_image_does_not_wrap_around():
    a = torch.full((1, 1, 32, 32), 100, dtype=torch.uint8)
    b = torch.full((1, 1, 32, 32), 101, dtype=torch.uint8)  # 100 - 101 is 255 in uint8
    assert relative_l2(to_unit(a), to_unit(b)).item() == pytest.approx(0.01)
    for measure in (ssim, relative_l2):
        with pytest.raises(ValueError, match=r"float in \[0, 1\], got torch.uint8"):
            measure(a, b)


@pytest.mark.parametrize("measure", [ssim, relative_l2])
def test_wrong_ranges_and_shapes_are_refused(measure):
    a, b = noisy_pair(2, 1)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        measure(a * 255, b * 255)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got nan"):
        measure(a, b * float("nan"))
    with pytest.raises(ValueError, match="of one shape"):
        measure(a, b[:1])


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11x11 for SSIM, got 8x8"):
        ssim(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))


def test_a_search_of_smaller_images_is_refused_before_it_begins():
    with pytest.raises(LatregError, match=r"dataset\.resolution must be at least 11 for a search, .* got 8"):
        check_search(Config(dataset=DatasetConfig(resolution=8)), LinearGenerator())


@pytest.mark.parametrize("measure", [ssim, relative_l2])
def test_a_pair_is_measured_alike_in_any_company(measure):
    a, b = noisy_pair(33, 3)
    together = measure(a, b)
    assert torch.equal(together, torch.cat([measure(a[i : i + 1], b[i : i + 1]) for i in range(33)]))
    assert torch.equal(together.flip(0), measure(a.flip(0), b.flip(0)))
