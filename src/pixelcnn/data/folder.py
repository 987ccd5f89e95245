"""Image files as one set."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.data import assignment
from pixelcnn.data.decoding import watched
from pixelcnn.data.files import ImageFile, class_labels, find_images, name_of, part_folders
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.patches import PATCHES, in_patches
from pixelcnn.data.raw import RawSet, plain_type
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import Parts, read_alike
from pixelcnn.data.survey import FileReport, accepted, common_size, settle
from pixelcnn.errors import ResourceError
from pixelcnn.text import printable


def read_folder(root: Path, reading: Reading) -> Parts:
    """The images of a folder and of all folders below, or of its folders ``train``, ``val`` and ``test``.

    Raises:
        DataError: no images, bad ones (all are named), or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    reading, folders = reading.of_pictures, part_folders(root)
    if not folders:
        return {"all": read_files(find_images(root), reading, name_of(root))}

    def read(folder: Path, told: Reading) -> ImageSet:
        images = read_files(find_images(folder), told, name_of(folder))
        names = tuple(f"{folder.name}/{name}" for name in images.names)
        name = name_of(root) + (PATCHES if images.fit == "patches" else "")
        return dataclasses.replace(images, name=name, names=names)

    return read_alike(folders, read, reading)


def read_files(
    files: list[ImageFile],
    reading: Reading,
    where: str,
    labels: Sequence[Any] | None = None,
    parts: Sequence[str] = (),
) -> ImageSet:
    """These image files in their order, each decoded once and straight into the size of all.

    Args:
        files: what to read.
        reading: how, see :attr:`Reading.of_pictures`.
        where: name of the set, and the start of every message.
        labels: of the files; by default their folders.
        parts: of a split, that a table says each file is in, see :func:`pixelcnn.data.assignment.assigned`.

    Raises:
        DataError: bad files, or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    try:
        reports, pictures = _decoded(files, reading, where)
        good = accepted(reports, where, reading.skip_bad)
        target = settle(good, reading, where)
        if reading.measured:
            kind = np.result_type(*{each.dtype for each in pictures})
            target = dataclasses.replace(target, measured=plain_type(kind))
        photographs = reading.size if reading.fit == "patches" else None
        pixels, apart = target.together(pictures, apart=photographs is not None)
    except MemoryError as error:
        raise ResourceError(
            f"{where}: {len(files)} images do not fit into memory",
            hint="pack them once with `pixelcnn data prepare`, and use the packed set",
        ) from error
    names = [each.name for each in good]
    kept = [at for at, report in enumerate(reports) if not report.error]
    found: Any = None
    if labels is not None:
        found = [labels[at] for at in kept]
    elif reading.labels:
        found = class_labels(names, reading.classes)
    images = (RawSet if reading.measured else ImageSet)(
        pixels,
        target.levels,
        found,
        name=where,
        names=tuple(map(printable, names)),
        skipped=len(files) - len(good),
        assigned=assignment.assigned([parts[at] for at in kept], where) if parts else None,
        fit="" if reading.size is None or reading.fit is None else reading.fit,
        picture_levels=reading.source_levels if reading.stored else None,
    )
    return images if photographs is None else in_patches(images, apart, photographs)


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
