"""Write the faults of a run for use elsewhere: python -m latreg.export RUN_DIR --format imagefolder -o DIR.

Use them for retraining or as regression tests. Formats: imagefolder (a folder of PNG files per class and metadata.csv),
npz (arrays) and hf (parquet, for datasets.load_dataset). A README.md beside them says where they come from. With
labelstudio, people judge them: a study of a run, or one that latreg.annotate made, becomes tasks for Label Studio.
"""

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latreg.annotation.labelstudio import write_for_labelstudio
from latreg.annotation.study import FILE, PICTURES, make_study, read_study
from latreg.config import Config
from latreg.errors import LatregError
from latreg.interfaces import NOISE_DRAWS, ROBUST_MARGIN
from latreg.runs.cards import facts_of, header, made_with, name_of_classifier, table
from latreg.runs.faults import KINDS, ROBUST, VALID, Fault, is_kind, read_faults
from latreg.runs.files import check_empty, writing
from latreg.runs.records import encode_png
from latreg.runs.saved_config import load_run_config

COLUMNS = ("z_seed", "source_psi", "strategy", "truncation", "stratum", "valid_fault", "robust_fault")
MEASURED = ("ssim", "l2_rel", "judge_votes")
IDS = ("sut_id", "generator_id", "judge_id")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.export", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a finished or interrupted search")
    parser.add_argument("--format", choices=(*FORMATS, LABELSTUDIO), default="imagefolder", help="default: imagefolder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--kind", choices=KINDS, default=ROBUST, help="of faults; default: robust")
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"of a new study; default: {PICTURES}")
    options = parser.parse_args(arguments)
    try:
        if options.format == LABELSTUDIO:
            export_study(options.run_dir, options.output, options.pictures)
        else:
            export(options.run_dir, options.format, options.output, options.kind)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def export(run_dir: Path, format: str, output: Path, kind: str = ROBUST) -> None:
    """Write the faults of a run and a card into a new folder, and print how many there are.

    Raises:
        LatregError: the folder is none of a run, or holds no faults; the output holds something or cannot be written.
    """
    check_empty(output)
    cfg = load_run_config(run_dir)
    faults = read_faults(run_dir, cfg.dataset, kind)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        FORMATS[format](output, faults, cfg.dataset.class_names)
        (output / "README.md").write_text(card(run_dir, cfg, faults, format, kind), encoding="utf-8")
    print(f"{len(faults)} faults of {len({fault.record.label for fault in faults})} classes")
    print(output)


def export_study(source: Path, output: Path, pictures: int = PICTURES) -> None:
    """Write the tasks of a study for Label Studio into a new folder, and say how to go on.

    Args:
        source: folder of a study, or of a run, of which a study is then made in the output.
        output: a new or empty folder.
        pictures: of a new study.

    Raises:
        LatregError: the source is neither, or has no valid faults; the output holds something or cannot be written.
    """
    check_empty(output)
    there = (source / FILE).is_file()
    folder = source if there else output
    study = read_study(source) if there else make_study([source], output, pictures, seed=0)
    write_for_labelstudio(study, folder, output)
    print(
        f"{len(study.items)} pictures; when they are answered: python -m latreg.agreement {folder} --labelstudio JSON"
    )
    print(output)


# ---- formats

LABELSTUDIO = "labelstudio"  # writes no faults but a study


def write_imagefolder(output: Path, faults: Sequence[Fault], class_names: Sequence[str]) -> None:
    """<class>/class<label>_z<z_seed>_as<predicted>.png, and metadata.csv with a row for each."""
    folders = folder_names(class_names)
    rows = []
    for fault in faults:
        label, z_seed = fault.record.label, fault.record.z_seed
        name = f"{folders[label]}/class{label}_z{z_seed}_as{fault.predicted}.png"
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_bytes(encode_png(fault.image))
        rows.append({"file_name": name, **row_of(fault, class_names)})
    with (output / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_npz(output: Path, faults: Sequence[Fault], class_names: Sequence[str]) -> None:
    """faults.npz: images (N, C, H, W) uint8, labels, predicted and z_seeds (N,) int64, class_names (K,)."""
    np.savez_compressed(
        output / "faults.npz",
        images=np.stack([fault.image for fault in faults]),
        labels=np.array([fault.record.label for fault in faults], dtype=np.int64),
        predicted=np.array([fault.predicted for fault in faults], dtype=np.int64),
        z_seeds=np.array([fault.record.z_seed for fault in faults], dtype=np.int64),
        class_names=np.array(class_names),
    )


def write_hf(output: Path, faults: Sequence[Fault], class_names: Sequence[str]) -> None:
    """data/test-*.parquet with images, class labels and the columns of metadata.csv."""
    import datasets  # slow to import

    classes = datasets.ClassLabel(names=list(class_names))
    rows = [
        {"image": {"bytes": encode_png(fault.image), "path": None}, **row_of(fault, class_names)} for fault in faults
    ]
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    table = table.cast_column("label", classes).cast_column("predicted", classes)
    (output / "data").mkdir()
    with (output / "data" / "test-00000-of-00001.parquet").open("wb") as file:
        table.to_parquet(file)


FORMATS: dict[str, Callable[[Path, Sequence[Fault], Sequence[str]], None]] = {
    "imagefolder": write_imagefolder,
    "npz": write_npz,
    "hf": write_hf,
}


def row_of(fault: Fault, class_names: Sequence[str]) -> dict[str, Any]:
    """What goes with an image; the label is the class that it was made for."""
    record, names = fault.record, (class_names[fault.record.label], class_names[fault.predicted])
    return {
        "label": record.label,
        "predicted": fault.predicted,
        **dict(zip(("class_name", "predicted_name"), names, strict=True)),
        **{name: record.column(name) for name in COLUMNS},
        "margin": fault.margin,
        **{name: fault.measured.get(name) for name in MEASURED},
        **{name: record.column(name) for name in IDS},
    }


def folder_names(class_names: Sequence[str]) -> list[str]:
    """The names of the classes without what a file's name must not hold; numbered where that makes two alike."""
    plain = [re.sub(r"[^\w.-]+", "-", name).strip("-.") for name in class_names]
    if len({name.casefold() for name in plain if name}) == len(plain):
        return plain
    return [f"{number}-{name}".strip("-") for number, name in enumerate(plain)]


# ---- card

MEANING = f"wrong by a margin of at least {ROBUST_MARGIN}, or in each of {NOISE_DRAWS} draws of noise of one gray level"
SHOWN = {
    "robust": "Each image is the most severe valid one that the search found behind the boundary.",
    "valid": "Each image is the first wrong one on the boundary, where the margin is nearly 0.",
    "flipped": "Each image is the first wrong one on the boundary, where the margin is nearly 0.",
}
OPENING = {
    "imagefolder": "`datasets.load_dataset('imagefolder', data_dir='.', drop_labels=True)` opens it with the columns "
    "of `metadata.csv`. Take the label from there: who numbers the folders counts only the classes that are here.",
    "npz": "`numpy.load('faults.npz')`: `images` (N, C, H, W) uint8, `labels`, `predicted`, `z_seeds`, `class_names`.",
    "hf": "`datasets.load_dataset('.', split='test')` opens it, on the hub or in this folder.",
}


def card(run_dir: Path, cfg: Config, faults: Sequence[Fault], format: str, kind: str) -> str:
    """The README.md: what this is, where it comes from, and how to make it again."""
    names = cfg.dataset.class_names
    labels, pairs = Counter(f.record.label for f in faults), Counter((f.record.label, f.predicted) for f in faults)
    robust, valid = (sum(is_kind(fault.record, kind) for fault in faults) for kind in (ROBUST, VALID))
    classifier, gates = name_of_classifier(cfg.classifier), ", ".join(cfg.validity.gates)
    lines = [
        *([header(task_categories=["image-classification"], tags=["latreg", "test-inputs"])] if format == "hf" else []),
        f"# Faults of {classifier} on {cfg.dataset.name}",
        "",
        f"{len(faults)} generated images that the classifier gets wrong, {valid} of them valid faults: they passed the "
        f"gates {gates or '(none)'} of latreg; {robust} of these are robust: {MEANING}. "
        f"{SHOWN[kind]} The label is the class that an image was made for. No person has looked at them.",
        "",
        OPENING[format],
        "",
        *table(facts_of(run_dir, cfg)),
        "",
        "| class | faults | taken for |",
        "|---|---|---|",
        *(f"| {names[label]} | {labels[label]} | {_taken_for(pairs, label, names)} |" for label in sorted(labels)),
        "",
        "Made with:",
        "",
        "```sh",
        made_with(run_dir),
        f"python -m latreg.export RUN_DIR --format {format} --kind {kind} -o DIR",
        "```",
        "",
    ]
    return "\n".join(lines)


def _taken_for(pairs: Counter[tuple[int, int]], label: int, names: Sequence[str]) -> str:
    found = [(names[predicted], count) for (of, predicted), count in pairs.most_common() if of == label]
    return ", ".join(f"{name} {count}" for name, count in found)


if __name__ == "__main__":
    sys.exit(main())
