"""The one exception for what a user can put right: bad input, missing files, a refused run."""


class LatregError(ValueError):
    """Its message is one sentence: what was expected, what came, and what is allowed."""


class ResumeRefusedError(LatregError):
    """A run is not what is asked for now; its folder stays as it was."""
