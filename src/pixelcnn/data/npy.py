"""Arrays in NumPy's files: headers read before anything else, and values read as they are needed.

NumPy parses the header of an ``.npy`` file and zipfile the index of an ``.npz`` file; what they declare is
compared with the size of the file and the memory at hand before there is an array.
"""

import dataclasses
import io
import math
import os
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from pixelcnn.data.packed import OpenFile
from pixelcnn.data.stored import (
    ALWAYS_FINE,
    Container,
    StoredArray,
    check_growth,
    check_held,
    sides,
)
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

MAGIC = b"\x93NUMPY"
"""The first bytes of an ``.npy`` file, whatever it is called."""
ZIPPED = b"PK"
"""What every archive begins with, also one that lacks its end."""
PARSERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    (3, 0): npy.read_array_header_2_0,
}
"""By version; the third differs from the second in the names of fields, and those are no images."""
BLOCK, MAX_READ = 2**20, 2**30
"""Bytes of one read: out of an archive, and of a file, where no system takes more than 2 GB."""
COLUMN = 2**16
"""Rows of an array in Fortran's order that are read together, if they are small."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What an ``.npy`` file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int
    """Of the first value, in bytes from the start of the file."""

    @property
    def nbytes(self) -> int:
        """Of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], size: int) -> Header:
    """The header of an ``.npy`` file or member, checked against the bytes that there are.

    Args:
        stream: at the start.
        size: bytes of the whole file.

    Raises:
        DataError: the reason alone: no array, one of Python objects, or another number of values than
            the file holds.
    """
    header = parsed_header(stream)
    if header.dtype.hasobject:
        raise DataError(
            "is no plain array: Python objects are never loaded",
            hint="store numbers: np.stack(images), and words as such: np.array(words, str)",
        )
    if not header.dtype.itemsize:
        raise DataError(f"holds {header.dtype} values, which have no size")
    check_held(header.nbytes, size - header.offset)
    return header


def parsed_header(stream: IO[bytes]) -> Header:
    """What an ``.npy`` file or member says of its array, whatever that holds.

    Raises:
        DataError: the reason alone: no array, or an impossible shape.
    """
    try:
        header = Header(*PARSERS[npy.read_magic(stream)](stream), stream.tell())
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as error:
        # The text of a header makes Python and NumPy stumble in many ways: SyntaxError, RecursionError...
        raise DataError("cannot be read: it has no header of an array") from error
    sides(header.shape)
    return header


def written_header(dtype: np.dtype, shape: Sequence[int], *, fortran: bool = False) -> bytes:
    """The beginning of an ``.npy`` file, before the values.

    Example:
        >>> read_header(io.BytesIO(written_header(np.dtype("u1"), (2, 3))), 134).shape
        (2, 3)
    """
    buffer = io.BytesIO()
    descr = npy.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": fortran, "shape": tuple(shape)}
    npy.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


class FileArray(StoredArray):
    """An array in a file, of which only what is indexed is read.

    Plain reads, since a file that is cut while it is mapped ends the process with a signal.

    Args:
        file: an ``.npy`` file, or one that is open; it stays so as long as there is this object.
        header: where the array lies in it; by default what the file begins with.

    Raises:
        DataError: the reason alone, see :func:`read_header`.
    """

    def __init__(self, file: Path | OpenFile, header: Header | None = None) -> None:
        self._file = OpenFile(file) if isinstance(file, Path) else file
        self.header = header or read_header(self._file.stream, self._file.size)
        self.shape, self.dtype = self.header.shape, self.header.dtype
        self._whole: np.ndarray | None = None
        if self.header.fortran:  # the first value of each row, then the second
            self.block = max(1, min(COLUMN, BLOCK * len(self) // max(self.nbytes, 1)))

    def rows(self, start: int, stop: int) -> np.ndarray:
        if self.header.fortran:
            return self._across(start, stop)
        result = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._fill(result, start * math.prod(self.shape[1:]))
        return result

    def whole(self) -> np.ndarray:
        """All values, kept for the next time."""
        if self._whole is None:
            afford(self.nbytes)
            values = np.empty(self.shape, self.dtype, order="F" if self.header.fortran else "C")
            self._fill(values.T if self.header.fortran else values, 0)
            self._whole = values
        return self._whole

    def _across(self, start: int, stop: int) -> np.ndarray:
        """Rows of an array in Fortran's order, whose values lie as far apart as it has rows."""
        if self.nbytes <= ALWAYS_FINE:
            return self.whole()[start:stop]
        columns = np.empty((math.prod(self.shape[1:]), stop - start), self.dtype)
        for place, column in enumerate(columns):
            self._fill(column, place * len(self) + start)
        return np.ascontiguousarray(columns.T.reshape((-1, *self.shape[1:]), order="F"))

    def _fill(self, values: np.ndarray, first: int) -> None:
        """Reads neighbouring values, C-contiguous, from the place of the first of them."""
        left = _bytes_of(values)
        place = self.header.offset + first * self.dtype.itemsize
        while left:
            try:
                count = self._read_into(left, place)
            except OSError as error:
                raise DataError(f"an array cannot be read any more: {error.strerror}") from error
            if not count:
                raise DataError("an array has become shorter since it was opened")
            left, place = left[count:], place + count

    def _read_into(self, buffer: memoryview, place: int) -> int:
        """One read at a place of the file; threads and forked processes share the descriptor."""
        if hasattr(os, "preadv"):
            return os.preadv(self._file.stream.fileno(), [buffer[:MAX_READ]], place)
        with self._file.lock:
            self._file.stream.seek(place)
            return self._file.stream.readinto(buffer)  # type: ignore[attr-defined]


def _bytes_of(values: np.ndarray) -> memoryview:
    """The memory of a C-contiguous array, to be written to."""
    return memoryview(values.reshape(-1).view(np.uint8).data)


class Archive(Container):
    """The arrays of an ``.npz`` file by their names.

    Args:
        file: that is open.

    Raises:
        DataError: no archive, or an impossible member, when it is asked for.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        try:
            self._archive = zipfile.ZipFile(file.stream)
        except zipfile.BadZipFile as error:
            file.stream.seek(0)
            if file.stream.read(len(ZIPPED)) == ZIPPED:
                raise DataError(
                    "is damaged: it begins as an archive, and has not the end of one"
                ) from error
            raise DataError(
                "is neither an array nor an archive of arrays",
                hint="np.save(path, images) makes one; Python objects are never loaded",
            ) from error
        members = {info.filename: info for info in self._archive.infolist()}
        self._members = {
            name.removesuffix(".npy"): info
            for name, info in members.items()
            if name.endswith(".npy")
        }
        self.names = tuple(self._members)

    def shape(self, name: str) -> tuple[int, ...]:
        info = self._checked(name)
        with self._archive.open(info) as member:
            return parsed_header(member).shape

    def __getitem__(self, name: str) -> np.ndarray | FileArray:
        """An array; it stays in the file if it is large and not compressed."""
        info = self._checked(name)
        if info.compress_type == zipfile.ZIP_STORED and info.file_size > ALWAYS_FINE:
            return self._in_place(info)
        return self._array(info)

    def _checked(self, name: str) -> zipfile.ZipInfo:
        """The member of a name, if it is none that would fill the memory."""
        info = self._members[name]
        check_growth(info.compress_size, info.file_size)
        return info

    def _in_place(self, info: zipfile.ZipInfo) -> FileArray:
        """A member that is not compressed, where it lies in the file."""
        with self._archive.open(info) as member:
            header = read_header(member, info.file_size)
        stream = self._file.stream
        stream.seek(info.header_offset + 26)  # the lengths of the name and of what follows it
        start = info.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
        if start + info.file_size > self._file.size:
            raise DataError("is damaged: it ends early")
        return FileArray(self._file, dataclasses.replace(header, offset=start + header.offset))

    def _array(self, info: zipfile.ZipInfo) -> np.ndarray:
        with self._archive.open(info) as member:
            afford(read_header(member, info.file_size).nbytes)
        with self._archive.open(info) as member:
            values: np.ndarray = npy.read_array(member, allow_pickle=False)
            if member.read(1):  # the end also is where the checksum is compared
                raise DataError("is damaged: it is longer than it says")
        return values
