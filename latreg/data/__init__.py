"""Real images: read, converted and split."""
