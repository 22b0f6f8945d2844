"""The report of a study: runs -> results (small csv and json) -> figures and one html page."""
