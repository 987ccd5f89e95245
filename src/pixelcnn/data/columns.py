"""What the columns of a table mean: pixels, a label, or neither."""

import dataclasses
import logging
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pixelcnn.data import assignment
from pixelcnn.data.label_column import has_label, is_image, is_index, label_places, place
from pixelcnn.data.opening import brief
from pixelcnn.data.parsing import Columns, is_number, is_word
from pixelcnn.data.reading import LABELS, Reading, typed
from pixelcnn.errors import DataError

log = logging.getLogger("pixelcnn")

FIRST = 5
"""Rows that say what the columns of a table mean."""


def columns_of(
    fields: list[str], line: int, reading: Reading, where: str, rows: Sequence[list[str]] = ()
) -> Columns:
    """What columns mean that begin with these fields: names, or the first row of numbers.

    Args:
        fields: of the first line.
        line: its number.
        reading: how the table is read.
        where: start of a message.
        rows: the fields of some lines that follow.

    Raises:
        DataError: several label columns, or none as asked for.
    """
    found = _meant(fields, line, reading, where, rows)
    label = found.label
    if label is None:
        return found
    if not reading.labels:  # so that no bad label keeps an image from being read
        return dataclasses.replace(found, label=None, ignored=(*found.ignored, label))
    words = _are_words(rows if found.header else [fields, *rows], label)
    return dataclasses.replace(found, words=(label,) if words else ())


def _meant(
    fields: list[str], line: int, reading: Reading, where: str, rows: Sequence[list[str]]
) -> Columns:
    """What columns mean, labels that are not wanted among them."""
    numbers = [field for field in fields if is_number(field)]
    names = [field for field in fields if not is_number(field)]
    counted = len(fields) > 1 and (
        _is_counted(numbers) or (not names and _is_numbered(fields, rows))
    )
    asked = {reading.label_column, *map(str.lower, reading.condition)}
    usual = {*LABELS, *assignment.NAMES, *asked}
    known = all(name in usual or is_index(name) for name in names)
    # A row of data in which some values are bad must not be taken for names, and vanish.
    named = len(names) > 9 * len(numbers) and 2 * len({*names}) >= len(names)
    if named or (names and counted and known):
        return _named_columns(fields, line, reading, where, rows)
    if reading.condition:
        raise DataError(
            f"{where} has no header, so no column is called {brief(reading.condition[0], 60)}",
            hint="name its columns in a first line",
        )
    pixels = np.array(_in_order(fields, where) if counted else range(len(fields)), dtype=int)
    header = line if counted and not names else 0
    rows = rows if header else [fields, *rows]
    wanted = reading.label_column
    if wanted is None and has_label(len(fields), reading):
        ends = [end for end, at in (("first", 0), ("last", -1)) if _are_words(rows, pixels[at])]
        if len(ends) != 1:
            return Columns(len(fields), pixels, None, header, undecided=True)
        wanted = ends[0]
    if wanted is None or wanted == "none":
        return Columns(len(fields), pixels, None, header)
    if wanted not in {"first", "last"}:
        raise DataError(
            f"{where} has no header, so no column is called {brief(wanted)}",
            hint=f"say {typed('label_column')} first, last or none",
        )
    label = pixels[0 if wanted == "first" else -1]
    return Columns(len(fields), pixels[pixels != label], int(label), header)


def _are_words(rows: Sequence[list[str]], at: int) -> bool:
    """Whether a column has words in all of some rows."""
    return bool(rows) and all(at < len(row) and is_word(row[at]) for row in rows)


def _is_counted(numbers: list[str]) -> bool:
    """Whether these count the columns from 0 or 1, as pandas does where there are no names.

    In order, or as they are sorted as text: 0, 1, 10, 11, ..., 2, 20.
    """
    ranges = ([str(n + first) for n in range(len(numbers))] for first in (0, 1))
    return any(numbers in (names, sorted(names)) for names in ranges)


def _is_numbered(fields: list[str], rows: Sequence[list[str]]) -> bool:
    """Whether these are names that pandas made of a first row, equal ones with numbers: 5, 0, 0.1, 0.2, ...

    Example:
        >>> _is_numbered(["5", "0", "0.1"], [["4", "0", "9"]]), _is_numbered(["5", "0"], [["4", "0"]])
        (True, False)
    """
    if not rows or any("." in field for row in rows for field in row):
        return False
    seen = Counter[str]()
    for field in fields:
        name, _, number = field.partition(".")
        if number != (str(seen[name]) if seen[name] else ""):
            return False
        seen[name] += 1
    return max(seen.values()) > 1


def _named_columns(
    fields: list[str], header: int, reading: Reading, where: str, rows: Sequence[list[str]]
) -> Columns:
    """What the columns mean by their names; words are no pixels, in a column called unlike all others."""
    given = tuple(place(fields, name.lower(), where) for name in reading.condition)
    labels = [
        at for at in label_places(fields, reading.label_column, where, reading) if at not in given
    ]
    if len(labels) > 1:
        raise DataError(f"{where} has {len(labels)} label columns")
    part = assignment.assigning(fields, rows, {*labels, *given})
    taken = {*labels, *given, *part}
    kinds = Counter(patterns := [re.sub(r"\d+", "0", name) for name in fields])
    alone = {at for at, each in enumerate(patterns) if max(kinds.values()) > 1 == kinds[each]}
    words = {at for at in alone if _are_words(rows[:1], at)}
    others = [
        at for at, name in enumerate(fields) if at not in taken and (at in words or is_index(name))
    ]
    if others:
        shown = brief(
            ", ".join((fields[at] or str(at + 1)) + " (words)" * (at in words) for at in others)
        )
        log.info("%s: column %s left out", where, shown)
    left_out = {*taken, *others}
    rest = [at for at in range(len(fields)) if at not in left_out]
    odd = [at for at in rest if at in alone]
    unsaid = not labels and reading.label_column is None
    if odd and not is_image(len(rest), reading) and is_image(len(rest) - len(odd), reading):
        rest = [at for at in rest if at not in odd]
        shown = brief(", ".join(fields[at] for at in odd), 60)
        if unsaid and len(odd) == 1:
            labels = odd
            log.warning("%s: column %s is taken for the label", where, shown)
        else:
            others += odd
            log.warning("%s: columns called unlike the pixels left out: %s", where, shown)
    order = _in_order([fields[at] for at in rest], where)
    pixels = np.array([rest[at] for at in order], dtype=int)
    label = labels[0] if labels else None
    return Columns(
        len(fields), pixels, label, header, ignored=tuple(others), given=given, said=part
    )


def _in_order(names: list[str], where: str) -> list[int]:
    """Places of the columns by the numbers in their names, if they have numbers and agree otherwise.

    Two numbers are a row and a column; names that count along the columns first are left as they are.

    Example:
        >>> _in_order(["pixel0", "pixel1", "pixel10", "pixel2"], "a.csv")
        [0, 1, 3, 2]
        >>> _in_order(["1x1", "2x1", "1x2", "2x2"], "a.csv"), _in_order(["r0", "g0"], "a.csv")
        ([0, 1, 2, 3], [0, 1])
    """
    as_they_are = list(range(len(names)))
    patterns = {re.sub(r"\d+", "0", name) for name in names}
    keys = [tuple(map(int, re.findall(r"[0-9]{1,9}", name))) for name in names]
    if len(patterns) != 1 or len({*keys}) != len(keys):
        return as_they_are
    if keys in (sorted(keys), sorted(keys, key=lambda key: key[::-1])):
        return as_they_are
    log.warning("%s: columns put in the order of the numbers in their names", where)
    return sorted(as_they_are, key=keys.__getitem__)
