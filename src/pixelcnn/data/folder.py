"""Image files as one set."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from pixelcnn.data.decoding import watched
from pixelcnn.data.files import ImageFile, class_labels, find_images
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.patches import in_patches
from pixelcnn.data.raw import RawSet, plain_type
from pixelcnn.data.reading import Reading
from pixelcnn.data.survey import FileReport, Target, accepted, common_size, settle
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
    """These image files in their order, each decoded once and straight into the size of all.

    Args:
        files: what to read.
        reading: how.
        where: name of the set, and the start of every message.

    Raises:
        DataError: bad files, or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    reading = reading.of_pictures
    try:
        reports, pictures = _decoded(files, reading, where)
        good = accepted(reports, where, reading.skip_bad)
        target = settle(good, reading, where)
        if reading.measured:
            kind = np.result_type(*{each.dtype for each in pictures})
            target = dataclasses.replace(target, measured=plain_type(kind))
        return _as_set(good, pictures, target, reading, where, len(files) - len(good))
    except MemoryError as error:
        raise ResourceError(
            f"{where}: {len(files)} images do not fit into memory",
            hint="pack them once with `pixelcnn data prepare`, and use the packed set",
        ) from error


def _decoded(
    files: list[ImageFile], reading: Reading, where: str
) -> tuple[list[FileReport], list[np.ndarray]]:
    """A report on each file, and the pixels of the good ones."""
    reports: list[FileReport] = []
    pictures: list[np.ndarray] = []
    first = None
    for report, pixels in watched(files, reading, where):
        reports.append(report)
        if pixels is not None:
            first = first or report
            if (report.height, report.width) != (first.height, first.width):
                common_size(
                    [first, report], reading, where
                )  # which fails at once unless there is one
            pictures.append(pixels)
    return reports, pictures


def _as_set(
    good: list[FileReport],
    pictures: list[np.ndarray],
    target: Target,
    reading: Reading,
    where: str,
    skipped: int,
) -> ImageSet:
    """The set of good pictures, or of their patches."""
    patches = reading.fit == "patches"
    # Photographs of different sizes are no array: of a single pixel each, they only stand for themselves.
    shape = (target.shape.channels, 1, 1) if patches else target.shape
    pixels = np.zeros((len(good), *shape), target.dtype)
    photographs: list[torch.Tensor] = []
    for row in range(len(good)):
        picture = target.conform(pictures[row])
        pictures[row] = np.empty(0)  # so that the picture is in memory once
        if patches:
            photographs.append(torch.from_numpy(picture))
        else:
            pixels[row] = picture
    names = [each.name for each in good]
    labels, classes = class_labels(names, reading.classes) if reading.labels else (None, ())
    images = (RawSet if reading.measured else ImageSet)(
        torch.from_numpy(pixels),
        target.levels,
        labels,
        classes,
        name=where,
        names=tuple(map(printable, names)),
        skipped=skipped,
        fit="" if reading.size is None or reading.fit is None else reading.fit,
        picture_levels=reading.source_levels if reading.stored else None,
    )
    if reading.size is None or not patches:
        return images
    return in_patches(images, photographs, reading.size)
