"""Numbers in lines of text: Arrow parses whole lines together, and where it stumbles each is looked at.

So every bad row is known by its line, its column and what stands there.
"""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from pixelcnn.data import cells
from pixelcnn.data.lines import MAX_LINE
from pixelcnn.data.opening import brief

MAX_VALUE = 65_535
NOTHING = frozenset(("", "na", "n/a", "null", "none"))
"""Besides ``nan``, what stands for nothing."""
SEPARATORS = {b",": "commas", b";": "semicolons", b"\t": "tabs", b"|": "bars", b" ": "blanks"}


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How numbers are written."""

    separator: bytes = b","
    """One byte; of blanks any number separate."""
    trailing: bool = False
    """Whether a line ends with a separator."""
    real: bool = False
    """Whether they are any numbers, not only whole ones from 0 on; where no comma separates, a decimal
    comma is understood."""
    cell: int | None = None
    """Place of the column of which one cell holds many numbers."""

    @property
    def wanted(self) -> str:
        """What a field should be, in words."""
        return "finite number" if self.real else f"whole number from 0 to {MAX_VALUE}"


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of a table mean, by their places."""

    count: int
    pixels: Sequence[int] | np.ndarray = ()
    """In the order of the image."""
    label: int | None = None
    header: int = 0
    """Number of the line with the names; 0 if there is none."""
    undecided: bool = False
    """Whether the first or the last of ``pixels`` is the label: the values have to tell."""
    sides: tuple[int, ...] = ()
    """How long the axes of an image are, if one cell says it: see :func:`pixelcnn.data.cells.sides_of`."""
    ignored: tuple[int, ...] = ()
    """In which anything may stand."""
    given: tuple[int, ...] = ()
    """Of any finite numbers, which are kept apart."""
    words: tuple[int, ...] = ()
    """Of labels that are words, which are kept apart likewise."""
    said: tuple[int, ...] = ()
    """In which anything may stand, which is kept apart behind the words."""

    @property
    def apart(self) -> tuple[int, ...]:
        """Those that are no pixels, nor a label that is a number, and that are kept."""
        return (*self.given, *self.words, *self.said)


class Rows(NamedTuple):
    """What lines of text say, of the good ones in their order."""

    pixels: np.ndarray
    """``(rows, pixels)`` uint16, or uint8 where all fit into it; float32 of any numbers."""
    labels: np.ndarray
    """``(rows, 1)``, numbers or words; ``(rows, 0)`` without."""
    given: np.ndarray
    """The columns of any numbers, float64."""
    said: np.ndarray
    """Those in which anything may stand."""
    good: list[int]
    """Numbers of the good lines."""
    bad: list[tuple[int, str]]
    """Lines that are no rows, with the reason."""


def parse_rows(text: bytes, columns: Columns, dialect: Dialect, first: int = 0) -> Rows:
    """Lines of numbers.

    Args:
        text: whole lines, each ended by a newline; empty ones are no rows, and not bad.
        columns: what they mean.
        dialect: how numbers are written.
        first: number of the first line.

    Example:
        >>> rows = parse_rows(b"1,20\\n3,x\\n\\n5,6\\n", Columns(2, [0, 1]), Dialect())
        >>> rows.pixels.tolist(), rows.good, rows.bad
        ([[1, 20], [5, 6]], [0, 3], [(1, "'x' in column 2 is no whole number from 0 to 65535")])
    """
    numbered = enumerate(plain(text, dialect).split(b"\n"), first)
    lines = {n: line for n, line in numbered if line.strip()}
    apart, bad = dict[int, Apart](), dict[int, str]()
    values = None if columns.apart else _parsed(lines.values(), columns.count, dialect)
    for strictly in (False, True):  # which looks at each pixel by itself
        if values is None:
            apart = {n: _apart(line, columns, dialect, strictly) for n, line in lines.items()}
            bad |= {n: each.wrong for n, each in apart.items() if each.wrong}
            lines = {n: line for n, line in lines.items() if n not in bad}
            values = _parsed([apart[n].line for n in lines], columns.count, dialect)
    if values is None:  # Arrow reads no plus before a number, nor one that is nearly 0
        fields = [apart[n].line.split(dialect.separator) for n in lines]
        values = np.array([[_number(f, dialect) for f in row] for row in fields], _kind(dialect))
    pixels, number = values[:, columns.pixels], [] if columns.label is None else [columns.label]
    small = not dialect.real and pixels.max(initial=0) < 256
    kept = [apart[n] for n in lines] if apart else []
    given = np.array([each.given for each in kept], np.float64)
    words = np.array([each.words for each in kept], str)
    words = words.reshape(len(lines), len(columns.words) + len(columns.said))
    return Rows(
        pixels.astype(np.uint8) if small else pixels,
        words[:, :1] if columns.words else values[:, number],
        given.reshape(len(lines), len(columns.given)),
        words[:, len(columns.words) :],
        list(lines),
        sorted(bad.items()),
    )


def is_number(field: str) -> bool:
    """Whether a field is a number of any kind, if only one that no pixel can have."""
    try:
        float(field)
    except ValueError:
        return field.startswith("0x")
    return True


def is_word(field: str) -> bool:
    """Whether a field says something, and no number."""
    return not is_number(field) and field.lower() not in NOTHING


def places_among(good: Sequence[int], bad: Sequence[int]) -> tuple[str, ...]:
    """The places of what is kept among all, as names; none where nothing is left out.

    Args:
        good: ascending numbers of what is kept.
        bad: numbers of what is left out.

    Example:
        >>> places_among([1, 2, 5], [4]), places_among([1, 2, 5], [])
        (('0', '1', '3'), ())
    """
    if not bad:
        return ()
    return tuple(map(str, np.searchsorted(np.sort([*good, *bad]), good).tolist()))


def plain(text: bytes, dialect: Dialect) -> bytes:
    """Lines without quotes around fields, with one separator between them and none at their ends."""
    if dialect.cell is not None:
        text = cells.spread(text, dialect.separator, dialect.cell)
    if dialect.separator == b" ":
        text = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", text))
    if b'"' in text:
        text = _quoted(dialect.separator).sub(rb"\1", text)
    if dialect.trailing:
        text = re.sub(rb"(?m)" + re.escape(dialect.separator) + rb"[ \t]*$", b"", text)
    return text


@functools.cache
def _quoted(separator: bytes) -> re.Pattern[bytes]:
    """A whole field in quotes."""
    blanks = {b"\t": b" *", b" ": b""}.get(separator, b"[ \t]*")
    field = rb'(?<![^S\n])B"([^"S\n]*)"B(?=[S\n])'
    escaped = re.escape(separator) if separator == b"|" else separator
    return re.compile(field.replace(b"S", escaped).replace(b"B", blanks))


class Apart(NamedTuple):
    """A line that has 0 in the columns that are no pixels, and what stood there."""

    line: bytes
    given: list[float]
    words: list[str]
    wrong: str


def _apart(line: bytes, columns: Columns, dialect: Dialect, strictly: bool) -> Apart:
    """The line without what is no pixel; strictly, nor are the pixels taken for numbers unseen."""
    fields = line.split(dialect.separator)
    if len(fields) != columns.count:
        return Apart(line, [], [], _miscounted(line, len(fields), columns.count, dialect))
    real = dataclasses.replace(dialect, real=True)
    wrong = [_unlike(fields[n], n + 1, real) for n in columns.given if not _fits(fields[n], real)]
    texts = (*columns.words, *columns.said)
    words = [fields[n].decode("utf-8", "backslashreplace").strip() for n in texts]
    for n, word in zip(columns.words, words, strict=False):
        if not is_word(word):
            wrong.append(f"'{brief(word, 20)}' in column {n + 1} is no word, as others are")
    given = [] if wrong else [_number(fields[n], real) for n in columns.given]
    for n in (*columns.ignored, *columns.apart):
        fields[n] = b"0"
    if strictly:
        bad = (_unlike(f, n, dialect) for n, f in enumerate(fields, 1) if not _fits(f, dialect))
        wrong += itertools.islice(bad, 1)
    return Apart(dialect.separator.join(fields), given, words, next(iter(wrong), ""))


def _miscounted(line: bytes, found: int, count: int, dialect: Dialect) -> str:
    """What is wrong with a line of another number of fields."""
    reason = f"{found} values instead of {count}"
    inside = re.search(rb'"[^"]*' + re.escape(dialect.separator) + rb'[^"]*"', line)
    return f"{reason}, counting those in {_shown(inside[0])}" if inside else reason


def _parsed(lines: Collection[bytes], count: int, dialect: Dialect) -> np.ndarray | None:
    """The numbers, if all lines are good; Arrow reads them as one column, so that it needs little memory."""
    import pyarrow
    from pyarrow import csv

    kind = _kind(dialect)
    if not lines:
        return np.empty((0, count), kind)
    text = b"\n".join(lines) + b"\n"
    counts = {line.count(dialect.separator) for line in lines}
    if counts != {count - 1} or re.search(b"[xX_]", text):
        return None  # Arrow would take 0x1F for a number
    column = text.replace(dialect.separator, b"\n")
    if dialect.real:
        column = re.sub(rb"(?m)[ \t]+$|^[ \t]+", b"", column)
        column = column if dialect.separator == b"," else column.replace(b",", b".")
    try:
        found = csv.read_csv(
            pyarrow.BufferReader(column),
            csv.ReadOptions(use_threads=False, block_size=2 * MAX_LINE, column_names=["value"]),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types={"value": pyarrow.from_numpy_dtype(kind)}, null_values=[""]
            ),
        )["value"]
    except pyarrow.ArrowInvalid:
        return None
    if found.null_count:
        return None
    values = found.to_numpy().reshape(-1, count)
    return values if not dialect.real or np.isfinite(values).all() else None


def _kind(dialect: Dialect) -> type[np.generic]:
    return np.float32 if dialect.real else np.uint16


def _fits(field: bytes, dialect: Dialect) -> bool:
    """Whether a field is such a number."""
    if dialect.real:
        return math.isfinite(_number(field, dialect))
    digits = (stripped := field.strip(b" \t")).lstrip(b"0") or b"0"
    return stripped.isdigit() and len(digits) <= 5 and int(digits) <= MAX_VALUE


def _number(field: bytes, dialect: Dialect) -> float:
    """A field as a number that float32 holds; NaN if it is none."""
    text = field.strip(b" \t")
    if dialect.separator != b",":
        text = text.replace(b",", b".")
    if not re.fullmatch(rb"[+-]?[0-9.]{1,400}([eE][+-]?[0-9]{1,9})?", text):
        return math.nan
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if abs(number) <= float(np.finfo(np.float32).max) else math.nan


def _unlike(field: bytes, column: int, dialect: Dialect) -> str:
    return f"'{_shown(field)}' in column {column} is no {dialect.wanted}"


def _shown(field: bytes) -> str:
    return brief(field.decode("utf-8", errors="replace"), 20)
