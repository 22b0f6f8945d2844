import json

from latreg.jobs.comparison import compare


def job(folder, command, state="done", **metrics):
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": state, "command": f"python -m latreg.run {command}"}))
    if metrics:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_jobs_are_told_apart_by_what_their_commands_say(tmp_path):
    found = {"sources": 20, "valid_faults": 3, "fault_rate_per_source": 0.15, "queries_per_valid_fault": None}
    found |= {"fault_rate_per_source_ci95": [0.0524, 0.3604]}
    runs = [
        job(tmp_path / "0", "+experiment=mnist_random truncation=none run_seed=1", **found),
        job(tmp_path / "1", "+experiment=mnist_random truncation=psi_0.7 run_seed=1", state="failed"),
    ]
    assert compare(runs, width=80).splitlines() == [
        "                                  valid",
        "job  truncation  state   sources  faults  fault rate per source",
        "0    none        done    20       3       15.0 % (5.24 to 36.0 %)",
        "1    psi_0.7     failed  -        -       -",
    ]
    assert compare(runs, width=40).splitlines() == [
        "                                  valid",
        "job  truncation  state   sources  faults",
        "0    none        done    20       3",
        "1    psi_0.7     failed  -        -",
        "",
        "job  truncation  fault rate per source",
        "0    none        15.0 % (5.24 to 36.0 %)",
        "1    psi_0.7     -",
    ], "each block says which job it speaks of"


def test_jobs_whose_files_are_damaged_are_listed_too(tmp_path):
    runs = [job(tmp_path / "0", "truncation=none", test_accuracy=0.5), job(tmp_path / "1", "truncation=psi_0.7")]
    (tmp_path / "1" / "status.json").write_text("{")
    (tmp_path / "1" / "metrics.json").write_text("[]")
    assert compare(runs, width=80).splitlines()[2:] == [
        "0    none        done     50.0 %",
        "1                unknown  -",
    ]
