"""The density of each class, on images whose classes are known."""

import pytest
import torch

from latreg.classifier.networks import build
from latreg.config import DatasetConfig
from latreg.data.images import ImageSet, load_probe, to_unit
from latreg.errors import LatregError, NotFiniteError
from latreg.validity import bench, fitting
from latreg.validity.density import HELD_OUT, KIND, ClassDensity, DensityNetwork, described, load_density
from latreg.zoo import weights

AXES = 4


def shipped_config(name):
    return DatasetConfig(
        name=name, channels=3 if name == "cifar10" else 1, resolution=32, class_names=list("0123456789")
    )


def stripes(n, seed):
    """Images (n, 1, 16, 16) of stripes along one axis, which is the class, with some noise."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    images = 255 * ((torch.arange(16) // 2) % 2).float().expand(n, 1, 16, 16).clone()
    images[labels == 1] = images[labels == 1].transpose(2, 3)
    noisy = images * 0.7 + 20 * torch.rand(images.shape, generator=rng)
    return ImageSet(noisy.to(torch.uint8), labels)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    classifier = build("resnet", 1, 2, {"widths": [4, 8], "first_stride": 1}).eval()
    train = stripes(60, 0)
    features = described(classifier, to_unit(train.images))
    fitted = DensityNetwork(classifier, features.shape[1], AXES)
    fitted.fit(features.detach(), train.labels)
    return fitted


@pytest.fixture(scope="module")
def model(network):
    held_out = ClassDensity(network, torch.zeros(1), quantile=0.5)
    own = stripes(40, 1)
    return ClassDensity(network, held_out.distances(to_unit(own.images), own.labels), quantile=0.95)


def test_features_are_three_of_each_channel_of_each_map(network):
    image = to_unit(stripes(1, 3).images)
    features = described(network.classifier, image)[0]
    maps = network.classifier.feature_maps(image)
    assert len(features) == 3 * sum(one.shape[1] for one in maps)
    first = maps[0][0].flatten(1)
    assert torch.allclose(features[: len(first)], first.mean(1) / first.mean(1).norm(), atol=1e-6)


def test_distances_are_mahalanobis_with_the_covariance_of_its_axes(network, model):
    own = stripes(6, 5)
    images = to_unit(own.images)
    offsets = (described(network.classifier, images) - network.means[own.labels]).double()
    axes, variances = network.axes.double(), network.variances.double()
    covariance = axes @ variances.diag() @ axes.T + float(network.floor) * torch.eye(len(axes), dtype=torch.float64)
    expected = (offsets @ torch.linalg.inv(covariance) * offsets).sum(1).sqrt()
    assert torch.allclose(model.distances(images, own.labels), expected, rtol=1e-3)


def test_an_image_is_typical_of_its_own_class_only(model):
    own = stripes(100, 7)
    images = to_unit(own.images)
    assert (model.distances(images, own.labels) > model.threshold).double().mean() < 0.2
    assert (model.distances(images, 1 - own.labels) > model.threshold).all()


def test_a_distance_does_not_depend_on_its_company(model):
    own = stripes(21, 9)
    images = to_unit(own.images)
    together = model.distances(images, own.labels)
    alone = torch.cat([model.distances(images[i : i + 1], own.labels[i : i + 1]) for i in range(len(own))])
    assert torch.equal(together, alone)
    assert model.distances(images[:0], own.labels[:0]).shape == (0,)


def test_what_is_not_finite_names_its_image(network):
    broken = ClassDensity(network, torch.ones(1), quantile=0.5)
    images = to_unit(stripes(3, 0).images)
    images[1] = float("nan")
    with pytest.raises(NotFiniteError) as error:
        broken.distances(images, torch.zeros(3, dtype=torch.long))
    assert error.value.image == 1


def test_wrong_inputs_are_what_they_are_called():
    data = stripes(8, 0)
    images = to_unit(data.images)
    made = bench.wrong_inputs(data)
    assert all(own.shape == images.shape and own.min() >= 0 and own.max() <= 1 for own in made.values())
    assert torch.equal(made["negative"], ((1 - images) * 255).round() / 255)
    assert torch.equal(made["quarter turn"].rot90(-1, (2, 3)), images)
    swapped = made["another class"]
    vertical = [float(image[0].std(0).mean()) < float(image[0].std(1).mean()) for image in swapped]
    assert vertical == (data.labels == 1).tolist()  # class 0 varies along the rows, and each shows the other class
    assert torch.equal(made["left and right"][..., :8], images[..., :8])
    assert torch.equal(made["shuffled tiles"].flatten(1).sort(1).values, images.flatten(1).sort(1).values)
    assert (made["blur of 2 pixels"].std((1, 2, 3)) < made["blur of 1 pixel"].std((1, 2, 3))).all()
    assert all(
        torch.equal(own, again) for own, again in zip(made.values(), bench.wrong_inputs(data).values(), strict=True)
    )


REQUIRED = {  # at least these shares are rejected; of 1,000 images the cards say more
    "mnist": {"another class": 0.95, "half and half": 0.7, "blur of 2 pixels": 0.95, "nothing but noise": 1},
    "fashion_mnist": {"another class": 0.6, "half and half": 0.3, "blur of 2 pixels": 0.95, "nothing but noise": 1},
    "cifar10": {"another class": 0.1, "noise of 0.1": 0.95, "blur of 2 pixels": 0.95, "nothing but noise": 1},
}


@pytest.mark.parametrize("dataset", REQUIRED)
def test_the_shipped_ones_reject_what_is_plainly_wrong(dataset):
    model = load_density(f"zoo:{dataset}_density", shipped_config(dataset), 0.99)
    probe = load_probe(weights.probe_path(dataset), 32).slice(0, 60)
    found = bench.rejected(probe, lambda images, labels: model.distances(images, labels) <= model.threshold)
    assert found["real"] < 0.1
    assert {kind: found[kind] for kind, share in REQUIRED[dataset].items() if found[kind] < share} == {}
    assert model.card["rejected"].keys() == found.keys()


def test_a_file_of_another_kind_or_for_other_images_is_refused(network, tmp_path):
    description = {"kind": KIND, "network": "resnet", "channels": 1, "num_classes": 2, "axes": AXES}
    description |= {"network_args": {"widths": [4, 8], "first_stride": 1}, "features": network.means.shape[1]}
    path = tmp_path / "d.safetensors"
    weights.save(path, {**network.state_dict(), HELD_OUT: torch.ones(3)}, description, {"dataset": "toy"}, half=True)
    with pytest.raises(LatregError, match="needs a density with num_classes=10"):
        load_density(str(path), shipped_config("mnist"), 0.99)
    with pytest.raises(LatregError, match="density"):
        load_density("zoo:mnist_vae", shipped_config("mnist"), 0.99)


def test_a_class_without_images_is_refused():
    with pytest.raises(LatregError, match="of each class, got none of cat, horse"):
        fitting._check_classes(torch.tensor([0, 2, 2]), ["dog", "cat", "bird", "horse"])
