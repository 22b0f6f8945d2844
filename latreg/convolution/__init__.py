"""3x3 convolutions on a CPU, faster than the direct ones."""
