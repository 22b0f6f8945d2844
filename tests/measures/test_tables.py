from latreg.measures.tables import aligned, as_text, percent


def test_shares_are_percent_with_their_interval_and_what_was_not_measured_has_no_line():
    results = {
        "sources": 3,
        "acceptance_rate": 1.0,
        "fault_rate_per_source": 0.0275,
        "fault_rate_per_source_ci95": [0.002747, 0.3572],
        "lpips": None,
        "appraisals": 12,
        "seconds": 12.345678,
        "strata": {
            "confident": {"sources": 1, "acceptance_rate": None},
            "uncertain": {"sources": 2, "fault_rate_per_source": 0.5, "fault_rate_per_source_ci95": [0.1, 0.9]},
        },
    }
    assert as_text(results).splitlines() == [
        "                       all                      confident  uncertain",
        "sources                3                        1          2",
        "acceptance rate        100 %",
        "fault rate per source  2.75 % (0.27 to 35.7 %)             50.0 %",
        "seconds                12.35",
    ], "how often the judge was asked stands in metrics.json"
    results["strata"]["confident"]["sources"] = 0
    assert as_text(results).splitlines()[0] == "sources                3", "all are of one stratum"


def test_of_a_training_there_is_one_column():
    assert as_text({"images_seen": 100, "test_accuracy": 0.9963}) == "images seen    100\ntest accuracy  99.63 %"


def test_percent():
    assert [percent(share) for share in (0.0, 0.002747, 0.1286, 1.0)] == ["0 %", "0.27 %", "12.9 %", "100 %"]


def test_aligned():
    assert aligned([["a", None], ["bcd", 0.123456]]) == "a    -\nbcd  0.1235"
