"""The lines of a text file, whichever system wrote it: its newlines, its encoding, its byte order mark."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pixelcnn.data.packed import blocks
from pixelcnn.errors import DataError

BLOCK = 2**22
"""Bytes that are parsed together."""
MAX_LINE = 2**23
"""Bytes; a million pixels of five digits and more."""
ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""By the mark that a file begins with; the longer marks first."""


COMMENT = re.compile(rb"(?m)^[ \t]*#.*$")
SEPARATOR_SAID = re.compile(rb"\Asep=.[ \t]*$", re.MULTILINE)
"""A first line for spreadsheets."""


def line_blocks(path: Path, after: int = 0, comments: bool = False) -> Iterator[tuple[int, bytes]]:
    """Whole lines after the given one, ended by plain newlines, and the number of the first.

    A first line that tells spreadsheets what separates columns is empty.

    Args:
        path: of the file, perhaps packed.
        after: number of a line.
        comments: keep what lines that begin with ``#`` say; else they are empty.
    """
    line = 1
    for lines in _whole_lines(path):
        if line == 1:
            lines = SEPARATOR_SAID.sub(b"", lines)
        if not comments and b"#" in lines:
            lines = COMMENT.sub(b"", lines)
        count, first = lines.count(b"\n"), line
        while line <= after and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            line += 1
        if lines:
            yield line, lines
        line = first + count


def fields_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of the lines that say something, without blanks around them, and the line's number.

    Bytes that are no UTF-8, as some spreadsheets write them, are spelt out.
    Commas, semicolons or tabs separate them, or blanks where there is none of these and the first lines
    have equally many fields then: else there is one column, of names with blanks.
    """

    def lines() -> Iterator[str]:
        texts = (block.decode("utf-8", "backslashreplace") for _, block in line_blocks(path))
        return (line for text in texts for line in text.split("\n")[:-1])

    first = list(itertools.islice((line for line in lines() if line.strip()), 2))
    separator = max(",;\t", key="".join(first[:1]).count)
    if separator not in "".join(first[:1]) and len({len(line.split()) for line in first}) == 1:
        separator = " "
    reader = csv.reader(lines(), delimiter=separator, skipinitialspace=True)
    for row in reader:
        if any(fields := [field.strip() for field in row]):
            yield reader.line_num, fields


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The bytes of a file, cut behind newlines; the last line gets one if it has none."""
    rest = b""
    for block in _decoded(blocks(path, BLOCK)):
        cut = (text := rest + block).rfind(b"\n") + 1
        rest = text[cut:]
        if len(rest) > MAX_LINE:
            raise DataError(f"has a line of more than {MAX_LINE:,} bytes: it is no table of images")
        if cut:
            yield text[:cut]
    if rest:
        yield rest + b"\n"


def _decoded(given: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks of a file as UTF-8 without a mark, with plain newlines; bytes that are no UTF-8 stay."""
    start = b""
    while len(start) < 4 and (block := next(given, b"")):
        start += block
    marked = (name for mark, name in ENCODINGS.items() if start.startswith(mark))
    encoding = next(marked, "")
    errors = "strict" if encoding else "surrogateescape"
    characters = codecs.getincrementaldecoder(encoding or "utf-8-sig")(errors)
    decoder = io.IncrementalNewlineDecoder(characters, translate=True)
    for block in itertools.chain([start], given):
        yield decoder.decode(block).encode(errors=errors)
    yield decoder.decode(b"", final=True).encode(errors=errors)
