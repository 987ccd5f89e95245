"""Kaggle-style tables: one image a row, one column a pixel, perhaps a header and a label column."""

import dataclasses
import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pixelcnn.data import cells
from pixelcnn.data.arrays import from_rows, from_values
from pixelcnn.data.assignment import assigned
from pixelcnn.data.columns import FIRST, columns_of
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.label_column import label_end, whole_numbers
from pixelcnn.data.layout import pixel_shape
from pixelcnn.data.lines import line_blocks
from pixelcnn.data.opening import named
from pixelcnn.data.parsing import (
    SEPARATORS,
    Columns,
    Dialect,
    Rows,
    is_number,
    parse_rows,
    places_among,
    plain,
)
from pixelcnn.data.quantise import SOURCE
from pixelcnn.data.reading import Reading, typed
from pixelcnn.errors import DataError
from pixelcnn.memory import afford
from pixelcnn.text import by_reason, counted, printable

log = logging.getLogger("pixelcnn")

NAMED, REASONS = 3, 4
"""Bad rows of one reason that a message names, and reasons that it names."""
REAL = re.compile(r"'[+-]?[0-9]*[.,]?[0-9]+(e[+-]?[0-9]+)?(\.\.\.)?' in column", re.IGNORECASE)
"""A bad value that is a number nevertheless, perhaps shortened."""
MAX_COLUMNS = 2**20
DECIMAL = re.compile(r"^([-+]?\d*),(\d+(?:e[-+]?\d+)?)$")
"""A number with a decimal comma, as a whole field."""


def read_table(path: Path, reading: Reading) -> ImageSet:
    """A table as a set.

    Columns are separated by commas, semicolons, tabs, bars or blanks. The label column is the one called
    ``label`` (or ``class``, ``target``, ``y``). Without a header it is the first or the last, if a row has
    one number more than an image: see :func:`pixelcnn.data.label_column.label_end`. Columns called ``id``
    or ``index`` are left out, and so are lines that begin with ``#``. The side follows from the number of
    pixels, or from the model. All pixels may also stand in one cell: ``70 80 82`` or ``[70, 80, 82]``.

    Args:
        path: the file, perhaps packed by gzip or xz.
        reading: ``shape`` settles images that are not square, ``layout`` the order of colours
            (``n c h w``: whole planes, ``n h w c``: pixel by pixel), ``label_column`` where the label is,
            ``condition`` which columns are given besides the images. With ``quantise`` the pixels are real
            numbers; else they are whole ones of 256 levels, unless ``source_levels`` says otherwise.

    Raises:
        DataError: no rows, rows that are bad (by line number), or columns that make no image.
        ResourceError: more values than the memory holds.
    """
    where = printable(path.name)
    with named(where):
        dialect, columns = _columns(path, reading, where)
        pixels = len(columns.pixels) - columns.undecided
        if not columns.sides:
            pixel_shape(pixels, reading, where)
        rows = _read(path, columns, dialect)
    if rows.bad:
        _refuse(rows, where, reading.skip_bad, dialect)
    if not rows.good:
        raise DataError(f"{where} holds no rows of numbers")
    values, labels = rows.pixels, None if columns.label is None else rows.labels[:, 0]
    if columns.undecided:
        end = label_end(values, where)
        labels, values = values[:, end], values[:, :-1] if end else values[:, 1:]
    if values.dtype == np.uint16 and values.max() < 256:  # only the labels were larger
        values = values.astype(np.uint8)
    known = reading.source_levels or reading.usual_levels
    if values.dtype == np.uint16 and known is None:
        raise DataError(
            f"{where}: its values run up to {values.max()}, and a table does not say of how many levels",
            hint=f"say how many with {SOURCE}",
        )
    labels = None if labels is None or not reading.labels else whole_numbers(labels)
    taken = from_rows
    if columns.sides:
        values, taken = values.reshape(-1, *columns.sides), from_values
    images = taken(values, labels, reading, where)
    given = torch.from_numpy(rows.given) if columns.given else None
    split = assigned(rows.said[:, 0].tolist(), where) if columns.said else None
    with named(f"{where}:"):
        return dataclasses.replace(
            images,
            names=places_among(rows.good, [line for line, _ in rows.bad]),
            skipped=len(rows.bad),
            condition=given,
            condition_names=reading.condition if columns.given else (),
            assigned=split,
        )


def _read(path: Path, columns: Columns, dialect: Dialect) -> Rows:
    """All lines."""
    blocks = list[Rows]()
    for first_line, text in line_blocks(path, after=columns.header):
        blocks.append(parse_rows(text, columns, dialect, first_line))
        afford(blocks[-1].pixels.nbytes)
    if not blocks:
        raise DataError("holds no rows of numbers")
    *arrays, good, bad = map(list, zip(*blocks, strict=True))
    blocks.clear()
    pixels, labels, given, said = map(_joined, arrays)
    good, bad = [*itertools.chain(*good)], [*itertools.chain(*bad)]
    return Rows(pixels, labels, given, said, good, bad)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """All parts one after the other; they are freed one by one."""
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.result_type(*parts))
    at = len(whole)
    while parts:
        last = parts.pop()
        whole[at - len(last) : at] = last
        at -= len(last)
    return whole


def _refuse(rows: Rows, where: str, skip_bad: bool, dialect: Dialect) -> None:
    """Names bad rows by line, those of one reason together, and raises unless they are to be skipped."""
    bad, parts = rows.bad, list[str]()
    reasons = list(by_reason(bad).items())
    for reason, lines in reasons[:REASONS]:
        rest = f" and {len(lines) - NAMED:,} more" if len(lines) > NAMED else ""
        numbers = f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:NAMED]))}{rest}"
        parts.append(f"{numbers}: {reason}")
    if others := sum(len(lines) for _, lines in reasons[REASONS:]):
        parts.append(f"and {others:,} more")
    comma = dialect.separator == b","
    kind = "" if comma else f" (columns separated by {SEPARATORS[dialect.separator]})"
    text = f"{counted(len(bad), 'bad row')}{'' if not skip_bad else ' skipped'}{kind}: {'; '.join(parts)}"
    if skip_bad:
        log.warning("%s: %s", where, text)
        return
    hint = "mend or remove these lines, or leave them out: --skip-bad (in Python skip_bad=True)"
    if not rows.good:
        hint = "no line is as it should be: mend or remove the columns that are named"
    if not dialect.real and any(REAL.match(reason) for _, reason in bad):
        hint = (
            f"real numbers: say how they become levels with {typed('quantise')}, or write whole ones without"
            f" a point, as by np.savetxt(…, fmt='%d') or frame.fillna(0).astype(int); else {hint}"
        )
    raise DataError(f"{where}: {text}", hint=hint)


def _columns(path: Path, reading: Reading, where: str) -> tuple[Dialect, Columns]:
    """How numbers are written and what the columns mean, from the first lines that are not empty.

    The last line of comments before them may have the names.
    """
    lines = list(itertools.islice(lines_said(path), FIRST))
    if not lines:
        raise DataError("is empty")
    number, _, comment = lines[0]
    said = [each.line for each in lines]
    dialect = _dialect(said, reading)
    header, names = (_fields(line, dialect) for line in (lines[0].line, comment))
    cell, first = (cells.place(some, dialect.separator) for some in (said, said[:1]))
    dialect = dataclasses.replace(dialect, cell=cell)
    rows = [_fields(each.line, dialect) for each in lines]
    widest = max(map(len, rows))
    alone = len(header) == 1 < widest and dialect.separator == b" "
    if (cell is not None or alone) and first is None and not any(map(is_number, header)):
        rows[0] = cells.names_of(header, cell or 0, widest)
    elif cell is not None:
        names = cells.names_of(names, cell, widest)
    if all(map(is_number, rows[0])) and len(names) == len(rows[0]):
        rows, number = [names, *rows], number - 1
    columns = columns_of(rows[0], number, reading, where, rows[1:])
    sides = cells.sides_in(said, len(columns.pixels) - columns.undecided)
    return dialect, dataclasses.replace(columns, sides=sides)


class Said(NamedTuple):
    """A line that says something."""

    number: int
    line: bytes
    comment: bytes
    """The last one before it."""


def lines_said(path: Path) -> Iterator[Said]:
    """Lines that are not empty, and the comments before them."""
    comment = b""
    for first_line, text in line_blocks(path, comments=True):
        for number, line in enumerate(text.split(b"\n"), first_line):
            if line.lstrip().startswith(b"#"):
                comment = line.lstrip().lstrip(b"#")
            elif line.strip():
                yield Said(number, line, comment)


def _fields(line: bytes, dialect: Dialect) -> list[str]:
    """The fields of a line, in lower case."""
    text = plain(line + b"\n", dialect)[:-1].decode("utf-8", errors="replace").lower()
    if (count := text.count(dialect.separator.decode()) + 1) > MAX_COLUMNS:
        raise DataError(f"has {count:,} columns, at most {MAX_COLUMNS:,} are read")
    fields = [field.strip() for field in text.split(dialect.separator.decode())]
    return [DECIMAL.sub(r"\1.\2", field) for field in fields] if dialect.real else fields


def _dialect(lines: list[bytes], reading: Reading) -> Dialect:
    """How the first lines are written: blanks separate only if nothing else does."""
    line, outside = lines[0], cells.TOGETHER.sub(b"", lines[0])
    counts = {separator: outside.count(separator) for separator in (b",", b";", b"\t", b"|")}
    if reading.measured and (counts[b";"] or (counts[b"\t"] and b",\t" not in outside)):
        counts[b","], line = 0, line.replace(b",", b".")  # decimal commas
    most = max(counts, key=counts.__getitem__)
    separator = most if counts[most] else b" "
    ends = separator != b" " and all(each.rstrip(b" ").endswith(separator) for each in lines)
    numbers = line.replace(b'"', b"").split(separator)[:-1]
    trailing = ends and all(is_number(field.strip().decode("latin-1")) for field in numbers)
    return Dialect(separator, trailing, reading.measured)
