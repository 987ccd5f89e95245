"""Kaggle-style CSV: one image a row, one column a pixel, perhaps a header and a label column.

Digits are parsed a block at a time with NumPy, about as fast as the file is read, and every bad row is
known by its line number.
"""

import dataclasses
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixelcnn.data.arrays import from_values
from pixelcnn.data.files import printable
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError

log = logging.getLogger("pixelcnn")

BLOCK = 2**23
"""Bytes that are parsed together."""
LABEL_NAMES = frozenset(("label", "labels", "class", "target", "y"))
INDEX_NAMES = frozenset(("", "id", "index", "imageid", "unnamed: 0"))
NAMED = 10
"""Bad rows that one message names."""
MAX_DIGITS = 5
COMMA, NEWLINE, ZERO, NINE = b",\n09"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of a table mean."""

    count: int
    pixels: np.ndarray
    label: int | None
    header: int
    """Number of the line with the names; 0 if there is none."""


def read_table(path: Path, reading: Reading) -> ImageSet:
    """A CSV file as a set.

    The label column is the one called ``label`` (or ``class``, ``target``, ``y``); without a header
    it is the first, if the other columns make a square image and all of them do not. Columns called
    ``id`` or ``index`` are left out. The side follows from the number of pixels, or from the model.

    Args:
        path: the file.
        reading: ``shape`` settles images that are not square, ``layout`` the order of colours
            (``n c h w``: whole planes, ``n h w c``: pixel by pixel).

    Raises:
        DataError: no rows, rows that are bad (by line number), or columns that make no image.
    """
    where = printable(path.name)
    columns = _columns(path, reading, where)
    good: list[np.ndarray] = []
    bad: list[tuple[int, str]] = []
    for first_line, text in _blocks(path, after=columns.header):
        rows, wrong = parse_rows(text, columns.count)
        bad.extend((first_line + line, reason) for line, reason in wrong)
        good.append(rows)
    if bad:
        _refuse(bad, where, reading.skip_bad)
    table = np.concatenate([np.empty((0, columns.count), np.uint16), *good])
    if not len(table):
        raise DataError(f"{where} holds no rows of numbers")
    shape = pixel_shape(len(columns.pixels), reading, where)
    values = table[:, columns.pixels].reshape(-1, *shape)
    labels = None if columns.label is None else table[:, columns.label]
    layout = reading.layout if len(shape) == 3 else "nhw"
    settled = dataclasses.replace(reading, layout=layout)
    if int(values.max()) < 256:
        values = values.astype(np.uint8)
    images = from_values(values, labels, reading.source_levels, settled, where)
    return dataclasses.replace(images, skipped=len(bad))


def parse_rows(text: np.ndarray, count: int) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Lines of non-negative integers.

    Args:
        text: bytes of whole lines, each ended by a newline.
        count: numbers in a line.

    Returns:
        The numbers of the good lines, uint16 ``(rows, count)``, and the bad lines: counted from 0,
        with the reason. Empty lines are neither.

    Example:
        >>> rows, bad = parse_rows(np.frombuffer(b"1,20\\n3,x\\n\\n5,6\\n", np.uint8), 2)
        >>> rows.tolist(), bad
        ([[1, 20], [5, 6]], [(1, 'a value that is no whole number from 0 to 65535')])
    """
    separator = (text == COMMA) | (text == NEWLINE)
    ends = np.flatnonzero(separator)
    lengths = np.diff(ends, prepend=-1) - 1
    line_ends = np.flatnonzero(text[ends] == NEWLINE)
    fields = np.diff(line_ends, prepend=-1)
    line_of = np.repeat(np.arange(len(fields)), fields)
    empty = (fields == 1) & (lengths[line_ends] == 0)
    foreign = ~separator & ((text < ZERO) | (text > NINE))
    no_number = np.zeros(len(fields), dtype=bool)
    no_number[line_of[(lengths == 0) | (lengths > MAX_DIGITS)]] = True
    no_number[np.searchsorted(ends[line_ends], np.flatnonzero(foreign))] = True
    values = np.zeros(len(ends), dtype=np.int32)
    for place in range(min(int(lengths.max(initial=0)), MAX_DIGITS)):
        has = lengths > place
        digit = text[ends[has] - 1 - place].astype(np.int32) - ZERO
        values[has] += digit * 10**place
    no_number[line_of[values > 65_535]] = True
    good = (fields == count) & ~no_number & ~empty
    bad = [
        (line, _reason(int(fields[line]), count))
        for line in np.flatnonzero(~good & ~empty).tolist()
    ]
    return values[good[line_of]].astype(np.uint16).reshape(-1, count), bad


def _reason(fields: int, count: int) -> str:
    if fields != count:
        return f"{fields} values instead of {count}"
    return "a value that is no whole number from 0 to 65535"


def _blocks(path: Path, after: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Whole lines after the given one, as :func:`parse_rows` wants them, and the number of the first."""
    line = 1
    for lines in _line_blocks(path):
        count, first = lines.count(b"\n"), line
        while line <= after and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            line += 1
        if lines:
            # Spaces, quotes, tabs and carriage returns mean nothing here.
            yield line, np.frombuffer(lines.translate(None, b' "\r\t'), dtype=np.uint8)
        line = first + count


def _line_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, cut behind newlines; the last line gets one if it has none."""
    rest = b""
    try:
        with path.open("rb") as stream:
            if stream.read(3) != BYTE_ORDER_MARK:
                stream.seek(0)
            while block := stream.read(BLOCK):
                cut = (text := rest + block).rfind(b"\n") + 1
                rest = text[cut:]
                if cut:
                    yield text[:cut]
    except OSError as error:
        raise DataError(f"{printable(path.name)} cannot be read: {error.strerror}") from error
    if rest:
        yield rest + b"\n"


def _columns(path: Path, reading: Reading, where: str) -> Columns:
    """What the columns mean, from the first line that is not empty."""
    start = next(((n, text) for n, text in _blocks(path) if (text != NEWLINE).any()), None)
    if start is None:
        raise DataError(f"{where} is empty")
    lines = bytes(start[1]).decode("utf-8", errors="replace").split("\n")
    offset = next(number for number, line in enumerate(lines) if line)
    fields, header = lines[offset].lower().split(","), start[0] + offset
    numbers = [int(field) for field in fields if field.isdecimal()]
    if len(numbers) < len(fields):
        return _named_columns(fields, header, where)
    # pandas numbers columns that have no names
    counted = len(fields) > 1 and numbers in (
        list(range(len(fields))),
        list(range(1, len(fields) + 1)),
    )
    label = 0 if _starts_with_label(len(fields), reading) else None
    pixels = np.arange(0 if label is None else 1, len(fields))
    return Columns(len(fields), pixels, label, header if counted else 0)


def _named_columns(fields: list[str], header: int, where: str) -> Columns:
    """What the columns mean by their names."""
    labels = [at for at, name in enumerate(fields) if name in LABEL_NAMES]
    others = [at for at, name in enumerate(fields) if name in INDEX_NAMES]
    if len(labels) > 1:
        raise DataError(f"{where} has {len(labels)} label columns")
    if others:
        log.info("%s: column %s left out", where, ", ".join(fields[at] or "1" for at in others))
    pixels = np.array([at for at in range(len(fields)) if at not in {*labels, *others}], dtype=int)
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


def _refuse(bad: list[tuple[int, str]], where: str, skip_bad: bool) -> None:
    """Names bad rows by line, and raises unless they are to be skipped."""
    named = "; ".join(f"line {line}: {reason}" for line, reason in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    if not skip_bad:
        hint = "mend or remove these lines, or leave them out: --skip-bad"
        raise DataError(f"{where}: {len(bad)} bad rows: {named}{more}", hint=hint)
    log.warning("%s: %d bad rows skipped: %s%s", where, len(bad), named, more)
