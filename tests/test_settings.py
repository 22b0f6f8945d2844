"""What the schema declares of its settings: what each is for, and so where it may differ."""

from dataclasses import fields, is_dataclass

import pytest

from latreg.config import SEARCH, STAGES_THAT_GO_ON, TRAIN_GENERATOR, Config, purpose_in, setting_of
from latreg.settings import AMOUNT, EXECUTION, RESULT, SHARE, SOURCES, STEERED, declared_at

FREE_IN_A_SEARCH = {
    "search.sources_per_class": AMOUNT,
    "search.shard": SHARE,
    "search.classes": SOURCES,
    "search.first_z_seed": SOURCES,
    "search.uncertain_per_class": SOURCES,
    "search.max_queries_per_source": RESULT,
    "search.part_size": EXECUTION,
    "search.workers": EXECUTION,
    "validity.judge_batch": EXECUTION,
    "validity.min_ssim": RESULT,
    "strategy.bisection_steps": RESULT,
    "classifier.network_args.widths": RESULT,
    "classifier.probe_images": EXECUTION,
    "classifier.retries": EXECUTION,
    "classifier.size": RESULT,
    "generator.args.depth": RESULT,
    "tracking.project": EXECUTION,
    "trainer.precision": EXECUTION,
    "name": EXECUTION,
    "device": EXECUTION,
    "run_seed": RESULT,
    "stage": RESULT,
}


def schemas(root):
    """A dataclass of the schema, those that may stand in its place, and those of its groups."""
    yield root
    for derived in root.__subclasses__():
        yield from schemas(derived)
    for of in fields(root):
        if is_dataclass(of.type):
            yield from schemas(of.type)


@pytest.mark.parametrize("key", FREE_IN_A_SEARCH)
def test_purposes_in_a_search(key):
    assert purpose_in(key, SEARCH) == FREE_IN_A_SEARCH[key]


@pytest.mark.parametrize(
    ("key", "stage"),
    [
        ("generator.training.batch_size", TRAIN_GENERATOR),
        ("classifier.training.epochs", "train_classifier"),
        ("validity.training.widths", "train_validity"),
        ("search.min_margin", SEARCH),
    ],
)
def test_a_setting_matters_to_its_stage_alone(key, stage):
    assert [one for one in STAGES_THAT_GO_ON if purpose_in(key, one) == RESULT] == [stage]


def test_a_training_may_be_steered_and_go_further():
    assert purpose_in("generator.training.learning_rate", TRAIN_GENERATOR) == STEERED
    assert purpose_in("generator.training.total_images", TRAIN_GENERATOR) == AMOUNT
    assert purpose_in("generator.training.snapshot_images", TRAIN_GENERATOR) == EXECUTION
    assert purpose_in("generator.training.betas", TRAIN_GENERATOR) == RESULT
    assert purpose_in("generator.z_dim", TRAIN_GENERATOR) == RESULT


def test_what_the_schema_has_not_got_any_more_is_taken_for_what_its_group_is():
    assert purpose_in("search.gone", SEARCH) == purpose_in("gone", SEARCH) == RESULT
    assert purpose_in("tracking.gone", SEARCH) == EXECUTION
    assert purpose_in("generator.training.gone", SEARCH) == EXECUTION


def test_schemas_that_stand_in_for_each_other_agree_on_what_a_setting_is_for():
    for group in ("strategy", "classifier", "generator"):
        (root,) = (of.type for of in fields(Config) if of.name == group)
        for schema in schemas(root):
            if not issubclass(schema, root):
                continue
            for of in fields(schema):
                declared, known = declared_at(of).purpose, setting_of(f"{group}.{of.name}")
                assert (declared or setting_of(group).purpose) == known.purpose, (schema, of.name)
