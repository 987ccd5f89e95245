"""Pictures as one set: of a folder, in a list, in memory, or in a data set of somebody else's."""

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data import assignment
from pixelcnn.data.decoding import decode, watched
from pixelcnn.data.depth import DEEP, is_negative, positive, raw_mode
from pixelcnn.data.files import ImageFile, class_labels, name_of
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.labels import known_labels
from pixelcnn.data.lazy import LazyImages, Rows
from pixelcnn.data.opening import named, opened
from pixelcnn.data.parsing import places_among
from pixelcnn.data.parts import FolderPart, image_parts
from pixelcnn.data.patches import PATCHES, in_patches
from pixelcnn.data.picture import Content
from pixelcnn.data.raw import RawSet, plain_type
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import Parts, read_alike
from pixelcnn.data.stored import HELD
from pixelcnn.data.survey import FileReport, Target, accepted, common_size, settle
from pixelcnn.data.tensors import dtype_of
from pixelcnn.errors import DataError, ResourceError
from pixelcnn.folders import at_home
from pixelcnn.memory import afford
from pixelcnn.text import printable

TIFF = (".tif", ".tiff")

Again = Callable[[Sequence[int]], Iterable[Content]]
"""Gives pictures at some places once more."""


def is_picture(source: Any) -> bool:
    """Whether something is a picture of Pillow, which need not be imported to know."""
    return any(kind.__module__ == "PIL.Image" for kind in type(source).__mro__)


def listed(source: Any) -> bool:
    """Whether something is a picture, or a list of pictures, paths and the bytes of files."""
    if is_picture(source) or isinstance(source, bytes):
        return True
    several = isinstance(source, Sequence) and not isinstance(source, Splits | str | memoryview)
    return several and all(
        is_picture(each) or isinstance(each, str | Path | bytes) for each in source
    )


def read_folder(root: Path, reading: Reading) -> ImageSet | Parts:
    """The images of a folder and of all folders below, or of its folders ``train``, ``val`` and ``test``.

    Raises:
        DataError: no images, bad ones (all are named), or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    reading, parts = reading.of_pictures, image_parts(root)
    if "all" in parts:
        return read_files(parts["all"].files, reading, name_of(root))

    def read(part: FolderPart, told: Reading) -> ImageSet:
        images = read_files(part.files, told, part.name)
        own = dict(zip((printable(file.name) for file in part.files), part.names, strict=True))
        if images.fit != "patches":
            names = tuple(printable(own[each]) for each in images.names)
            return dataclasses.replace(images, name=name_of(root), names=names)
        places = (each.rpartition("@") for each in images.names)
        names = tuple(f"{printable(own[name])}@{corner}" for name, _, corner in places)
        return dataclasses.replace(images, name=name_of(root) + PATCHES, names=names)

    return read_alike(parts, read, reading)


def read_listed(source: Any, reading: Reading) -> ImageSet:
    """Files, pictures of Pillow or bytes, alone or in the order given; of a TIFF alone its pages."""
    alone = is_picture(source) or isinstance(source, str | Path | bytes)
    several = [source] if alone else source
    sources = [at_home(each) if isinstance(each, str | Path) else each for each in several]
    if not sources:
        raise DataError("no images are given")
    files = [
        ImageFile(source, source.name if isinstance(source, Path) else f"image {index}")
        for index, source in enumerate(sources)
    ]
    where = printable(files[0].name) if len(files) == 1 else f"{len(files)} image files"
    if isinstance(source, str | Path):
        with named(where):
            files = pages_of(Path(source)) or files
    with_names = isinstance(sources[0], Path)
    return read_files(files, reading.of_pictures, where, with_names=with_names)


def pages_of(path: Path) -> list[ImageFile]:
    """The pages of a TIFF as files of their own; none unless there are several of one size and kind.

    Raises:
        DataError: damaged, or colour of 16 bits, of which Pillow gives eight.
    """
    from PIL import Image

    if path.suffix.lower() not in TIFF:
        return []
    with opened(path) as stream, Image.open(stream, formats=["TIFF"]) as image:
        kinds = set()
        pages = range(getattr(image, "n_frames", 1))
        for page in pages:
            image.seek(page)
            kinds.add((image.size, image.mode, raw_mode(image)))
        if len(pages) < 2 or len(kinds) > 1:
            return []
        if raw_mode(image).startswith(DEEP):
            raise DataError("has pages in colour of 16 bits", hint="one file a page keeps all bits")
        afford(4 * len(pages) * image.width * image.height)
        files = []
        for number in pages:
            image.seek(number)
            content = io.BytesIO()
            # A damaged page is a bad file, which may be left out.
            with contextlib.suppress(OSError):
                copied = positive(image) if is_negative(image) else image.copy()
                copied.save(content, "TIFF")
            files.append(ImageFile(content.getvalue(), f"{path.name}, page {number + 1}"))
    return files


def read_files(
    files: Iterable[ImageFile],
    reading: Reading,
    where: str,
    labels: Sequence[Any] | None = None,
    parts: Sequence[str] = (),
    *,
    with_names: bool = True,
    again: Again | None = None,
) -> ImageSet:
    """These pictures in their order, each decoded once and straight into the size of all.

    Args:
        files: what to read.
        reading: how, see :attr:`Reading.of_pictures`.
        where: name of the set, and the start of every message.
        labels: of the pictures, known when all have been read; by default their folders.
        parts: of a split, one a picture, see :func:`pixelcnn.data.assignment.assigned`.
        with_names: the pictures have names of their own; else that is their places, if some are left out.
        again: more pictures than :data:`HELD` are decoded anew when they are used, of what this gives.

    Raises:
        DataError: bad pictures, or different sizes where none was asked for.
        ResourceError: more than the memory holds.
    """
    photographs = reading.size if reading.fit == "patches" else None
    if reading.measured or photographs is not None:
        again = None
    try:
        reports, pictures = _decoded(files, reading, where, None if again is None else HELD)
        good = accepted(reports, where, reading.skip_bad)
        target = settle(good, reading, where)
        bad = [at for at, each in enumerate(reports) if each.error]
        kept = [at for at, each in enumerate(reports) if not each.error]
        if again is not None and len(pictures) < len(good):
            pixels, apart = _anew(again, torch.tensor(kept), target, reading, where), list[Tensor]()
        else:
            if reading.measured:
                kind = np.result_type(*{each.dtype for each in pictures})
                target = dataclasses.replace(target, measured=plain_type(kind))
            pixels, apart = target.together(pictures, apart=photographs is not None)
    except MemoryError as error:
        raise ResourceError(
            f"{where}: the images do not fit into memory",
            hint="pack them once with `pixelcnn data prepare`, and use the packed set",
        ) from error
    names = [each.name for each in good]
    if labels is not None:
        labels = known_labels(labels, kept, where)
    elif reading.labels:
        labels = class_labels(names, reading.classes)
    images = (RawSet if reading.measured else ImageSet)(
        pixels,
        target.levels,
        labels,  # type: ignore[arg-type]
        name=where,
        names=tuple(map(printable, names)) if with_names else places_among(kept, bad),
        skipped=len(bad),
        assigned=assignment.assigned([parts[at] for at in kept], where) if parts else None,
        fit="" if reading.size is None or reading.fit is None else reading.fit,
        picture_levels=reading.source_levels if reading.stored else None,
    )
    return images if photographs is None else in_patches(images, apart, photographs)


def _decoded(
    files: Iterable[ImageFile], reading: Reading, where: str, most: int | None
) -> tuple[list[FileReport], list[np.ndarray]]:
    """A report on each file, and the pixels of the good ones, of no more than ``most`` bytes."""
    reports: list[FileReport] = []
    pictures: list[np.ndarray] = []
    first, size = None, 0
    for report, pixels in watched(files, reading, where):
        reports.append(report)
        if pixels is not None:
            first, size = first or report, size + pixels.nbytes
            if (report.height, report.width) != (first.height, first.width):
                # This fails at once unless there is one.
                common_size([first, report], reading, where)
            if most is None or size <= most:
                pictures.append(pixels)
    return reports, pictures


def _anew(again: Again, places: Tensor, target: Target, reading: Reading, where: str) -> Tensor:
    """Pictures that are decoded when they are used."""
    dtype = dtype_of(target.levels)

    def read(rows: Rows) -> Tensor:
        found = torch.empty((len(places[rows]), *target.shape), dtype=dtype)
        for row, source in zip(found, again(places[rows].tolist()), strict=True):
            report, pixels = decode(ImageFile(source, where), reading)
            if pixels is None:
                raise DataError(f"{where}: a picture {report.error}")
            row.copy_(torch.from_numpy(target.conform(pixels)))
        return found

    return LazyImages((len(places), *target.shape), dtype, read, target.levels)
