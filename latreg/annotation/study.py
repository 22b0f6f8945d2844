"""A study: which pictures people are shown, and what is known of them, which people are not told.

Faults stand among pictures that should be easy (sources, real images) and hard (flips whose class the judge no longer
sees), so that an annotator who says the same of all is found out.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latreg.config import Config
from latreg.data.images import load_probe
from latreg.errors import LatregError
from latreg.json_files import checked, read_json
from latreg.names import check_name
from latreg.runs.cell import Cell
from latreg.runs.faults import FLIPPED, ROBUST, VALID, fault_of, read_fitting
from latreg.runs.files import check_empty, write_json, writing
from latreg.runs.folder import read_config
from latreg.runs.records import encode_png
from latreg.runs.saved_config import load_run_config
from latreg.zoo.weights import probe_path

FAULT, SOURCE, LOST, REAL = "fault", "source", "label lost", "real"
SHARES = {FAULT: 0.5, SOURCE: 0.175, LOST: 0.175, REAL: 0.15}  # of a study's pictures
FILE = "study.json"
PICTURES = 40  # of a study, unless another number is asked for: about five minutes


@dataclass(frozen=True)
class Item:
    """One picture of a study, and what people are not told of it."""

    id: str  # names its file; says nothing of what it shows
    kind: str  # one of SHARES
    label: int  # the class that it was made for, or has
    predicted: int | None = None  # the answer of the SUT, where it is wrong
    robust: bool | None = None  # of a fault, None = not measured
    cell: str | None = None  # of the report: mixing, psi 0.7, global center
    run: str | None = None  # folder of its run


@dataclass(frozen=True)
class Study:
    """Pictures of one data set, in no order."""

    dataset: str
    class_names: list[str]
    seed: int
    items: list[Item] = field(default_factory=list)

    def order(self, annotator: str) -> list[str]:
        """The ids in the order in which an annotator sees them: always the same, and another for each."""
        digest = hashlib.sha256(annotator.encode()).digest()
        rng = np.random.default_rng([self.seed, int.from_bytes(digest[:8])])
        return [self.items[i].id for i in rng.permutation(len(self.items))]


def make_study(run_dirs: Sequence[Path], folder: Path, size: int, seed: int) -> Study:
    """Draw the pictures of a study from runs, and write them into a new folder.

    A robust fault is shown by its most severe image, another valid one by its first wrong image.
    Faults and the rest come from all runs and classes alike, as far as these have them. Where there are too few of a
    kind, the study is smaller.

    Raises:
        LatregError: no picture is asked for, a folder is no search, the runs are of different data sets or hold no
            valid fault, or the folder of the study holds something or cannot be written.
    """
    check_empty(folder)
    if size < 1 or seed < 0:
        raise LatregError(f"--pictures must be at least 1 and --seed at least 0, got {size} and {seed}")
    configs = [load_run_config(run_dir) for run_dir in run_dirs]
    first = configs[0].dataset
    for cfg in configs:
        if (cfg.dataset.name, list(cfg.dataset.class_names)) != (first.name, list(first.class_names)):
            raise LatregError(f"the runs of a study must be of one data set, got {first.name} and {cfg.dataset.name}")
        check_name("dataset.name", cfg.dataset.name)
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[Item, np.ndarray]]] = {kind: [] for kind in SHARES}
    for run_dir, cfg in zip(run_dirs, configs, strict=True):
        for kind, candidates in _candidates(run_dir, cfg).items():
            found[kind] += candidates
    found[REAL] = _real_images(configs[0])
    if not found[FAULT]:
        raise LatregError(f"expected valid faults in {', '.join(map(str, run_dirs))}, got none")
    chosen = [one for kind, share in SHARES.items() for one in _spread(found[kind], round(share * size), rng)]
    items: list[Item] = []
    pictures: list[bytes] = []
    for number in rng.permutation(len(chosen)):
        item, image = chosen[number]
        items.append(Item(**(asdict(item) | {"id": f"{len(items):04d}"})))
        pictures.append(encode_png(image))
    study = Study(first.name, list(first.class_names), seed, items)
    with writing(folder):
        (folder / "images").mkdir(parents=True)
        for item, picture in zip(items, pictures, strict=True):
            image_path(folder, item.id).write_bytes(picture)
    write_json(folder / FILE, asdict(study))  # last: a folder with it is whole
    return study


def read_study(folder: Path) -> Study:
    """The study in a folder.

    Raises:
        LatregError: there is none, or it is damaged.
    """
    content = checked(read_json(folder / FILE), str(folder / FILE), Study)
    items = [Item(**_fields_of(Item, row)) for row in content["items"]]
    study = Study(**(_fields_of(Study, content) | {"items": items}))
    classes = range(len(study.class_names))
    for item in items:
        check_name(f"the id of a picture in {folder / FILE}", item.id)
        if item.label not in classes or item.predicted not in (None, *classes) or item.kind not in SHARES:
            raise LatregError(f"expected pictures of the {len(classes)} classes in {folder / FILE}, got {item}")
    return study


def image_path(folder: Path, id: str) -> Path:
    """Where a study keeps a picture."""
    return folder / "images" / f"{id}.png"


def _fields_of(kind: Any, content: dict[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in kind.__dataclass_fields__ if name in content}


def _candidates(run_dir: Path, cfg: Config) -> dict[str, list[tuple[Item, np.ndarray]]]:
    """What a run has of each kind."""
    found: dict[str, list[tuple[Item, np.ndarray]]] = defaultdict(list)
    cell = Cell.of(read_config(run_dir)).name
    for record in read_fitting(run_dir, cfg.dataset):
        if record.accepted:
            item = Item("", SOURCE, record.label, cell=cell, run=str(run_dir))
            found[SOURCE].append((item, record.source_image))
        fault = fault_of(record, ROBUST) or fault_of(record, VALID)
        if fault is not None:
            item = Item("", FAULT, record.label, fault.predicted, record.robust_fault, cell, str(run_dir))
            found[FAULT].append((item, fault.image))
        elif record.measured.get("label_kept") is False and (flip := fault_of(record, FLIPPED)):
            item = Item("", LOST, record.label, flip.predicted, None, cell, str(run_dir))
            found[LOST].append((item, flip.image))
    return found


def _real_images(cfg: Config) -> list[tuple[Item, np.ndarray]]:
    """Test images that latreg ships; none for data of one's own."""
    path = probe_path(cfg.dataset.name)
    if cfg.dataset.path is not None or not path.is_file():
        return []
    images = load_probe(path, cfg.dataset.resolution)
    pairs = zip(images.labels.tolist(), images.images.numpy(), strict=True)
    return [(Item("", REAL, label), image) for label, image in pairs]


def _spread(
    candidates: Sequence[tuple[Item, np.ndarray]], count: int, rng: np.random.Generator
) -> list[tuple[Item, np.ndarray]]:
    """So many of them at random, taken from the runs and classes in turn."""
    groups: dict[tuple[str | None, int], list[tuple[Item, np.ndarray]]] = defaultdict(list)
    for number in rng.permutation(len(candidates)):
        item, _ = candidates[number]
        groups[item.run, item.label].append(candidates[number])
    chosen: list[tuple[Item, np.ndarray]] = []
    while len(chosen) < count and any(groups.values()):
        round_ = [group.pop() for group in groups.values() if group]
        chosen += [round_[i] for i in rng.permutation(len(round_))][: count - len(chosen)]
    return chosen
