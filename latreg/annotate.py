"""Let people judge the faults of runs: python -m latreg.annotate RUN_DIRS .. -o study/.

Serves a page on which faults, sources, flips whose class the judge no longer sees and real images are named blind, in
an order of each annotator's own. Answers are files in the folder; the same command without RUN_DIRS goes on with it.
`python -m latreg.agreement study/` says what came out.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from latreg.annotation.study import FILE, PICTURES, Study, make_study, read_study
from latreg.errors import LatregError


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.annotate", description=__doc__)
    parser.add_argument("run_dirs", type=Path, nargs="*", help="folders of searches of one data set")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the study")
    parser.add_argument(
        "--pictures", type=int, default=PICTURES, help=f"how many are shown; half of them faults (default: {PICTURES})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice and the orders (default: 0)")
    parser.add_argument("--port", type=int, default=8000, help="of the page (default: 8000)")
    options = parser.parse_args(arguments)
    try:
        study = _study(options.run_dirs, options.output, options.pictures, options.seed)
        _serve(study, options.output, options.port)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _study(run_dirs: Sequence[Path], folder: Path, pictures: int, seed: int) -> Study:
    """The study in the folder, or a new one of the runs."""
    if (folder / FILE).is_file():
        if run_dirs:
            raise LatregError(
                f"{folder} holds a study already: leave the runs out to go on with it, or choose another -o"
            )
        return read_study(folder)
    if not run_dirs:
        raise LatregError(f"expected folders of runs, as {folder} holds no study yet")
    return make_study(run_dirs, folder, pictures, seed)


def _serve(study: Study, folder: Path, port: int) -> None:
    """Until Ctrl-C."""
    try:
        import uvicorn

        from latreg.annotation.server import HOST, make_app
    except ImportError as error:
        raise LatregError(f"the page needs an extra: pip install 'latreg[annotate]' ({error})") from error
    if not 0 < port < 2**16:
        raise LatregError(f"--port must lie between 1 and 65535, got {port}")
    print(f"{len(study.items)} pictures of {study.dataset}: open http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(make_app(study, folder, port), host=HOST, port=port, log_level="warning", access_log=False)
    try:
        uvicorn.Server(config).run()
    except SystemExit as error:  # what uvicorn does where the port is taken
        raise LatregError(f"the page cannot be served at port {port}; choose another --port") from error
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    sys.exit(main())
