"""Load the models behind the gates, as the configuration names them."""

import torch

from latreg.classifier.sut import TorchSUT, load_sut
from latreg.config import Config
from latreg.validity.judge import Judge
from latreg.validity.perceptual import PerceptualDistance
from latreg.validity.vae import ValidityModel, load_validity_model


def load_judge(cfg: Config, device: torch.device) -> Judge | None:
    """The ensemble that `validity.judge` names, if it names any."""
    if not cfg.validity.judge:
        return None
    return Judge(load_judge_members(cfg, device), cfg.validity.judge_batch, mirror=cfg.dataset.mirror)


def load_judge_members(cfg: Config, device: str | torch.device = "cpu") -> list[TorchSUT]:
    """The classifiers that `validity.judge` names."""
    return [load_sut(name, cfg.dataset, device, key="validity.judge") for name in cfg.validity.judge]


def load_vae(cfg: Config, device: torch.device) -> ValidityModel | None:
    """The model that `validity.vae` names, if it names one."""
    name, validity = cfg.validity.vae, cfg.validity
    if name is None:
        return None
    return load_validity_model(name, cfg.dataset, validity.quantile, device, validity.judge_batch)


def load_lpips(cfg: Config, device: torch.device) -> PerceptualDistance | None:
    """The distance that `validity.lpips` names, if it names one."""
    validity = cfg.validity
    return PerceptualDistance(validity.lpips, device, validity.judge_batch) if validity.lpips else None
