"""Does truncation lead away from a class because of where it leads, or only because of how far?

Latents are moved by the same lengths towards the mean of all classes, towards the mean of their own class and in a
random direction, and the judge says in how many of the images it still sees the class.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latreg.compute.device import CHUNK, make_device
from latreg.config import Config
from latreg.data.images import quantize, to_unit
from latreg.errors import LatregError
from latreg.evaluation.scores import FIRST_Z_SEED
from latreg.generator.pretrained import StyleGAN2, load_generator
from latreg.measures.statistics import Contrast, contrast
from latreg.runs.folder import RunFolder
from latreg.search.renderer import latent_z
from latreg.validity.judge import Judge
from latreg.validity.loading import check_guides, guides_of, load_judge_members

log = logging.getLogger(__name__)

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of a latent's distance from the mean of all classes
DIRECTIONS = ("global", "class", "random")


def measure_drift(cfg: Config, folder: RunFolder) -> dict[str, Any]:
    """How often the judge keeps the class after moves of equal length, and how the directions differ.

    Args:
        cfg: dataset, generator, validity.judge, device and evaluation.samples, of all classes together, are used.
        folder: where drift.json is written, a row for each length.

    Raises:
        LatregError: weights are missing, or the generator knows no classes.
    """
    generator = load_generator(cfg.generator, cfg.dataset, make_device(cfg.device))
    if not generator.conditional:
        raise LatregError("stage=measure_drift needs a generator of classes: it moves latents towards their means")
    members = load_judge_members(cfg)
    check_guides(guides_of(cfg), members)
    judge = Judge(members, mirror=cfg.dataset.mirror)
    classes = generator.num_classes
    z_seeds = np.arange(FIRST_Z_SEED, FIRST_Z_SEED + max(cfg.evaluation.samples // classes, 2))
    labels = torch.arange(classes).repeat(len(z_seeds))
    clusters = z_seeds.repeat(classes)
    w = _latents(generator, clusters, labels)
    centers = {"global": generator.w_avg.expand(len(w), -1), "class": generator.w_avg_class[labels]}
    lengths = (w - centers["global"]).norm(dim=1)
    directions = {name: F.normalize(center - w, dim=1) for name, center in centers.items()}
    directions["random"] = F.normalize(torch.randn(w.shape, generator=torch.Generator().manual_seed(0)), dim=1).to(w)
    rows = []
    for share in SHARES:
        moved = {name: w + share * lengths[:, None] * way for name, way in directions.items()}
        kept = {name: _kept(generator, judge, own, labels) for name, own in moved.items()}
        rows.append(_row(share, kept, clusters))
        log.info("moved by %g of the way: %s", share, {name: f"{own.mean():.3f}" for name, own in kept.items()})
    folder.write_json("drift.json", {"rows": rows})
    at = float(((w - centers["class"]).norm(dim=1) / lengths).median())
    kept_at = {f"kept_{name}_at_{row['share']:g}": row[f"kept_{name}"] for row in rows for name in DIRECTIONS}
    return {"sources": len(w), "class_mean_at": at, "generator_sha256": generator.id, **kept_at}


def _latents(generator: StyleGAN2, z_seeds: np.ndarray, labels: Tensor) -> Tensor:
    """(N, w_dim), before they are repeated for each layer."""
    z = torch.from_numpy(np.stack([latent_z(int(seed), generator.z_dim) for seed in z_seeds]))
    device = generator.w_avg.device
    return generator.map(z.to(device), labels.to(device))[:, 0]


@torch.inference_mode()
def _kept(generator: StyleGAN2, judge: Judge, w: Tensor, labels: Tensor) -> np.ndarray:
    """1 where the judge sees the class, else 0 (N,)."""
    chunks = torch.split(w, CHUNK[w.device.type])
    images = (quantize(generator.synthesize(chunk[:, None].expand(-1, generator.num_ws, -1))) for chunk in chunks)
    seen = torch.cat([judge(to_unit(batch)).argmax(1).cpu() for batch in images])
    return (seen == labels).double().numpy()


def _row(share: float, kept: Mapping[str, np.ndarray], clusters: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {"share": share} | {f"kept_{name}": float(own.mean()) for name, own in kept.items()}
    ones = np.ones(len(clusters))
    for name in ("global", "random"):
        found = contrast((kept["class"], ones), (kept[name], ones), clusters)
        assert isinstance(found, Contrast)
        row |= {f"class_minus_{name}": found.effect, f"class_minus_{name}_ci95": [found.low, found.high]}
        row[f"class_minus_{name}_p"] = found.p
    return row
