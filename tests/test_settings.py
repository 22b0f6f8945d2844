"""What the schema declares of its settings: what each is for, and so where it may differ."""

from dataclasses import fields, is_dataclass

import pytest

from latreg.config import SEARCH, STAGES_THAT_GO_ON, TRAIN_GENERATOR, StrategyConfig, purpose_in
from latreg.settings import AMOUNT, EXECUTION, RESULT, SHARE, SOURCES, STEERED, declared_at

FREE_IN_A_SEARCH = {
    "search.sources_per_class": AMOUNT,
    "search.shard": SHARE,
    "search.classes": SOURCES,
    "search.first_z_seed": SOURCES,
    "search.z_seed_stride": SOURCES,
    "search.uncertain_per_class": SOURCES,
    "search.max_queries_per_source": RESULT,
    "search.part_size": EXECUTION,
    "search.workers": EXECUTION,
    "validity.judge_batch": EXECUTION,
    "validity.min_ssim": RESULT,
    "strategy.bisection_steps": RESULT,
    "classifier.probe_images": EXECUTION,
    "classifier.retries": EXECUTION,
    "classifier.training.epochs": EXECUTION,
    "classifier.weights": RESULT,
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
    assert purpose_in(key, {"stage": SEARCH}) == FREE_IN_A_SEARCH[key]


@pytest.mark.parametrize(
    ("key", "stage"),
    [
        ("generator.training.batch_size", TRAIN_GENERATOR),
        ("classifier.training.epochs", "train_classifier"),
        ("validity.training.widths", "train_validity"),
        ("search.min_margin", SEARCH),
        ("dataset.judge_confidence", SEARCH),
    ],
)
def test_a_setting_matters_to_its_stage_alone(key, stage):
    assert [one for one in STAGES_THAT_GO_ON if purpose_in(key, {"stage": one}) == RESULT] == [stage]


def test_a_training_may_be_steered_and_go_further():
    assert purpose_in("generator.training.learning_rate", {"stage": TRAIN_GENERATOR}) == STEERED
    assert purpose_in("generator.training.total_images", {"stage": TRAIN_GENERATOR}) == AMOUNT
    assert purpose_in("generator.training.snapshot_images", {"stage": TRAIN_GENERATOR}) == EXECUTION
    assert purpose_in("generator.training.betas", {"stage": TRAIN_GENERATOR}) == RESULT
    assert purpose_in("generator.z_dim", {"stage": TRAIN_GENERATOR}) == RESULT


def test_what_the_schema_has_not_got_any_more_is_taken_for_what_its_group_is():
    assert purpose_in("search.gone", {"stage": SEARCH}) == purpose_in("gone", {"stage": SEARCH}) == RESULT
    assert purpose_in("tracking.gone", {"stage": SEARCH}) == EXECUTION
    assert purpose_in("generator.training.gone", {"stage": SEARCH}) == EXECUTION


def test_what_weights_describe_matters_to_a_search_where_they_do_not():
    own = {"stage": SEARCH, "classifier": {"kind": "torch"}, "generator": {"_target_": "a.B"}}
    for key in ("classifier.network", "classifier.network_args.depth", "generator.args.depth"):
        assert purpose_in(key, own) == RESULT
    for key in ("classifier.network", "classifier.network_args.depth", "generator.z_dim", "classifier.name"):
        assert purpose_in(key, {"stage": SEARCH}) == EXECUTION
    assert purpose_in("generator.weights", {"stage": SEARCH}) == RESULT


def test_strategies_agree_on_what_a_setting_is_for():
    purposes = {}
    for schema in schemas(StrategyConfig):
        for of in fields(schema):
            purposes.setdefault(of.name, set()).add(declared_at(of).purpose)
    assert all(len(found) == 1 for found in purposes.values())
