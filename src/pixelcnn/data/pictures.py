"""Pictures that are no folder: files one by one, Pillow's, the bytes of files in a data set."""

import contextlib
import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.decoding import decode
from pixelcnn.data.depth import DEEP, raw_mode
from pixelcnn.data.files import ImageFile
from pixelcnn.data.folder import read_files
from pixelcnn.data.gate import named, opened
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.lazy import LazyImages, Rows
from pixelcnn.data.parsing import places_among
from pixelcnn.data.reading import Reading
from pixelcnn.data.rows import HELD
from pixelcnn.data.splits import Parts
from pixelcnn.data.survey import FileReport, accepted, settle
from pixelcnn.data.tensors import dtype_of
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.folders import at_home
from pixelcnn.memory import afford
from pixelcnn.text import printable

TIFF = (".tif", ".tiff")
TOGETHER = 64
"""Pictures that are fetched at a time while all are looked at."""


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


def read_listed(source: Any, reading: Reading) -> Parts:
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
    images = read_files(files, reading.of_pictures, where)
    if not isinstance(sources[0], Path):
        images = dataclasses.replace(images, names=())
    return {"all": images}


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
        for page in pages:
            image.seek(page)
            content = io.BytesIO()
            # A damaged page is a bad file, which may be left out.
            with contextlib.suppress(OSError):
                image.copy().save(content, "TIFF")
            files.append(ImageFile(content.getvalue(), f"{path.name}, page {page + 1}"))
    return files


def read_stored(
    fetch: Callable[[Sequence[int]], list[Any]],
    count: int,
    labels: Any,
    reading: Reading,
    where: str,
    *,
    kept: bool = False,
) -> ImageSet:
    """Pictures that a data set holds: decoded once, and if they are many again when they are used.

    Args:
        fetch: gives what some of them are read of, see :data:`pixelcnn.data.picture.Content`.
        count: of the pictures.
        labels: integers ``(count,)`` or None.
        reading: how.
        where: name of the set, and the start of every message.
        kept: keep all in memory: they may be others when they are asked for again.

    Raises:
        DataError: bad pictures, or different sizes where none was asked for.
    """
    reading = reading.of_pictures
    if reading.measured or reading.fit == "patches":
        option = "quantise" if reading.measured else "fit='patches'"
        raise ConfigError(
            f"{option} goes with files and arrays, {where} is a data set of pictures",
            hint=f"write the pictures into a folder, or leave out {option}",
        )
    reports, pictures, size = list[FileReport](), list[np.ndarray](), 0
    for start in range(0, count, TOGETHER):
        for source in fetch(range(start, min(start + TOGETHER, count))):
            report, pixels = decode(ImageFile(source, f"image {len(reports)}"), reading)
            reports.append(report)
            if pixels is not None and (kept or (size := size + pixels.nbytes) <= HELD):
                pictures.append(pixels)
    target = settle(accepted(reports, where, reading.skip_bad), reading, where)
    places = torch.tensor([index for index, each in enumerate(reports) if not each.error])
    dtype = dtype_of(target.levels)

    def read(rows: Rows) -> Tensor:
        found = torch.empty((len(places[rows]), *target.shape), dtype=dtype)
        for row, source in zip(found, fetch(places[rows].tolist()), strict=True):
            report, pixels = decode(ImageFile(source, where), reading)
            if pixels is None:
                raise DataError(f"{where}: a picture {report.error}")
            row.copy_(torch.from_numpy(target.conform(pixels)))
        return found

    images: Tensor = LazyImages((len(places), *target.shape), dtype, read, target.levels)
    if len(pictures) == len(places):
        images, _ = target.together(pictures, apart=False)
    return ImageSet(
        images,
        target.levels,
        None if labels is None else np.asarray(labels)[places.numpy()],
        name=where,
        names=places_among(places.tolist(), [at for at, each in enumerate(reports) if each.error]),
        skipped=count - len(places),
        fit="" if reading.size is None or reading.fit is None else reading.fit,
        picture_levels=reading.source_levels if reading.stored else None,
    )
