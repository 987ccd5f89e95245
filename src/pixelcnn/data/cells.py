"""Cells of a table that hold a whole image, as those of FER-2013 do: ``70 80 82`` or ``[70, 80, 82]``."""

import re

import numpy as np

from pixelcnn.errors import DataError

FEWEST = 4
"""Numbers of a cell that must be a whole image."""
NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\.?")
BRACKETS = re.compile(rb'"?(\[[-+.,;\deE\s\[\]]*\])"?')


def numbers_in(cell: str) -> list[str]:
    """The numbers of a cell; none unless they are as many as an image has.

    Example:
        >>> numbers_in("70 80 82 72"), numbers_in("[[70, 80], [82, 72]]"), numbers_in("a cat, 4 years")
        (['70', '80', '82', '72'], ['70', '80', '82', '72'], [])
    """
    found = re.sub(r"[\[\],;]", " ", cell).split()
    return found if len(found) >= FEWEST and all(map(NUMBER.fullmatch, found)) else []


def array_of(cell: str, where: str) -> np.ndarray:
    """The numbers of a cell as an array: of integers, if they are.

    Raises:
        DataError: it holds something else.
    """
    found = numbers_in(cell)
    if not found:
        raise DataError(f"{where}: a cell holds no numbers, as others do")
    whole = all(map(str.isdecimal, found))
    return np.array(found, np.int64 if whole else np.float64)


def place(line: bytes, separator: bytes) -> int | None:
    """The column of such a cell, if a line has one.

    Example:
        >>> place(b"3,70 80 82 72,Training", b","), place(b'"[70, 80, 82, 72]",3', b",")
        (1, 0)
    """
    for found in BRACKETS.finditer(line):
        if numbers_in(found[1].decode()):
            return line[: found.start()].count(separator)
    if separator == b" ":
        return None
    fields = line.decode("utf-8", "replace").split(separator.decode())
    return next((at for at, each in enumerate(fields) if numbers_in(each.strip(' "'))), None)


def spread(text: bytes, separator: bytes, column: int) -> bytes:
    """Lines whose cells of a column are as many as they hold numbers.

    Example:
        >>> spread(b"3,70 80 82 72,Training", b",", 1), spread(b'"[70, 80, 82, 72]",3', b",", 0)
        (b'3,70,80,82,72,Training', b'70,80,82,72,3')
    """
    return b"\n".join(_spread(line, separator, column) for line in text.split(b"\n"))


def _spread(line: bytes, separator: bytes, column: int) -> bytes:
    found = BRACKETS.search(line)
    if found is not None:
        cell = found[1].translate(bytes.maketrans(b"[],;", b"    "))
        return line[: found.start()] + separator.join(cell.split()) + line[found.end() :]
    fields = line.split(separator)
    if column < len(fields):
        fields[column] = separator.join(fields[column].strip(b' "').split())
    return separator.join(fields)


def names_of(header: list[str], column: int, count: int) -> list[str]:
    """The names of so many columns, where that of one column stands for all of its numbers.

    Example:
        >>> names_of(["emotion", "pixels", "usage"], 1, 5)
        ['emotion', 'pixels0', 'pixels1', 'pixels2', 'usage']
    """
    cells = [f"{header[column]}{at}" for at in range(count - len(header) + 1)]
    return [*header[:column], *cells, *header[column + 1 :]]
