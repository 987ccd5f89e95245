"""Folders of pictures for tests."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def save_pictures(
    folder: Path,
    images: Iterable[np.ndarray],
    name: str = "{}.png",
    classes: Sequence[str] = ("",),
) -> Path:
    """Writes pictures of these values, one file each, called by their numbers, into class folders in turn."""
    for number, image in enumerate(images):
        path = folder / classes[number % len(classes)] / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder
