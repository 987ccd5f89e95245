"""Kaggle-style CSV: one image a row, one column a pixel, perhaps a header and a label column.

Arrow parses the numbers of some whole lines together. Where it stumbles, these lines are looked at one by
one, so that every bad row is known by its line, its column and what stands there.
"""

import dataclasses
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixelcnn.data.arrays import from_values
from pixelcnn.data.columns import Columns, columns_of, pixel_shape
from pixelcnn.data.files import printable
from pixelcnn.data.gate import afford, brief, named, opened
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError

log = logging.getLogger("pixelcnn")

BLOCK = 2**22
"""Bytes that are parsed together."""
MAX_LINE = 2**23
"""Bytes; a million pixels of five digits and more."""
NAMED = 10
"""Bad rows that one message names."""
MAX_VALUE = 65_535
MAX_COLUMNS = 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
QUOTED = re.compile(rb'(?<![^,\n])[ \t]*"([^",\n]*)"[ \t]*(?=[,\n])')
"""A whole field in quotes."""


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
        ResourceError: more values than the memory holds.
    """
    where = printable(path.name)
    with named(where):
        columns = _columns(path, reading, where)
        shape = pixel_shape(len(columns.pixels), reading, where)
        values, labels, bad = _values(path, columns)
    if bad:
        _refuse(bad, where, reading.skip_bad)
    if not len(values):
        raise DataError(f"{where} holds no rows of numbers")
    settled = dataclasses.replace(reading, layout=reading.layout if len(shape) == 3 else "nhw")
    values = values.reshape(-1, *shape)
    images = from_values(values, labels, reading.source_levels, settled, where)
    return dataclasses.replace(images, skipped=len(bad))


Bad = list[tuple[int, str]]
"""Numbers of lines that are no rows, with the reason."""


def _values(path: Path, columns: Columns) -> tuple[np.ndarray, np.ndarray | None, Bad]:
    """The pixels ``(rows, pixels)`` of a whole table, its labels, and its bad rows.

    Bytes as long as all values fit into them.
    """
    parts: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    bad: Bad = []
    for first_line, text in _blocks(path, after=columns.header):
        rows, wrong = parse_rows(text, columns.count)
        bad.extend((first_line + line, reason) for line, reason in wrong)
        pixels = rows[:, columns.pixels]
        parts.append(pixels.astype(np.uint8) if pixels.max(initial=0) < 256 else pixels)
        if columns.label is not None:
            labels.append(rows[:, columns.label])
        afford(parts[-1].nbytes)
    kind = max((part.dtype for part in parts), key=lambda each: each.itemsize, default=np.uint8)
    whole = np.empty((sum(map(len, parts)), len(columns.pixels)), kind)
    at = len(whole)
    while parts:  # freed one by one while they are copied
        last = parts.pop()
        whole[at - len(last) : at] = last
        at -= len(last)
    return whole, np.concatenate(labels) if labels else None, bad


def parse_rows(text: bytes, count: int) -> tuple[np.ndarray, Bad]:
    """Lines of non-negative integers.

    Args:
        text: whole lines, each ended by a newline.
        count: numbers in a line.

    Returns:
        The numbers of the good lines, uint16 ``(rows, count)``, and the bad lines: counted from 0,
        with the reason. Empty lines are neither.

    Example:
        >>> rows, bad = parse_rows(b"1,20\\n3,x\\n\\n5,6\\n", 2)
        >>> rows.tolist(), bad
        ([[1, 20], [5, 6]], [(1, "'x' in column 2 is no whole number from 0 to 65535")])
    """
    if b'"' in text:
        text = QUOTED.sub(rb"\1", text)
    rows = _parsed(text, count)
    if rows is not None:
        return rows, []
    lines = text.split(b"\n")
    wrong = {number: _wrong(line, count) for number, line in enumerate(lines) if line.strip()}
    good = b"".join(lines[number] + b"\n" for number, reason in wrong.items() if not reason)
    rows = _parsed(good, count)
    assert rows is not None, "every line was looked at"
    return rows, [(number, reason) for number, reason in wrong.items() if reason]


def _parsed(text: bytes, count: int) -> np.ndarray | None:
    """The numbers, if all lines are good; Arrow reads them as one column, so that it needs little memory."""
    import pyarrow
    from pyarrow import csv

    if not text:
        return np.empty((0, count), np.uint16)
    lines = text[:-1].split(b"\n")
    if {line.count(b",") for line in lines} != {count - 1} or b"x" in text or b"X" in text:
        return None  # Arrow would take 0x1F for a number
    try:
        column = csv.read_csv(
            pyarrow.BufferReader(text.replace(b",", b"\n")),
            csv.ReadOptions(use_threads=False, block_size=2 * MAX_LINE, column_names=["value"]),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types={"value": pyarrow.uint16()}, null_values=[""]),
        )["value"]
    except pyarrow.ArrowInvalid:
        return None
    return None if column.null_count else column.to_numpy().reshape(-1, count)


def _wrong(line: bytes, count: int) -> str:
    """What keeps a line from being a row; empty if nothing does."""
    if line.count(b",") + 1 != count:
        return f"{line.count(b',') + 1} values instead of {count}"
    for number, field in enumerate(line.split(b","), 1):
        plain = field.strip(b" \t")
        digits = plain.lstrip(b"0") or b"0"
        if not plain.isdigit() or len(digits) > 5 or int(digits) > MAX_VALUE:
            shown = brief(field.decode("utf-8", errors="replace"), 20)
            return f"'{shown}' in column {number} is no whole number from 0 to {MAX_VALUE}"
    return ""


def _blocks(path: Path, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Whole lines after the given one, ended by plain newlines, and the number of the first."""
    line = 1
    for lines in _line_blocks(path):
        count, first = lines.count(b"\n"), line
        while line <= after and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            line += 1
        if lines:
            yield line, lines
        line = first + count


def _line_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, cut behind newlines of any system; the last line gets one if it has none."""
    rest = b""
    with opened(path) as stream:
        if stream.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
            stream.seek(0)
        while block := stream.read(BLOCK):
            if block.endswith(b"\r"):
                block += stream.read(1)
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            cut = (text := rest + block).rfind(b"\n") + 1
            rest = text[cut:]
            if len(rest) > MAX_LINE:
                raise DataError(
                    f"has a line of more than {MAX_LINE:,} bytes: it is no table of images"
                )
            if cut:
                yield text[:cut]
    if rest:
        yield rest + b"\n"


def _columns(path: Path, reading: Reading, where: str) -> Columns:
    """What the columns mean, from the first line that is not empty."""
    for first_line, text in _blocks(path):
        lines = text.split(b"\n")
        header = next((number for number, line in enumerate(lines) if line.strip()), None)
        if header is not None:
            count = lines[header].count(b",") + 1
            if count > MAX_COLUMNS:
                raise DataError(f"has {count:,} columns, at most {MAX_COLUMNS:,} are read")
            line = QUOTED.sub(rb"\1", lines[header] + b"\n")
            fields = line.decode("utf-8", errors="replace").lower().split(",")
            return columns_of(
                [field.strip() for field in fields], first_line + header, reading, where
            )
    raise DataError("is empty")


def _refuse(bad: list[tuple[int, str]], where: str, skip_bad: bool) -> None:
    """Names bad rows by line, and raises unless they are to be skipped."""
    named = "; ".join(f"line {line}: {reason}" for line, reason in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    if not skip_bad:
        hint = "mend or remove these lines, or leave them out: --skip-bad"
        raise DataError(f"{where}: {len(bad)} bad rows: {named}{more}", hint=hint)
    log.warning("%s: %d bad rows skipped: %s%s", where, len(bad), named, more)
