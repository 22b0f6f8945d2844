"""The shipped weights with their cards, and how weights files are found, read and written."""
