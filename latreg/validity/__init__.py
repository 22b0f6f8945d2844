"""Whether a wrong answer is on an image that a person would still call by its class."""
