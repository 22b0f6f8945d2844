"""Generators from pickles of other people, read as data: nothing in the file is executed."""
