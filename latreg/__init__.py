"""Search the latent space of a generator for inputs that an image classifier gets wrong although a person would not."""

from latreg import surroundings

__version__ = "0.1.0"

surroundings.complete()  # before any library is imported that relies on it
