"""The folder of a run, and everything that is read from it or written to it."""
