import numpy as np
import pytest
import scipy.linalg
import torch

from latreg.errors import LatregError
from latreg.evaluation import inception
from latreg.evaluation.inception import InceptionDistances, fid_and_kid, load_inception


def normal(n, seed, mean=0.0):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)) + mean


def test_fid_is_the_frechet_distance_of_gaussians():
    real, samples = normal(300, 0).numpy(), normal(200, 1, 0.5).numpy()
    mean = ((real.mean(0) - samples.mean(0)) ** 2).sum()
    covariances = np.cov(real.T), np.cov(samples.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = mean + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert fid_and_kid(torch.from_numpy(real), torch.from_numpy(samples))[0] == pytest.approx(expected, rel=1e-3)


def test_kid_is_unbiased_and_repeatable():
    same, other = (fid_and_kid(normal(400, 0), normal(400, 1, mean))[1] for mean in (0.0, 1.0))
    assert abs(same) < 0.05 < other
    assert fid_and_kid(normal(400, 0), normal(400, 1, 1.0))[1] == other


def test_gray_images_get_three_channels(monkeypatch):
    seen = []

    def network(images):
        seen.append(images.shape)
        return images.float().mean((2, 3)) / 255

    monkeypatch.setattr(inception, "load_inception", lambda weights: network)
    images = torch.randint(256, (60, 1, 8, 8), dtype=torch.uint8)
    found = InceptionDistances("download", images)(images, "_of_train")
    assert seen == [(50, 3, 8, 8), (10, 3, 8, 8)] * 2
    assert found == {name: pytest.approx(0, abs=0.01) for name in ("inception_fid_of_train", "inception_kid_of_train")}


def test_weights_that_cannot_be_had(monkeypatch):
    with pytest.raises(LatregError, match=r"evaluation\.inception must be a file or download, got none\.pth"):
        load_inception("none.pth")

    def fails(*_):
        raise ModuleNotFoundError("no torch_fidelity")

    monkeypatch.setattr(inception, "NoTrainInceptionV3", fails)
    with pytest.raises(LatregError, match=r"needs an extra: pip install 'latreg\[fid\]' "):
        load_inception("download")
