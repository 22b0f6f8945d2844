"""What the command line starts: searches, trainings, and how their parts are put together and checked."""
