"""What a README.md beside the records or the faults of a run says of where they come from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latreg.config import ClassifierConfig, Config, OwnClassifierConfig
from latreg.json_files import read_json
from latreg.runs.cell import Cell
from latreg.runs.folder import read_config, read_status
from latreg.zoo.weights import name_of

COUNTS = ("sources", "accepted", "flipped", "valid_faults", "robust_faults", "queries")  # of metrics.json


def records_card(run_dir: Path, cfg: Config) -> str:
    """The README.md of a run's records on the Hugging Face hub.

    Raises:
        LatregError: metrics.json is damaged.
    """
    parts = [{"config_name": "records", "data_files": "records/*.parquet", "default": True}]
    parts += [{"config_name": "pairs", "data_files": "pairs/*.parquet"}] if (run_dir / "pairs").is_dir() else []
    metrics = read_json(run_dir / "metrics.json") if (run_dir / "metrics.json").is_file() else {}
    counts = {name.replace("_", " "): metrics[name] for name in COUNTS if name in metrics}
    lines = [
        header(task_categories=["image-classification"], tags=["latreg", "test-inputs"], configs=parts),
        f"# Search of {name_of_classifier(cfg.classifier)} on {cfg.dataset.name}: {Cell.of(read_config(run_dir)).name}",
        "",
        "Each row of `records` is a source that latreg searched: how to make its images again, the images, the answers "
        "of the classifier, and the verdict of each gate. `pairs` has all boundary pairs, without images. All images "
        "were generated, and no person has looked at them.",
        "",
        "```python",
        'datasets.load_dataset(".", "records", split="train")  # here, or with the name of the repository on the hub',
        "```",
        "",
        *table(facts_of(run_dir, cfg) | counts),
        "",
        "Made with the first line. The second one renders and classifies every pair again, once these files are in "
        "RUN_DIR and the weights are where the first had them:",
        "",
        "```sh",
        made_with(run_dir),
        "python -m latreg.replay RUN_DIR",
        "```",
        "",
    ]
    return "\n".join(lines)


def facts_of(run_dir: Path, cfg: Config) -> dict[str, Any]:
    """Settings, networks and versions of a run; None for what is not known."""
    status = read_status(run_dir)
    return {
        "data set": cfg.dataset.name,
        "classifier": name_of_classifier(cfg.classifier),
        "strategy": cfg.strategy.name,
        "truncation": cfg.truncation.mode,
        "gates": ", ".join(cfg.validity.gates),
        **{f"{name}, sha256": digest for name, digest in status.get("weights", {}).items()},
        "latreg": status.get("versions", {}).get("latreg"),
        "git commit": status.get("git_commit"),
    }


def name_of_classifier(config: ClassifierConfig) -> str:
    """What was searched. The name in older runs is that of a recipe, so the weights are asked."""
    if isinstance(config, OwnClassifierConfig) or config.weights is None:
        return config.name
    return name_of(config.weights)


def made_with(run_dir: Path) -> str:
    """The command of a run, without folders, which are another machine's."""
    made = read_status(run_dir).get("command") or "python -m latreg.run # settings: config.yaml of the run"
    return " ".join(word for word in made.split() if not word.startswith("hydra."))


def table(facts: Mapping[str, Any]) -> list[str]:
    """Rows of what is known."""
    return [
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items() if value not in (None, "")),
    ]


def header(**fields: str | Sequence[Any]) -> str:
    """What the Hugging Face hub reads at the beginning of a README.md: YAML, of which JSON is a part."""
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---"])
