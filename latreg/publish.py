"""Push weights, records or exported faults to the Hugging Face hub: python -m latreg.publish WHAT --repo owner/name.

WHAT is a weights file or zoo:<name> (pushed with its card as a model), the folder of a run (its records, as a data set)
or one that latreg.export wrote (its faults, as a data set). The repository is private unless you say --public.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latreg.errors import LatregError, reason
from latreg.runs.cards import records_card
from latreg.runs.records import part_paths
from latreg.runs.saved_config import load_run_config
from latreg.zoo.model_card import model_card
from latreg.zoo.weights import card_path, read_card, read_description, resolve, sha256

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MODEL, DATASET = "model", "dataset"
CARD = "README.md"
OF_A_RUN = ("config.yaml", "status.json", "metrics.json", "examples.png")  # beside the records; all that replay needs
PARTS = ("records/", "pairs/", "data/")  # of a data set: those of another run would be read with the new ones


@dataclass(frozen=True)
class Parcel:
    """What goes into a repository."""

    kind: str  # MODEL or DATASET
    files: dict[str, Path | bytes]  # name in the repository => file, or its content


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latreg.publish", description=__doc__)
    parser.add_argument("what", help="weights file, zoo:<name>, or folder of a run or an export")
    parser.add_argument("--repo", required=True, help="owner/name on the hub; made where there is none")
    parser.add_argument("--public", action="store_true", help="everybody may see it; default: private")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be pushed")
    options = parser.parse_args(arguments)
    try:
        publish(options.what, options.repo, options.public, options.dry_run)
    except LatregError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def publish(what: str, repo: str, public: bool = False, dry_run: bool = False) -> None:
    """Print what goes into the repository, push it in one commit, and print its address.

    Raises:
        LatregError: there is nothing of that kind, no token, or the hub refuses.
    """
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise LatregError(f"--repo must be owner/name, got {repo!r}")
    parcel = parcel_of(what)
    print(_listing(parcel, repo, public))
    if dry_run:
        return
    from huggingface_hub import errors

    try:
        print(_push(parcel, repo, public))
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:  # type: ignore[attr-defined]
        raise LatregError(f"the Hugging Face hub does not take {repo}: {reason(error)}") from error


# ---- parcels


def parcel_of(what: str) -> Parcel:
    """What the first argument of the command stands for.

    Raises:
        LatregError: it is neither weights nor a folder of latreg's, or damaged.
    """
    path = Path(what)
    if what.startswith("zoo:") or path.suffix == ".safetensors":
        return _weights(resolve(what, "the weights"))
    if (path / "config.yaml").is_file():
        return _run(path)
    if (path / CARD).is_file():
        return Parcel(DATASET, _below(path, sorted(file for file in path.rglob("*") if file.is_file())))
    raise LatregError(f"expected weights, the folder of a run or one that latreg.export wrote, got {what}")


def _weights(path: Path) -> Parcel:
    kind, card = str(read_description(path)["kind"]), read_card(path)
    files: dict[str, Path | bytes] = {CARD: model_card(path.stem, kind, card, sha256(path)).encode(), path.name: path}
    return Parcel(MODEL, files | ({card_path(path).name: card_path(path)} if card else {}))


def _run(path: Path) -> Parcel:
    card = records_card(path, load_run_config(path)).encode()
    parts = part_paths(path)
    if not parts:
        raise LatregError(f"expected records in {path}, but there are none")
    pairs = [path / "pairs" / part.name for part in parts]
    files = [file for file in (*parts, *pairs, *(path / name for name in OF_A_RUN)) if file.is_file()]
    return Parcel(DATASET, {CARD: card, **_below(path, files)})


def _below(folder: Path, files: Sequence[Path]) -> dict[str, Path | bytes]:
    return {file.relative_to(folder).as_posix(): file for file in files}


def _listing(parcel: Parcel, repo: str, public: bool) -> str:
    """The repository, and a line for each file."""
    sizes = {name: len(of) if isinstance(of, bytes) else of.stat().st_size for name, of in parcel.files.items()}
    lines = [f"{size / 1e3:>12,.1f} kB  {name}" for name, size in sizes.items()]
    total = f"{len(sizes)} files, {sum(sizes.values()) / 1e6:,.1f} MB"
    return "\n".join([f"{parcel.kind} {repo}, {'public' if public else 'private'}:", *lines, total])


# ---- hub


def _push(parcel: Parcel, repo: str, public: bool) -> str:
    """The address of the repository, once it holds the files, and no parts of another run."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

    if (token := get_token()) is None:
        raise LatregError("expected a token of the Hugging Face hub: run `hf auth login`, or set HF_TOKEN")
    api = HfApi(token=token)
    before = _before(api, parcel, repo, public)
    address = api.create_repo(repo, repo_type=parcel.kind, private=not public, exist_ok=True)
    stale = [name for name in before if name.startswith(PARTS) and name not in parcel.files]
    operations: list[Any] = [CommitOperationDelete(name) for name in stale]
    operations += [CommitOperationAdd(name, of) for name, of in parcel.files.items()]
    api.create_commit(repo, operations, commit_message="Pushed by latreg.publish", repo_type=parcel.kind)
    return str(address)


def _before(api: "HfApi", parcel: Parcel, repo: str, public: bool) -> list[str]:
    """The files that the repository holds, where there is one.

    Raises:
        LatregError: everybody can see it, which was not asked for.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.repo_info(repo, repo_type=parcel.kind)
    except RepositoryNotFoundError:
        return []
    if not (found.private or public):
        raise LatregError(f"{repo} is public already: say --public to push there, or choose another --repo")
    return [file.rfilename for file in getattr(found, "siblings", None) or []]


if __name__ == "__main__":
    sys.exit(main())
