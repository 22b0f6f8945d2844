"""Classifiers: the system under test and the members of the judge."""
