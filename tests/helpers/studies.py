"""Small studies as folders of runs, without any network."""

import json
from dataclasses import fields, replace

import numpy as np
from omegaconf import OmegaConf

from latreg.interfaces import ReportedPair
from latreg.measures.metrics import summarize
from latreg.report.runs import read_study
from latreg.runs.records import write_part
from tests.helpers.example_records import FLAGS, MEASURED, image, pair, record

CLASSES = ["a", "b", "c"]


def sources(count, **values):
    """Sources on which nothing was found; every other one is confident."""
    strata = ("confident", "uncertain")
    return [
        record(**{"label": i % 3, "z_seed": i // 3, "source_psi": 1.0, "stratum": strata[i % 2]} | values)
        for i in range(count)
    ]


def with_faults(count, faults, flips=0, spread=False, **values):
    """The first are valid faults, the next flips whose label is lost; if spread, each z_seed has one before two."""
    found = sources(count, **values)
    order = range(count)
    if spread:
        order = sorted(order, key=lambda i: ((i % 3 - i // 3) % 3, i // 3))
    for position, i in enumerate(order[: faults + flips]):
        kept = position < faults
        fault = pair(
            first_image=image(100 + i),
            predicted=(found[i].label + 1) % 3,
            valid_fault=kept,
            label_kept=kept,
            psi_first=0.7,
            psi_last=0.72,
        )
        keep = ("label", "z_seed", "source_psi", "stratum", "queries")
        fault = replace(fault, **{name: getattr(found[i], name) for name in keep})
        found[i] = replace(fault, pairs=(reported(fault),))
    return found


def reported(fault):
    """The only pair of a source."""
    names = [field.name for field in fields(ReportedPair)]
    own = {name: getattr(fault, name) for name in names if hasattr(fault, name)}
    return ReportedPair(**own, number=0, kept=True, valid=fault.valid_fault)


def make_run(folder, records, strategy="mixing", truncation="none", center="global", dataset="mnist", **changes):
    """A run's folder; truncation is none, salvage, minimal, or a psi."""
    mode = {"none": "none", "salvage": "adaptive", "minimal": "adaptive"}.get(truncation, "fixed")
    config = {
        "stage": "search",
        "run_seed": 0,
        "dataset": {"name": dataset, "class_names": CLASSES},
        "strategy": {"name": strategy},
        "truncation": {
            "mode": mode,
            "psi": truncation if mode == "fixed" else 1.0,
            "direction": truncation if mode == "adaptive" else "salvage",
            "center": center,
        },
        "validity": {"gates": ["label_kept"]},
        "search": {"max_queries_per_source": 50, "sources_per_class": 4},
    }
    config = OmegaConf.merge(config, {"search": changes.pop("search", {})}, {"stage": changes.pop("stage", "search")})
    folder.mkdir(parents=True)
    OmegaConf.save(config, folder / "config.yaml")
    status = {"state": "done", "seconds": 2.0, "weights": {"sut": "s" * 64}, "versions": {"latreg": "0"}} | changes
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "metrics.json").write_text(json.dumps(summarize(records, FLAGS, seconds=2.0)))
    write_part(folder, 0, records, MEASURED)
    return folder


def make_study(folder, n=60, dataset="mnist"):
    """mixing finds much, random little and with the global center only; psi 0.6 is best; minimal is better still."""
    found = {("mixing", "none"): 20, ("mixing", 0.6): 32, ("mixing", 1.2): 10, ("mixing", "minimal"): 48}
    for (strategy, truncation), faults in found.items():
        for center in ("global", "class"):
            make_run(
                folder / f"{strategy}-{truncation}-{center}",
                with_faults(n, faults, 4, spread=True),
                *(strategy, truncation, center, dataset),
            )
    for center, flips in (("global", 25), ("class", 0)):
        make_run(
            folder / f"random-{center}",
            with_faults(n, 1, flips, spread=True, queries=3),
            "random",
            "none",
            center,
            dataset,
        )
    return folder


def read(folder):
    return read_study([folder])


def noise(seed, n):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
