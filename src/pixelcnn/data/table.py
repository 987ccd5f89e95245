"""Kaggle-style tables: one image a row, one column a pixel, perhaps a header and a label column.

Arrow parses the numbers of some whole lines together. Where it stumbles, these lines are looked at one by
one, so that every bad row is known by its line, its column and what stands there.
"""

import dataclasses
import functools
import logging
import re
from pathlib import Path

import numpy as np

from pixelcnn.data.arrays import from_values
from pixelcnn.data.columns import Columns, columns_of, label_end, pixel_shape
from pixelcnn.data.gate import afford, brief, named
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.lines import MAX_LINE, line_blocks
from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

NAMED = 10
"""Bad rows that one message names."""
MAX_VALUE = 65_535
MAX_COLUMNS = 2**20
SEPARATORS = {b",": "commas", b";": "semicolons", b"\t": "tabs", b" ": "blanks"}


def read_table(path: Path, reading: Reading) -> ImageSet:
    """A table as a set.

    Columns are separated by commas, semicolons, tabs or blanks. The label column is the one called
    ``label`` (or ``class``, ``target``, ``y``). Without a header it is the first or the last, if a row has
    one number more than an image: see :func:`pixelcnn.data.columns.label_end`. Columns called ``id`` or
    ``index`` are left out. The side follows from the number of pixels, or from the model.

    Args:
        path: the file.
        reading: ``shape`` settles images that are not square, ``layout`` the order of colours
            (``n c h w``: whole planes, ``n h w c``: pixel by pixel), ``label_column`` where the label is.

    Raises:
        DataError: no rows, rows that are bad (by line number), or columns that make no image.
        ResourceError: more values than the memory holds.
    """
    where = printable(path.name)
    with named(where):
        separator, columns = _columns(path, reading, where)
        pixels = len(columns.pixels) - columns.undecided
        shape = pixel_shape(pixels, reading, where)
        rows, labels, bad = _values(path, columns, separator)
    if bad:
        _refuse(bad, where, reading.skip_bad, separator)
    if not sum(map(len, rows)):
        raise DataError(f"{where} holds no rows of numbers")
    if columns.undecided:
        labels, kept = _decided(rows, where)
    else:
        kept = slice(None)
    values = _joined(rows, kept, pixels)
    settled = dataclasses.replace(reading, layout=reading.layout if len(shape) == 3 else "nhw")
    values = values.reshape(-1, *shape)
    images = from_values(values, labels, reading.source_levels, settled, where)
    return dataclasses.replace(images, skipped=len(bad))


Bad = list[tuple[int, str]]
"""Numbers of lines that are no rows, with the reason."""


def _values(
    path: Path, columns: Columns, separator: bytes
) -> tuple[list[np.ndarray], np.ndarray | None, Bad]:
    """The pixels ``(rows, pixels)`` of a table in parts, its labels, and its bad rows.

    Bytes as long as all values fit into them.
    """
    parts: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    bad: Bad = []
    for first_line, text in line_blocks(path, after=columns.header):
        rows, wrong = parse_rows(text, columns.count, separator, columns.ignored)
        bad.extend((first_line + line, reason) for line, reason in wrong)
        pixels = rows[:, columns.pixels]
        parts.append(pixels.astype(np.uint8) if pixels.max(initial=0) < 256 else pixels)
        if columns.label is not None:
            labels.append(rows[:, columns.label])
        afford(parts[-1].nbytes)
    return parts, np.concatenate(labels) if labels else None, bad


def _decided(parts: list[np.ndarray], where: str) -> tuple[np.ndarray, slice]:
    """The labels of rows with a number too many, and the columns that are pixels."""
    first, last = (np.concatenate([part[:, end] for part in parts]) for end in (0, -1))
    highest = max(int(part[:, 1:-1].max(initial=0)) for part in parts)
    at_end = label_end(first, last, highest, where) != 0
    return (last, slice(0, -1)) if at_end else (first, slice(1, None))


def _joined(parts: list[np.ndarray], kept: slice, pixels: int) -> np.ndarray:
    """The columns kept of all parts, ``(rows, pixels)``; the parts are freed one by one."""
    kind = max((part.dtype for part in parts), key=lambda each: each.itemsize, default=np.uint8)
    whole = np.empty((sum(map(len, parts)), pixels), kind)
    at = len(whole)
    while parts:
        last = parts.pop()
        whole[at - len(last) : at] = last[:, kept]
        at -= len(last)
    return whole


def parse_rows(
    text: bytes, count: int, separator: bytes = b",", ignored: tuple[int, ...] = ()
) -> tuple[np.ndarray, Bad]:
    """Lines of non-negative integers.

    Args:
        text: whole lines, each ended by a newline.
        count: numbers in a line.
        separator: one byte; of blanks any number separate.
        ignored: places of columns in which anything may stand; they become 0.

    Returns:
        The numbers of the good lines, uint16 ``(rows, count)``, and the bad lines: counted from 0,
        with the reason. Empty lines are neither.

    Example:
        >>> rows, bad = parse_rows(b"1,20\\n3,x\\n\\n5,6\\n", 2)
        >>> rows.tolist(), bad
        ([[1, 20], [5, 6]], [(1, "'x' in column 2 is no whole number from 0 to 65535")])
    """
    text = _plain(text, separator)
    if ignored:
        text = b"\n".join(_without(line, count, separator, ignored) for line in text.split(b"\n"))
    rows = _parsed(text, count, separator)
    if rows is not None:
        return rows, []
    lines = text.split(b"\n")
    wrong = {
        number: _wrong(line, count, separator) for number, line in enumerate(lines) if line.strip()
    }
    good = b"".join(lines[number] + b"\n" for number, reason in wrong.items() if not reason)
    rows = _parsed(good, count, separator)
    assert rows is not None, "every line was looked at"
    return rows, [(number, reason) for number, reason in wrong.items() if reason]


def _plain(text: bytes, separator: bytes) -> bytes:
    """Lines without quotes around fields, and with one separator between them."""
    if separator == b" ":
        text = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", text))
    return _quoted(separator).sub(rb"\1", text) if b'"' in text else text


@functools.cache
def _quoted(separator: bytes) -> re.Pattern[bytes]:
    """A whole field in quotes."""
    blanks = {b"\t": b" *", b" ": b""}.get(separator, b"[ \t]*")
    field = rb'(?<![^S\n])B"([^"S\n]*)"B(?=[S\n])'
    return re.compile(field.replace(b"S", separator).replace(b"B", blanks))


def _without(line: bytes, count: int, separator: bytes, ignored: tuple[int, ...]) -> bytes:
    """A line with 0 in the columns that do not count."""
    fields = line.split(separator)
    if len(fields) == count:
        for place in ignored:
            fields[place] = b"0"
    return separator.join(fields)


def _parsed(text: bytes, count: int, separator: bytes) -> np.ndarray | None:
    """The numbers, if all lines are good; Arrow reads them as one column, so that it needs little memory."""
    import pyarrow
    from pyarrow import csv

    if not text:
        return np.empty((0, count), np.uint16)
    lines = text[:-1].split(b"\n")
    if {line.count(separator) for line in lines} != {count - 1} or b"x" in text or b"X" in text:
        return None  # Arrow would take 0x1F for a number
    try:
        column = csv.read_csv(
            pyarrow.BufferReader(text.replace(separator, b"\n")),
            csv.ReadOptions(use_threads=False, block_size=2 * MAX_LINE, column_names=["value"]),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types={"value": pyarrow.uint16()}, null_values=[""]),
        )["value"]
    except pyarrow.ArrowInvalid:
        return None
    return None if column.null_count else column.to_numpy().reshape(-1, count)


def _wrong(line: bytes, count: int, separator: bytes) -> str:
    """What keeps a line from being a row; empty if nothing does."""
    fields = line.split(separator)
    if len(fields) != count:
        return f"{len(fields)} values instead of {count}"
    for number, field in enumerate(fields, 1):
        plain = field.strip(b" \t")
        digits = plain.lstrip(b"0") or b"0"
        if not plain.isdigit() or len(digits) > 5 or int(digits) > MAX_VALUE:
            shown = brief(field.decode("utf-8", errors="replace"), 20)
            return f"'{shown}' in column {number} is no whole number from 0 to {MAX_VALUE}"
    return ""


def _columns(path: Path, reading: Reading, where: str) -> tuple[bytes, Columns]:
    """What separates the columns and what they mean, from the first line that is not empty."""
    for first_line, text in line_blocks(path):
        lines = text.split(b"\n")
        header = next((number for number, line in enumerate(lines) if line.strip()), None)
        if header is not None:
            separator = _separator(lines[header])
            line = _plain(lines[header] + b"\n", separator)
            count = line.count(separator) + 1
            if count > MAX_COLUMNS:
                raise DataError(f"has {count:,} columns, at most {MAX_COLUMNS:,} are read")
            names = line.decode("utf-8", errors="replace").lower().split(separator.decode())
            fields = [field.strip() for field in names]
            return separator, columns_of(fields, first_line + header, reading, where)
    raise DataError("is empty")


def _separator(line: bytes) -> bytes:
    """What separates the columns of a line: blanks only if nothing else does."""
    counts = {separator: line.count(separator) for separator in (b",", b";", b"\t")}
    most = max(counts, key=counts.__getitem__)
    return most if counts[most] else b" "


def _refuse(bad: list[tuple[int, str]], where: str, skip_bad: bool, separator: bytes) -> None:
    """Names bad rows by line, and raises unless they are to be skipped."""
    named = "; ".join(f"line {line}: {reason}" for line, reason in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    kind = "" if separator == b"," else f" (columns separated by {SEPARATORS[separator]})"
    if not skip_bad:
        hint = "mend or remove these lines, or leave them out: --skip-bad"
        raise DataError(f"{where}: {len(bad)} bad rows{kind}: {named}{more}", hint=hint)
    log.warning("%s: %d bad rows skipped%s: %s%s", where, len(bad), kind, named, more)
