"""What the columns of a table mean: pixels, a label, or neither."""

import dataclasses
import logging
import math

import numpy as np

from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError

log = logging.getLogger("pixelcnn")

LABEL_NAMES = frozenset(("label", "labels", "class", "target", "y"))
INDEX_NAMES = frozenset(("", "id", "index", "imageid", "unnamed: 0"))


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of a table mean."""

    count: int
    pixels: np.ndarray
    label: int | None
    header: int
    """Number of the line with the names; 0 if there is none."""


def columns_of(fields: list[str], line: int, reading: Reading, where: str) -> Columns:
    """What columns mean that begin with these fields: names, or the first row of numbers."""
    numbers = [field for field in fields if _is_number(field)]
    names = [field for field in fields if not _is_number(field)]
    counted = len(fields) > 1 and numbers in (
        list(map(str, range(len(numbers)))),
        list(map(str, range(1, len(numbers) + 1))),
    )  # pandas numbers columns that have no names
    if names and counted and {*names} <= LABEL_NAMES | INDEX_NAMES:
        return _named_columns(fields, line, where)
    # A row of data in which some values are bad must not be taken for names, and vanish.
    if len(names) > 9 * len(numbers) and 2 * len({*names}) >= len(names):
        return _named_columns(fields, line, where)
    label = 0 if _starts_with_label(len(fields), reading) else None
    pixels = np.arange(0 if label is None else 1, len(fields))
    return Columns(len(fields), pixels, label, line if counted and not names else 0)


def _is_number(field: str) -> bool:
    """Whether a field is a number of any kind, if only one that no pixel can have."""
    try:
        float(field)
    except ValueError:
        return field.startswith("0x")
    return True


def _named_columns(fields: list[str], header: int, where: str) -> Columns:
    """What the columns mean by their names."""
    labels = [at for at, name in enumerate(fields) if name in LABEL_NAMES]
    others = [at for at, name in enumerate(fields) if name in INDEX_NAMES]
    if len(labels) > 1:
        raise DataError(f"{where} has {len(labels)} label columns")
    if others:
        log.info("%s: column %s left out", where, ", ".join(fields[at] or "1" for at in others))
    pixels = np.delete(np.arange(len(fields)), [*labels, *others])
    return Columns(len(fields), pixels, labels[0] if labels else None, header)


def _starts_with_label(count: int, reading: Reading) -> bool:
    """Whether a row without a header has one number more than an image."""
    if reading.shape is not None:
        return count - 1 == reading.shape.dimensions
    return not _is_image(count) and _is_image(count - 1)


def _is_image(pixels: int) -> bool:
    """Whether this many pixels are a square image, grey or of three channels."""
    return any(
        pixels % channels == 0 and math.isqrt(pixels // channels) ** 2 == pixels // channels
        for channels in (1, 3)
    )


def pixel_shape(count: int, reading: Reading, where: str) -> tuple[int, ...]:
    """Axes of the images in rows of so many pixels, in the layout of the file.

    Example:
        >>> pixel_shape(784, Reading(), "fashion.csv")
        (28, 28)

    Raises:
        DataError: no square, and no model that says; or colours whose order is not said.
    """
    if reading.shape is not None and reading.shape.dimensions == count:
        channels, height, width = reading.shape
    else:
        grey = math.isqrt(count) ** 2 == count
        channels = 1 if grey or count % 3 else 3
        height = width = math.isqrt(count // channels)
    if channels * height * width != count or count == 0:
        raise DataError(
            f"{where}: {count} pixel columns are no square image",
            hint="name the label column `label` in a header line, or store the images as .npy",
        )
    if channels == 1:
        return height, width
    if reading.layout not in {"nhwc", "nchw"}:
        raise DataError(
            f"{where}: {count} pixel columns hold {channels} channels in an unknown order",
            hint="say --layout 'n c h w' (whole planes) or 'n h w c' (pixel by pixel)",
        )
    planes = reading.layout == "nchw"
    return (channels, height, width) if planes else (height, width, channels)
