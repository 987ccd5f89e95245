"""The lines of a text file, whichever system wrote it: its newlines, its encoding, its byte order mark."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pixelcnn.data.gate import opened
from pixelcnn.errors import DataError

BLOCK = 2**22
"""Bytes that are parsed together."""
MAX_LINE = 2**23
"""Bytes; a million pixels of five digits and more."""
ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""By the mark that a file begins with; the longer marks first."""


def line_blocks(path: Path, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Whole lines after the given one, ended by plain newlines, and the number of the first."""
    line = 1
    for lines in _whole_lines(path):
        count, first = lines.count(b"\n"), line
        while line <= after and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            line += 1
        if lines:
            yield line, lines
        line = first + count


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The bytes of a file, cut behind newlines of any system; the last line gets one if it has none."""
    rest = b""
    with opened(path) as stream:
        for block in _decoded(stream):
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


def _decoded(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of a file as UTF-8 without a mark; none ends between a return and its line feed."""
    start = stream.read(4)
    mark = next((mark for mark in ENCODINGS if start.startswith(mark)), b"")
    encoding = ENCODINGS.get(mark, "")
    plain = encoding in {"", "utf-8-sig"}
    stream.seek(len(mark) if plain else 0)
    decoder = codecs.getincrementaldecoder(encoding or "utf-8")()
    kept = b""
    while block := stream.read(BLOCK):
        block = kept + (block if plain else decoder.decode(block).encode())
        kept = b"\r" if block.endswith(b"\r") else b""
        yield block.removesuffix(b"\r")
    decoder.decode(b"", final=True)
    if kept:
        yield kept
