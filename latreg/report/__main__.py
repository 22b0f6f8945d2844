"""The report of a study.

python -m latreg.report RUN_DIRS .. -o DIR           read runs; write DIR/results, DIR/figures and DIR/index.html
python -m latreg.report --results DIR -o DIR         draw figures and page from the results alone
.. --people STUDY ..                                 and add what people said of faults (latreg.annotate)
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from latreg.errors import LatregError


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m latreg.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dirs", type=Path, nargs="*", help="folders of searches, or folders above them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the report")
    parser.add_argument("--results", type=Path, help="folder of the results: written if runs are given, else read")
    parser.add_argument("--study", type=Path, help="a Markdown file; its marked part is replaced by the results")
    parser.add_argument("--people", type=Path, nargs="+", default=[], help="folders of latreg.annotate with answers")
    options = parser.parse_args(arguments)
    if not (options.run_dirs or options.results):
        parser.error("expected folders of runs, or --results with the folder of results")
    try:
        results_dir = options.results or options.output / "results"
        report(options.run_dirs, results_dir, options.output, options.study, options.people)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("matplotlib", "jinja2"):
            raise
        print(f"the report needs {error.name}: pip install 'latreg[report]'", file=sys.stderr)
        return 2
    return 0


def report(
    run_dirs: Sequence[Path], results_dir: Path, output: Path, study: Path | None = None, people: Sequence[Path] = ()
) -> None:
    """Write results (where runs are given), figures and page, and the part of a study's text that holds its numbers.

    What people said is added to the results, where they are given.

    Raises:
        LatregError: there is nothing to report, it cannot be read, or the output cannot be written.
    """
    from latreg.report import page, results
    from latreg.report.study import update

    if run_dirs:
        from latreg.report.gather import gather

        results.write(gather(run_dirs), results_dir)
    read = results.read(results_dir)
    if people:
        from latreg.report.people import read_people

        read = replace(read, people=read_people(people))
        results.write(read, results_dir, ["people"])
    try:
        for note in read.study["notes"]:
            print(note, file=sys.stderr)
        pictures = page.write_figures(read, output / "figures")
        page.write_page(read, pictures, output / "index.html")
        if study is not None:
            update(study, read, pictures)
    except LatregError:
        raise
    except Exception as error:  # tables of somebody else's may hold anything, in any place
        if run_dirs:
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise LatregError(
            f"expected the results of a study in {results_dir}, but they are damaged: {reason}"
        ) from error
    print(output / "index.html")


if __name__ == "__main__":
    sys.exit(main())
