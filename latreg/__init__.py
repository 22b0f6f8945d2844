"""Search the latent space of a generator for inputs that an image classifier gets wrong although a person would not."""

__version__ = "0.1.0"
