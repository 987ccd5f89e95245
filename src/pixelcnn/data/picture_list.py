"""Tables that name pictures: one in each row, and perhaps its class."""

import contextlib
import dataclasses
import itertools
import logging
import re
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pixelcnn.data import assignment, cells
from pixelcnn.data.columns import FIRST
from pixelcnn.data.files import ImageFile, find_images
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.label_column import is_index, is_unnamed, label_places
from pixelcnn.data.lines import fields_of
from pixelcnn.data.opening import brief, named
from pixelcnn.data.parsing import is_word
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.data.picture_names import KnownPictures
from pixelcnn.data.pictures import read_files
from pixelcnn.data.reading import Reading, typed
from pixelcnn.errors import DataError
from pixelcnn.text import counted, printable

log = logging.getLogger("pixelcnn")

MOST_ALIKE = 3
"""Columns whose names differ in their numbers alone; more are pixels."""
AN_IMAGE = 64
"""Numbers in a cell that are an image, and no box or points in a picture."""
MOST_COLUMNS = 16
"""Of a list that names pictures without their suffixes."""
FEWEST = 2
"""Rows that may be numbered each by its own class."""
WHOLE = re.compile(r"-?\d+(\.0+)?", re.ASCII)
"""How a label is written that is a number."""
SHOWN = 3
"""Names of files that a message shows."""


def fits(path: Path) -> bool:
    """Whether a table names pictures, and has no columns that are called like pixels."""
    try:
        with named(path.name):
            rows = [row for _, row in itertools.islice(fields_of(path), 2)]
    except DataError:
        return False  # which the reader of tables has words for
    if not rows or any(len(cells.numbers_in(field)) >= AN_IMAGE for field in rows[-1]):
        return False
    alike = Counter(re.sub(r"\d+", "0", field) for field in rows[0])
    if max(alike.values()) > MOST_ALIKE:
        return False
    if _column(rows) is None and len(rows[-1]) <= MOST_COLUMNS:
        return _column(rows, KnownPictures(_pictures(path.parent), stems=True)) is not None
    return _column(rows) is not None


def read(path: Path, reading: Reading) -> ImageSet:
    """The pictures of a table as a set, see :func:`listed`."""
    found, where = listed(path, reading), printable(path.name)
    return read_files(found.files, reading.of_pictures, where, found.labels, found.parts)


class Listed(NamedTuple):
    """What a table says of pictures, of each in its order."""

    files: list[ImageFile]
    labels: list[Any] | None
    parts: list[str]
    """What its column of a split says; empty without one."""


def listed(path: Path, reading: Reading) -> Listed:
    """The pictures that a table names, in its order, and their labels and parts, if it has some.

    They are looked for in the table's folder and all folders below, by their names from there or, where only
    one is called so, by their own, if need be without suffix; nothing else is opened. The label is in the
    column called ``label`` (or ``class``, ``target``, ``y``), the one that ``label_column`` says, or the only
    one beside the files'.

    Args:
        path: of a table with a header or without.
        reading: how, with ``label_column``; ``skip_bad`` leaves out what is not there.

    Raises:
        DataError: a row that names no picture that is there.
    """
    where = printable(path.name)
    with named(where):
        numbers, rows = zip(*fields_of(path), strict=True)
        known = KnownPictures(_pictures(path.parent), stems=_column(rows) is None)
        column = _column(rows, known if known.stems else ())
        assert column is not None, "some rows name pictures"
        first = rows[0][column] if column < len(rows[0]) else ""
        named_so = (known.stems and first in known) or _is_picture(first)
        header = [] if named_so else [name.lower() for name in rows[0]]
        numbers, rows = numbers[bool(header) :], rows[bool(header) :]
        width = len(header) or len(rows[0])
        for number, row in zip(numbers, rows, strict=True):
            if len(row) != width or not (known.stems or _is_picture(row[column])):
                raise DataError(f"names no picture in column {column + 1} of line {number}")
        split = assignment.assigning(header, rows[:FIRST])
        label = _label_column(header, rows, (column, *split), reading, where)
        split = tuple(at for at in split if at != label)
        if label is not None:
            rows = _labelled(rows, numbers, label, reading.skip_bad, where)
        files = _found([row[column] for row in rows], known, reading.skip_bad, where)
    there = [file for file in files if file is not None]
    kept = [row for row, file in zip(rows, files, strict=True) if file is not None]
    parts = [row[at] for row in kept for at in split]
    if label is None:
        return Listed(there, None, parts)
    there = [dataclasses.replace(file, problem="") for file in there]  # the row says the label
    labels = [row[label] for row in kept]
    if all(map(WHOLE.fullmatch, labels)):
        labels = [each.partition(".")[0] for each in labels]
    whole = all(map(str.isdecimal, labels))
    return Listed(there, [int(each) for each in labels] if whole else labels, parts)


def _labelled(
    rows: Sequence[list[str]], numbers: Sequence[int], label: int, skip_bad: bool, where: str
) -> tuple[list[str], ...]:
    """The rows whose label is a word if any is one, else a whole number; of negative ones each is a name."""
    words = any(is_word(row[label]) for row in rows)
    fits, kind = (is_word, "word, as others are") if words else (WHOLE.fullmatch, "whole number")
    good = tuple(row for row in rows if fits(row[label]))
    if len(good) < len(rows):
        at = next(at for at, row in enumerate(rows) if not fits(row[label]))
        shown = f"'{brief(rows[at][label], 20)}' in column {label + 1} is no {kind}"
        message = f"{counted(len(rows) - len(good), 'bad row')}: line {numbers[at]}: {shown}"
        if not skip_bad or not good:
            raise DataError(
                message, hint="mend them, or leave them out: --skip-bad (in Python skip_bad=True)"
            )
        log.warning("%s: %s, left out", where, message)
    return good


def _pictures(root: Path) -> list[ImageFile]:
    """The image files in a folder and all folders below, if there are some."""
    with contextlib.suppress(DataError):
        return find_images(root, telling=False)
    return []


def _is_picture(field: str) -> bool:
    return field.lower().endswith(tuple(SUFFIXES))


def _column(rows: Sequence[list[str]], stems: Container[str] = ()) -> int | None:
    """The first column that names pictures, by the second row; without suffixes that of the most names."""
    some = rows[min(1, len(rows) - 1)]
    if stems == ():
        return next((at for at, field in enumerate(some) if _is_picture(field)), None)
    found = [at for at, field in enumerate(some) if field in stems]
    return max(found, key=lambda at: len({row[at] for row in rows if at < len(row)}), default=None)


def _label_column(
    header: list[str],
    rows: Sequence[list[str]],
    taken: Sequence[int],
    reading: Reading,
    where: str,
) -> int | None:
    """The column of labels, if there is one; further pictures, such as masks, are none, nor numbers."""
    wanted = reading.label_column
    if not reading.labels or wanted == "none":
        return None
    fields = header or [""] * len(rows[0])
    unnamed = {at for at in range(len(header)) if is_unnamed(header[at])}
    others = [at for at in range(len(fields)) if at not in {*taken, *unnamed}]
    free = [at for at in others if fields[at] not in assignment.NAMES and not _counts(rows, at)]
    free = [at for at in free if not is_index(fields[at])] or free  # a class may be called Id
    found = [at for at in label_places(fields, wanted, where) if at != taken[0]]
    if wanted in {"first", "last"} and wanted not in fields:
        found = free[:1] if wanted == "first" else free[-1:]
    if len(found) > 1:
        raise DataError(
            f"has {len(found)} label columns", hint=f"say which: {typed('label_column')}"
        )
    if not found and len(free) == 1 and not _is_picture(rows[0][free[0]]):
        found = free
    if len(others) > len(found):
        shown = ", ".join(fields[at] or str(at + 1) for at in others if at not in found)
        log.info("%s: column %s left out", where, brief(shown))
    return next(iter(found), None)


def _counts(rows: Sequence[list[str]], at: int) -> bool:
    """Whether a column has another whole number in each of several rows."""
    numbers = [row[at] for row in rows]
    return (
        len(numbers) > FEWEST
        and len({*numbers}) == len(numbers)
        and all(map(str.isdecimal, numbers))
    )


def _found(
    names: list[str], known: KnownPictures, skip_bad: bool, where: str
) -> list[ImageFile | None]:
    """The file that each name means; None for what is not there and may be left out."""
    found = known.all(names)
    missing = [name for name, file in zip(names, found, strict=True) if file is None]
    if missing:
        shown = brief(", ".join(map(printable, missing[:SHOWN])), 200)
        words = f"names {counted(len(missing), 'picture')} that the folder has not: {shown}"
        if not skip_bad or len(missing) == len(names):
            spelt = any(re.search(r"\\x[89a-f]", name) for name in missing)  # see fields_of
            place = "the table lies beside the pictures, or above them"
            raise DataError(
                words, hint="save the table as UTF-8, which it is not" if spelt else place
            )
        log.warning("%s: %s, left out", where, words)
    return found
