"""The comparison workspace of a W&B project, as code."""
