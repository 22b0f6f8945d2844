"""LPIPS against its authors' package; where torchvision cannot be imported, only that this is said."""

import sys

import pytest
import torch

from latreg.errors import LatregError
from latreg.evaluation.diversity import distances
from latreg.validity import perceptual
from latreg.validity.perceptual import NETS, PerceptualDistance

CPU = torch.device("cpu")


def can_import():
    try:
        import lpips  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


needs_lpips = pytest.mark.skipif(not can_import(), reason="lpips or torchvision cannot be imported")


@pytest.fixture(params=NETS)
def lpips(request):
    torch.manual_seed(0)
    return PerceptualDistance(request.param, CPU, batch=4, pretrained=False)


@needs_lpips
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_what_the_authors_package_computes(lpips, channels):
    a, b = torch.rand(2, 6, channels, 64, 64)
    with torch.no_grad():
        expected = lpips._network(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1), normalize=True).flatten()
    torch.testing.assert_close(lpips(a, b), expected, rtol=1e-4, atol=1e-6)
    assert (expected > 0).all()
    assert (lpips(a, a) == 0).all()


@needs_lpips
def test_all_pairs_at_once_are_the_same_and_a_pair_does_not_depend_on_its_company(lpips):
    images = torch.rand(5, 3, 32, 32)
    matrix = distances(lpips.vectors(images).double().numpy())
    for i in range(5):
        torch.testing.assert_close(
            torch.from_numpy(matrix[i]).float(), lpips(images[[i] * 5], images), rtol=1e-4, atol=1e-6
        )
    assert torch.equal(lpips(images, images.flip(0))[:2], lpips(images[:2], images.flip(0)[:2]))


@needs_lpips
def test_weights_that_cannot_be_fetched(monkeypatch):
    import lpips as package

    def offline(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(package, "LPIPS", offline)
    with pytest.raises(LatregError, match=r"could not fetch .no route to host.*checkpoints"):
        PerceptualDistance("alex", CPU)


def test_an_unknown_network():
    with pytest.raises(LatregError, match=r"validity.lpips must be null or one of alex, squeeze, got 'vgg'"):
        PerceptualDistance("vgg", CPU)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(
        LatregError, match=r"validity.lpips=alex needs lpips and torchvision: pip install 'latreg\[lpips"
    ):
        perceptual.PerceptualDistance("alex", CPU)
