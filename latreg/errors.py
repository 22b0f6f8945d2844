"""The one exception for what a user can put right: bad input, missing files, a refused run."""

import re


class LatregError(ValueError):
    """Its message is one sentence: what was expected, what came, and what is allowed.

    It is on one line and can be printed, whatever another library or a file has put into it.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_on_one_line(str(message)))


def _on_one_line(text: str) -> str:
    """The text without escape codes, with what cannot be printed as \\x0e."""
    words = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


class ResumeRefusedError(LatregError):
    """A run is not what is asked for now; its folder stays as it was."""


class NotFiniteError(LatregError):
    """A network answers an image with NaN or infinite numbers.

    Attributes:
        image: its number among those that the network was asked about.
    """

    def __init__(self, network: str, image: int) -> None:
        super().__init__(f"{network} must answer with finite numbers, but answers nan or infinite ones")
        self.network = network
        self.image = image


ADVICE = ("weights_only", "trust_remote_code", "allow_pickle", "use_safetensors")  # on how to execute what a file holds


def reason(error: BaseException) -> str:
    """What an error of another library says, on one line, without escape codes, and without advice that is dangerous.

    The type stands before it where the message does not speak for itself.
    """
    sentences = re.split(r"(?<=[.!?;])\s+", _on_one_line(str(error)))
    kept = " ".join(one for one in sentences if not any(word in one for word in ADVICE))
    return f"{type(error).__name__}: {kept}" if kept else type(error).__name__
