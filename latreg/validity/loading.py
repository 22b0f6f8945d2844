"""Load the models behind the gates, as the configuration names them."""

from collections.abc import Mapping, Sequence

import torch

from latreg.classifier.sut import TorchSUT, load_sut
from latreg.config import Config, OwnGeneratorConfig
from latreg.errors import LatregError
from latreg.interfaces import SUT
from latreg.validity.density import ClassDensity, load_density
from latreg.validity.judge import Judge, divided
from latreg.validity.perceptual import PerceptualDistance
from latreg.validity.vae import ValidityModel, load_validity_model
from latreg.zoo.weights import read_card, resolve


def load_judge(cfg: Config, device: torch.device) -> Judge | None:
    """The ensemble of those in `validity.judge` that are not held out, if it names any."""
    return _ensemble(cfg, device, divided(cfg.validity.judge, cfg.validity.held_out)[0])


def load_held_out(cfg: Config, device: torch.device) -> Judge | None:
    """The ensemble of those in `validity.judge` that are held out, if there are any."""
    return _ensemble(cfg, device, divided(cfg.validity.judge, cfg.validity.held_out)[1])


def _ensemble(cfg: Config, device: torch.device, names: Sequence[str]) -> Judge | None:
    members = [load_sut(name, cfg.dataset, device, key="validity.judge") for name in names]
    return Judge(members, cfg.validity.judge_batch, mirror=cfg.dataset.mirror) if members else None


def load_judge_members(cfg: Config, device: str | torch.device = "cpu") -> list[TorchSUT]:
    """All classifiers that `validity.judge` names; what they score is no search, so none is held out."""
    return [load_sut(name, cfg.dataset, device, key="validity.judge") for name in cfg.validity.judge]


def guides_of(cfg: Config) -> list[dict[str, str]]:
    """Name and sha256 of the classifiers that guided the generator's training, as far as its card tells."""
    if isinstance(cfg.generator, OwnGeneratorConfig):
        return []
    guides: list[dict[str, str]] = read_card(resolve(cfg.generator.weights, "generator.weights")).get("guides", [])
    return guides


def check_guides(guides: Sequence[Mapping[str, str]], judge: Sequence[SUT], sut: SUT | None = None) -> None:
    """Refuse to judge a generator, or to test, by what it was taught to please.

    Raises:
        LatregError: a member of the judge or the SUT is one of the guides of its training.
    """
    names = {guide["sha256"]: guide["name"] for guide in guides}
    for member in judge:
        if member.id in names:
            name = names[member.id]
            raise LatregError(f"validity.judge must not contain a guide of the generator's training, got {name}")
    if sut and sut.id in names:
        raise LatregError(f"the SUT must not be a guide of the generator's training, got {names[sut.id]}")


def load_vae(cfg: Config, device: torch.device) -> ValidityModel | None:
    """The model that `validity.vae` names, if it names one."""
    name, validity = cfg.validity.vae, cfg.validity
    if name is None:
        return None
    return load_validity_model(name, cfg.dataset, validity.quantile, device, validity.judge_batch)


def load_class_density(cfg: Config, device: torch.device) -> ClassDensity | None:
    """The model that `validity.density` names, if it names one."""
    name, validity = cfg.validity.density, cfg.validity
    if name is None:
        return None
    return load_density(name, cfg.dataset, validity.quantile, device, validity.judge_batch)


def load_lpips(cfg: Config, device: torch.device) -> PerceptualDistance | None:
    """The distance that `validity.lpips` names, if it names one."""
    validity = cfg.validity
    return PerceptualDistance(validity.lpips, device, validity.judge_batch) if validity.lpips else None
