"""What notebooks and scripts call after `import latreg`: searches, runs and networks as functions and objects."""

from latreg.api.networks import load_classifier, load_generator
from latreg.api.runs import Faults, Run, compare, open_run
from latreg.api.searching import search

__all__ = ["Faults", "Run", "compare", "load_classifier", "load_generator", "open_run", "search"]
