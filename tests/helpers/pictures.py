"""Folders of small pictures, as people keep them: a class is a colour, a shade of gray, or a shape."""

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")


def picture(label, number=0, size=32, mode="RGB"):
    """A picture whose channel `label` is bright, or a shade of gray; no two are the same."""
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
    pixels[..., 2 - label % 3] = 200 + number % 50
    pixels[number % size, 0] = 255
    return Image.fromarray(pixels).convert(mode)


def write_folders(root, count=10, classes=CLASSES, suffix="png", size=32, mode="RGB"):
    """root/<class>/<number>.<suffix>, `count` of each class."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(label, number, size, mode).save(root / name / f"{number:03d}.{suffix}")
    return root
