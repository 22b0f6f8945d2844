"""What all trainings share: the loop, its data, its checkpoints, its devices."""
