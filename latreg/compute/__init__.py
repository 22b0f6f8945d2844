"""How tensors are computed: devices, memory, batches, and fast 3x3 convolutions on a CPU."""
