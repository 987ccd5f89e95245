"""Image files as one set."""

from pathlib import Path

import numpy as np
import torch

from pixelcnn.data.files import ImageFile, class_labels, find_images
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.reading import Reading
from pixelcnn.data.survey import accepted, examine
from pixelcnn.data.target import conform, settle
from pixelcnn.errors import ResourceError
from pixelcnn.text import printable


def read_folder(root: Path, reading: Reading) -> ImageSet:
    """The images of a folder and of all folders below.

    Raises:
        DataError: no images, bad ones (all are named), or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    return read_files(find_images(root), reading, printable(root.resolve().name))


def read_files(files: list[ImageFile], reading: Reading, where: str) -> ImageSet:
    """These image files in their order.

    Args:
        files: what to read.
        reading: how.
        where: name of the set, and the start of every message.

    Raises:
        DataError: bad files, or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    try:
        return _read(files, reading, where)
    except MemoryError as error:
        raise ResourceError(
            f"{where}: {len(files)} images do not fit into memory",
            hint="pack them once with `pixelcnn data prepare`, and use the packed set",
        ) from error


def _read(files: list[ImageFile], reading: Reading, where: str) -> ImageSet:
    examined = list(examine(files, reading))
    good = accepted([report for report, _ in examined], where, reading.skip_bad)
    pictures = [picture for _, picture in examined if picture is not None]
    target = settle(good, reading, where)
    pixels = np.empty((len(pictures), *target.shape), dtype=target.dtype)
    for row, picture in enumerate(pictures):
        pixels[row] = conform(picture, target)
    names = [each.name for each in good]
    labels, classes = class_labels(names) if reading.labels else (None, ())
    return ImageSet(
        torch.from_numpy(pixels),
        target.levels,
        labels,
        classes,
        name=where,
        names=tuple(map(printable, names)),
        skipped=len(files) - len(good),
    )
