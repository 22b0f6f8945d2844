"""Names that become files or folders, whoever chose them. No framework in here."""

from latreg.errors import LatregError

MAX_NAME = 100  # characters


def check_name(what: str, name: object) -> str:
    """The name, where it can be one part of a path and cannot lead out of its folder.

    Raises:
        LatregError: it is no text, empty, too long, made of dots alone, or holds a slash or what cannot be printed.
    """
    plain = isinstance(name, str) and name.strip(". ") and len(name) <= MAX_NAME and name.isprintable()
    if isinstance(name, str) and plain and not set(name) & {"/", "\\"}:
        return name
    raise LatregError(
        f"{what} must be a plain name of at most {MAX_NAME} characters without slashes, since files are called after "
        f"it, got {_shown(name)}"
    )


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}.."
