"""Files packed by gzip or xz: their content, never more of it than is plausible."""

import errno
import gzip
import lzma
import os
import tempfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pixelcnn.data.opening import opened, size_of, unreadable
from pixelcnn.data.stored import check_growth
from pixelcnn.errors import DataError, ResourceError

PACKINGS = (".gz", ".xz")
"""Ends of names of packed files."""
BLOCK = 2**20
"""Bytes that are unpacked at a time."""


class OpenFile:
    """A file that is closed with the last of the objects that read it.

    Args:
        path: of the file, perhaps packed.

    Raises:
        DataError, ResourceError: see :func:`unpacked`.
    """

    def __init__(self, path: Path) -> None:
        self.stream = unpacked(path)
        self.lock = threading.Lock()  # of its place, for who can but read on from there

    def __del__(self) -> None:
        if stream := getattr(self, "stream", None):
            stream.close()

    @property
    def size(self) -> int:
        """Bytes."""
        return size_of(self.stream)


def plain_name(path: Path) -> str:
    """The name of a file in lower case, without the end that says how it is packed.

    Example:
        >>> plain_name(Path("a/Digits.CSV.gz"))
        'digits.csv'
    """
    name = path.name.lower()
    return name[:-3] if name.endswith(PACKINGS) else name


def blocks(path: Path, most: int = BLOCK) -> Iterator[bytes]:
    """The content of a file in pieces of at most so many bytes, unpacked if it is packed by its name.

    Raises:
        DataError: the reason alone: damaged, or it grows beyond what is plausible.
    """
    with opened(path) as stream:
        size, done = size_of(stream), 0
        unpack: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix.lower())
        content = unpack(stream) if unpack else stream
        try:
            while block := content.read(most):
                done += len(block)
                check_growth(size, done)
                yield block
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise DataError(unreadable(error)) from error


def unpacked(path: Path) -> BinaryIO:
    """A file, open for reading; if it is packed, a nameless temporary file of its content.

    Raises:
        DataError: the reason alone.
        ResourceError: there is no room for the content.
    """
    if path.suffix.lower() not in PACKINGS:
        return opened(path)
    with tempfile.TemporaryFile(prefix="pixelcnn-") as file:
        for block in blocks(path):
            try:
                file.write(block)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise ResourceError(
                        f"does not fit into {tempfile.gettempdir()} when it is unpacked",
                        hint="unpack it yourself, or set TMPDIR to a folder with more room",
                    ) from error
                raise
        if not file.tell():
            raise DataError("is empty")
        file.flush()
        file.seek(0)
        return os.fdopen(os.dup(file.fileno()), "rb")
