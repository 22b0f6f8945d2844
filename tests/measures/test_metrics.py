import json

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import binomtest

from latreg.measures import metrics as measures
from latreg.measures.metrics import boundary_margin_median, diversity, wilson
from tests.helpers.example_records import FLAGS, pair, record


def fault(level=0, **values):
    values = {"last_margin": 0.1, "first_margin": -0.2, "screened": False} | values
    return pair(first_image=np.full((1, 4, 4), level, dtype=np.uint8), **values)


def summarize(records, chosen=(), seconds=None):
    return measures.summarize(records, FLAGS, chosen, seconds)


RECORDS = [
    fault(level=0, stratum="confident", screened=True),
    fault(level=51),
    fault(level=51, predicted=0),
    fault(valid_fault=False, label_kept=False, last_margin=0.4),
    record(stratum="confident"),
    record(accepted=False, queries=1),
]


def test_counts_and_rates():
    metrics = summarize(RECORDS, seconds=17.0)
    expected = {
        "sources": 6, "accepted": 5, "acceptance_rate": 5 / 6, "flipped": 4, "screened": 1, "in_distribution": None,
        "label_kept": 3, "valid_faults": 3, "fault_rate_per_source": 0.5, "fault_rate_per_accepted": 0.6, "queries": 51,
        "queries_per_valid_fault": 17.0, "sources_per_valid_fault": 2.0, "boundary_margin_median": 0.2,
        "distinct_class_pairs": 2, "seconds": 17.0, "queries_per_second": 3.0,
    }  # fmt: skip
    assert {name: metrics[name] for name in expected} == expected
    assert metrics["diversity"] == pytest.approx(0.2 * 2 / 3)
    assert metrics["fault_rate_per_source_ci95"] == wilson(3, 6)
    assert metrics["fault_rate_per_accepted_ci95"] == wilson(3, 5)


def test_strata_add_up_and_have_the_same_numbers():
    metrics = summarize(RECORDS, seconds=17.0)
    confident, uncertain = metrics["strata"]["confident"], metrics["strata"]["uncertain"]
    for name in ("sources", "accepted", "flipped", "screened", "label_kept", "valid_faults", "queries"):
        assert confident[name] + uncertain[name] == metrics[name]
    assert confident.keys() == uncertain.keys() == metrics.keys() - {"strata"}
    assert (confident["valid_faults"], uncertain["valid_faults"]) == (1, 2)
    assert confident["seconds"] is confident["queries_per_second"] is None


def test_the_time_of_chosen_sources_stands_against_their_queries():
    metrics = summarize(RECORDS, [record(queries=30), fault(queries=4)], seconds=17.0)
    assert metrics["queries_per_second"] == (51 + 34) / 17
    assert (metrics["queries"], metrics["strata"]["chosen"]["queries"]) == (51, 34)
    assert metrics["strata"]["chosen"]["queries_per_second"] is None


@pytest.mark.parametrize("records", [[], [record(queries=0)], [fault()], RECORDS])
@pytest.mark.parametrize("seconds", [None, 0.0, 1.0])
def test_is_strict_json_without_nan(records, seconds):
    metrics = summarize(records, seconds=seconds)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_in_distribution_is_counted_where_a_model_was_there():
    assert summarize([fault(in_distribution=True), fault(in_distribution=False), record()])["in_distribution"] == 1
    assert summarize([fault(in_distribution=False)])["in_distribution"] == 0
    strata = summarize([fault(in_distribution=True, stratum="uncertain"), record(stratum="confident")])["strata"]
    assert [strata[name]["in_distribution"] for name in ("uncertain", "confident")] == [1, 0], "of no flips none passes"


def test_faults_on_rejected_sources_do_not_count_per_accepted():
    """`sampling` calls a misclassified source the fault, and such a source is never accepted."""
    metrics = summarize([fault(accepted=False), fault(accepted=False), record()])
    assert metrics["fault_rate_per_source"] == 2 / 3
    assert metrics["fault_rate_per_accepted"] == 0


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (70, 100), (3, 1000)])
def test_wilson_is_scipys(k, n):
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_wilson_of_nothing():
    assert wilson(0, 0) is None
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


def test_boundary_margin_needs_both_images():
    assert boundary_margin_median([fault(last_margin=None)]) is None
    assert boundary_margin_median([fault(last_margin=None), fault(last_margin=0.3)]) == 0.3


@pytest.mark.parametrize("block", [1, 3, 512])
def test_diversity_is_scipys(block):
    images = list(np.random.default_rng(0).integers(0, 256, (7, 3, 8, 8), dtype=np.uint8))
    expected = pdist(np.stack(images).reshape(7, -1) / 255).mean() / np.sqrt(3 * 8 * 8)
    assert diversity(images, block) == pytest.approx(expected, rel=1e-12)


def test_diversity_at_its_ends():
    black, white = np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 255, np.uint8)
    assert diversity([]) is None
    assert diversity([black]) is None
    assert diversity([black, black]) == 0
    assert diversity([black, white]) == 1
