"""Weights & Biases: the only importer of wandb. It mirrors a run and never feeds it."""

from latreg.tracking.link import sign_in
from latreg.tracking.people import log_people
from latreg.tracking.search import COLUMNS, Tracker
from latreg.tracking.training import lightning_logger

__all__ = ["COLUMNS", "Tracker", "lightning_logger", "log_people", "sign_in"]
