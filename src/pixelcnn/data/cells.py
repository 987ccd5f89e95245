"""Cells of a table that hold a whole image, as those of FER-2013 do: ``70 80 82`` or ``[70, 80, 82]``."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pixelcnn.data.opening import named
from pixelcnn.errors import DataError

FEWEST = 4
"""Numbers of a cell that must be a whole image."""
NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\.?")
LIST = rb"\[(?:[^][\n]++|\[(?:[^][\n]++|\[[^][\n]*+\])*+\])*+\]"
"""Brackets with at most two more inside, as those of rows and of pixels."""
TOGETHER = re.compile(rb'"([^"\n]*)"|(' + LIST + rb")")
"""What stands in quotes or in brackets."""
PLAIN = re.compile(rb"[-+.,;\deE\s\[\]]*")
OPEN = bytes.maketrans(b"[],;", b"    ")
BETWEEN = b"\v"
"""What separates the numbers of a cell where no separator of cells may, and blanks might be one."""


def numbers_in(cell: str) -> list[str]:
    """The numbers of a cell; none unless they are as many as an image has.

    Example:
        >>> numbers_in("70 80 82 72"), numbers_in("[[70, 80], [82, 72]]"), numbers_in("a cat, 4 years")
        (['70', '80', '82', '72'], ['70', '80', '82', '72'], [])
    """
    found = re.sub(r"[\[\],;]", " ", cell).split()
    return found if len(found) >= FEWEST and all(map(NUMBER.fullmatch, found)) else []


def array_of(cell: str, where: str) -> np.ndarray:
    """The numbers of a cell as an array: of integers, if they are; with the axes that brackets say.

    Raises:
        DataError: it holds something else.
    """
    found = numbers_in(cell)
    if not found:
        raise DataError(f"{where}: a cell holds no numbers, as others do")
    whole = all(map(str.isdecimal, found))
    with named(where):
        sides = sides_of(cell)
    return np.array(found, np.int64 if whole else np.float64).reshape(sides or -1)


def sides_of(cell: str) -> tuple[int, ...]:
    """How long the axes of an image in a cell are, by its brackets; none of a grey square or a row.

    Raises:
        DataError: the reason alone: lists of different lengths.

    Example:
        >>> sides_of("[[70, 80, 82], [72, 75, 71]]"), sides_of("[[70, 80], [82, 72]]"), sides_of("70 80 82")
        ((2, 3), (), ())
    """
    opened, depth = Counter[int](), 0
    for bracket in re.findall(r"[][]", cell):
        depth += 1 if bracket == "[" else -1
        opened[depth] += bracket == "["
    lists = [opened[depth] for depth in sorted(opened) if opened[depth]]
    if len(lists) < 2:
        return ()
    numbers = len(numbers_in(cell))
    sides = tuple(inner // outer for outer, inner in itertools.pairwise([*lists, numbers]))
    if math.prod(sides) != numbers:
        raise DataError("holds lists of different lengths in a cell")
    square = [math.isqrt(numbers)] * 2
    return () if [side for side in sides if side > 1] == square else sides


def sides_in(lines: Sequence[bytes], numbers: int) -> tuple[int, ...]:
    """The same of the first cell in some lines that has so many numbers."""
    together = itertools.chain.from_iterable(map(TOGETHER.finditer, lines))
    cells = (each[each.lastindex or 0].decode("utf-8", "replace") for each in together)
    return sides_of(next((cell for cell in cells if len(numbers_in(cell)) == numbers), ""))


def place(lines: Sequence[bytes], separator: bytes) -> int | None:
    """The column of such a cell, the longest of these lines, if it has more numbers than any line has cells.

    So a box in a column beside those of pixels, or beside a cell of them, is no image.

    Example:
        >>> place([b"face,70 80 82 72"], b","), place([b'"[70, 80, 82, 72]",3'], b",")
        (1, 0)
        >>> place([b"[1, 2, 3, 4];70 80 82 72 75 71 69 81 80"], b";"), place([b"3;7;8;9;[1, 2, 3, 4]"], b";")
        (1, None)
    """
    rows = [_fields(line, separator) for line in lines]
    longest, column = max(map(len, rows)), None
    for at, field in itertools.chain.from_iterable(map(enumerate, rows)):
        count = len(field) > longest and len(numbers_in(field.decode("utf-8", "replace")))
        if count > longest:
            longest, column = count, at
    return column


def spread(text: bytes, separator: bytes, column: int) -> bytes:
    """Lines whose cells of a column are as many as they hold numbers.

    Example:
        >>> spread(b"3,70 80 82 72,Training", b",", 1), spread(b'"[70, 80, 82, 72]",3', b",", 0)
        (b'3,70,80,82,72,Training', b'70,80,82,72,3')
    """
    return b"\n".join(_spread(line, separator, column) for line in text.split(b"\n"))


def _spread(line: bytes, separator: bytes, column: int) -> bytes:
    fields = _fields(line, separator)
    if column < len(fields):
        fields[column] = separator.join(fields[column].split())
    return separator.join(fields).replace(BETWEEN, b" ")


def _fields(line: bytes, separator: bytes) -> list[bytes]:
    """The fields of a line; what separates the numbers that stand together in one separates no fields."""
    if b'"' in line or b"[" in line:
        line = TOGETHER.sub(_joined, line)
    return re.split(rb"[ \t]+", line.strip(b" \t")) if separator == b" " else line.split(separator)


def _joined(found: re.Match[bytes]) -> bytes:
    inside = found[found.lastindex or 0]
    numbers = inside.translate(OPEN).split()
    return BETWEEN.join(numbers) if len(numbers) >= FEWEST and PLAIN.fullmatch(inside) else found[0]


def names_of(header: list[str], column: int, count: int) -> list[str]:
    """The names of so many columns, where that of one column stands for all of its numbers.

    Example:
        >>> names_of(["emotion", "pixels", "usage"], 1, 5)
        ['emotion', 'pixels0', 'pixels1', 'pixels2', 'usage']
    """
    if column >= len(header):
        return header
    cells = [f"{header[column]}{at}" for at in range(count - len(header) + 1)]
    return [*header[:column], *cells, *header[column + 1 :]]
