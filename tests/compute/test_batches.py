"""What one image comes out as does not depend, to the bit, on what is asked for with it (on CPUs)."""

import pytest
import torch

from benchmarks.cases import configured
from latreg.classifier.sut import load_sut
from latreg.compute.batches import filled
from latreg.data.images import quantize, to_unit
from latreg.generator.pretrained import load_generator
from latreg.validity.vae import load_validity_model
from tests.helpers.same_bits import assert_same_alone


def test_filled_has_zeros_behind():
    batch = torch.arange(6).view(3, 2)
    assert filled(batch, 4).tolist() == [[0, 1], [2, 3], [4, 5], [0, 0]]
    assert filled(batch[:0], 4).tolist() == 4 * [[0, 0]]
    assert filled(batch, 3) is batch


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10"])
def test_shipped_networks(dataset):
    cfg = configured(f"dataset={dataset}")
    generator = load_generator(cfg.generator, cfg.dataset, torch.device("cpu"))
    torch.manual_seed(0)
    z, classes = torch.randn(13, generator.z_dim), torch.arange(13) % 10
    assert_same_alone(generator.map, z, classes)
    w = generator.map(z, classes)
    assert_same_alone(generator.synthesize, w)
    images = to_unit(quantize(generator.synthesize(w)))
    for member in (cfg.classifier.weights, *cfg.validity.judge):
        assert_same_alone(load_sut(member, cfg.dataset), images)
    assert cfg.validity.vae is not None
    vae = load_validity_model(cfg.validity.vae, cfg.dataset, 0.99)
    assert_same_alone(vae.errors, images)
    assert_same_alone(vae._optimized, images)
