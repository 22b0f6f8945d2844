"""What the documents quote: their numbers are those of the cards, and their links lead somewhere."""

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from docs.hooks import settings
from latreg import config

REPOSITORY = Path(__file__).parent.parent
ZOO = REPOSITORY / "latreg" / "zoo"
DATASETS = ("mnist", "fashion_mnist", "cifar10")
JUDGE = ("judge_a", "judge_b", "judge_c")
GENERATORS = ("mnist_stylegan2_small", "fashion_mnist_stylegan2_small", "cifar10_stylegan2_medium")  # of the data sets


def table_rows(path):
    """First cell of each row of a file's tables => the other cells."""
    lines = [line.strip("| \n").split(" | ") for line in path.read_text().splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines}


WEIGHTS = table_rows(REPOSITORY / "docs" / "weights.md")


def card(name):
    return json.loads((ZOO / f"{name}.json").read_text())


def mebibytes(*names):
    return f"{sum((ZOO / f'{name}.safetensors').stat().st_size for name in names) / 2**20:.1f}"


def percent(share, digits):
    return f"{100 * share:.{digits}f}"


def with_interval(scores, key, digits):
    low, high = (percent(end, digits) for end in scores[f"{key}_ci95"])
    return f"{percent(scores[key], digits)} % ({low} to {high})"


@pytest.mark.parametrize("dataset", DATASETS)
def test_system_under_test(dataset):
    _, size, scores = WEIGHTS[f"`zoo:{dataset}_sut`"]
    assert size == f"{mebibytes(f'{dataset}_sut')} MiB"
    assert scores == with_interval(card(f"{dataset}_sut"), "test_accuracy", 2)


@pytest.mark.parametrize("dataset", DATASETS)
def test_judge(dataset):
    members = [f"{dataset}_{member}" for member in JUDGE]
    together = card(GENERATORS[DATASETS.index(dataset)])["scores"]
    _, size, scores = WEIGHTS[f"`zoo:{dataset}_judge_a`, `_b`, `_c`"]
    assert size == f"{mebibytes(*members)} MiB"
    alone = ", ".join(f"{percent(card(member)['test_accuracy'], 2)} %" for member in members)
    assert scores.startswith(f"{alone}; ")
    assert f" {with_interval(together, 'judge_agreement_of_test', 2)}; " in scores
    assert scores.endswith(f" {together['sut_errors_of_judge_alike']} of its {together['sut_errors']} errors")


def test_validity_models():
    models = [f"{dataset}_vae" for dataset in DATASETS]
    _, size, scores = WEIGHTS["`zoo:<dataset>_vae`"]
    assert size == f"{', '.join(map(mebibytes, models))} MiB"
    assert f" {', '.join(percent(card(model)['false_alarm_rate'], 1) for model in models)} % " in scores


def test_guides():
    guides = [f"{dataset}_guide" for dataset in DATASETS]
    _, size, scores = WEIGHTS["`zoo:<dataset>_guide`"]
    assert size == f"{', '.join(map(mebibytes, guides))} MiB"
    assert scores == ", ".join(f"{percent(card(guide)['test_accuracy'], 2)} %" for guide in guides)


def pair_of(first, second):
    def shown(scores):
        at_psi_1, of_train = (
            ", ".join(f"{scores[f'judge_{what}_{where}']:.2f}" for what in (first, second))
            for where in ("psi_1_class", "of_train")
        )
        return f"{at_psi_1}; {of_train}"

    return shown


def frechet(scores):
    return f"{scores['judge_frechet_distance']:.2f}; {scores['judge_frechet_distance_of_train']:.2f}"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("judge sees the class in 5,000 samples", lambda s: with_interval(s, "judge_agreement_psi_1_class", 1)),
        ("psi 0.7, class centers", lambda s: with_interval(s, "judge_agreement_psi_0.7_class", 1)),
        ("psi 0.7, global center", lambda s: with_interval(s, "judge_agreement_psi_0.7_global", 1)),
        ("Frechet distance", frechet),
        ("precision, recall", pair_of("precision", "recall")),
        ("density, coverage", pair_of("density", "coverage")),
        ("trained on 30,000 samples", lambda s: with_interval(s, "accuracy_trained_on_samples", 1)),
    ],
)
def test_generators(row, shown):
    (found,) = (cells for first, cells in WEIGHTS.items() if row in first)
    assert found == [shown(card(name)["scores"]) for name in GENERATORS]


def test_sizes_of_the_generators():
    (found,) = (cells for first, cells in WEIGHTS.items() if first.startswith("parameters, size"))
    for cell, name in zip(found, GENERATORS, strict=True):
        assert cell.endswith(f", {mebibytes(name)} MiB, {card(name)['images_seen']:,}")


def test_checkpoints():
    checkpoints = table_rows(REPOSITORY / "training" / "README.md")
    for name, (images,) in checkpoints.items():
        if name.endswith(".ckpt`"):
            known = name.strip("`").removesuffix(".ckpt")
            told = card(known)
            assert images == f"{told['images_seen']:,}"


EXPERIMENTS = [
    path for path in sorted((REPOSITORY / "conf" / "experiment").glob("*.yaml")) if "Reached" in path.read_text()
]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_what_an_experiment_reached(path):
    head = path.read_text()
    reached = card(path.stem.replace("_classifier", "_sut"))["test_accuracy"]
    assert f"Reached: {percent(reached, 2)} %" in head
    if together := re.search(r"the ensemble of the three ([\d.]+) %", head):
        scores = card(GENERATORS[DATASETS.index(path.stem.split("_judge_")[0])])["scores"]
        assert together[1] == percent(scores["judge_agreement_of_test"], 2)


def test_the_study_quotes_no_score_by_hand():
    """Outside of what `make figures` writes there is no share: scores are on the cards, results in the marked part."""
    study = (REPOSITORY / "docs" / "study.md").read_text()
    by_hand = re.sub(r"<!-- results: begin.*<!-- results: end -->", "", study, flags=re.DOTALL)
    assert re.findall(r"[\d.]+ %|\d+ of (?:its )?\d+", by_hand) == []


def test_the_reference_of_settings_has_a_sentence_for_each():
    listed = re.findall(r"^`([\w.]+)`\n:   \S.* \*.+\*$", settings.page(), flags=re.MULTILINE)
    schemas = [of for of in vars(config).values() if is_dataclass(of) and of.__module__ == config.__name__]
    assert {key.split(".")[-1] for key in listed} == {
        of.name for schema in schemas for of in fields(schema) if not is_dataclass(of.type)
    }


def test_the_index_of_decisions_leads_somewhere():
    text = (REPOSITORY / "docs" / "decisions.md").read_text()
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors
