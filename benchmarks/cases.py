"""What is searched: networks, the SUT and the sources, the same for both contenders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from latreg.classifier.networks import Classifier, build
from latreg.classifier.sut import TorchSUT, load_sut
from latreg.config import Config, SearchConfig, conf_dir, register
from latreg.data.images import to_unit
from latreg.generator.networks import GeneratorNetwork, SynthesisBlock
from latreg.generator.pretrained import StyleGAN2, load_generator, network_arguments
from latreg.interfaces import Appraisal, Proposal, Source, Strategy, Verdict
from latreg.jobs.assembly import suitable_chunk, suitable_concurrency
from latreg.search.recipes import Request
from latreg.search.renderer import Renderer
from latreg.validity.similarity import relative_l2, ssim

POOL = 40  # z_seeds per class among which the sources are chosen
MIN_SSIM, MAX_L2_REL = 0.95, 0.2  # the published screen
LOGIT_SCALE = 3.0  # standard deviation of an untrained SUT's logits


register()


@dataclass(frozen=True)
class Case:
    """A generator, a SUT and sources that it classifies right, the least certain ones first."""

    name: str
    generator: StyleGAN2
    sut: TorchSUT
    sources: Sequence[Source]

    @property
    def chunk(self) -> int:
        return suitable_chunk(self.generator)

    @property
    def concurrency(self) -> int:
        return suitable_concurrency(self.generator, SearchConfig().concurrency)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the convolutions of one image."""
        network = self.generator.network.synthesis
        return sum(_flops(cast(SynthesisBlock, network.get_submodule(f"b{r}"))) for r in network.resolutions)


def configured(*overrides: str) -> Config:
    """The configuration of a job."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        config = OmegaConf.to_object(compose("config", list(overrides)))
    assert isinstance(config, Config)
    return config


def configured_strategy(name: str) -> Strategy:
    """conf/strategy/<name>.yaml."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        strategy: Strategy = instantiate(compose("config", [f"strategy={name}"]).strategy, _convert_="all")
    return strategy


def small(device: torch.device) -> Case:
    """The shipped networks for MNIST."""
    cfg = configured("dataset=mnist")
    generator = load_generator(cfg.generator, cfg.dataset, device)
    sut = load_sut(cfg.classifier.weights, cfg.dataset, device)
    return Case("small", generator, sut, accepted_sources(generator, sut))


def cifar512(device: torch.device) -> Case:
    """The published architecture for CIFAR-10 and the SUT of that data set, with random weights."""
    cfg = configured("dataset=cifar10", "generator=stylegan2_cifar", "classifier=airbench")
    torch.manual_seed(0)
    network = GeneratorNetwork(**network_arguments(cfg.generator, cfg.dataset)).to(device)
    generator = StyleGAN2(network, id="random")
    classes = len(cfg.dataset.class_names)
    z, labels = torch.randn(1000, network.mapping.z_dim, device=device), torch.arange(1000, device=device) % classes
    network.mapping.track_average(generator.map(z, labels)[:, 0], labels, beta=0.0)
    classifier = build(cfg.classifier.network, cfg.dataset.channels, classes, cfg.classifier.network_args)
    even_out(classifier.to(device).eval(), render(generator, [Source(i % classes, i) for i in range(64)]))
    sut = TorchSUT(classifier, "random", device, {})
    return Case("cifar512", generator, sut, accepted_sources(generator, sut))


@torch.no_grad()
def even_out(classifier: Classifier, images: Tensor) -> None:
    """Scale and shift an untrained network's logits so that it gives all answers, with ordinary confidence."""
    head = classifier.body[-1]
    assert isinstance(head, nn.Linear)
    logits = classifier(to_unit(images))
    scale = LOGIT_SCALE / logits.std(dim=0)
    head.weight.mul_(scale[:, None])
    bias = torch.zeros(len(scale), device=scale.device) if head.bias is None else head.bias
    head.bias = nn.Parameter((bias - logits.mean(dim=0)) * scale)


def render(generator: StyleGAN2, sources: Sequence[Source]) -> Tensor:
    """The images of sources at psi = 1."""
    renderer = Renderer(generator, "class", None, suitable_chunk(generator))
    return renderer.render([Request(source, Proposal(1.0)) for source in sources])


def accepted_sources(generator: StyleGAN2, sut: TorchSUT) -> list[Source]:
    """Those of a pool that are classified right, the least certain ones first."""
    pool = [Source(label, z_seed) for z_seed in range(POOL) for label in range(generator.num_classes)]
    images = to_unit(render(generator, pool))
    p = torch.cat([sut(chunk) for chunk in torch.split(images, 16)]).cpu()
    labels = torch.tensor([source.label for source in pool])
    right = [i for i in range(len(pool)) if p[i].argmax() == labels[i]]
    return [pool[i] for i in sorted(right, key=lambda i: float(p[i].max()))]


def screen(appraisals: Sequence[Appraisal]) -> list[Verdict]:
    """Similarity to the source alone: the judge would cost both contenders the same."""
    sources, candidates = (
        to_unit(torch.from_numpy(np.stack(images)))
        for images in zip(*((a.source.image, a.candidate.image) for a in appraisals), strict=True)
    )
    return [
        Verdict(True, {"screened": similarity >= MIN_SSIM and distance <= MAX_L2_REL})
        for similarity, distance in zip(
            ssim(sources, candidates).tolist(), relative_l2(sources, candidates).tolist(), strict=True
        )
    ]


def _flops(block: SynthesisBlock) -> int:
    convolutions = [block.conv1] if block.is_first else [block.conv0, block.conv1]
    side = block.conv1.resolution
    flops = 2 * block.torgb.weight.numel() * side**2
    for layer in convolutions:
        flops += 2 * layer.weight.numel() * (side // 2 if layer.upsample else side) ** 2
    return flops
